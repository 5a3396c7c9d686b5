"""How many modes of a known mixture a sample holds, how well, and how much of each."""
import numpy


def held_by_modes(samples, centers, sigma):
    """The samples within 3 sigma of each mode, each with its nearest mode only: a list of K float arrays of shape (n_k, 2).

    Args:
        samples, centers, sigma: see `mode_statistics`.
    """
    samples = numpy.asarray(samples, numpy.float64)
    centers = numpy.asarray(centers, numpy.float64)
    finite = samples[numpy.isfinite(samples).all(axis=1)]
    distance = numpy.linalg.norm(finite[:, None] - centers, axis=2)
    nearest = numpy.where(distance.min(axis=1) <= 3 * sigma, distance.argmin(axis=1), -1)
    return [finite[nearest == k] for k in range(len(centers))]


def mode_statistics(samples, centers, sigma):
    """Counts modes by the field's protocol (Srivastava et al. 2017; Lin et al. 2018) and by stricter rules.

    A sample belongs to the nearest mode and is of high quality within 3 sigma of it. A perfect sampler in two dimensions has
    1 - exp(-4.5) = 0.989 of high quality; a sampler that puts everything on one point of one mode has 1.

    Args:
        samples: float array of shape (N, 2); points that are not finite belong to no mode.
        centers: the modes, shape (K, 2), equally likely.
        sigma (float): the standard deviation of each mode along each axis.

    Returns:
        dict: `modes_total` (K); `modes_captured`, the modes that hold at least one sample of high quality; `modes_fair`, those
        that hold at least half of their fair share N / K of such samples; `high_quality`, the share of such samples (0..1);
        `spread_min` and `spread_max`, over the modes that hold two or more, the standard deviation of those samples around
        their own mean over sigma, corrected for the cut at 3 sigma (1 is right; 0 where no mode holds two).
    """
    held = held_by_modes(samples, centers, sigma)
    counts = numpy.array([len(points) for points in held])
    # the variance along an axis of a Gaussian in the plane cut at radius 3 sigma, over sigma^2
    cut = 1 - 4.5 / numpy.expm1(4.5)
    spreads = [numpy.sqrt(points.var(axis=0, ddof=1).mean() / cut) / sigma for points in held if len(points) > 1]
    return {
        'modes_total': len(centers),
        'modes_captured': int((counts > 0).sum()),
        'modes_fair': int((counts >= 0.5 * len(samples) / len(centers)).sum()),
        'high_quality': float(counts.sum() / len(samples)),
        'spread_min': float(min(spreads, default=0.0)),
        'spread_max': float(max(spreads, default=0.0)),
    }
