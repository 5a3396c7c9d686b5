import numpy
import pytest

from lsgan.metrics.colour import chroma_histogram, histogram_distance, histogram_mean, limit_fractions


def pixels(*colours):
    """Return an image with one row of n pixels of the given colours, uint8 of shape (1, 3, 1, n)."""
    return numpy.array(colours, numpy.uint8).T[None, :, None]


def test_chroma_of_known_pixels():
    histogram = chroma_histogram(pixels((255, 0, 0), (10, 30, 20), (20, 20, 20), (0, 0, 0)))
    assert histogram.shape == (256,)
    assert {i: x for i, x in enumerate(histogram) if x} == {0: 0.5, 20: 0.25, 255: 0.25}
    assert histogram_mean(histogram) == pytest.approx((255 + 20) / 4 / 255)


def test_chroma_of_grey_and_dark_noise():
    grey = numpy.random.default_rng(0).integers(256, size=(5, 1, 8, 8), dtype=numpy.uint8).repeat(3, axis=1)
    assert histogram_mean(chroma_histogram(grey)) == 0
    noise = numpy.random.default_rng(1).integers(5, size=(5, 3, 8, 8), dtype=numpy.uint8)
    assert histogram_mean(chroma_histogram(noise)) < 4 / 255     # its HSV saturation is about 0.7


def test_distance_of_known_histograms():
    one, other = (chroma_histogram(pixels((a, 0, 0), (b, 0, 0))) for a, b in ((10, 100), (20, 130)))
    assert histogram_distance(one, other) == pytest.approx((10 + 30) / 2 / 255)
    assert histogram_distance(other, one) == pytest.approx(histogram_distance(one, other))
    assert histogram_distance(one, one) == 0


def test_distance_differs_where_means_agree():
    one, other = (chroma_histogram(pixels((a, 0, 0), (b, 0, 0))) for a, b in ((50, 50), (0, 100)))
    assert histogram_mean(one) == histogram_mean(other)
    assert histogram_distance(one, other) == pytest.approx(50 / 255)


def test_values_near_each_limit_are_counted():
    images = numpy.array([0, 12, 13, 128, 242, 243, 250, 255], numpy.uint8).reshape(1, 1, 2, 4)
    assert limit_fractions(images) == (2 / 8, 3 / 8)
