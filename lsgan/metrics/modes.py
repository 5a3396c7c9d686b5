"""Mode coverage and sample quality on a known mixture of Gaussians."""
import numpy


def held_by_modes(samples: numpy.ndarray, centers: numpy.ndarray, sigma: float) -> list[numpy.ndarray]:
    """Assign samples to modes. A sample belongs to its nearest mode if it is within 3 sigma of it, and otherwise to none.

    Args:
        samples, centers, sigma: see `mode_statistics`.

    Returns:
        For each of the K modes, its samples as a float array of shape (n_k, 2).
    """
    samples = numpy.asarray(samples, numpy.float64)
    centers = numpy.asarray(centers, numpy.float64)
    finite = samples[numpy.isfinite(samples).all(axis=1)]
    distance = numpy.linalg.norm(finite[:, None] - centers, axis=2)
    nearest = numpy.where(distance.min(axis=1) <= 3 * sigma, distance.argmin(axis=1), -1)
    return [finite[nearest == k] for k in range(len(centers))]


def mode_statistics(samples: numpy.ndarray, centers: numpy.ndarray, sigma: float) -> dict[str, float]:
    """Measure mode coverage by the usual protocol (Srivastava et al. 2017, Lin et al. 2018) and by stricter criteria.

    A sample has high quality if it is within 3 sigma of a mode. It belongs to its nearest mode. For a perfect sampler, the
    fraction of high-quality samples is 1 - exp(-4.5) = 0.989. It is 1 for a sampler that always returns the same point of one
    mode, so `high_quality` alone does not show mode collapse.

    Args:
        samples: float array of shape (N, 2). Points with NaN or infinite coordinates belong to no mode.
        centers: centres of the K equally likely modes, float array of shape (K, 2).
        sigma: standard deviation of each mode along each axis.

    Returns:
        dict:

        - `modes_total`: number of modes, K.
        - `modes_captured`: number of modes with at least one high-quality sample.
        - `modes_fair`: number of modes with at least 0.5 N / K high-quality samples, half of the expected number.
        - `high_quality`: fraction of high-quality samples, 0 to 1.
        - `spread_min`, `spread_max`: smallest and largest spread over the modes with at least two high-quality samples. The
          spread is the standard deviation of a mode's samples around their own mean, divided by sigma and corrected for the
          truncation at 3 sigma. It is 1 for a perfect sampler. Both are 0 if no mode has two samples.
    """
    held = held_by_modes(samples, centers, sigma)
    counts = numpy.array([len(points) for points in held])
    # Variance along one axis of a two-dimensional Gaussian truncated at radius 3 sigma, divided by sigma^2.
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
