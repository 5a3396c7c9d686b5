"""Tests of the benchmarks, without timing anything."""
import math
import os
import re
import shutil
import subprocess
import sys
import time
import types

import numpy
import pytest
from running import ROOT

needs_timeout = pytest.mark.skipif(shutil.which('timeout') is None, reason="gpu.sh needs the command timeout")

# Takes the place of Python in gpu.sh: fails or hangs in the commands that a test chooses
FAKE = '''#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
    *$FAILS*) echo it broke; exit 3 ;;
    *$LASTS*) exec sleep 60 ;;
esac
echo done
'''


@pytest.fixture
def gpu_sh(tmp_path):
    """A function that runs benchmarks/gpu.sh with commands that do nothing.

    It takes flags and, as `fails` and `lasts`, parts of the commands that are to fail or to hang. It returns the exit status,
    a dict with the result of each part, and the list of commands.
    """
    python, calls, out = (tmp_path / name for name in ('python', 'calls', 'out'))
    python.write_text(FAKE)
    python.chmod(0o755)

    def run(*flags, fails='NO COMMAND', lasts='NO COMMAND'):
        calls.write_text('')
        done = subprocess.run(['sh', 'benchmarks/gpu.sh', out, *flags], cwd=ROOT, capture_output=True, text=True, timeout=60,
                              env={**os.environ, 'PYTHON': str(python), 'CALLS': str(calls), 'FAILS': fails, 'LASTS': lasts})
        assert done.stderr == ''
        summary = (out / 'summary.txt').read_text()
        assert done.stdout.endswith(summary)
        return done.returncode, dict(re.findall(r'(\S+) +(ok|failed|timeout)', summary)), calls.read_text().splitlines()
    return run


SHORT_RUNS = {f'{script}{what}' for script in ('gaussian', 'mnist', 'anime') for what in ('', '-pictures')}
BLOG = {'blog-lsgan', 'blog-wgan'}
PARTS = {'versions', 'tests', 'tests-of-scripts', 'speed', *SHORT_RUNS, *BLOG}


@needs_timeout
def test_gpu_sh_runs_all_parts_in_order(gpu_sh):
    status, results, calls = gpu_sh('--images', 'a b.zip', '--mnist', 'digits')
    assert status == 0 and results == dict.fromkeys(PARTS, 'ok')
    order = [next(i for i, call in enumerate(calls) if name in call)
             for name in ('gpu and not script', 'gpu and script', 'speed.py', 'train_gaussian.py',
                          '--preset blog --loss lsgan', '--preset blog --loss wgan')]
    assert order == sorted(order)
    assert sum('--images a b.zip' in call for call in calls) == 3
    assert [call.split()[0] for call in calls if '--data digits' in call] == ['train_mnist.py']


@needs_timeout
@pytest.mark.parametrize('command, failed', [
    ('gpu and not script', {'tests'}), ('speed.py', {'speed'}), ('train_mnist.py', {'mnist'}),
    ('train_', {'gaussian', 'mnist', 'anime', *BLOG}), ('visualize.py', {name for name in SHORT_RUNS if '-' in name})])
def test_failed_part_does_not_stop_others(gpu_sh, command, failed):
    status, results, _ = gpu_sh(fails=command)
    assert status == 1 and results == {**dict.fromkeys(PARTS, 'ok'), **dict.fromkeys(failed, 'failed')}


@needs_timeout
def test_slow_part_is_ended(gpu_sh):
    status, results, _ = gpu_sh('--limit', '20', lasts='gpu and not script')
    assert status == 0 and results == {**dict.fromkeys(PARTS, 'ok'), 'tests': 'timeout'}


@needs_timeout
def test_runs_of_blog_share_remaining_time(gpu_sh):
    status, results, calls = gpu_sh('--limit', '6', '--parts', 'blog', lasts='--preset blog')
    assert status == 0 and results == {'versions': 'ok', **dict.fromkeys(BLOG, 'timeout')}
    assert ['--resume' in call for call in calls if 'train_anime.py' in call] == [True, True]


def test_wrong_flags_print_usage(tmp_path):
    for flags in [], ['--help'], [tmp_path / 'out', '--limit'], [tmp_path / 'out', '--no-such-flag', '1']:
        done = subprocess.run(['sh', ROOT / 'benchmarks' / 'gpu.sh', *flags], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and '--limit SECONDS' in done.stdout and done.stderr == ''
    assert not (tmp_path / 'out').exists()


@pytest.fixture(scope='module')
def benchmarks():
    """The folder benchmarks/, from which modules can be imported, also by processes that they start."""
    sys.path.insert(0, str(ROOT / 'benchmarks'))
    yield
    sys.path.remove(str(ROOT / 'benchmarks'))


@pytest.fixture(scope='module')
def speed(benchmarks):
    """benchmarks/speed.py as a module."""
    import speed
    return speed


def measured(*seconds, failure=None):
    return types.SimpleNamespace(seconds=seconds, peak=2 ** 20, failure=failure)


def test_table_takes_medians_without_failures(speed):
    sides = {'lsgan': measured(1, 2, 1), 'PyTorch': measured(3, 3, 9), 'PyTorch tuned': measured(1, 1, 1),
             'PyTorch compiled': measured(failure='no compiler'), 'stock Chainer': measured(5, 20, 4)}
    lines = [' '.join(line.split()) for line in speed.rows('title', 10, sides)]
    assert lines == ['title lsgan 1000.00 10 1.00 1', 'PyTorch 3000.00 3 3.00 1', 'PyTorch tuned 1000.00 10 1.00 1',
                     'PyTorch compiled failed: no compiler', 'stock Chainer 5000.00 2 5.00 1']
    by_torch, by_chainer = speed.verdicts('title', sides)
    assert by_torch.endswith('PyTorch tuned, at least 1: 1.00, reached')
    assert by_chainer.endswith('stock Chainer, at least 5: 5.00, reached')
    del sides['PyTorch'], sides['PyTorch tuned']
    assert next(speed.verdicts('title', sides)).endswith('PyTorch, at least 1: not measured')
    sides['lsgan'].failure = 'no graph'
    assert math.isnan(speed.ratio(sides, 'stock Chainer'))


def test_failed_or_late_side_is_reported(speed):
    case, arguments = speed.CASES['gaussian'].narrowed(32), (4, 1, '-1', 0.001)
    failing, late, good = (speed.Side(make, 1, case, *arguments) for make in (time.sleep, speed.stock, speed.stock))
    late.answer(0.001)
    for side in failing, good:
        assert side.answer() is None
    assert failing.failure.startswith('TypeError') and late.failure == 'not ready within 0.001 s' and good.failure is None
    assert good.ask() > 2 ** 20 and good.ask() > 0 and failing.ask() is late.ask() is None
    for side in failing, late, good:
        side.close()


@pytest.mark.parametrize('name', ['gaussian', 'mnist', 'dcgan28', 'dcgan96'])
def test_pytorch_networks_have_as_many_parameters(speed, name):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    import torch_peers
    case = speed.CASES[name].narrowed(16)
    real = numpy.zeros((4, *case.shape), 'f')
    update = speed.chainer_side(case, real, 1, '-1').update
    links = [optimizer.target for optimizer in update.__self__.get_all_optimizers().values()]
    peers = [torch.nn.Sequential(*layers) for layers in torch_peers.networks(case)]
    assert [link.count_params() for link in links] == [sum(p.numel() for p in peer.parameters()) for peer in peers]
    update(), torch_peers.make_update(case, real, torch.device('cpu'))()


@pytest.mark.parametrize('name', ['gaussian', 'mnist'])
def test_jax_networks_have_as_many_parameters(speed, name):
    jax = pytest.importorskip('jax', reason='JAX is not installed')
    import jax_peers
    case = speed.CASES[name].narrowed(16)
    real = numpy.zeros((4, *case.shape), 'f')
    links = [optimizer.target
             for optimizer in speed.chainer_side(case, real, 1, '-1').update.__self__.get_all_optimizers().values()]
    assert [link.count_params() for link in links] == [sum(p.size for p in jax.tree.leaves(layers))
                                                       for layers in jax_peers.networks(case)]
    update, wait = jax_peers.make_update(case, real)
    update(), wait()


@pytest.fixture(scope='module')
def scaling(benchmarks):
    """benchmarks/scaling.py as a module."""
    import scaling
    return scaling


@pytest.mark.script
def test_scaling_measures_every_row(scaling):
    pytest.importorskip('mpi4py')
    if not scaling.find_mpiexec():
        pytest.skip('there is no mpiexec')
    command = [sys.executable, ROOT / 'benchmarks' / 'scaling.py', 'gaussian', '--processes', '2', '--rounds', '1',
               '--seconds', '0.01', '--batchsize', '8']
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [re.split('  +', line.strip()) for line in done.stdout.splitlines()[2:]]
    assert [row[:-3] for row in rows] == [['gaussian', '1 x 1', '8'], ['strong scaling', '2 x 1', '4'],
                                          ['weak scaling', '2 x 1', '8'], ['more threads', '1 x 2', '8']]
    assert rows[0][-2] == '1.00' and all(0 < float(row[-1].rstrip('%')) < 100 for row in rows[1:3])


def test_scaling_takes_medians_and_reports_failures(scaling):
    first = [(100, 0.0), (50, 0.0), (80, 0.0)]
    assert scaling.row('title', [(100, 0.5), (100, 0.1), (120, 0.2)], first).split() == ['title', '100', '1.50', '20.0%']
    for results in ([(1, 0.0), 'KeyError: x'], first), (first, ['KeyError: x']):
        assert scaling.row('title', *results) == 'title failed: KeyError: x'


@pytest.mark.parametrize('missing', ['mpi4py', 'mpiexec'])
def test_scaling_names_missing_parts(scaling, missing, monkeypatch, capsys):
    monkeypatch.setattr(scaling.importlib.util, 'find_spec', lambda name: name != missing)
    monkeypatch.setattr(scaling, 'find_mpiexec', lambda: missing != 'mpiexec')
    monkeypatch.setattr(sys, 'argv', ['scaling.py'])
    assert scaling.main() == 2
    out, err = capsys.readouterr()
    assert not out and err == f"scaling.py: {missing} is not installed: pip install 'lsgan[mpi]'\n"


def test_limit_of_scaling_follows_formulas(scaling):
    import scaling_limit

    from lsgan.networks.image import Discriminator, Generator
    generator, discriminator = Generator(5, [8, 6], (16, 16)), Discriminator([6, 8], (16, 16))
    g, images = scaling_limit.products(generator, numpy.zeros((1, 5), 'f'))
    d, scores = scaling_limit.products(discriminator, images)
    assert images.shape == (1, 3, 16, 16) and scores.shape == (1, 1)
    assert g == 5 * 8 * 4 * 4 + 16 * (8 * 6 * 4 * 4 + 6 * 3 * 8 * 8)
    assert d == 16 * (3 * 6 * 8 * 8 + 6 * 8 * 4 * 4) + 8 * 4 * 4

    cluster, far = scaling_limit.Cluster(1, 8, 'NVLink'), scaling_limit.Cluster(2, 8, 'NVLink')
    assert cluster.exchange(1e9, 8) == pytest.approx(8.4e-6 + 14 * 3.4e-6 + 1.75e9 / 450e9)
    assert cluster.exchange(4, 8) == pytest.approx(6.6e-6 + 14 * 0.6e-6, rel=1e-4)
    assert far.exchange(1e9, 16) == pytest.approx(8.4e-6 + 2 * 14e-6 + 28 * 3.4e-6 + 1.875e9 / 12.5e9)
    assert far.exchange(1e9, 8) == cluster.exchange(1e9, 8)
    # exchanges so short that all is computing: 1 ms for the kernels and 8 ms for the operations
    case = scaling_limit.Case(8, (0, 0), 10 ** 9, 1)
    _, strong, gpus, weak, least = scaling_limit.limit(case, cluster, 1e12, 1e-3)
    assert (strong, gpus, weak, least) == ('4.4', '8', '100%', '1')
