"""Time one update of each experiment's networks in lsgan, stock Chainer, PyTorch and JAX.

    python benchmarks/speed.py                  all networks on the CPU; rows of PyTorch and JAX need `pip install torch jax`
    python benchmarks/speed.py dcgan96 --rounds 9
    python benchmarks/speed.py dcgan96 --batchsize 256
    python benchmarks/speed.py --device 0       on a GPU, with more rows and lsgan's targets

Each side runs in its own process. All sides do the same work on the same number of threads: draw latents, take a step of D on
a real and a generated batch, and take a step of G through D with D's weights frozen. Both optimizers are Adam. The sides take
turns, so that a disturbance of the machine affects all of them. Compilation and warm-up are not timed. A round ends when the
device has finished its work.

JAX computes only the perceptrons, on the CPU. The whole update is one compiled function. JAX has no option for the number of
threads, so its process is restricted to as many cores.

On a GPU, lsgan replays the update as a CUDA graph, and a second row shows it without (--no-graph). Stock Chainer runs without
cuDNN, because CuPy 14 does not support cuDNN. PyTorch has three rows: eager with its defaults; "tuned" with channels_last,
TF32 and the fused Adam; and "compiled", which adds `torch.compile(mode='reduce-overhead')`, that is, CUDA graphs.

Memory is the peak of a process after the warm-up; on a GPU, it is the memory that the pools have taken from the device. If a
side fails, or exceeds --warm-up-limit, its row says so and the other sides go on.
"""
import argparse
import contextlib
import dataclasses
import functools
import importlib.util
import math
import multiprocessing
import os
import pathlib
import platform
import resource
import statistics
import sys
import time
import traceback
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np
import threadpoolctl

WARM_UP = 3         # number of updates; lsgan and PyTorch capture CUDA graphs in the third at the latest
PEERS = {'PyTorch': 'torch', 'JAX': 'jax'}      # begin of a side's name: package
TARGETS = {'PyTorch': 1.0, 'stock Chainer': 5.0}    # on a GPU: images/s of lsgan divided by those of the fastest such side


@dataclasses.dataclass(frozen=True)
class Case:
    """The sizes of a pair of networks.

    Attributes:
        batch (int): batch size on the CPU.
        latent (int): dimension of the latents.
        shape (tuple of int): shape of an example.
        widths_g, widths_d (tuple of int): units or channels of the hidden layers of G and of D.
        batch_on_gpu (int): batch size on a GPU.
    """

    batch: int
    latent: int
    shape: tuple
    widths_g: tuple
    widths_d: tuple
    batch_on_gpu: int

    @property
    def is_image(self):
        """Whether the networks are convolutional."""
        return len(self.shape) == 3

    def narrowed(self, factor):
        """Return the case with all widths divided by a factor."""
        widths_g, widths_d = (tuple(-(-width // factor) for width in widths) for widths in (self.widths_g, self.widths_d))
        return dataclasses.replace(self, widths_g=widths_g, widths_d=widths_d)


CASES = {
    'gaussian': Case(100, 256, (2,), (128, 128), (128, 128), 100),
    'mnist': Case(100, 50, (784,), (500, 500), (500, 500), 100),
    'dcgan28': Case(64, 50, (1, 28, 28), (128, 64), (64, 128), 64),
    'dcgan64': Case(64, 50, (3, 64, 64), (512, 256, 128, 64), (32, 64, 128, 256), 128),
    'dcgan96': Case(32, 50, (3, 96, 96), (512, 256, 128, 64), (32, 64, 128, 256), 128),
}


class Repeat:
    """An endless iterator that always yields the same batch, which is on the device."""

    on_device = True

    def __init__(self, batch):
        self.batch = batch

    def next(self):
        return self.batch

    def count_batches(self, n):
        pass


def peak_of_process():
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def side_of(update, wait=lambda: None, peak=peak_of_process):
    """Return a side, an object with these functions.

    Args:
        update (callable): runs one update.
        wait (callable): waits until the device has finished.
        peak (callable): returns the peak memory in bytes; called once, after the warm-up.
    """
    return types.SimpleNamespace(update=update, wait=wait, peak=peak)


def peak_of_pools(cupy):
    """Return a function that returns how many bytes CuPy's pools have taken from the device since this call.

    The pool of a captured CUDA graph is included. Call the function only once: it ends the counting, which costs time.
    """
    class Allocations(cupy.cuda.MemoryHook):

        name, bytes = 'Allocations', 0

        def alloc_postprocess(self, *, device_id, mem_size, mem_ptr):
            self.bytes += mem_size

    stack = contextlib.ExitStack()
    allocations = stack.enter_context(Allocations())

    def peak():
        stack.close()
        return allocations.bytes
    return peak


def chainer_side(case, real, threads, device, fast=True, graph=True):
    """Return the side of lsgan or, if `fast` is False, of Chainer's own functions and optimizers in the same networks."""
    from lsgan import functions, losses
    from lsgan.functions.cpu import memory
    from lsgan.networks import gaussian, image, mnist
    from lsgan.random import Latent, Stream
    from lsgan.training.devices import select_device
    from lsgan.training.updater import GANUpdater
    import chainer  # isort: skip (lsgan makes it importable)
    chainer.global_config.fast, chainer.global_config.cpu_threads = fast, threads
    device, _ = select_device(device)
    on_cpu = device.xp is np
    peak = peak_of_process if on_cpu else peak_of_pools(device.xp)
    shape = case.shape
    if case.is_image:
        networks = {'generator': image.Generator(case.latent, case.widths_g, shape[1:], shape[0]),
                    'discriminator': image.Discriminator(case.widths_d, shape[1:], shape[0])}
    else:
        networks = {'generator': gaussian.Perceptron((case.latent, *case.widths_g, *shape), 'relu') if shape == (2,)
                    else mnist.PerceptronGenerator(case.latent, case.widths_g, shape),
                    'discriminator': gaussian.Perceptron((*shape, *case.widths_d, 1), 'leaky_relu')}
    for link in networks.values():
        link.to_device(device)
    if fast:        # like the training scripts
        memory.keep_freed_memory()
    if fast and shape != (784,):        # like the training scripts, because lsgan's own threads compute the convolutions
        threadpoolctl.threadpool_limits(1, 'blas')
    optimizers = {name: functions.Adam(1e-4, 0.5).setup(link) for name, link in networks.items()}
    latents = Latent(case.latent, 'normal', Stream(0, 'latent', device))
    updater = GANUpdater({'main': Repeat(device.send(real))}, optimizers, losses.LeastSquares(), latents, graph=graph)
    wait = (lambda: None) if on_cpu else device.xp.cuda.Device().synchronize
    return side_of(updater.update_core, wait, peak)


def torch_side(case, real, threads, device, **how):
    """Return the side of PyTorch; `how` are arguments of `torch_peers.make_update`."""
    import torch
    import torch_peers
    torch.set_num_threads(threads)
    if device == '-1':
        return side_of(torch_peers.make_update(case, real, torch.device('cpu'), **how))
    torch.cuda.set_device(int(device))
    return side_of(torch_peers.make_update(case, real, torch.device('cuda'), **how), torch.cuda.synchronize,
                   torch.cuda.max_memory_reserved)


def jax_side(case, real, threads, device):
    """Return the side of JAX, on the CPU."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])     # before JAX starts its threads
    import jax_peers
    return side_of(*jax_peers.make_update(case, real))


stock = functools.partial(chainer_side, fast=False)
tuned = functools.partial(torch_side, tuned=True)


def sides_on_cpu(case, threads):
    """Return the sides on the CPU.

    Returns:
        dict: name in the table -> (function that makes the side, number of its threads).
    """
    return {'lsgan': (chainer_side, threads), 'PyTorch': (torch_side, threads),
            **({'PyTorch channels_last': (tuned, threads)} if case.is_image else {'JAX': (jax_side, threads)}),
            'stock Chainer': (stock, threads),
            **({'lsgan, 1 thread': (chainer_side, 1)} if threads > 1 else {})}


def sides_on_gpu(case, threads):
    """Return the sides on a GPU, as in `sides_on_cpu`."""
    makers = {'lsgan': chainer_side, 'lsgan --no-graph': functools.partial(chainer_side, graph=False), 'PyTorch': torch_side,
              'PyTorch tuned': tuned, 'PyTorch compiled': functools.partial(torch_side, tuned=True, compiled=True),
              'stock Chainer': stock}
    return {name: (make, threads) for name, make in makers.items()}


def seconds_of(side, updates):
    """Return the seconds that a number of updates take, until the device has finished."""
    side.wait()
    start = time.perf_counter()
    for _ in range(updates):
        side.update()
    side.wait()
    return time.perf_counter() - start


def updates_in(side, seconds):
    """Return how many updates take about the given number of seconds, at least 1."""
    updates, spent = 1, seconds_of(side, 1)
    while spent < seconds / 4:
        updates *= 2
        spent = seconds_of(side, updates)
    return max(1, round(updates * seconds / spent))


def work(pipe, make, case, batch, threads, device, seconds):
    """Run one side in its own process, and answer messages over a pipe.

    Each answer is a pair: whether the step succeeded, and its result. The first answer is sent when the side is made. The
    first message asks for the warm-up, whose result is the peak memory in bytes. Each further message asks for a round, whose
    result is the seconds per update. A false message ends the process.
    """
    try:
        real = np.random.default_rng(0).uniform(-1, 1, (batch, *case.shape)).astype(np.float32)
        side = make(case, real, threads, device)
        pipe.send((True, None))
        pipe.recv()
        for _ in range(WARM_UP):
            side.update()
        side.wait()
        peak, updates = side.peak(), updates_in(side, seconds)
        pipe.send((True, peak))
        while pipe.recv():
            pipe.send((True, seconds_of(side, updates) / updates))
    except Exception as error:
        traceback.print_exc()
        pipe.send((False, f'{type(error).__name__}: {error}'.splitlines()[0]))


class Failure(Exception):
    """The failure of a side; the message says why."""


class Side:
    """A process that runs updates, and its measurements.

    Attributes:
        seconds (list of float): seconds per update in each round.
        peak (int): peak memory in bytes.
        failure (str): why the side failed, or None.
    """

    def __init__(self, make, threads, *arguments):
        context = multiprocessing.get_context('spawn')
        os.environ['OMP_NUM_THREADS'] = os.environ['OPENBLAS_NUM_THREADS'] = str(threads)
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=work, args=(end, make, *arguments), daemon=True)
        self._process.start()
        end.close()
        self.seconds, self.peak, self.failure = [], None, None

    def answer(self, limit=None):
        """Return the next answer of the process.

        Args:
            limit (float): seconds to wait, or None for no limit.

        Returns:
            The result, or None if the side has failed or does not answer in time. `failure` then says why.
        """
        if self.failure:
            return None
        try:
            if not self._pipe.poll(limit):
                raise Failure(f'not ready within {limit:g} s')
            well, result = self._pipe.recv()
            if not well:
                raise Failure(result)
            return result
        except (Failure, EOFError, OSError) as error:
            self.failure = str(error) or 'the process ended without an answer'
            self._process.kill()

    def ask(self, limit=None):
        """Send the next message and return its answer, as in `answer`."""
        if not self.failure:
            with contextlib.suppress(OSError):      # the process has ended; `answer` records it
                self._pipe.send(True)
        return self.answer(limit)

    def close(self):
        """End the process."""
        if not self.failure:
            self._pipe.send(False)
        self._process.join()


def measure(case, batch, makers, device, args):
    """Make and measure all sides of one case.

    Args:
        case (Case): the sizes of the networks.
        batch (int): the batch size.
        makers (dict): the sides, as in `sides_on_cpu`.
        device (str): -1 or the number of a GPU.
        args (argparse.Namespace): the command line's flags.

    Returns:
        dict of str to Side: the measured sides by name.
    """
    sides = {name: Side(make, threads, case, batch, threads, device, args.seconds) for name, (make, threads) in makers.items()}
    for side in sides.values():
        side.answer(args.warm_up_limit)
    for side in sides.values():     # one at a time, because cuDNN and compilers time algorithms in the warm-up
        side.peak = side.ask(args.warm_up_limit)
    for _ in range(args.rounds):
        for side in sides.values():
            side.seconds.append(side.ask())
    for side in sides.values():
        side.close()
    return sides


def ratio(sides, name):
    """Return the median over the rounds of a side's time divided by lsgan's, or NaN if one of the two sides has failed."""
    if sides[name].failure or sides['lsgan'].failure:
        return math.nan
    return statistics.median(b / a for a, b in zip(sides['lsgan'].seconds, sides[name].seconds))


def rows(title, batch, sides):
    """Yield the rows of the table for one case."""
    for name, side in sides.items():
        head = f'{title if name == "lsgan" else "":<20}{name:<22}'
        if side.failure:
            yield f'{head} failed: {side.failure}'
        else:
            median = statistics.median(side.seconds)
            yield f'{head}{1e3 * median:>8.2f}{batch / median:>10.0f}{ratio(sides, name):>20.2f}{side.peak / 2 ** 20:>10.0f}'


def verdicts(title, sides):
    """Yield a line for each target of lsgan: the ratio, the side it is compared with, and whether the target is reached."""
    for kind, target in TARGETS.items():
        ratios = {name: ratio(sides, name) for name in sides if name.startswith(kind)}
        ratios = {name: value for name, value in ratios.items() if not math.isnan(value)}
        best = min(ratios, key=ratios.get, default=kind)
        verdict = ('not measured' if not ratios else
                   f'{ratios[best]:.2f}, {"reached" if ratios[best] >= target else "MISSED"}')
        yield f'{title:<20}images/s of lsgan divided by those of {best}, at least {target:g}: {verdict}'


def positive(text):
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f'{text} is not above 0; use a positive number')
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('networks', nargs='*', choices=[[], *CASES], metavar='NETWORK',
                        help=f'networks to time, any of {", ".join(CASES)} (default: all)')
    parser.add_argument('--rounds', type=int, default=7, help='number of rounds per side; the sides take turns (default: 7)')
    parser.add_argument('--seconds', type=positive, default=1.0,
                        help='length of a round in seconds; a round has at least one update (default: 1)')
    parser.add_argument('--warm-up-limit', type=positive, default=600, metavar='SECONDS',
                        help='time limit in seconds for each side to start, and again to compile and warm up; a side that '
                             'takes longer fails (default: 600)')
    parser.add_argument('--batchsize', type=int, help='batch size (default: the usual one of each network)')
    parser.add_argument('--narrow', type=int, default=1, metavar='FACTOR',
                        help='divide the widths of all layers by this factor, to try out the script quickly (default: 1)')
    parser.add_argument('--device', default='-1', help='-1 for the CPU, 0 for the first GPU (default: -1)')
    parser.add_argument('--threads', type=int, default=os.cpu_count(), help='number of threads per side (default: all cores)')
    args = parser.parse_args()
    from lsgan.errors import InputError  # here, so that PyTorch's processes, whose memory is measured, do not import it
    from lsgan.training.devices import select_device
    try:
        select_device(args.device)
    except InputError as error:
        parser.error(error)
    on_gpu = args.device != '-1'
    missing = [peer for peer, module in PEERS.items() if not importlib.util.find_spec(module)]
    for peer in missing:
        print(f'{peer} is not installed, so its rows are left out. To add them: pip install {PEERS[peer]}')
    print(f'NumPy {np.__version__}, Python {platform.python_version()}, {args.threads} threads, {args.rounds} rounds in turn')
    print(f'{"":<34}{"ms per update":>16}{"images/s":>10}{"time over lsgan’s":>20}{"peak MiB":>10}', flush=True)
    conclusions, failed = [], False
    for name in args.networks or CASES:
        case = CASES[name].narrowed(args.narrow)
        batch = args.batchsize or (case.batch_on_gpu if on_gpu else case.batch)
        makers = (sides_on_gpu if on_gpu else sides_on_cpu)(case, args.threads)
        sides = measure(case, batch, {title: maker for title, maker in makers.items()
                                      if not title.startswith(tuple(missing))}, args.device, args)
        title = f'{name}, batch {batch}'
        print(*rows(title, batch, sides), sep='\n', flush=True)
        if on_gpu:
            conclusions += verdicts(title, sides)
            print(*conclusions[-len(TARGETS):], sep='\n', flush=True)
        failed |= any(side.failure for side in sides.values())
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
