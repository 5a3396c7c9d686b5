"""Chainer's links with the fast functions. Parameters, names and npz files are the same as in Chainer."""
from typing import Any

import chainer
import chainer.links as L
from chainer.backends import cuda
from chainer.functions.normalization.batch_normalization import BatchNormalization as StockBatchNormalization
from chainer.types import NdArray

from lsgan import functions
from lsgan.functions.convolution import channels_last
from lsgan.functions.normalization import SLOPES
from lsgan.functions.perceptron import ACTIVATIONS


class _Weights(chainer.Link):
    """A link with the weights W of a convolution, which are stored with channels last on a GPU, as the kernels need them.

    The shape of W and the npz files are the same as in Chainer.
    """

    def device_resident_accept(self, visitor):
        super().device_resident_accept(visitor)
        self._lay_out()

    def copy(self, mode='share'):
        copied = super().copy(mode)
        copied._lay_out()
        return copied

    def _lay_out(self):
        W = self.W.array
        if isinstance(W, cuda.ndarray) and not W.transpose(0, 2, 3, 1).flags.c_contiguous:
            self.W.array = channels_last(W).transpose(0, 3, 1, 2)

    def serialize(self, serializer):
        W = self.W.array
        if not isinstance(W, cuda.ndarray):
            super().serialize(serializer)
            return
        # CuPy cannot copy from the host to an array whose axes are permuted in memory
        self.W.array = cuda.cupy.ascontiguousarray(W)
        super().serialize(serializer)
        W[...] = self.W.array
        self.W.array = W


class Convolution2D(_Weights, L.Convolution2D):
    """`chainer.links.Convolution2D` with the fast function; groups and dilation use Chainer's own."""

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        self._lay_out()
        if self.groups != 1 or self.dilate != (1, 1):
            return super().forward(x)
        return functions.convolution_2d(x, self.W, self.b, self.stride, self.pad)


class Deconvolution2D(_Weights, L.Deconvolution2D):
    """`chainer.links.Deconvolution2D` with the fast function; groups and dilation use Chainer's own."""

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        self._lay_out()
        if self.groups != 1 or self.dilate != (1, 1):
            return super().forward(x)
        return functions.deconvolution_2d(x, self.W, self.b, self.stride, self.pad, self.outsize)


class Linear(L.Linear):
    """`chainer.links.Linear` with the fast function.

    Args:
        args, kwargs: arguments of Chainer's link.
        shape (tuple of int): shape of each example in the result, or None for (out_size,).
    """

    def __init__(self, *args, shape=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.shape = shape

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        if self.W.array is None:
            self._initialize_params(x.size // len(x))
        return functions.linear(x, self.W, self.b, self.shape)


class Activation(chainer.Link):
    """An activation as a link without parameters.

    Args:
        name: relu, leaky_relu (slope 0.2), tanh or sigmoid.
        shape: shape of each example in the result, as in `lsgan.functions.activation`.

    Raises:
        KeyError: if there is no activation of that name.
    """

    def __init__(self, name: str, shape: tuple[int, ...] | None = None):
        super().__init__()
        ACTIVATIONS[name]       # an unknown name fails here, not in the first forward pass
        self.activation, self.shape = name, shape

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        return functions.activation(x, self.activation, self.shape)


class BatchNormalization(L.BatchNormalization):
    """`chainer.links.BatchNormalization` followed by an activation.

    With `chainer.using_config('batches', n)`, the input consists of n batches of equal size, one after the other. Each is
    normalised by its own statistics, as if it were passed alone.

    Args:
        size: number of channels.
        activation: as in `Activation`, or None.
        shape: shape of each example in the result, as in `Activation`.
        kwargs: other arguments of Chainer's link, except `axis`.

    Attributes:
        communicator: ChainerMN communicator, or None. If given, means and variances are computed over the batches of all
            processes together, and the input must be a single batch.
    """

    communicator = None

    def __init__(self, size: int, activation: str | None = None, shape: tuple[int, ...] | None = None, **kwargs: Any):
        super().__init__(size, **kwargs)
        # only piecewise linear activations are fused with the normalisation
        fused = activation in SLOPES
        self.activation, self.shape = (activation, shape) if fused else (None, None)
        self.then = None if fused else Activation(activation, shape)  # type: ignore[arg-type]

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        y = self._normalize(x)
        return self.then(y) if self.then else y

    def _normalize(self, x):
        gamma = self._get_gamma()[0] if self.gamma is None else self.gamma
        beta = self._get_beta()[0] if self.beta is None else self.beta
        if not chainer.config.train:
            return functions.fixed_batch_normalization(x, gamma, beta, self.avg_mean, self.avg_var, self.activation, self.eps,
                                                       self.shape)
        if self.communicator:
            return self._normalize_over_processes(x, gamma, beta)
        running = (None, None) if chainer.config.in_recomputing else (self.avg_mean, self.avg_var)
        return functions.batch_normalization(x, gamma, beta, self.activation, self.eps, *running, self.decay,
                                             chainer.config.batches, self.shape)

    def _normalize_over_processes(self, x, gamma, beta):
        from chainermn.functions import batch_normalization  # needs mpi4py
        backend = batch_normalization.get_communication_backend(self.communicator)
        running = (None, None) if chainer.config.in_recomputing else (self.avg_mean, self.avg_var)
        past = self.decay * self.avg_var
        y, = StockBatchNormalization(
            self.eps, *running, self.decay,
            impl_selector=batch_normalization.MultiNodeBNImplSelector(self.communicator, backend)).apply((x, gamma, beta))
        if not chainer.config.in_recomputing:
            # Chainer makes the variance unbiased for the number of values on this process, not on all.
            n = x.size // gamma.size
            total = n * self.communicator.size
            self.avg_var[...] = past + (self.avg_var - past) * (max(n - 1, 1) / n * total / (total - 1))
        if self.activation:
            return functions.activation(y, self.activation, self.shape)
        return y if self.shape is None else y.reshape(-1, *self.shape)
