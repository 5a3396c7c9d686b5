"""Check with the real front end of cuDNN that our plans can be built and that the stand-in has its names. No GPU is needed."""
import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
FRONT_END = importlib.util.find_spec('cudnn')
pytestmark = pytest.mark.skipif(FRONT_END is None, reason='nvidia-cudnn-frontend is not installed')


def run(*arguments):
    result = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    return result.returncode, result.stdout, result.stderr


def test_convolutions_of_presets_have_plans():
    status, out, err = run(ROOT / 'benchmarks' / 'cudnn_plans.py', '--presets', 'blog', '--sizes', 96)
    assert status == 0, err
    counts = re.findall(r'(\d+) of (\d+)', out)
    assert counts and all(found == needed for found, needed in counts)


def test_stand_in_has_names_of_front_end():
    """Load both modules in a new process, the real one after a driver that does nothing."""
    status, out, err = run('-c', f'''
import importlib.util, sys, types
sys.path.insert(0, {str(ROOT / 'benchmarks')!r})
import cudnn_plans
cudnn_plans.load_driver()
import cudnn
sys.modules['cupy'] = types.ModuleType('cupy')
spec = importlib.util.spec_from_file_location('stand_in', {str(ROOT / 'tests/stand_ins/cudnn.py')!r})
stand_in = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stand_in)
own = 'BUILT', 'EXECUTED', 'REFUSED', 'Enum', 'Tensor', 'Handle', 'ctypes', 'cupy', 'numpy', 'os'
for name in dir(stand_in):
    if not name.startswith('_') and name not in own:
        assert hasattr(cudnn, name), name
for kind in stand_in.data_type, stand_in.heur_mode, stand_in.numerical_note:
    for member in kind:
        assert hasattr(getattr(cudnn, kind.__name__), member.name), member
for name in dir(stand_in.pygraph):
    assert hasattr(cudnn.pygraph, name) or name.startswith('_'), name
''')
    assert status == 0, err
