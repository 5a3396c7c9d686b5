"""Tests of the scripts on a GPU: training, resuming, metrics and pictures, with small networks."""
import functools
import json
import os
import subprocess
import sys

import chainer
import gpu_checks
import numpy
import pytest
import running
from gpu_checks import TINY, load_script, optional, run_script, settings_of, update, weights_of
from running import ROOT, assert_same_run, metrics_of

import lsgan.functions.gpu.blas  # noqa: F401  defines the setting `tf32`
from lsgan import losses
from lsgan.datasets import faces
from lsgan.datasets.iterator import SampleIterator
from lsgan.functions.perceptron import ACTIVATIONS
from lsgan.networks.image import UPSAMPLINGS
from lsgan.npz import load_weights
from lsgan.random import Stream
from lsgan.training import flags
from lsgan.training.folder import RunFolder
from lsgan.training.updater import GANUpdater

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures('gpu')]
SCRIPTS = {name: load_script(name) for name in ('gaussian', 'mnist', 'anime')}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """The flags with which each script trains on small sets of images, by script."""
    return gpu_checks.write_data(tmp_path_factory.mktemp('data') / 'data')


@pytest.fixture
def make_trainer(data, tmp_path):
    """A function that returns the trainer of a script with tiny networks and the given flags."""
    numbers = iter(range(9))

    def make_trainer(script, *flags, device=0):
        given = *TINY[script], *data[script], *flags, '-d', device, '-o', tmp_path / f'run{next(numbers)}'
        return gpu_checks.assemble(script, *given)
    return make_trainer


OPTIONS = [
    *(('gaussian', f'{name}, split', ['--optimizer', name, '--split-discriminator-update']) for name in flags.OPTIMIZERS),
    *(('gaussian', name, ['--activation-g', name, '--activation-d', name, '--n-critic', 2]) for name in ACTIVATIONS),
    *(('gaussian', name, ['--init', name, '--init-scale', 0.5]) for name in flags.INITIALIZERS),
    *(('gaussian', layout, ['--data', layout, '--abc', -1, 1, 0]) for layout in ('double-ring', 'grid')),
    ('gaussian', 'lsgan, clipped gradient', ['--clip-gradient', 0.01, '--gradient-norms']),
    ('gaussian', 'wgan, split, clipped gradient', ['--loss', 'wgan', '--split-discriminator-update', '--clip-gradient', 0.1]),
    *(('mnist', f'{network}, norm {norm}', ['--network', network, '--hidden-g', 6, 5, '--hidden-d', 4, 6, '--norm', norm])
      for network in ('conv', 'mlp') for norm in ('none', 'g', 'd', 'both')),
    ('mnist', 'uniform latents, split', ['--latent-distribution', 'uniform', '--split-discriminator-update']),
    *(('anime', f'{kind}, norm by {norm}', ['--upsample', kind, '--norm-g', norm])
      for kind, norm in zip(UPSAMPLINGS, ('channel', 'unit', 'channel'))),
    *(('anime', f"D's norm {norm}", ['--norm-d', norm, '--n-critic', 2]) for norm in ('all', 'but-first', 'none')),
    *(('anime', name, ['--activation-g', name, '--activation-d', name, '--norm-d', 'all']) for name in ACTIVATIONS),
    ('anime', 'grey and mirrored', ['--channels', 1, '--mirror', '--clip-gradient', 0.1]),
]
CASES = {**{f'{script} {preset} {loss}': (script, ['--preset', preset, '--loss', loss])
            for script, module in SCRIPTS.items() for preset in module.PRESETS for loss in losses.LOSSES},
         **{f'{script} {name}': (script, given) for script, name, given in OPTIONS}}
each_case = pytest.mark.parametrize('script, given', CASES.values(), ids=CASES)


def nets_of(trainer):
    """Return D and G, in this order."""
    return [optimizer.target for _, optimizer in sorted(trainer.updater.get_all_optimizers().items())]


def averaged_weights_of(trainer):
    """Return the moving averages of G's weights, or its weights if there is no average.

    The statistics of batch normalisation are left out, because computing them for the average takes long.
    """
    average, state = trainer.updater.average, chainer.serializers.DictionarySerializer()
    if average is None:
        return weights_of(trainer.updater.generator)
    average.serialize(state)
    return {name: state.target['averaged' + name] for name, _ in trainer.updater.generator.namedparams()}


class Known:
    """A source of real data and latents that are the same on every device."""

    def __init__(self, device, shape, latent):
        self.device, self.shape, self.size = device, shape, latent
        self.random = numpy.random.RandomState(0)

    def sample(self, n, stream):
        return self.draw(n, *self.shape)

    def latent(self, n):
        return self.draw(n, self.size)

    def draw(self, *shape):
        return self.device.send(self.random.uniform(-1, 1, shape).astype(numpy.float32))


def with_known_numbers(trainer, shape):
    """Return an updater of the trainer's networks and optimizers with `Known` data and larger initial weights.

    With small initial weights, all gradients would be small, and rounding errors would determine the steps.
    """
    updater, random = trainer.updater, numpy.random.RandomState(1)
    settings, device = settings_of(trainer), updater.generator.device
    for optimizer in updater.get_all_optimizers().values():
        for _, p in sorted(optimizer.target.namedparams()):
            if p.ndim > 1:
                W = random.standard_normal(p.shape) / (p.size / len(p)) ** 0.5
                p.array[...] = device.send(W.astype(numpy.float32))
        if hasattr(optimizer, 'eps'):
            optimizer.eps = 1e-3
    known = Known(device, shape, settings['latent'])
    iterator = SampleIterator(known, settings['batchsize'], Stream(0, 'data', device), 10)
    return GANUpdater(iterator, updater.get_all_optimizers(), updater.loss, known.latent, updater.n_critic, None,
                      updater.average, updater.split)


@each_case
def test_updates_equal_cpu(make_trainer, gpu, script, given):
    runs = []
    for device in 0, -1:
        with chainer.using_config('tf32', False):
            trainer = make_trainer(script, *given, '--noise', 0.1, '--lr-g', 1e-3,     # a larger step enlarges rounding
                                   *optional(script, '--no-tf32'), device=device)
            nets = nets_of(trainer)
            latents = trainer.updater.generator.xp.zeros((1, settings_of(trainer)['latent']), 'f')
            with chainer.using_config('train', False):
                shape = trainer.updater.generator(latents).shape[1:]
            updater = with_known_numbers(trainer, shape)
            before, observed = [weights_of(net) for net in nets], {}
            for _ in range(3):
                with chainer.Reporter().scope(observed):
                    updater.update()
        observed = {key: float(value) for key, value in observed.items()}
        runs.append(([*(weights_of(net) for net in nets), averaged_weights_of(trainer)], observed, trainer))
    (ours, reported, trainer), (theirs, expected, _) = runs
    assert {'gen/loss', 'dis/loss', 'dis/real', 'dis/fake'} <= reported.keys() == expected.keys()
    for key, value in expected.items():
        assert reported[key] == pytest.approx(value, rel=1e-3, abs=1e-4), key
    for ours_after, theirs_after, first in zip(ours, theirs, [*before, before[1]]):
        moved = max(abs(theirs_after[key] - first[key]).max() for key in first)
        assert moved > 0
        for key in first:
            assert abs(ours_after[key] - theirs_after[key]).max() <= 0.01 * moved, key

    observed = update(trainer, 2)       # on the script's own batches, latents and noise
    assert observed.keys() == expected.keys()
    assert all(isinstance(value, gpu.xp.ndarray) and numpy.isfinite(float(value)) for value in observed.values())
    for net, known_weights in zip(nets_of(trainer), ours):
        now = weights_of(net)
        assert all(numpy.isfinite(array).all() for array in now.values())
        assert any((now[key] != known_weights[key]).any() for key in now)


# flags for everything that has a state: moving average, noise and gradient norms; `RESUMED` adds schedules and steps of D
SCHEDULED = ['--epoch', 2, '--epoch-size', 5, '--log-interval', 2, '--metric-interval', 1000, '--sample-interval', 1000,
             '--snapshot-interval', 1000, '--noise', 0.5, '--noise-end', 0.1, '--average', 0.9, '--gradient-norms']
RESUMED = {
    'gaussian lsgan': ('gaussian', ['--n-critic', 2, '--clip-gradient', 0.5, '--lr-decay', 1]),
    'gaussian wgan': ('gaussian', ['--loss', 'wgan', '--lr-steps', 1, 0.5]),
    'gaussian sgd': ('gaussian', ['--loss', 'gan', '--optimizer', 'sgd', '--split-discriminator-update']),
    'mnist lsgan': ('mnist', ['--n-critic', 2, '--clip-gradient', 0.5, '--lr-steps', 1, 0.5]),
    'mnist wgan': ('mnist', ['--loss', 'wgan', '--network', 'mlp', '--lr-decay', 1]),
    'anime gan': ('anime', ['--loss', 'gan', '--mirror', '--n-critic', 2, '--clip-gradient', 0.5, '--norm-d', 'but-first']),
    'anime lsgan': ('anime', ['--preset', 'cifar', '--split-discriminator-update', '--lr-decay', 0.9]),
}


@pytest.mark.script
@pytest.mark.parametrize('script, given', RESUMED.values(), ids=RESUMED)
def test_seed_determines_run_and_resuming_is_exact(make_trainer, tmp_path, script, given):
    whole, part, rest = (make_trainer(script, *SCHEDULED, *given) for _ in range(3))
    gpu_checks.loop(whole, 8)
    gpu_checks.loop(part, 5)
    gpu_checks.save_and_restore(part, rest, tmp_path / 'snapshot')
    gpu_checks.loop(rest, 8)
    expected, resumed = gpu_checks.state_of(whole), gpu_checks.state_of(rest)
    assert expected.keys() == resumed.keys()
    for key, value in expected.items():
        assert value.dtype == object or numpy.array_equal(value, resumed[key]), key
    other = make_trainer(script, *SCHEDULED, *given, '--seed', 1)
    ours, others = (weights_of(trainer.updater.generator) for trainer in (whole, other))
    assert any((ours[key] != others[key]).any() for key in ours)


@pytest.mark.parametrize('script', SCRIPTS)
def test_samples_of_average_equal_cpu(make_trainer, transfer, script):
    with chainer.using_config('tf32', False):
        ours, theirs = (make_trainer(script, '--average', 0.9, *optional(script, '--no-tf32'), device=device)
                        for device in (0, -1))
        update(ours, 3)
        transfer(ours.updater.average, theirs.updater.average)
        samples, expected = (trainer.get_extension('metrics').sample() for trainer in (ours, theirs))
    assert isinstance(samples, numpy.ndarray) and len(samples) > 5 and samples.std() > 0
    numpy.testing.assert_allclose(samples, expected, rtol=1e-3, atol=1e-3)


WHOLE = {
    'gaussian': ['--epoch', 2, '--epoch-size', 10, '--log-interval', 5, '--metric-interval', 10, '--sample-interval', 10,
                 '--snapshot-interval', 6, '--loss', 'wgan'],
    'mnist': ['--epoch', 2, '--epoch-size', 4, '--log-interval', 2, '--metric-interval', 4, '--sample-interval', 4,
              '--snapshot-interval', 3, '--init-std', 0.5, 0.02],
    'anime': ['--epoch', 2, '--epoch-size', 4, '--log-interval', 2, '--metric-interval', 4, '--sample-interval', 4,
              '--snapshot-interval', 3, '--loss', 'gan', '--mirror', '--gradient-norms', '--average', 0, '--init-std', 0.5]}


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """A function that runs a script to its end, only once, and returns the run folder."""
    folder, done = tmp_path_factory.mktemp('whole'), {}

    def whole(script):
        if script not in done:
            done[script] = run_script(script, *TINY[script], *data[script], *WHOLE[script], '-d', 0, '-o', folder / script)
        assert done[script] == 0
        return folder / script
    return whole


@pytest.mark.script
@pytest.mark.parametrize('script', SCRIPTS)
def test_stopped_run_leaves_the_same_folder(whole, data, tmp_path, script):
    folder = whole(script)
    assert running.settings_of(folder)['device'] == '@cupy:0'
    given = [*TINY[script], *data[script], *WHOLE[script], '-d', 0]
    assert run_script(script, *given, '--iterations', 5, '-o', tmp_path / 'run') == 0
    assert run_script(script, '--resume', tmp_path / 'run') == 0
    updates = running.settings_of(folder)['epoch'] * running.settings_of(folder)['epoch_size']
    assert_same_run(folder, tmp_path / 'run', updates)
    metrics, log = metrics_of(folder), json.loads((folder / 'log').read_text())
    assert metrics['iteration'] == updates and metrics['images_per_second'] > 0
    assert all(numpy.isfinite(entry[key]) for entry in log for key in ('gen/loss', 'dis/loss', 'dis/real', 'dis/fake'))
    assert ('gen/gradient' in log[0]) == (script == 'anime')


@pytest.mark.script
@pytest.mark.parametrize('script', SCRIPTS)
def test_run_is_measured_and_drawn_on_cpu(whole, data, tmp_path, capsys, script):
    folder = whole(script)
    measured, saved = RunFolder(folder, ROOT).evaluate()[0], metrics_of(folder)
    del saved['iteration'], saved['images_per_second']
    assert measured.keys() == saved.keys()
    for name, value in measured.items():
        assert value == pytest.approx(saved[name], rel=0.05, abs=0.05, nan_ok=True), name
    visualize = load_script('visualize')
    assert visualize.main(['all', str(folder), '-o', str(tmp_path / 'figures')]) == 0
    drawn, said = {path.name for path in (tmp_path / 'figures').iterdir()}, capsys.readouterr().out
    assert {'curves.png', 'animation.gif'} <= drawn and 'left out' not in said, said
    assert drawn >= ({'scatter.png', 'density.png'} if script == 'gaussian' else
                     {'samples.png', 'real.png', 'nearest.png', 'numbers.png', 'corners.png', 'loop.gif'})
    assert ('classes.png' in drawn) == (script == 'mnist')
    for command, out in ('export', 'samples.npz'), ('compare', 'compare.png'):
        assert visualize.main([command, str(folder), '-o', str(tmp_path / out)]) == 0
    with numpy.load(tmp_path / 'samples.npz') as samples:
        assert len(samples['arr_0']) > 5


@pytest.mark.script
def test_run_can_be_read_without_gpu(whole, tmp_path):
    environment = {**os.environ, 'CUPY_ON_CPU': '0', 'CUDA_VISIBLE_DEVICES': ''}
    result = subprocess.run([sys.executable, str(ROOT / 'visualize.py'), 'scatter', str(whole('gaussian')), '-o',
                             str(tmp_path / 'scatter.png')], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'scatter.png').exists()


@pytest.mark.script
def test_run_is_not_resumed_on_cpu(whole, capsys):
    for source in whole('gaussian'), next(whole('gaussian').glob('snapshot_iter_*')):
        assert run_script('gaussian', '--resume', source, '-d', -1) == 2
        assert '--device is @cupy:0 in that run and @numpy in this command' in capsys.readouterr().err


@pytest.mark.script
@pytest.mark.parametrize('there, here', [(0, 0), (0, -1), (-1, 0)])
def test_init_from_run_on_other_device(make_trainer, tmp_path, there, here):
    first = make_trainer('mnist', '--snapshot-interval', 1, device=there)
    gpu_checks.loop(first, 1)
    second = make_trainer('mnist', '--init-from', first.out, '--seed', 5, device=here)
    assert second.updater.generator.device.name == ('@numpy' if here else '@cupy:0')
    for one, other in zip(nets_of(first), nets_of(second)):
        for (key, a), b in zip(weights_of(one).items(), weights_of(other).values()):
            numpy.testing.assert_array_equal(a, b, err_msg=key)
    assert numpy.isfinite(float(update(second)['gen/loss']))


@pytest.mark.script
@pytest.mark.parametrize('script', SCRIPTS)
def test_weights_load_on_cpu(whole, make_trainer, script):
    trainer = make_trainer(script, device=-1)
    path = max(whole(script).glob('generator_iter_*.npz'), key=lambda path: path.stat().st_mtime)
    load_weights(path, trainer.updater.generator, 'the generator')
    stored = chainer.serializers.DictionarySerializer()
    stored.save(trainer.updater.generator)
    with numpy.load(path) as saved:
        for key, value in stored.target.items():
            numpy.testing.assert_array_equal(value, saved[key], err_msg=key)


@pytest.mark.script
@pytest.mark.parametrize('script, loss', list(zip(SCRIPTS, losses.LOSSES)))
def test_scripts_train(data, tmp_path, script, loss):
    given = *TINY[script], *data[script], '-d', 'auto', '--iterations', 3, '--loss', loss, '-o', tmp_path / 'run'
    result = running.train(*given, script=ROOT / f'train_{script}.py')
    assert result.returncode == 0, result.stderr
    assert running.settings_of(tmp_path / 'run')['device'] == '@cupy:0' and 'Training on @cupy:0, ' in result.stdout
    assert metrics_of(tmp_path / 'run')['iteration'] == 3


@pytest.mark.script
def test_faces_are_drawn_without_images(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(faces, 'load', functools.partial(faces.load, n=600))
    given = [*TINY['anime'], '--epoch', 1, '--epoch-size', 3, '--log-interval', 3, '--metric-samples', 30]
    assert run_script('anime', *given, '-d', 0, '-o', tmp_path / 'run') == 0
    assert metrics_of(tmp_path / 'run')['values_total'] > 0
