import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import gradient_check
from chainer.utils.type_check import InvalidType

from lsgan.functions import half_squared_error, mean_softplus


def stock_half_squared_error(outputs, targets):
    return sum(0.5 * F.mean((y - t) ** 2) for y, t in zip(outputs, targets))


def stock_mean_softplus(outputs, signs):
    return sum(F.mean(F.softplus(s * y)) for y, s in zip(outputs, signs))


each = pytest.mark.parametrize('function, stock, constants', [
    (half_squared_error, stock_half_squared_error, (-0.5, 2.0)),
    (half_squared_error, stock_half_squared_error, (1.5,)),
    (mean_softplus, stock_mean_softplus, (-1, 1)),
    (mean_softplus, stock_mean_softplus, (1,)),
])


def arrays(n, dtype=numpy.float64):
    rng = numpy.random.default_rng(0)
    return [(3 * rng.standard_normal(shape)).astype(dtype) for shape in [(5, 1), (3, 2, 2)][:n]]


def test_half_squared_error_of_known_numbers():
    y = half_squared_error((numpy.float32([1, 3]), numpy.float32([[0], [1], [2]])), (1, -1))
    assert y.array == numpy.float32(0.5 * (0 + 4) / 2 + 0.5 * (1 + 4 + 9) / 3)


def test_mean_softplus_of_known_numbers():
    y = mean_softplus((numpy.float32([0, 1]), numpy.float32([[2]])), (-1, 1))
    expected = (numpy.log(2) + numpy.log(1 + numpy.exp(-1))) / 2 + numpy.log(1 + numpy.exp(2))
    numpy.testing.assert_allclose(y.array, expected, rtol=1e-6)


@each
def test_equals_chainer(function, stock, constants):
    results = []
    for f in (function, stock):
        variables = [chainer.Variable(a) for a in arrays(len(constants), numpy.float32)]
        y = f(variables, constants)
        y.backward()
        results.append([y.array] + [v.grad for v in variables])
    for ours, theirs in zip(*results):
        assert ours.shape == theirs.shape
        assert ours.dtype == numpy.float32
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@each
def test_numerical_gradients(function, stock, constants):
    inputs = arrays(len(constants))
    variables = [chainer.Variable(a) for a in inputs]
    y = function(variables, constants)
    y.grad = numpy.array(-1.7)
    y.backward()
    numerical = gradient_check.numerical_grad(lambda: (function(inputs, constants).array,), inputs, (-1.7,), eps=1e-5)
    for v, expected in zip(variables, numerical):
        numpy.testing.assert_allclose(v.grad, expected, rtol=1e-6, atol=1e-8)


@each
def test_double_backprop(function, stock, constants):
    numpy.random.seed(0)    # the check draws a random direction
    inputs = arrays(len(constants))
    ggs = [numpy.random.default_rng(1).standard_normal(a.shape) for a in inputs]
    gradient_check.check_double_backward(
        lambda *outputs: function(outputs, constants), inputs, numpy.array(0.7), ggs, eps=1e-4, rtol=1e-5, atol=1e-7)


@each
def test_inputs_are_not_changed(function, stock, constants):
    inputs = arrays(len(constants))
    before = [a.copy() for a in inputs]
    function([chainer.Variable(a) for a in inputs], constants).backward()
    for a, b in zip(inputs, before):
        numpy.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('double', [False, True])
@pytest.mark.parametrize('second', [lambda y: y, F.tanh], ids=['given twice', 'computed from the other'])
@pytest.mark.parametrize('function, stock, constants', [
    (half_squared_error, stock_half_squared_error, (-0.5, 2.0)), (mean_softplus, stock_mean_softplus, (-1, 1))])
def test_gradients_of_dependent_inputs_add_up(function, stock, constants, second, double):
    gradients = []
    for f in (function, stock):
        y = chainer.Variable(arrays(1)[0])
        gradients.append(chainer.grad([f((y, second(y)), constants)], [y], enable_double_backprop=double)[0].array)
    numpy.testing.assert_allclose(*gradients, rtol=1e-10)


@pytest.mark.parametrize('function', [half_squared_error, mean_softplus])
def test_unneeded_gradients_are_not_computed(function):
    real, fake = arrays(2)
    fake = chainer.Variable(fake)
    function((real, fake), (1, -1)).backward()
    alone = chainer.Variable(fake.array)
    function((alone,), (-1,)).backward()
    numpy.testing.assert_allclose(fake.grad, alone.grad, rtol=1e-12)
    assert not function((real, fake.array), (1, -1)).requires_grad


@pytest.mark.parametrize('function', [half_squared_error, mean_softplus])
@pytest.mark.parametrize('outputs', [
    (numpy.array([1, 2, 4]),),
    (numpy.array([1.0, 2.0]), numpy.array([1.0, 2.0], numpy.float32)),
], ids=['integers', 'two types'])
def test_wrong_types_are_refused(function, outputs):
    with pytest.raises(InvalidType):
        function(outputs, (1,) * len(outputs))


@pytest.mark.parametrize('function', [half_squared_error, mean_softplus])
@pytest.mark.parametrize('constants', [(1,), (1, 1, 1)])
def test_wrong_number_of_constants_is_refused(function, constants):
    with pytest.raises((InvalidType, ValueError, TypeError)):
        function(arrays(2), constants)
