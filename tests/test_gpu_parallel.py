"""Tests of training on several processes, each with its own GPU. They need emulated devices."""
import numpy as np
import parallel_updates
import pytest
from gpu_checks import emulation
from mpi import needs_mpi, run
from running import SHORT, assert_same_run

pytestmark = [pytest.mark.gpu, pytest.mark.script, needs_mpi, pytest.mark.usefixtures('gpu', 'emulated')]


@pytest.fixture
def emulated():
    if not emulation():
        pytest.skip('needs emulated GPUs, one for each process')


@pytest.mark.parametrize('communicator, case, graphs', [
    ('naive', 'perceptron+graph', 3), ('flat', 'perceptron+graph', 3), ('pure_nccl', 'perceptron+graph', 3),
    ('naive', 'perceptron+wgan+split+graph', 6), ('pure_nccl', 'perceptron+wgan+split+graph', 6),
    ('naive', 'perceptron', 0), ('naive', 'images+graph', 3),
    ('flat', 'images+sync+graph', 0), ('pure_nccl', 'images+sync', 0)])
def test_two_gpus_equal_one_cpu(tmp_path, communicator, case, graphs):
    """`graphs` is the number of CUDA graphs in an update: one more than exchanges, or none if layers exchange data."""
    if 'images' in case and 'sync' not in case:     # two CPU processes normalise as two GPUs do
        assert run(2, tmp_path / 'one.npz', case, script=parallel_updates.__file__).returncode == 0
    else:
        parallel_updates.main(tmp_path / 'one.npz', case.replace('+sync', ''))
    result = run(2, tmp_path / 'two.npz', case, '@cupy:0', communicator, script=parallel_updates.__file__)
    assert result.returncode == 0, result.stderr
    parallel_updates.assert_equal(tmp_path / 'one.npz', tmp_path / 'two.npz')
    with np.load(tmp_path / 'two.npz') as two:
        assert two['graphs'] == graphs * (parallel_updates.UPDATES - 2)     # two updates warm up


def test_graphs_do_not_change_a_run(tmp_path):
    flags = [*SHORT, '--epoch-size', 4, '--log-interval', 2, '--metric-interval', 4, '--snapshot-interval', 4, '-d', 0,
             '--clip-gradient', 0.5, '--gradient-norms']
    for name, more in ('graph', []), ('eager', ['--no-graph']), ('resumed', ['--iterations', 7]):
        result = run(2, *flags, *more, '-o', tmp_path / name)
        assert result.returncode == 0 and '2 processes' in result.stdout, result.stderr
    assert run(2, '--resume', tmp_path / 'resumed').returncode == 0
    for name in 'eager', 'resumed':
        assert_same_run(tmp_path / 'graph', tmp_path / name, 12)


def test_sync_norm_needs_another_communicator_than_naive(tmp_path):
    result = run(2, *SHORT, '-d', 0, '--sync-norm', '-o', tmp_path / 'run')
    assert result.returncode == 2 and '--communicator pure_nccl or flat' in result.stderr
