"""What is measured of a set of images against another: patches, colours and features of faces."""
import functools

import numpy

from lsgan.datasets.images import scaled
from lsgan.metrics.colour import chroma_histogram, histogram_distance, histogram_mean, limit_fractions
from lsgan.metrics.frechet import frechet_distance
from lsgan.metrics.manifold import precision_recall
from lsgan.metrics.swd import pyramid_distances, pyramid_projections
from lsgan.networks.features import load_features

_NEIGHBOURS = 3     # k of precision and recall, as Kynkäänniemi et al. 2019 chose it

_network = functools.cache(load_features)


class Traits:
    """Statistics of a set of images that are enough to measure it against another of as many images.

    Args:
        images: uint8 array of shape (N, C, H, W), C 1 or 3.
    """

    def __init__(self, images):
        self._patches = pyramid_projections(images)
        self._chroma = chroma_histogram(images) if images.shape[1] == 3 else None
        self._limits = limit_fractions(images)
        self._features = _network().look(scaled(images))

    def distances(self, real):
        """Return how far these images are from real ones, a dict of floats that are 0 for the same images.

        Args:
            real (Traits): of as many images of the same shape.

        Returns:
            dict: `sliced_wasserstein`, the mean of `sliced_wasserstein_H` for each level of height H, between patches;
            `chroma_distance`, the Wasserstein-1 distance between the distributions of the pixels' chroma, of coloured images;
            `frechet_distance` between the features, of more than 3 images.
        """
        patches = pyramid_distances(self._patches, real._patches)
        numbers = {'sliced_wasserstein': float(numpy.mean(list(patches.values()))),
                   **{f'sliced_wasserstein_{height}': distance for height, distance in patches.items()}}
        if self._chroma is not None:
            numbers['chroma_distance'] = histogram_distance(self._chroma, real._chroma)
        if len(self._features) > _NEIGHBOURS:
            numbers['frechet_distance'] = frechet_distance(self._features, real._features)
        return numbers

    def values(self, real):
        """Return what is right where it is as other real images have it, a dict of floats.

        Args:
            real (Traits): of as many images of the same shape.

        Returns:
            dict: `precision` and `recall` of the features, see `lsgan.metrics.manifold`, of more than 3 images; `chroma`, the
            mean over the pixels, of coloured images; `near_black` and `near_white`, the fractions of
            `lsgan.metrics.colour.limit_fractions`.
        """
        numbers = {}
        if len(self._features) > _NEIGHBOURS:
            numbers['precision'], numbers['recall'] = precision_recall(real._features, self._features, _NEIGHBOURS)
        if self._chroma is not None:
            numbers['chroma'] = histogram_mean(self._chroma)
        numbers['near_black'], numbers['near_white'] = self._limits
        return numbers
