import numpy
import pytest

from lsgan.metrics import nearest as module
from lsgan.metrics.nearest import nearest, nearest_distance, nearest_images


def brute_force(x, y):
    """Return all distances, computed one by one."""
    return numpy.array([[numpy.sqrt(((a.astype(numpy.float64) - b) ** 2).sum()) for b in y] for a in x])


def test_known_points():
    y = numpy.array([[0.0, 0.0], [10.0, 0.0], [0.0, 7.0]])
    numbers, distances = nearest(numpy.array([[3.0, 4.0], [10.0, 1.0], [-1.0, 6.0], [10.0, 0.0]]), y)
    assert numbers.tolist() == [2, 1, 2, 1]
    assert distances == pytest.approx([18 ** 0.5, 1, 2 ** 0.5, 0]) and distances.dtype == numpy.float64
    assert numpy.issubdtype(numbers.dtype, numpy.integer)


@pytest.mark.parametrize('dtypes', [(numpy.uint8, numpy.uint8), (numpy.float32, numpy.float64), (numpy.float64, numpy.uint8)])
@pytest.mark.parametrize('shape', [(1,), (30,), (3, 5, 4)])
@pytest.mark.parametrize('rows, values', [(1024, 1 << 20), (7, 1 << 20), (1024, 90), (1, 1)])
def test_equals_search_over_pairs(dtypes, shape, rows, values, monkeypatch):
    monkeypatch.setattr(module, 'ROWS', rows)
    monkeypatch.setattr(module, 'VALUES', values)
    rng = numpy.random.default_rng(0)
    x, y = (rng.integers(256, size=(n, *shape)).astype(dtype) for n, dtype in zip((23, 41), dtypes))
    numbers, distances = nearest(x, y)
    expected = brute_force(x, y)
    assert numbers.shape == distances.shape == (23,)
    assert distances == pytest.approx(expected.min(axis=1))
    assert expected[numpy.arange(23), numbers] == pytest.approx(distances)
    if shape != (1,):       # no ties
        assert numbers.tolist() == expected.argmin(axis=1).tolist()
    assert nearest_distance(x, y) == pytest.approx(expected.min(axis=1).mean())


@pytest.mark.parametrize('offset', [0, 1000])
def test_copies_find_their_originals(offset):
    y = offset + numpy.random.default_rng(1).standard_normal((2500, 60)).astype(numpy.float32)
    order = numpy.random.default_rng(2).permutation(2500)
    numbers, distances = nearest(y[order], y)
    assert numpy.array_equal(numbers, order) and (distances == 0).all()
    numbers, distances = nearest(y[order] + numpy.float32(0.01), y)
    assert numpy.array_equal(numbers, order) and distances == pytest.approx(0.01 * 60 ** 0.5, rel=0.05)


def test_large_sets():
    rng = numpy.random.default_rng(3)
    y = rng.integers(256, size=(5000, 3, 8, 8), dtype=numpy.uint8)
    wanted = rng.integers(5000, size=40)
    x = (y[wanted].astype(int) + rng.integers(-5, 6, (40, 3, 8, 8))).clip(0, 255).astype(numpy.uint8)
    before = x.copy(), y.copy()
    numbers, distances = nearest(x, y)
    assert numpy.array_equal(numbers, wanted)
    differences = (x.astype(int) - y[wanted]).reshape(40, -1)
    assert distances == pytest.approx(numpy.sqrt((differences ** 2).sum(axis=1)))
    assert numpy.array_equal(x, before[0]) and numpy.array_equal(y, before[1])


@pytest.mark.parametrize('x, y', [((5, 2), (5, 3)), ((5,), (5,)), ((0, 2), (5, 2)), ((5, 2), (0, 2)), ((5, 4), (5, 2, 2)),
                                  ((5, 0), (5, 0)), ((), (5, 2))])
def test_wrong_shapes_are_refused(x, y):
    with pytest.raises(ValueError, match=r'rows of one shape, \(N, ...\) and \(M, ...\)'):
        nearest(numpy.zeros(x), numpy.zeros(y))


def test_excluded_row_is_not_found():
    y = numpy.random.default_rng(0).standard_normal((2500, 3))
    x = y[[0, 1, 1030, 2499]]
    numbers, distances = nearest(x, y, but=numpy.array([0, 1, 1030, 2499]))
    single = numpy.linalg.norm(x[:, None] - y, axis=2)
    single[range(4), [0, 1, 1030, 2499]] = numpy.inf
    assert numbers.tolist() == single.argmin(axis=1).tolist()
    numpy.testing.assert_allclose(distances, single.min(axis=1))


def test_bytes_do_not_wrap_around():
    x, y = numpy.zeros((1, 2, 2), numpy.uint8), numpy.full((3, 2, 2), 255, numpy.uint8)
    y[1] = 200
    assert nearest_distance(x, y) == nearest_distance(y[1:2], x) == pytest.approx(400)
    assert nearest_distance(y[2:] - numpy.float32(0.5), y) == pytest.approx(1)      # of different types


def test_mirrored_images_are_found():
    images = numpy.random.default_rng(0).integers(256, size=(30, 3, 4, 5)).astype(numpy.uint8)
    samples = numpy.concatenate([images[3:5], images[7:9, :, :, ::-1]])
    found, distances = nearest_images(samples, images, mirror=True)
    assert numpy.array_equal(found, samples) and (distances == 0).all()
    found, distances = nearest_images(samples, images)
    assert numpy.array_equal(found[:2], samples[:2]) and (distances[2:] > 0).all()
    assert (nearest_images(samples[:2], images, mirror=True, but=numpy.array([3, 4]))[1] > 0).all()
