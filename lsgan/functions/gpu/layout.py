"""Memory layouts of images on the GPU: arrays of shape (N, channels, height, width), stored with or without channels last."""
import math

from chainer.backends import cuda


def is_dense(x):
    """Return whether x is C-contiguous or holds images with channels last and without gaps in memory."""
    return x.flags.c_contiguous or x.ndim == 4 and x.transpose(0, 2, 3, 1).flags.c_contiguous


def dense(x):
    """Return x, or a C-contiguous copy if it is not dense."""
    return x if is_dense(x) else cuda.cupy.ascontiguousarray(x)


def laid_out_as(x, y):
    """Return x with the memory layout of y, an array of the same shape, without a copy if x has that layout already."""
    if all(a == b for a, b, n in zip(x.strides, y.strides, x.shape) if n > 1):
        return x
    copy = cuda.cupy.empty_like(y)
    copy[...] = x
    return copy


def reshaped(x, shape):
    """Return an uninitialised array for a reshaped x, and how to write x into it.

    Args:
        x: dense array (N, C, H, W) or (N, units).
        shape (tuple of int): shape of each example in the result, (units,) or (C, H, W), or None for the shape of x. Units are
            the numbers of an image in the order of a C-contiguous array. Images are stored with channels last.

    Returns:
        tuple: the array, and the arguments a and b of `lsgan.functions.gpu.activation.forward`.
    """
    if shape is None:
        return cuda.cupy.empty_like(x), (1, 1)
    if len(shape) == 3:
        C, H, W = shape
        return cuda.cupy.empty((len(x), H, W, C), x.dtype).transpose(0, 3, 1, 2), (H * W, C)
    moved = (1, 1) if x.flags.c_contiguous else (x.shape[1], math.prod(x.shape[2:]))
    return cuda.cupy.empty((len(x), *shape), x.dtype), moved
