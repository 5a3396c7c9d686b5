"""Runs CuPy's wheel where there is no GPU: a device that is this CPU. For tests only; see README.md beside this package.

`install()`, before anything imports cupy, puts a finder in front of `sys.meta_path`. CuPy stays as it is on disk; when it is
imported, the functions of the CUDA runtime that its other modules take over (`__pyx_capi__`) are replaced by those of device.cpp, the
names libcuda.so.1, libcublas.so.13 and libcurand.so.10 are taken by it, and NVRTC by g++ on kernel.h. Nothing of NVIDIA's is needed.
"""
import ctypes
import glob
import hashlib
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
CACHE = Path(os.environ.get('CUPY_ON_CPU_CACHE', Path.home() / '.cache' / 'cupy_on_cpu'))
SYNCS = Counter()       # (what, where it was asked for) -> how often, where CUPY_ON_CPU_REPORT is set
_c = {'int': ctypes.c_int, 'unsigned int': ctypes.c_uint, 'intptr_t': ctypes.c_ssize_t, 'size_t': ctypes.c_size_t,
      'float': ctypes.c_float, 'PyObject *': ctypes.py_object, 'struct __pyx_obj_13cupy_backends_4cuda_3api_7runtime_PointerAttributes *': ctypes.py_object,
      'CUdevice': ctypes.c_int, 'uintmax_t': ctypes.c_size_t}
_device = None


def _flag(name, default=0):
    return int(os.environ.get(f'CUPY_ON_CPU_{name}', default))


def _gxx(source, target, *flags):
    """Compiles and puts the result in place at once, so that processes beside this one see all of it or nothing."""
    fd, part = tempfile.mkstemp(dir=CACHE, suffix='.part')
    os.close(fd)
    result = subprocess.run(['g++', '-std=c++17', '-w', '-fPIC', '-shared', *flags, '-o', part, source], capture_output=True, text=True)
    if result.returncode:
        os.unlink(part)
        return result.stderr
    os.replace(part, target)


def _library(name, source, *flags):
    digest = hashlib.sha256('\0'.join([source, sys.version, *flags]).encode()).hexdigest()[:16]
    target = CACHE / f'{name}.{digest}'
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile('w', suffix='.cpp') as file:
            file.write(source)
            file.flush()
            error = _gxx(file.name, target, f'-Wl,-soname,{name}', *flags)
        if error:
            raise ImportError(f'cupy_on_cpu: {error}')
    return ctypes.CDLL(str(target), ctypes.RTLD_GLOBAL)


def _stand_in(name, prefix, extension):
    """A library that has what device.cpp lacks of what an extension module of CuPy needs; each refuses (15, not supported)."""
    symbols = subprocess.run(['nm', '-D', '--undefined-only', extension], capture_output=True, text=True, check=True).stdout
    wanted = sorted(set(re.findall(rf'\b({prefix}\w+)', symbols)))
    lines = [f'extern "C" int {w}() {{ fprintf(stderr, "cupy_on_cpu: no {w}\\n"); return 15; }}' for w in wanted if not hasattr(_device, w)]
    # linked with the device, so that ctypes finds what that has by this library, too
    return _library(name, '#include <stdio.h>\n' + '\n'.join(lines), '-Wl,--no-as-needed', _device._name)


def _blas():
    """The matrix products of NumPy's own OpenBLAS, with 64-bit integers."""
    import numpy
    for path in glob.glob(str(Path(numpy.__file__).parent.parent / 'numpy.libs' / 'libscipy_openblas64*')):
        blas = ctypes.CDLL(path)
        return [ctypes.cast(getattr(blas, f'scipy_cblas_{t}gemm64_'), ctypes.c_void_p) for t in 'sd']
    raise ImportError('cupy_on_cpu: this NumPy does not come with OpenBLAS')


_SKIP = tuple(str(Path(p)) for p in (HERE, importlib.util.find_spec('traceback').origin))


def _note(what, size):
    if what == 'malloc' and not _flag('MALLOCS'):
        return
    frames = [f for f in traceback.extract_stack()[:-1] if '/cupy/' not in f.filename and '/cupy_on_cpu/' not in f.filename]
    ours = [f for f in frames if 'site-packages' not in f.filename] or frames[-1:]
    near, own = frames[-1], ours[-1]
    where = f'{own.filename}:{own.lineno} {own.name}' + (f' < {near.filename.split("site-packages/")[-1]}:{near.lineno}' if near is not own else '')
    SYNCS[what, where] += 1


def counts():
    """What the device did so far."""
    names = 'kernels', 'products', 'copies in', 'copies out', 'copies within', 'waits', 'blocks', 'bytes out'
    values = ctypes.cast(_device.emu_counts(), ctypes.POINTER(ctypes.c_long))
    return {name: values[i] for i, name in enumerate(names)}


def launched():
    """How often each kernel was launched."""
    text = ctypes.create_string_buffer(_device.emu_launched(None, 0))
    _device.emu_launched(text, len(text))
    return Counter({name: int(n) for n, name in (line.split(' ', 1) for line in text.value.decode().splitlines())})


def _report():
    path = os.environ['CUPY_ON_CPU_REPORT']
    with (sys.stderr if path == '-' else open(path, 'a')) as file:
        print('cupy_on_cpu:', counts(), f'peak {_device.emu_peak() >> 20} MiB', *sys.argv[:1], file=file)
        for (what, where), n in SYNCS.most_common(60):
            print(f'{n:8} {what}: {where}', file=file)
        for name, n in launched().most_common():
            print(f'{n:8} kernel {name}', file=file)


_capsule_new = ctypes.pythonapi.PyCapsule_New
_capsule_new.restype, _capsule_new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_capsule_name = ctypes.pythonapi.PyCapsule_GetName
_capsule_name.restype, _capsule_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_kept = []


def _take_over_runtime(module):
    """Gives the other modules of CuPy, and Python, the functions of device.cpp in place of those of the CUDA runtime."""
    api = module.__pyx_capi__
    check = api['check_status']
    _kept.extend([check, _note])
    _device.emu_setup(ctypes.c_void_p(_capsule_pointer(check, _capsule_name(check))),
                      ctypes.py_object(_note if 'CUPY_ON_CPU_REPORT' in os.environ else None), ctypes.c_size_t(_flag('MIB', 8192) << 20),
                      _flag('LAZY'), _flag('GUARD'), _flag('ORDER'), _flag('FOLD', 1), _flag('POISON', 1), *_blas())
    ctypes.c_void_p.in_dll(_device, 'emu_attributes').value = id(module.PointerAttributes)
    for name, capsule in list(api.items()):
        function = getattr(_device, f'rt_{name}', None)
        if function is None:
            continue
        signature = _capsule_name(capsule)
        _kept.append(signature)
        api[name] = _capsule_new(ctypes.cast(function, ctypes.c_void_p), signature, None)
        result, arguments = re.fullmatch(r'(.*?)\s*\((.*)\)', signature.decode().replace(' __pyx_skip_dispatch', '')).groups()
        kinds = [_c[result], *(_c.get(a.strip(), ctypes.c_void_p) for a in arguments.split(',') if a != 'void')]
        setattr(module, name, _python(ctypes.PYFUNCTYPE(*kinds)((f'rt_{name}', _device)), len(kinds) - 1))
    module._getLocalRuntimeVersion = lambda: 13020


def _python(function, given):
    return lambda *a: function(*a, *[0] * (given - len(a)))


def compile_kernels(source, options=(), name_expressions=()):
    """The bytes that stand for a cubin, and the symbols of the name expressions.

    Raises ValueError with the compiler's message.
    """
    includes = [o for o in options if o.startswith('-D') or o.startswith('-I') and '_cccl' not in o and not Path(o[2:], 'cuda.h').exists()]
    text = re.sub(r'extern\s+__shared__\s+((?:__align__\([^)]*\)\s*)?)([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;', r'\2 *\3 = (\2 *)emu_shared;', source)
    names = re.findall(r'__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s+)?(?:static\s+)?void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(', text)
    templates = re.findall(r'template\s*<[^{};]*>\s*(?:static\s+|inline\s+)*__global__[^{(]*?(?:__launch_bounds__\s*\([^)]*\)\s*)?\bvoid\s+(\w+)\s*\(', text)
    waits = re.search(r'__sync|__shfl|_sync\s*\(|cub/|thrust/', source) is not None
    folds = re.search(r'threadIdx|blockIdx|blockDim|gridDim|__shared__', source) is None and not waits
    mapping = {e: f'expression_{i}' for i, e in enumerate(name_expressions or ())}
    entries = [f'EMU_ENTRY(emu_entry_{n}, {n})' for n in dict.fromkeys(names) if n not in templates]
    entries += [f'EMU_ENTRY(emu_entry_{s}, {e})' for e, s in mapping.items()]
    whole = '\n'.join([f'#define EMU_FOLDS {int(folds)}', '#define EMU_FIBRES 1' if waits else '', '#include "kernel.h"', '#line 1 "kernel.cu"', text, *entries])
    digest = hashlib.sha256('\0'.join([whole, *includes, (HERE / 'kernel.h').read_text()]).encode()).hexdigest()[:32]
    target = CACHE / f'{digest}.so'
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile('w', suffix='.cpp') as file:
            file.write(whole)
            file.flush()
            error = _gxx(file.name, target, '-O2', '-march=native', '-ffp-contract=fast', '-fno-strict-aliasing', f'-I{HERE}', f'-I{HERE}/include', *includes)
        if error:
            raise ValueError(error)
    code = target.read_bytes()
    return b'CPUCUBIN' + len(code).to_bytes(8, 'little') + code, mapping


def _take_over_compiler(module):
    real = module._compile_using_nvrtc_no_warning
    checked = set()

    def compile(source, options=(), arch=None, filename='kern.cu', name_expressions=None, log_stream=None, cache_in_memory=False,
                jitify=None, method=None):
        if _flag('NVRTC') and source not in checked:        # would the real compiler take it, for an H100?
            checked.add(source)
            real(source, options, '90', filename, name_expressions, log_stream, True, False)
        try:
            return compile_kernels(source, options, name_expressions)
        except ValueError as error:
            raise module.CompileException(str(error), source, filename, options, 'g++') from None

    module._compile_using_nvrtc_no_warning = compile
    module._preprocess = lambda *a: 'cupy_on_cpu ' + hashlib.sha256((HERE / 'kernel.h').read_bytes()).hexdigest()
    if not _flag('NVRTC'):
        module._get_nvrtc_version = lambda: (13, 2)
        module._get_max_compute_capability = lambda: '120'


def _take_over_pathfinder(module):
    real = module.load_nvidia_dynamic_lib

    def load(name):
        path = _root / 'cupy_backends/cuda/libs'
        if name in ('cublas', 'curand'):
            number = {'cublas': 13, 'curand': 10}[name]
            library = _stand_in(f'lib{name}.so.{number}', name, next(path.glob(f'{name}.*.so')))
            return SimpleNamespace(abs_path=library._name, _handle_uint=library._handle)
        return real(name)

    module.load_nvidia_dynamic_lib = load


def _take_over_thrust(module):
    import numpy

    def view(dtype, address, shape):
        _device.emu_drain()
        size = int(numpy.prod(shape)) * numpy.dtype(dtype).itemsize
        return numpy.ndarray(tuple(shape), dtype, (ctypes.c_char * size).from_address(address))

    def sort(dtype, data, keys, shape):
        view(dtype, data, shape).sort(axis=-1)

    def argsort(dtype, index, data, keys, shape):
        view('l', index, shape)[...] = view(dtype, data, shape).argsort(axis=-1, kind='stable')

    def lexsort(dtype, index, keys, k, n):
        view('l', index, (n,))[...] = numpy.lexsort(view(dtype, keys, (k, n)))

    module.sort, module.argsort, module.lexsort = sort, argsort, lexsort


_HOOKS = {'cupy.cuda.thrust': _take_over_thrust, 'cupy_backends.cuda.api.runtime': _take_over_runtime, 'cupy.cuda.compiler': _take_over_compiler,
          'cuda.pathfinder': _take_over_pathfinder}


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _HOOKS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _HOOKS[name](module)

            spec.loader.exec_module = exec_module
        return spec


def install():
    global _device, _root
    if _Finder in sys.meta_path:
        return
    if 'cupy' in sys.modules:
        raise ImportError('cupy_on_cpu comes before cupy')
    spec = importlib.util.find_spec('cupy_backends')
    if spec is None:
        raise ImportError('cupy_on_cpu needs the wheel cupy-cuda13x, without [ctk]')
    _root = Path(next(iter(spec.submodule_search_locations))).parent
    os.environ.setdefault('CUPY_CACHE_DIR', str(CACHE / 'kernels'))     # apart from what a GPU's kernels are in
    os.environ.setdefault('CUPY_ACCELERATORS', '')                      # CUB is compiled for GPUs
    _device = _library('libcuda.so.1', (HERE / 'device.cpp').read_text(), '-O2', f'-I{sysconfig.get_path("include")}')
    _device.emu_counts.restype = ctypes.c_void_p
    _device.emu_peak.restype = ctypes.c_size_t
    _device.emu_launched.restype, _device.emu_launched.argtypes = ctypes.c_size_t, [ctypes.c_char_p, ctypes.c_size_t]
    sys.meta_path.insert(0, _Finder)
    if 'CUPY_ON_CPU_REPORT' in os.environ:
        import atexit
        atexit.register(_report)
