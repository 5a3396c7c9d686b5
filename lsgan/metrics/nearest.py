"""How near samples lie to given examples: those of a generator that learnt its training data by heart are at about 0."""
import numpy

ROWS, VALUES = 1024, 1 << 21        # at most in a block of rows of y, of which few copies are held at a time


def nearest(x, y, but=None):
    """For each row of x the nearest row of y, by the Euclidean distance.

    The nearest row is searched by matrix products in float32, and the distance to it then computed directly in float64; so
    that of a copy is 0, and an error can only come from rows that are nearly as near.

    Args:
        x, y: arrays of shapes (N, ...) and (M, ...), float or uint8, in the same units; y is not copied as a whole.
        but: for each row of x the number of a row of y that does not count, an int array (N,), M being at least 2; or None.

    Returns:
        tuple: the numbers of those rows, an int array (N,), and the distances to them, float64 (N,), in units of the data.

    Raises:
        ValueError: where the shapes of the rows differ or there are no rows.
    """
    x, y = numpy.asarray(x), numpy.asarray(y)
    if not (x.ndim > 1 and y.ndim > 1 and x.shape[1:] == y.shape[1:] and x.size and y.size):
        raise ValueError(f'rows of one shape, (N, ...) and (M, ...), are needed, not {x.shape} and {y.shape}')
    center = y.mean(axis=0, dtype=numpy.float64).astype(numpy.float32).reshape(-1)   # far from 0 scores would be rounded away
    a = x.reshape(len(x), -1).astype(numpy.float32) - center
    best, numbers = numpy.full(len(x), numpy.inf, numpy.float32), numpy.zeros(len(x), numpy.intp)
    step = max(1, min(ROWS, VALUES // center.size))
    for first in range(0, len(y), step):
        b = y[first:first + step].reshape(-1, center.size).astype(numpy.float32) - center
        scores = 0.5 * numpy.einsum('ij,ij->i', b, b) - a @ b.T         # half the squared distance, less half of |a|²
        if but is not None:
            here, = numpy.nonzero((but >= first) & (but < first + len(b)))
            scores[here, but[here] - first] = numpy.inf
        least = scores.argmin(axis=1)
        score = scores[numpy.arange(len(a)), least]
        nearer = score < best
        best[nearer], numbers[nearer] = score[nearer], first + least[nearer]
    distances = [numpy.linalg.norm((u - v.astype(numpy.float64)).ravel()) for u, v in zip(x, y[numbers])]
    return numbers, numpy.array(distances)


def nearest_images(samples, images, mirror=False, but=None):
    """For each sample the nearest image, both arrays of bytes, (N, C, H, W) and (M, C, H, W).

    Args:
        mirror (bool): whether each image counts twice, as it is and with left and right exchanged.
        but: see `nearest`.

    Returns:
        tuple: those images, uint8 (N, C, H, W), and the distances, float64 (N,), in grey levels of all numbers together.
    """
    numbers, distances = nearest(samples, images, but)
    found = images[numbers]
    if mirror:
        numbers, others = nearest(samples[:, :, :, ::-1], images, but)
        nearer = others < distances
        found[nearer], distances[nearer] = images[numbers[nearer], :, :, ::-1], others[nearer]
    return found, distances


def nearest_distance(x, y):
    """The mean, over the rows of x, of the distance to the nearest row of y: see `nearest`."""
    return float(nearest(x, y)[1].mean())
