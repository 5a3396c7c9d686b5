"""Chainer's links on the fast functions: the same parameters, names and npz files."""
import chainer
import chainer.links as L
from chainer.backends import cuda
from chainer.functions.normalization.batch_normalization import BatchNormalization as StockBatchNormalization

from lsgan import functions
from lsgan.functions.convolution import channels_last
from lsgan.functions.normalization import SLOPES
from lsgan.functions.perceptron import ACTIVATIONS


class _Weights(chainer.Link):
    """What holds the weights W of a convolution: on a GPU with their channels last in memory, as the products need them.

    The shape and the npz files are Chainer's.
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
        # CuPy copies from the host only to memory in the order of an array's axes
        self.W.array = cuda.cupy.ascontiguousarray(W)
        super().serialize(serializer)
        W[...] = self.W.array
        self.W.array = W


class Convolution2D(_Weights, L.Convolution2D):
    """`chainer.links.Convolution2D`."""

    def forward(self, x):
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        self._lay_out()
        if self.groups != 1 or self.dilate != (1, 1):
            return super().forward(x)
        return functions.convolution_2d(x, self.W, self.b, self.stride, self.pad)


class Deconvolution2D(_Weights, L.Deconvolution2D):
    """`chainer.links.Deconvolution2D`."""

    def forward(self, x):
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        self._lay_out()
        if self.groups != 1 or self.dilate != (1, 1):
            return super().forward(x)
        return functions.deconvolution_2d(x, self.W, self.b, self.stride, self.pad, self.outsize)


class Linear(L.Linear):
    """`chainer.links.Linear` of vectors, (B, n)."""

    def forward(self, x):
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return functions.linear(x, self.W, self.b)


class Activation(chainer.Link):
    """An activation of `lsgan.functions.perceptron.ACTIVATIONS`.

    Args:
        name (str): relu, leaky_relu (slope 0.2), tanh or sigmoid.
        shape (tuple of int): of the result, as in `lsgan.functions.activation`.
    """

    def __init__(self, name, shape=None):
        super().__init__()
        ACTIVATIONS[name]       # an unknown one is to be told here
        self.activation, self.shape = name, shape

    def forward(self, x):
        return functions.activation(x, self.activation, self.shape)


class BatchNormalization(L.BatchNormalization):
    """`chainer.links.BatchNormalization` and the activation after it.

    With `chainer.using_config('batches', n)` the input is n batches of equal size, one after the other, and what comes out is
    what it would be for each by itself.

    Args:
        size (int): channels.
        activation (str): as of `Activation`, or None.
        shape (tuple of int): of the result, as of `Activation`.
        kwargs: as Chainer's, without `axis`.

    Attributes:
        communicator: ChainerMN communicator. If it is not None, means and variances are those of the batches of all processes
            together. The input must then be a single batch.
    """

    communicator = None

    def __init__(self, size, activation=None, shape=None, **kwargs):
        super().__init__(size, **kwargs)
        # only piecewise linear ones are computed along with the normalisation
        fused = activation in SLOPES
        self.activation, self.shape = (activation, shape) if fused else (None, None)
        self.then = None if fused else Activation(activation, shape)

    def forward(self, x):
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
        function = StockBatchNormalization(
            self.eps, self.avg_mean, self.avg_var, self.decay,
            impl_selector=batch_normalization.MultiNodeBNImplSelector(self.communicator, backend))
        y, = function.apply((x, gamma, beta))
        if not chainer.config.in_recomputing:
            self.avg_mean[:], self.avg_var[:] = function.running_mean, function.running_var
        if self.activation:
            return functions.activation(y, self.activation, self.shape)
        return y if self.shape is None else y.reshape(-1, *self.shape)
