"""Use the emulated device in every Python process with this folder on PYTHONPATH, CUPY_ON_CPU=1 and CuPy's wheel."""
import importlib.util
import os
import sys
from pathlib import Path

if os.environ.get('CUPY_ON_CPU') == '1' and importlib.util.find_spec('cupy_backends'):
    sys.path.append(str(Path(__file__).parents[2]))
    import cupy_on_cpu
    cupy_on_cpu.install()
