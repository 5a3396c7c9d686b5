"""Scalars of many updates, kept on the device until somebody reads them."""
import numpy
from chainer.backends import cuda

from lsgan.functions.gpu.kernel import Kernel

MOST = 32           # the most scalars of one update
_ROWS = 1024        # number of updates whose scalars share a piece of memory
_POINTERS = numpy.dtype([('of', numpy.uint64, MOST)])

_gather = Kernel(f'struct Pointers {{ const T *of[{MOST}]; }};' + r'''
extern "C" __global__ void gather_scalars(Pointers scalars, T *to) { to[threadIdx.x] = *scalars.of[threadIdx.x]; }
''')


def gathered(scalars):
    """Return scalars on the device as one array, made by one launch.

    Args:
        scalars (sequence): at most `MOST` scalar arrays of one type.
    """
    to, pointers = cuda.cupy.empty(len(scalars), scalars[0].dtype), numpy.zeros((), _POINTERS)
    pointers['of'][:len(scalars)] = [x.data.ptr for x in scalars]
    _gather(to.dtype, 1, (pointers, to), len(scalars))
    return to


class History:
    """Vectors of equal length that are stored one after the other in shared pieces of memory."""

    def __init__(self):
        self._rows = self._next = None

    def add(self, vector):
        """Return a copy of a vector, made on the device without waiting for it."""
        if self._rows is None or self._next == _ROWS or self._rows.shape[1] != vector.size or self._rows.dtype != vector.dtype:
            self._rows, self._next = cuda.cupy.empty((_ROWS, vector.size), vector.dtype), 0
        row = self._rows[self._next]
        row[...] = vector
        self._next += 1
        return row


class ToHost:
    """A function that copies scalars to main memory. Scalars that share a piece of memory are copied together."""

    def __init__(self):
        self._copies = {}       # address of a piece of memory -> (its array, which keeps it from being freed; the copy)

    def __call__(self, scalar):
        """Return a CuPy scalar as a NumPy scalar, and anything else as it is."""
        if not isinstance(scalar, cuda.ndarray):
            return scalar
        whole = scalar if scalar.base is None else scalar.base
        if whole.data.ptr not in self._copies:
            self._copies[whole.data.ptr] = whole, cuda.to_cpu(whole).reshape(-1)
        place = (scalar.data.ptr - whole.data.ptr) // scalar.itemsize
        return self._copies[whole.data.ptr][1][place]
