"""The losses' means over a batch, each loss as one node of the graph. CPU: NumPy; GPU: CUDA kernels."""
from collections.abc import Sequence

import chainer
import chainer.functions as F
from chainer import backend
from chainer.types import NdArray
from chainer.utils import type_check

from lsgan.functions.fused import Fused, on_gpu
from lsgan.functions.gpu import means as gpu
from lsgan.functions.replay import Replayable


class _SumOfMeans(Fused):
    """The sum over the inputs of the mean of an elementwise function, which each subclass defines.

    Args:
        constants (sequence of float): the function's parameter for each input, a target or a sign.
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
        if _fits_gpu(inputs):
            return gpu.sum_of_means(inputs, self.constants, self.name),
        return xp.asarray(sum(_mean(self.value(xp, x, c)) for x, c in zip(inputs, self.constants))),

    def backward_arrays(self, indexes, inputs, gy):
        xp = backend.get_array_module(gy)
        if _fits_gpu(inputs):
            gradients = gpu.gradients(inputs, self.constants, self.name, gy)
            return [gradients[i] for i in indexes]
        return [self.derivative(xp, inputs[i], self.constants[i]) * (gy / inputs[i].dtype.type(inputs[i].size))
                for i in indexes]

    def reference(self, *inputs):
        return sum(F.mean(self.value_by_chainer(x, c)) for x, c in zip(inputs, self.constants))


def _fits_gpu(arrays):
    return on_gpu(arrays) and len(arrays) <= gpu.MOST and all(x.flags.c_contiguous for x in arrays)


class _Identity(_SumOfMeans):

    name = 'identity'

    def value(self, xp, x, sign):
        return sign * x

    def derivative(self, xp, x, sign):
        return xp.full_like(x, sign)

    def value_by_chainer(self, x, sign):
        return sign * x


class _HalfSquaredError(_SumOfMeans):

    name = 'half squared error'

    def value(self, xp, x, target):
        return 0.5 * xp.square(x - target)

    def derivative(self, xp, x, target):
        return x - target

    def value_by_chainer(self, x, target):
        return 0.5 * F.square(x - target)


class _Softplus(_SumOfMeans):

    name = 'softplus'

    def value(self, xp, x, sign):
        return xp.logaddexp(x.dtype.type(0), sign * x)

    def derivative(self, xp, x, sign):
        # the sigmoid, computed by tanh, which does not overflow
        return sign * (0.5 + 0.5 * xp.tanh((0.5 * sign) * x))

    def value_by_chainer(self, x, sign):
        return F.softplus(sign * x)


def signed_mean(outputs: Sequence[NdArray | chainer.Variable], signs: Sequence[float]) -> chainer.Variable:
    """Return the sum of E[s y] over arrays y with signs s.

    Args:
        outputs: arrays or Variables y, of any shape.
        signs: the sign of each array, 1 or -1.

    Returns:
        A scalar.
    """
    return _Identity(signs).apply(outputs)[0]


def half_squared_error(outputs: Sequence[NdArray | chainer.Variable], targets: Sequence[float]) -> chainer.Variable:
    """Return the sum of 1/2 E[(y - t)^2] over arrays y with targets t.

    Args:
        outputs: arrays or Variables y, of any shape.
        targets: the target of each array.

    Returns:
        A scalar.
    """
    return _HalfSquaredError(targets).apply(outputs)[0]


def mean_softplus(outputs: Sequence[NdArray | chainer.Variable], signs: Sequence[float]) -> chainer.Variable:
    """Return the sum of E[log(1 + exp(s y))] over arrays y with signs s.

    Args:
        outputs: arrays or Variables y, of any shape.
        signs: the sign of each array, 1 or -1.

    Returns:
        A scalar.
    """
    return _Softplus(signs).apply(outputs)[0]


def each_mean(arrays: Sequence[NdArray]) -> Sequence[NdArray]:
    """Return the mean of each array, a sequence of scalars on the arrays' device.

    Args:
        arrays: one or two arrays of D's outputs.
    """
    if _fits_gpu(arrays):
        return gpu.each_mean(arrays)
    return [_mean(x) for x in arrays]


def _mean(x):
    """Return the mean of an array without what `x.mean()` adds, which takes longer in small arrays."""
    return x.sum(dtype=x.dtype) / x.dtype.type(x.size)


class _Split(Replayable):

    def __init__(self, n):
        self.n = n

    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 1, in_types[0].shape[0] % self.n == 0)

    def forward(self, inputs):
        size = len(inputs[0]) // self.n
        self.like = inputs[0][:size]
        return tuple(inputs[0][i:i + size] for i in range(0, self.n * size, size))

    def backward(self, indexes, grad_outputs):
        if chainer.config.enable_backprop:
            zeros = chainer.Variable(backend.get_array_module(self.like).zeros_like(self.like))
            return F.concat([zeros if g is None else g for g in grad_outputs], axis=0),
        gx, = self.backward_arrays(indexes, (), *[None if g is None else g.array for g in grad_outputs])
        return chainer.Variable(gx, requires_grad=False),

    def backward_arrays(self, indexes, inputs, *gy):
        xp = backend.get_array_module(self.like)
        return [_joined([xp.zeros_like(self.like) if g is None else g for g in gy])]


def _joined(arrays):
    """Return arrays concatenated along the first axis.

    On a GPU, arrays that already follow each other in memory are not copied. The gradients of the means are such arrays.
    """
    first = arrays[0]
    xp = backend.get_array_module(first)
    if on_gpu(arrays) and all(x.flags.c_contiguous for x in arrays):
        ends = [x.data.ptr + x.nbytes for x in arrays]
        if all(x.data.mem is first.data.mem and x.data.ptr == end for x, end in zip(arrays[1:], ends)):
            return xp.ndarray((sum(map(len, arrays)), *first.shape[1:]), first.dtype, first.data)
    return xp.concatenate(arrays)


def split(y: NdArray | chainer.Variable, n: int) -> tuple[chainer.Variable, ...]:
    """Split an array along its first axis into n parts of equal size, like `chainer.functions.split_axis`.

    Args:
        y: of shape (n * B, ...).
        n: number of parts.

    Returns:
        The n parts, of shape (B, ...).

    Raises:
        chainer.utils.type_check.InvalidType: if the length of the first axis is not a multiple of n.
    """
    return _Split(n).apply((y,))
