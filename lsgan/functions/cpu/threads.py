"""Work on several threads, each with matrix products of its own."""
import concurrent.futures
import contextvars
import functools
import itertools
import math
import os
import threading
import weakref

import chainer
import numpy
import threadpoolctl

_given = os.environ.get('OMP_NUM_THREADS', '').partition(',')[0].strip()
_cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
# Threads that the CPU kernels use; as every entry of Chainer's configuration it can be set for a block and for a thread
chainer.global_config.cpu_threads = int(_given) if _given.isdigit() and int(_given) else _cores


@functools.cache
def _controller():
    return threadpoolctl.ThreadpoolController()


def single_threaded_blas():
    """A context in which each matrix product takes one thread: two teams of threads on the same cores fight."""
    return _controller().limit(limits=1, user_api='blas')


class _Pool:
    """The threads beside the caller's, started when they are first needed; a forked process starts its own."""

    def __init__(self):
        self.forget()

    def forget(self):
        self.executor, self.size, self.lock = None, 0, threading.Lock()

    def submit(self, work, copies):
        with self.lock:
            if copies > self.size:
                self.executor, self.size = concurrent.futures.ThreadPoolExecutor(copies, 'lsgan'), copies
        # in the caller's context, which says what NumPy does where a number is too large
        return [self.executor.submit(contextvars.copy_context().run, work) for _ in range(copies)]


_pool = _Pool()
_local = threading.local()
_background = weakref.WeakSet()
if hasattr(os, 'register_at_fork'):     # no thread comes along, so that nothing may be half done
    os.register_at_fork(before=lambda: concurrent.futures.wait(_background), after_in_child=_pool.forget)


def each(task, items):
    """Calls `task(item)` for each item, on `chainer.config.cpu_threads` threads, in any order; errors are raised here."""
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
        helpers = [helper for helper in helpers if not helper.cancel()]     # those that never began have nothing left to do
        concurrent.futures.wait(helpers)
    for helper in helpers:
        helper.result()


def background(task):
    """Calls `task()` on another thread meanwhile: a `concurrent.futures.Future` of its result."""
    future, = _pool.submit(task, 1)
    _background.add(future)
    return future


def parts(n, most=None, least=1):
    """[0, n) as (start, stop) pairs, of at least `least` and at most `most` items, as many for each thread where it can be."""
    threads = chainer.config.cpu_threads
    count = -(-n // max(1, most or n))
    count = max(1, min(n // least, -(-count // threads) * threads))
    return [(n * i // count, n * (i + 1) // count) for i in range(count)]


def total(term, n, most):
    """The sum of `term((start, stop))`, an array, over [0, n) in parts of at most `most`; the same bits at each call."""
    shares = parts(n, n)
    sums = [None] * len(shares)

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


def scratch(name, shape, dtype):
    """An array of this thread's own with anything in it, the same memory at each call with this name: it stays cached."""
    arrays = _local.__dict__.setdefault('arrays', {})
    size = math.prod(shape)
    if (name, dtype) not in arrays or arrays[name, dtype].size < size:
        arrays[name, dtype] = numpy.empty(size, dtype)
    return arrays[name, dtype][:size].reshape(shape)
