"""Tests of several trainers in one process."""
import threading

import chainer
import numpy
import pytest

from lsgan import functions
from lsgan.datasets.images import ImageSet
from lsgan.datasets.iterator import SampleIterator
from lsgan.losses import LeastSquares
from lsgan.networks.image import Discriminator, Generator
from lsgan.random import Latent
from lsgan.training.updater import GANUpdater


@pytest.fixture
def make_trainer(make_stream, tmp_path):
    def make(seed):
        numpy.random.seed(seed)
        links = {'generator': Generator(7, (12, 8), (16, 16), 1), 'discriminator': Discriminator((8, 12), (16, 16), 1)}
        optimizers = {name: functions.Adam(1e-3, 0.5).setup(link) for name, link in links.items()}
        images = numpy.random.randint(0, 256, (40, 1, 16, 16)).astype(numpy.uint8)
        iterator = SampleIterator(ImageSet(lambda: images), 16, make_stream(seed, 'data'), 10)
        updater = GANUpdater(iterator, optimizers, LeastSquares(), Latent(7, 'normal', make_stream(seed, 'latent')))
        return chainer.training.Trainer(updater, (25, 'iteration'), tmp_path / str(seed))
    return make


def weights(trainer):
    return [p.array for optimizer in trainer.updater.get_all_optimizers().values() for p in optimizer.target.params()]


def test_trainers_in_parallel_are_independent(make_trainer):
    with chainer.using_config('cpu_threads', 2):
        alone = [make_trainer(seed) for seed in range(3)]
        for trainer in alone:
            trainer.run()
    together = [make_trainer(seed) for seed in range(3)]

    def run(trainer):
        with chainer.using_config('cpu_threads', 2):     # of this thread
            trainer.run()
    threads = [threading.Thread(target=run, args=(trainer,)) for trainer in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(alone, together):
        assert a.updater.iteration == b.updater.iteration == 25
        for x, y in zip(weights(a), weights(b)):
            numpy.testing.assert_array_equal(x, y)
