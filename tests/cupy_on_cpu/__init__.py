"""An emulated GPU for tests: CuPy's unmodified wheel runs on the CPU. See README.md in this folder.

Call `install()` before anything imports CuPy. It puts a finder in front of `sys.meta_path`. When CuPy's modules are imported,
the finder replaces what they take from the CUDA runtime, cuBLAS, cuRAND and NVRTC. CuPy's files stay unchanged.
"""
import atexit
import importlib.machinery
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from cupy_on_cpu.device import COUNTERS, SYNCS, counts, device, launched, write_report
from cupy_on_cpu.replacements import BY_MODULE, blas
from cupy_on_cpu.settings import CACHE

__all__ = ['COUNTERS', 'SYNCS', 'counts', 'environment', 'install', 'launched', 'obstacle', 'requested']


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in BY_MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                BY_MODULE[name](module)

            spec.loader.exec_module = exec_module
        return spec


def requested():
    """Return whether the environment asks for the emulation with CUPY_ON_CPU=1."""
    return os.environ.get('CUPY_ON_CPU') == '1'


def environment(**settings):
    """Return the environment variables with which other Python processes use the emulation.

    Args:
        settings: settings of README.md without their prefix, such as `LAZY=1`.
    """
    path = [str(Path(__file__).parent / 'startup'), *filter(None, [os.environ.get('PYTHONPATH')])]
    return {'CUPY_ON_CPU': '1', 'PYTHONPATH': os.pathsep.join(path),
            **{f'CUPY_ON_CPU_{name}': str(value) for name, value in settings.items()}}


def obstacle():
    """Return the reason why the emulation cannot work here, or None if it can."""
    if sys.platform != 'linux' or os.uname().machine != 'x86_64':
        return 'the emulated device needs Linux on x86-64'
    if importlib.util.find_spec('cupy_backends') is None:
        return "CuPy's wheel is not installed: pip install 'cupy-cuda13x==14.*'"
    for tool in 'g++', 'nm':
        if shutil.which(tool) is None:
            return f'the emulated device needs {tool}'
    try:
        blas()
    except ImportError as error:
        return str(error)


def install():
    """Make this process use the emulation when it imports CuPy.

    Raises:
        ImportError: if CuPy is already imported, or if something that the emulation needs is missing.
    """
    if _Finder in sys.meta_path:
        return
    if 'cupy' in sys.modules:
        raise ImportError('call cupy_on_cpu.install() before the first import of CuPy')
    reason = obstacle()
    if reason:
        raise ImportError(reason)
    os.environ.setdefault('CUPY_CACHE_DIR', str(CACHE / 'kernels'))     # separate from the kernels for a GPU
    os.environ.setdefault('CUPY_ACCELERATORS', '')                      # without CUB, which is compiled for GPUs
    device()
    sys.meta_path.insert(0, _Finder)
    if 'CUPY_ON_CPU_REPORT' in os.environ:
        atexit.register(write_report, os.environ['CUPY_ON_CPU_REPORT'])
