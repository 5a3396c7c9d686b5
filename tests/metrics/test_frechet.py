import numpy
import pytest

from lsgan.metrics.frechet import frechet_distance

CORNERS = numpy.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * 0.75 ** 0.5       # mean 0, unbiased covariance the identity


@pytest.fixture
def features():
    rng = numpy.random.default_rng(0)
    return rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5)), rng.standard_normal((200, 5)) + 0.5


def test_known_numbers():
    x, y = [[-1.0], [1.0]], [[2.0], [5.0], [8.0]]      # mean 0, variance 2; mean 5, variance 9
    distance = frechet_distance(x, y)
    assert isinstance(distance, float)
    assert distance == pytest.approx(5 ** 2 + (3 - 2 ** 0.5) ** 2)


def test_independent_features_add_up():
    x, y = CORNERS * [1, 2], CORNERS * [4, 0.5] + [3, -1]
    assert frechet_distance(x, y) == pytest.approx(3 ** 2 + 1 ** 2 + (4 - 1) ** 2 + (2 - 0.5) ** 2)


def test_covariances_that_do_not_commute():
    # The square root of a 2x2 matrix has the trace sqrt(tr + 2 sqrt(det)). The matrix here is [[2, 1], [1, 2]] diag(4, 1).
    x, y = CORNERS @ numpy.linalg.cholesky([[2, 1], [1, 2]]).T, CORNERS * [2, 1]
    assert frechet_distance(x, y) == pytest.approx(4 + 5 - 2 * (10 + 2 * 12 ** 0.5) ** 0.5)


def test_equal_samples_have_distance_0(features):
    x, _ = features
    assert 0 <= frechet_distance(x, x) < 1e-9
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-9


def test_symmetric_and_invariant_to_rotation(features):
    x, y = features
    distance = frechet_distance(x, y)
    assert distance > 1
    assert frechet_distance(y, x) == pytest.approx(distance)
    turn = numpy.linalg.qr(numpy.random.default_rng(1).standard_normal((5, 5)))[0]
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(distance)


def test_rank_deficient_features(features):
    x, y = features
    distance = frechet_distance(x, y)
    # Two constant columns, then a repeated column, then fewer examples than features.
    assert frechet_distance(numpy.pad(x, ((0, 0), (0, 2))), numpy.pad(y, ((0, 0), (0, 2)))) == pytest.approx(distance)
    assert frechet_distance(x[:, [0, 0]], y[:, [0, 0]]) == pytest.approx(2 * frechet_distance(x[:, :1], y[:, :1]))
    wide = numpy.random.default_rng(2).standard_normal((4, 50))
    assert frechet_distance(wide, wide) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(wide, wide + 1) == pytest.approx(50)
    assert frechet_distance(numpy.zeros((3, 2)), CORNERS) == pytest.approx(2)


def test_float32_is_computed_in_float64():
    x = (1000 + CORNERS).astype(numpy.float32)
    assert frechet_distance(x, 1000 + 2 * CORNERS) == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize('x, y', [((5, 2), (5, 3)), ((5,), (5,)), ((1, 2), (5, 2)), ((5, 2), (0, 2)), ((5, 2, 1), (5, 2, 1)),
                                  ((5, 0), (5, 0))])
def test_wrong_shapes_are_refused(x, y):
    with pytest.raises(ValueError, match=r'features of shapes \(N, D\) and \(M, D\)'):
        frechet_distance(numpy.zeros(x), numpy.zeros(y))
