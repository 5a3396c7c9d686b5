import numpy
import pytest

from lsgan.datasets.mixture import LAYOUTS, GaussianMixture, double_ring, grid, ring


def smallest_distance(points):
    distance = numpy.linalg.norm(points[:, None] - points, axis=2)
    return distance[~numpy.eye(len(points), dtype=bool)].min()


@pytest.mark.parametrize('n', [1, 2, 8, 25])
def test_ring(n):
    points = ring(n, 2.0)
    assert points.shape == (n, 2)
    numpy.testing.assert_allclose(numpy.linalg.norm(points, axis=1), 2)
    numpy.testing.assert_allclose(points[0], [2, 0])
    if n > 1:
        numpy.testing.assert_allclose(smallest_distance(points), 4 * numpy.sin(numpy.pi / n))
        numpy.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-12)


def test_double_ring():
    points = double_ring(6, 3.0)
    assert points.shape == (12, 2)
    assert numpy.round(numpy.linalg.norm(points, axis=1), 9).tolist() == [3.0] * 6 + [1.5] * 6
    numpy.testing.assert_allclose(smallest_distance(points), 1.5)


@pytest.mark.parametrize('n', [2, 5])
def test_grid(n):
    points = grid(n, 4.0)
    assert points.shape == (n * n, 2)
    assert {tuple(p) for p in points} == {(x, y) for x in numpy.linspace(-4, 4, n) for y in numpy.linspace(-4, 4, n)}
    numpy.testing.assert_allclose(smallest_distance(points), 8 / (n - 1))


def test_names_of_layouts():
    assert {name: len(layout(3, 1.0)) for name, layout in LAYOUTS.items()} == {'ring': 3, 'double-ring': 6, 'grid': 9}


def test_distribution_of_samples(make_stream):
    centers, n = ring(8, 2.0), 80_000
    points = GaussianMixture(centers, 0.2).sample(n, make_stream())
    assert points.shape == (n, 2)
    assert points.dtype == numpy.float32

    nearest = numpy.linalg.norm(points[:, None] - centers, axis=2).argmin(axis=1)
    counts = numpy.bincount(nearest, minlength=8)
    assert (abs(counts - n / 8) < 5 * (n / 8 * 7 / 8) ** 0.5).all()     # five standard deviations
    for k, center in enumerate(centers):
        offsets = points[nearest == k] - center
        numpy.testing.assert_allclose(offsets.mean(axis=0), 0, atol=5 * 0.2 / counts[k] ** 0.5)
        numpy.testing.assert_allclose(offsets.std(axis=0), 0.2, rtol=0.04)
    assert abs(numpy.corrcoef((points - centers[nearest]).T)[0, 1]) < 0.02


def test_sigma_0_draws_centers(make_stream):
    centers = grid(3, 1.0)
    points = GaussianMixture(centers, 0.0).sample(500, make_stream())
    assert {tuple(p) for p in points} == {tuple(c) for c in centers}


def test_stream_determines_samples(make_stream):
    mixture = GaussianMixture(ring(8, 2.0), 0.2)
    assert numpy.array_equal(mixture.sample(5, make_stream(1)), mixture.sample(5, make_stream(1)))
    assert not numpy.array_equal(mixture.sample(5, make_stream(1)), mixture.sample(5, make_stream(2)))
