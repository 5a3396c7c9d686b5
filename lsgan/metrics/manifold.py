"""Precision and recall of generated samples, based on nearest neighbours."""
import numpy

_ROWS = 1024        # rows per block of the distance matrix, to save memory


def precision_recall(real: numpy.ndarray, generated: numpy.ndarray, k: int = 3) -> tuple[float, float]:
    """Return the improved precision and recall of generated samples (Kynkäänniemi et al. 2019, arXiv:1904.06991, section 2).

    The manifold of a set is the union of balls around its points. The radius of a ball is the distance to the k-th nearest
    other point. Precision is the fraction of generated points in the manifold of the real points. Recall is the fraction of
    real points in the manifold of the generated points. Both depend on the number of points, so compare only results for sets
    of equal sizes.

    Args:
        real, generated: finite features, float arrays of shapes (N, D) and (M, D), N and M above k.
        k: rank of the neighbour that defines the radius, at least 1.

    Returns:
        Precision and recall, each 0 to 1.

    Raises:
        ValueError: if the shapes do not match or k is out of range.
    """
    real, generated = numpy.asarray(real, numpy.float64), numpy.asarray(generated, numpy.float64)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f'expected features of shapes (N, D) and (M, D), got {real.shape} and {generated.shape}')
    if not 1 <= k < min(len(real), len(generated)):
        raise ValueError(f'k must be at least 1 and less than the number of points in each set, got {k} with '
                         f'{len(real)} and {len(generated)} points')
    return _covered(generated, real, k), _covered(real, generated, k)


def _covered(points, centers, k):
    """Return the fraction of points, of shape (M, D), in the manifold of the centres, of shape (N, D)."""
    origin = centers.mean(axis=0)   # far from the origin, differences of large squares would lose their precision
    points, centers = points - origin, centers - origin
    # A tolerance, because balls include their border, and a ball around copies of one point has radius 0.
    rounding = 1e-12 * (centers * centers).sum(axis=1).max()
    radii = numpy.concatenate([numpy.partition(block, k, axis=1)[:, k] for block in _distances(centers, centers)]) + rounding
    return float(numpy.concatenate([(block <= radii).any(axis=1) for block in _distances(points, centers)]).mean())


def _distances(x, y):
    """Yield the squared distances between x and y, in blocks of rows of x."""
    squares = (y * y).sum(axis=1)
    for first in range(0, len(x), _ROWS):
        rows = x[first:first + _ROWS]
        yield (rows * rows).sum(axis=1)[:, None] + squares - 2 * rows @ y.T
