"""The Fréchet distance between samples, seen as Gaussians."""
import numpy


def frechet_distance(x, y):
    """The squared Fréchet distance (Dowson & Landau 1982) between the Gaussians of two samples' means and covariances.

    |mean(x) - mean(y)|² + tr(Cx + Cy - 2 (Cx Cy)^½), in float64; on the features of an Inception network it is the FID of
    Heusel et al. 2017. As there, covariances are those divided by N - 1. Two samples of one distribution are at more than 0:
    compare only distances of as many points.

    Args:
        x, y: finite features, float arrays of shapes (N, D) and (M, D), N and M at least 2.

    Returns:
        float: in squared units of the features, not negative; 0 for equal samples, but for rounding.

    Raises:
        ValueError: where the shapes are others.
    """
    x, y = numpy.asarray(x, numpy.float64), numpy.asarray(y, numpy.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2 or not x.shape[1]:
        raise ValueError(f'features of shapes (N, D) and (M, D), N and M at least 2, are needed, not {x.shape} and {y.shape}')
    shift = x.mean(axis=0) - y.mean(axis=0)
    Cx, Cy = (numpy.atleast_2d(numpy.cov(a, rowvar=False)) for a in (x, y))
    variances, axes = numpy.linalg.eigh(Cx)
    root = axes * numpy.sqrt(variances.clip(0)) @ axes.T
    # Cx Cy has the eigenvalues of this symmetric matrix; rounding makes some of a singular one's negative
    common = numpy.linalg.eigvalsh(root @ Cy @ root).clip(0)
    return max(0.0, float(shift @ shift + numpy.trace(Cx) + numpy.trace(Cy) - 2 * numpy.sqrt(common).sum()))
