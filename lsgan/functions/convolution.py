"""Convolution and deconvolution of images that are stored with channels last.

CPU: Winograd's algorithm or im2col. GPU: cuDNN or im2col, see `lsgan.functions.gpu`. Chainer's own functions take over for
inputs that these do not support, such as half precision.
"""
import math

import chainer
import chainer.functions as F
import numpy
from chainer.backends import cuda
from chainer.types import NdArray
from chainer.utils import conv, type_check

from lsgan.functions.cpu import columns, threads, winograd
from lsgan.functions.fused import Fused, on_cpu, on_gpu
from lsgan.functions.gpu import convolution as gpu
from lsgan.functions.gpu import cudnn
from lsgan.functions.gpu.activation import bias_gradient
from lsgan.functions.way import Geometry, Way

CHUNK = 4 << 20         # bytes of tiles or columns that a thread makes and multiplies at a time; about the size of its cache
LEAST = 1 << 16         # bytes per thread below which another thread does not pay off


class _InChunks(Way):
    """An algorithm that processes the images in chunks that fit the cache; subclasses define the work on one chunk."""

    def run(self, big, small, bias, image, weights):
        N = len(small if big is None else big)
        shape = {'big': (N, *self.geometry.big, self.C), 'small': (N, *self.geometry.small, self.O)}.get(image)
        made = None if image is None else numpy.empty(shape, self.dtype)
        if bias is None and image:
            bias = numpy.zeros(shape[-1], self.dtype)

        def term(part):
            from_big = None if big is None else self.from_big(big, part)
            from_small = None if small is None else self.from_small(small, part)
            gradient = self.multiply_weights(from_big, from_small) if weights else None
            if image == 'small':
                self.make_small(from_big, bias, part, made)
            elif image == 'big':
                self.make_big(from_small, bias, part, made)
            return gradient
        with threads.single_threaded_blas():
            if not weights:
                threads.each(term, threads.parts(N, self.chunk()))
                return made, None
            product = threads.total(term, N, self.chunk())
        return made, self.to_weights(product)


class Columns(_InChunks):
    """Convolution by im2col: every window of the big image becomes a row of one matrix product."""

    def __init__(self, geometry: Geometry, W: numpy.ndarray):
        super().__init__(geometry, W)
        self.W = numpy.ascontiguousarray(W.transpose(0, 2, 3, 1)).reshape(self.O, -1)
        self.layout = (*geometry.kernel, *geometry.stride, *geometry.pad, *geometry.small)
        self.pixels = math.prod(geometry.small)

    def chunk(self) -> int:
        return max(1, CHUNK // (self.pixels * self.W.shape[1] * self.dtype.itemsize))

    def columns(self, part: tuple[int, int]) -> numpy.ndarray:
        return threads.scratch('columns', ((part[1] - part[0]) * self.pixels, self.W.shape[1]), self.dtype)

    def from_big(self, big: numpy.ndarray, part: tuple[int, int]) -> numpy.ndarray:
        rows = self.columns(part)
        columns.from_big(big, *self.layout, *part, rows)
        return rows

    def from_small(self, small: numpy.ndarray, part: tuple[int, int]) -> numpy.ndarray:
        return small[slice(*part)].reshape(-1, self.O)

    def make_small(self, rows: numpy.ndarray, bias: numpy.ndarray, part: tuple[int, int], small: numpy.ndarray) -> None:
        out = small[slice(*part)].reshape(-1, self.O)
        numpy.dot(rows, self.W.T, out=out)
        columns.add_bias(out, bias)

    def make_big(self, rows: numpy.ndarray, bias: numpy.ndarray, part: tuple[int, int], big: numpy.ndarray) -> None:
        product = self.columns(part)
        numpy.dot(rows, self.W, out=product)
        columns.to_big(product, bias, *self.layout, *part, big)

    def multiply_weights(self, from_big: numpy.ndarray, from_small: numpy.ndarray) -> numpy.ndarray:
        return numpy.dot(from_small.T, from_big)

    def to_weights(self, product: numpy.ndarray) -> numpy.ndarray:
        gW = product.reshape(self.O, *self.geometry.kernel, self.C)
        return numpy.ascontiguousarray(gW.transpose(0, 3, 1, 2))


class Winograd(_InChunks):
    """Convolution by Winograd's algorithm (`lsgan.functions.cpu.winograd`), for kernels twice as large as their stride."""

    @staticmethod
    def serves(geometry: Geometry, W: numpy.ndarray) -> bool:
        """Return whether the algorithm supports this geometry and is faster than im2col."""
        s = geometry.stride[0]
        return (geometry.stride == (s, s) and geometry.kernel == (2 * s, 2 * s) and min(W.shape[:2]) >= 16
                # It takes 9 products per tile, im2col 4 per pixel. Tiles that reach far over the edge save nothing
                and 9 * math.prod(Winograd.grid_of(geometry)) < 4 * math.prod(geometry.small))

    @staticmethod
    def grid_of(geometry: Geometry) -> tuple[int, ...]:
        """Return how many 2x2 tiles cover the small image: (rows of tiles, columns of tiles)."""
        return tuple(-(-side // 2) for side in geometry.small)

    def __init__(self, geometry: Geometry, W: numpy.ndarray):
        super().__init__(geometry, W)
        self.stride = geometry.stride[0]
        self.grid = self.grid_of(geometry)
        self.tiles = math.prod(self.grid)
        self.depth = self.stride ** 2 * self.C
        self.U = numpy.empty((9, self.O, self.depth), self.dtype)
        self.filters = threads.parts(self.O, least=LEAST // self.U[:, 0].nbytes + 1)
        W = numpy.ascontiguousarray(W)
        threads.each(lambda part: winograd.from_weights(W, self.stride, *part, self.U), self.filters)

    def chunk(self) -> int:
        """Return the number of images in a chunk: as many as fit, but at least 256 tiles, to make good use of the weights."""
        return max(CHUNK // (9 * self.tiles * (self.depth + self.O) * self.dtype.itemsize), -(-256 // self.tiles))

    def scratch(self, name: str, part: tuple[int, int], channels: int) -> numpy.ndarray:
        return threads.scratch(name, (9, (part[1] - part[0]) * self.tiles, channels), self.dtype)

    def from_big(self, big: numpy.ndarray, part: tuple[int, int]) -> numpy.ndarray:
        tiles = self.scratch('from big', part, self.depth)
        winograd.from_big(big, self.stride, *self.geometry.pad, *self.grid, *part, tiles)
        return tiles

    def from_small(self, small: numpy.ndarray, part: tuple[int, int]) -> numpy.ndarray:
        tiles = self.scratch('from small', part, self.O)
        winograd.from_small(small, *self.grid, *part, tiles)
        return tiles

    def make_small(self, tiles: numpy.ndarray, bias: numpy.ndarray, part: tuple[int, int], small: numpy.ndarray) -> None:
        product = self.scratch('product', part, self.O)
        numpy.matmul(tiles, self.U.transpose(0, 2, 1), out=product)
        winograd.to_small(product, bias, *self.grid, *part, small)

    def make_big(self, tiles: numpy.ndarray, bias: numpy.ndarray, part: tuple[int, int], big: numpy.ndarray) -> None:
        product = self.scratch('product', part, self.depth)
        numpy.matmul(tiles, self.U, out=product)
        winograd.to_big(product, bias, self.stride, *self.geometry.pad, *self.grid, *part, big)

    def multiply_weights(self, from_big: numpy.ndarray, from_small: numpy.ndarray) -> numpy.ndarray:
        return numpy.matmul(from_small.transpose(0, 2, 1), from_big)

    def to_weights(self, product: numpy.ndarray) -> numpy.ndarray:
        gW = numpy.empty((self.O, self.C, *self.geometry.kernel), self.dtype)
        threads.each(lambda part: winograd.to_weights(product, self.stride, *part, gW), self.filters)
        return gW


def channels_last(x: NdArray) -> NdArray:
    """Return an array of shape (N, C, H, W) as a contiguous array (N, H, W, C), without a copy if it is stored that way."""
    last = x.transpose(0, 2, 3, 1)
    if isinstance(x, cuda.ndarray):
        return cuda.cupy.ascontiguousarray(last)
    if last.flags.c_contiguous or not x.flags.c_contiguous:
        return numpy.ascontiguousarray(last)
    y = numpy.empty(last.shape, x.dtype)
    N, C = x.shape[:2]
    planes, pixels = x.reshape(N, C, -1), y.reshape(N, -1, C)
    threads.each(lambda part: columns.transpose(planes, *part, pixels), threads.parts(N, least=LEAST // planes[0].nbytes + 1))
    return y


def _sums(x):
    """Return the sum over all axes but the last."""
    if isinstance(x, cuda.ndarray):
        return bias_gradient(x.reshape(-1, x.shape[-1]))[1]
    rows = x.reshape(-1, x.shape[-1])
    parts = threads.parts(len(rows), least=LEAST // rows[0].nbytes + 1)
    sums = numpy.empty((len(parts), rows.shape[1]))

    def work(i):
        columns.column_sums(rows[slice(*parts[i])], sums[i])
    threads.each(work, range(len(parts)))
    return sums.sum(axis=0).astype(x.dtype)


def _way(geometry, W):
    """Return the fastest algorithm that convolves with these weights on their device."""
    if isinstance(W, cuda.ndarray):
        return (cudnn.Convolution if cudnn.Convolution.serves(W) else gpu.Columns)(geometry, W)
    return (Winograd if Winograd.serves(geometry, W) else Columns)(geometry, W)


class _Convolution(Fused):
    """Base class of convolution and deconvolution. Each subclass defines which of its images is the big one."""

    def __init__(self, stride, pad):
        self.stride, self.pad = _pair(stride), _pair(pad)

    def check_type_forward(self, in_types):
        x, W = in_types[:2]
        type_check.expect(x.dtype.kind == 'f', W.dtype == x.dtype, x.ndim == 4, W.ndim == 4,
                          x.shape[1] == W.shape[self.input_axis])
        if type_check.eval(in_types.size()) == 3:
            b = in_types[2]
            type_check.expect(b.dtype == x.dtype, b.ndim == 1, b.shape[0] == W.shape[1 - self.input_axis])
        self.check_sizes(x, W)

    def sizes(self, x, W):
        """Return for each spatial axis the size of the input, the size of the kernel, the stride and the padding."""
        return zip(x.shape[2:], W.shape[2:], self.stride, self.pad)

    def serves(self, inputs):
        return on_cpu(inputs) or on_gpu(inputs)

    def forward(self, inputs):
        self.retain_inputs(tuple(range(len(inputs))))
        x, W = inputs[:2]
        bias = inputs[2] if len(inputs) == 3 else None
        geometry = self.geometry(x, W)
        self.way = _way(geometry, W)
        self.x = channels_last(x)
        return self.run(self.x, bias).transpose(0, 3, 1, 2),

    def backward_arrays(self, indexes, inputs, gy):
        gy = channels_last(gy)
        gx, gW = self.gradients(gy, 0 in indexes, 1 in indexes)
        gradients = {0: None if gx is None else gx.transpose(0, 3, 1, 2), 1: gW}
        if 2 in indexes:
            gradients[2] = _sums(gy)
        return [gradients[i] for i in indexes]


class _Convolution2D(_Convolution):

    input_axis = 1

    def check_sizes(self, x, W):
        for i in range(2):
            type_check.expect(x.shape[2 + i] + 2 * self.pad[i] >= W.shape[2 + i])

    def geometry(self, x, W):
        small = [conv.get_conv_outsize(*sizes) for sizes in self.sizes(x, W)]
        return Geometry(W.shape[2:], self.stride, self.pad, x.shape[2:], tuple(small))

    def run(self, x, bias):
        return self.way.to_small(x, bias)

    def gradients(self, gy, image, weights):
        return self.way.run(self.x if weights else None, gy, None, 'big' if image else None, weights)

    def backward(self, indexes, grad_outputs):
        if chainer.config.enable_backprop and tuple(indexes) == (0,):       # all that a gradient penalty needs
            x, W = self.get_retained_inputs()[:2]
            return deconvolution_2d(*grad_outputs, W, None, self.stride, self.pad, x.shape[2:]),
        return super().backward(indexes, grad_outputs)

    def reference(self, x, W, b=None):
        return F.convolution_2d(x, W, b, self.stride, self.pad)


class _Deconvolution2D(_Convolution):

    input_axis = 0

    def __init__(self, stride, pad, outsize):
        super().__init__(stride, pad)
        self.outsize = _pair(outsize)

    def check_sizes(self, x, W):
        for i, out in enumerate(self.outsize):
            if out is None:
                type_check.expect((x.shape[2 + i] - 1) * self.stride[i] + W.shape[2 + i] > 2 * self.pad[i])
            else:
                type_check.expect((out + 2 * self.pad[i] - W.shape[2 + i]) // self.stride[i] + 1 == x.shape[2 + i])

    def geometry(self, x, W):
        big = [given or conv.get_deconv_outsize(*sizes) for given, sizes in zip(self.outsize, self.sizes(x, W))]
        return Geometry(W.shape[2:], self.stride, self.pad, tuple(big), x.shape[2:])

    def run(self, x, bias):
        return self.way.to_big(x, bias)

    def gradients(self, gy, image, weights):
        return self.way.run(gy, self.x if weights else None, None, 'small' if image else None, weights)

    def reference(self, x, W, b=None):
        return F.deconvolution_2d(x, W, b, self.stride, self.pad, self.outsize)


def _pair(x):
    return tuple(x) if hasattr(x, '__len__') else (x, x)


def convolution_2d(x: NdArray | chainer.Variable, W: NdArray | chainer.Variable, b: NdArray | chainer.Variable | None = None,
                   stride: int | tuple[int, int] = 1, pad: int | tuple[int, int] = 0) -> chainer.Variable:
    """Convolve images, like `chainer.functions.convolution_2d`.

    Args:
        x: images (B, C, H, W).
        W: weights (O, C, kh, kw).
        b: biases (O,), or None for no bias.
        stride: step of the kernel in pixels, vertically and horizontally.
        pad: rows and columns of zeros added at each border.

    Returns:
        Images (B, O, h, w) with h = (H + 2 pad - kh) // stride + 1, and w likewise.

    Raises:
        chainer.utils.type_check.InvalidType: if the shapes or types do not match.
    """
    return _Convolution2D(stride, pad).apply((x, W) if b is None else (x, W, b))[0]


def deconvolution_2d(x: NdArray | chainer.Variable, W: NdArray | chainer.Variable, b: NdArray | chainer.Variable | None = None,
                     stride: int | tuple[int, int] = 1, pad: int | tuple[int, int] = 0,
                     outsize: tuple[int, int] | None = None) -> chainer.Variable:
    """Deconvolve images (transposed convolution), like `chainer.functions.deconvolution_2d`.

    Args:
        x: images (B, O, h, w).
        W: weights (O, C, kh, kw).
        b: biases (C,), or None for no bias.
        stride: step of the kernel in pixels, vertically and horizontally.
        pad: rows and columns cut off at each border.
        outsize: height and width of the result, or None for stride (h - 1) + kh - 2 pad, and likewise for the width.

    Returns:
        Images (B, C, H, W).

    Raises:
        chainer.utils.type_check.InvalidType: if the shapes or types do not match.
    """
    return _Deconvolution2D(stride, pad, outsize).apply((x, W) if b is None else (x, W, b))[0]
