"""Fully connected layers with activations as one node of the graph. CPU: NumPy; GPU: cuBLAS and CUDA kernels."""
import math
from collections.abc import Sequence

import chainer
import chainer.functions as F
import numpy
from chainer.types import NdArray
from chainer.utils import type_check

from lsgan.functions.cpu.jit import exact_kernel
from lsgan.functions.fused import Fused, on_cpu, on_gpu
from lsgan.functions.gpu import activation as gpu
from lsgan.functions.gpu.blas import product

LEAK = 0.2   # slope of leaky ReLU for negative inputs, as in Chainer and DCGAN


def _leaky_slope(y):
    slope = (y > 0) * y.dtype.type(1 - LEAK)
    slope += y.dtype.type(LEAK)
    return slope


def _sigmoid(xp, y):
    y *= y.dtype.type(0.5)      # computed by tanh, which does not overflow
    xp.tanh(y, out=y)
    y *= y.dtype.type(0.5)
    y += y.dtype.type(0.5)


# name: (activation of y in place, derivative from the output y, Chainer's own function)
ACTIVATIONS = {
    'relu': (lambda xp, y: xp.maximum(y, 0, out=y), lambda y: y > 0, F.relu),
    'leaky_relu': (lambda xp, y: xp.maximum(y, y.dtype.type(LEAK) * y, out=y), _leaky_slope,
                   lambda h: F.leaky_relu(h, LEAK)),
    'tanh': (lambda xp, y: xp.tanh(y, out=y), lambda y: 1 - y * y, F.tanh),
    'sigmoid': (_sigmoid, lambda y: y * (1 - y), F.sigmoid),
}


# Slopes for negative inputs of the activations that the CPU kernels compute, with the same bits as NumPy
_SLOPES = {'relu': 0.0, 'leaky_relu': LEAK}


@exact_kernel
def _activate(h, b, slope):
    """Add the biases b to the rows of h and apply the activation, in place."""
    zero = slope * 0
    for r in range(h.shape[0]):
        row = h[r]
        for c in range(b.size):
            v = row[c] + b[c]
            low = slope * v if slope > zero else zero
            row[c] = low if v <= zero else v        # NaN stays NaN


@exact_kernel
def _differentiate(g, y, slope, sums):
    """Replace the gradient g after the activation by that before it, and fill sums with the sum of its rows."""
    zero = slope * 0
    one = zero + 1
    for c in range(sums.size):
        sums[c] = zero
    for r in range(g.shape[0]):
        grow, row = g[r], y[r]
        for c in range(sums.size):
            grow[c] *= one if row[c] > zero else slope
            sums[c] += grow[c]


def _rows(x):
    """Return an array (B, ...) as a matrix (B, n). B may be 0."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


class _Perceptron(Fused):

    def __init__(self, activation, last, shape):
        self.activation, self.last, self.shape = activation, last, shape

    def check_type_forward(self, in_types):
        x = in_types[0]
        type_check.expect(in_types.size() % 2 == 1, x.dtype.kind == 'f', x.ndim >= 2)
        units = type_check.prod(x.shape[1:])
        for W, b in zip(in_types[1::2], in_types[2::2]):
            type_check.expect(W.dtype == x.dtype, W.ndim == 2, b.dtype == x.dtype, b.ndim == 1)
            type_check.expect(W.shape[1] == units, b.shape[0] == W.shape[0])
            units = W.shape[0]

    def serves(self, inputs):
        return type(inputs[0]) is numpy.ndarray or on_gpu(inputs)

    def forward(self, inputs):
        self.retain_inputs(tuple(range(len(inputs))))
        affine = _affine_on_gpu if on_gpu(inputs) else _affine_by_kernel if on_cpu(inputs) else _affine
        h = _rows(inputs[0])
        self.values = [h]       # the input, and then the output of each layer
        for i in range(1, len(inputs), 2):
            h = affine(h, inputs[i], inputs[i + 1], self.after(i, inputs))
            self.values.append(h)
        return h if self.shape is None else h.reshape(len(h), *self.shape),

    def after(self, i, inputs):
        """Return the name of the activation after the layer whose weights are input i, or None."""
        return self.activation if i < len(inputs) - 2 else self.last

    def backward_arrays(self, indexes, inputs, gy):
        before_bias, dot = (_before_bias_on_gpu, product) if on_gpu(inputs) else (_before_bias, numpy.dot)
        gradients, out, first, buffers = {}, None, min(indexes), self.buffers
        gy = _rows(gy)
        for i in range(len(inputs) - 2, 0, -2):
            x, y = self.values[i // 2:i // 2 + 2]
            gy, gradients[i + 1] = before_bias(gy, y, self.after(i, inputs), i + 1 in indexes, out)
            if i in indexes:
                gradients[i] = dot(gy.T, x, out=buffers[i]) if i in buffers else dot(gy.T, x)
            if i <= first:
                break
            gy = out = dot(gy, inputs[i])
        if 0 in indexes:
            gradients[0] = gy.reshape(inputs[0].shape)
        return [gradients[i] for i in indexes]

    def backward(self, indexes, grad_outputs):
        names = [self.after(i, self.inputs) for i in range(1, len(self.inputs), 2)]
        # A gradient penalty differentiates the gradient with respect to the input only.
        if chainer.config.enable_backprop and tuple(indexes) == (0,) and {*names} <= {None, *_SLOPES}:
            slopes = [name and ACTIVATIONS[name][1](y).astype(y.dtype, copy=False) for name, y in zip(names, self.values[1:])]
            return _InputGradient(slopes, self.inputs[0].shape).apply((*grad_outputs, *self.get_retained_inputs()[1::2]))
        return super().backward(indexes, grad_outputs)

    def reference(self, h, *parameters):
        for i in range(0, len(parameters), 2):
            h = F.linear(h, parameters[i], parameters[i + 1])
            name = self.after(i + 1, (None, *parameters))
            h = h if name is None else ACTIVATIONS[name][2](h)
        return h if self.shape is None else h.reshape(len(h), *self.shape)


class _InputGradient(Fused):
    """The gradient of a perceptron with respect to its input, which gradient penalties differentiate again.

    The inputs are the gradient with respect to the output, and the weights of each layer.

    Args:
        slopes (list): for each layer the derivative of its activation (B, n_i), which must be piecewise constant, or None.
        shape (tuple of int): shape of the perceptron's input.
    """

    def __init__(self, slopes, shape):
        self.slopes, self.shape = slopes, shape

    def forward(self, inputs):
        self.retain_inputs(tuple(range(len(inputs))))
        dot, g = product if on_gpu(inputs) else numpy.dot, _rows(inputs[0])
        self.values = []        # from the last layer to the first, the gradient before its activation
        for W, slope in zip(inputs[:0:-1], self.slopes[::-1]):
            self.values.append(g if slope is None else g * slope)
            g = dot(self.values[-1], W)
        return g.reshape(self.shape),

    def backward_arrays(self, indexes, inputs, gy):
        dot, g = product if on_gpu(inputs) else numpy.dot, _rows(gy)
        gradients = []
        for W, slope, value in zip(inputs[1:], self.slopes, self.values[::-1]):
            gradients.append(dot(value.T, g))
            g = dot(g, W.T)
            g = g if slope is None else g * slope
        gradients.insert(0, g.reshape(inputs[0].shape))
        return [gradients[i] for i in indexes]

    def reference(self, gy, *weights):
        g = gy.reshape(len(gy), -1)
        for W, slope in zip(weights[::-1], self.slopes[::-1]):
            g = F.matmul(g if slope is None else g * slope, W)
        return g.reshape(self.shape)


def _affine_by_kernel(x, W, b, name):
    if name not in _SLOPES:
        return _affine(x, W, b, name)
    h = x.dot(W.T)
    _activate(h, b, h.dtype.type(_SLOPES[name]))
    return h


def _affine(x, W, b, name):
    h = x.dot(W.T)
    h += b
    if name is not None:
        ACTIVATIONS[name][0](numpy, h)
    return h


def _affine_on_gpu(x, W, b, name):
    h = product(x, W.T)
    gpu.add_bias(h, b, name)
    return h


def _before_bias(gy, y, name, bias, out):
    """Return the gradients with respect to the input of an activation and to the bias.

    Args:
        gy: array (B, n), the gradient with respect to the activation's output.
        y: array (B, n), the activation's output.
        name (str): the activation, or None.
        bias (bool): whether the gradient of the bias is needed; it is None otherwise.
        out: the array gy, which the first gradient replaces, or None for a new array.
    """
    if name in _SLOPES and y.shape[1] > 1 and on_cpu((gy, y)):
        gx, sums = gy.copy() if out is None else out, numpy.empty(y.shape[1], y.dtype)
        _differentiate(gx, y, y.dtype.type(_SLOPES[name]), sums)
        return gx, sums
    if name is not None:
        gy = numpy.multiply(gy, ACTIVATIONS[name][1](y), out=out)
    return gy, gy.sum(axis=0) if bias else None


def _before_bias_on_gpu(gy, y, name, bias, out):
    if bias:
        return gpu.bias_gradient(gy, y, name)
    return gy if name is None else gpu.gradient(y, gy, name, out), None


def perceptron(x: NdArray | chainer.Variable, parameters: Sequence[NdArray | chainer.Variable], activation: str = 'relu',
               last: str | None = None, shape: tuple[int, ...] | None = None) -> chainer.Variable:
    """Apply fully connected layers with activations.

    Args:
        x: floats of shape (B, n_0) or of another shape with n_0 values in each example.
        parameters: weights (n_i, n_{i-1}) and biases (n_i,) of each layer in turn.
        activation: activation after each layer but the last: relu, leaky_relu (slope 0.2), tanh or sigmoid.
        last: activation after the last layer, or None.
        shape: shape of each example in the result, or None for (n_last,).

    Returns:
        The result, of shape (B, n_last) or (B, *shape).

    Raises:
        chainer.utils.type_check.InvalidType: if the shapes or types do not match.
        KeyError: if there is no activation of that name.
    """
    return _Perceptron(activation, last, shape).apply((x, *parameters))[0]


def linear(x: NdArray | chainer.Variable, W: NdArray | chainer.Variable, b: NdArray | chainer.Variable,
           shape: tuple[int, ...] | None = None) -> chainer.Variable:
    """Apply one fully connected layer, like `chainer.functions.linear`.

    Args:
        x: floats of shape (B, n_0) or of another shape with n_0 values in each example.
        W: weights (n_1, n_0).
        b: biases (n_1,).
        shape: shape of each example in the result, or None for (n_1,).

    Returns:
        The result, of shape (B, n_1) or (B, *shape).
    """
    return perceptron(x, (W, b), shape=shape)
