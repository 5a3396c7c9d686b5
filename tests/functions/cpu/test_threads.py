import multiprocessing
import threading

import chainer
import numpy
import pytest
import threadpoolctl

from lsgan.functions.cpu import threads


def blas_threads():
    return [library['num_threads'] for library in threadpoolctl.threadpool_info() if library['user_api'] == 'blas']


@pytest.mark.parametrize('count', [1, 2, 7])
def test_each_item_is_processed_once(count):
    seen = []
    with chainer.using_config('cpu_threads', count):
        threads.each(seen.append, range(100))
    assert sorted(seen) == list(range(100))


def test_items_are_processed_in_parallel():
    meeting = threading.Barrier(3)
    with chainer.using_config('cpu_threads', 3):
        threads.each(lambda _: meeting.wait(timeout=10), range(3))


def test_threads_share_error_handling_of_numpy():
    meeting, seen = threading.Barrier(3), []

    def look(_):
        meeting.wait(timeout=10)
        seen.append(numpy.geterr()['over'])
    for wanted in 'ignore', 'raise':
        with chainer.using_config('cpu_threads', 3), numpy.errstate(over=wanted):
            threads.each(look, range(3))
    assert seen == ['ignore'] * 3 + ['raise'] * 3


@pytest.mark.parametrize('count', [1, 4])
def test_error_in_task_reaches_caller(count):
    def task(i):
        if i == 9:
            raise ValueError('nine')
    with chainer.using_config('cpu_threads', count), pytest.raises(ValueError, match='nine'):
        threads.each(task, range(20))


@pytest.mark.parametrize('count', [1, 2, 3])
@pytest.mark.parametrize('n, most, least', [(10, None, 1), (10, 3, 1), (10, 3, 4), (1, 1, 1), (2, None, 5), (64, 1, 1)])
def test_parts_cover_everything(count, n, most, least):
    with chainer.using_config('cpu_threads', count):
        parts = threads.parts(n, most, least)
    assert [i for start, stop in parts for i in range(start, stop)] == list(range(n))
    sizes = [stop - start for start, stop in parts]
    assert min(sizes) >= min(n, least)
    if least == 1:
        assert max(sizes) <= max(1, most or n)
        assert len(parts) % count == 0 or len(parts) == n


@pytest.mark.parametrize('count', [1, 3])
def test_total_adds_in_fixed_order(count):
    x = numpy.random.default_rng(0).standard_normal((1000, 5)).astype(numpy.float32)
    with chainer.using_config('cpu_threads', count):
        totals = [threads.total(lambda part: x[slice(*part)].sum(axis=0), 1000, 7) for _ in range(5)]
    numpy.testing.assert_allclose(totals[0], x.sum(axis=0), rtol=1e-4, atol=1e-4)
    for total in totals[1:]:
        numpy.testing.assert_array_equal(total, totals[0])


def test_each_thread_has_own_scratch():
    mine = threads.scratch('test', (2, 3), numpy.dtype('f'))
    assert mine.shape == (2, 3) and mine.dtype == numpy.float32
    assert threads.scratch('test', (3,), numpy.dtype('f')).ctypes.data == mine.ctypes.data
    others = []
    thread = threading.Thread(target=lambda: others.append(threads.scratch('test', (2, 3), numpy.dtype('f'))))
    thread.start()
    thread.join()
    assert not numpy.shares_memory(mine, others[0])


def test_blas_is_single_threaded_inside_only():
    with threadpoolctl.threadpool_limits(2, 'blas'):
        outside = blas_threads()
        with threads.single_threaded_blas():
            assert set(blas_threads()) == {1}
            with threads.single_threaded_blas():
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {1}
        assert blas_threads() == outside


def test_several_threads_can_limit_blas():
    with threadpoolctl.threadpool_limits(2, 'blas'):
        outside = blas_threads()
        meeting = threading.Barrier(3)

        def limit(_):
            with threads.single_threaded_blas():
                meeting.wait(timeout=10)
        with chainer.using_config('cpu_threads', 3):
            for _ in range(10):
                threads.each(limit, range(3))
        assert blas_threads() == outside


def total_of_squares(count):
    with chainer.using_config('cpu_threads', count):
        return float(threads.total(lambda part: numpy.arange(*part, dtype=float) ** 2 @ numpy.ones(part[1] - part[0]), 100, 9))


@pytest.mark.filterwarnings('ignore:.*fork.*:DeprecationWarning')
def test_forked_process_starts_own_threads():
    expected = total_of_squares(3)      # starts this process's threads
    with multiprocessing.get_context('fork').Pool(1) as pool:
        assert pool.apply_async(total_of_squares, (3,)).get(timeout=60) == expected
