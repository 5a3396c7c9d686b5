"""Precision and recall of samples by the manifolds of nearest neighbours."""
import numpy

_ROWS = 1024        # of a block of distances


def precision_recall(real, generated, k=3):
    """Return the improved precision and recall of generated samples (Kynkäänniemi et al. 2019, arXiv:1904.06991, section 2).

    The manifold of a set is the union of balls around its points, each of which reaches to the k-th nearest other point.
    Precision is the fraction of generated points in the manifold of the real ones, recall the fraction of real points in the
    manifold of the generated ones. Both depend on the number of points: compare only sets of one size.

    Args:
        real, generated: finite features, float arrays of shapes (N, D) and (M, D), N and M above k.
        k (int): at least 1.

    Returns:
        tuple of float: precision and recall, 0 to 1.

    Raises:
        ValueError: if the shapes or k do not allow it.
    """
    real, generated = numpy.asarray(real, numpy.float64), numpy.asarray(generated, numpy.float64)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f'features of shapes (N, D) and (M, D) are needed, not {real.shape} and {generated.shape}')
    if not 1 <= k < min(len(real), len(generated)):
        raise ValueError(f'k must be at least 1 and less than the number of points of each set, not {k} of '
                         f'{len(real)} and {len(generated)} points')
    return _covered(generated, real, k), _covered(real, generated, k)


def _covered(points, centers, k):
    """Return the fraction of points (M, D) that lie in the manifold of the centers (N, D)."""
    origin = centers.mean(axis=0)   # far from 0 the difference of large squares would be rounded away
    points, centers = points - origin, centers - origin
    rounding = 1e-12 * (centers * centers).sum(axis=1).max()    # a ball has its border, and one around copies has radius 0
    radii = numpy.concatenate([numpy.partition(block, k, axis=1)[:, k] for block in _distances(centers, centers)]) + rounding
    return float(numpy.concatenate([(block <= radii).any(axis=1) for block in _distances(points, centers)]).mean())


def _distances(x, y):
    """Yield the squared distances of some rows of x at a time to all rows of y."""
    squares = (y * y).sum(axis=1)
    for first in range(0, len(x), _ROWS):
        rows = x[first:first + _ROWS]
        yield (rows * rows).sum(axis=1)[:, None] + squares - 2 * rows @ y.T
