import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import gradient_check
from chainer.utils.type_check import InvalidType

from lsgan.functions import perceptron

every_activation = pytest.mark.parametrize('activation', ['relu', 'leaky_relu', 'tanh', 'sigmoid'])
every_depth = pytest.mark.parametrize('sizes', [(3, 2), (3, 4, 2), (3, 5, 4, 1)])


def arrays(sizes, dtype=numpy.float64, batch=6):
    """Return x, and W and b of each layer."""
    rng = numpy.random.default_rng(0)
    shapes = [(batch, sizes[0])] + [shape for n, m in zip(sizes, sizes[1:]) for shape in ((m, n), (m,))]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@every_activation
@every_depth
def test_equals_chainer(stock_perceptron, activation, sizes):
    results = []
    for function in (perceptron, stock_perceptron):
        x, *parameters = variables = [chainer.Variable(a) for a in arrays(sizes, numpy.float32)]
        y = function(x, parameters, activation)
        y.grad = numpy.random.default_rng(1).standard_normal(y.shape).astype(numpy.float32)
        y.backward()
        results.append([y.array] + [v.grad for v in variables])
    for ours, theirs in zip(*results):
        assert ours.dtype == numpy.float32
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@every_activation
@every_depth
def test_numerical_gradients(activation, sizes):
    inputs = arrays(sizes)
    x, *parameters = variables = [chainer.Variable(a) for a in inputs]
    y = perceptron(x, parameters, activation)
    gy = numpy.random.default_rng(1).standard_normal(y.shape)
    y.grad = gy
    y.backward()
    numerical = gradient_check.numerical_grad(
        lambda: (perceptron(inputs[0], inputs[1:], activation).array,), inputs, (gy,), eps=1e-6)
    for v, expected in zip(variables, numerical):
        assert v.grad.dtype == numpy.float64
        numpy.testing.assert_allclose(v.grad, expected, rtol=1e-6, atol=1e-8)


@every_activation
def test_inputs_are_not_changed(activation):
    inputs = arrays((3, 4, 4, 2))
    before = [a.copy() for a in inputs]
    variables = [chainer.Variable(a) for a in inputs]
    F.sum(perceptron(variables[0], variables[1:], activation)).backward()
    for a, b in zip(inputs, before):
        numpy.testing.assert_array_equal(a, b)


@every_activation
def test_double_backprop(activation):
    numpy.random.seed(0)    # the check draws a random direction
    inputs = arrays((3, 5, 4, 2))
    rng = numpy.random.default_rng(1)
    ggs = [rng.standard_normal(a.shape) for a in inputs]
    gradient_check.check_double_backward(
        lambda x, *parameters: perceptron(x, parameters, activation),
        inputs, rng.standard_normal((6, 2)), ggs, eps=1e-5, rtol=1e-5, atol=1e-7)


@every_activation
def test_gradient_penalty_equals_chainer(stock_perceptron, activation):
    results = []
    for function in (perceptron, stock_perceptron):
        x, *parameters = [chainer.Variable(a) for a in arrays((3, 5, 4, 1))]
        gx, = chainer.grad([F.sum(function(x, parameters, activation))], [x], enable_double_backprop=True)
        F.mean((F.sqrt(F.sum(gx * gx, axis=1)) - 1) ** 2).backward()
        results.append([gx.array, x.grad] + [p.grad for p in parameters[::2]])
    for ours, theirs in zip(*results):
        if theirs is None:
            assert ours is None
        else:
            numpy.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    assert abs(results[0][2]).max() > 0


@pytest.mark.parametrize('double', [False, True])
@pytest.mark.parametrize('net', [
    lambda f, x, W, b: f(x, [W, b, W, b], 'tanh'),
    lambda f, x, W, b: f(f(x, [W, b], 'tanh'), [W, b], 'tanh'),
    lambda f, x, W, b: f(W, [W, b], 'tanh'),
], ids=['two layers', 'two calls', 'input'])
def test_gradients_of_shared_weights_add_up(stock_perceptron, net, double):
    x, *parameters = arrays((3, 3))
    gradients = []
    for function in (perceptron, stock_perceptron):
        variables = [chainer.Variable(p) for p in parameters]
        gradients.append(chainer.grad([F.sum(net(function, x, *variables))], variables, enable_double_backprop=double))
    for ours, theirs in zip(*gradients):
        numpy.testing.assert_allclose(ours.array, theirs.array, rtol=1e-10)


@every_depth
def test_unneeded_gradients_are_not_computed(sizes):
    x, *parameters = arrays(sizes)
    for wanted in range(len(parameters) + 1):
        variables = [chainer.Variable(a, requires_grad=i == wanted) for i, a in enumerate([x, *parameters])]
        F.sum(perceptron(variables[0], variables[1:], 'tanh')).backward()
        assert [v.grad is not None for v in variables] == [i == wanted for i in range(len(variables))]
        full = [chainer.Variable(a) for a in [x, *parameters]]
        F.sum(perceptron(full[0], full[1:], 'tanh')).backward()
        numpy.testing.assert_array_equal(variables[wanted].grad, full[wanted].grad)


def test_no_gradients_without_parameters_that_require_them():
    x, *parameters = arrays((3, 4, 2))
    assert not perceptron(x, parameters, 'tanh').requires_grad
    with chainer.no_backprop_mode():
        assert perceptron(x, [chainer.Parameter(p) for p in parameters], 'tanh').creator is None


def test_default_activation_is_relu():
    x, *parameters = arrays((3, 4, 2))
    numpy.testing.assert_array_equal(perceptron(x, parameters).array, perceptron(x, parameters, 'relu').array)


def test_images_are_flattened_and_made(stock_perceptron):
    x, *parameters = arrays((12, 5, 6))
    images, flat = chainer.Variable(x.reshape(-1, 3, 2, 2)), chainer.Variable(x)
    y, stock = perceptron(images, parameters, shape=(3, 1, 2)), stock_perceptron(flat, parameters, 'relu')
    assert y.shape == (6, 3, 1, 2)
    numpy.testing.assert_allclose(y.array.reshape(6, -1), stock.array)
    y.grad = numpy.random.default_rng(1).standard_normal(y.shape)
    stock.grad = y.grad.reshape(6, -1)
    y.backward()
    stock.backward()
    numpy.testing.assert_allclose(images.grad, flat.grad.reshape(images.shape))


def test_unknown_activation_is_refused():
    x, *parameters = arrays((3, 4, 2))
    with pytest.raises(KeyError):
        perceptron(x, parameters, 'sigmoid_of_something')


@pytest.mark.parametrize('index, wrong', [
    (0, numpy.zeros(3)), (0, numpy.zeros((6, 3, 2))), (0, numpy.zeros((6, 4))), (0, numpy.zeros((6, 3), int)),
    (0, numpy.zeros((6, 3), numpy.float32)),
    (1, numpy.zeros((4, 2))), (1, numpy.zeros(12)), (1, numpy.zeros((4, 3), numpy.float32)),
    (2, numpy.zeros(3)), (2, numpy.zeros((4, 1))), (2, numpy.zeros(4, numpy.float32)),
    (3, numpy.zeros((2, 3))), (4, numpy.zeros(1)),
])
def test_wrong_shapes_and_types_are_refused(index, wrong):
    inputs = arrays((3, 4, 2))
    inputs[index] = wrong
    with pytest.raises(InvalidType):
        perceptron(inputs[0], inputs[1:], 'tanh')


def test_weights_without_biases_are_refused():
    x, *parameters = arrays((3, 4, 2))
    with pytest.raises((InvalidType, ValueError, TypeError)):
        perceptron(x, parameters[:-1], 'tanh')
