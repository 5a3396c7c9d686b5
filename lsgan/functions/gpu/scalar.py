"""A number that lives in device memory, such as a learning rate, so that a captured CUDA graph reads its latest value."""
import numpy
from chainer.backends import cuda

from lsgan.functions.gpu.kernel import Kernel

_SET = Kernel(r'''
extern "C" __global__ void set_scalar(T *scalar, T value) { *scalar = value; }
''', types='d')


class Scalar:
    """A float64 number in device memory that the host sets without a copy and without waiting for the device.

    Kernels read it from `array`, through a parameter `const double *`. The memory stays the same for the scalar's life.
    Setting a value launches a kernel on the current stream, if the value differs from the last one.

    Args:
        value (float): its first value.

    Attributes:
        array (cupy.ndarray): the number on the current device, float64 of shape (1,).
    """

    def __init__(self, value):
        self.array = cuda.cupy.empty(1, numpy.float64)
        self._value = None
        self.value = value

    @property
    def value(self):
        """The number, a float; may be set."""
        return self._value

    @value.setter
    def value(self, value):
        value = float(value)
        if value != self._value:
            _SET(self.array.dtype, 1, (self.array, value), threads=1)
            self._value = value

    def count(self, n=1):
        """Take note that kernels have added n to the number."""
        self._value += n
