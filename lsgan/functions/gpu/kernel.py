"""CUDA kernels, compiled by NVRTC at their first launch."""
import functools
import re

import numpy
from chainer.backends import cuda

THREADS = 256       # in a block, unless a kernel says otherwise
NULL = numpy.uint64(0)      # a pointer to nothing
KERNELS = []        # every kernel of the package, so that a script can compile all of them


class Kernel:
    """A CUDA kernel for one floating-point type at a time, which its source calls `T`.

    Integer parameters of the kernel are `long long` and arrays are pointers. A Python float is passed as `T`; a parameter that
    is always a `double` takes `numpy.float64`. Nothing checks an array's type, device or memory layout, so that a launch
    costs little: the caller does.

    Args:
        source (str): CUDA C++ of one `extern "C" __global__` function, after any device functions that it needs.
        types (str): the NumPy type codes for which the kernel is used.
    """

    def __init__(self, source, types='fd'):
        # T is a type, not a macro, which would also replace the parameters of templates in CUDA's headers
        self.source, self.types = f'typedef REAL T;\n{source}', types
        self.name = re.search(r'__global__\s+void\s+(\w+)\s*\(', source)[1]
        KERNELS.append(self)

    @functools.cache    # noqa: B019  kernels live as long as the program
    def compiled(self, char):
        """Return the kernel for a type, a `cupy.RawKernel`.

        Args:
            char (str): NumPy's code of the type that stands for T, f or d.
        """
        return cuda.cupy.RawKernel(self.source, self.name, options_for(char))

    def __call__(self, dtype, blocks, arguments, threads=THREADS):
        """Launch the kernel on the current stream.

        Args:
            dtype (numpy.dtype): float32 or float64, what T stands for.
            blocks (int or tuple of int): the grid.
            arguments (sequence): CuPy arrays, integers and real numbers, in the order of the kernel's parameters.
            threads (int or tuple of int): the block.
        """
        arguments = tuple(dtype.type(a) if type(a) is float else a for a in arguments)
        self.compiled(dtype.char)(blocks if isinstance(blocks, tuple) else (blocks,),
                                  threads if isinstance(threads, tuple) else (threads,), arguments)


def options_for(char):
    """Return the compiler's options for a type code, f or d."""
    return (f'-DREAL={"float" if char == "f" else "double"}',)


def blocks_for(n, threads=THREADS, most=1 << 20):
    """Return how many blocks cover n elements, one thread each; kernels stride over what is beyond `most` blocks."""
    return max(1, min(-(-n // threads), most))
