"""Tests of training on several processes: results, stopping, resuming and errors."""
import os
import pathlib
import shutil
import signal
import time

import parallel_updates
import pytest
from mpi import family, finish, needs_mpi, own_lines, run, start
from running import (
    ROOT,
    SCRIPT,
    SHORT,
    arrays,
    assert_same_run,
    metrics_of,
    same_arrays,
    settings_of,
    timeless_log,
    train,
    write_images,
)

pytestmark = [pytest.mark.script, needs_mpi]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.fixture(scope='module')
def two(tmp_path_factory):
    """An uninterrupted run of 180 updates on two processes."""
    folder = tmp_path_factory.mktemp('two') / 'run'
    result = run(2, *SHORT, '-o', folder)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_only_rank_0_prints_and_writes(two):
    folder, result = two
    assert result.stdout.count('after 180 updates:') == 1 and '2 processes with 8 examples of each batch' in result.stdout
    assert ' 100 of 180 updates' in result.stdout
    assert not own_lines(result)
    assert settings_of(folder)['processes'] == 2 and metrics_of(folder)['iteration'] == 180
    assert (folder / 'figures' / 'scatter.png').exists()
    assert not list(folder.glob('.*'))


def test_seed_determines_run(two, tmp_path):
    assert run(2, *SHORT, '-o', tmp_path / 'run').returncode == 0
    assert_same_run(two[0], tmp_path / 'run')
    assert run(2, *SHORT, '--seed', 1, '--iterations', 50, '-o', tmp_path / 'other').returncode == 0
    assert timeless_log(tmp_path / 'other') != timeless_log(two[0])[:3]


def test_processes_see_different_examples(two):
    state = arrays(two[0] / 'snapshot_iter_180')
    for first, second in ('latent', 'latent'), ('noise', 'noise'), ('iterator:main/stream', 'data'):
        assert state[f'updater/{first}/state'] != state[f'lsgan/rank1/random/{second}/state']


def test_resuming_is_exact(two, tmp_path):
    # 70 is between two entries of the log, whose sums differ between the processes
    assert run(2, *SHORT, '--iterations', 70, '-o', tmp_path / 'run').returncode == 0
    assert run(2, '--resume', '-o', tmp_path / 'run').returncode == 0
    assert_same_run(two[0], tmp_path / 'run')


def test_other_number_of_processes_needs_reshard(two, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(two[0], folder)
    result = train('--resume', folder, '--epoch', 4)
    assert result.returncode == 2 and 'mpiexec -n 2' in result.stderr and '--reshard' in result.stderr
    result = run(4, '--resume', folder, '--epoch', 4)
    assert result.returncode == 2 and len(own_lines(result)) == 1 and '--reshard' in result.stderr
    result = run(4, '--resume', folder, '--epoch', 4, '--reshard')
    assert result.returncode == 0 and 'from 2 to 4 processes at update 180' in result.stdout
    assert settings_of(folder)['resharded'] == [{'updates': 180, 'processes_before': 2, 'processes': 4}]
    result = train('--resume', folder, '--epoch', 5, '--reshard')
    assert result.returncode == 0 and 'from 4 to 1 processes at update 240' in result.stdout
    other = tmp_path / 'other'      # the same again
    shutil.copytree(two[0], other)
    assert run(4, '--resume', other, '--epoch', 4, '--reshard').returncode == 0
    assert same_arrays(folder / 'generator_iter_240.npz', other / 'generator_iter_240.npz')


@pytest.mark.parametrize('how', ['mpiexec', 'a rank'])
def test_interrupted_run_saves_and_resumes(two, tmp_path, how):
    folder = tmp_path / 'run'
    flags = [*SHORT, '--epoch', 400, '--snapshot-interval', 20000, '-o', folder]
    process = start(2, *flags)
    wait_for((folder / 'log').exists)
    ranks = sorted(pid for pid, command in family(process.pid) if 'train_gaussian' in command)
    os.kill(process.pid if how == 'mpiexec' else ranks[-1], signal.SIGINT)
    finish(process, 60)
    wait_for(lambda: not any(map(is_alive, ranks)), 30)
    done = max(int(path.name.rpartition('_')[2]) for path in folder.glob('snapshot_iter_*'))
    assert 0 < done < 20000
    assert (folder / f'generator_iter_{done}.npz').exists() and not list(folder.glob('.*.writing'))
    assert run(2, '--resume', folder, '--iterations', done + 30).returncode == 0
    assert run(2, *flags[:-1], tmp_path / 'whole', '--iterations', done + 30).returncode == 0
    assert same_arrays(tmp_path / 'whole' / f'generator_iter_{done + 30}.npz', folder / f'generator_iter_{done + 30}.npz')


@pytest.mark.parametrize('victim', [0, 1, 2, 3])     # of each rank, the parent and the child that trains
def test_all_processes_end_if_one_is_killed(tmp_path, victim):
    folder = tmp_path / 'run'
    process = start(2, *SHORT, '--epoch', 400, '-o', folder)
    wait_for((folder / 'snapshot_iter_100').exists)
    ranks = sorted(pid for pid, command in family(process.pid) if 'train_gaussian' in command)
    assert len(ranks) == 4
    os.kill(ranks[victim], signal.SIGKILL)
    begin = time.monotonic()
    err = finish(process, 30).stderr
    wait_for(lambda: not any(map(is_alive, ranks)), 30)
    assert time.monotonic() - begin < 30 and process.returncode
    assert 'rank' in err
    assert run(2, '--resume', folder, '--epoch', 401, '--iterations', 150).returncode == 0


@pytest.mark.parametrize('n, flags, words', [
    (3, ['--batchsize', 16], ['--batchsize 16', '3 processes', '15 or 18']),
    (3, ['--batchsize', 2], ['3 processes', 'at most 2']),
    (2, ['--communicator', 'flat'], ['--communicator flat', 'GPU']),
    (2, ['--communicator', 'pure_nccl'], ['--communicator pure_nccl', 'GPU']),
    (2, ['--lr-g', -1], ['--lr-g']),
    (2, ['--reshard'], ['--reshard', '--resume']),
])
def test_wrong_use_is_one_line(tmp_path, n, flags, words):
    result = run(n, *SHORT, '-o', tmp_path / 'run', *flags)
    assert result.returncode == 2
    line, = own_lines(result)
    for word in words:
        assert word in line
    assert 'Traceback' not in result.stderr and not (tmp_path / 'run').exists()


def test_help_is_printed_once():
    result = run(2, '--help')
    assert result.returncode == 0 and result.stdout.count('usage: train_gaussian.py') == 1


def test_different_flags_on_different_ranks_are_refused(tmp_path):
    wrapper = tmp_path / 'wrapper.py'
    wrapper.write_text(f'import os, runpy, sys\nsys.argv[0] = {str(SCRIPT)!r}\n'
                       "sys.argv += ['--seed', os.environ['OMPI_COMM_WORLD_RANK']]\n"
                       f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n")
    result = run(2, *SHORT, '-o', tmp_path / 'run', script=wrapper)
    line, = own_lines(result)
    assert result.returncode == 2 and '--seed is 0 for rank 0 and 1 for rank 1' in line


def test_missing_mpi_library_is_one_line(tmp_path):
    result = run(2, *SHORT, '-o', tmp_path / 'run', MPI4PY_LIBMPI=str(tmp_path / 'libmpi.so'))
    line, = own_lines(result)
    assert result.returncode == 2 and "pip install 'lsgan[mpi]'" in line


def test_missing_mpi4py_is_one_line(tmp_path):
    (tmp_path / 'mpi4py.py').write_text("raise ModuleNotFoundError(\"No module named 'mpi4py'\")")
    result = run(2, *SHORT, '-o', tmp_path / 'run', PYTHONPATH=str(tmp_path))
    line, = own_lines(result)
    assert result.returncode == 2 and "pip install 'lsgan[mpi]'" in line


def test_divergence_is_one_line(tmp_path):
    result = run(2, *SHORT, '-o', tmp_path / 'run', '--optimizer', 'sgd', '--lr-g', 1e30, '--lr-d', 1e30)
    line, = own_lines(result)
    assert result.returncode == 1 and 'not finite' in line and 'rank 0' in line


@pytest.mark.parametrize('flags', [['--loss', 'wgan', '--gradient-norms', '--clip-gradient', 0.5],
                                   ['--norm', 'both', '--sync-norm', '--split-discriminator-update']], ids=['wgan', 'sync'])
def test_digits(tmp_path, flags):
    data = write_images(tmp_path / 'data')
    given = ['--data', data, '--iterations', 6, '--batchsize', 8, '--log-interval', 2, '--metric-interval', 4,
             '--network', 'mlp', '--hidden-g', 16, '--hidden-d', 16]
    script = ROOT / 'train_mnist.py'
    for name in 'one', 'other':
        result = run(2, *given, *flags, '-o', tmp_path / name, script=script)
        assert result.returncode == 0, result.stderr
    assert_same_run(tmp_path / 'one', tmp_path / 'other', 6)


@pytest.mark.parametrize('case', ['perceptron', 'perceptron+penalty', 'perceptron+wgan+split', 'images+sync',
                                  'images+sync+split'])
def test_two_processes_equal_one(tmp_path, case):
    parallel_updates.main(tmp_path / 'one.npz', case.replace('+sync', ''))
    result = run(2, tmp_path / 'two.npz', case, script=parallel_updates.__file__)
    assert result.returncode == 0, result.stderr
    parallel_updates.assert_equal(tmp_path / 'one.npz', tmp_path / 'two.npz')


def test_different_weights_stop_run(tmp_path):
    result = run(2, tmp_path / 'two.npz', 'perceptron+damaged', script=parallel_updates.__file__)
    assert result.returncode and 'weights of rank 1' in result.stderr and 'update 10' in result.stderr
