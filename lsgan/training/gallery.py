"""Real images, read when they are first needed, and what is measured against them."""
import functools
import math

import numpy

from lsgan.datasets.images import ImageSet, to_bytes
from lsgan.metrics.diversity import mean_pairwise_distance
from lsgan.metrics.factors import FactorReader, fair_values
from lsgan.metrics.nearest import nearest_images
from lsgan.training.traits import Traits

_PAIRED, _SEARCHED, _KNOWN = 500, 200, 5000     # images compared with each other, looked for, and learnt from


class Gallery:
    """The real images of an experiment, grey or coloured: training draws from them, metrics compare samples with them.

    Args:
        load (callable): returns uint8 images (N, C, H, W), at least 2 and not all the same; a dict of their factors, each an
            int array (N,), empty if none are known; and the fingerprint of the data that they come from. Called once, when
            something needs them.
        mirror (bool): see `lsgan.datasets.images.ImageSet`.
    """

    def __init__(self, load, mirror=False):
        self._load, self.mirror, self._compared = load, mirror, {}

    @functools.cached_property
    def _loaded(self):
        return self._load()

    @property
    def images(self):
        """All of them, (N, C, H, W)."""
        return self._loaded[0]

    @property
    def fingerprint(self):
        """The `lsgan.datasets.images.fingerprint` of the data that they come from."""
        return self._loaded[2]

    @functools.cached_property
    def _set(self):
        return ImageSet(lambda: self.images, self.mirror)

    @property
    def on_device(self):
        """See `lsgan.datasets.images.ImageSet.on_device`."""
        return self._set.on_device

    def sample(self, n, stream):
        """See `lsgan.datasets.images.ImageSet.sample`."""
        return self._set.sample(n, stream)

    @functools.cached_property
    def _shuffled(self):
        """The numbers of all images in an order of chance, always the same one."""
        return numpy.random.default_rng(0).permutation(len(self.images))

    def _real(self, n):
        """The `Traits` of n images, and the distances and values of n others."""
        if n not in self._compared:
            first, others = (Traits(self.images[self._shuffled[part]]) for part in (slice(n), slice(n, 2 * n)))
            self._compared = {n: (first, others.distances(first), others.values(first))}
        return self._compared[n]

    @functools.cached_property
    def _of_real(self):
        """The images' diversity, and how near they are to each other."""
        some = self._shuffled[:_SEARCHED]
        near = nearest_images(self.images[some], self.images, self.mirror, some)[1].mean()
        return mean_pairwise_distance(self.images[self._shuffled[:_PAIRED]]), float(near)

    @functools.cached_property
    def _reader(self):
        factors = self._loaded[1]
        known = self._shuffled[:_KNOWN]
        return FactorReader(self.images[known], {name: numbers[known] for name, numbers in factors.items()})

    def read(self, samples):
        """What samples (M, C, H, W) in [-1, 1] show of each known factor, see `lsgan.metrics.factors.FactorReader.read`."""
        return self._reader.read(to_bytes(samples)) if self._loaded[1] else {}

    def reliability(self):
        """Of each known factor the share that is read rightly of up to 1,000 images that the reader has not seen: a dict."""
        some = self._shuffled[_KNOWN:][:1000]
        return {name: float((found == self._loaded[1][name][some]).mean())
                for name, found in self._reader.read(self.images[some]).items()}

    def metrics(self, samples):
        """Numbers of samples, a NumPy array (M, C, H, W) in [-1, 1], M at least 2.

        Returns:
            dict: the distances of `lsgan.training.traits.Traits.distances` between samples and as many images, at most half of
            all, each with its `..._floor`, that between images and others; the values of `Traits.values`, each with its
            `..._real`, that of these others;
            `diversity`, the mean distance between two samples over that between two images: a collapse alarm, 1 is right, and
            nan where the images compared are all the same;
            `nearest_distance`, of a sample to the nearest image, and `nearest_distance_real`, of an image to the nearest other
            one, in grey levels (0..255) of all numbers together; where factors are known, `values_fair`, how many of all
            `values_total` values are shown by at least half of their share of the samples, and `FACTOR_values` of each.
        """
        shown, samples = self.read(samples), to_bytes(samples)
        n = min(len(samples), len(self.images) // 2)
        (real, floors, values), traits = self._real(n), Traits(samples[:n])
        diversity, near = self._of_real
        numbers = {}
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
