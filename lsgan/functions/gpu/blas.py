"""Matrix products by cuBLAS that a CUDA graph can capture.

CuPy refuses its own cuBLAS calls while a stream is captured. cuBLAS itself allows them if the caller provides the workspace.
Therefore this module has its own handles (cuBLAS documentation, section 2.1.4, "Results reproducibility", and 2.1.10, "CUDA
Graphs").
"""
import ctypes
import functools

import chainer
from chainer.backends import cuda

# Whether float32 products and convolutions may round their inputs to TF32 (10 bits of mantissa) to use the tensor cores
chainer.global_config.tf32 = True

_WORKSPACE = 32 << 20       # bytes, what NVIDIA recommends for Hopper
_N, _T = 0, 1               # CUBLAS_OP_N, CUBLAS_OP_T
_TYPES = {'f': 0, 'd': 1}   # CUDA_R_32F, CUDA_R_64F
_COMPUTE_32F, _COMPUTE_32F_FAST_TF32, _COMPUTE_64F = 68, 77, 70
_DEFAULT_ALGORITHM = -1
_SCALARS = {char: (kind(1), kind(0)) for char, kind in (('f', ctypes.c_float), ('d', ctypes.c_double))}


@functools.cache
def _library():
    from cuda.pathfinder import load_nvidia_dynamic_lib
    library = ctypes.CDLL(load_nvidia_dynamic_lib('cublas').abs_path)
    i, p = ctypes.c_int, ctypes.c_void_p
    library.cublasSetStream_v2.argtypes = p, p
    library.cublasSetWorkspace_v2.argtypes = p, p, ctypes.c_size_t
    library.cublasGemmEx.argtypes = p, i, i, i, i, i, p, p, i, i, p, i, i, p, p, i, i, i, i
    return library


def _check(status):
    if status:
        raise RuntimeError(f'cuBLAS failed with status {status}')


@functools.cache
def _handle(device, stream):
    """Return the cuBLAS handle for a stream of a device, and the handle's workspace."""
    library, handle = _library(), ctypes.c_void_p()
    _check(library.cublasCreate_v2(ctypes.byref(handle)))
    memory = cuda.cupy.cuda.Memory(_WORKSPACE)
    _check(library.cublasSetStream_v2(handle, stream))
    _check(library.cublasSetWorkspace_v2(handle, memory.ptr, _WORKSPACE))
    return handle, memory


def _matrix(x):
    """Return how cuBLAS, which stores matrices column by column, reads an array: operation and leading dimension."""
    if x.flags.c_contiguous:
        return _N, max(1, x.shape[1])
    if x.flags.f_contiguous:
        return _T, max(1, x.shape[0])
    raise ValueError('the matrix has gaps between its rows; pass a contiguous array')


def product(a, b):
    """Return the matrix product of two arrays, a C-contiguous array (M, N).

    Args:
        a, b: CuPy arrays of one type, float32 or float64, of shapes (M, K) and (K, N), each contiguous as it is or transposed.
    """
    M, K = a.shape
    N = b.shape[1]
    out = cuda.cupy.empty((M, N), a.dtype)
    char = a.dtype.char
    kind, (one, zero) = _TYPES[char], _SCALARS[char]
    compute = _COMPUTE_64F if char == 'd' else _COMPUTE_32F_FAST_TF32 if chainer.config.tf32 else _COMPUTE_32F
    handle, _ = _handle(a.device.id, cuda.cupy.cuda.get_current_stream().ptr)
    (of_a, lead_a), (of_b, lead_b) = _matrix(a), _matrix(b)
    # cuBLAS stores column by column, so it computes the transposed product: transposed matrices in reverse order
    _check(_library().cublasGemmEx(handle, of_b, of_a, N, M, K, ctypes.byref(one), b.data.ptr, kind, lead_b, a.data.ptr, kind,
                                   lead_a, ctypes.byref(zero), out.data.ptr, kind, N, compute, _DEFAULT_ALGORITHM))
    return out
