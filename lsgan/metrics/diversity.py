"""How different samples are from each other."""
import numpy


def mean_pairwise_distance(x):
    """The mean Euclidean distance between two different rows of x: a set of copies has 0.

    Args:
        x: array of shape (N, ...), N at least 2.

    Returns:
        float: in units of the data.

    Raises:
        ValueError: where there are fewer than two rows.
    """
    x = numpy.asarray(x)
    if len(x) < 2:
        raise ValueError(f'at least two rows are needed, not {len(x)}')
    rows = x.reshape(len(x), -1).astype(numpy.float64)
    rows -= rows.mean(axis=0)
    squares = (rows * rows).sum(axis=1)
    distances = numpy.sqrt(numpy.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))
    numpy.fill_diagonal(distances, 0)
    return float(distances.sum() / (len(x) * (len(x) - 1)))
