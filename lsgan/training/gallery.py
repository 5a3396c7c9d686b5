"""The real images of an experiment, and the metrics that compare samples with them."""
import functools
import math
from collections.abc import Callable

import numpy
from chainer.types import NdArray

from lsgan.datasets.images import ImageSet, to_bytes
from lsgan.metrics.diversity import mean_pairwise_distance
from lsgan.metrics.factors import FactorReader, fair_values
from lsgan.metrics.nearest import nearest_images
from lsgan.random import Stream
from lsgan.training.traits import Traits

# at most: images for the diversity, images whose nearest neighbour is searched, images that the factor reader is fitted to
_PAIRED, _SEARCHED, _KNOWN = 500, 200, 5000


class Gallery:
    """The real images of an experiment, grey or coloured.

    Training draws its batches from them, and metrics compare samples with them. They are loaded when they are first needed.

    Args:
        load: returns a tuple: the images, a uint8 array of shape (N, C, H, W) with at least 2 images that are not all equal; a
            dict from each known factor to an int array of shape (N,), the index of each image's value, empty if no factor is
            known; and the fingerprint of the data. It is called at most once.
        mirror: whether the set also holds the mirror image of each image, see `lsgan.datasets.images.ImageSet`.
    """

    def __init__(self, load: Callable[[], tuple[numpy.ndarray, dict[str, numpy.ndarray], str]], mirror: bool = False):
        self._load, self.mirror = load, mirror
        self._compared: dict[int, tuple[Traits, dict[str, float], dict[str, float]]] = {}

    @functools.cached_property
    def _loaded(self):
        return self._load()

    @property
    def images(self) -> numpy.ndarray:
        """All images, a uint8 array of shape (N, C, H, W)."""
        return self._loaded[0]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the data, see `lsgan.datasets.images.fingerprint`."""
        return self._loaded[2]

    @functools.cached_property
    def _set(self):
        return ImageSet(lambda: self.images, self.mirror)

    @property
    def on_device(self) -> bool:
        """Whether the images are held in a GPU's memory, see `lsgan.datasets.images.ImageSet.on_device`."""
        return self._set.on_device

    def sample(self, n: int, stream: Stream) -> NdArray:
        """Draw a batch of n images, see `lsgan.datasets.images.ImageSet.sample`."""
        return self._set.sample(n, stream)

    def some(self, n: int) -> numpy.ndarray:
        """Return up to n images for a picture, see `lsgan.datasets.images.ImageSet.some`."""
        return self._set.some(n)

    @functools.cached_property
    def _shuffled(self):
        """The indices of all images in a fixed random order."""
        return numpy.random.default_rng(0).permutation(len(self.images))

    def _real(self, n):
        """Compare n real images with n other real images.

        Args:
            n (int): number of images in each of the two sets, at most half of all images.

        Returns:
            tuple: the `Traits` of the first n images; the distances of the n other images from them; and the values of the n
            other images.
        """
        if n not in self._compared:
            first, others = (Traits(self.images[self._shuffled[part]]) for part in (slice(n), slice(n, 2 * n)))
            self._compared = {n: (first, others.distances(first), others.values(first))}
        return self._compared[n]

    @functools.cached_property
    def _of_real(self):
        """The mean distance between two real images, and the mean distance of a real image to the nearest other one."""
        some = self._shuffled[:_SEARCHED]
        near = nearest_images(self.images[some], self.images, self.mirror, some)[1].mean()
        return mean_pairwise_distance(self.images[self._shuffled[:_PAIRED]]), float(near)

    @functools.cached_property
    def _reader(self):
        factors = self._loaded[1]
        known = self._shuffled[:_KNOWN]
        return FactorReader(self.images[known], {name: numbers[known] for name, numbers in factors.items()})

    def read(self, samples: numpy.ndarray) -> dict[str, numpy.ndarray]:
        """Predict the factor values of samples, see `lsgan.metrics.factors.FactorReader.read`.

        Args:
            samples: float array of shape (M, C, H, W) in [-1, 1].

        Returns:
            A dict from each known factor to an int array of shape (M,), the index of each sample's value, or -1 for no value;
            empty if no factor is known.
        """
        return self._reader.read(to_bytes(samples)) if self._loaded[1] else {}

    def reliability(self) -> dict[str, float]:
        """Measure the accuracy of the factor reader on up to 1,000 images that it was not fitted to.

        Returns:
            A dict from each known factor to the fraction of images whose value is predicted correctly, 0 to 1.
        """
        some = self._shuffled[_KNOWN:][:1000]
        return {name: float((found == self._loaded[1][name][some]).mean())
                for name, found in self._reader.read(self.images[some]).items()}

    def metrics(self, samples: numpy.ndarray) -> dict[str, float]:
        """Measure samples against the real images.

        Args:
            samples: NumPy float array of shape (M, C, H, W) in [-1, 1], M at least 2.

        Returns:
            dict:

            - the distances of `lsgan.training.traits.Traits.distances` between n samples and n real images, and for each the
              same distance between two sets of n real images, `..._floor`. n is M, but at most half of the real images.
            - the values of `Traits.values` of n samples, and for each the same value of n real images, `..._real`.
            - `diversity`: mean Euclidean distance between two samples, divided by the mean distance between two real images.
              1 is right; near 0 the generator has collapsed. It is nan if the real images that it compares are all equal.
            - `nearest_distance`, `nearest_distance_real`: mean Euclidean distance of a sample to the nearest real image, and
              of a real image to the nearest other one, over all pixel values, in grey levels (0 to 255).
            - `values_total`, `values_fair`, only if factors are known: number of values of all factors, and number of values
              that occur in the samples at least half as often as in a uniform distribution. `FACTOR_values` is that number
              for one factor.
        """
        shown, samples = self.read(samples), to_bytes(samples)
        n = min(len(samples), len(self.images) // 2)
        (real, floors, values), traits = self._real(n), Traits(samples[:n])
        diversity, near = self._of_real
        numbers: dict[str, float] = {}
        for name, distance in traits.distances(real).items():
            numbers |= {name: distance, f'{name}_floor': floors[name]}
        for name, value in traits.values(real).items():
            numbers |= {name: value, f'{name}_real': values[name]}
        numbers |= {'diversity': mean_pairwise_distance(samples[:_PAIRED]) / diversity if diversity else math.nan,
                    'nearest_distance': float(nearest_images(samples[:_SEARCHED], self.images, self.mirror)[1].mean()),
                    'nearest_distance_real': near}
        if shown:
            totals = {name: int(of.max()) + 1 for name, of in self._loaded[1].items()}
            fair = {f'{name}_values': fair_values(of, totals[name]) for name, of in shown.items()}
            numbers |= {'values_fair': sum(fair.values()), 'values_total': sum(totals.values()), **fair}
        return numbers
