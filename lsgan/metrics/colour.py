"""Statistics of the colours of images."""
import numpy

LIMIT = 12      # grey levels: a value within this distance of 0 or 255 counts as near it; about 0.1 in [-1, 1]


def chroma_histogram(images: numpy.ndarray) -> numpy.ndarray:
    """Return the distribution of the chroma of pixels.

    The chroma is the largest minus the smallest of a pixel's red, green and blue. It is a better measure of colourfulness here
    than HSV saturation, which is the chroma divided by the largest value (Smith 1978, "Color gamut transform pairs"):
    saturation is undefined for black and mostly noise for dark pixels.

    Args:
        images: uint8 array of shape (N, 3, H, W).

    Returns:
        A float64 array of shape (256,) with sum 1. Element i is the fraction of pixels with a chroma of i grey levels.
    """
    chroma = images.max(axis=1) - images.min(axis=1)
    return numpy.bincount(chroma.ravel(), minlength=256) / chroma.size


def histogram_mean(histogram: numpy.ndarray) -> float:
    """Return the mean of a distribution over the grey levels 0 to 255, divided by 255.

    Args:
        histogram: float array of shape (256,) with sum 1, such as a `chroma_histogram`.
    """
    return float(histogram @ numpy.arange(256)) / 255


def histogram_distance(a: numpy.ndarray, b: numpy.ndarray) -> float:
    """Return the Wasserstein-1 distance between two distributions over the grey levels 0 to 255, divided by 255.

    The distance is never smaller than the difference between the means.

    Args:
        a, b: float arrays of shape (256,) with sum 1, such as a `chroma_histogram`.
    """
    return float(numpy.abs(numpy.cumsum(a - b)).sum()) / 255


def limit_fractions(images: numpy.ndarray) -> tuple[float, float]:
    """Return the fractions of pixel values near 0 and near 255. Each channel of a pixel counts as one value.

    Args:
        images: uint8 array of any shape.

    Returns:
        The fraction of values of at most 12, and the fraction of values of at least 243.
    """
    return float((images <= LIMIT).mean()), float((images >= 255 - LIMIT).mean())
