"""Show where an update on the CPU spends its time, and compare that with the least time its matrix products could take.

    python benchmarks/floor.py                  all convolutional networks of speed.py
    python benchmarks/floor.py dcgan28          one of them

This least time, the floor, is the number of operations in the matrix products divided by the speed of large matrix products
that run on all threads at once. Times in the table are in ms per update, and means over the threads:

    update      the whole update
    floor       the least time for the matrix products
    products    the matrix products of the convolutions
    GFLOP/s     their speed on one thread
    peak        the speed of large matrix products on one thread, in GFLOP/s
    others      other work on all threads
    waiting     waiting for the other threads
    one thread  work on one thread only: Chainer's graph and small layers
"""
import argparse
import concurrent.futures
import os
import threading
import time

import numpy as np
import speed

from lsgan.functions.cpu import threads

UPDATES, LARGE = 20, 1536


class Watch:
    """A stopwatch for matrix products and tasks, with a row of its own for each thread."""

    def __init__(self):
        self.rows, self.local = [], threading.local()

    def row(self):
        if not hasattr(self.local, 'row'):
            self.local.row = {'products': 0.0, 'operations': 0.0, 'tasks': 0.0}
            self.rows.append(self.local.row)
        return self.local.row

    def total(self, key):
        return sum(row[key] for row in self.rows)

    def product(self, multiply):
        """Return `numpy.dot` or `numpy.matmul` with its time and operations recorded."""
        def watched(a, b, out=None):
            start = time.perf_counter()
            c = multiply(a, b, out=out)
            row = self.row()
            row['products'] += time.perf_counter() - start
            row['operations'] += 2 * c.size * a.shape[-1]
            return c
        return watched

    def each(self, each):
        """Return `threads.each` with its time recorded, per thread in the rows and as a whole in `wall`."""
        self.wall = 0.0

        def watched(task, items):
            def timed(item):
                start = time.perf_counter()
                task(item)
                self.row()['tasks'] += time.perf_counter() - start
            start = time.perf_counter()
            each(timed, items)
            self.wall += time.perf_counter() - start
        return watched


def peak(count):
    """Return the floating-point operations per second of large matrix products on `count` threads at once."""
    a, b = np.random.default_rng(0).normal(size=(2, LARGE, LARGE)).astype(np.float32)

    def multiply(_):
        c = np.empty_like(a)
        start = time.perf_counter()
        for _ in range(5):
            np.dot(a, b, out=c)
        return 5 * 2 * LARGE ** 3 / (time.perf_counter() - start)
    with threads.single_threaded_blas(), concurrent.futures.ThreadPoolExecutor(count) as pool:
        list(pool.map(multiply, range(count)))      # warm-up
        return sum(pool.map(multiply, range(count)))


def profile(case, count):
    sizes = speed.CASES[case]
    real = np.random.default_rng(0).uniform(-1, 1, (sizes.batch, *sizes.shape)).astype(np.float32)
    update = speed.chainer_side(sizes, real, count, '-1').update
    for _ in range(3):
        update()
    watch, own = Watch(), (np.dot, np.matmul, threads.each)
    rate = peak(count)
    np.dot, np.matmul, threads.each = watch.product(np.dot), watch.product(np.matmul), watch.each(threads.each)
    try:
        start = time.perf_counter()
        for _ in range(UPDATES):
            update()
        seconds = time.perf_counter() - start
    finally:
        np.dot, np.matmul, threads.each = own
    ms = 1e3 / UPDATES
    products, tasks, operations = (watch.total(key) for key in ('products', 'tasks', 'operations'))
    print(f'{case:<10}{ms * seconds:>9.1f}{ms * operations / rate:>9.1f}{ms * products / count:>10.1f}'
          f'{operations / products / 1e9:>10.0f}{rate / count / 1e9:>8.0f}{ms * (tasks - products) / count:>9.1f}'
          f'{ms * (watch.wall - tasks / count):>10.1f}{ms * (seconds - watch.wall):>12.1f}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = [case for case in speed.CASES if case.startswith('dcgan')]
    parser.add_argument('networks', nargs='*', choices=[[], *cases], metavar='NETWORK',
                        help=f'networks to profile, any of {", ".join(cases)} (default: all)')
    parser.add_argument('--threads', type=int, default=os.cpu_count(), help='number of threads (default: all cores)')
    args = parser.parse_args()
    print(f'{"":<10}{"update":>9}{"floor":>9}{"products":>10}{"GFLOP/s":>10}{"peak":>8}{"others":>9}{"waiting":>10}'
          f'{"one thread":>12}')
    for case in args.networks or cases:
        profile(case, args.threads)


if __name__ == '__main__':
    main()
