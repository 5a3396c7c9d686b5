"""A number in device memory, such as a learning rate, whose current value a captured CUDA graph reads at every replay."""
import numpy
from chainer.backends import cuda

from lsgan.functions.gpu.kernel import Kernel

_SET = Kernel(r'''
extern "C" __global__ void set_scalar(T *scalar, T value) { *scalar = value; }
''', types='d')


class Scalar:
    """A float64 number in device memory that the host sets without a copy and without waiting for the device.

    Kernels read it from `array`, through a parameter `const double *`. Its memory never moves. Setting a new value launches
    a kernel on the current stream.

    Args:
        value (float): the initial value.

    Attributes:
        array (cupy.ndarray): the number on the current device, float64 of shape (1,).
    """

    def __init__(self, value):
        self.array = cuda.cupy.empty(1, numpy.float64)
        self._value = None
        self.value = value

    @property
    def value(self):
        """The number, a float. It can be set."""
        return self._value

    @value.setter
    def value(self, value):
        value = float(value)
        if value != self._value:
            _SET(self.array.dtype, 1, (self.array, value), threads=1)
            self._value = value

    def count(self, n=1):
        """Record that kernels have added n to the number."""
        self._value += n
