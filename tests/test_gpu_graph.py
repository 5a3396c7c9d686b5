"""Whole updates as CUDA graphs: the same numbers as without, whatever changes from update to update."""
import chainer
import gpu_checks
import numpy
import pytest
from gpu_checks import TINY, assemble, emulation, loop, run_script, state_of, update
from running import assert_same_run

from lsgan import losses
from lsgan.errors import InputError

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures('gpu')]
UPDATES = 12
# metrics and pictures between the replays, learning rates that fall, and noise that ends halfway
WATCHED = ['--epoch', 2, '--epoch-size', UPDATES // 2, '--log-interval', 4, '--metric-interval', 4, '--sample-interval', 5,
           '--snapshot-interval', 5, '--keep', 9, '--lr-decay', 0.9, '--noise', 0.5, '--noise-end', 0.1, '--noise-share', 0.5,
           '--average', 0.9, '-d', 0]
CASES = {
    'gaussian lsgan': ('gaussian', ['--n-critic', 2, '--clip-gradient', 0.5, '--gradient-norms']),
    'gaussian wgan': ('gaussian', ['--loss', 'wgan', '--split-discriminator-update']),
    'gaussian gan': ('gaussian', ['--loss', 'gan', '--split-discriminator-update', '--clip-gradient', 0.1]),
    'mnist lsgan': ('mnist', ['--gradient-norms']),
    'mnist wgan': ('mnist', ['--loss', 'wgan', '--network', 'mlp', '--norm', 'both', '--optimizer', 'rmsprop']),
    'anime lsgan': ('anime', ['--mirror', '--norm-d', 'all', '--upsample', 'resize']),
    'anime cifar': ('anime', ['--preset', 'cifar', '--n-critic', 2]),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return gpu_checks.write_data(tmp_path_factory.mktemp('data') / 'data')


@pytest.mark.script
@pytest.mark.parametrize('script, given', CASES.values(), ids=CASES)
def test_a_run_is_the_same_with_graphs_without_and_resumed(data, tmp_path, script, given):
    given = [*TINY[script], *WATCHED, *data[script], *given]
    launched = []
    for name, more in ('graph', []), ('eager', ['--no-graph']), ('resumed', ['--iterations', 7]):
        before = emulation() and emulation().counts()['graphs']
        assert run_script(script, *given, *more, '-o', tmp_path / name) == 0
        launched.append(emulation() and emulation().counts()['graphs'] - before)
    assert run_script(script, '-o', tmp_path / 'resumed', '--resume') == 0
    for name in 'eager', 'resumed':
        assert_same_run(tmp_path / 'graph', tmp_path / name, UPDATES)
    if emulation():     # two updates warm up, and again when the noise has ended; images are first put onto the device
        assert launched[0] == UPDATES - 4 - (script != 'gaussian') and launched[1] == 0


def make_trainer(data, tmp_path, *flags):
    return assemble('gaussian', *TINY['gaussian'], *WATCHED, *flags, '-o', tmp_path / 'run')


def test_evaluation_between_replays_changes_nothing(data, tmp_path):
    states = []
    for watched in False, True:
        trainer = make_trainer(data, tmp_path / str(watched))
        for number in range(UPDATES):
            update(trainer)
            if watched:
                updater = trainer.updater
                with chainer.using_config('train', number % 2 == 0), chainer.no_backprop_mode():
                    z = updater.generator.xp.ones((50 + number, updater.latent.size), 'f')
                    updater.discriminator(updater.sampler()(z))
        states.append(state_of(trainer))
    for key, value in states[0].items():
        assert value.dtype == object or numpy.array_equal(value, states[1][key]), key


def test_what_each_update_reports_stays(data, tmp_path):
    trainer = make_trainer(data, tmp_path)
    observed = [update(trainer) for _ in range(6)]
    numbers = [float(observation['dis/loss']) for observation in observed]
    assert len(set(numbers)) == 6
    eager = make_trainer(data, tmp_path / 'eager', '--no-graph')
    assert numbers == [float(update(eager)['dis/loss']) for _ in range(6)]


def test_an_update_that_waits_is_refused_with_what_to_do(data, tmp_path, monkeypatch):
    class Waiting(losses.LeastSquares):

        def generator(self, fake):
            assert numpy.isfinite(float(fake.array.sum()))
            return super().generator(fake)

    trainer = make_trainer(data, tmp_path)
    trainer.updater.loss = Waiting()
    update(trainer, 2)
    with pytest.raises(InputError, match='--no-graph'):
        update(trainer)
    trainer.updater.graph = False
    loop(trainer, UPDATES)
