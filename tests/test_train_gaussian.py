"""The training script as a user runs it."""
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = ROOT / 'train_gaussian.py'
SHORT = ['--epoch', '3', '--epoch-size', '60', '--log-interval', '20', '--sample-interval', '60', '--snapshot-interval', '50',
         '--hidden-g', '16', '--hidden-d', '16', '--latent', '8', '--batchsize', '16']
TIMED = {'elapsed_time', 'images_per_second'}


def start(*flags, **options):
    return subprocess.Popen([sys.executable, str(SCRIPT), *map(str, flags)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def train(*flags, **options):
    process = start(*flags, **options)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def arrays(path):
    with np.load(path, allow_pickle=False) as f:
        return {key: f[key] for key in f.files}


def same_arrays(a, b):
    a, b = arrays(a), arrays(b)
    return a.keys() == b.keys() and all(a[key].dtype == b[key].dtype and np.array_equal(a[key], b[key]) for key in a)


def timeless_log(folder):
    return [{k: v for k, v in entry.items() if k not in TIMED} for entry in json.loads((folder / 'log').read_text())]


def assert_same_run(a, b, iteration=180):
    assert same_arrays(a / f'generator_iter_{iteration}.npz', b / f'generator_iter_{iteration}.npz')
    assert timeless_log(a) == timeless_log(b)
    pictures = sorted(p.name for p in (a / 'samples').iterdir())
    assert pictures == sorted(p.name for p in (b / 'samples').iterdir())
    for name in pictures:
        assert (a / 'samples' / name).read_bytes() == (b / 'samples' / name).read_bytes()


def assert_one_line(result, *words, status=2):
    assert result.returncode == status
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """An uninterrupted short run of 180 updates."""
    folder = tmp_path_factory.mktemp('whole') / 'run'
    result = train(*SHORT, '-o', folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_a_run_leaves_the_whole_folder_and_prints_its_numbers(whole):
    folder, printed = whole
    names = {p.name for p in folder.iterdir()}
    assert {'config.json', 'log', 'metrics.json', 'samples', 'snapshot_iter_180', 'generator_iter_180.npz'} <= names
    assert not any(name.startswith('.') for name in names)
    metrics = json.loads((folder / 'metrics.json').read_text())
    assert metrics['iteration'] == 180 and metrics['modes_total'] == 8
    assert 0 <= metrics['high_quality'] <= 1 and metrics['images_per_second'] > 0
    for name in metrics:
        assert name in printed
    log = json.loads((folder / 'log').read_text())
    assert [entry['iteration'] for entry in log] == list(range(20, 181, 20))
    assert {'gen/loss', 'dis/loss', 'modes_captured', 'modes_fair', 'high_quality', 'sliced_wasserstein'} <= log[0].keys()
    config = json.loads((folder / 'config.json').read_text())
    assert config['settings']['seed'] == 0 and config['settings']['abc'] == [0, 1, 1]
    assert config['versions']['chainer'] == '7.8.1'
    with Image.open(folder / 'samples' / 'iter_00000180.png') as picture:
        assert picture.format == 'PNG' and min(picture.size) >= 200


def test_only_the_newest_snapshots_stay(whole, tmp_path):
    folder, _ = whole
    names = sorted(p.name for p in folder.glob('snapshot_iter_*'))
    assert names == ['snapshot_iter_100', 'snapshot_iter_150', 'snapshot_iter_180']
    train(*SHORT, '--keep', 1, '-o', tmp_path / 'run')
    assert [p.name for p in (tmp_path / 'run').glob('snapshot_iter_*')] == ['snapshot_iter_180']


def test_generator_weights_load_in_stock_chainer(whole):
    import chainer
    import chainer.links as L
    folder, _ = whole
    stock = chainer.ChainList(L.Linear(8, 16), L.Linear(16, 2))
    chainer.serializers.load_npz(folder / 'generator_iter_180.npz', stock)
    assert np.array_equal(stock[0].W.array, arrays(folder / 'generator_iter_180.npz')['0/W'])


def test_stopped_early_and_continued_is_the_run_that_never_stopped(whole, tmp_path):
    folder = tmp_path / 'run'
    result = train(*SHORT, '--iterations', 130, '-o', folder)
    assert result.returncode == 0 and '--resume' in result.stdout
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_every_stage_of_a_run_resumes_exactly(whole, tmp_path):
    folder = tmp_path / 'run'
    for iterations in 10, 50, 75:
        new = SHORT if iterations == 10 else []
        assert train(*new, '--iterations', iterations, '-o', folder, '--resume').returncode == 0
    assert train('--resume', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_resuming_from_a_named_snapshot(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    result = train('--resume', tmp_path / 'run' / 'snapshot_iter_100')
    assert result.returncode == 0 and 'updates 100 to 180' in result.stdout
    assert_same_run(whole[0], tmp_path / 'run')
    elsewhere = tmp_path / 'elsewhere'
    assert train('--resume', whole[0] / 'snapshot_iter_100', '-o', elsewhere).returncode == 0
    assert same_arrays(whole[0] / 'generator_iter_180.npz', elsewhere / 'generator_iter_180.npz')
    assert timeless_log(whole[0]) == timeless_log(elsewhere)
    assert_one_line(train('--resume', whole[0] / 'snapshot_iter_100', '-o', elsewhere), 'elsewhere', 'exists')


def test_resuming_another_folder_continues_its_newest_snapshot(whole, tmp_path):
    result = train('--resume', whole[0], '-o', tmp_path / 'run')
    assert result.returncode == 0 and 'updates 180 to 180' in result.stdout
    assert json.loads((tmp_path / 'run' / 'metrics.json').read_text())['iteration'] == 180
    assert (tmp_path / 'run' / 'figures' / 'scatter.png').exists()


def test_what_belongs_to_the_user_stays(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    (tmp_path / 'run' / 'logs-mine').mkdir()
    (tmp_path / 'run' / 'logs-mine' / 'note').touch()
    (tmp_path / 'run' / 'logabcd_123').mkdir()
    (tmp_path / 'run' / 'logabcd_123' / 'log.json').touch()
    assert train('--resume', tmp_path / 'run').returncode == 0
    assert (tmp_path / 'run' / 'logs-mine' / 'note').exists() and not (tmp_path / 'run' / 'logabcd_123').exists()


def test_what_changes_nothing_computed_may_change_on_resuming(whole, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--iterations', 60, '-o', folder).returncode == 0
    assert train('--resume', folder, '--keep', 1, '--snapshot-interval', 40).returncode == 0
    assert [p.name for p in folder.glob('snapshot_iter_*')] == ['snapshot_iter_180']
    assert json.loads((folder / 'config.json').read_text())['settings']['keep'] == 1
    assert_same_run(whole[0], folder)


@pytest.mark.parametrize('loss', [['--loss', 'wgan', '--n-critic', 2, '--optimizer', 'rmsprop'], ['--loss', 'gan'],
                                  ['--abc', -1, 1, 0, '--average', 0, '--noise', 0]])
def test_other_losses_resume_exactly(loss, tmp_path):
    assert train(*SHORT, *loss, '-o', tmp_path / 'whole').returncode == 0
    assert train(*SHORT, *loss, '-o', tmp_path / 'parts', '--iterations', 70).returncode == 0
    assert train('--resume', tmp_path / 'parts').returncode == 0
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


def test_watching_does_not_change_the_training(whole, tmp_path):
    assert train(*SHORT, '--log-interval', 1000, '--sample-interval', 1000, '-o', tmp_path / 'run').returncode == 0
    assert same_arrays(whole[0] / 'generator_iter_180.npz', tmp_path / 'run' / 'generator_iter_180.npz')


def test_the_seed_determines_the_run(whole, tmp_path):
    assert train(*SHORT, '--seed', 1, '-o', tmp_path / 'run').returncode == 0
    assert not same_arrays(whole[0] / 'generator_iter_180.npz', tmp_path / 'run' / 'generator_iter_180.npz')


@pytest.mark.parametrize('number, status', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(whole, tmp_path, number, status):
    folder = tmp_path / 'run'
    process = start(*SHORT, '-o', folder)
    for line in process.stdout:
        if ' 20 of 180 updates' in line:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == status and not err
    assert f'--resume -o {folder}' in out
    stopped_at = max(int(p.name.split('_')[-1]) for p in folder.glob('snapshot_iter_*'))
    assert 20 <= stopped_at <= 180
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_killed_at_random_moments_it_always_resumes(whole, tmp_path):
    folder = tmp_path / 'run'
    moments = random.Random(0)
    kills = 0
    while kills < 20:
        process = start(*(SHORT if not (folder / 'config.json').exists() else []), '--resume', '-o', folder)
        try:
            _, err = process.communicate(timeout=moments.uniform(0.1, 2.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        else:
            assert process.returncode == 0, err
            assert_same_run(whole[0], folder)
            shutil.rmtree(folder)
        kills += 1
        for path in folder.glob('snapshot_iter_*'):
            assert arrays(path)
    assert train(*(SHORT if not (folder / 'config.json').exists() else []), '--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)
    assert not [p for p in folder.rglob('*') if p.name.startswith('.') or p.is_dir() and p.name.startswith('log')]


@pytest.mark.parametrize('damage', ['truncated', 'emptied', 'foreign', 'pickled', 'another run'])
def test_a_bad_snapshot_is_named_and_the_one_before_used(whole, tmp_path, damage):
    shutil.copytree(whole[0], tmp_path / 'run')
    bad = tmp_path / 'run' / 'snapshot_iter_180'
    content = bad.read_bytes()
    if damage == 'another run':
        assert train(*SHORT, '--loss', 'gan', '-o', tmp_path / 'gan').returncode == 0
        shutil.copy(tmp_path / 'gan' / 'snapshot_iter_180', bad)
    elif damage == 'foreign':
        with open(bad, 'wb') as f:
            np.savez(f, weights=np.zeros(3))
    elif damage == 'pickled':
        with open(bad, 'wb') as f:
            np.savez(f, **arrays(whole[0] / 'snapshot_iter_180'), extra=np.array([{'a': 1}], object))
    else:
        bad.write_bytes(content[:len(content) // 2] if damage == 'truncated' else b'')
    result = train('--resume', '-o', tmp_path / 'run')
    assert result.returncode == 0
    assert 'snapshot_iter_180' in result.stderr and len(result.stderr.splitlines()) == 1
    assert 'updates 150 to 180' in result.stdout
    assert_same_run(whole[0], tmp_path / 'run')
    shutil.copy(tmp_path / 'run' / 'config.json', tmp_path / 'file')
    assert_one_line(train('--resume', tmp_path / 'file'), str(tmp_path / 'file'))


def test_contradicting_settings_are_named(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    before = sorted(p.name for p in (tmp_path / 'run').rglob('*'))
    result = train('--resume', '-o', tmp_path / 'run', '--seed', 5, '--lr-g', 0.5, '--latent', 8)
    assert_one_line(result, '--seed', '5', '--lr-g', '0.5')
    assert '--latent' not in result.stderr
    assert before == sorted(p.name for p in (tmp_path / 'run').rglob('*'))


def test_an_existing_folder_is_never_silently_used(whole, tmp_path):
    assert_one_line(train(*SHORT, '-o', whole[0]), str(whole[0]), '--resume', '--out')
    (tmp_path / 'file').touch()
    assert_one_line(train(*SHORT, '-o', tmp_path / 'file'), 'file')
    assert_one_line(train(*SHORT, '--resume', '-o', tmp_path), str(tmp_path), 'exists', '--out')
    assert_one_line(train('-o', tmp_path / 'new' / 'run', '--resume', tmp_path / 'nothing'), 'nothing')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('flags, words', [
    (['--batchsize', '0'], ['--batchsize', "'0'"]),
    (['--lr-g', 'fast'], ['--lr-g', "'fast'"]),
    (['--abc', '1', '2'], ['--abc']),
    (['--abc', 'nan', '1', '1'], ['--abc', "'nan'"]),
    (['--loss', 'hinge'], ['--loss', 'hinge', 'lsgan']),
    (['--loss', 'gan', '--abc', '0', '1', '1'], ['--abc', 'lsgan']),
    (['--scheme', 'pearson', '--abc', '0', '1', '1'], ['--abc', '--scheme']),
    (['--device', '7'], ['--device', '7']),
    (['--device', 'tpu'], ['--device', 'tpu']),
    (['--noise', '0.01'], ['--noise 0.01', '--noise-end 0.02']),
    (['--loss', 'wgan', '--beta1', '0.9'], ['--beta1', 'adam']),
    (['--clip', '0.1'], ['--clip', 'wgan']),
    (['--noise', '0', '--noise-end', '0.1'], ['--noise-end']),
    (['--seed', '4294967296'], ['--seed']),
    (['--radius', '1e200'], ['--radius']),
    (['--no-such-flag'], ['--no-such-flag', '--help']),
])
def test_wrong_flags_are_one_line(flags, words, tmp_path):
    assert_one_line(train(*flags, '-o', tmp_path / 'run'), *words)
    assert not (tmp_path / 'run').exists()


def test_divergence_stops_the_run_and_is_not_saved(tmp_path):
    result = train(*SHORT, '--snapshot-interval', 7, '--average', 0, '--lr-g', 1e30, '--lr-d', 1e30, '-o', tmp_path / 'run')
    assert_one_line(result, 'not finite', '--lr-g 1e+30', 'update', status=1)
    for path in (tmp_path / 'run').glob('snapshot_iter_*'):
        assert all(np.isfinite(a).all() for a in arrays(path).values() if a.dtype.kind == 'f')
    for path in (tmp_path / 'run').glob('*.json'):
        assert 'NaN' not in path.read_text()


def test_a_full_disk_is_one_line_and_loses_nothing(whole, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--iterations', 50, '-o', folder).returncode == 0
    size = (folder / 'snapshot_iter_50').stat().st_size

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    assert_one_line(train('--resume', '-o', folder, preexec_fn=small_files), str(folder))
    assert sorted(p.name for p in folder.glob('*snapshot*')) == ['snapshot_iter_50']
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_an_unusable_out_folder_is_one_line(tmp_path):
    (tmp_path / 'file').touch()
    assert_one_line(train(*SHORT, '-o', tmp_path / 'file' / 'run'), 'file')


def test_it_runs_from_any_folder_into_the_default_one(tmp_path):
    assert train(*SHORT, '--iterations', 5, cwd=tmp_path).returncode == 0
    assert (tmp_path / 'result' / 'gaussian' / 'metrics.json').exists()


def test_the_run_says_what_its_targets_mean(tmp_path):
    binary = train(*SHORT, '--iterations', 1, '-o', tmp_path / 'binary').stdout
    pearson = train(*SHORT, '--iterations', 1, '--abc', -1, 1, 0, '-o', tmp_path / 'pearson').stdout
    assert json.loads((tmp_path / 'pearson' / 'config.json').read_text())['settings']['scheme'] == 'pearson'
    equal = train(*SHORT, '--iterations', 1, '--abc', 1, 1, 1, '-o', tmp_path / 'equal').stdout
    assert 'do not both hold' in binary and 'G minimises a Pearson' in pearson
    assert 'warning: a == b' in equal and 'warning' not in binary


def test_a_terminal_gets_a_live_bar(tmp_path):
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    process = subprocess.Popen([sys.executable, str(SCRIPT), *SHORT, '-o', str(tmp_path / 'run')], stdout=slave, stderr=slave)
    os.close(slave)
    seen, deadline = b'', time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    assert process.wait() == 0
    assert b'\r' in seen and b'180/180' in seen and b'quality' in seen and b' left' in seen


@pytest.mark.parametrize('flags, total', [(['--data', 'double-ring', '--modes', 4], 8), (['--data', 'grid'], 25),
                                          (['--data', 'grid', '--modes', 3], 9), (['--modes', 12], 12)])
def test_other_data(flags, total, tmp_path):
    assert train(*SHORT, *flags, '--iterations', 5, '-o', tmp_path / 'run').returncode == 0
    assert json.loads((tmp_path / 'run' / 'metrics.json').read_text())['modes_total'] == total


@pytest.mark.parametrize('preset', ['blog', 'paper'])
@pytest.mark.parametrize('loss', ['lsgan', 'wgan', 'gan'])
def test_presets_run_with_every_loss(preset, loss, tmp_path):
    assert train('--preset', preset, '--loss', loss, '--iterations', 2, '-o', tmp_path / 'run').returncode == 0
    settings = json.loads((tmp_path / 'run' / 'config.json').read_text())['settings']
    assert settings['n_critic'] == (5 if loss == 'wgan' else 1)
    # equal real examples for every loss
    assert settings['epoch'] * settings['epoch_size'] * settings['n_critic'] == {'blog': 100_000, 'paper': 35_000}[preset]
    assert settings['batchsize'] == {'blog': 100, 'paper': 512}[preset]


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    with start(*SHORT, '-o', tmp_path / 'run') as process:
        process.stdout.readline()
        process.stdout.close()
        assert len(process.stderr.readlines()) == 1
    assert process.returncode == 1


def test_help_teaches():
    text = train('--help').stdout
    for flag in '--preset', '--abc', '--resume', '--iterations', '--noise', '--average', '--keep', '--seed':
        assert flag in text
    assert text.count('(default:') > 25
