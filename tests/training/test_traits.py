import numpy
import pytest

from lsgan.metrics.colour import chroma_histogram, histogram_mean
from lsgan.training.traits import Traits


def images(n, channels=3, seed=0):
    """Return images of blots, uint8 of shape (n, channels, 32, 32)."""
    x = numpy.random.default_rng(seed).integers(256, size=(n, channels, 8, 8), dtype=numpy.uint8)
    return x.repeat(4, axis=2).repeat(4, axis=3)


def test_equal_images_have_distance_0():
    traits, again = Traits(images(20)), Traits(images(20))
    assert traits.distances(again) == pytest.approx(dict.fromkeys(
        ['sliced_wasserstein', 'sliced_wasserstein_32', 'sliced_wasserstein_16', 'chroma_distance', 'frechet_distance'], 0),
        abs=1e-5)
    values = traits.values(again)
    assert (values.pop('precision'), values.pop('recall')) == (1, 1)
    assert values == {'chroma': histogram_mean(chroma_histogram(images(20))),
                      'near_black': (images(20) <= 12).mean(), 'near_white': (images(20) >= 243).mean()}


def test_precision_and_recall():
    real, copies = Traits(images(20)), Traits(images(20)[[0] * 20])
    values = copies.values(real)
    assert values['precision'] == 1 and values['recall'] == pytest.approx(1 / 20)


def test_grey_images_have_no_chroma():
    grey, others = Traits(images(20, 1)), Traits(images(20, 1, 1))
    assert 'chroma' not in grey.values(others) and 'chroma_distance' not in grey.distances(others)
    assert {'precision', 'recall', 'near_black', 'near_white'} == grey.values(others).keys()


def test_few_images_have_no_feature_metrics():
    few, others = Traits(images(3)), Traits(images(3, seed=1))
    assert {'sliced_wasserstein', 'sliced_wasserstein_32', 'sliced_wasserstein_16', 'chroma_distance'} == few.distances(
        others).keys()
    assert {'chroma', 'near_black', 'near_white'} == few.values(others).keys()
