"""Run train_gaussian.py as a user does."""
import json
import os
import subprocess
import sys
import termios
import time

import chainer
import numpy as np
import pytest
from chainer import optimizers
from PIL import Image
from running import SCRIPT, SHORT, arrays, assert_one_line, same_arrays, start, train

from lsgan import losses
from lsgan.datasets.iterator import SampleIterator
from lsgan.functions.optimizers import ClipWeights
from lsgan.random import Latent, Stream
from lsgan.training.updater import Average, GANUpdater, InstanceNoise


def test_run_writes_folder_and_prints_metrics(whole):
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


def test_generator_weights_load_in_stock_chainer(whole):
    import chainer.links as L
    folder, _ = whole
    stock = chainer.ChainList(L.Linear(8, 16), L.Linear(16, 2))
    chainer.serializers.load_npz(folder / 'generator_iter_180.npz', stock)
    assert np.array_equal(stock[0].W.array, arrays(folder / 'generator_iter_180.npz')['0/W'])


def test_seed_determines_run(whole, tmp_path):
    assert train(*SHORT, '--seed', 1, '-o', tmp_path / 'run').returncode == 0
    assert not same_arrays(whole[0] / 'generator_iter_180.npz', tmp_path / 'run' / 'generator_iter_180.npz')


def test_existing_folder_is_refused(whole, tmp_path):
    assert_one_line(train(*SHORT, '-o', whole[0]), str(whole[0]), '--resume', '--out')
    (tmp_path / 'file').touch()
    assert_one_line(train(*SHORT, '-o', tmp_path / 'file'), 'file')
    assert_one_line(train(*SHORT, '--resume', '-o', tmp_path), str(tmp_path), 'exists', '--out')
    assert_one_line(train('-o', tmp_path / 'new' / 'run', '--resume', tmp_path / 'nothing'), 'nothing')
    assert not (tmp_path / 'new').exists()


def test_noise_below_its_end_is_constant(tmp_path):
    for noise in '0', '0.01':       # the preset's ends at 0.02
        assert train(*SHORT, '--noise', noise, '--iterations', 20, '-o', tmp_path / noise).returncode == 0
    assert not same_arrays(*(tmp_path / noise / 'generator_iter_20.npz' for noise in ('0', '0.01')))


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
    (['--loss', 'wgan', '--beta1', '0.9'], ['--beta1', 'adam']),
    (['--clip', '0.1'], ['--clip', 'wgan']),
    (['--noise', '0', '--noise-end', '0.1'], ['--noise-end']),
    (['--noise', '0.01', '--noise-share', '0.5'], ['--noise-share', '--noise-end']),
    (['--seed', '4294967296'], ['--seed']),
    (['--radius', '1e200'], ['--radius']),
    (['--no-such-flag'], ['--no-such-flag', '--help']),
])
def test_wrong_flags_are_one_line(flags, words, tmp_path):
    assert_one_line(train(*flags, '-o', tmp_path / 'run'), *words)
    assert not (tmp_path / 'run').exists()


def test_divergence_stops_run_without_saving(tmp_path):
    result = train(*SHORT, '--snapshot-interval', 7, '--average', 0, '--lr-g', 1e30, '--lr-d', 1e30, '-o', tmp_path / 'run')
    assert_one_line(result, 'not finite', '--lr-g 1e+30', 'update', status=1)
    for path in (tmp_path / 'run').glob('snapshot_iter_*'):
        assert all(np.isfinite(a).all() for a in arrays(path).values() if a.dtype.kind == 'f')
    for path in (tmp_path / 'run').glob('*.json'):
        assert 'NaN' not in path.read_text()


def test_unusable_out_folder_is_one_line(tmp_path):
    (tmp_path / 'file').touch()
    assert_one_line(train(*SHORT, '-o', tmp_path / 'file' / 'run'), 'file')


def test_runs_from_any_folder(tmp_path):
    assert train(*SHORT, '--iterations', 5, cwd=tmp_path).returncode == 0
    assert (tmp_path / 'result' / 'gaussian' / 'metrics.json').exists()


def test_run_explains_targets(tmp_path):
    binary = train(*SHORT, '--iterations', 1, '-o', tmp_path / 'binary').stdout
    pearson = train(*SHORT, '--iterations', 1, '--abc', -1, 1, 0, '-o', tmp_path / 'pearson').stdout
    assert json.loads((tmp_path / 'pearson' / 'config.json').read_text())['settings']['scheme'] == 'pearson'
    equal = train(*SHORT, '--iterations', 1, '--abc', 1, 1, 1, '-o', tmp_path / 'equal').stdout
    assert 'G minimises no Pearson' in binary and 'G minimises a Pearson' in pearson
    assert 'warning: with a == b' in equal and 'warning' not in binary


def test_terminal_shows_progress_bar(tmp_path):
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


def test_closed_pipe_is_one_line(tmp_path):
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


TUNED = ['--noise', 0, '--average', 0, '--lr-decay', 0, '--lr-g', 0.002, '--lr-d', 0.003]


@pytest.mark.parametrize('flags, loss, make, options, clip', [
    ([*TUNED, '--abc', -0.5, 1.5, 0.25, '--beta1', 0.3, '--beta2', 0.9], losses.LeastSquares(-0.5, 1.5, 0.25),
     lambda rate: optimizers.Adam(rate, 0.3, 0.9), {}, None),
    ([*TUNED, '--scheme', 'pearson', '--optimizer', 'sgd', '--split-discriminator-update'],
     losses.LeastSquares(-1, 1, 0), optimizers.SGD, {'split': True}, None),
    ([*TUNED, '--loss', 'gan', '--optimizer', 'rmsprop'], losses.LOSSES['gan'](), optimizers.RMSprop, {}, None),
    ([*TUNED, '--loss', 'wgan', '--n-critic', 2, '--clip', 0.02], losses.Wasserstein(), optimizers.RMSprop, {'n_critic': 2},
     0.02),
    (['--noise', 0.2, '--noise-end', 0.1, '--noise-share', 0.55, '--average', 0.8, '--lr-decay', 0.5, '--optimizer', 'sgd',
      '--lr-g', 0.002, '--lr-d', 0.003], losses.LeastSquares(), optimizers.SGD,
     {'noise': [0.2 * 0.5 ** (i / 4.4) for i in range(5)] + [0] * 3, 'rates': [1, 1, 1, 1, 1, 0.75, 0.5, 0.25],
      'average': 0.8}, None),
], ids=['adam', 'split', 'gan', 'wgan', 'schedules'])
def test_effects_of_flags(flags, loss, make, options, clip, tmp_path, monkeypatch):
    """Compare a run of 8 updates with an updater that is built here from the parts that the flags name."""
    short = ['--epoch', 1, '--epoch-size', 8, '--batchsize', 20, '--hidden-g', 16, '--hidden-d', 16, '--latent', 8]
    result = train(*flags, *short, '-o', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import train_gaussian
    np.random.seed(0)
    made = train_gaussian.build(json.loads((tmp_path / 'run' / 'config.json').read_text())['settings'])
    both = {'generator': make(0.002).setup(made.generator), 'discriminator': make(0.003).setup(made.discriminator)}
    if clip:
        both['discriminator'].add_hook(ClipWeights(clip))
    cpu = chainer.get_device('@numpy')
    n, noise = options.get('n_critic', 1), options.get('noise', [0] * 8)
    instance = InstanceNoise(0.2, 0.0, Stream(0, 'noise', cpu)) if any(noise) else None
    average = Average(made.generator, options['average'], made.latents(0, cpu, 1)) if 'average' in options else None
    updater = GANUpdater(SampleIterator(made.data, 20, Stream(0, 'data', cpu), 8 * n), both, loss,
                         Latent(8, 'normal', Stream(0, 'latent', cpu)), n, instance, average, options.get('split', False))
    for sigma, share in zip(noise, options.get('rates', [1] * 8)):
        if instance:
            instance.sigma = sigma
        if 'rates' in options:
            both['generator'].lr, both['discriminator'].lr = 0.002 * share, 0.003 * share
        updater.update()
    ours, theirs = chainer.serializers.DictionarySerializer(), arrays(tmp_path / 'run' / 'generator_iter_8.npz')
    updater.sampler().serialize(ours)
    assert ours.target.keys() == theirs.keys()
    for name, array in ours.target.items():
        np.testing.assert_allclose(theirs[name], array, rtol=1e-6, atol=1e-8)
