import numpy
import pytest

from lsgan.metrics.manifold import precision_recall


@pytest.fixture
def clouds():
    rng = numpy.random.default_rng(0)
    return rng.standard_normal((400, 3)), rng.standard_normal((400, 3))


def test_known_numbers():
    # With k = 1, the balls around 0, 1, 3 have the radii 1, 1, 2, and those around 5, 6, 9 have the radii 1, 1, 3.
    real, generated = [[0.0], [1.0], [3.0]], [[5.0], [6.0], [9.0]]
    precision, recall = precision_recall(real, generated, k=1)
    assert isinstance(precision, float) and isinstance(recall, float)
    assert (precision, recall) == (1 / 3, 0)      # 5 is on the border of [1, 5]; no real point is in [4, 12]
    assert precision_recall(generated, real, k=1) == (0, 1 / 3)
    assert precision_recall(real, generated, k=2) == (2 / 3, 2 / 3)      # the radii are 3, 2, 3 and 4, 3, 4


def test_equal_sets_are_covered(clouds):
    x, _ = clouds
    assert precision_recall(x, x[::-1]) == (1, 1)
    assert precision_recall(x, x + 1000) == (0, 0)


def test_samples_of_one_distribution_cover_each_other(clouds):
    precision, recall = precision_recall(*clouds)
    assert 0.8 < precision < 1 and 0.8 < recall < 1


def test_copies_have_precision_without_recall(clouds):
    x, y = clouds
    precision, recall = precision_recall(x, numpy.repeat(x[:5], 80, axis=0))
    assert precision == 1 and recall == pytest.approx(5 / 400)


def test_spread_points_have_recall_with_little_precision(clouds):
    x, y = clouds
    precision, recall = precision_recall(x, 8 * y)
    assert precision < 0.2 and recall > 0.9


def test_shift_and_blocks_change_nothing(clouds, monkeypatch):
    x, y = clouds
    expected = precision_recall(x, y)
    assert precision_recall(x + 1e5, y + 1e5) == pytest.approx(expected, abs=0.01)
    monkeypatch.setattr('lsgan.metrics.manifold._ROWS', 7)
    assert precision_recall(x, y) == expected


@pytest.mark.parametrize('real, generated, k', [((5, 2), (5, 3), 1), ((5,), (5,), 1), ((3, 2), (5, 2), 3), ((5, 2), (3, 2), 3),
                                                ((5, 2), (5, 2), 0)])
def test_wrong_shapes_and_k_are_refused(real, generated, k):
    with pytest.raises(ValueError, match=r'features of shapes|k must be at least 1'):
        precision_recall(numpy.zeros(real), numpy.zeros(generated), k)
