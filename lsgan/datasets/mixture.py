"""Two-dimensional mixtures of Gaussians, and layouts of their modes."""
import math

import numpy
from chainer.types import NdArray

from lsgan.functions.gpu import batches
from lsgan.random import Stream


class GaussianMixture:
    """A mixture of K equally likely, isotropic Gaussians in the plane with equal standard deviations.

    Args:
        centers: centres of the modes, float array of shape (K, 2).
        sigma: standard deviation of each mode along each axis.
    """

    on_device = True        # see `lsgan.datasets.iterator.DataSet`

    def __init__(self, centers: numpy.ndarray, sigma: float):
        self.centers = numpy.asarray(centers, numpy.float32)
        self.sigma = sigma
        self._sent: dict[str, NdArray] = {}     # copies of the centres on GPUs, by device name

    def sample(self, n: int, stream: Stream) -> NdArray:
        """Draw `n` points.

        Args:
            n: number of points.
            stream: source of random numbers.

        Returns:
            float32 array of shape (n, 2) on the device of the stream.
        """
        device = stream.device
        if device.xp is not numpy:
            if device.name not in self._sent:
                self._sent[device.name] = device.send(self.centers)
            return batches.points(n, self._sent[device.name], self.sigma, stream.generator)
        points = stream.normal((n, 2))
        points *= self.sigma
        points += self.centers[stream.integers(len(self.centers), n)]
        return points


def ring(n: int, radius: float) -> numpy.ndarray:
    """Return `n` modes at equal distances on a circle around the origin, the first at (radius, 0): shape (n, 2)."""
    angles = 2 * math.pi * numpy.arange(n) / n
    return radius * numpy.stack([numpy.cos(angles), numpy.sin(angles)], axis=1)


def double_ring(n: int, radius: float) -> numpy.ndarray:
    """Return `n` modes on a circle and `n` more on a concentric circle of half the radius: shape (2 n, 2)."""
    return numpy.concatenate([ring(n, radius), ring(n, radius / 2)])


def grid(n: int, radius: float) -> numpy.ndarray:
    """Return `n` x `n` modes on a square grid from -radius to radius along both axes: shape (n * n, 2)."""
    axis = numpy.linspace(-radius, radius, n)
    return numpy.stack(numpy.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


LAYOUTS = {'ring': ring, 'double-ring': double_ring, 'grid': grid}
