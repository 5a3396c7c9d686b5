"""What factors samples show, read by linear discriminants from images whose factors are known."""
import numpy

_SIDE, _RIDGE = 32, 1e-5        # images are made so small; weight of the regression's penalty, in parts of all variance
_OFF = 5        # these grey levels; drawings are exact, and a value in a colour that nobody tells from its own is that value


class FactorReader:
    """Reads each factor by itself: a linear regression of the pixels on the values, one target for each, then the value
    whose mean of these outputs is nearest, by the Mahalanobis distance; or none, where that is more than twice as far as for
    99% of some known images.

    Each fifth of the known images is left out of the regression. What these outputs scatter, and what they would where each
    colour were brighter or darker by some grey levels, makes the distance.

    Args:
        images: uint8 array of shape (N, C, H, W), the known ones.
        factors (dict): from each factor to an int array (N,), the number of each image's value, each of which occurs.
    """

    def __init__(self, images, factors):
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
            shades = _OFF * part.reshape(images.shape[1], -1, part.shape[1]).sum(axis=1)    # of each colour, (C, K)
            within += shades.T @ shades
            within[numpy.diag_indices_from(within)] += 1e-6 * within.trace()
            precision = numpy.linalg.inv(within)
            distances = _distances(others @ part, centers, precision).min(axis=1)
            limit = 4 * numpy.quantile(distances, 0.99)       # of squares
            self._readers[name] = part, centers, precision, limit

    def read(self, images):
        """A dict from each factor to an int array (M,): the number of the value that each image shows, or -1 for none."""
        rows, read = _rows(images) - self._mean, {}
        for name, (weights, centers, precision, limit) in self._readers.items():
            distances = _distances(rows @ weights, centers, precision)
            read[name] = numpy.where(distances.min(axis=1) > limit, -1, distances.argmin(axis=1))
        return read


def _distances(outputs, centers, precision):
    """Squared Mahalanobis distances of outputs (N, K) from centers (K, K): (N, K)."""
    off = outputs[:, None] - centers
    return ((off @ precision) * off).sum(axis=2)


def _rows(images):
    """Images as rows of numbers, each the mean of an area where they are larger than is needed."""
    n, colours, height, width = images.shape
    step = -(-height // _SIDE), -(-width // _SIDE)
    images = images[:, :, :height // step[0] * step[0], :width // step[1] * step[1]]
    areas = images.reshape(n, colours, images.shape[2] // step[0], step[0], images.shape[3] // step[1], step[1])
    return areas.mean(axis=(3, 5), dtype=numpy.float32).reshape(n, -1)


def fair_values(numbers, n):
    """How many of n values have at least half of an equal share of the numbers, an int array (M,), of which -1 is no value."""
    return int((numpy.bincount(numbers[numbers >= 0], minlength=n) / len(numbers) >= 0.5 / n).sum())
