import functools
import io

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest
from chainer import optimizers, serializers

from lsgan import functions, links
from lsgan.datasets.iterator import SampleIterator
from lsgan.datasets.mixture import GaussianMixture, ring
from lsgan.functions.optimizers import ClipWeights, GradientNorm
from lsgan.losses import LeastSquares, NonSaturating, Wasserstein
from lsgan.networks.gaussian import Perceptron
from lsgan.random import Latent
from lsgan.training.updater import Average, GANUpdater, InstanceNoise, frozen

BATCH = 6


def make_networks(d=Perceptron):
    numpy.random.seed(0)
    return Perceptron((3, 8, 2), 'relu'), d((2, 8, 8, 1), 'leaky_relu')


@pytest.fixture
def make_updater(make_stream):
    """A function that makes an updater on 8 Gaussians, or on another `mixture`."""
    def make_updater(loss, seed=0, networks=None, optimizer=functions.Adam, mixture=None, n_critic=1,
                     clip=None, noise=0.0, average=None, split=False):
        generator, discriminator = networks or make_networks()
        both = {'generator': optimizer().setup(generator), 'discriminator': optimizer().setup(discriminator)}
        if clip:
            both['discriminator'].add_hook(ClipWeights(clip))
        mixture = mixture or GaussianMixture(ring(8, 2.0), 0.1)
        return GANUpdater(
            SampleIterator(mixture, BATCH, make_stream(seed, 'data'), epoch_size=2),
            both, loss, Latent(3, 'normal', make_stream(seed, 'latent')), n_critic,
            InstanceNoise(noise, 0.0, make_stream(seed, 'noise')) if noise else None,
            Average(generator, average, make_stream(seed).normal((10, 3))) if average is not None else None, split)
    return make_updater


class Watched:
    """A wrapper of a loss that calls `watch` with the name of each step."""

    def __init__(self, loss, watch):
        self.loss, self.watch = loss, watch

    def discriminator(self, **outputs):
        self.watch('discriminator')
        return self.loss.discriminator(**outputs)

    def generator(self, fake):
        self.watch('generator')
        return self.loss.generator(fake)


class Seeing(Perceptron):
    """A discriminator that records its inputs."""

    def __init__(self, *args):
        super().__init__(*args)
        self.seen = []

    def forward(self, x):
        self.seen.append(chainer.as_array(x))
        return super().forward(x)


STOCK_LOSSES = {
    'lsgan': (lambda real: F.mean((real - 1) ** 2) / 2, lambda fake: F.mean((fake + 1) ** 2) / 2,
              lambda fake: F.mean(fake ** 2) / 2),
    'wgan': (lambda real: -F.mean(real), F.mean, lambda fake: -F.mean(fake)),
    'gan': (lambda real: F.mean(F.softplus(-real)), lambda fake: F.mean(F.softplus(fake)),
            lambda fake: F.mean(F.softplus(-fake))),
}


@pytest.mark.parametrize('split', [False, True], ids=['one step', 'split'])
@pytest.mark.parametrize('name, loss, optimizer, n_critic, clip', [
    ('lsgan', LeastSquares(-1, 1, 0), 'Adam', 1, None),
    ('wgan', Wasserstein(), 'RMSprop', 3, 0.1),
    ('gan', NonSaturating(), 'Adam', 2, None),
])
def test_updates_equal_stock_chainer(make_updater, make_stream, arrays_of, stock_perceptron, name, loss, optimizer, n_critic,
                                     clip, split):
    def make(module):
        return getattr(module, optimizer)(eps=1e-3)     # not so small that steps follow from rounding errors
    updater = make_updater(loss, optimizer=lambda: make(functions), n_critic=n_critic, clip=clip, split=split)

    generator, discriminator = make_networks()
    generator_optimizer, discriminator_optimizer = (make(optimizers).setup(link) for link in (generator, discriminator))
    real_loss, fake_loss, generator_loss = STOCK_LOSSES[name]
    data, latent = make_stream(0, 'data'), make_stream(0, 'latent')
    mixture = GaussianMixture(ring(8, 2.0), 0.1)

    def run(link, x):
        return stock_perceptron(x, [p for layer in link for p in (layer.W, layer.b)], link.activation)

    for _ in range(4):
        for _ in range(n_critic):
            real, fake = mixture.sample(BATCH, data), run(generator, latent.normal((BATCH, 3)))
            losses = [lambda x=real: real_loss(run(discriminator, x)), lambda x=fake.array: fake_loss(run(discriminator, x))]
            d = 0
            for loss in losses if split else [lambda both=losses: both[0]() + both[1]()]:
                y = loss()
                d += y.array
                discriminator.cleargrads()
                y.backward()
                discriminator_optimizer.update()
                if clip:
                    for p in discriminator.params():
                        p.array = p.array.clip(-clip, clip)
        g = generator_loss(run(discriminator, run(generator, latent.normal((BATCH, 3)))))
        generator.cleargrads()
        g.backward()
        generator_optimizer.update()

        observed = {}
        with chainer.Reporter().scope(observed):
            updater.update()
        assert observed.keys() == {'gen/loss', 'dis/loss', 'dis/real', 'dis/fake'}
        numpy.testing.assert_allclose([observed['dis/loss'], observed['gen/loss']], [d, g.array], rtol=1e-4, atol=1e-5)
        for ours, theirs in (updater.generator, generator), (updater.discriminator, discriminator):
            ours, theirs = arrays_of(ours), arrays_of(theirs)
            for key in theirs:
                numpy.testing.assert_allclose(ours[key], theirs[key], rtol=1e-4, atol=1e-5, err_msg=key)
    if clip:
        assert max(abs(p.array).max() for p in updater.discriminator.params()) == numpy.float32(clip)


@pytest.mark.parametrize('loss', [LeastSquares(), Wasserstein(), NonSaturating()], ids=lambda loss: type(loss).__name__)
def test_each_step_changes_only_its_network(make_updater, arrays_of, loss):
    steps = []

    def watch(step):
        updater.generator.cleargrads()
        steps.append((step, arrays_of(updater.generator), arrays_of(updater.discriminator)))
    updater = make_updater(Watched(loss, watch), n_critic=2)
    updater.update()
    watch('end')

    def changed(i):
        return [any((before[key] != after[key]).any() for key in before)
                for before, after in zip(steps[i][1:], steps[i + 1][1:])]
    assert [step for step, *_ in steps] == ['discriminator', 'discriminator', 'generator', 'end']
    assert [changed(i) for i in range(3)] == [[False, True], [False, True], [True, False]]


@pytest.mark.parametrize('loss', [LeastSquares(), Wasserstein(), NonSaturating()], ids=lambda loss: type(loss).__name__)
def test_generator_step_computes_no_discriminator_gradients(make_updater, loss):
    at_generator = []

    def watch(step):
        if step == 'generator':
            at_generator.extend((p.grad.copy(), p.requires_grad) for p in updater.discriminator.params())
    updater = make_updater(Watched(loss, watch))
    updater.update()
    assert len(at_generator) == 6
    for p, (grad, trainable) in zip(updater.discriminator.params(), at_generator):
        assert not trainable
        assert p.requires_grad
        numpy.testing.assert_array_equal(p.grad, grad)
    assert any(abs(p.grad).max() > 0 for p in updater.generator.params())


def test_discriminator_step_computes_no_generator_gradients(make_updater):
    def watch(step):
        if step == 'discriminator':
            updater.generator.cleargrads()
        else:
            gradients.extend(p.grad for p in updater.generator.params())
    gradients = []
    updater = make_updater(Watched(LeastSquares(), watch))
    updater.update()
    assert gradients == [None] * 4


def test_frozen_parameters_get_no_gradients_but_inputs_do():
    link = L.Linear(3, 2)
    x = chainer.Variable(numpy.ones((4, 3), numpy.float32))
    link.cleargrads()
    with frozen(link):
        F.sum(link(x)).backward()
    assert [p.grad for p in link.params()] == [None, None]
    assert x.grad is not None
    F.sum(link(x)).backward()
    assert all(p.grad is not None for p in link.params())


def test_frozen_parameters_are_trainable_again_after_an_error():
    link = L.Linear(3, 2)
    with pytest.raises(ZeroDivisionError), frozen(link):
        raise ZeroDivisionError
    assert all(p.requires_grad for p in link.params())


def test_counts_of_updates_and_batches(make_updater):
    updater = make_updater(Wasserstein(), n_critic=3)
    for _ in range(4):
        updater.update()
    assert updater.iteration == 4
    assert updater.get_optimizer('generator').t == 4
    assert updater.get_optimizer('discriminator').t == 12
    assert updater.epoch_detail == 12 / 2
    assert updater.timed == 3      # all but the first
    updater.finish()


def test_weights_are_clipped_after_the_update():
    link = L.Linear(2, 2, initialW=1)
    optimizer = optimizers.SGD(0.1).setup(link)
    optimizer.add_hook(ClipWeights(0.5))
    link.W.grad = numpy.float32([[0, 3], [7, 20]])      # to 1, 0.7, 0.3, -1
    link.b.grad = numpy.float32([9, -1])                # to -0.9, 0.1
    optimizer.update()
    numpy.testing.assert_allclose(link.W.array, [[0.5, 0.5], [0.3, -0.5]], rtol=1e-5)
    numpy.testing.assert_allclose(link.b.array, [-0.5, 0.1], rtol=1e-5)


@pytest.mark.parametrize('decay', [0.0, 0.2, 0.9, 0.999])
def test_average_follows_formula(decay):
    link = L.Linear(2, 3)
    average = Average(link, decay, numpy.empty((0, 2)))
    expected = link.W.array.astype(numpy.float64)
    rng = numpy.random.default_rng(0)
    for t in range(1, 101):
        link.W.array = link.W.array + rng.standard_normal((3, 2)).astype(numpy.float32)
        average.update()
        keep = min(decay, (1 + t) / (10 + t))
        expected = keep * expected + (1 - keep) * link.W.array
        numpy.testing.assert_allclose(average.averaged().W.array, expected, rtol=1e-4, atol=1e-5)
    assert average.averaged().W.dtype == numpy.float32


def test_average_starts_as_copy(arrays_of):
    link = L.Linear(2, 3)
    average = Average(link, 0.9, numpy.empty((0, 2)))
    before = arrays_of(average.averaged())
    numpy.testing.assert_array_equal(before['/W'], link.W.array)
    link.W.array += 1
    numpy.testing.assert_array_equal(average.averaged().W.array, before['/W'])
    average.update()
    numpy.testing.assert_allclose(average.averaged().W.array, before['/W'] + 9 / 11, rtol=1e-5)   # keeps 2 / 11
    numpy.testing.assert_allclose(link.W.array, before['/W'] + 1, rtol=1e-6)


def test_average_with_decay_0_equals_link():
    link = L.Linear(4, 5)
    average = Average(link, 0.0, numpy.empty((0, 4)))
    rng = numpy.random.default_rng(0)
    for scale in 1, 100, 0.01:
        link.W.array = (scale * rng.standard_normal((5, 4))).astype(numpy.float32)
        average.update()
        numpy.testing.assert_array_equal(average.averaged().W.array, link.W.array)


def test_loaded_average_continues_exactly(transfer, arrays_of):
    averages = [Average(L.Linear(2, 3), 0.9, numpy.empty((0, 2))) for _ in range(2)]
    for t in range(5):
        averages[0].link.W.array += t
        averages[0].update()
    transfer(*averages)
    assert averages[1].updates == 5
    for average in averages:
        average.link.W.array[...] = average.link.b.array[...] = 3
        average.update()
    first, second = (arrays_of(average.averaged()) for average in averages)
    for key in first:
        numpy.testing.assert_array_equal(first[key], second[key])


@pytest.mark.parametrize('norm', [L.BatchNormalization, links.BatchNormalization])
def test_averaged_weights_have_own_statistics(norm, arrays_of):
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((1000, 2), dtype=numpy.float32)     # the last batch is a smaller one
    link = chainer.Sequential(L.Linear(2, 3), norm(3))
    average = Average(link, 0.9, x)
    for t in range(40):
        link[0].W.array = rng.standard_normal((3, 2)).astype(numpy.float32)     # the average of which is far smaller
        link(x)
        average.update()
        if t == 20:
            average.averaged()      # asked for between, which changes neither the link nor what comes
    before = arrays_of(link)
    averaged = average.averaged()
    for key, value in arrays_of(link).items():
        numpy.testing.assert_array_equal(value, before[key])
    h = averaged[0](x).array.astype(numpy.float64)
    assert h.std() < 0.5 * link[0](x).array.std()
    with chainer.using_config('train', False):
        numpy.testing.assert_allclose(averaged(x).array, (h - h.mean(0)) / h.std(0), atol=0.02)


def test_sampler_is_average_if_there_is_one(make_updater, arrays_of):
    without, updater = make_updater(LeastSquares()), make_updater(LeastSquares(), average=0.9)
    assert without.sampler() is without.generator
    assert updater.sampler() is updater.average.averaged()
    before = arrays_of(updater.generator)
    updater.update()
    after, averaged = arrays_of(updater.generator), arrays_of(updater.sampler())
    for key in before:
        numpy.testing.assert_allclose(averaged[key], after[key] + 2 / 11 * (before[key] - after[key]), rtol=1e-5, atol=1e-7)


def test_noise_has_its_standard_deviation(make_stream):
    noise = InstanceNoise(0.3, 0.0, make_stream())
    x = numpy.full((5000, 2), 7, numpy.float32)
    y = noise(x)
    assert y.dtype == numpy.float32
    numpy.testing.assert_allclose((y - x).std(axis=0), 0.3, rtol=0.05)
    numpy.testing.assert_allclose((y - x).mean(axis=0), 0, atol=0.025)
    assert (x == 7).all()


def test_noise_passes_gradients_through(make_stream):
    x = chainer.Variable(numpy.zeros((5, 2), numpy.float32))
    F.sum(InstanceNoise(0.3, 0.0, make_stream())(x)).backward()
    numpy.testing.assert_array_equal(x.grad, 1)


def test_inactive_noise_draws_nothing(make_stream):
    noise, untouched = InstanceNoise(0.02, 0.02, make_stream()), make_stream()
    x = numpy.ones((5, 2), numpy.float32)
    numpy.testing.assert_array_equal(noise(x), x)
    numpy.testing.assert_array_equal(noise.stream.normal(9), untouched.normal(9))


@pytest.mark.parametrize('sigma', [0.0, 0.5])
def test_noise_is_new_for_each_input_of_discriminator(make_updater, sigma):
    networks = make_networks(Seeing)
    for p in networks[0].params():
        p.array[...] = 0    # generated points are the origin, and so are the real ones
    updater = make_updater(LeastSquares(), networks=networks, mixture=GaussianMixture([[0, 0]], 0.0), noise=sigma, n_critic=40)
    updater.update()
    seen = numpy.concatenate(networks[1].seen)
    assert len(seen) == 40 * 2 * BATCH + BATCH
    assert seen.std() == pytest.approx(sigma, rel=0.1)
    if sigma:
        assert len(numpy.unique(seen)) > 0.99 * seen.size


@pytest.mark.parametrize('layer', [
    L.BatchNormalization, L.BatchRenormalization, lambda size: L.DecorrelatedBatchNormalization(size, groups=1),
], ids=['normalization', 'renormalization', 'decorrelated'])
def test_stock_normalisation_keeps_batches_separate(make_updater, layer):
    generator, seeing = make_networks(Seeing)
    discriminator = chainer.Sequential(layer(2), seeing)
    make_updater(LeastSquares(), networks=(generator, discriminator)).update()
    assert [len(x) for x in seeing.seen] == [BATCH] * 3


def test_fast_normalisation_keeps_batches_separate(make_updater, arrays_of):
    updaters = []
    for norm, passes in (links.BatchNormalization, [2 * BATCH, BATCH]), (L.BatchNormalization, [BATCH] * 3):
        generator, seeing = make_networks(Seeing)
        networks = generator, chainer.Sequential(norm(2), seeing)
        optimizer = functools.partial(functions.Adam, eps=1e-3)     # steps do not follow from rounding errors
        updaters.append(make_updater(LeastSquares(), networks=networks, optimizer=optimizer))
        for _ in range(3):
            updaters[-1].update()
        assert [len(x) for x in seeing.seen] == passes * 3
    ours, theirs = (arrays_of(updater.discriminator) for updater in updaters)
    for key in theirs:
        numpy.testing.assert_allclose(ours[key], theirs[key], rtol=1e-4, atol=1e-5, err_msg=key)


class Dropping(Perceptron):
    """A discriminator that draws from NumPy's global random stream."""

    def forward(self, x):
        return F.dropout(super().forward(x), 0.5)


@pytest.mark.parametrize('optimizer', [functions.Adam, functions.RMSprop])
def test_loaded_updater_continues_exactly(make_updater, arrays_of, optimizer):
    def make(seed):
        return make_updater(LeastSquares(), seed, make_networks(Dropping), optimizer, n_critic=2,
                            clip=0.5, noise=0.1, average=0.99)

    def finish(updater):
        for _ in range(3):
            updater.update()
        arrays = {**serializers.npz.serialize(updater), **arrays_of(updater.sampler())}
        return {key: numpy.array(value) for key, value in arrays.items()}

    updater = make(0)
    for _ in range(3):
        updater.update()
    file = io.BytesIO()
    serializers.save_npz(file, updater)
    expected = finish(updater)

    loaded = make(1)
    loaded.update()
    numpy.random.seed(99)
    file.seek(0)
    serializers.load_npz(file, loaded)
    assert loaded.iteration == 3
    found = finish(loaded)
    assert found.keys() == expected.keys()
    assert loaded.iteration == 6
    for key, value in expected.items():
        numpy.testing.assert_array_equal(found[key], value, err_msg=key)


def test_loaded_updater_without_noise_and_average_continues(make_updater, transfer, arrays_of):
    updater, loaded = make_updater(NonSaturating()), make_updater(NonSaturating(), seed=1)
    updater.update()
    transfer(updater, loaded)
    for each in updater, loaded:
        each.update()
    for first, second in (updater.generator, loaded.generator), (updater.discriminator, loaded.discriminator):
        first, second = arrays_of(first), arrays_of(second)
        for key in first:
            numpy.testing.assert_array_equal(first[key], second[key])


def test_means_of_outputs_are_reported(make_updater):
    class Constant(Perceptron):
        """A link that returns the first coordinate of each example."""

        def forward(self, x):
            return super().forward(x) * 0 + chainer.as_variable(x)[:, :1]

    generator, discriminator = make_networks(Constant)
    seen = {}
    updater = make_updater(LeastSquares(), networks=(generator, discriminator), mixture=GaussianMixture([[3, 0]], 0.0))
    with chainer.Reporter().scope(seen):
        updater.update()
    assert seen['dis/real'] == pytest.approx(3)
    assert -1 < seen['dis/fake'] < 1 and seen['dis/fake'] != 0


def test_gradient_norms_are_reported(make_updater):
    updater = make_updater(LeastSquares(), optimizer=optimizers.SGD)
    for name, optimizer in updater.get_all_optimizers().items():
        optimizer.add_hook(GradientNorm(name[:3]))
    before = {name: [p.array.copy() for p in optimizer.target.params()]
              for name, optimizer in updater.get_all_optimizers().items()}
    seen = {}
    with chainer.Reporter().scope(seen):
        updater.update()
    for name, optimizer in updater.get_all_optimizers().items():
        moved = [(p.array - old) / optimizer.lr for p, old in zip(optimizer.target.params(), before[name])]
        assert seen[f'{name[:3]}/gradient'] == pytest.approx(sum((m ** 2).sum() for m in moved) ** 0.5, rel=1e-3)
