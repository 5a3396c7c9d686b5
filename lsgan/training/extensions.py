"""Extensions of Chainer's trainer: metrics, pictures, log, progress and snapshots, and a trigger that stops a run.

No extension draws from the random streams of the training, so none changes its result.
"""
import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import chainer
import numpy
import tqdm
from chainer import training
from chainer.backends import cuda
from chainer.training import extensions as chainer_extensions

from lsgan import console
from lsgan.functions.gpu.history import ToHost
from lsgan.npz import save_weights
from lsgan.training import snapshot
from lsgan.training.parallel import Alone, Parallel

_COLUMNS = 120      # characters: width of the progress bar in a notebook


class Diverged(Exception):
    """Error of a run whose losses, weights or samples are NaN or infinite. The message says at which update."""


class Metrics(training.Extension):
    """An extension that reports the metrics and the training speed, and writes `metrics.json`.

    The speed, `images_per_second`, is the number of real examples per second of updates since the last report.

    Args:
        sample: takes nothing; returns samples, a NumPy array of shape (N, ...).
        evaluate: takes these samples; returns a dict of numbers.
        examples: number of real examples in an update, over all steps of D.
    """

    priority = training.PRIORITY_WRITER
    name = 'metrics'

    def __init__(self, sample: Callable[[], numpy.ndarray], evaluate: Callable[[numpy.ndarray], dict[str, float]],
                 examples: int):
        self.sample, self.evaluate, self.examples = sample, evaluate, examples
        self._last, self._rate = (0, 0.0), 0.0

    def __call__(self, trainer):
        chainer.report(self.measure(trainer))

    def measure(self, trainer: training.Trainer) -> dict[str, float]:
        """Measure the current generator, write metrics.json, and return the metrics.

        Args:
            trainer: its updater is a `lsgan.training.updater.GANUpdater`.

        Returns:
            A dict from the name of each metric to a number.

        Raises:
            Diverged: if samples are NaN or infinite.
        """
        updater = trainer.updater
        updater.finish()
        samples = self.sample()
        if not numpy.isfinite(samples).all():
            raise Diverged(f'the samples are not finite at update {updater.iteration:,}')
        updates, seconds = updater.timed - self._last[0], updater.seconds - self._last[1]
        metrics = self.evaluate(samples)
        if updates:
            self._last = updater.timed, updater.seconds
            self._rate = updates * self.examples / seconds
        if self._rate:
            metrics['images_per_second'] = self._rate
        snapshot.write_json(f'{trainer.out}/metrics.json', {'iteration': updater.iteration, **metrics})
        return metrics


class Pictures(training.Extension):
    """An extension that writes pictures of samples from fixed latents, `samples/iter_N.png`.

    Args:
        sample: takes nothing; returns samples, a NumPy array of shape (N, ...).
        draw: takes these samples, a binary file and a title; writes the picture to the file.
        title: takes the number of updates; returns the title.
        seen: takes the path of each picture, after it is written, and the number of updates. None for no callable.
    """

    name = 'pictures'

    def __init__(self, sample: Callable[[], numpy.ndarray], draw: Callable[[numpy.ndarray, BinaryIO, str], None],
                 title: Callable[[int], str], seen: Callable[[str, int], None] | None = None):
        self.sample, self.draw, self.title, self.seen = sample, draw, title, seen

    def __call__(self, trainer):
        iteration = trainer.updater.iteration
        path = f'{trainer.out}/samples/iter_{iteration:08}.png'
        with snapshot.replacing(path) as f:
            self.draw(self.sample(), f, self.title(iteration))
        if self.seen:
            self.seen(path, iteration)


class _Means(chainer.reporter.DictSummary):
    """Chainer's summary of reported values, but scalars stay on the GPU until their mean is needed.

    Therefore no update has to wait for the GPU.

    Args:
        processes: see `Log`.
    """

    def __init__(self, processes):
        super().__init__()
        self._processes, self._waiting = processes, []

    def add(self, d):
        if any(isinstance(x, cuda.ndarray) for x in d.values()):
            self._waiting.append(dict(d))
        else:
            super().add(d)

    def _take_waiting(self):
        to_host, waiting, self._waiting = ToHost(), self._waiting, []
        for d in waiting:
            super().add({key: to_host(x) for key, x in d.items()})

    def compute_mean(self):
        self._take_waiting()
        return self._processes.mean(super().compute_mean())

    def serialize(self, serializer):
        self._take_waiting()
        super().serialize(serializer)


class Log(chainer_extensions.LogReport):
    """Chainer's `LogReport` with means over all processes. It can also write an entry when a run stops.

    Args:
        processes: the processes of the run. All ranks hold the entries, but only rank 0 writes the file.
        options: the arguments of Chainer's class.
    """

    name = 'LogReport'
    _log: list[dict[str, Any]]      # attributes of Chainer's class
    _trigger: Callable

    def __init__(self, processes: Alone | Parallel, **options: Any):
        self._processes = processes
        super().__init__(log_name=None if processes.rank else 'log', **options)

    def _init_summary(self):
        self._summary = _Means(self._processes)

    def serialize_sums(self, serializer: chainer.AbstractSerializer) -> None:
        """Save or restore the values that were reported in this process since the last entry."""
        self._summary.serialize(serializer)

    def write_partial_entry(self, trainer: training.Trainer) -> None:
        """Write the log file with one more entry for the updates since the last entry, if there are any.

        The state of this extension does not change. Therefore a run that continues from its snapshot writes the same log as a
        run that never stopped, without this entry.

        Args:
            trainer: the trainer of the run.
        """
        if self._log and self._log[-1]['iteration'] == trainer.updater.iteration:
            return
        state = self._summary, self._log, self._trigger
        self._log, self._trigger, trainer.observation = [*self._log], lambda _: True, {}
        try:
            self(trainer)
        finally:
            self._summary, self._log, self._trigger = state


class Snapshots(training.Extension):
    """An extension that writes `snapshot_iter_N` and `generator_iter_N.npz`, and deletes older ones.

    Args:
        settings: settings of the run, which each snapshot includes.
        keep: number of snapshots to keep.
        processes: the processes of the run. Rank 0 writes the files. The other ranks send it their random states.
    """

    priority = -100     # after every extension that has a state
    name = 'snapshots'

    def __init__(self, settings: dict, keep: int, processes: Alone | Parallel):
        self.settings, self.keep, self.processes = settings, keep, processes

    def __call__(self, trainer):
        updater = trainer.updater
        for link in (updater.generator, updater.discriminator):
            for name, p in link.namedparams():
                if not p.device.xp.isfinite(p.array).all():
                    raise Diverged(f'the weights are not finite at update {updater.iteration:,} '
                                   f'({type(link).__name__}{name})')
        self.processes.require_equal_weights([updater.generator, updater.discriminator], updater.iteration)
        states = self.processes.gather(snapshot.own_state(trainer))
        if self.processes.rank:
            return
        # The snapshot is written last, so that a run that continues from it already has the generator's file.
        with snapshot.replacing(f'{trainer.out}/generator_iter_{updater.iteration}.npz') as f:
            save_weights(f, updater.sampler())
        snapshot.save(f'{trainer.out}/snapshot_iter_{updater.iteration}', trainer, self.settings, states[1:])
        for pattern in ('snapshot_iter_{}', 'generator_iter_{}.npz'):
            for old in snapshot.numbered(trainer.out, pattern)[self.keep:]:
                old.unlink()


def require_finite(entry: Mapping[str, float]) -> None:
    """Raise `Diverged` if a loss in a log entry is NaN or infinite."""
    bad = {key: entry[key] for key in ('gen/loss', 'dis/loss') if key in entry and not math.isfinite(entry[key])}
    if bad:
        raise Diverged(f'the losses are not finite at update {entry["iteration"]:,} '
                       f'({", ".join(f"{key} {value}" for key, value in bad.items())})')


class Progress(training.Extension):
    """An extension that shows a progress bar on a terminal or in a notebook, and otherwise prints a line per log entry.

    Args:
        log: source of the losses and metrics.
        total: number of updates after which the run stops.
        show: from the key of each metric to show to its short name.
    """

    priority = training.PRIORITY_READER - 10    # after the log
    trigger = 1, 'iteration'
    name = 'progress'

    def __init__(self, log: chainer_extensions.LogReport, total: int, show: Mapping[str, str]):
        self.log, self.total, self.show = log, total, show
        self._bar, self._start = None, None
        self._known: dict[str, str] = {}

    def initialize(self, trainer: training.Trainer) -> None:
        self._entries = len(self.log.log)

    def __call__(self, trainer):
        done = trainer.updater.iteration
        if self._start is None:     # starts after the first update, which may print that it compiles kernels
            self._start = time.monotonic(), done
            if console.shows_bars(sys.stdout):
                terminal = sys.stdout.isatty()
                self._bar = tqdm.tqdm(total=self.total, initial=done, file=sys.stdout, smoothing=0.05, unit='up',
                                      dynamic_ncols=terminal, ncols=None if terminal else _COLUMNS,
                                      mininterval=0.2 if terminal else 1,
                                      bar_format='{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} '
                                                 '{rate_fmt}, {remaining} left{postfix}')
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        if len(self.log.log) == self._entries:
            return
        self._entries = len(self.log.log)
        entry = self.log.log[-1]
        losses = [f'{key} {entry[key]:.3f}' for key in ('gen/loss', 'dis/loss') if key in entry]
        new = {name: f'{name} {entry[key]:.3g}' for key, name in self.show.items() if key in entry}
        if self._bar is not None:
            self._known.update(new)     # metrics are rarer than losses, so the last ones stay visible
            self._bar.set_postfix_str(', '.join([*losses, *self._known.values()]), refresh=False)
            return
        begin, first = self._start
        left = ''
        if done > first:
            seconds = (self.total - done) * (time.monotonic() - begin) / (done - first)
            left = f', {tqdm.tqdm.format_interval(seconds)} left'
        print(f'{done:>9,} of {self.total:,} updates{left}: {", ".join([*losses, *new.values()])}', flush=True)

    def finalize(self) -> None:
        if self._bar is not None:
            self._bar.close()


class StopRequest:
    """A stop trigger that stops training after a number of updates, or after the update during which a signal arrives.

    The signals are SIGINT and SIGTERM. A second signal goes to the previous handler, which ends the program without saving.
    Signals within one second of the first are ignored, because one Ctrl-C can arrive twice: the terminal sends it to every
    process of the group, and a parent process such as `uv run` may pass it on.

    The end of the context restores the previous handlers. If a signal has stopped a script, signals are ignored from there on,
    because the rest takes little time.

    Args:
        iterations: number of updates.
        processes: the processes of the run. If one process gets a signal, all stop after the same update.

    Attributes:
        signal (int): number of the signal that has stopped the run, or None.
    """

    def __init__(self, iterations: int, processes: Alone | Parallel):
        self.iterations, self.processes = iterations, processes
        self.signal = None
        self._since = float('-inf')

    def __call__(self, trainer):
        if trainer.updater.iteration >= self.iterations:
            return True
        number = self.processes.latest(self.signal or 0)
        if self.signal is None and number:
            self.signal, self._since = number, time.monotonic()
        return bool(number)     # a signal that has arrived since the call of `latest` counts after the next update

    def __enter__(self):
        self._old = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler if self.signal is None or console.in_ipython() else signal.SIG_IGN)

    def _on_signal(self, number, frame):
        if self.signal is None:
            self.signal, self._since = number, time.monotonic()
            if self.processes.rank:
                return
            with contextlib.suppress(OSError):      # print may be interrupted and is not reentrant; stderr may be closed
                os.write(2, b'\nStopping after this update and saving.'
                         + b' Press Ctrl-C again to quit without saving.' * (self.processes.size == 1) + b'\n')
        elif time.monotonic() - self._since > 1:
            signal.signal(number, self._old[number] if callable(self._old[number]) else signal.SIG_DFL)
            os.kill(os.getpid(), number)
