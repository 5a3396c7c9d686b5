import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import gradient_check
from chainer.utils.type_check import InvalidType

from lsgan import functions

every_activation = pytest.mark.parametrize('activation', [None, 'relu', 'leaky_relu'])
every_shape = pytest.mark.parametrize('shape', [(7, 3), (3, 40), (100, 5), (4, 3, 5, 6), (2, 300, 1, 1), (1, 2, 9, 9)])
both_modes = pytest.mark.parametrize('train', [True, False])


def arrays(shape, dtype=numpy.float64):
    """Return x, gamma, beta, gy, and the running mean and variance."""
    rng = numpy.random.default_rng(0)
    C = shape[1]
    x, gy = rng.standard_normal((2, *shape))
    x = 3 + x * rng.uniform(0.5, 2, (C, *[1] * (len(shape) - 2)))
    gamma, beta, mean = rng.standard_normal((3, C))
    return [a.astype(dtype) for a in (x, gamma, beta, gy, 3 + mean, rng.uniform(0.5, 2, C))]


def ours(x, gamma, beta, mean, var, activation, train):
    if train:
        return functions.batch_normalization(x, gamma, beta, activation, 1e-3, mean, var, 0.7)
    return functions.fixed_batch_normalization(x, gamma, beta, mean, var, activation, 1e-3)


def chainers(x, gamma, beta, mean, var, activation, train):
    if train:
        y = F.batch_normalization(x, gamma, beta, eps=1e-3, running_mean=mean, running_var=var, decay=0.7)
    else:
        y = F.fixed_batch_normalization(x, gamma, beta, mean, var, eps=1e-3)
    return {None: lambda h: h, 'relu': F.relu, 'leaky_relu': F.leaky_relu}[activation](y)


def results(function, inputs, activation, train):
    """Return the output, the gradients and the running statistics."""
    x, gamma, beta, gy, mean, var = inputs
    mean, var = mean.copy(), var.copy()
    variables = [chainer.Variable(a) for a in (x, gamma, beta)]
    y = function(*variables, mean, var, activation, train)
    y.grad = gy
    y.backward()
    return [y.array, *(v.grad for v in variables), mean, var]


@every_activation
@every_shape
@both_modes
def test_equals_chainer(activation, shape, train):
    inputs = arrays(shape)
    for a, b in zip(*(results(function, inputs, activation, train) for function in (ours, chainers))):
        assert a.dtype == numpy.float64
        numpy.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@every_activation
@pytest.mark.parametrize('shape', [(7, 3), (4, 3, 2, 2)])
@both_modes
def test_numerical_gradients(activation, shape, train):
    x, gamma, beta, gy, mean, var = arrays(shape)
    gradient_check.check_backward(lambda *inputs: ours(*inputs, mean.copy(), var.copy(), activation, train),
                                  (x, gamma, beta), gy, dtype=numpy.float64, atol=1e-5, rtol=1e-5)


@every_activation
@every_shape
@both_modes
def test_rounding_error_is_at_most_twice_chainers(activation, shape, train):
    inputs = arrays(shape, numpy.float32)
    if activation:      # keep away from the kink, where rounding decides the gradient
        normalized = ours(*inputs[:3], *inputs[4:], None, train).array
        inputs[0] += numpy.where(abs(normalized) < 0.01, 0.1, 0).astype('f')
    exact = results(chainers, [a.astype(numpy.float64) for a in inputs], activation, train)
    for a, b, e in zip(results(ours, inputs, activation, train), results(chainers, inputs, activation, train), exact):
        assert a.dtype == numpy.float32
        assert numpy.linalg.norm(a - e) <= 2 * numpy.linalg.norm(b - e) + 1e-7 * numpy.linalg.norm(e)


def test_large_mean_keeps_precision():
    x = (1000 + numpy.random.default_rng(0).standard_normal((5000, 3))).astype(numpy.float32)
    y = functions.batch_normalization(x, numpy.ones(3, 'f'), numpy.zeros(3, 'f')).array
    exact = (x - x.mean(axis=0, dtype=float)) / x.std(axis=0, dtype=float)
    numpy.testing.assert_allclose(y, exact, atol=2e-4)


@every_activation
@both_modes
def test_any_memory_layout(activation, train):
    inputs = arrays((4, 3, 5, 6))
    expected = results(ours, inputs, activation, train)
    for i in 0, 3:
        inputs[i] = numpy.ascontiguousarray(inputs[i].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        for a, b in zip(results(ours, inputs, activation, train), expected):
            numpy.testing.assert_array_equal(a, b)


@every_activation
@both_modes
def test_double_backprop_equals_chainer(activation, train):
    x, gamma, beta, gy, mean, var = arrays((6, 4))
    found = []
    for function in ours, chainers:
        variables = [chainer.Variable(a) for a in (x, gamma, beta)]
        running = mean.copy(), var.copy()
        y = function(*variables, *running, activation, train)
        gx, = chainer.grad([F.sum(gy * y ** 2)], variables[:1], enable_double_backprop=True)
        found.append([*(g.array for g in chainer.grad([F.sum(gx ** 2)], variables[:2])), *running])
    for a, b in zip(*found):
        numpy.testing.assert_allclose(a, b, rtol=1e-8)


def two_batches(x, gamma, beta, mean, var, activation, train):
    return functions.batch_normalization(x, gamma, beta, activation, 1e-3, mean, var, 0.7, batches=2)


def one_by_one(x, gamma, beta, mean, var, activation, train):
    return F.concat([chainers(part, gamma, beta, mean, var, activation, train) for part in F.split_axis(x, 2, axis=0)], axis=0)


@every_activation
@pytest.mark.parametrize('shape', [(8, 3), (100, 5), (6, 3, 5, 6), (4, 300, 1, 1), (2, 2, 9, 9), (4, 64, 40, 40)])
@pytest.mark.parametrize('fast', [True, False])
def test_batches_are_normalised_separately(activation, shape, fast):
    inputs = arrays(shape)
    with chainer.using_config('fast', fast):
        found = results(two_batches, inputs, activation, True)
    for a, b in zip(found, results(one_by_one, inputs, activation, True)):
        numpy.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_double_backprop_of_separate_batches():
    x, gamma, beta, gy, mean, var = arrays((6, 4))
    found = []
    for function in two_batches, one_by_one:
        x = chainer.Variable(chainer.as_array(x))
        y = function(x, gamma, beta, mean.copy(), var.copy(), None, True)
        gx, = chainer.grad([F.sum(gy * y ** 2)], [x], enable_double_backprop=True)
        found.append(chainer.grad([F.sum(gx ** 2)], [x])[0].array)
    numpy.testing.assert_allclose(*found, rtol=1e-8)


@pytest.mark.parametrize('threads', [1, 2, 5])
def test_results_repeat_with_any_number_of_threads(threads):
    inputs = arrays((8, 64, 40, 40), numpy.float32)
    expected = results(ours, [a.astype(numpy.float64) for a in inputs], None, True)
    with chainer.using_config('cpu_threads', threads):
        first, second = (results(ours, inputs, None, True) for _ in range(2))
    for a, b, e in zip(first, second, expected):
        numpy.testing.assert_array_equal(a, b)
        assert numpy.linalg.norm(a - e) <= 1e-5 * numpy.linalg.norm(e)


@every_activation
@both_modes
def test_switched_off_equals_chainer_exactly(activation, train):
    inputs = arrays((4, 3, 5, 6), numpy.float32)
    with chainer.using_config('fast', False):
        switched_off = results(ours, inputs, activation, train)
    for a, b in zip(switched_off, results(chainers, inputs, activation, train)):
        numpy.testing.assert_array_equal(a, b)


def test_wrong_shapes_are_refused():
    x, gamma, beta = arrays((4, 3, 5, 6))[:3]
    for wrong in (x, gamma[1:], beta), (x, gamma, beta[1:]), (x, gamma.astype('f'), beta):
        with pytest.raises(InvalidType):
            functions.batch_normalization(*wrong)
    with pytest.raises(InvalidType):
        functions.batch_normalization(x, gamma, beta, batches=3)
