"""Functions that replace the CUDA libraries in CuPy's modules when these are imported."""
import ctypes
import functools
import glob
import importlib.util
import os
import re
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

from cupy_on_cpu.compiler import library, replace_nvrtc
from cupy_on_cpu.device import device, observe
from cupy_on_cpu.settings import setting

_CUDA_VERSION = 13020
_TYPES = {  # types in Cython's signatures; all others are pointers
    'int': ctypes.c_int, 'unsigned int': ctypes.c_uint, 'intptr_t': ctypes.c_ssize_t, 'size_t': ctypes.c_size_t,
    'uintmax_t': ctypes.c_size_t, 'float': ctypes.c_float, 'CUdevice': ctypes.c_int, 'PyObject *': ctypes.py_object,
    'struct __pyx_obj_13cupy_backends_4cuda_3api_7runtime_PointerAttributes *': ctypes.py_object}
_kept = []      # objects that C code refers to, kept alive


class _Settings(ctypes.Structure):
    _fields_ = [('memory', ctypes.c_size_t), *((name, ctypes.c_int) for name in ('lazy', 'guard', 'order', 'fold', 'poison'))]


def _function(name, result, *arguments):
    function = getattr(ctypes.pythonapi, f'PyCapsule_{name}')
    function.restype, function.argtypes = result, arguments
    return function


_new_capsule = _function('New', ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_name_of = _function('GetName', ctypes.c_char_p, ctypes.py_object)
_pointer_of = _function('GetPointer', ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)


def blas():
    """Return the addresses of the matrix products in NumPy's OpenBLAS, for float32 and float64.

    Raises:
        ImportError: if this NumPy comes without OpenBLAS.
    """
    folder = Path(importlib.util.find_spec('numpy').origin).parents[1] / 'numpy.libs'
    for path in glob.glob(str(folder / 'libscipy_openblas64*')):
        loaded = ctypes.CDLL(path)
        return [ctypes.cast(getattr(loaded, f'scipy_cblas_{char}gemm64_'), ctypes.c_void_p) for char in 'sd']
    raise ImportError('the emulated device needs NumPy from PyPI, which contains OpenBLAS; reinstall it with pip')


def replace_runtime(module):
    """Replace the functions of the CUDA runtime by the emulated device's, for CuPy's other modules and for Python.

    Cython modules take each other's C functions from `__pyx_capi__`, a dict of capsules whose names are signatures.
    """
    api = module.__pyx_capi__
    check = api['check_status']
    observer = observe if 'CUPY_ON_CPU_REPORT' in os.environ else None
    settings = _Settings(setting('MIB', 8192) << 20, setting('LAZY'), setting('GUARD'), setting('ORDER'), setting('FOLD', 1),
                         setting('POISON', 1))
    _kept.extend([check, observer])
    device().emu_setup(ctypes.c_void_p(_pointer_of(check, _name_of(check))), ctypes.py_object(observer),
                       ctypes.byref(settings))
    device().emu_setup_blas(*blas())
    ctypes.c_void_p.in_dll(device(), 'emu_attributes').value = id(module.PointerAttributes)
    for name, capsule in list(api.items()):
        function = getattr(device(), f'rt_{name}', None)
        if function is None:
            continue
        signature = _name_of(capsule)
        _kept.append(signature)
        api[name] = _new_capsule(ctypes.cast(function, ctypes.c_void_p), signature, None)
        setattr(module, name, _callable_from_python(name, signature.decode()))
    module._getLocalRuntimeVersion = lambda: _CUDA_VERSION


def _callable_from_python(name, signature):
    result, arguments = re.fullmatch(r'(.*?)\s*\((.*)\)', signature.replace(' __pyx_skip_dispatch', '')).groups()
    types = [_TYPES.get(a.strip(), ctypes.c_void_p) for a in arguments.split(',') if a != 'void']
    function = ctypes.PYFUNCTYPE(_TYPES[result], *types)((f'rt_{name}', device()))
    return lambda *given: function(*given, *[0] * (len(types) - len(given)))


def replace_libraries(module):
    """Make `cuda.pathfinder` find the emulated device when it looks for cuBLAS and cuRAND."""
    real = module.load_nvidia_dynamic_lib
    names = {'cublas': 'libcublas.so.13', 'curand': 'libcurand.so.10'}

    def load(name):
        return _stand_in(name, names[name]) if name in names else real(name)

    module.load_nvidia_dynamic_lib = load


@functools.cache
def _stand_in(name, soname):
    """Return a library with all functions that CuPy's extension module needs. Those that the device lacks return an error."""
    backends = Path(next(iter(importlib.util.find_spec('cupy_backends').submodule_search_locations)))
    extension = next(backends.glob(f'cuda/libs/{name}.*.so'))
    symbols = subprocess.run(['nm', '-D', '--undefined-only', extension], capture_output=True, text=True, check=True).stdout
    missing = [f for f in sorted(set(re.findall(rf'\b({name}\w+)', symbols))) if not hasattr(device(), f)]
    refusals = [f'extern "C" int {f}() {{ fprintf(stderr, "cupy_on_cpu: no {f}\\n"); return 15; }}' for f in missing]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f'{name}.cpp')
        source.write_text('\n'.join(['#include <stdio.h>', *refusals, '']))
        # linked with the device, so that ctypes finds the device's functions through this library as well
        path = library(soname, [source], '-Wl,--no-as-needed', device()._name)
    loaded = ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    return SimpleNamespace(abs_path=str(path), _handle_uint=loaded._handle)


def replace_thrust(module):
    """Sort with NumPy instead of Thrust, which is compiled for GPUs."""
    import numpy

    def view(dtype, address, shape):
        device().emu_drain()
        size = int(numpy.prod(shape)) * numpy.dtype(dtype).itemsize
        return numpy.ndarray(tuple(shape), dtype, (ctypes.c_char * size).from_address(address))

    def sort(dtype, data, keys, shape):
        view(dtype, data, shape).sort(axis=-1)

    def argsort(dtype, index, data, keys, shape):
        view('l', index, shape)[...] = view(dtype, data, shape).argsort(axis=-1, kind='stable')

    def lexsort(dtype, index, keys, k, n):
        view('l', index, (n,))[...] = numpy.lexsort(view(dtype, keys, (k, n)))

    module.sort, module.argsort, module.lexsort = sort, argsort, lexsort


def without_pool(module):
    """With GUARD=1, allocate each array separately, because CuPy's memory pool would put several into one allocation."""
    if setting('GUARD'):
        module.cuda.set_allocator(None)


BY_MODULE = {
    'cuda.pathfinder': replace_libraries,
    'cupy_backends.cuda.api.runtime': replace_runtime,
    'cupy.cuda.compiler': replace_nvrtc,
    'cupy.cuda.thrust': replace_thrust,
    'cupy': without_pool,
}
