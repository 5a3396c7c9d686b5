"""A stand-in for NVIDIA's front end of cuDNN on an emulated device. It evaluates graphs with NumPy.

It has the names that `lsgan.functions.gpu.cudnn` uses, and refuses what cuDNN refuses: a bias after dgrad,
tensors whose channels are not last in memory, and pointers that are not multiples of 16. Emulated device memory is ordinary
memory.
"""
import ctypes
import os
from enum import Enum

import cupy
import numpy

BUILT = []          # direction and notes that were deselected, of every plan
EXECUTED = []       # direction of every execution
REFUSED = set()     # directions that have no plan

data_type = Enum('data_type', 'FLOAT')
heur_mode = Enum('heur_mode', 'A B FALLBACK')
numerical_note = Enum('numerical_note', 'TENSOR_CORE DOWN_CONVERT_INPUTS NONDETERMINISTIC')


class cudnnGraphNotSupportedError(Exception):
    """The error for a graph without a plan."""


class Handle:
    stream = 0


def backend_version():
    return 92801


def create_handle():
    return Handle()


def set_stream(handle, stream):
    handle.stream = stream


class Tensor:
    """A tensor of a graph. The result of an operation holds the operation's inputs and a function of their values."""

    def __init__(self, dim=None, stride=None, inputs=(), evaluate=None):
        self.dim, self.stride, self.inputs, self.evaluate, self.output = dim, stride, inputs, evaluate, False

    def set_dim(self, dim):
        self.dim = dim
        return self

    def set_stride(self, stride):
        self.stride = stride
        return self

    def set_output(self, output):
        self.output = output
        return self

    def at(self, pointer):
        """Return the memory at an address as an array of this tensor's shape."""
        assert type(pointer) is int and pointer and pointer % 16 == 0
        N, C, H, W = self.dim
        memory = (ctypes.c_float * (N * C * H * W)).from_address(pointer)
        return numpy.ctypeslib.as_array(memory).reshape(N, H, W, C).transpose(0, 3, 1, 2)


def _rounded(x):
    """Return float32 numbers as TF32, which keeps 10 bits of the mantissa."""
    return ((x.copy().view(numpy.uint32) + 0x1000) & 0xffffe000).view(numpy.float32)


def _padded(shape, padding):
    """Return an array of zeros for padded images of this shape, and a view of the images in it."""
    (py, px), (H, W) = padding, shape[2:]
    whole = numpy.zeros((*shape[:2], H + 2 * py, W + 2 * px))
    return whole, whole[:, :, py:py + H, px:px + W]


def _pixels(kernel, small, stride):
    """Yield for each pixel of the kernel its index in the weights, and the index of its inputs in a padded image."""
    for y, x in numpy.ndindex(*kernel):
        yield (..., y, x), (..., slice(y, y + (small[0] - 1) * stride[0] + 1, stride[0]),
                            slice(x, x + (small[1] - 1) * stride[1] + 1, stride[1]))


class pygraph:
    """A graph of one convolution and, optionally, a bias."""

    def __init__(self, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert io_data_type is intermediate_data_type is compute_data_type is data_type.FLOAT and isinstance(handle, Handle)
        self.direction = self.result = None
        self.deselected, self.biased, self.tensors, self.planned = set(), False, [], False

    def tensor(self, name, dim, stride):
        self.tensors.append(Tensor(dim, stride))
        return self.tensors[-1]

    def _convolution(self, direction, inputs, evaluate):
        self.direction = direction
        self.result = Tensor(inputs=inputs, evaluate=evaluate)
        return self.result

    def conv_fprop(self, image, weight, padding, stride, dilation):
        def evaluate(X, W):
            whole, inner = _padded(X.shape, padding)
            inner[...] = X
            small = [(n - k) // s + 1 for n, k, s in zip(whole.shape[2:], W.shape[2:], stride)]
            return sum(numpy.einsum('nchw,oc->nohw', whole[seen], W[at]) for at, seen in _pixels(W.shape[2:], small, stride))
        assert dilation == [1, 1]
        return self._convolution('fprop', [image, weight], evaluate)

    def conv_dgrad(self, loss, filter, padding, stride, dilation):
        def evaluate(DY, W):
            whole, inner = _padded(self.result.dim, padding)
            for at, seen in _pixels(W.shape[2:], DY.shape[2:], stride):
                whole[seen] += numpy.einsum('nohw,oc->nchw', DY, W[at])
            return inner
        assert dilation == [1, 1]
        return self._convolution('dgrad', [loss, filter], evaluate)

    def conv_wgrad(self, image, loss, padding, stride, dilation):
        def evaluate(X, DY):
            whole, inner = _padded(X.shape, padding)
            inner[...] = X
            DW = numpy.empty(self.result.dim)
            for at, seen in _pixels(DW.shape[2:], DY.shape[2:], stride):
                DW[at] = numpy.einsum('nohw,nchw->oc', DY, whole[seen])
            return DW
        assert dilation == [1, 1]
        return self._convolution('wgrad', [image, loss], evaluate)

    def bias(self, input, bias):
        convolve = input.evaluate
        self.biased = True
        self.result = Tensor(inputs=[*input.inputs, bias], evaluate=lambda *values: convolve(*values[:-1]) + values[-1])
        return self.result

    def validate(self):
        for tensor in [*self.tensors, self.result]:
            N, C, H, W = tensor.dim
            assert tuple(tensor.stride) == (C * H * W, 1, C * W, C)
        assert self.result.output

    def build_operation_graph(self):
        if self.direction in REFUSED or self.biased and self.direction != 'fprop':
            raise cudnnGraphNotSupportedError(self.direction)

    def create_execution_plans(self, heuristics):
        assert heuristics == [heur_mode.A, heur_mode.FALLBACK]
        self.planned = True

    def deselect_numeric_notes(self, notes):
        assert self.planned
        self.deselected.update(notes)

    def check_support(self):
        assert self.planned

    def build_plans(self):
        BUILT.append((self.direction, {note.name for note in self.deselected}))

    def get_workspace_size(self):
        return 1000

    def execute(self, variant_pack, workspace, handle):
        if int(os.environ.get('CUPY_ON_CPU_LAZY', 0)):
            cupy.cuda.runtime.streamSynchronize(handle.stream)
        assert handle.stream == cupy.cuda.get_current_stream().ptr
        EXECUTED.append(self.direction)
        ctypes.memset(workspace, 0xff, self.get_workspace_size())
        values = [tensor.at(variant_pack.pop(tensor)) for tensor in self.result.inputs]
        if numerical_note.TENSOR_CORE not in self.deselected:
            values[:2] = map(_rounded, values[:2])
        (tensor, pointer), = variant_pack.items()
        assert tensor is self.result
        tensor.at(pointer)[...] = self.result.evaluate(*[value.astype(numpy.float64) for value in values])
