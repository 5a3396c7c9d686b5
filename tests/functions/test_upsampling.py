import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import gradient_check
from chainer.utils.type_check import InvalidType

from lsgan.functions import depth_to_space, repeat

STOCK = {depth_to_space: lambda x: F.depth2space(x, 2), repeat: lambda x: F.repeat(F.repeat(x, 2, axis=2), 2, axis=3)}
CROPS = (0, 0), (1, 0), (0, 1), (1, 1), (3, 2)
each = pytest.mark.parametrize('function', STOCK)
every_crop = pytest.mark.parametrize('crop', CROPS)


def stock(function, x, crop):
    y = STOCK[function](x)
    return y[:, :, crop[0]:y.shape[2] - crop[0], crop[1]:y.shape[3] - crop[1]]


def images(*shape, dtype='d', seed=0):
    return numpy.random.RandomState(seed).standard_normal(shape).astype(dtype)


def differentiated(function, x, crop):
    """Return the output, and the gradient of a sum in which every element has a different weight."""
    x = chainer.Variable(x)
    y = function(x, crop)
    y.grad = images(*y.shape, dtype=y.dtype, seed=1)
    y.backward()
    return y.array, x.grad


@each
@every_crop
@pytest.mark.parametrize('dtype', 'efd')
@pytest.mark.parametrize('shape', [(2, 8, 5, 4), (90, 4, 7, 9)])
def test_equals_chainer_exactly(function, crop, dtype, shape):
    x = images(*shape, dtype=dtype)
    theirs = differentiated(lambda x, crop: stock(function, x, crop), x, crop)
    for a, b in zip(differentiated(function, x, crop), theirs):
        assert a.dtype == dtype
        numpy.testing.assert_array_equal(a, b)


@each
@pytest.mark.parametrize('last', [False, True])
def test_result_has_channels_last_in_memory(function, last):
    x = images(3, 8, 4, 5, dtype='f')
    laid_out = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if last else x
    for a, b in zip(differentiated(function, laid_out, (1, 0)), differentiated(function, x, (1, 0))):
        assert a.transpose(0, 2, 3, 1).flags.c_contiguous
        numpy.testing.assert_array_equal(a, b)


@each
@every_crop
def test_double_backprop(function, crop):
    x = images(2, 4, 4, 5)
    gy = images(*function(x, crop).shape, seed=1)
    gradient_check.check_double_backward(lambda x: function(x, crop) ** 2, x, gy, images(*x.shape, seed=2), dtype='d')


def test_wrong_channels_and_crops_are_refused():
    with pytest.raises(InvalidType):
        depth_to_space(images(2, 6, 3, 3))
    for function in STOCK:
        for crop in (3, 0), (0, 3):
            with pytest.raises(InvalidType):
                function(images(2, 4, 3, 3), crop)
