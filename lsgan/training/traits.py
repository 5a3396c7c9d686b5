"""Statistics of a set of images, by which it is compared with another set: patches, colours, and features of faces."""
import functools

import numpy

from lsgan.datasets.images import scaled
from lsgan.metrics.colour import chroma_histogram, histogram_distance, histogram_mean, limit_fractions
from lsgan.metrics.frechet import frechet_distance
from lsgan.metrics.manifold import precision_recall
from lsgan.metrics.swd import pyramid_distances, pyramid_projections
from lsgan.networks.features import load_features

_NEIGHBOURS = 3     # k of precision and recall, as in Kynkäänniemi et al. 2019

_network = functools.cache(load_features)


class Traits:
    """Statistics of a set of images, for comparisons with other sets of equally many images.

    Args:
        images: uint8 array of shape (N, C, H, W) with C = 1 or 3.
    """

    def __init__(self, images: numpy.ndarray):
        self._patches = pyramid_projections(images)
        self._chroma = chroma_histogram(images) if images.shape[1] == 3 else None
        self._limits = limit_fractions(images)
        self._features = _network().look(scaled(images))

    def distances(self, real: 'Traits') -> dict[str, float]:
        """Return the distances between these images and real images. Each is 0 if the two sets are equal.

        Args:
            real: of equally many real images of the same shape.

        Returns:
            dict of float:

            - `sliced_wasserstein_H`: sliced Wasserstein distance between patches at the pyramid level of H pixels, see
              `lsgan.metrics.swd.pyramid_distances`. `sliced_wasserstein` is the mean over the levels.
            - `chroma_distance`, for coloured images: Wasserstein-1 distance between the distributions of the pixels' chroma.
            - `frechet_distance`, for more than 3 images: Fréchet distance between features of faces, see
              `lsgan.networks.features`.
        """
        patches = pyramid_distances(self._patches, real._patches)
        numbers = {'sliced_wasserstein': float(numpy.mean(list(patches.values()))),
                   **{f'sliced_wasserstein_{height}': distance for height, distance in patches.items()}}
        if self._chroma is not None and real._chroma is not None:
            numbers['chroma_distance'] = histogram_distance(self._chroma, real._chroma)
        if len(self._features) > _NEIGHBOURS:
            numbers['frechet_distance'] = frechet_distance(self._features, real._features)
        return numbers

    def values(self, real: 'Traits') -> dict[str, float]:
        """Return statistics of these images whose best value is that of real images.

        Args:
            real: of equally many real images of the same shape.

        Returns:
            dict of float:

            - `precision`, `recall`, for more than 3 images: those of the features, 0 to 1, see
              `lsgan.metrics.manifold.precision_recall`.
            - `chroma`, for coloured images: mean chroma of the pixels, 0 to 1.
            - `near_black`, `near_white`: fractions of channel values near 0 and near 255, 0 to 1, see
              `lsgan.metrics.colour.limit_fractions`.
        """
        numbers = {}
        if len(self._features) > _NEIGHBOURS:
            numbers['precision'], numbers['recall'] = precision_recall(real._features, self._features, _NEIGHBOURS)
        if self._chroma is not None:
            numbers['chroma'] = histogram_mean(self._chroma)
        numbers['near_black'], numbers['near_white'] = self._limits
        return numbers
