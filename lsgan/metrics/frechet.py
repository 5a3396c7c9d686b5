"""The Fréchet distance between two sets of features."""
import numpy


def frechet_distance(x: numpy.ndarray, y: numpy.ndarray) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to two sets of features (Dowson and Landau 1982).

    The formula is |mean(x) - mean(y)|² + tr(Cx + Cy - 2 (Cx Cy)^½), computed in float64 with unbiased covariance matrices C.
    With features of an Inception network, this is the FID of Heusel et al. 2017 (equation 6). The distance between two samples
    of the same distribution is positive and depends on the sample size, so compare only distances between sets of equal sizes.

    Args:
        x, y: finite features, float arrays of shapes (N, D) and (M, D), N and M at least 2.

    Returns:
        The distance, in squared units of the features, at least 0. It is 0 up to rounding for equal sets.

    Raises:
        ValueError: if the shapes do not match.
    """
    x, y = numpy.asarray(x, numpy.float64), numpy.asarray(y, numpy.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2 or not x.shape[1]:
        raise ValueError(f'expected features of shapes (N, D) and (M, D), N and M at least 2, got {x.shape} and {y.shape}')
    shift = x.mean(axis=0) - y.mean(axis=0)
    Cx, Cy = (numpy.atleast_2d(numpy.cov(a, rowvar=False)) for a in (x, y))
    variances, axes = numpy.linalg.eigh(Cx)
    root = axes * numpy.sqrt(variances.clip(0)) @ axes.T
    # This symmetric matrix has the same eigenvalues as Cx Cy. If it is singular, rounding can make some of them negative.
    common = numpy.linalg.eigvalsh(root @ Cy @ root).clip(0)
    return max(0.0, float(shift @ shift + numpy.trace(Cx) + numpy.trace(Cy) - 2 * numpy.sqrt(common).sum()))
