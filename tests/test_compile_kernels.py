"""Compile every kernel with NVIDIA's compiler. Skipped if NVRTC is not installed; no GPU is needed."""
import subprocess
import sys

import pytest
from compile_kernels import ARCHITECTURES, compile_all
from running import ROOT

from lsgan.functions.gpu import kernel


@pytest.fixture(scope='module', autouse=True)
def nvrtc():
    """Skip the tests if NVRTC is not installed."""
    cupy = pytest.importorskip('cupy', reason="CuPy's wheel is not installed: pip install 'cupy-cuda13x==14.*'")
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:      # of CuPy or of NVIDIA's library finder
        pytest.skip(f'NVRTC is not installed, pip install nvidia-cuda-nvrtc ({type(error).__name__})')


@pytest.fixture
def make_kernel(monkeypatch):
    """A function that makes a kernel and registers it for this test only."""
    monkeypatch.setattr(kernel, 'KERNELS', [])
    return kernel.Kernel


def test_all_kernels_compile():
    done = subprocess.run([sys.executable, ROOT / 'tests' / 'compile_kernels.py'], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert f'for {len(ARCHITECTURES)} architectures, 0 failed' in done.stdout


def test_correct_kernel_compiles_for_each_type_and_architecture(make_kernel, capsys):
    sound = make_kernel('extern "C" __global__ void square(T *x) { x[threadIdx.x] *= x[threadIdx.x]; }')
    assert compile_all([sound], ARCHITECTURES) == 0
    assert capsys.readouterr().out.count(' ok') == 2 * len(ARCHITECTURES)


def test_kernel_that_fails_for_one_type_is_reported(make_kernel, capsys):
    only_float = make_kernel('extern "C" __global__ void only_float(T *x) { x[0] = __int_as_float(1); float *y = x; }')
    assert compile_all([only_float], ['90']) == 1
    out, err = capsys.readouterr()
    assert 'float32  sm_90 ok' in out and 'float64  sm_90 FAILED' in out and '"float *"' in err
