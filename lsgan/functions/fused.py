"""What the fused functions share: plain arithmetic backward, Chainer's own graph where double backprop is wanted."""
import chainer
import chainer.functions as F
import numpy
from chainer.backends import cuda

from lsgan.functions.cpu import jit
from lsgan.functions.gpu.layout import dense, is_dense

# The one switch: with `chainer.using_config('fast', False)` every function, link and optimizer here is Chainer's own
chainer.global_config.fast = True


def on_cpu(arrays):
    """Whether the CPU kernels can take these arrays: NumPy's, all float32 or all float64, none empty."""
    return jit.AVAILABLE and all(type(x) is numpy.ndarray and x.size and x.dtype == arrays[0].dtype and x.dtype.char in 'fd'
                                 for x in arrays)


def on_gpu(arrays):
    """Whether the GPU kernels can take these arrays: CuPy's, all float32 or all float64, none empty."""
    return cuda.available and all(isinstance(x, cuda.ndarray) and x.size and x.dtype == arrays[0].dtype
                                  and x.dtype.char in 'fd' for x in arrays)


class _Dense(chainer.FunctionNode):
    """Copies an array on the GPU that has gaps in memory."""

    def forward(self, inputs):
        return dense(inputs[0]),

    def backward(self, indexes, grad_outputs):
        return grad_outputs


class Fused(chainer.FunctionNode):
    """A function whose backward works on arrays and so builds no graph of its own.

    A subclass gives `forward`, `backward_arrays` and `reference`, the same function written with Chainer's. The latter is
    differentiated where the caller asked for double backprop, and takes over where the fast way is switched off or does not
    serve. The subclass retains its inputs. On a GPU they and the gradient are dense: C-contiguous, or images with their
    channels last.
    """

    def apply(self, inputs):
        arrays = [x.array if isinstance(x, chainer.Variable) else x for x in inputs]
        if not chainer.config.fast or not self.serves(arrays):
            return self.reference(*inputs),
        if on_gpu(arrays):
            inputs = [x if is_dense(a) else _Dense().apply((x,))[0] for x, a in zip(inputs, arrays)]
        return super().apply(inputs)

    def serves(self, inputs):
        """Whether there is a fast way for these input arrays."""
        return True

    def backward(self, indexes, grad_outputs):
        if chainer.config.enable_backprop:
            # identities, so that one input that depends on another, or stands twice, is differentiated for itself
            inputs = [F.identity(x) for x in self.get_retained_inputs()]
            output = self.reference(*inputs)
            return chainer.grad([output], [inputs[i] for i in indexes], grad_outputs, enable_double_backprop=True)
        inputs, gy = [node.data for node in self.inputs], grad_outputs[0].array
        gradients = self.backward_arrays(indexes, inputs, dense(gy) if on_gpu(inputs) else gy)
        return tuple(None if g is None else chainer.Variable(g, requires_grad=False) for g in gradients)

    def backward_arrays(self, indexes, inputs, gy):
        """The gradients, as arrays, of the inputs at `indexes`; `inputs` are all input arrays, `gy` the output's gradient."""
        raise NotImplementedError

    def reference(self, *inputs):
        """The same function of the same Variables, by Chainer's own functions."""
        raise NotImplementedError
