"""Convolutions on the GPU against Chainer's own on the CPU: `pytest -m gpu`. Skipped, with the reason, where no GPU works."""
import chainer
import chainer.functions as F
import numpy
import pytest

from lsgan import functions
from lsgan.training.devices import select_device

pytestmark = pytest.mark.gpu

# name: batch, channels of the small and of the big image, kernel, stride, padding, small image, rows and columns left over
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


@pytest.fixture(scope='module', autouse=True)
def gpu():
    """The GPU, made current; no test runs where there is none."""
    device, why = select_device('auto')
    if device.xp is numpy:
        pytest.skip(why)
    return device


def arrays(name, geometry, dtype=numpy.float64):
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


def results(function, inputs, options):
    """Return the output and the gradients of x, W and b, for arrays x, W, b and the gradient of the output."""
    variables = [chainer.Variable(a) for a in inputs[:-1]]
    y = function(*variables, **options)
    y.grad = inputs[-1]
    y.backward()
    return [y.array] + [v.grad for v in variables]


def channels_last(a):
    """Return the array with its channels last in memory, behind the same shape."""
    return a if a.ndim != 4 else chainer.backend.get_array_module(a).ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@each_function
@each_geometry
@pytest.mark.parametrize('layout', [lambda a: a, channels_last], ids=['rows', 'channels last'])
def test_output_and_gradients_are_chainers(gpu, name, geometry, layout):
    inputs, options = arrays(name, geometry)
    ours = results(getattr(functions, name), [layout(gpu.send(a)) for a in inputs], options)
    for a, b in zip(ours, results(getattr(F, name), inputs, options)):
        assert a.dtype == numpy.float64 and isinstance(a, gpu.xp.ndarray)
        numpy.testing.assert_allclose(a.get(), b, rtol=1e-12, atol=1e-12)
