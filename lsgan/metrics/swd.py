"""Sliced Wasserstein distances."""
import numpy


def sliced_wasserstein(x, y, directions=64):
    """The mean, over directions of the plane, of the Wasserstein-1 distance between the projections of two samples.

    Args:
        x, y: float arrays of shape (N, 2), as many points in each.
        directions (int): how many, evenly over the half circle.

    Returns:
        float: in units of the data; 0 for equal samples.

    Raises:
        ValueError: where the shapes differ.
    """
    x, y = numpy.asarray(x, numpy.float64), numpy.asarray(y, numpy.float64)
    if x.shape != y.shape or x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f'two samples of one shape (N, 2) are needed, not {x.shape} and {y.shape}')
    angles = numpy.pi * numpy.arange(directions) / directions
    axes = numpy.stack([numpy.cos(angles), numpy.sin(angles)])
    return float(numpy.abs(numpy.sort(x @ axes, axis=0) - numpy.sort(y @ axes, axis=0)).mean())
