"""Helpers that run the scripts' trainers in this process and count the work of the emulated device.

    python tests/gpu_checks.py      prints the launches per update of the standard configurations, on the emulated device
"""
import collections
import contextlib
import dataclasses
import importlib.util
import io
import os
import pathlib
import sys
import tempfile
from unittest import mock

if __name__ == '__main__':
    import cupy_on_cpu
    os.environ['CUPY_ON_CPU'] = '1'
    os.environ.setdefault('CUPY_ON_CPU_REPORT', os.devnull)     # with a report, lines that wait or copy are recorded
    cupy_on_cpu.install()

# isort: split
from lsgan.training import run, snapshot  # lsgan must be imported before chainer

# isort: split
import chainer
from PIL import Image
from running import ROOT, write_images

from lsgan.datasets.faces import FACTORS, Face, draw

CPU = chainer.get_device('@numpy')
# flags for networks that train quickly; other flags keep the values of the preset
TINY = {'gaussian': ['--hidden-g', 6, 5, '--hidden-d', 7, 5, '--latent', 4, '--batchsize', 6],
        'mnist': ['--hidden-g', 6, 5, '--hidden-d', 4, 6, '--latent', 4, '--batchsize', 6, '--metric-samples', 20],
        'anime': ['--size', 32, '--hidden-g', 6, 4, '--hidden-d', 4, 6, '--latent', 4, '--batchsize', 6,
                  '--metric-samples', 6]}
DATA_FLAGS = {'mnist': '--data', 'anime': '--images'}


def emulation():
    """Return the module of the emulated device, or None if the device is real or there is none."""
    module = sys.modules.get('cupy_on_cpu')
    return module if os.environ.get('CUPY_ON_CPU') == '1' else None


def write_data(folder):
    """Write small sets of images into a new folder.

    Returns:
        dict of str to list: the flags with which each script trains on them, by script.
    """
    folder.mkdir()
    write_images(folder / 'mnist')
    (folder / 'anime').mkdir()
    for i in range(12):        # not a power of two, because drawing below one never rejects a number
        face = Face(*(of[i % len(of)] for of in FACTORS.values()), x=0.001 * i)
        Image.fromarray(draw(face, 40).transpose(1, 2, 0)).save(folder / 'anime' / f'{i}.png')
    return {name: [flag, folder / name] for name, flag in DATA_FLAGS.items()} | {'gaussian': []}


def load_script(name):
    """Return a script of the repository as a module: gaussian, mnist, anime or visualize."""
    name = name if name == 'visualize' else f'train_{name}'
    spec = importlib.util.spec_from_file_location(name, ROOT / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def optional(name, *flags):
    """Return those of the given flags, all without a value, that a training script has."""
    text = load_script(name).make_parser().format_help()
    return [flag for flag in flags if flag in text]


def run_script(name, *flags):
    """Run a training script in this process, which is faster than starting a new one, and return its exit status."""
    module = load_script(name)
    with mock.patch.object(sys, 'argv', [f'train_{name}.py', *map(str, flags)]):
        return run.main(module.make_parser(), module.build)


class _Assembled(Exception):
    """An exception that leaves a script when its trainer is ready to run, and carries the trainer."""


def assemble(name, *flags):
    """Return the trainer of a training script before its first update.

    Args:
        name (str): gaussian, mnist or anime.
        flags: the command line, including a new run folder.
    """
    def leave(trainer, **_):
        raise _Assembled(trainer)
    try:
        with mock.patch.object(chainer.training.Trainer, 'run', leave):
            status = run_script(name, *flags)
    except _Assembled as ready:
        return ready.args[0]
    raise AssertionError(f'train_{name}.py {" ".join(map(str, flags))} ended with status {status}')


def settings_of(trainer):
    return trainer.get_extension('snapshots').settings


def update(trainer, times=1):
    """Run a number of updates without the trainer's extensions, and return what the last one reports."""
    for _ in range(times):
        trainer.observation = {}
        with trainer.reporter.scope(trainer.observation):
            trainer.updater.update()
    return trainer.observation


def loop(trainer, updates):
    """Run the trainer's loop, including its extensions, up to the given number of updates."""
    trainer.stop_trigger = lambda trainer: trainer.updater.iteration >= updates
    trainer.run(show_loop_exception_msg=False)


def state_of(trainer):
    """Return the state of the updater that a snapshot saves, a dict of NumPy arrays."""
    serializer = chainer.serializers.DictionarySerializer()
    trainer.updater.serialize(serializer)
    return serializer.target


def weights_of(link):
    """Return copies of a link's parameters, NumPy arrays by name."""
    return {name: CPU.send(p.array).copy() for name, p in link.namedparams()}


def save_and_restore(source, target, path):
    """Copy the state of one trainer to another by a snapshot file."""
    snapshot.save(path, source, settings_of(source))
    snapshot.Snapshot(path).restore(target)


@dataclasses.dataclass
class Work:
    """The number of operations of the emulated device, by kind."""

    kernels: int
    products: int
    within: int         # copies within the device, and memory set to a value
    copies_in: int
    copies_out: int
    waits: int
    names: collections.Counter      # launches by name of the kernel
    asked: collections.Counter      # with CUPY_ON_CPU_REPORT: waits and copies by the line that asked for them

    @classmethod
    def so_far(cls):
        device = emulation()
        counts = device.counts()
        return cls(*(counts[name] for name in ('kernels', 'products', 'copies within', 'copies in', 'copies out', 'waits')),
                   device.launched(), collections.Counter(device.SYNCS))

    def __sub__(self, other):
        ours, theirs = (vars(work).values() for work in (self, other))
        return Work(*(a - b for a, b in zip(ours, theirs)))

    def __add__(self, other):
        return Work(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))

    @property
    def launches(self):
        return self.kernels + self.products + self.within

    def synchronous(self):
        """Return a text about the waits and the copies between host and device, empty if there are none."""
        if not (self.waits or self.copies_in or self.copies_out):
            return ''
        lines = [f'{self.waits} waits, {self.copies_in} copies in, {self.copies_out} copies out']
        lines += [f'{n:4} {what}: {where}' for (what, where), n in self.asked.most_common()]
        return '\n  '.join(lines if self.asked else [*lines, 'set CUPY_ON_CPU_REPORT=/dev/null to see the lines'])


def watch(trainer, warm_up, updates):
    """Count the work of some updates in a trainer's loop, after a warm-up.

    Args:
        trainer (chainer.training.Trainer): the trainer.
        warm_up (int): number of updates before those that are counted.
        updates (int): number of updates to count.

    Returns:
        tuple: the `Work` of these updates, and the `Work` of the extensions after them.
    """
    marks, inner = [], trainer.updater.update

    def counted():
        marks.append(Work.so_far())
        inner()
        marks.append(Work.so_far())
    trainer.updater.update = counted
    loop(trainer, warm_up + updates + 1)
    marks = marks[2 * warm_up:][:2 * updates + 1]
    inside = [b - a for a, b in zip(marks[::2], marks[1::2])]
    after = [b - a for a, b in zip(marks[1::2], marks[2::2])]
    return sum(inside[1:], inside[0]), sum(after[1:], after[0])


# name -> (script, flags, most launches per update). Networks and losses are those of the presets. The batches are small, which
# does not change the number of launches
CONFIGURATIONS = {
    'gaussian default': ('gaussian', ['--batchsize', 8], 100),
    'gaussian paper': ('gaussian', ['--preset', 'paper', '--batchsize', 8], 60),
    'mnist default': ('mnist', ['--batchsize', 4, '--metric-samples', 20], 200),
    'faces 32x32 default': ('anime', ['--size', 32, '--batchsize', 4, '--metric-samples', 6], 200),
}
# flags with which no log entry, metric or picture falls into the counted updates
RARELY = ['--epoch', 1, '--epoch-size', 1000, '--log-interval', 1000, '--metric-interval', 1000, '--sample-interval', 1000,
          '--snapshot-interval', 1000, '-d', 0]


def launches(configuration, data, out):
    """Return the `Work` of one update of a configuration, and the `Work` of the extensions after it."""
    name, flags, _ = CONFIGURATIONS[configuration]
    # without a CUDA graph, which would launch all kernels together
    trainer = assemble(name, *flags, *data[name], *RARELY, *optional(name, '--no-graph'), '-o', out)
    return watch(trainer, 2, 1)


def table(data, folder):
    """Yield the lines of a table of launches per update, and the most frequent kernels of each configuration."""
    heads = 'kernels', 'products', 'copies within', 'launches', 'at most', 'waits', 'copies in', 'copies out'
    yield '| |' + ''.join(f' {head} |' for head in heads)
    yield '|---|' + '--:|' * len(heads)
    details = []
    for configuration, (*_, most) in CONFIGURATIONS.items():
        for part, work in zip(('update', 'extensions'), launches(configuration, data, folder / configuration)):
            numbers = (work.kernels, work.products, work.within, work.launches, most if part == 'update' else '',
                       work.waits, work.copies_in, work.copies_out)
            yield f'| {configuration}, {part} |' + ''.join(f' {number} |' for number in numbers)
            details += ['', f'{configuration}, {part}:', *(f'{n:6} {kernel}' for kernel, n in work.names.most_common(10)),
                        *([f'       {work.synchronous()}'] if work.synchronous() else [])]
    yield from details


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with contextlib.redirect_stdout(io.StringIO()):
            lines = list(table(write_data(folder / 'data'), folder))
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
