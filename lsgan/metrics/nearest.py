"""How near samples lie to given examples: those of a generator that learnt its training data by heart are at about 0."""
import numpy

ROWS, VALUES = 1024, 1 << 20        # at most in a block of rows, so that few copies and products are held at a time


def _blocks(rows):
    """The rows flattened, in blocks of shape (n, D), each with the index of its first row."""
    step = max(1, min(ROWS, VALUES // rows[0].size))
    for first in range(0, len(rows), step):
        yield first, rows[first:first + step].reshape(-1, rows[0].size)


def nearest(x, y):
    """For each row of x the nearest row of y, by the Euclidean distance.

    The nearest row is searched by matrix products in float32, and the distance to it then computed directly in float64; so
    that of a copy is 0, and an error can only come from rows that are nearly as near.

    Args:
        x, y: arrays of shapes (N, ...) and (M, ...), float or uint8, in the same units; neither is copied as a whole.

    Returns:
        tuple: the numbers of those rows, an int array (N,), and the distances to them, float64 (N,), in units of the data.

    Raises:
        ValueError: where the shapes of the rows differ or there are no rows.
    """
    x, y = numpy.asarray(x), numpy.asarray(y)
    if not (x.ndim > 1 and y.ndim > 1 and x.shape[1:] == y.shape[1:] and x.size and y.size):
        raise ValueError(f'rows of one shape, (N, ...) and (M, ...), are needed, not {x.shape} and {y.shape}')
    center = y.mean(axis=0, dtype=numpy.float64).reshape(-1)    # far from the origin the scores would be rounded away
    numbers, distances = numpy.empty(len(x), numpy.intp), numpy.empty(len(x))
    for start, block in _blocks(x):
        a = (block - center).astype(numpy.float32)
        best, found = numpy.full(len(a), numpy.inf, numpy.float32), numpy.zeros(len(a), numpy.intp)
        for first, others in _blocks(y):
            b = (others - center).astype(numpy.float32)
            scores = 0.5 * (b * b).sum(axis=1) - a @ b.T        # half the squared distance, less half of |a|²
            least = scores.argmin(axis=1)
            score = scores[numpy.arange(len(a)), least]
            nearer = score < best
            best[nearer], found[nearer] = score[nearer], first + least[nearer]
        here = slice(start, start + len(a))
        numbers[here] = found
        distances[here] = numpy.linalg.norm(block - y[found].reshape(a.shape).astype(numpy.float64), axis=1)
    return numbers, distances


def nearest_distance(x, y):
    """The mean, over the rows of x, of the distance to the nearest row of y: see `nearest`."""
    return float(nearest(x, y)[1].mean())
