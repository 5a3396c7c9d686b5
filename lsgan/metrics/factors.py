"""Factors of variation in samples, predicted by linear models that were fitted to images with known factors."""
from collections.abc import Mapping

import numpy

_SIDE, _RIDGE = 32, 1e-5        # pixels to which images are reduced; ridge penalty, as a fraction of the total variance
_OFF = 5        # grey levels: expected colour error of samples; drawn faces have exact colours, but samples need not


class FactorReader:
    """A predictor of the factor values of images.

    For each factor, a ridge regression maps the pixels to one output per value, with one-hot targets. The predicted value is
    the one whose mean output is nearest by the Mahalanobis distance. An image shows no value of a factor if that distance is
    more than twice its 99th percentile over held-out images.

    Every fifth image is held out of the regression. The covariance matrix of the Mahalanobis distance is the
    within-class covariance of their outputs, plus the effect of a shift of each colour channel by 5 grey levels.

    Args:
        images: images with known factors, uint8 array of shape (N, C, H, W).
        factors: maps each factor to an int array of shape (N,), the index of each image's value. Each value must occur.
    """

    def __init__(self, images: numpy.ndarray, factors: Mapping[str, numpy.ndarray]):
        new = numpy.arange(len(images)) % 5 == 4
        rows, others = _rows(images[~new]), _rows(images[new])
        unseen = {name: numbers[new] for name, numbers in factors.items()}
        factors = {name: numbers[~new] for name, numbers in factors.items()}
        self._mean = rows.mean(axis=0)
        rows -= self._mean
        others -= self._mean
        products = rows.T @ rows
        products[numpy.diag_indices_from(products)] += _RIDGE * products.trace()
        targets = [numpy.eye(numbers.max() + 1, dtype=numpy.float32)[numbers] for numbers in factors.values()]
        weights = numpy.linalg.solve(products.astype(numpy.float64), rows.T @ numpy.concatenate(targets, axis=1))
        ends = numpy.cumsum([len(one[0]) for one in targets])
        self._readers = {}
        for (name, numbers), part in zip(factors.items(), numpy.split(weights, ends[:-1], axis=1)):
            outputs = rows @ part
            centers = numpy.stack([outputs[numbers == k].mean(axis=0) for k in range(part.shape[1])])
            within = numpy.cov((others @ part - centers[unseen[name]]).T)
            # (C, K): change of the outputs if a colour channel is brighter by _OFF grey levels.
            shades = _OFF * part.reshape(images.shape[1], -1, part.shape[1]).sum(axis=1)
            within += shades.T @ shades
            within[numpy.diag_indices_from(within)] += 1e-6 * within.trace()
            precision = numpy.linalg.inv(within)
            distances = _distances(others @ part, centers, precision).min(axis=1)
            limit = 4 * numpy.quantile(distances, 0.99)       # the distances are squared, so 4 doubles them
            self._readers[name] = part, centers, precision, limit

    def read(self, images: numpy.ndarray) -> dict[str, numpy.ndarray]:
        """Predict the factor values of images.

        Args:
            images: uint8 array of shape (M, C, H, W), of the same size as the known images.

        Returns:
            Maps each factor to an int array of shape (M,), the index of each image's value, or -1 for no value.
        """
        rows, read = _rows(images) - self._mean, {}
        for name, (weights, centers, precision, limit) in self._readers.items():
            distances = _distances(rows @ weights, centers, precision)
            read[name] = numpy.where(distances.min(axis=1) > limit, -1, distances.argmin(axis=1))
        return read


def _distances(outputs, centers, precision):
    """Return the squared Mahalanobis distances from outputs (N, K) to centres (K, K), an array of shape (N, K)."""
    off = outputs[:, None] - centers
    return ((off @ precision) * off).sum(axis=2)


def _rows(images):
    """Return images as rows of numbers. Larger images are first reduced by averaging blocks of pixels."""
    n, colours, height, width = images.shape
    step = -(-height // _SIDE), -(-width // _SIDE)
    images = images[:, :, :height // step[0] * step[0], :width // step[1] * step[1]]
    areas = images.reshape(n, colours, images.shape[2] // step[0], step[0], images.shape[3] // step[1], step[1])
    return areas.mean(axis=(3, 5), dtype=numpy.float32).reshape(n, -1)


def fair_values(numbers: numpy.ndarray, n: int) -> int:
    """Count the values that occur at least half as often as they would in a uniform distribution.

    Args:
        numbers: the index of the value of each sample, int array of shape (M,); -1 for no value.
        n: number of values of the factor.

    Returns:
        Number of values whose fraction of the M samples is at least 0.5 / n.
    """
    return int((numpy.bincount(numbers[numbers >= 0], minlength=n) / len(numbers) >= 0.5 / n).sum())
