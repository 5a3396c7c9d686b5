"""What factors samples show, read by linear discriminants from images whose factors are known."""
import numpy

_SIDE, _RIDGE = 32, 1e-5        # images are made so small; weight of the regression's penalty, in parts of all variance


class FactorReader:
    """Reads each factor by itself: a linear regression of the pixels on the values, one target for each, then the value
    whose mean of these outputs is nearest, by the Mahalanobis distance.

    Args:
        images: uint8 array of shape (N, C, H, W), the known ones.
        factors (dict): from each factor to an int array (N,), the number of each image's value, each of which occurs.
    """

    def __init__(self, images, factors):
        rows = _rows(images)
        self._mean = rows.mean(axis=0)
        rows -= self._mean
        products = rows.T @ rows
        products[numpy.diag_indices_from(products)] += _RIDGE * products.trace()
        targets = [numpy.eye(numbers.max() + 1, dtype=numpy.float32)[numbers] for numbers in factors.values()]
        weights = numpy.linalg.solve(products.astype(numpy.float64), rows.T @ numpy.concatenate(targets, axis=1))
        ends = numpy.cumsum([len(one[0]) for one in targets])
        self._readers = {}
        for (name, numbers), part in zip(factors.items(), numpy.split(weights, ends[:-1], axis=1)):
            outputs = rows @ part
            centers = numpy.stack([outputs[numbers == k].mean(axis=0) for k in range(part.shape[1])])
            within = numpy.cov((outputs - centers[numbers]).T)
            within[numpy.diag_indices_from(within)] += 1e-6 * within.trace()
            self._readers[name] = part, centers, numpy.linalg.inv(within)

    def read(self, images):
        """A dict from each factor to an int array (M,): the numbers of the values that images (M, C, H, W) show."""
        rows, read = _rows(images) - self._mean, {}
        for name, (weights, centers, precision) in self._readers.items():
            off = (rows @ weights)[:, None] - centers
            read[name] = ((off @ precision) * off).sum(axis=2).argmin(axis=1)
        return read


def _rows(images):
    """Images as rows of numbers, each the mean of an area where they are larger than is needed."""
    n, colours, height, width = images.shape
    step = -(-height // _SIDE), -(-width // _SIDE)
    images = images[:, :, :height // step[0] * step[0], :width // step[1] * step[1]]
    areas = images.reshape(n, colours, images.shape[2] // step[0], step[0], images.shape[3] // step[1], step[1])
    return areas.mean(axis=(3, 5), dtype=numpy.float32).reshape(n, -1)


def fair_values(numbers, n):
    """How many of n values have at least half of an equal share of the numbers, an int array (M,): an int from 0 to n."""
    return int((numpy.bincount(numbers, minlength=n) / len(numbers) >= 0.5 / n).sum())
