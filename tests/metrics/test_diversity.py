import numpy
import pytest

from lsgan.metrics.diversity import mean_pairwise_distance


def test_known_points():
    distance = mean_pairwise_distance(numpy.array([[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]]))     # the distances are 5, 8 and 5
    assert isinstance(distance, float)
    assert distance == pytest.approx(6)
    assert mean_pairwise_distance([[1, 1], [4, 5]]) == pytest.approx(5)
    assert mean_pairwise_distance([2.0, 5.0, 3.0]) == pytest.approx(2)      # the distances are 3, 1 and 2


@pytest.mark.parametrize('x', [numpy.full((50, 3, 8, 8), 255, numpy.uint8), numpy.full((7, 5), 0.1, numpy.float32),
                               numpy.random.default_rng(0).random((1, 3, 4, 4)).repeat(33, axis=0)])
def test_copies_have_diversity_0(x):
    assert mean_pairwise_distance(x) == pytest.approx(0, abs=1e-6)


def test_bytes_do_not_wrap_around():
    x = numpy.zeros((2, 1, 2, 2), numpy.uint8)
    x[1] = 200
    assert mean_pairwise_distance(x) == pytest.approx(400)
    assert x.max() == 200 and x.min() == 0


@pytest.mark.parametrize('dtype', [numpy.uint8, numpy.float32, numpy.float64])
@pytest.mark.parametrize('offset', [0, 100])
def test_equals_mean_over_pairs(dtype, offset):
    x = (offset + numpy.random.default_rng(0).integers(100, size=(23, 3, 5, 4))).astype(dtype)
    rows = x.astype(numpy.float64)
    pairs = [numpy.sqrt(((rows[i] - rows[j]) ** 2).sum()) for i in range(23) for j in range(i)]
    before = x.copy()
    assert mean_pairwise_distance(x) == pytest.approx(numpy.mean(pairs), rel=1e-9)
    assert numpy.array_equal(x, before)


def test_scales_with_data_and_ignores_shift():
    x = numpy.random.default_rng(1).standard_normal((40, 30))
    distance = mean_pairwise_distance(x)
    assert distance == pytest.approx((2 * 30) ** 0.5, rel=0.05)
    assert mean_pairwise_distance(3 * x) == pytest.approx(3 * distance)
    assert mean_pairwise_distance(x + 1e6) == pytest.approx(distance, rel=1e-6)
    assert mean_pairwise_distance(x[::-1]) == pytest.approx(distance)


def test_collapsed_set_has_less():
    x = numpy.random.default_rng(2).standard_normal((60, 10))
    twins = mean_pairwise_distance(x[:30].repeat(2, axis=0))
    assert twins == pytest.approx(mean_pairwise_distance(x[:30]) * 58 / 59)     # 1 of the 59 others is at distance 0
    two = mean_pairwise_distance(x[:2].repeat(30, axis=0))
    assert two == pytest.approx(numpy.linalg.norm(x[0] - x[1]) * 30 / 59, rel=1e-6)


@pytest.mark.parametrize('x', [numpy.zeros((1, 3)), numpy.zeros((0, 3))])
def test_single_sample_is_refused(x):
    with pytest.raises(ValueError, match=f'expected at least two samples, got {len(x)}'):
        mean_pairwise_distance(x)
