"""A compiler that replaces NVRTC by g++: a kernel becomes a shared library that runs a grid on one CPU thread."""
import functools
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

from cupy_on_cpu.settings import CACHE, NATIVE, setting

_FLAGS = '-std=c++17', '-O2', '-w', '-fPIC', '-shared'
_KERNEL_FLAGS = '-march=native', '-ffp-contract=fast', '-fno-strict-aliasing', f'-I{NATIVE}', f'-I{NATIVE}/include'
_BOUNDS = r'(?:__launch_bounds__\s*\([^)]*\)\s*)?'
_KERNEL = re.compile(rf'__global__\s+{_BOUNDS}(?:static\s+)?void\s+{_BOUNDS}(\w+)\s*\(')
_TEMPLATE = re.compile(rf'template\s*<[^{{}};]*>\s*(?:static\s+|inline\s+)*__global__[^{{(]*?{_BOUNDS}\bvoid\s+(\w+)\s*\(')
_DYNAMIC_SHARED = re.compile(r'extern\s+__shared__\s+((?:__align__\([^)]*\)\s*)?)([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;')
_WAITS = re.compile(r'__sync|__shfl|_sync\s*\(|cub/|thrust/')
_KNOWS_ITS_THREAD = re.compile(r'threadIdx|blockIdx|blockDim|gridDim|__shared__')


def compile_library(target, sources, *flags):
    """Compile C++ files into a shared library. Other processes never see an incomplete file.

    Raises:
        ValueError: if the compiler fails; contains its message.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    file, part = tempfile.mkstemp(dir=target.parent, suffix='.part')
    os.close(file)
    result = subprocess.run(['g++', *_FLAGS, *flags, '-o', part, *map(str, sources)], capture_output=True, text=True)
    if result.returncode:
        os.unlink(part)
        raise ValueError(result.stderr)
    os.replace(part, target)


def digest(*parts):
    return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:32]


@functools.cache
def fingerprint():
    """Return a digest of everything besides a kernel's source that affects the compiled code: this module, headers, CPU."""
    headers = [path.read_text() for path in sorted(NATIVE.rglob('*')) if path.is_file()]
    cpu = [line for line in Path('/proc/cpuinfo').read_text().splitlines() if line.startswith('flags')][:1]
    return digest(Path(__file__).read_text(), *headers, *cpu)


def compile_kernels(source, options=(), name_expressions=()):
    """Compile CUDA C++.

    Args:
        source (str): the source text.
        options (sequence of str): NVRTC's options. All but macros and folders for headers are ignored.
        name_expressions (sequence of str): instances of kernel templates to compile.

    Returns:
        tuple: the bytes that take the place of a cubin, and a dict with the name of each instance's kernel in them.

    Raises:
        ValueError: if the compiler fails; contains its message.
    """
    includes = [o for o in options if o.startswith('-D')
                or o.startswith('-I') and '_cccl' not in o and not Path(o[2:], 'cuda.h').exists()]
    waits = _WAITS.search(source) is not None
    folds = not waits and _KNOWS_ITS_THREAD.search(source) is None
    instances = {expression: f'expression_{i}' for i, expression in enumerate(name_expressions or ())}
    templates = _TEMPLATE.findall(source)
    kernels = {name: name for name in _KERNEL.findall(source) if name not in templates}
    whole = '\n'.join([
        f'#define EMU_FOLDS {int(folds)}', '#define EMU_FIBRES' if waits else '', '#include "kernel.h"', '#line 1 "kernel.cu"',
        _DYNAMIC_SHARED.sub(r'\2 *\3 = (\2 *)emu_shared;', source),
        *(f'EMU_ENTRY(emu_entry_{symbol}, {expression})' for expression, symbol in {**kernels, **instances}.items())])
    with tempfile.TemporaryDirectory() as folder:
        file, target = Path(folder, 'kernel.cpp'), Path(folder, 'kernel.so')
        file.write_text(whole)
        compile_library(target, [file], *_KERNEL_FLAGS, *includes)
        code = target.read_bytes()
    return b'CPUCUBIN' + len(code).to_bytes(8, 'little') + code, instances


def replace_nvrtc(module):
    """Make `cupy.cuda.compiler` compile with g++ and, with NVRTC=1, with the real NVRTC as well."""
    real = module._compile_using_nvrtc_no_warning
    accepted = set()

    def compile(source, options=(), arch=None, filename='kern.cu', name_expressions=None, log_stream=None,
                cache_in_memory=False, jitify=None, method=None):
        if setting('NVRTC') and source not in accepted:
            real(source, options, '90', filename, name_expressions, log_stream, True, False)
            accepted.add(source)
        try:
            return compile_kernels(source, options, name_expressions)
        except ValueError as error:
            raise module.CompileException(str(error), source, filename, options, 'g++') from None

    module._compile_using_nvrtc_no_warning = compile
    # CuPy caches compiled kernels in files whose names depend on this text
    module._preprocess = lambda *arguments: f'cupy_on_cpu {fingerprint()} {setting("NVRTC")}'
    if not setting('NVRTC'):
        module._get_nvrtc_version = lambda: (13, 2)
        module._get_max_compute_capability = lambda: '120'


def library(name, sources, *flags):
    """Return the path of the shared library `name`, compiled from C++ files or taken from the cache."""
    texts = [path.read_text() for path in [*sources, *sorted(NATIVE.glob('*.h'))]]
    target = CACHE / f'{name}.{digest(*texts, *flags)}'
    if not target.exists():
        compile_library(target, sources, f'-Wl,-soname,{name}', *flags)
    return target
