import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = '''
{before}
import lsgan, numpy
from lsgan import functions
x = numpy.random.default_rng(0).standard_normal((3, 16, 8, 8)).astype('f')
y = functions.convolution_2d(x, numpy.ones((16, 16, 4, 4), 'f'), None, 2, 1).array
x = functions.batch_normalization(y, numpy.ones(16, 'f'), numpy.zeros(16, 'f'), 'relu').array
print(float(abs(x).sum()))
'''


def run(before='', **environment):
    return subprocess.run([sys.executable, '-W', 'error', '-c', PROGRAM.format(before=before)], cwd=ROOT, text=True,
                          capture_output=True, check=True, timeout=300, env={**os.environ, **environment})


def test_kernels_are_compiled_once_with_a_notice(tmp_path):
    first, second = (run(NUMBA_CACHE_DIR=str(tmp_path / 'cache')) for _ in range(2))
    assert first.stderr.count('Compiling CPU kernels') == 1
    assert second.stderr == ''
    assert first.stdout == second.stdout
    assert list((tmp_path / 'cache').rglob('*.nbc'))


def test_kernels_compile_without_a_writable_folder(tmp_path):
    expected = run(NUMBA_CACHE_DIR=str(tmp_path)).stdout
    for _ in range(2):
        done = run(NUMBA_CACHE_LOCATOR_CLASSES='UserProvidedCacheLocator', NUMBA_CACHE_DIR='')
        assert done.stdout == expected
        assert done.stderr.count('Compiling CPU kernels') == 1


def test_chainers_functions_replace_missing_numba():
    missing = 'import sys; sys.modules["numba"] = None'
    ours, chainers = run(), run(missing)
    assert chainers.stderr == ''
    assert abs(float(ours.stdout) / float(chainers.stdout) - 1) < 1e-5
