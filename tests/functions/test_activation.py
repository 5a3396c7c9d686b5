import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import gradient_check

from lsgan.functions import activation

STOCK = {'relu': F.relu, 'leaky_relu': lambda x: F.leaky_relu(x, 0.2), 'tanh': F.tanh, 'sigmoid': F.sigmoid}
every = pytest.mark.parametrize('name', STOCK)


def images(dtype=numpy.float64, seed=0):
    """Return images (N, C, H, W) stored as (N, H, W, C), with no number near the kink of ReLU."""
    rng = numpy.random.default_rng(seed)
    return (rng.uniform(0.1, 3, (4, 5, 6, 3)) * rng.choice([-1, 1], (4, 5, 6, 3))).astype(dtype).transpose(0, 3, 1, 2)


def run(function, x, gy):
    x = chainer.Variable(x)
    y = function(x)
    y.grad = gy
    y.backward()
    return y.array, x.grad


@every
@pytest.mark.parametrize('dtype', [numpy.float32, numpy.float64])
def test_equals_chainer(name, dtype):
    x, gy = images(dtype), images(dtype, 2)
    before = x.copy()
    ours, theirs = (run(f, x, gy) for f in (lambda x: activation(x, name), STOCK[name]))
    for a, b in zip(ours, theirs):
        assert a.dtype == dtype and a.shape == x.shape
        numpy.testing.assert_allclose(a, b, rtol=1e-6)
    numpy.testing.assert_array_equal(x, before)


@every
def test_half_precision_equals_chainer(name):
    x, gy = images(numpy.float16), images(numpy.float16, 2)
    for a, b in zip(run(lambda x: activation(x, name), x, gy), run(STOCK[name], x, gy)):
        assert a.dtype == numpy.float16
        numpy.testing.assert_array_equal(a, b)


@every
def test_memory_layout_of_images_is_kept(name):
    for array in run(lambda x: activation(x, name), images(numpy.float32), images(numpy.float32, 2)):
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous


@every
def test_numerical_gradients(name):
    x, gy = images(), images(seed=2)
    expected, = gradient_check.numerical_grad(lambda: (activation(x, name).array,), [x], (gy,), eps=1e-6)
    numpy.testing.assert_allclose(run(lambda x: activation(x, name), x, gy)[1], expected, rtol=1e-6, atol=1e-8)


@every
def test_double_backprop(name):
    x, gy, ggx = images(), images(seed=2), images(seed=3)
    gradient_check.check_double_backward(lambda x: activation(x, name) ** 2, x, gy, ggx, dtype=numpy.float64)


def test_unknown_name_is_refused():
    with pytest.raises(KeyError):
        activation(images(), 'elu')
