"""Affine maps with an activation between them as one node of the graph."""
import chainer.functions as F
from chainer import backend
from chainer.utils import type_check

from lsgan.functions.fused import Fused

LEAK = 0.2   # slope of leaky ReLU for negative inputs; Chainer's and DCGAN's


def _leaky_slope(y):
    slope = (y > 0) * y.dtype.type(1 - LEAK)
    slope += y.dtype.type(LEAK)
    return slope


def _sigmoid(xp, y):
    y *= y.dtype.type(0.5)      # as tanh, which does not overflow
    xp.tanh(y, out=y)
    y *= y.dtype.type(0.5)
    y += y.dtype.type(0.5)


# name: (in place on y, its derivative from its output y, Chainer's own)
ACTIVATIONS = {
    'relu': (lambda xp, y: xp.maximum(y, 0, out=y), lambda y: y > 0, F.relu),
    'leaky_relu': (lambda xp, y: xp.maximum(y, y.dtype.type(LEAK) * y, out=y), _leaky_slope,
                   lambda h: F.leaky_relu(h, LEAK)),
    'tanh': (lambda xp, y: xp.tanh(y, out=y), lambda y: 1 - y * y, F.tanh),
    'sigmoid': (_sigmoid, lambda y: y * (1 - y), F.sigmoid),
}


class _Perceptron(Fused):

    def __init__(self, activation):
        self.activate, self.derivative, self.stock = ACTIVATIONS[activation]

    def check_type_forward(self, in_types):
        x = in_types[0]
        type_check.expect(in_types.size() % 2 == 1, x.dtype.kind == 'f', x.ndim == 2)
        units = x.shape[1]
        for W, b in zip(in_types[1::2], in_types[2::2]):
            type_check.expect(W.dtype == x.dtype, W.ndim == 2, b.dtype == x.dtype, b.ndim == 1)
            type_check.expect(W.shape[1] == units, b.shape[0] == W.shape[0])
            units = W.shape[0]

    def forward(self, inputs):
        self.retain_inputs(tuple(range(len(inputs))))
        xp = backend.get_array_module(*inputs)
        self.layer_inputs = []
        h = inputs[0]
        for W, b in zip(inputs[1::2], inputs[2::2]):
            if self.layer_inputs:
                self.activate(xp, h)
            self.layer_inputs.append(h)
            h = h.dot(W.T)
            h += b
        return h,

    def backward_arrays(self, indexes, inputs, gy):
        gradients = {}
        lowest = min(indexes)
        for layer in reversed(range(len(self.layer_inputs))):
            x, W, b = self.layer_inputs[layer], 2 * layer + 1, 2 * layer + 2
            if W in indexes:
                gradients[W] = gy.T.dot(x)
            if b in indexes:
                gradients[b] = gy.sum(axis=0)
            if lowest >= W:
                break
            gy = gy.dot(inputs[W])
            if layer:
                gy *= self.derivative(x)
        gradients[0] = gy
        return [gradients[i] for i in indexes]

    def reference(self, h, *parameters):
        for i in range(0, len(parameters), 2):
            h = F.linear(self.stock(h) if i else h, parameters[i], parameters[i + 1])
        return h


def perceptron(x, parameters, activation='relu'):
    """Fully connected layers, the activation between each two of them and none after the last, in one node.

    Args:
        x: floats of shape (B, n_0).
        parameters: of each layer the weights of shape (n_i, n_{i-1}) and the biases of shape (n_i,), in one flat sequence.
        activation (str): relu, leaky_relu (slope 0.2), tanh or sigmoid.

    Returns:
        chainer.Variable: of shape (B, n_last).
    """
    return _Perceptron(activation).apply((x, *parameters))[0]
