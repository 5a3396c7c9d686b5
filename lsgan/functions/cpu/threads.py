"""Threads for the CPU kernels, each of which computes its own matrix products."""
import concurrent.futures
import contextlib
import contextvars
import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import chainer
import numpy
import threadpoolctl

_given = os.environ.get('OMP_NUM_THREADS', '').partition(',')[0].strip()
_cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
# Number of threads of the CPU kernels. `chainer.using_config` changes it for a block of code, in the calling thread only
chainer.global_config.cpu_threads = int(_given) if _given.isdigit() and int(_given) else _cores


@functools.cache
def _controller():
    return threadpoolctl.ThreadpoolController()


def single_threaded_blas() -> contextlib.AbstractContextManager:
    """Return a context in which each matrix product uses one thread, so that BLAS does not compete with our threads."""
    return _controller().limit(limits=1, user_api='blas')


class _Pool:
    """The threads besides the caller's, started when they are first needed. A forked process starts its own."""

    def __init__(self):
        self.forget()

    def forget(self):
        self.executor, self.size, self.lock = None, 0, threading.Lock()

    def submit(self, work, copies):
        with self.lock:
            if copies > self.size:
                self.executor, self.size = concurrent.futures.ThreadPoolExecutor(copies, 'lsgan'), copies
        # the caller's context includes NumPy's error handling, such as what to do on overflow
        return [self.executor.submit(contextvars.copy_context().run, work) for _ in range(copies)]


_pool = _Pool()
_local = threading.local()
if hasattr(os, 'register_at_fork'):     # a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.forget)


def each(task: Callable[[Any], Any], items: Sequence) -> None:
    """Call `task(item)` for each item, on `chainer.config.cpu_threads` threads and in any order.

    Args:
        task: takes an item. An exception that it raises reaches the caller of `each`.
        items: what to work on.
    """
    others = min(chainer.config.cpu_threads, len(items)) - 1
    if others < 1:
        for item in items:
            task(item)
        return
    claim = itertools.count()

    def work():
        for i in claim:
            if i >= len(items):
                return
            task(items[i])

    helpers = _pool.submit(work, others)
    try:
        work()
    finally:
        helpers = [helper for helper in helpers if not helper.cancel()]     # nothing is left for those that have not begun
        concurrent.futures.wait(helpers)
    for helper in helpers:
        helper.result()


def parts(n: int, most: int | None = None, least: int = 1) -> list[tuple[int, int]]:
    """Return a division of [0, n) into parts, the same number of parts for each thread if possible.

    Args:
        n: number of items.
        most: the most items in a part, or None for no limit. `least` takes precedence.
        least: the fewest items in a part, if there are that many.

    Returns:
        (start, stop) of each part.
    """
    threads = chainer.config.cpu_threads
    count = -(-n // max(1, most or n))
    count = max(1, min(n // least, -(-count // threads) * threads))
    return [(n * i // count, n * (i + 1) // count) for i in range(count)]


def total(term: Callable[[tuple[int, int]], numpy.ndarray], n: int, most: int) -> numpy.ndarray:
    """Return the sum of `term(part)` over parts of [0, n). With the same number of threads, every call gives the same bits.

    Args:
        term: takes a part (start, stop); returns its contribution, an array.
        n: number of items, at least 1.
        most: the most items in a part.
    """
    shares = parts(n, n)
    sums: list[Any] = [None] * len(shares)

    def work(i):
        start, stop = shares[i]
        for begin in range(start, stop, most):
            value = term((begin, min(begin + most, stop)))
            if sums[i] is None:
                sums[i] = value
            else:
                sums[i] += value
    each(work, range(len(shares)))
    for other in sums[1:]:
        sums[0] += other
    return sums[0]


def scratch(name: str, shape: tuple[int, ...], dtype: numpy.dtype) -> numpy.ndarray:
    """Return an uninitialised array that belongs to the calling thread.

    Calls with the same name and type reuse the same memory, so that it stays in the CPU's cache.

    Args:
        name: what the array is for.
        shape: its shape.
        dtype: its type.
    """
    arrays = _local.__dict__.setdefault('arrays', {})
    size = math.prod(shape)
    if (name, dtype) not in arrays or arrays[name, dtype].size < size:
        arrays[name, dtype] = numpy.empty(size, dtype)
    return arrays[name, dtype][:size].reshape(shape)
