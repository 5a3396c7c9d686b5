import numpy
import pytest

from lsgan.datasets.iterator import SampleIterator
from lsgan.datasets.mixture import GaussianMixture, ring


@pytest.fixture
def make_iterator(make_stream):
    return lambda seed=0: SampleIterator(GaussianMixture(ring(8, 2.0), 0.2), 16, make_stream(seed), epoch_size=3)


def test_iterator_counts_epochs_in_batches(make_iterator):
    iterator = make_iterator()
    assert (iterator.epoch, iterator.epoch_detail, iterator.is_new_epoch) == (0, 0, False)
    seen = []
    for _ in range(7):
        assert next(iterator).shape == (16, 2)
        seen.append((iterator.epoch, iterator.is_new_epoch))
    assert seen == [(0, False), (0, False), (1, True), (1, False), (1, False), (2, True), (2, False)]
    assert iterator.epoch_detail == pytest.approx(7 / 3)
    assert iterator.repeat


def test_batches_differ(make_iterator):
    iterator = make_iterator()
    assert not numpy.isin(iterator.next(), next(iterator)).any()


def test_loaded_iterator_continues_exactly(make_iterator, transfer):
    iterator, loaded = make_iterator(0), make_iterator(9)
    for _ in range(4):
        next(iterator)
    next(loaded)
    transfer(iterator, loaded)
    assert (loaded.epoch, loaded.epoch_detail, loaded.is_new_epoch) == (1, 4 / 3, False)
    for _ in range(5):
        assert numpy.array_equal(next(loaded), next(iterator))
        assert loaded.is_new_epoch == iterator.is_new_epoch
