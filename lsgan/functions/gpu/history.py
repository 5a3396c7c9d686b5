"""Scalars of many updates, kept on the device until somebody reads them."""
import numpy
from chainer.backends import cuda

from lsgan.functions.gpu.kernel import Kernel

MOST = 32           # scalars of one update
_ROWS = 1024        # updates whose scalars share a piece of memory
_POINTERS = numpy.dtype([('of', numpy.uint64, MOST)])

_gather = Kernel(f'struct Pointers {{ const T *of[{MOST}]; }};' + r'''
extern "C" __global__ void gather_scalars(Pointers scalars, T *to) { to[threadIdx.x] = *scalars.of[threadIdx.x]; }
''')


def gathered(scalars):
    """Return scalars on the device in one array, in one launch.

    Args:
        scalars (sequence): at most `MOST` scalar arrays of one type.
    """
    to, pointers = cuda.cupy.empty(len(scalars), scalars[0].dtype), numpy.zeros((), _POINTERS)
    pointers['of'][:len(scalars)] = [x.data.ptr for x in scalars]
    _gather(to.dtype, 1, (pointers, to), len(scalars))
    return to


class History:
    """Vectors of one length, of which the latest ones share a piece of memory."""

    def __init__(self):
        self._rows = self._next = None

    def add(self, vector):
        """Return a copy of a vector, by a copy on the device that waits for nothing."""
        if self._rows is None or self._next == _ROWS or self._rows.shape[1] != vector.size or self._rows.dtype != vector.dtype:
            self._rows, self._next = cuda.cupy.empty((_ROWS, vector.size), vector.dtype), 0
        row = self._rows[self._next]
        row[...] = vector
        self._next += 1
        return row


class ToHost:
    """Copies scalars to main memory, a piece of memory that many of them share at once."""

    def __init__(self):
        self._copies = {}       # of pieces of memory, by address, each with its array, whose memory is not freed meanwhile

    def __call__(self, scalar):
        """Return a scalar array, or anything else, as NumPy's if it is CuPy's."""
        if not isinstance(scalar, cuda.ndarray):
            return scalar
        whole = scalar if scalar.base is None else scalar.base
        if whole.data.ptr not in self._copies:
            self._copies[whole.data.ptr] = whole, cuda.to_cpu(whole).reshape(-1)
        place = (scalar.data.ptr - whole.data.ptr) // scalar.itemsize
        return self._copies[whole.data.ptr][1][place]
