"""Means over a batch of what the losses apply to each of D's outputs, the whole loss as one node of the graph."""
import chainer.functions as F
from chainer import backend
from chainer.utils import type_check

from lsgan.functions.fused import Fused


class _SumOfMeans(Fused):
    """The sum over the inputs of the mean of some function of each element; a subclass gives the function.

    Args:
        constants (sequence of float): what distinguishes the function on each input.
    """

    def __init__(self, constants):
        self.constants = [float(c) for c in constants]

    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == len(self.constants))
        for x in in_types:
            type_check.expect(x.dtype.kind == 'f', x.dtype == in_types[0].dtype)

    def forward(self, inputs):
        self.retain_inputs(tuple(range(len(inputs))))
        xp = backend.get_array_module(*inputs)
        return xp.asarray(sum(self.value(xp, x, c).mean(dtype=x.dtype) for x, c in zip(inputs, self.constants))),

    def backward_arrays(self, indexes, inputs, gy):
        xp = backend.get_array_module(gy)
        return [self.derivative(xp, inputs[i], self.constants[i]) * (gy / inputs[i].dtype.type(inputs[i].size))
                for i in indexes]

    def reference(self, *inputs):
        return sum(F.mean(self.value_by_chainer(x, c)) for x, c in zip(inputs, self.constants))


class _HalfSquaredError(_SumOfMeans):

    def value(self, xp, x, target):
        return 0.5 * xp.square(x - target)

    def derivative(self, xp, x, target):
        return x - target

    def value_by_chainer(self, x, target):
        return 0.5 * F.square(x - target)


class _Softplus(_SumOfMeans):

    def value(self, xp, x, sign):
        return xp.logaddexp(x.dtype.type(0), sign * x)

    def derivative(self, xp, x, sign):
        # the sigmoid, as tanh, which does not overflow
        return sign * (0.5 + 0.5 * xp.tanh((0.5 * sign) * x))

    def value_by_chainer(self, x, sign):
        return F.softplus(sign * x)


def half_squared_error(outputs, targets):
    """The sum of 1/2 E[(y - t)^2] over arrays y of any shape and the number t that belongs to each; a scalar Variable."""
    return _HalfSquaredError(targets).apply(outputs)[0]


def mean_softplus(outputs, signs):
    """The sum of E[log(1 + exp(s y))] over arrays y of any shape and the sign s, 1 or -1, of each; a scalar Variable."""
    return _Softplus(signs).apply(outputs)[0]
