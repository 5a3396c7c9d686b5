"""CUDA kernels that NVRTC compiles at their first launch."""
import functools
import re

import numpy
from chainer.backends import cuda

THREADS = 256       # threads in a block, unless a kernel specifies another number
NULL = numpy.uint64(0)      # a pointer to nothing
KERNELS: list = []  # every kernel of the package, so that a script can compile all of them


class Kernel:
    """A CUDA kernel for several floating-point types. Its source calls the type `T`.

    Integer parameters of the kernel are `long long`, and arrays are pointers. A Python float is passed as `T`; for a parameter
    that is always a `double`, pass `numpy.float64`. To keep launches cheap, nothing checks the arrays' types, devices and
    memory layouts. The caller must do so.

    Args:
        source (str): CUDA C++ with any device functions and, after them, one `extern "C" __global__` function.
        types (str): NumPy's codes of the types for which the kernel is used.
    """

    def __init__(self, source, types='fd'):
        # T is a type and not a macro, because a macro would also replace template parameters in CUDA's headers
        self.source, self.types = f'typedef REAL T;\n{source}', types
        self.name = re.search(r'__global__\s+void\s+(\w+)\s*\(', source)[1]
        KERNELS.append(self)

    @functools.cache    # noqa: B019  kernels live as long as the program
    def compiled(self, char):
        """Return the kernel for one type, a `cupy.RawKernel`.

        Args:
            char (str): NumPy's code of the type T, f or d.
        """
        return cuda.cupy.RawKernel(self.source, self.name, options_for(char))

    def __call__(self, dtype, blocks, arguments, threads=THREADS):
        """Launch the kernel on the current stream.

        Args:
            dtype (numpy.dtype): the type T, float32 or float64.
            blocks (int or tuple of int): shape of the grid.
            arguments (sequence): CuPy arrays, integers and real numbers, in the order of the kernel's parameters.
            threads (int or tuple of int): shape of a block.
        """
        arguments = tuple(dtype.type(a) if type(a) is float else a for a in arguments)
        self.compiled(dtype.char)(blocks if isinstance(blocks, tuple) else (blocks,),
                                  threads if isinstance(threads, tuple) else (threads,), arguments)


def options_for(char):
    """Return the compiler options for a type code, f or d."""
    return (f'-DREAL={"float" if char == "f" else "double"}',)


def blocks_for(n, threads=THREADS, most=1 << 20):
    """Return how many blocks cover n elements with one thread each, but at most `most`. Kernels loop over what remains."""
    return max(1, min(-(-n // threads), most))
