"""The base class of the fused functions, whose backward pass works on arrays. Double backprop uses Chainer's own functions."""
from collections.abc import Sequence
from typing import Any

import chainer
import chainer.functions as F
import numpy
from chainer.backends import cuda
from chainer.types import NdArray

from lsgan.functions.cpu import jit
from lsgan.functions.gpu.layout import dense, is_dense
from lsgan.functions.replay import Replayable

# One switch for the whole package: with `chainer.using_config('fast', False)`, every function, link and optimizer uses
# Chainer's own code
chainer.global_config.fast = True


def on_cpu(arrays: Sequence[NdArray]) -> bool:
    """Return whether the CPU kernels support these arrays: NumPy arrays, all float32 or all float64, none of them empty."""
    dtype: Any = getattr(arrays[0], 'dtype', None)
    for x in arrays:        # a loop, because `all` takes twice as long, and small networks ask often
        if type(x) is not numpy.ndarray or not x.size or x.dtype != dtype:
            return False
    return jit.AVAILABLE and dtype.char in 'fd'


def on_gpu(arrays: Sequence[NdArray]) -> bool:
    """Return whether the GPU kernels support these arrays: CuPy arrays, all float32 or all float64, none of them empty."""
    return cuda.available and all(isinstance(x, cuda.ndarray) and x.size and x.dtype == arrays[0].dtype
                                  and x.dtype.char in 'fd' for x in arrays)


class _Dense(chainer.FunctionNode):
    """An identity function that copies a GPU array to remove gaps in memory."""

    def forward(self, inputs):
        return dense(inputs[0]),

    def backward(self, indexes, grad_outputs):
        return grad_outputs


class Fused(Replayable):
    """A function whose backward pass works on arrays and therefore builds no graph.

    Subclasses define `forward`, `backward_arrays` and `reference`, the same function written with Chainer's functions.
    `reference` computes the result if the fast version is switched off or `serves` returns False. It also computes the
    gradients if the caller asks for double backprop, unless a subclass has a faster way for gradient penalties. `forward` must
    retain all inputs. On a GPU, the inputs and the gradient are dense: C-contiguous, or images with channels last in memory.
    """

    def apply(self, inputs: Sequence[NdArray | chainer.Variable]) -> tuple[chainer.Variable, ...]:
        arrays = [x.array if isinstance(x, chainer.Variable) else x for x in inputs]
        if not chainer.config.fast or not self.serves(arrays):
            return self.reference(*inputs),
        if on_gpu(arrays):
            inputs = [x if is_dense(a) else _Dense().apply((x,))[0] for x, a in zip(inputs, arrays)]
        return super().apply(inputs)

    def serves(self, inputs: Sequence[NdArray]) -> bool:
        """Return whether the fast version supports these input arrays."""
        return True

    def backward(self, indexes: Sequence[int], grad_outputs: Sequence[chainer.Variable]) -> Sequence[chainer.Variable | None]:
        if chainer.config.enable_backprop:
            # F.identity gives each input a gradient of its own, even if inputs depend on each other or occur twice
            inputs = [F.identity(x) for x in self.get_retained_inputs()]
            output = self.reference(*inputs)
            return chainer.grad([output], [inputs[i] for i in indexes], grad_outputs, enable_double_backprop=True)
        inputs, gy = [node.data for node in self.inputs], grad_outputs[0].array
        gradients = self.backward_arrays(indexes, inputs, dense(gy) if on_gpu(inputs) else gy)
        return tuple(None if g is None else chainer.Variable(g, requires_grad=False) for g in gradients)

    def reference(self, *inputs: chainer.Variable) -> chainer.Variable:
        """Return the same function of the same Variables, computed by Chainer's own functions."""
        raise NotImplementedError
