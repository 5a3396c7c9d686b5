import numpy
import pytest

from lsgan.datasets.mixture import GaussianMixture, ring
from lsgan.metrics.modes import mode_statistics

CENTERS = numpy.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
CUT = 1 - 4.5 / numpy.expm1(4.5)     # variance along an axis of a standard Gaussian truncated at radius 3


def test_known_numbers():
    samples = [
        [0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1],   # in the first mode; their variance is 2/3 of 0.01 along each axis
        [10, 0.29], [10, 0.31],                     # near the second mode: just within and just beyond 3 sigma
        [5, 5], [-7, -7],                           # in no mode
    ]
    assert mode_statistics(samples, CENTERS, 0.1) == {
        'modes_total': 3,
        'modes_captured': 2,
        'modes_fair': 1,                            # at least 4/3 samples, half of 8 / 3
        'high_quality': 5 / 8,
        'spread_min': pytest.approx((2 / 3 / CUT) ** 0.5),
        'spread_max': pytest.approx((2 / 3 / CUT) ** 0.5),
    }


def test_smallest_and_largest_spread():
    first, second = numpy.array([[-0.1, 0], [0.1, 0]]), numpy.array([[10, -0.02], [10, 0.02]])
    statistics = mode_statistics(numpy.concatenate([first, second]), CENTERS, 0.1)
    # Two points at distance 2 d have the variance 2 d^2 along one of the two axes.
    assert statistics['spread_max'] == pytest.approx(1 / CUT ** 0.5)
    assert statistics['spread_min'] == pytest.approx(0.2 / CUT ** 0.5)


def test_results_are_plain_numbers():
    types = {key: type(value) for key, value in mode_statistics(numpy.zeros((4, 2)), CENTERS, 0.1).items()}
    assert types == {'modes_total': int, 'modes_captured': int, 'modes_fair': int,
                     'high_quality': float, 'spread_min': float, 'spread_max': float}


def test_perfect_sampler(make_stream):
    centers = ring(8, 2.0)
    samples = GaussianMixture(centers, 0.04).sample(10_000, make_stream())
    statistics = mode_statistics(samples, centers, 0.04)
    assert (statistics['modes_captured'], statistics['modes_fair'], statistics['modes_total']) == (8, 8, 8)
    assert abs(statistics['high_quality'] - 0.989) < 0.006
    assert 0.9 < statistics['spread_min'] <= statistics['spread_max'] < 1.1


@pytest.mark.parametrize('factor', [1.0, 0.5])
def test_spread_is_corrected_for_truncation(make_stream, factor):
    samples = factor * 0.2 * make_stream().normal((200_000, 2))
    spread = mode_statistics(samples, [[0, 0]], 0.2)['spread_min']
    if factor == 1:
        assert spread == pytest.approx(1, rel=0.01)
    else:
        assert spread == pytest.approx(0.5 / CUT ** 0.5, rel=0.01)     # no sample is beyond 3 sigma


def test_collapsed_sampler():
    assert mode_statistics(numpy.full((100, 2), [10.0, 0.0]), CENTERS, 0.1) == {
        'modes_total': 3, 'modes_captured': 1, 'modes_fair': 1, 'high_quality': 1.0, 'spread_min': 0.0, 'spread_max': 0.0}


@pytest.mark.parametrize('held, fair', [(24, 1), (25, 2)])
def test_mode_is_fair_from_half_of_its_samples(held, fair):
    samples = numpy.zeros((100, 2))
    samples[:held] = 10, 0
    statistics = mode_statistics(samples, CENTERS[:2], 0.1)     # 50 samples per mode are expected
    assert (statistics['modes_captured'], statistics['modes_fair']) == (2, fair)


def test_low_quality_samples_do_not_make_mode_fair():
    samples = numpy.zeros((100, 2))
    samples[:50] = 10, 0.5
    statistics = mode_statistics(samples, CENTERS[:2], 0.1)
    assert (statistics['modes_captured'], statistics['modes_fair'], statistics['high_quality']) == (1, 1, 0.5)


def test_sample_counts_for_nearest_mode_only():
    statistics = mode_statistics([[0.4, 0.0]], [[0.0, 0.0], [1.0, 0.0]], 1.0)
    assert statistics['modes_captured'] == 1


def test_infinite_samples_belong_to_no_mode():
    bad = numpy.array([[numpy.nan, 0], [0, numpy.inf], [-numpy.inf, numpy.nan], [numpy.nan, numpy.nan]])
    samples = numpy.concatenate([numpy.full((4, 2), [0.0, 10.0]), bad])
    statistics = mode_statistics(samples, CENTERS, 0.1)
    assert (statistics['modes_captured'], statistics['high_quality']) == (1, 0.5)
    assert mode_statistics(bad, CENTERS, 0.1) == {
        'modes_total': 3, 'modes_captured': 0, 'modes_fair': 0, 'high_quality': 0.0, 'spread_min': 0.0, 'spread_max': 0.0}


def test_float32_is_computed_in_float64():
    samples = 1000 + 0.1 * numpy.array([[-1, 0], [1, 0], [0, 1], [0, -1]], numpy.float32)
    statistics = mode_statistics(samples, [[1000, 1000]], 0.1)
    assert statistics['spread_min'] == pytest.approx((2 / 3 / CUT) ** 0.5, rel=1e-3)
