import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest

from lsgan import links


def x_of(*shape):
    return numpy.random.default_rng(0).standard_normal(shape).astype(numpy.float32)


EACH = {
    'convolution': (lambda module: module.Convolution2D(16, 20, 4, 2, 1, initialW=0.1), (2, 16, 8, 6)),
    'convolution without bias': (lambda module: module.Convolution2D(3, 5, 3, nobias=True, initialW=0.1), (2, 3, 8, 6)),
    'convolution sized later': (lambda module: module.Convolution2D(None, 5, 3, pad=(1, 2), initialW=0.1), (2, 3, 8, 6)),
    'convolution in groups': (lambda module: module.Convolution2D(4, 6, 3, groups=2, initialW=0.1), (2, 4, 8, 6)),
    'dilated convolution': (lambda module: module.Convolution2D(4, 6, 3, dilate=2, initialW=0.1), (2, 4, 8, 6)),
    'deconvolution': (lambda module: module.Deconvolution2D(16, 20, 4, 2, 1, initialW=0.1), (2, 16, 4, 3)),
    'deconvolution to a size': (lambda module: module.Deconvolution2D(3, 5, 3, 2, 1, False, (8, 6), 0.1), (2, 3, 4, 3)),
    'deconvolution sized later': (lambda module: module.Deconvolution2D(None, 5, 3, nobias=True, initialW=0.1), (2, 3, 4, 3)),
    'deconvolution in groups': (lambda module: module.Deconvolution2D(4, 6, 3, groups=2, initialW=0.1), (2, 4, 4, 3)),
    'dilated deconvolution': (lambda module: module.Deconvolution2D(4, 6, 3, dilate=2, initialW=0.1), (2, 4, 4, 3)),
    'normalisation': (lambda module: module.BatchNormalization(4, decay=0.5, eps=1e-3), (5, 4, 3, 2)),
    'normalisation of vectors': (lambda module: module.BatchNormalization(4), (5, 4)),
    'normalisation without parameters': (lambda module: module.BatchNormalization(4, use_gamma=False, use_beta=False), (5, 4)),
}
ACTIVATIONS = {'relu': F.relu, 'leaky_relu': lambda h: F.leaky_relu(h, 0.2), 'tanh': F.tanh, 'sigmoid': F.sigmoid}
each = pytest.mark.parametrize('make, shape', EACH.values(), ids=EACH)


def trained(link, x):
    """Return the output and the gradients of the parameters in training, and the output in test mode."""
    y = link(x)
    F.sum(y ** 2).backward()
    gradients = [p.grad for p in link.params()]
    with chainer.using_config('train', False):
        return [y.array, *gradients, link(x).array]


@each
def test_links_equal_chainer(make, shape):
    ours, theirs = make(links), make(L)
    for a, b in zip(trained(ours, x_of(*shape)), trained(theirs, x_of(*shape))):
        numpy.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@each
def test_files_equal_chainer(make, shape, transfer):
    ours, theirs, back = make(links), make(L), make(links)
    ours(x_of(*shape))
    for link in theirs, back:
        link(2 * x_of(*shape))
    for p in ours.params():
        p.array[...] = numpy.random.default_rng(1).standard_normal(p.shape)
    transfer(ours, theirs)
    transfer(theirs, back)
    with chainer.using_config('train', False):
        expected = ours(x_of(*shape)).array
        numpy.testing.assert_allclose(theirs(x_of(*shape)).array, expected, rtol=1e-4, atol=1e-4)
        numpy.testing.assert_array_equal(back(x_of(*shape)).array, expected)


@pytest.mark.parametrize('activation, function', [('relu', F.relu), ('leaky_relu', F.leaky_relu)])
def test_normalisation_applies_activation(activation, function):
    ours, theirs = links.BatchNormalization(4, activation), L.BatchNormalization(4)
    x = x_of(5, 4, 3, 2)
    numpy.testing.assert_allclose(ours(x).array, function(theirs(x)).array, rtol=1e-5, atol=1e-6)
    with chainer.using_config('train', False):
        numpy.testing.assert_allclose(ours(x).array, function(theirs(x)).array, rtol=1e-5, atol=1e-6)
    assert ours(x).array.min() < 0 or activation == 'relu'


def test_recomputing_keeps_statistics():
    link = links.BatchNormalization(4)
    F.forget(link, x_of(5, 4))
    before = link.avg_mean.copy()
    y = F.forget(link, chainer.Variable(x_of(5, 4)))
    after = link.avg_mean.copy()
    F.sum(y).backward()
    numpy.testing.assert_array_equal(link.avg_mean, after)
    assert (before != after).any()


@pytest.mark.parametrize('make', [links.Activation, lambda name: links.BatchNormalization(4, name)])
def test_unknown_activation_is_refused(make):
    with pytest.raises(KeyError, match='elu'):
        make('elu')


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_activations_equal_chainer(name):
    x = x_of(9, 4, 3, 2)
    numpy.testing.assert_allclose(links.Activation(name)(x).array, ACTIVATIONS[name](x).array, rtol=1e-6)
    after = ACTIVATIONS[name](L.BatchNormalization(4)(x)).array
    numpy.testing.assert_allclose(links.BatchNormalization(4, name)(x).array, after, rtol=1e-4, atol=1e-5)
