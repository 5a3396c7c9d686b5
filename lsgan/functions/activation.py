"""Activation functions that keep the memory layout of images. CPU: NumPy; GPU: CUDA kernels."""
import chainer
import numpy
from chainer.backends import cuda
from chainer.types import NdArray
from chainer.utils import type_check

from lsgan.functions.fused import Fused, on_cpu, on_gpu
from lsgan.functions.gpu import activation as gpu
from lsgan.functions.gpu.layout import laid_out_as, reshaped
from lsgan.functions.normalization import SLOPES
from lsgan.functions.perceptron import ACTIVATIONS


class _Activation(Fused):

    def __init__(self, name, shape):
        self.name, self.shape = name, shape
        self.activate, self.derivative, self.stock = ACTIVATIONS[name]

    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 1, in_types[0].dtype.kind == 'f')

    def serves(self, inputs):
        return on_cpu(inputs) or on_gpu(inputs)

    def forward(self, inputs):
        self.retain_inputs((0,))
        x, = inputs
        if on_gpu(inputs):
            self.y, self.moved = reshaped(x, self.shape)
            gpu.forward(x, self.name, self.y, *self.moved)
            return self.y,
        self.y = x.copy(order='K')
        self.activate(numpy, self.y)
        return self.y if self.shape is None else self.y.reshape(-1, *self.shape),

    def backward_arrays(self, indexes, inputs, gy):
        if on_gpu(inputs):
            gx = cuda.cupy.empty_like(inputs[0])
            return [gpu.gradient(self.y, laid_out_as(gy, self.y), self.name, gx, *self.moved)]
        return [gy.reshape(self.y.shape) * self.derivative(self.y)]

    def backward(self, indexes, grad_outputs):
        if chainer.config.enable_backprop and self.name in SLOPES:      # the derivative is piecewise constant
            shape = self.inputs[0].shape
            return grad_outputs[0].reshape(shape) * self.derivative(self.y).reshape(shape).astype(self.y.dtype, copy=False),
        return super().backward(indexes, grad_outputs)

    def reference(self, x):
        y = self.stock(x)
        return y if self.shape is None else y.reshape(-1, *self.shape)


def activation(x: NdArray | chainer.Variable, name: str, shape: tuple[int, ...] | None = None) -> chainer.Variable:
    """Apply an activation function to each element.

    Args:
        x: floats of any shape, with the batch first.
        name: relu, leaky_relu (slope 0.2), tanh or sigmoid.
        shape: shape of each example in the result, (units,) or (C, H, W), or None for the shape that it has in x. Reshaping
            here saves the GPU a copy from one memory layout to another.

    Returns:
        The result, of the same shape as x, or (B, *shape).

    Raises:
        KeyError: if there is no activation of that name.
    """
    return _Activation(name, shape).apply((x,))[0]
