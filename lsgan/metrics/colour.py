"""Statistics of the colours of images."""
import numpy

LIMIT = 12      # grey levels: values at most so far from 0 or 255 are near that limit, 0.1 in images of [-1, 1]


def chroma_histogram(images):
    """Return the fraction of pixels that have each chroma, the largest less the smallest of red, green and blue.

    HSV saturation is the chroma over the largest value (Smith 1978, "Color gamut transform pairs"). Black has none, and
    in dark pixels it is mostly noise, so the chroma is used instead.

    Args:
        images: uint8 array of shape (N, 3, H, W).

    Returns:
        numpy.ndarray: float64 of shape (256,), of sum 1; the index is the chroma in grey levels.
    """
    chroma = images.max(axis=1) - images.min(axis=1)
    return numpy.bincount(chroma.ravel(), minlength=256) / chroma.size


def histogram_mean(histogram):
    """Return the mean of a distribution over 0 to 255, in parts of 255.

    Args:
        histogram: see `chroma_histogram`.
    """
    return float(histogram @ numpy.arange(256)) / 255


def histogram_distance(a, b):
    """Return the Wasserstein-1 distance between two distributions over 0 to 255, in parts of 255.

    It is at least the difference of the two means.

    Args:
        a, b: see `chroma_histogram`.
    """
    return float(numpy.abs(numpy.cumsum(a - b)).sum()) / 255


def limit_fractions(images):
    """Return the fractions of the values of images, each channel by itself, that are near 0 and near 255.

    Args:
        images: uint8 array.

    Returns:
        tuple of float: the fraction of values up to 12, and the fraction from 243 on.
    """
    return float((images <= LIMIT).mean()), float((images >= 255 - LIMIT).mean())
