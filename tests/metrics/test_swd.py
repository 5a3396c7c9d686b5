import numpy
import pytest

from lsgan.metrics.swd import sliced_wasserstein


@pytest.fixture
def samples():
    rng = numpy.random.default_rng(0)
    return rng.standard_normal((300, 2)), 2 * rng.standard_normal((300, 2)) + 0.5


def test_equal_samples_have_distance_0(samples):
    x, _ = samples
    assert sliced_wasserstein(x, x) == 0
    assert sliced_wasserstein(x, x[::-1]) == 0


@pytest.mark.parametrize('t', [(1, 0), (0, 1), (3, -4), (-0.01, 0.02)])
def test_distance_of_shifted_sample(samples, t):
    x, _ = samples
    distance = sliced_wasserstein(x, x + t)
    assert isinstance(distance, float)
    assert distance == pytest.approx(2 / numpy.pi * numpy.hypot(*t), rel=1e-3)
    assert sliced_wasserstein(x, x + t, directions=1000) == pytest.approx(2 / numpy.pi * numpy.hypot(*t), rel=1e-5)


def test_directions_are_evenly_spaced():
    x, y = numpy.zeros((4, 2)), numpy.full((4, 2), [3.0, 1.0])
    assert sliced_wasserstein(x, y, directions=1) == pytest.approx(3)
    assert sliced_wasserstein(x, y, directions=2) == pytest.approx((3 + 1) / 2)


def test_distance_of_scaled_sample():
    rng = numpy.random.default_rng(1)
    x = rng.standard_normal((100_000, 2))
    # Each projection of x is standard normal, with E|x| = sqrt(2 / pi).
    assert sliced_wasserstein(x, 1.5 * x, directions=8) == pytest.approx(0.5 * (2 / numpy.pi) ** 0.5, rel=0.01)


def test_symmetry_and_triangle_inequality(samples):
    x, y = samples
    z = numpy.random.default_rng(2).uniform(-3, 3, (300, 2))
    assert sliced_wasserstein(x, y) == pytest.approx(sliced_wasserstein(y, x), rel=1e-12)
    assert sliced_wasserstein(x, y) > 0
    assert sliced_wasserstein(x, z) <= sliced_wasserstein(x, y) + sliced_wasserstein(y, z)


@pytest.mark.parametrize('x, y', [((5, 2), (4, 2)), ((5, 3), (5, 3)), ((5,), (5,)), ((5, 2, 1), (5, 2, 1)), ((5, 2), (2, 5))])
def test_wrong_shapes_are_refused(x, y):
    with pytest.raises(ValueError, match=r'two samples of one shape \(N, 2\)'):
        sliced_wasserstein(numpy.zeros(x), numpy.zeros(y))
