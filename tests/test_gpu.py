"""The GPU way against the CPU way: `pytest -m gpu`. Each test is skipped, with the reason, where no GPU works."""
import chainer
import numpy
import pytest
from running import ROOT, SHORT, assert_same_run, settings_of, train, write_images

from lsgan import functions, links, losses
from lsgan.datasets.images import ImageSet
from lsgan.networks.gaussian import Perceptron
from lsgan.networks.image import Discriminator, Generator
from lsgan.random import Latent, Stream
from lsgan.training.devices import select_device

pytestmark = pytest.mark.gpu
# of float32 on both sides, with sums in another order, relative to the largest number
TOLERANCE = 2e-4


@pytest.fixture(scope='module', autouse=True)
def gpu():
    """The GPU, made current; no test runs where there is none."""
    device, why = select_device('auto')
    if device.xp is numpy:
        pytest.skip(why)
    return device


def on_cpu(array):
    return chainer.get_device('@numpy').send(array)


def assert_near(a, b):
    a, b = on_cpu(a), on_cpu(b)
    assert a.shape == b.shape and abs(a - b).max() <= TOLERANCE * max(1, abs(b).max())


def outputs_and_gradients(link, x, device):
    """What a link makes of x on a device without TF32, and the gradients of a weighted sum of it."""
    link = link.copy('copy')
    link.to_device(device)
    variable = chainer.Variable(device.send(x))
    with chainer.using_config('tf32', False):
        y = link(variable)
        link.cleargrads()
        weights = numpy.cos(numpy.arange(y.size, dtype=numpy.float32)).reshape(y.shape)
        chainer.functions.sum(y * device.send(weights)).backward()
    return [y.array, variable.grad, *(p.grad for _, p in sorted(link.namedparams()))]


@pytest.mark.parametrize('make, shape', [
    (lambda: Perceptron([8, 16, 16, 2], 'relu'), (10, 8)),
    (lambda: Perceptron([2, 16, 16, 1], 'leaky_relu'), (10, 2)),
    (lambda: links.Convolution2D(3, 5, 4, 2, 1), (4, 3, 16, 16)),
    (lambda: links.Deconvolution2D(3, 5, 4, 2, 1), (4, 3, 8, 8)),
    (lambda: links.BatchNormalization(5, 'relu'), (4, 5, 6, 6)),
    (lambda: Generator(8, [16, 8], (16, 16)), (6, 8)),
    (lambda: Generator(8, [16, 8], (16, 16), upsample='pixelshuffle'), (6, 8)),
    (lambda: Generator(8, [16, 8], (16, 16), upsample='resize'), (6, 8)),
    (lambda: Discriminator([8, 16], (16, 16)), (6, 3, 16, 16)),
], ids=['perceptron g', 'perceptron d', 'convolution', 'deconvolution', 'normalization', 'generator', 'pixelshuffle', 'resize',
        'discriminator'])
def test_links_compute_what_they_do_on_the_cpu(gpu, make, shape):
    numpy.random.seed(0)
    link, x = make(), numpy.random.standard_normal(shape).astype(numpy.float32)
    for ours, theirs in zip(outputs_and_gradients(link, x, gpu), outputs_and_gradients(link, x, chainer.get_device('@numpy'))):
        assert_near(ours, theirs)


@pytest.mark.parametrize('loss', losses.LOSSES)
def test_losses_are_what_they_are_on_the_cpu(gpu, loss):
    loss, real, fake = losses.LOSSES[loss](), *numpy.random.RandomState(0).standard_normal((2, 20, 1)).astype(numpy.float32)
    assert_near(loss.discriminator(gpu.send(real), gpu.send(fake)).array, loss.discriminator(real, fake).array)
    assert_near(loss.generator(gpu.send(fake)).array, loss.generator(fake).array)


@pytest.mark.parametrize('name', ['Adam', 'RMSprop'])
def test_optimizers_step_as_on_the_cpu(gpu, name):
    nets = []
    for device in gpu, chainer.get_device('@numpy'):
        numpy.random.seed(0)
        net = Perceptron([3, 4, 1], 'relu')
        net.to_device(device)
        optimizer = getattr(functions, name)().setup(net)
        for number in range(5):
            for i, (_, p) in enumerate(sorted(net.namedparams())):
                p.grad = device.send(numpy.random.RandomState([number, i]).standard_normal(p.shape).astype(numpy.float32))
            optimizer.update()
        nets.append(net)
    for p, q in zip(*(net.params() for net in nets)):
        assert_near(p.array, q.array)


def test_latents_are_made_on_the_device_and_a_saved_stream_goes_on(gpu, transfer):
    first, second = (Latent(5, 'normal', Stream(3, 'latent', gpu)) for _ in range(2))
    assert isinstance(first(1000), gpu.xp.ndarray) and abs(float(first(10000).std()) - 1) < 0.02
    assert not (first(7) == second(7)).all()
    transfer(first, second)
    assert (first(7) == second(7)).all()


def test_images_are_held_as_bytes_on_the_device_or_where_they_are_too_large_for_it_beside(gpu, monkeypatch):
    images = numpy.arange(256, dtype=numpy.uint8).reshape(16, 1, 4, 4)
    held, beside = (ImageSet(lambda: images, mirror=True) for _ in range(2))
    drawn = held.sample(50, Stream(0, 'data', gpu))
    assert isinstance(drawn, gpu.xp.ndarray) and drawn.dtype == numpy.float32
    assert isinstance(held.images, gpu.xp.ndarray) and held.images.dtype == numpy.uint8
    monkeypatch.setattr(gpu.xp.cuda.runtime, 'memGetInfo', lambda: (500, 500))
    assert (beside.sample(50, Stream(0, 'data', gpu)) == drawn).all() and isinstance(beside.images, numpy.ndarray)


SMALL = ['--epoch', 1, '--epoch-size', 6, '--log-interval', 3, '--metric-interval', 3, '--sample-interval', 3,
         '--snapshot-interval', 3, '--batchsize', 8, '--metric-samples', 30]


@pytest.mark.script
@pytest.mark.parametrize('loss', losses.LOSSES)
@pytest.mark.parametrize('experiment', ['mnist', 'anime'])
def test_scripts_train_on_images(tmp_path, experiment, loss):
    data = ['--data', write_images(tmp_path / 'data')] if experiment == 'mnist' else ['--size', 32, '--hidden-g', 16, 8,
                                                                                   '--hidden-d', 8, 16]
    result = train(*SMALL, *data, '-d', 0, '--loss', loss, '-o', tmp_path / 'run', script=ROOT / f'train_{experiment}.py')
    assert result.returncode == 0, result.stderr
    assert settings_of(tmp_path / 'run')['device'] == '@cupy:0'


@pytest.mark.script
@pytest.mark.parametrize('loss', losses.LOSSES)
def test_a_seed_determines_a_run_and_a_resumed_one_is_the_same(tmp_path, loss):
    for flags in (['-o', tmp_path / 'whole'], ['-o', tmp_path / 'resumed', '--iterations', 100]):
        result = train(*SHORT, '-d', 0, '--loss', loss, *flags)
        assert result.returncode == 0, result.stderr
    result = train('-o', tmp_path / 'resumed', '--resume')
    assert result.returncode == 0, result.stderr
    assert_same_run(tmp_path / 'whole', tmp_path / 'resumed')
