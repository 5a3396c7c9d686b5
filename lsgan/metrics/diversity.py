"""Diversity: how different samples are from each other."""
import numpy


def mean_pairwise_distance(x: numpy.ndarray) -> float:
    """Return the mean Euclidean distance over all pairs of samples. It is 0 if all samples are equal.

    Args:
        x: samples, array of shape (N, ...), N at least 2.

    Returns:
        The distance, in units of the data.

    Raises:
        ValueError: if there are fewer than two samples.
    """
    x = numpy.asarray(x)
    if len(x) < 2:
        raise ValueError(f'expected at least two samples, got {len(x)}')
    rows = x.reshape(len(x), -1).astype(numpy.float64)
    rows -= rows.mean(axis=0)
    squares = (rows * rows).sum(axis=1)
    distances = numpy.sqrt(numpy.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))
    numpy.fill_diagonal(distances, 0)
    return float(distances.sum() / (len(x) * (len(x) - 1)))
