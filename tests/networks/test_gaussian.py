import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest

from lsgan.networks.gaussian import Perceptron
from lsgan.training.flags import INITIALIZERS

SIZES = 3, 5, 4, 2
every_activation = pytest.mark.parametrize('activation', ['relu', 'leaky_relu', 'tanh'])


@pytest.fixture
def net():
    """A `ChainList` of Chainer's own links, with random biases."""
    net = chainer.ChainList(*(L.Linear(n, m) for n, m in zip(SIZES, SIZES[1:])))
    for layer in net:
        layer.b.array[...] = numpy.random.default_rng(0).standard_normal(layer.b.shape)
    return net


@pytest.fixture
def stock_output(stock_perceptron):
    return lambda net, x, activation: stock_perceptron(x, [p for layer in net for p in (layer.W, layer.b)], activation).array


@pytest.fixture
def x():
    numpy.random.seed(0)    # seeds the initial weights
    return numpy.random.default_rng(1).standard_normal((7, 3), dtype=numpy.float32)


@every_activation
def test_loads_weights_of_stock_chainlist(transfer, net, stock_output, x, activation):
    ours = Perceptron(SIZES, activation)
    transfer(net, ours)
    y = ours(x)
    assert isinstance(y, chainer.Variable)
    assert y.dtype == numpy.float32
    numpy.testing.assert_allclose(y.array, stock_output(net, x, activation), rtol=1e-5, atol=1e-6)


@every_activation
def test_weights_load_into_stock_chainlist(transfer, net, stock_output, x, activation):
    ours = Perceptron(SIZES, activation)
    transfer(ours, net)
    numpy.testing.assert_allclose(stock_output(net, x, activation), ours(x).array, rtol=1e-5, atol=1e-6)


def test_parameters_are_named_as_in_stock_chainlist(net):
    shapes = {name: p.shape for name, p in Perceptron(SIZES, 'relu').namedparams()}
    assert shapes == {name: p.shape for name, p in net.namedparams()}
    assert shapes == {'/0/W': (5, 3), '/0/b': (5,), '/1/W': (4, 5), '/1/b': (4,), '/2/W': (2, 4), '/2/b': (2,)}


def test_output_has_no_activation(x):
    net = Perceptron((3, 1), 'tanh')
    numpy.testing.assert_allclose(net(100 * x).array, 100 * net(x).array, rtol=1e-4)
    assert abs(net(100 * x).array).max() > 1


def test_gradients_reach_parameters_and_input(x):
    net, x = Perceptron(SIZES, 'tanh'), chainer.Variable(x)
    net.cleargrads()
    F.sum(net(x)).backward()
    assert all(abs(p.grad).max() > 0 for p in (*net.params(), x))


@pytest.mark.parametrize('name, scale, std', [
    ('he', 1, (2 / 300) ** 0.5), ('he', 2, 2 * (2 / 300) ** 0.5), ('normal', 0.02, 0.02)])
def test_spread_of_initial_weights(name, scale, std):
    numpy.random.seed(0)
    net = Perceptron((300, 200, 1), 'relu', INITIALIZERS[name](scale))
    numpy.testing.assert_allclose(net[0].W.array.std(), std, rtol=0.02)
    assert abs(net[0].W.array.mean()) < 0.03 * std
    assert not any(layer.b.array.any() for layer in net)


def test_random_biases_only_in_first_layer():
    numpy.random.seed(0)
    first, *others = Perceptron((3, 2000, 20, 1), 'relu', initial_bias=chainer.initializers.Normal(0.5))
    numpy.testing.assert_allclose(first.b.array.std(), 0.5, rtol=0.05)
    assert not any(layer.b.array.any() for layer in others)


def test_orthogonal_initial_weights():
    numpy.random.seed(0)
    W = Perceptron((20, 10), 'relu', INITIALIZERS['orthogonal'](3))[0].W.array
    numpy.testing.assert_allclose(W @ W.T, 9 * numpy.eye(10), atol=1e-4)
