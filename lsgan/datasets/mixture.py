"""Mixtures of Gaussians in the plane, drawn without end on the training device."""
import math

import numpy

from lsgan.functions.gpu import batches


class GaussianMixture:
    """Equally likely isotropic Gaussians of one spread.

    Args:
        centers: float array of shape (K, 2), the modes.
        sigma (float): standard deviation along each axis.
    """

    on_device = True        # see `lsgan.datasets.iterator.SampleIterator`

    def __init__(self, centers, sigma):
        self.centers = numpy.asarray(centers, numpy.float32)
        self.sigma = sigma
        self._sent = {}     # the centers on each GPU, by its name

    def sample(self, n, stream):
        """`n` points as a float32 array of shape (n, 2), drawn from `stream` on its device."""
        device = stream.device
        if device.xp is not numpy:
            if device.name not in self._sent:
                self._sent[device.name] = device.send(self.centers)
            return batches.points(n, self._sent[device.name], self.sigma, stream.generator)
        points = stream.normal((n, 2))
        points *= self.sigma
        points += self.centers[stream.integers(len(self.centers), n)]
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
