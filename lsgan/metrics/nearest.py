"""Nearest neighbours of samples in a data set, which reveal memorised training images."""
import numpy

ROWS, VALUES = 1024, 1 << 21        # limits on the rows and the numbers per block of y, to save memory


def nearest(x: numpy.ndarray, y: numpy.ndarray, but: numpy.ndarray | None = None) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Find the nearest row of y for each row of x, by the Euclidean distance.

    The search uses matrix products in float32. The distance to the row found is then computed directly in float64, so the
    distance to a copy is exactly 0. Rounding can only confuse rows whose distances are almost equal.

    Args:
        x, y: arrays of shapes (N, ...) and (M, ...), float or uint8, in the same units. y is never copied as a whole.
        but: indices of rows of y to exclude, int array of shape (N,) with one index per row of x; M must then be at least 2.
            None to exclude nothing.

    Returns:
        The indices of the nearest rows, an int array of shape (N,), and the distances to them, a float64 array of shape (N,),
        in units of the data.

    Raises:
        ValueError: if the shapes of the rows differ or if there are no rows.
    """
    x, y = numpy.asarray(x), numpy.asarray(y)
    if not (x.ndim > 1 and y.ndim > 1 and x.shape[1:] == y.shape[1:] and x.size and y.size):
        raise ValueError(f'expected rows of one shape, (N, ...) and (M, ...), got {x.shape} and {y.shape}')
    # Centre the data, because float32 scores far from the origin would lose their precision.
    center = y.mean(axis=0, dtype=numpy.float64).astype(numpy.float32).reshape(-1)
    a = x.reshape(len(x), -1).astype(numpy.float32) - center
    best, numbers = numpy.full(len(x), numpy.inf, numpy.float32), numpy.zeros(len(x), numpy.intp)
    step = max(1, min(ROWS, VALUES // center.size))
    for first in range(0, len(y), step):
        b = y[first:first + step].reshape(-1, center.size).astype(numpy.float32) - center
        scores = 0.5 * numpy.einsum('ij,ij->i', b, b) - a @ b.T         # half of the squared distance, minus half of |a|²
        if but is not None:
            here, = numpy.nonzero((but >= first) & (but < first + len(b)))
            scores[here, but[here] - first] = numpy.inf
        least = scores.argmin(axis=1)
        score = scores[numpy.arange(len(a)), least]
        nearer = score < best
        best[nearer], numbers[nearer] = score[nearer], first + least[nearer]
    distances = [numpy.linalg.norm((u - v.astype(numpy.float64)).ravel()) for u, v in zip(x, y[numbers])]
    return numbers, numpy.array(distances)


def nearest_images(samples: numpy.ndarray, images: numpy.ndarray, mirror: bool = False,
                   but: numpy.ndarray | None = None) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Find the nearest image for each sample.

    Args:
        samples: uint8 array of shape (N, C, H, W).
        images: uint8 array of shape (M, C, H, W).
        mirror: whether to search the mirror images (left and right exchanged) too.
        but: indices of images to exclude, see `nearest`.

    Returns:
        The nearest images, uint8 array of shape (N, C, H, W), and the Euclidean distances over all pixel values in grey
        levels, float64 array of shape (N,).
    """
    numbers, distances = nearest(samples, images, but)
    found = images[numbers]
    if mirror:
        numbers, others = nearest(samples[:, :, :, ::-1], images, but)
        nearer = others < distances
        found[nearer], distances[nearer] = images[numbers[nearer], :, :, ::-1], others[nearer]
    return found, distances


def nearest_distance(x: numpy.ndarray, y: numpy.ndarray) -> float:
    """Return the mean over the rows of x of the distance to the nearest row of y; see `nearest`."""
    return float(nearest(x, y)[1].mean())
