"""Doubling the height and width of images stored with channels last. CPU: Numba; GPU: CUDA kernels.

Each pixel becomes a block of 2x2 pixels. A crop then removes rows and columns at the borders. Each CPU kernel processes the
images [first, last) of arrays of shape (N, height, width, channels).
"""
import chainer
import chainer.functions as F
import numpy as np
from chainer.types import NdArray
from chainer.utils import type_check

from lsgan.functions.convolution import LEAST, channels_last
from lsgan.functions.cpu import threads
from lsgan.functions.cpu.jit import exact_kernel
from lsgan.functions.fused import Fused, on_cpu, on_gpu
from lsgan.functions.gpu import upsampling as gpu


@exact_kernel
def _upsample(x, top, left, first, last, y):
    """Fill y with the blocks of x.

    If y has as many channels as x, each channel of a pixel is repeated. If x has four times as many, they become the four
    pixels of the block.
    """
    K = x.shape[3]
    _, H, W, C = y.shape
    apart = 0 if K == C else C
    for n in range(first, last):
        for i in range(H):
            for j in range(W):
                start = (2 * ((i + top) % 2) + (j + left) % 2) * apart
                pixel, out = x[n, (i + top) // 2, (j + left) // 2], y[n, i, j]
                for c in range(C):
                    out[c] = pixel[start + c]


@exact_kernel
def _gradient(gy, top, left, first, last, gx):
    """Fill gx with the gradient of `_upsample` with respect to x.

    The sum of a block adds columns before rows, which gives the same bits as Chainer.
    """
    _, h, w, K = gx.shape
    _, H, W, C = gy.shape
    block = np.empty((4, C), gy.dtype)
    for n in range(first, last):
        for y in range(h):
            for x in range(w):
                for k in range(4):
                    i, j = 2 * y + k // 2 - top, 2 * x + k % 2 - left
                    if 0 <= i < H and 0 <= j < W:
                        for c in range(C):
                            block[k, c] = gy[n, i, j, c]
                    else:
                        block[k] = 0
                out = gx[n, y, x]
                if K == C:
                    for c in range(C):
                        out[c] = (block[0, c] + block[1, c]) + (block[2, c] + block[3, c])
                else:
                    out[:] = block.reshape(K)


def _run(kernel, source, crop, shape):
    """Run a kernel on several threads and return the array of the given shape that it fills from `source`."""
    made = np.empty(shape, source.dtype)
    parts = threads.parts(len(made), least=LEAST // made[0].nbytes + 1)
    threads.each(lambda part: kernel(source, *crop, *part, made), parts)
    return made


class _Upsampling(Fused):
    """A way to double height and width; subclasses define `depth`, the number of input channels per output channel."""

    def __init__(self, crop):
        self.crop = crop

    def check_type_forward(self, in_types):
        x, = in_types
        type_check.expect(x.dtype.kind == 'f', x.ndim == 4, x.shape[1] % self.depth == 0, x.shape[2] > self.crop[0],
                          x.shape[3] > self.crop[1])

    def serves(self, inputs):
        return on_cpu(inputs) or on_gpu(inputs)

    def forward(self, inputs):
        self.retain_inputs((0,))
        x = channels_last(inputs[0])
        N, h, w, K = x.shape
        shape = N, 2 * (h - self.crop[0]), 2 * (w - self.crop[1]), K // self.depth
        y = gpu.upsampled(x, self.crop, shape) if on_gpu(inputs) else _run(_upsample, x, self.crop, shape)
        return y.transpose(0, 3, 1, 2),

    def backward_arrays(self, indexes, inputs, gy):
        N, K, h, w = inputs[0].shape
        arguments = channels_last(gy), self.crop, (N, h, w, K)
        gx = gpu.gradient(*arguments) if on_gpu(inputs) else _run(_gradient, *arguments)
        return [gx.transpose(0, 3, 1, 2)]

    def reference(self, x):
        y = self.stock(x)
        (top, left), (H, W) = self.crop, y.shape[2:]
        return y[:, :, top:H - top, left:W - left] if top or left else y


class _DepthToSpace(_Upsampling):

    depth = 4

    def stock(self, x):
        return F.depth2space(x, 2)


class _Repeat(_Upsampling):

    depth = 1

    def stock(self, x):
        return F.repeat(F.repeat(x, 2, axis=2), 2, axis=3)


def depth_to_space(x: NdArray | chainer.Variable, crop: tuple[int, int] = (0, 0)) -> chainer.Variable:
    """Double height and width by turning four channels into a block of 2x2 pixels, and crop (sub-pixel convolution).

    The blocks are those of `chainer.functions.depth2space`. Source: Shi et al. 2016, arXiv:1609.05158, section 3.2.

    Args:
        x: floats of shape (B, 4 C, H, W).
        crop: number of rows and of columns to remove at each border of the result.

    Returns:
        The result, of shape (B, C, 2 H - 2 crop[0], 2 W - 2 crop[1]).

    Raises:
        chainer.utils.type_check.InvalidType: if the number of channels is not a multiple of 4, or the crop leaves nothing.
    """
    return _DepthToSpace(crop).apply((x,))[0]


def repeat(x: NdArray | chainer.Variable, crop: tuple[int, int] = (0, 0)) -> chainer.Variable:
    """Double height and width by repeating each pixel (nearest neighbour), and crop.

    Args:
        x: floats of shape (B, C, H, W).
        crop: number of rows and of columns to remove at each border of the result.

    Returns:
        The result, of shape (B, C, 2 H - 2 crop[0], 2 W - 2 crop[1]).

    Raises:
        chainer.utils.type_check.InvalidType: if the crop leaves nothing.
    """
    return _Repeat(crop).apply((x,))[0]
