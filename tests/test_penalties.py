"""Tests of the gradient penalties: their values, their gradients, and runs of the scripts with them."""
import chainer
import chainer.functions as F
import numpy
import pytest
from running import SHORT, assert_same_run, settings_of, timeless_log, train

from lsgan import losses
from lsgan.functions import SGD
from lsgan.networks.gaussian import Perceptron
from lsgan.networks.image import Discriminator
from lsgan.penalties import PENALTIES, GradientPenalty, dragan, r1, squared_norms, wgan_gp
from lsgan.random import Latent
from lsgan.training.updater import GANUpdater, InstanceNoise

every = pytest.mark.parametrize('penalty', [function for function, _ in PENALTIES.values()], ids=PENALTIES)
NETWORKS = {
    'perceptron': lambda: (Perceptron([3, 5, 4, 1], 'leaky_relu'), (3,)),
    'tanh': lambda: (Perceptron([3, 5, 1], 'tanh'), (3,)),
    'convolutions': lambda: (Discriminator([3, 4], (8, 8), 2, norm=None), (2, 8, 8)),
    'batch normalisation': lambda: (Discriminator([3, 4], (8, 8), 2, norm='but first'), (2, 8, 8)),
}


@pytest.fixture
def double():
    """Float64, in which numerical gradients are accurate."""
    with chainer.using_config('dtype', numpy.float64):
        yield


def batches(shape, n=4):
    rng = numpy.random.default_rng(3)
    return rng.standard_normal((2, n, *shape)).astype(chainer.get_dtype())


class Fixed:
    """A stream that gives the same numbers again and again."""

    def uniform(self, shape):
        return numpy.random.default_rng(1).uniform(-1, 1, shape).astype(chainer.get_dtype())

    def normal(self, shape):
        return numpy.random.default_rng(2).standard_normal(shape).astype(chainer.get_dtype())


def test_values_of_linear_discriminator(make_stream):
    weights = numpy.array([3.0, -4.0], 'f')
    real, fake = batches((2,))
    for function, expected in (wgan_gp, 16), (dragan, 16), (r1, 12.5):      # the norm is 5 everywhere
        value = function(lambda x: F.matmul(x, weights[:, None]), real, fake, make_stream())
        assert value.array == pytest.approx(expected, rel=1e-5)


def test_norms_where_each_penalty_looks():
    seen = []

    def square(x):
        seen.append(x.array)
        return F.sum(x * x, axis=1) / 2         # its gradient at x is x

    real, fake = batches((2,), 50)
    norms = [function(square, real, fake, Fixed()).array for function, _ in PENALTIES.values()]
    between, around, at = seen
    shares = (between - fake) / (real - fake)
    numpy.testing.assert_allclose(shares[:, 0], shares[:, 1], rtol=1e-2)
    assert shares.min() > 0 and shares.max() < 1 and shares.std() > 0.2
    assert (around - real).std() == pytest.approx(0.5 * real.std(), rel=0.2)
    assert (at == real).all()

    def length(x):
        return numpy.sqrt((x ** 2).sum(axis=1))
    expected = [((length(between) - 1) ** 2).mean(), ((length(around) - 1) ** 2).mean(), (length(at) ** 2).mean() / 2]
    numpy.testing.assert_allclose(norms, expected, rtol=1e-5)


def test_constant_discriminator_has_finite_gradients(make_stream):
    net = Perceptron([2, 4, 1], 'relu', 0)
    for function in wgan_gp, dragan, r1:
        net.cleargrads()
        function(net, *batches((2,)), make_stream()).backward()
        assert all(numpy.isfinite(p.grad).all() for p in net.params() if p.grad is not None)


@every
@pytest.mark.parametrize('name', NETWORKS)
def test_gradients_equal_numerical_ones(double, penalty, name):
    numpy.random.seed(0)
    net, shape = NETWORKS[name]()
    real, fake = batches(shape)
    net.cleargrads()
    penalty(net, real, fake, Fixed()).backward()
    rng, moved = numpy.random.default_rng(5), 0
    for p in net.params():
        ours, direction = p.grad, rng.standard_normal(p.shape)
        start, values = p.array.copy(), []
        for sign in 1, -1:
            p.array[...] = start + sign * 1e-6 * direction
            values.append(float(penalty(net, real, fake, Fixed()).array))
        p.array[...] = start
        slope = (values[0] - values[1]) / 2e-6
        assert (0 if ours is None else (ours * direction).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-6)
        moved += abs(slope) > 1e-4
    assert moved >= 3


@every
def test_fast_functions_equal_chainer(penalty):
    for make in NETWORKS.values():
        gradients = []
        for fast in True, False:
            numpy.random.seed(0)
            net, shape = make()
            net.cleargrads()
            with chainer.using_config('fast', fast):
                penalty(net, *batches(shape), Fixed()).backward()
            gradients.append({name: p.grad for name, p in net.namedparams() if p.grad is not None})
        for name in gradients[0].keys() & gradients[1].keys():
            numpy.testing.assert_allclose(*(found[name] for found in gradients), rtol=1e-3, atol=1e-4, err_msg=name)


def test_running_statistics_count_only_what_is_classified(make_stream):
    net = Discriminator([3, 4], (8, 8), 2, norm='all')
    before = [link.avg_mean.copy() for link in net.links() if hasattr(link, 'avg_mean')]
    weighted, value = GradientPenalty(r1, 3.0, make_stream())(net, *batches((2, 8, 8)))
    assert weighted.array == pytest.approx(3 * value.array)
    for old, link in zip(before, (link for link in net.links() if hasattr(link, 'avg_mean')), strict=True):
        assert (link.avg_mean == old).all()


class Points:
    """An iterator over given batches."""

    def __init__(self, arrays):
        self.arrays = iter(arrays)

    def next(self):
        return next(self.arrays)


@pytest.mark.parametrize('split', [False, True], ids=['one step', 'split'])
def test_updater_adds_weighted_penalty_where_d_sees_examples(make_stream, split):
    moves, seen = [], []

    def penalty(discriminator, real, fake, stream):
        seen.append((real, fake))
        return F.mean(squared_norms(discriminator, real))

    for weight in None, 0.5:
        numpy.random.seed(0)
        generator, discriminator = Perceptron([3, 4, 2], 'relu'), Perceptron([2, 4, 1], 'leaky_relu')
        start = [p.array.copy() for p in discriminator.params()]
        updater = GANUpdater({'main': Points(batches((2,))[:1])},
                             {'generator': SGD(0.1).setup(generator), 'discriminator': SGD(0.1).setup(discriminator)},
                             losses.LeastSquares(), Latent(3, 'normal', make_stream(0, 'latent')),
                             noise=InstanceNoise(0.3, 0.0, make_stream(0, 'noise')), split=split,
                             penalty=weight and GradientPenalty(penalty, weight, make_stream()))
        _, reported = updater.step_discriminator()
        moves.append([p.array - before for p, before in zip(discriminator.params(), start)])
    (real, fake), = seen
    assert 0.1 < (real - batches((2,))[0]).std() < 0.6      # with instance noise
    assert real.shape == fake.shape and (real != fake).all()
    for p, before in zip(discriminator.params(), start):
        p.array[...] = before
    discriminator.cleargrads()
    value = penalty(discriminator, real, fake, None)
    value.backward()
    assert reported['dis/penalty'] == pytest.approx(value.array)
    for plain, moved, p in zip(*moves, discriminator.params()):
        if not split:       # otherwise the second step starts from other weights
            expected = plain - 0.1 * 0.5 * (0 if p.grad is None else p.grad)
            numpy.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-6)
    assert any((plain != moved).any() for plain, moved in zip(*moves))


@pytest.mark.parametrize('given', [['--gradient-penalty', 'wgan-gp', '--loss', 'wgan', '--optimizer', 'adam', '--n-critic', 2],
                                   ['--gradient-penalty', 'dragan', '--penalty-weight', 2.3, '--split-discriminator-update']],
                         ids=['wgan-gp', 'dragan'])
def test_resuming_is_exact(tmp_path, given):
    given = [*SHORT, *given, '--epoch', 1]
    result = train(*given, '-o', tmp_path / 'whole')
    assert result.returncode == 0 and f'gradient penalty {given[len(SHORT) + 1]} of weight' in result.stdout
    assert train(*given, '-o', tmp_path / 'parts', '--iterations', 30).returncode == 0
    assert train('--resume', tmp_path / 'parts').returncode == 0
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts', 60)
    assert all(entry['dis/penalty'] > 0 for entry in timeless_log(tmp_path / 'parts'))
    assert settings_of(tmp_path / 'parts')['penalty_weight'] == (10 if 'wgan-gp' in given else 2.3)
    with numpy.load(tmp_path / 'whole' / 'snapshot_iter_60', allow_pickle=False) as f:      # weights are not clipped
        assert max(abs(f[key]).max() for key in f.files if 'discriminator' in key and key.endswith('/W')) > 0.1
