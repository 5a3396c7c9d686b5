import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import gradient_check
from chainer.utils.type_check import InvalidType
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lsgan import functions

FUNCTIONS = {'convolution_2d': 1, 'deconvolution_2d': 0}       # name: axis of the weights for the input's channels
each_function = pytest.mark.parametrize('name', FUNCTIONS)
thorough = settings(max_examples=40, deadline=None, derandomize=True, print_blob=False)


@st.composite
def geometries(draw):
    """Draw the sizes of a convolution: arbitrary ones, or ones that Winograd's algorithm supports."""
    if draw(st.booleans()):
        stride = draw(st.integers(1, 3))
        channels = draw(st.tuples(st.integers(16, 18), st.integers(16, 18)))
        kernel, stride = (2 * stride, 2 * stride), (stride, stride)
    else:
        channels = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pad = tuple(draw(st.integers(0, k - 1)) for k in kernel)
    small = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    # the result of a deconvolution, plus rows and columns that a convolution leaves over
    big = tuple((n - 1) * s + k - 2 * p + draw(st.integers(0, s - 1)) for n, s, k, p in zip(small, stride, kernel, pad))
    assume(min(big) > 0)
    return {'batch': draw(st.integers(1, 3)), 'channels': channels, 'kernel': kernel, 'small': small, 'big': big,
            'options': {'stride': stride, 'pad': pad}, 'bias': draw(st.booleans())}


def arrays(name, geometry, dtype=numpy.float64, seed=0):
    """Return the inputs x, W and, if there is a bias, b, and the options of the function."""
    rng = numpy.random.default_rng(seed)
    filters, C = geometry['channels']
    options = dict(geometry['options'])
    if name == 'convolution_2d':
        shapes = [(geometry['batch'], C, *geometry['big']), (filters, C, *geometry['kernel']), (filters,)]
    else:
        shapes = [(geometry['batch'], filters, *geometry['small']), (filters, C, *geometry['kernel']), (C,)]
        options['outsize'] = geometry['big']
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes[:2 + geometry['bias']]], options


def results(function, inputs, options, gy=None):
    """Return the output and the gradients of all inputs. The default gradient of the output depends on its shape only."""
    variables = [chainer.Variable(a) for a in inputs]
    y = function(*variables, **options)
    if gy is None:
        gy = numpy.random.default_rng(1).standard_normal(y.shape)
    y.grad = gy.astype(y.dtype)
    y.backward()
    return [y.array] + [v.grad for v in variables]


@each_function
@thorough
@given(geometry=geometries())
def test_equals_chainer(name, geometry):
    inputs, options = arrays(name, geometry)
    ours, theirs = (results(getattr(module, name), inputs, options) for module in (functions, F))
    for a, b in zip(ours, theirs):
        assert a.dtype == numpy.float64
        numpy.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@each_function
@settings(thorough, max_examples=15)
@given(geometry=geometries())
def test_numerical_gradients(name, geometry):
    inputs, options = arrays(name, geometry)
    gy = numpy.random.default_rng(1).standard_normal(results(getattr(F, name), inputs, options)[0].shape)
    gradient_check.check_backward(lambda *variables: getattr(functions, name)(*variables, **options), inputs, gy,
                                  dtype=numpy.float64, atol=1e-5, rtol=1e-5)


@each_function
@pytest.mark.parametrize('channels, kernel, stride', [
    ((32, 3), 4, 2), ((3, 32), 4, 2), ((16, 16), 4, 2), ((64, 32), 4, 2), ((128, 256), 4, 2), ((256, 128), 4, 2),
    ((32, 32), 2, 1), ((24, 24), 3, 1)])
@pytest.mark.parametrize('rectified', [False, True])
def test_rounding_error_is_at_most_twice_chainers(name, channels, kernel, stride, rectified):
    n = 12
    geometry = {'batch': 4, 'channels': channels, 'kernel': (kernel, kernel), 'small': (n, n), 'bias': True,
                'big': ((n - 1) * stride + kernel - 2, (n - 1) * stride + kernel - 2), 'options': {'stride': stride, 'pad': 1}}
    inputs, options = arrays(name, geometry)
    if rectified:       # like inputs after ReLU
        inputs[0] = numpy.maximum(inputs[0], 0)
    inputs = [a.astype(numpy.float32).astype(numpy.float64) for a in inputs]
    gy = numpy.random.default_rng(1).standard_normal(results(getattr(F, name), inputs, options)[0].shape).astype(numpy.float32)
    exact = results(getattr(F, name), inputs, options, gy)
    single = [a.astype(numpy.float32) for a in inputs]
    ours, theirs = (results(getattr(module, name), single, options, gy) for module in (functions, F))
    for a, b, e in zip(ours, theirs, exact):
        assert a.dtype == numpy.float32
        assert numpy.linalg.norm(a - e) <= 2 * numpy.linalg.norm(b - e) + 1e-7 * numpy.linalg.norm(e)


DCGAN = {'batch': 2, 'channels': (16, 20), 'kernel': (4, 4), 'small': (5, 3), 'big': (10, 6), 'bias': True,
         'options': {'stride': 2, 'pad': 1}}
SMALL = {**DCGAN, 'channels': (2, 3)}
each_way = pytest.mark.parametrize('geometry', [DCGAN, SMALL], ids=['winograd', 'columns'])


@each_function
@each_way
def test_any_memory_layout(name, geometry):
    inputs, options = arrays(name, geometry)
    gy = numpy.random.default_rng(1).standard_normal(results(getattr(F, name), inputs, options)[0].shape)
    expected = results(getattr(functions, name), inputs, options, gy)
    for order in (0, 2, 3, 1), (3, 1, 0, 2):
        inverse = sorted(range(4), key=order.__getitem__)

        def reordered(a, order=order, inverse=inverse):
            return numpy.ascontiguousarray(a.transpose(order)).transpose(inverse) if a.ndim == 4 else a
        again = results(getattr(functions, name), [reordered(a) for a in inputs], options, reordered(gy))
        for a, b in zip(again, expected):
            numpy.testing.assert_array_equal(a, b)


@each_function
@each_way
def test_inputs_are_not_changed(name, geometry):
    inputs, options = arrays(name, geometry)
    before = [a.copy() for a in inputs]
    results(getattr(functions, name), inputs, options)
    for a, b in zip(inputs, before):
        numpy.testing.assert_array_equal(a, b)


@each_function
@each_way
@pytest.mark.parametrize('frozen', [(0,), (1, 2), (2,)])
def test_unneeded_gradients_are_not_computed(name, geometry, frozen):
    inputs, options = arrays(name, geometry)
    expected = results(getattr(functions, name), inputs, options)[1:]
    variables = [chainer.Variable(a, requires_grad=i not in frozen) for i, a in enumerate(inputs)]
    y = getattr(functions, name)(*variables, **options)
    y.grad = numpy.random.default_rng(1).standard_normal(y.shape)
    y.backward()
    for i, (v, gradient) in enumerate(zip(variables, expected)):
        if i in frozen:
            assert v.grad is None
        else:
            numpy.testing.assert_array_equal(v.grad, gradient)


@each_function
@each_way
def test_double_backprop_equals_chainer(name, geometry):
    inputs, options = arrays(name, geometry)
    found = []
    for module in functions, F:
        variables = [chainer.Variable(a) for a in inputs]
        y = getattr(module, name)(*variables, **options)
        gx, = chainer.grad([F.sum(y ** 2)], variables[:1], enable_double_backprop=True)
        found.append([g.array for g in chainer.grad([F.sum(gx ** 2)], variables[:2])])
    for ours, theirs in zip(*found):
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-10)


@each_function
@pytest.mark.parametrize('threads', [1, 2, 5])
def test_any_number_of_threads(name, threads):
    inputs, options = arrays(name, {**DCGAN, 'batch': 7})
    expected = results(getattr(F, name), inputs, options)
    with chainer.using_config('cpu_threads', threads):
        found = [results(getattr(functions, name), inputs, options) for _ in range(3)]
    for first, second, third, e in zip(*found, expected):
        numpy.testing.assert_allclose(first, e, rtol=1e-11, atol=1e-11)
        numpy.testing.assert_array_equal(first, second)
        numpy.testing.assert_array_equal(first, third)


@each_function
def test_switched_off_equals_chainer_exactly(name):
    inputs, options = arrays(name, DCGAN, numpy.float32)
    with chainer.using_config('fast', False):
        ours = results(getattr(functions, name), inputs, options)
    for a, b in zip(ours, results(getattr(F, name), inputs, options)):
        numpy.testing.assert_array_equal(a, b)


@each_function
def test_half_precision_equals_chainer(name):
    inputs, options = arrays(name, SMALL, numpy.float16)
    for a, b in zip(*(results(getattr(module, name), inputs, options) for module in (functions, F))):
        assert a.dtype == numpy.float16
        numpy.testing.assert_array_equal(a, b)


@each_function
def test_wrong_shapes_are_refused(name):
    (x, W, b), options = arrays(name, DCGAN)
    for wrong in (x[:, 1:], W, b), (x, W[..., 0], b), (x, W, b[1:]), (x[0], W, b), (x.astype('f'), W, b):
        with pytest.raises(InvalidType):
            getattr(functions, name)(*wrong, **options)


def test_impossible_sizes_are_refused():
    (x, W, b), options = arrays('deconvolution_2d', DCGAN)
    with pytest.raises(InvalidType):
        functions.deconvolution_2d(x, W, b, **{**options, 'outsize': (13, 6)})
    with pytest.raises(InvalidType):
        functions.convolution_2d(x[..., :1, :1], W.transpose(1, 0, 2, 3), None, 2, 0)
