"""Updates on the CPU that are replayed from the first one: they compute what Chainer computes, and notice what changes."""
import chainer
import chainer.functions as F
import numpy
import pytest

from lsgan import functions
from lsgan.losses import LeastSquares, NonSaturating, Wasserstein
from lsgan.networks import image, mnist
from lsgan.networks.gaussian import Perceptron
from lsgan.random import Latent
from lsgan.training.updater import Average, GANUpdater, InstanceNoise

NETWORKS = {
    'points': lambda: (Perceptron((3, 8, 8, 2), 'relu'), Perceptron((2, 8, 8, 1), 'leaky_relu'), (2,)),
    'points, tanh': lambda: (Perceptron((3, 8, 2), 'tanh'), Perceptron((2, 8, 1), 'sigmoid'), (2,)),
    'digits': lambda: (mnist.PerceptronGenerator(3, [8, 8], (1, 6, 6)), mnist.PerceptronDiscriminator((1, 6, 6), [8, 8]),
                       (1, 6, 6)),
    'digits, norm in D only': lambda: (mnist.PerceptronGenerator(3, [8], (1, 6, 6), norm=False),
                                       mnist.PerceptronDiscriminator((1, 6, 6), [8, 8], norm=True), (1, 6, 6)),
    **{f'images, {upsample}, {norm_g}, {norm_d}': lambda upsample=upsample, norm_g=norm_g, norm_d=norm_d: (
        image.Generator(3, (8, 4), (8, 8), norm=norm_g, upsample=upsample), image.Discriminator((4, 8), (8, 8), norm=norm_d),
        (3, 8, 8)) for upsample, norm_g, norm_d in [('deconv', 'unit', 'all'), ('resize', 'channel', 'but first'),
                                                    ('pixelshuffle', None, None)]},
}


class Batches:
    """An iterator over batches that are drawn once."""

    def __init__(self, shape):
        self.batches = numpy.random.default_rng(0).uniform(-1, 1, (4, 5, *shape)).astype(numpy.float32)
        self.i = 0

    def next(self):
        self.i += 1
        return self.batches[self.i % len(self.batches)]


@pytest.fixture
def make_updater(make_stream):
    def make(networks, loss=None, graph=True, noise=0.0, end=0.0, optimizer=functions.Adam, average=None, **options):
        numpy.random.seed(0)
        generator, discriminator, shape = networks()
        both = {'generator': optimizer().setup(generator), 'discriminator': optimizer().setup(discriminator)}
        return GANUpdater(
            {'main': Batches(shape)}, both, loss or LeastSquares(), Latent(3, 'normal', make_stream(0, 'latent')),
            noise=InstanceNoise(noise, end, make_stream(0, 'noise')) if noise else None,
            average=Average(generator, average, make_stream(1).normal((4, 3))) if average else None, graph=graph, **options)
    return make


def updated(updater, n=4):
    """Return all arrays of both networks, and what the updates reported."""
    reports = []
    for _ in range(n):
        reports.append(updater.take_steps())
    arrays = {}
    for name in 'generator', 'discriminator':
        chainer.serializers.DictionarySerializer(arrays, name + '/').save(updater.get_optimizer(name))
        chainer.serializers.DictionarySerializer(arrays, name + '/').save(updater.get_optimizer(name).target)
    return arrays, reports


def assert_same(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(numpy.array_equal(one[0][key], other[0][key], equal_nan=True) for key in one[0] if one[0][key] is not None)
    assert one[1] == other[1]


@pytest.fixture
def passes(monkeypatch):
    """The number of forward passes of `Perceptron` so far, in a list."""
    count, forward = [0], Perceptron.forward

    def counted(self, x):
        count[0] += 1
        return forward(self, x)
    monkeypatch.setattr(Perceptron, 'forward', counted)
    return count


@pytest.mark.parametrize('networks', NETWORKS.values(), ids=NETWORKS)
def test_a_replayed_update_gives_the_same_bits(make_updater, networks):
    assert_same(*(updated(make_updater(networks, graph=graph)) for graph in (True, False)))


@pytest.mark.parametrize('options', [
    {'loss': Wasserstein(), 'n_critic': 2, 'optimizer': functions.RMSprop}, {'loss': NonSaturating(), 'noise': 0.1},
    {'split': True}, {'split': True, 'noise': 0.1}, {'average': 0.9}, {'optimizer': functions.SGD},
    {'loss': LeastSquares(-1, 1, 0), 'optimizer': chainer.optimizers.Adam},
], ids=str)
@pytest.mark.parametrize('networks', ['points', 'digits, norm in D only'])
def test_a_replayed_update_gives_the_same_bits_with_every_option(make_updater, networks, options):
    assert_same(*(updated(make_updater(NETWORKS[networks], graph=graph, **options)) for graph in (True, False)))


@pytest.mark.parametrize('graph', [True, False])
def test_a_network_of_this_package_runs_by_chainer_in_the_first_update_only(make_updater, passes, graph):
    updated(make_updater(NETWORKS['points'], graph=graph))
    assert passes == [4 if graph else 16]


def test_noise_that_ends_is_noticed(make_updater):
    results = []
    for graph in True, False:
        updater = make_updater(NETWORKS['points'], graph=graph, noise=0.3, end=0.1)
        first = updated(updater, 2)
        updater.noise.sigma = 0.05
        second = updated(updater, 2)
        results.append((second[0], first[1] + second[1]))
    assert_same(*results)


@pytest.mark.parametrize('change', [lambda loss: setattr(loss, 'c', 0.5), lambda loss: setattr(loss, 'a', -1.0)])
def test_a_target_that_changes_is_noticed(make_updater, change):
    results = []
    for graph in True, False:
        updater = make_updater(NETWORKS['points'], graph=graph)
        first = updated(updater, 2)
        change(updater.loss)
        second = updated(updater, 2)
        results.append((second[0], first[1] + second[1]))
    assert_same(*results)
    assert results[0][1] != updated(make_updater(NETWORKS['points']))[1]


def test_weights_that_are_replaced_are_noticed(make_updater):
    results = []
    for graph in True, False:
        updater = make_updater(NETWORKS['points'], graph=graph)
        first = updated(updater, 2)
        for p in updater.generator.params():
            p.array = p.array * 2
        second = updated(updater, 2)
        results.append((second[0], first[1] + second[1]))
    assert_same(*results)


class Mine(Perceptron):
    """A user's network, whose code runs in every update."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


def test_links_of_other_packages_are_called_every_time(make_updater):
    updater = make_updater(lambda: (Mine((3, 8, 2), 'relu'), Perceptron((2, 8, 1), 'relu'), (2,)))
    updated(updater)
    assert updater.generator.calls == 8


class OnlyMyLoss(LeastSquares):
    """A user's loss, whose targets follow from the number of calls."""

    def discriminator(self, **outputs):
        self.b += 0.1
        return super().discriminator(**outputs)


def test_losses_of_other_packages_are_called_every_time(make_updater):
    loss = OnlyMyLoss()
    updated(make_updater(NETWORKS['points'], loss))
    assert loss.b == pytest.approx(1.4)


def test_function_hooks_see_every_function(make_updater):
    updater = make_updater(NETWORKS['points'])
    updated(updater, 2)
    with chainer.function_hooks.TimerHook() as hook:
        updated(updater, 1)
    assert len(hook.call_history) > 8


class CountingHook(chainer.LinkHook):

    name, count = 'count', 0

    def forward_preprocess(self, args):
        self.count += 1


def test_link_hooks_see_every_call(make_updater):
    updater, hook = make_updater(NETWORKS['points']), CountingHook()
    updated(updater, 2)
    updater.discriminator.add_hook(hook)
    updated(updater, 2)
    assert hook.count == 4


def test_a_function_of_chainer_makes_a_network_run_by_chainer(make_updater, monkeypatch):
    forward = Perceptron.forward
    monkeypatch.setattr(Perceptron, 'forward', lambda self, x: F.dropout(forward(self, x), 0.5))
    results = []
    for graph in True, False:
        numpy.random.seed(3)
        updater = make_updater(NETWORKS['points'], graph=graph)
        numpy.random.seed(3)        # F.dropout draws from the global stream
        results.append(updated(updater))
    assert_same(*results)
