"""Check that updates replayed as CUDA graphs give the same numbers as without graphs, even if settings change in between."""
import chainer
import gpu_checks
import numpy
import pytest
from gpu_checks import TINY, assemble, emulation, loop, run_script, state_of, update
from running import assert_same_run

from lsgan import losses
from lsgan.errors import InputError
from lsgan.functions.gpu.graph import Graph
from lsgan.functions.optimizers import ClipWeights

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures('gpu')]
UPDATES = 12
# flags for metrics and pictures between replays, decaying learning rates, and noise that ends halfway
WATCHED = ['--epoch', 2, '--epoch-size', UPDATES // 2, '--log-interval', 4, '--metric-interval', 4, '--sample-interval', 5,
           '--snapshot-interval', 5, '--keep', 9, '--lr-decay', 0.9, '--noise', 0.5, '--noise-end', 0.1, '--noise-share', 0.5,
           '--average', 0.9, '-d', 0]
CASES = {
    'gaussian lsgan': ('gaussian', ['--n-critic', 2, '--clip-gradient', 0.5, '--gradient-norms']),
    'gaussian wgan': ('gaussian', ['--loss', 'wgan', '--split-discriminator-update']),
    'gaussian gan': ('gaussian', ['--loss', 'gan', '--split-discriminator-update', '--clip-gradient', 0.1]),
    'gaussian penalty': ('gaussian', ['--gradient-penalty', 'wgan-gp', '--loss', 'wgan']),
    'anime penalty': ('anime', ['--gradient-penalty', 'dragan', '--split-discriminator-update']),
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
def test_graphs_do_not_change_a_run(data, tmp_path, script, given):
    given = [*TINY[script], *WATCHED, *data[script], *given]
    launched = []
    for name, more in ('graph', []), ('eager', ['--no-graph']), ('resumed', ['--iterations', 7]):
        before = emulation() and emulation().counts()['graphs']
        assert run_script(script, *given, *more, '-o', tmp_path / name) == 0
        launched.append(emulation() and emulation().counts()['graphs'] - before)
    assert run_script(script, '-o', tmp_path / 'resumed', '--resume') == 0
    for name in 'eager', 'resumed':
        assert_same_run(tmp_path / 'graph', tmp_path / name, UPDATES)
    if emulation():     # two updates warm up, two more after the noise has ended, and one copies the images to the device
        assert launched[0] == UPDATES - 4 - (script != 'gaussian') and launched[1] == 0


def make_trainer(data, tmp_path, *flags):
    return assemble('gaussian', *TINY['gaussian'], *WATCHED, *flags, '-o', tmp_path / 'run')


def assert_same_states(first, second):
    for key, value in first.items():
        assert value.dtype == object or numpy.array_equal(value, second[key]), key


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
    assert_same_states(*states)


def test_reports_of_updates_are_kept(data, tmp_path):
    trainer = make_trainer(data, tmp_path)
    observed = [update(trainer) for _ in range(6)]
    numbers = [float(observation['dis/loss']) for observation in observed]
    assert len(set(numbers)) == 6
    eager = make_trainer(data, tmp_path / 'eager', '--no-graph')
    assert numbers == [float(update(eager)['dis/loss']) for _ in range(6)]


def move_parameters(updater):
    for net in updater.generator, updater.discriminator:
        for p in net.params():
            p.array = p.array.copy()


def disable_one(updater):
    updater.generator[0].W.update_rule.enabled = False


def change_a_constant(updater):
    updater.get_optimizer('discriminator').beta1 = 0.1


def add_a_hook(updater):
    updater.get_optimizer('generator').add_hook(ClipWeights(0.01))


def change_a_hook(updater):
    updater.get_optimizer('generator')._hookable._pre_update_hooks['GradientClipping'].threshold = 1e-3


def take_more_steps_of_d(updater):
    updater.n_critic = 3


@pytest.mark.parametrize('change', [move_parameters, disable_one, change_a_constant, add_a_hook, change_a_hook,
                                    take_more_steps_of_d])
def test_changes_make_a_new_graph(data, tmp_path, change):
    states = []
    for flags in [], ['--no-graph']:
        trainer = make_trainer(data, tmp_path / str(flags), '--clip-gradient', 0.5, *flags)
        update(trainer, 4)
        change(trainer.updater)
        update(trainer, 4)
        states.append(state_of(trainer))
    assert_same_states(*states)


def test_state_can_be_restored_between_replays(data, tmp_path):
    trainer = make_trainer(data, tmp_path)
    update(trainer, 5)
    saved = state_of(trainer)
    update(trainer, 4)
    expected = state_of(trainer)
    chainer.serializers.NpzDeserializer(saved).load(trainer.updater)
    update(trainer, 4)
    assert_same_states(expected, state_of(trainer))


def test_graph_reuses_memory(gpu):
    graph = Graph(lambda: gpu.xp.full(1 << 20, 7, 'uint8')[:1] + 1)
    for run in range(4):
        result, replayed = graph(None)
        assert int(result[0]) == 8 and replayed == (run == 3)
    assert 1 << 20 <= graph._pool.total_bytes() < 2 << 20


class Averaging:
    """A wrapper that reads the gradients before each step of an optimizer, like ChainerMN's wrappers, which use MPI."""

    def __init__(self, actual):
        self.actual, self.norms = actual, []

    def __getattr__(self, name):
        return getattr(self.actual, name)

    def update(self):
        self.norms.append(sum(float((p.grad ** 2).sum()) for p in self.actual.target.params()))
        self.actual.update()


def test_gradients_can_be_exchanged_before_each_step(data, tmp_path):
    plain, exchanged = (make_trainer(data, tmp_path / name) for name in ('plain', 'exchanged'))
    optimizers = exchanged.updater._optimizers
    optimizers.update({name: Averaging(optimizer) for name, optimizer in optimizers.items()})
    for trainer in plain, exchanged:
        update(trainer, 5)
    assert [len(set(optimizer.norms)) for optimizer in optimizers.values()] == [5, 5]
    for ours, theirs in zip(exchanged.updater.generator.params(), plain.updater.generator.params()):
        assert (ours.array == theirs.array).all()


def test_update_that_waits_is_refused(data, tmp_path, monkeypatch):
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
