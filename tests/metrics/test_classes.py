import numpy
import pytest

from lsgan.metrics.classes import class_shares, class_statistics, stack_statistics


def sure(labels, classes, probability=1.0):
    """Return class probabilities that give each label the same probability, and the rest to one other class."""
    probabilities = numpy.zeros((len(labels), classes), numpy.float32)
    probabilities[numpy.arange(len(labels)), labels] = probability
    probabilities[numpy.arange(len(labels)), (numpy.array(labels) + 1) % classes] += 1 - probability
    return probabilities


def test_sample_counts_for_most_probable_class():
    probabilities = [[0.2, 0.5, 0.3], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.0, 1.0, 0.0]]
    shares = class_shares(probabilities)
    assert shares.dtype == numpy.float64
    assert shares.tolist() == [0.25, 0.75, 0]


def test_known_numbers():
    probabilities = numpy.concatenate([sure([0] * 4 + [1], 4, 0.95), sure([1, 2, 2], 4, 0.6)])
    assert class_statistics(probabilities, [0.25, 0.25, 0.25, 0.25]) == {
        'classes_total': 4,
        'classes_fair': 3,              # the fractions are 1/2, 1/4, 1/4 and 0
        'class_kl': pytest.approx(0.5 * numpy.log(2)),
        'confident': 5 / 8,
    }


def test_results_are_plain_numbers():
    types = {key: type(value) for key, value in class_statistics(sure([0, 1], 2), [0.5, 0.5]).items()}
    assert types == {'classes_total': int, 'classes_fair': int, 'class_kl': float, 'confident': float}


def test_perfect_and_collapsed_sampler():
    even = numpy.full(10, 0.1)
    assert class_statistics(sure(list(range(10)) * 3, 10), even) == {
        'classes_total': 10, 'classes_fair': 10, 'class_kl': pytest.approx(0, abs=1e-12), 'confident': 1.0}
    assert class_statistics(sure([7] * 30, 10), even) == {
        'classes_total': 10, 'classes_fair': 0, 'class_kl': pytest.approx(numpy.log(10)), 'confident': 1.0}


@pytest.mark.parametrize('count, fair', [(9, 1), (10, 2), (40, 2), (41, 1)])
def test_class_is_fair_from_half_to_twice_its_fraction(count, fair):
    probabilities = sure([0] * count + [1] * (100 - count), 2)
    assert class_statistics(probabilities, [0.2, 0.8])['classes_fair'] == fair


@pytest.mark.parametrize('labels', [[0, 1], [0, 1, 2]])
def test_class_without_expected_samples_does_not_count(labels):
    statistics = class_statistics(sure(labels, 3), [0.5, 0.5, 0])
    assert statistics['classes_total'] == statistics['classes_fair'] == 2


@pytest.mark.parametrize('probability, confident', [(0.9, 0), (0.901, 1)])
def test_sample_is_confident_above_0_9(probability, confident):
    assert class_statistics(numpy.array([[probability, 1 - probability]]), [1, 0])['confident'] == confident


@pytest.mark.parametrize('shape', [(5,), (0, 3), (5, 0), (5, 3, 1)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r'probabilities of shape \(N, K\)'):
        class_shares(numpy.zeros(shape))


@pytest.mark.parametrize('shape', [(1,), (4,), (3, 1), ()])
def test_wrong_number_of_classes_is_refused(shape):
    with pytest.raises(ValueError, match='shares of 3 classes'):
        class_statistics(numpy.ones((2, 3)), numpy.ones(shape))


def test_modes_are_combinations_of_classes():
    # four of the eight modes of three channels with two classes, with 4, 2, 1 and 1 of 8 images
    labels = 4 * [[0, 0, 0]] + 2 * [[1, 0, 1]] + [[1, 1, 0], [0, 1, 1]]
    assert stack_statistics(labels, 2) == {
        'modes_total': 8,
        'modes_seen': 4,
        'mode_kl': pytest.approx((1 / 2 * 2 + 1 / 4 * 1) * numpy.log(2)),       # q M is 4, 2, 1 and 1
    }
    types = {key: type(value) for key, value in stack_statistics(labels, 2).items()}
    assert types == {'modes_total': int, 'modes_seen': int, 'mode_kl': float}


def test_even_and_collapsed_stacks():
    every = numpy.stack(numpy.unravel_index(numpy.arange(1000), (10, 10, 10)), axis=1)
    assert stack_statistics(numpy.repeat(every, 26, axis=0), 10) == {
        'modes_total': 1000, 'modes_seen': 1000, 'mode_kl': pytest.approx(0, abs=1e-12)}
    one = stack_statistics(numpy.full((50, 3), 7), 10)
    assert one['modes_seen'] == 1 and one['mode_kl'] == pytest.approx(numpy.log(1000))
    drawn = numpy.random.default_rng(0).integers(10, size=(26000, 3))
    assert stack_statistics(drawn, 10)['mode_kl'] == pytest.approx(999 / 52000, rel=0.1)    # as its docstring says


@pytest.mark.parametrize('labels, error', [
    (numpy.zeros(5, int), 'labels of shape'), (numpy.zeros((0, 3), int), 'labels of shape'), ([[0, 1, 10]], 'invalid entry'),
    ([[0, -1, 2]], 'invalid entry')])
def test_wrong_labels_of_stacks_are_refused(labels, error):
    with pytest.raises(ValueError, match=error):
        stack_statistics(labels, 10)
