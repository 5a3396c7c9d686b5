"""CUDA kernels that double height and width: each pixel becomes a block of 2x2, and a crop removes rows and columns.

Images are stored as (N, height, width, channels). x has h rows, w columns and K channels, and y has C channels. If K is C,
each channel is repeated. If K is 4 C, the channels of a pixel of x are those of the four pixels of a block, one after the
other.
"""
from chainer.backends import cuda

from lsgan.functions.gpu.kernel import Kernel

_UPSAMPLE = Kernel(r'''
// Compute y. A block of threads makes a row.
extern "C" __global__ void upsample(const T *x, long long h, long long w, long long K, long long C, long long top,
                                    long long left, T *y) {
    const long long W = 2 * (w - left);
    const unsigned H = 2 * (h - top), n = blockIdx.x / H, i = blockIdx.x % H + top, apart = K == C ? 0 : C;
    const T *row = x + (n * h + i / 2) * w * K;
    T *out = y + blockIdx.x * W * C;
    for (unsigned k = threadIdx.x; k < W * C; k += blockDim.x) {
        const unsigned c = k % (unsigned)C, j = k / (unsigned)C + left;
        out[k] = row[j / 2 * K + (2 * (i % 2) + j % 2) * apart + c];
    }
}''')

_GRADIENT = Kernel(r'''
// Compute gx. Each of its pixels is the sum of a block or, if K is 4 C, the whole block. A block of threads makes a row.
extern "C" __global__ void upsample_gradient(const T *gy, long long h, long long w, long long K, long long C, long long top,
                                             long long left, T *gx) {
    const long long H = 2 * (h - top), W = 2 * (w - left);
    const unsigned n = blockIdx.x / (unsigned)h, y = blockIdx.x % (unsigned)h, depth = K / C;
    const T *image = gy + n * H * W * C;
    T *out = gx + blockIdx.x * w * K;
    for (unsigned k = threadIdx.x; k < w * K; k += blockDim.x) {
        const unsigned c = k % (unsigned)C, x = k / (unsigned)C / depth, pixel = k / (unsigned)C % depth;
        T total = 0;
        for (unsigned p = pixel; p < 4; p += depth) {
            const long long i = 2 * y + p / 2 - top, j = 2 * x + p % 2 - left;
            if (0 <= i && i < H && 0 <= j && j < W) total += image[(i * W + j) * C + c];
        }
        out[k] = total;
    }
}''')


def upsampled(x, crop, shape):
    """Return images with their height and width doubled.

    Args:
        x: C-contiguous array (N, h, w, K).
        crop (pair of int): number of rows and of columns to remove at each border.
        shape (tuple of int): shape of the result, (N, 2 h - 2 crop[0], 2 w - 2 crop[1], C); C is K or K / 4.
    """
    y = cuda.cupy.empty(shape, x.dtype)
    _UPSAMPLE(x.dtype, shape[0] * shape[1], (x, *x.shape[1:], shape[3], *crop, y))
    return y


def gradient(gy, crop, shape):
    """Return the gradient of `upsampled` with respect to x.

    Args:
        gy: C-contiguous array, the gradient with respect to the result.
        crop (pair of int): as in `upsampled`.
        shape (tuple of int): shape of x.
    """
    gx = cuda.cupy.empty(shape, gy.dtype)
    _GRADIENT(gy.dtype, shape[0] * shape[1], (gy, *shape[1:], gy.shape[3], *crop, gx))
    return gx
