import numpy
import pytest

from lsgan.metrics import nearest
from lsgan.metrics.nearest import nearest_distance, nearest_images


def test_points_by_hand():
    y = numpy.array([[0.0, 0.0], [10.0, 0.0]])
    distance = nearest_distance(numpy.array([[3.0, 4.0], [10.0, 1.0], [10.0, 0.0]]), y)     # 5, 1, 0
    assert isinstance(distance, float)
    assert distance == pytest.approx(2)


def test_bytes_do_not_wrap_around():
    x, y = numpy.zeros((1, 2, 2), numpy.uint8), numpy.full((3, 2, 2), 255, numpy.uint8)
    y[1] = 200
    assert nearest_distance(x, y) == nearest_distance(y[1:2], x) == pytest.approx(400)
    assert nearest_distance(y[2:] - numpy.float32(0.5), y) == pytest.approx(1)      # of one kind each


@pytest.mark.parametrize('dtype', [numpy.uint8, numpy.float32, numpy.float64])
def test_images_in_blocks_are_at_what_single_differences_say(dtype, monkeypatch):
    rng = numpy.random.default_rng(0)
    x, y = (rng.integers(256, size=(n, 1, 6, 5)).astype(dtype) for n in (23, 41))
    differences = x[:, None].astype(numpy.float64) - y
    expected = numpy.sqrt((differences ** 2).sum(axis=(2, 3, 4))).min(axis=1).mean()
    assert nearest_distance(x, y) == pytest.approx(expected)
    monkeypatch.setattr(nearest, 'ROWS', 7)
    assert nearest_distance(x, y) == pytest.approx(expected)
    monkeypatch.setattr(nearest, 'VALUES', 90)      # three rows
    assert nearest_distance(x, y) == pytest.approx(expected)


@pytest.mark.parametrize('offset', [0, 1000])
def test_copies_are_at_zero_and_nearly_copies_near(offset):
    rng = numpy.random.default_rng(1)
    y = (offset + rng.standard_normal((3000, 100))).astype(numpy.float32)
    assert nearest_distance(y[1500:1600], y) == 0
    near = y[:50] + numpy.float32(0.01)
    assert nearest_distance(near, y) == pytest.approx(0.1, rel=0.02)
    assert nearest_distance(near, y[50:]) > 5


@pytest.mark.parametrize('x, y', [((5, 2), (5, 3)), ((5,), (5,)), ((0, 2), (5, 2)), ((5, 2), (0, 2)), ((5, 4), (5, 2, 2)),
                                  ((5, 0), (5, 0)), ((), (5, 2))])
def test_other_shapes_are_refused(x, y):
    with pytest.raises(ValueError, match=r'rows of one shape, \(N, ...\) and \(M, ...\)'):
        nearest_distance(numpy.zeros(x), numpy.zeros(y))


def test_the_nearest_image_may_be_a_mirrored_one():
    images = numpy.random.default_rng(0).integers(256, size=(30, 3, 4, 5)).astype(numpy.uint8)
    samples = numpy.concatenate([images[3:5], images[7:9, :, :, ::-1]])
    found, distances = nearest_images(samples, images, mirror=True)
    assert numpy.array_equal(found, samples) and (distances == 0).all()
    found, distances = nearest_images(samples, images)
    assert numpy.array_equal(found[:2], samples[:2]) and (distances[2:] > 0).all()
    assert (nearest_images(samples[:2], images, mirror=True, but=numpy.array([3, 4]))[1] > 0).all()
