"""Compare convolutions on the GPU with Chainer's own on the CPU: `pytest -m gpu`. Skipped with the reason if no GPU works."""
import importlib
import io
import os
import pathlib
import sys

import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import serializers

from lsgan import functions, links
from lsgan.functions.gpu import cudnn
from lsgan.functions.gpu.activation import bias_gradient
from lsgan.functions.gpu.convolution import add_bias

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures('gpu')]
EMULATED = os.environ.get('CUPY_ON_CPU') == '1'
STAND_INS = pathlib.Path(__file__).parent / 'stand_ins'
# relative error of float32 without TF32; larger on a real GPU, where cuDNN may choose Winograd's algorithm
TOLERANCE = 1e-6 if EMULATED else 1e-5

# name: batch size, channels of small and big image, kernel, stride, padding, size of small image, rows and columns left over
GEOMETRIES = {
    'dcgan': (3, (8, 4), (4, 4), (2, 2), (1, 1), (5, 4), (0, 0)),
    'image': (2, (8, 3), (4, 4), (2, 2), (1, 1), (8, 8), (0, 0)),
    'grey': (2, (5, 1), (4, 4), (2, 2), (1, 1), (4, 7), (1, 1)),
    'to one': (2, (1, 5), (3, 3), (1, 1), (1, 1), (6, 5), (0, 0)),
    'same size': (2, (12, 8), (3, 3), (1, 1), (1, 1), (6, 6), (0, 0)),
    'one pixel': (4, (6, 7), (1, 1), (1, 1), (0, 0), (3, 2), (0, 0)),
    'whole image': (3, (4, 4), (4, 5), (1, 1), (0, 0), (1, 1), (0, 0)),
    'uneven': (3, (3, 4), (3, 2), (2, 3), (2, 1), (4, 3), (1, 2)),
    'gaps': (2, (2, 6), (1, 2), (3, 3), (0, 1), (3, 4), (2, 0)),
    'many channels': (2, (40, 130), (2, 2), (2, 2), (0, 0), (3, 3), (0, 0)),
    'single': (1, (1, 1), (2, 2), (1, 1), (0, 0), (1, 1), (0, 0)),
}
each_geometry = pytest.mark.parametrize('geometry', GEOMETRIES.values(), ids=GEOMETRIES)
each_function = pytest.mark.parametrize('name', ['convolution_2d', 'deconvolution_2d'])


@pytest.fixture
def columns(monkeypatch):
    """Convolve by im2col, as if cuDNN were not installed."""
    monkeypatch.setattr(cudnn, '_works', lambda device: False)


@pytest.fixture
def front_end(monkeypatch):
    """The front end of cuDNN or, on an emulated device, its stand-in."""
    if not EMULATED:
        yield pytest.importorskip('cudnn')
        return
    monkeypatch.syspath_prepend(STAND_INS)
    monkeypatch.delitem(sys.modules, 'cudnn', raising=False)
    caches = cudnn._front_end, cudnn._works, cudnn._handle, cudnn._plan
    for cache in caches:
        cache.cache_clear()
    yield importlib.import_module('cudnn')
    for cache in caches:
        cache.cache_clear()
    del sys.modules['cudnn']


@pytest.fixture(params=['columns', 'front_end'])
def way(request):
    """Each algorithm for convolutions, by name."""
    request.getfixturevalue(request.param)
    return request.param


def arrays(name, geometry, dtype=numpy.float32):
    """Return x, W, b and the gradient of the output, and the function's options."""
    batch, (small_channels, big_channels), kernel, stride, pad, small, left = geometry
    big = tuple((n - 1) * s + k - 2 * p + more for n, s, k, p, more in zip(small, stride, kernel, pad, left))
    x, y = (batch, big_channels, *big), (batch, small_channels, *small)
    options = {'stride': stride, 'pad': pad}
    if name == 'deconvolution_2d':
        x, y, options['outsize'] = y, x, big
    rng = numpy.random.default_rng(0)
    shapes = x, (small_channels, big_channels, *kernel), (y[1],), y
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes], options


def channels_last(a):
    """Return the array with the same shape but with channels last in memory."""
    xp = chainer.backend.get_array_module(a)
    return xp.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if a.ndim == 4 else a


def is_channels_last(a):
    return a.transpose(0, 2, 3, 1).flags.c_contiguous


def results(function, inputs, options, frozen=()):
    """Return the output and the gradients of x, W and b. The inputs are x, W, b and the gradient of the output."""
    *inputs, gy = inputs
    variables = [chainer.Variable(a, requires_grad=i not in frozen) for i, a in enumerate(inputs)]
    y = function(*variables, **options)
    y.grad = gy
    y.backward()
    return [y.array] + [v.grad for v in variables]


def on_gpu(gpu, name, inputs, options, **others):
    """Return `results` of our function on the GPU, for inputs on the CPU that are sent there with channels last."""
    return results(getattr(functions, name), [channels_last(gpu.send(a)) for a in inputs], options, **others)


def exact(name, inputs, options):
    """Return `results` of Chainer's function on the CPU in float64."""
    return results(getattr(F, name), [a.astype(numpy.float64) for a in inputs], options)


def error(a, exact):
    """Return the relative error of an array on the GPU."""
    return numpy.linalg.norm(a.get() - exact) / numpy.linalg.norm(exact)


@each_function
@each_geometry
@pytest.mark.parametrize('layout', [lambda a: a, channels_last], ids=['rows', 'channels last'])
def test_equals_chainer_in_float64(gpu, way, name, geometry, layout):
    inputs, options = arrays(name, geometry, numpy.float64)
    ours = results(getattr(functions, name), [layout(gpu.send(a)) for a in inputs], options)
    for a, b in zip(ours, exact(name, inputs, options)):
        assert a.dtype == numpy.float64 and isinstance(a, gpu.xp.ndarray)
        numpy.testing.assert_allclose(a.get(), b, rtol=1e-11, atol=1e-11)


@each_function
@each_geometry
def test_float32_is_as_accurate_as_chainers(gpu, way, name, geometry):
    inputs, options = arrays(name, geometry)
    with chainer.using_config('tf32', False):
        ours = on_gpu(gpu, name, inputs, options)
    for a, b in zip(ours, exact(name, inputs, options)):
        assert a.dtype == numpy.float32 and error(a, b) < TOLERANCE


@each_function
def test_tf32_rounds_the_inputs_to_ten_bits(gpu, way, name):
    inputs, options = arrays(name, GEOMETRIES['dcgan'])
    ours = on_gpu(gpu, name, inputs, options)
    for a, b in zip(ours[:3], exact(name, inputs, options)):
        assert error(a, b) < 1e-3 and (error(a, b) > 1e-5 or not EMULATED)
    assert error(ours[3], inputs[3].sum(axis=(0, 2, 3), dtype=float)) < 1e-6


@each_function
def test_any_memory_layout(gpu, way, name):
    inputs, options = arrays(name, GEOMETRIES['dcgan'])
    expected = on_gpu(gpu, name, inputs, options)
    for order in (0, 1, 2, 3), (3, 1, 0, 2):
        inverse = sorted(range(4), key=order.__getitem__)

        def reordered(a, order=order, inverse=inverse):
            return gpu.xp.ascontiguousarray(a.transpose(order)).transpose(inverse) if a.ndim == 4 else a
        for a, b in zip(results(getattr(functions, name), [reordered(gpu.send(a)) for a in inputs], options), expected):
            assert (a == b).all()


@each_function
def test_images_and_weights_keep_their_channels_last(gpu, way, name):
    y, gx, gW, _ = on_gpu(gpu, name, *arrays(name, GEOMETRIES['dcgan']))
    assert is_channels_last(y) and is_channels_last(gx) and is_channels_last(gW)


@each_function
@pytest.mark.parametrize('frozen', [(0,), (1, 2), (0, 1), (1,), (2,)])
def test_unneeded_gradients_are_not_computed(gpu, way, name, frozen):
    inputs, options = arrays(name, GEOMETRIES['dcgan'])
    expected = on_gpu(gpu, name, inputs, options)
    for i, (a, b) in enumerate(zip(on_gpu(gpu, name, inputs, options, frozen=frozen)[1:], expected[1:])):
        assert a is None if i in frozen else (a == b).all()


@each_function
def test_bias_is_optional(gpu, way, name):
    inputs, options = arrays(name, GEOMETRIES['image'], numpy.float32)
    del inputs[2]
    with chainer.using_config('tf32', False):
        ours = on_gpu(gpu, name, inputs, options)
    for a, b in zip(ours, exact(name, inputs, options)):
        assert error(a, b) < TOLERANCE


@each_function
def test_double_backprop_equals_chainer(gpu, way, name):
    inputs, options = arrays(name, GEOMETRIES['dcgan'], numpy.float64)
    found = []
    for module, send in (functions, gpu.send), (F, numpy.array):
        variables = [chainer.Variable(send(a)) for a in inputs[:3]]
        y = getattr(module, name)(*variables, **options)
        gx, = chainer.grad([F.sum(y ** 2)], variables[:1], enable_double_backprop=True)
        found.append([chainer.get_device('@numpy').send(g.array) for g in chainer.grad([F.sum(gx ** 2)], variables[:2])])
    for ours, theirs in zip(*found):
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@each_function
def test_results_repeat_exactly(gpu, way, name):
    inputs, options = arrays(name, (40, *GEOMETRIES['image'][1:]))
    first = on_gpu(gpu, name, inputs, options)
    for _ in range(3):
        for a, b in zip(on_gpu(gpu, name, inputs, options), first):
            assert (a == b).all()


@pytest.mark.parametrize('shape', [(1, 1), (1, 5), (7, 1), (9, 1000), (100, 16), (700, 64), (3000, 33), (40000, 3),
                                   (40000, 32)])
def test_sums_of_columns_are_exact(gpu, shape):
    rows = numpy.random.default_rng(0).standard_normal(shape).astype(numpy.float32) + 100
    sums = [bias_gradient(gpu.send(rows))[1] for _ in range(3)]
    for total in sums:
        assert (total == sums[0]).all()
        numpy.testing.assert_allclose(total.get(), rows.sum(axis=0, dtype=float), rtol=1e-7)


@pytest.mark.parametrize('shape', [(1, 1), (5, 3), (7, 33), (100000, 4), (50, 8), (9, 2000)])
@pytest.mark.parametrize('offset', [0, 1])
def test_bias_is_added_to_every_row(gpu, shape, offset):
    rng = numpy.random.default_rng(0)
    rows, bias = rng.standard_normal(shape), rng.standard_normal(shape[1])
    memory = gpu.xp.empty(rows.size + offset)       # with an offset, several numbers cannot be moved at once
    there = memory[offset:].reshape(shape)
    there[...] = gpu.send(rows)
    add_bias(there, gpu.send(bias))
    assert (there.get() == rows + bias).all()


def make_link(module, name, **options):
    numpy.random.seed(0)
    return getattr(module, name)(4, 6, 4, 2, 1, **options)


@pytest.mark.parametrize('options', [{'groups': 2}, {'dilate': 2}])
@pytest.mark.parametrize('name', ['Convolution2D', 'Deconvolution2D'])
def test_groups_and_dilation_use_chainer(gpu, name, options):
    x = numpy.random.default_rng(0).standard_normal((2, 4, 9, 9)).astype(numpy.float32)
    link = make_link(links, name, **options)
    expected = link(x).array
    link.to_device(gpu)
    numpy.testing.assert_allclose(link(gpu.send(x)).array.get(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', ['Convolution2D', 'Deconvolution2D'])
class TestLayout:
    """Weights with channels last in memory behave like any others."""

    @pytest.fixture
    def link(self, gpu, name):
        link = make_link(links, name)
        link.to_device(gpu)
        return link

    def train(self, gpu, link, optimizer):
        x = gpu.send(numpy.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(numpy.float32))
        link.cleargrads()
        F.sum(link(x) ** 2).backward()
        optimizer.update()

    def test_weights_gradients_and_states_lie_alike(self, gpu, name, link):
        optimizer = chainer.optimizers.Adam().setup(link)
        expected = link.W.array.get()
        assert is_channels_last(link.W.array) and (expected == make_link(links, name).W.array).all()
        self.train(gpu, link, optimizer)
        place = link.W.array.data.ptr
        self.train(gpu, link, optimizer)
        state = link.W.update_rule.state
        for array in link.W.array, link.W.grad, state['m'], state['v']:
            assert is_channels_last(array)
        assert link.W.array.data.ptr == place

    def test_copies_lie_alike(self, gpu, name, link):
        for mode in 'copy', 'share', 'init':
            assert is_channels_last(link.copy(mode).W.array)
        copied = link.copy('copy')
        copied.W.array *= 2
        assert not (copied.W.array == link.W.array).any()
        link.copyparams(copied)
        assert (copied.W.array == link.W.array).all() and is_channels_last(link.W.array)

    def test_files_are_chainers(self, gpu, name, link):
        file = io.BytesIO()
        serializers.save_npz(file, link)
        file.seek(0)
        theirs = make_link(chainer.links, name)
        theirs.W.array[...] = 0
        serializers.load_npz(file, theirs)
        assert (theirs.W.array == link.W.array.get()).all()
        back = make_link(links, name)
        back.to_device(gpu)
        back.W.array[...] = 0
        place = back.W.array.data.ptr
        file.seek(0)
        serializers.load_npz(file, back)
        assert (back.W.array == link.W.array).all() and is_channels_last(back.W.array) and back.W.array.data.ptr == place

    def test_weights_that_come_with_the_first_input(self, gpu, name):
        link = getattr(links, name)(None, 6, 4, 2, 1)
        link.to_device(gpu)
        link(gpu.xp.ones((2, 4, 8, 8), 'f'))
        assert is_channels_last(link.W.array)


PASSES = {
    ('convolution_2d', 'columns'): (['add_bias', 'cuBLAS', 'im2col'],
                                    ['bias_gradient', 'col2im', 'cuBLAS', 'cuBLAS', 'im2col']),
    ('deconvolution_2d', 'columns'): (['col2im', 'cuBLAS'], ['bias_gradient', 'cuBLAS', 'cuBLAS', 'im2col']),
    ('convolution_2d', 'front_end'): (['fprop'], ['bias_gradient', 'dgrad', 'wgrad']),
    ('deconvolution_2d', 'front_end'): (['add_bias', 'dgrad'], ['bias_gradient', 'fprop', 'wgrad']),
}


@pytest.mark.skipif(not EMULATED, reason='launches are counted on the emulated device')
@each_function
def test_few_launches_and_no_waits(gpu, way, name):
    import cupy_on_cpu
    inputs, options = arrays(name, GEOMETRIES['dcgan'])
    x, W, b, gy = (channels_last(gpu.send(a)) for a in inputs)
    executed = sys.modules['cudnn'].EXECUTED if way == 'front_end' else []
    unwanted = ['copies in', 'copies out', 'copies within', 'waits']
    if way == 'front_end' and int(os.environ.get('CUPY_ON_CPU_LAZY', 0)):     # the stand-in itself must wait
        unwanted.remove('waits')

    def launches(action):
        """Return the sorted names of the kernels and plans that an action launches."""
        launched, counts = cupy_on_cpu.launched(), cupy_on_cpu.counts()
        executed.clear()
        action()
        names = [full.split()[0] for full in (cupy_on_cpu.launched() - launched).elements()]
        assert [cupy_on_cpu.counts()[what] for what in unwanted] == [counts[what] for what in unwanted]
        return sorted(names + executed)

    on_gpu(gpu, name, inputs, options)      # warm-up: loads libraries and compiles kernels
    variables = [chainer.Variable(a) for a in (x, W, b)]
    outputs = []
    forward = launches(lambda: outputs.append(getattr(functions, name)(*variables, **options)))
    outputs[0].grad = gy
    assert (forward, launches(outputs[0].backward)) == PASSES[name, way]


@pytest.mark.skipif(not EMULATED, reason='the stand-in shows what it was asked for')
class TestPlans:
    """Tests of the plans that cuDNN is asked for."""

    def test_a_plan_is_built_once_for_each_shape_and_setting(self, gpu, front_end):
        front_end.BUILT.clear()
        inputs, options = arrays('convolution_2d', GEOMETRIES['dcgan'])
        for _ in range(3):
            on_gpu(gpu, 'convolution_2d', inputs, options)
        assert front_end.BUILT == [(direction, {'NONDETERMINISTIC'}) for direction in ('fprop', 'dgrad', 'wgrad')]
        with chainer.using_config('cudnn_deterministic', False), chainer.using_config('tf32', False):
            on_gpu(gpu, 'convolution_2d', inputs, options)
        assert front_end.BUILT[3:] == [(direction, {'TENSOR_CORE', 'DOWN_CONVERT_INPUTS'})
                                       for direction in ('fprop', 'dgrad', 'wgrad')]

    @each_function
    @pytest.mark.parametrize('refused', ['fprop', 'dgrad', 'wgrad'])
    def test_columns_stand_in_for_a_plan_that_there_is_not(self, gpu, front_end, monkeypatch, name, refused):
        monkeypatch.setattr(front_end, 'REFUSED', {refused})
        front_end.EXECUTED.clear()
        inputs, options = arrays(name, GEOMETRIES['image'])
        with chainer.using_config('tf32', False):
            ours = on_gpu(gpu, name, inputs, options)
        for a, b in zip(ours, exact(name, inputs, options)):
            assert error(a, b) < TOLERANCE
        assert refused not in front_end.EXECUTED and front_end.EXECUTED

    def test_columns_stand_in_for_memory_that_cudnn_does_not_take(self, gpu, front_end):
        front_end.EXECUTED.clear()
        inputs, options = arrays('convolution_2d', GEOMETRIES['grey'])
        x, W, b, _ = (channels_last(gpu.send(a)) for a in inputs)
        x = channels_last(gpu.xp.concatenate([x[:1], x]))
        y = functions.convolution_2d(x[1:], W, b, **options)    # begins at 4 * 11 * 17 bytes
        assert x[1:].data.ptr % 16 and not front_end.EXECUTED
        assert error(y.array, exact('convolution_2d', inputs, options)[0]) < 1e-3

    @pytest.mark.parametrize('function', ['backend_version', 'create_handle'])
    def test_a_library_that_does_not_load_or_work_is_told(self, gpu, front_end, monkeypatch, function):
        def fail():
            raise RuntimeError('libcudnn.so.9: no such file')
        monkeypatch.setattr(front_end, function, fail)
        with pytest.warns(UserWarning, match='libcudnn.so.9'):
            assert not cudnn.Convolution.serves(gpu.xp.ones((1, 1, 1, 1), 'f'))
