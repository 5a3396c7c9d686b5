import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest

from lsgan import functions, losses
from lsgan.networks.image import Discriminator, Generator
from lsgan.training.updater import GANUpdater


@pytest.mark.parametrize('size, channels, colours', [((96, 96), (16, 8, 4, 2), 3), ((28, 20), (8, 4), 1), ((4, 4), (3,), 4)])
def test_shapes_of_outputs(size, channels, colours):
    z = numpy.random.default_rng(0).standard_normal((3, 7)).astype(numpy.float32)
    images = Generator(7, channels, size, colours)(z)
    assert images.shape == (3, colours, *size)
    assert images.dtype == numpy.float32
    assert abs(images.array).max() < 1
    assert Discriminator(channels[::-1], size, colours)(images).shape == (3, 1)


def test_sides_with_odd_halves():
    generator = Generator(7, (8, 4, 2), (28, 40), 1, norm='channel')
    z = numpy.random.default_rng(0).standard_normal((3, 7)).astype(numpy.float32)
    h, sizes = generator.first(z), []
    assert h.shape == (3, 8, 4, 5) and generator.first_norm.gamma.shape == (8,)
    for step in generator.steps:
        h = step(h)
        sizes.append(h.shape[2:])
    assert sizes == [(8, 10), (14, 20), (28, 40)]
    assert generator(z).shape == (3, 1, 28, 40)
    assert Discriminator((2, 4, 8, 16), (28, 40), 1)(generator(z)).shape == (3, 1)


@pytest.mark.parametrize('upsample, weights', [('pixelshuffle', (24, 16, 3, 3)), ('resize', (6, 16, 3, 3))])
@pytest.mark.parametrize('size', [(96, 32), (28, 20)])
def test_all_upsamplings_give_the_same_sizes(upsample, weights, size):
    z = numpy.random.default_rng(0).standard_normal((3, 7)).astype(numpy.float32)
    generator = Generator(7, (16, 6), size, upsample=upsample)
    assert generator(z).shape == (3, 3, *size)
    assert generator.steps[0].W.shape == weights


def test_pixels_of_upsamplings():
    x = numpy.random.default_rng(0).standard_normal((2, 16, 3, 4)).astype(numpy.float32)
    shuffle = Generator(7, (16, 6), (12, 16), upsample='pixelshuffle').steps[0]
    wide, y = F.convolution_2d(x, shuffle.W, shuffle.b, 1, 1).array, shuffle(x).array
    blocks = y.reshape(2, 6, 3, 2, 4, 2).transpose(0, 2, 4, 1, 3, 5).reshape(2, 3, 4, -1)
    numpy.testing.assert_allclose(numpy.sort(blocks), numpy.sort(wide.transpose(0, 2, 3, 1)), rtol=1e-3, atol=1e-5)
    resize = Generator(7, (16, 6), (12, 16), upsample='resize').steps[0]
    expected = F.convolution_2d(numpy.repeat(numpy.repeat(x, 2, 2), 2, 3), resize.W, resize.b, 1, 1)
    numpy.testing.assert_allclose(resize(x).array, expected.array, rtol=1e-3, atol=1e-5)


def normalizations(link):
    return [name for name, child in link.namedlinks() if isinstance(child, L.BatchNormalization)]


def test_normalisation_and_activation_can_be_chosen():
    z = numpy.random.default_rng(0).standard_normal((40, 7)).astype(numpy.float32)
    for activation in 'relu', 'tanh', 'sigmoid':
        generator = Generator(7, (8, 4), (8, 8), 1, activation, norm=None)
        assert not normalizations(generator)
        h = {'relu': F.relu, 'tanh': F.tanh, 'sigmoid': F.sigmoid}[activation](generator.first(z)).reshape(-1, 8, 2, 2)
        assert generator(z).shape == (40, 1, 8, 8)
        expected = generator.steps[1](generator.norms[0](generator.steps[0](h)))
        numpy.testing.assert_allclose(generator(z).array, F.tanh(expected).array, rtol=1e-4, atol=1e-5)
    assert normalizations(Discriminator((2, 4), (8, 8), 1)) == ['/norms/0', '/norms/1']
    assert normalizations(Discriminator((2, 4), (8, 8), 1, norm='but first')) == ['/norms/1']
    assert normalizations(Discriminator((2, 4), (8, 8), 1, norm=None)) == []


class StockGenerator(chainer.Chain):
    """`Generator` with (20, 16) channels for 8x8 images, built from Chainer's own links."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.first, self.first_norm = L.Linear(5, 20 * 4), L.BatchNormalization(20 * 4)
            self.steps = chainer.ChainList(L.Deconvolution2D(20, 16, 4, 2, 1), L.Deconvolution2D(16, 3, 4, 2, 1))
            self.norms = chainer.ChainList(L.BatchNormalization(16))

    def forward(self, z):
        h = F.relu(self.first_norm(self.first(z))).reshape(-1, 20, 2, 2)
        return F.tanh(self.steps[1](F.relu(self.norms[0](self.steps[0](h)))))


class StockDiscriminator(chainer.Chain):

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.steps = chainer.ChainList(L.Convolution2D(3, 16, 4, 2, 1), L.Convolution2D(16, 20, 4, 2, 1))
            self.norms = chainer.ChainList(L.BatchNormalization(16), L.BatchNormalization(20))
            self.last = L.Linear(80, 1)

    def forward(self, x):
        for step, norm in zip(self.steps, self.norms):
            x = F.leaky_relu(norm(step(x)), 0.2)
        return self.last(x)


def ours():
    return Generator(5, (20, 16), (8, 8)), Discriminator((16, 20), (8, 8))


def train(networks, optimizer, updates, dtype):
    """Train networks on fixed random data. Return their parameters and running statistics by name."""
    rng = numpy.random.default_rng(0)

    class Batches:
        def next(self):
            return rng.uniform(-1, 1, (6, 3, 8, 8)).astype(dtype)

    class Latents:
        def __call__(self, n):
            return rng.standard_normal((n, 5)).astype(dtype)

    optimizers = {name: optimizer(1e-3, beta1=0.5).setup(link) for name, link in zip(('generator', 'discriminator'), networks)}
    updater = GANUpdater({'main': Batches()}, optimizers, losses.LeastSquares(), Latents())
    for _ in range(updates):
        updater.update_core()
    return {name: value for link in networks for name, value in [
        *((type(link).__name__.removeprefix('Stock') + n, p.array) for n, p in link.namedparams()),
        *((f'{type(link).__name__.removeprefix("Stock")}{n}/{key}', getattr(norm, key)) for n, norm in link.namedlinks()
          for key in ('avg_mean', 'avg_var') if hasattr(norm, key))]}


def test_updates_equal_stock_chainer(transfer):
    with chainer.using_config('dtype', numpy.float64):
        mine, stock = ours(), (StockGenerator(), StockDiscriminator())
    for a, b in zip(mine, stock):
        transfer(a, b)
    start = {name: p.array.copy() for name, p in mine[0].namedparams()}
    fast = train(mine, functions.Adam, 10, numpy.float64)
    with chainer.using_config('fast', False):
        slow = train(stock, chainer.optimizers.Adam, 10, numpy.float64)
    assert fast.keys() == slow.keys()
    for name, value in slow.items():
        assert value.dtype == numpy.float64
        numpy.testing.assert_allclose(fast[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
    assert all(abs(p.array - start[name]).max() > 1e-4 for name, p in mine[0].namedparams() if name.endswith('W'))


@pytest.mark.parametrize('threads', [1, 3])
def test_results_repeat_exactly(transfer, threads):
    first, second = ours(), ours()
    for a, b in zip(first, second):
        transfer(a, b)
    with chainer.using_config('cpu_threads', threads):
        results = [train(networks, functions.Adam, 5, numpy.float32) for networks in (first, second)]
    for name, value in results[0].items():
        numpy.testing.assert_array_equal(results[1][name], value, err_msg=name)
