"""Mixtures of Gaussians in the plane, drawn without end on the training device."""
import math

import chainer
import numpy


class GaussianMixture:
    """Equally likely isotropic Gaussians of one spread.

    Args:
        centers: float array of shape (K, 2), the modes.
        sigma (float): standard deviation along each axis.
    """

    def __init__(self, centers, sigma):
        self.centers = numpy.asarray(centers, numpy.float32)
        self.sigma = sigma

    def sample(self, n, stream):
        """`n` points as a float32 array of shape (n, 2), drawn from `stream` on its device."""
        points = stream.normal((n, 2))
        points *= self.sigma
        points += stream.device.send(self.centers)[stream.integers(len(self.centers), n)]
        return points


def ring(n, radius):
    """`n` modes evenly on a circle, the first on the x axis: shape (n, 2)."""
    angles = 2 * math.pi * numpy.arange(n) / n
    return radius * numpy.stack([numpy.cos(angles), numpy.sin(angles)], axis=1)


def double_ring(n, radius):
    """`n` modes on a circle and `n` on one of half its radius: shape (2 n, 2)."""
    return numpy.concatenate([ring(n, radius), ring(n, radius / 2)])


def grid(n, radius):
    """`n` x `n` modes, evenly on a square with sides from -radius to radius: shape (n * n, 2)."""
    axis = numpy.linspace(-radius, radius, n)
    return numpy.stack(numpy.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


LAYOUTS = {'ring': ring, 'double-ring': double_ring, 'grid': grid}


class MixtureIterator(chainer.dataset.Iterator):
    """Batches of fresh points, for ever; an epoch is a number of batches.

    Args:
        mixture (GaussianMixture): what is drawn from.
        batch_size (int): points in a batch.
        stream (lsgan.random.Stream): where the randomness comes from.
        epoch_size (int): batches that count as an epoch.
    """

    repeat = True

    def __init__(self, mixture, batch_size, stream, epoch_size):
        self.mixture, self.batch_size, self.stream, self.epoch_size = mixture, batch_size, stream, epoch_size
        self.batches = 0

    def __next__(self):
        self.batches += 1
        return self.mixture.sample(self.batch_size, self.stream)

    next = __next__

    @property
    def epoch(self):
        return self.batches // self.epoch_size

    @property
    def epoch_detail(self):
        return self.batches / self.epoch_size

    @property
    def is_new_epoch(self):
        return self.batches > 0 and self.batches % self.epoch_size == 0

    def serialize(self, serializer):
        self.batches = int(serializer('batches', self.batches))
        self.stream.serialize(serializer['stream'])
