#!/usr/bin/env python
"""Draws, measures and writes out what a run folder holds, from that folder and what its config.json names.

any run:
    visualize.py all result/mnist                       every picture of a run, into result/mnist/figures
    visualize.py curves result/mnist                    losses and metrics over the updates
    visualize.py curves result/mnist result/wgan        the same of several runs in one picture
    visualize.py animation result/mnist -o digits.gif   the samples through training; also .webp and .png
    visualize.py compare result/mnist result/wgan --labels "least squares" Wasserstein
                                                        one sheet, a panel for each run
    visualize.py score result/mnist result/wgan         the metrics of the newest generators, printed
    visualize.py export result/mnist -n 50000           samples for metrics of others; --format png for files

runs on points (train_gaussian.py):
    visualize.py scatter result/gaussian                real and generated points side by side, the modes marked
    visualize.py density result/gaussian -n 20000       how dense they lie, of 20,000 samples

runs on images (train_mnist.py):
    visualize.py samples result/mnist                   samples in a grid, those seen through training
    visualize.py classes result/mnist                   how many samples each class has, as the judge sees them
    visualize.py interpolate result/mnist --cells 3 17  the way from sample 3 of the grid to sample 17
    visualize.py arithmetic result/mnist --cells 3 17 8 sample 3 less 17 plus 8, in latents

A run folder is what a training script leaves, or still writes to. Of it, whatever needs samples needs config.json and one
generator_iter_N.npz, and takes the newest; of a run on images it also needs the images. Curves need the log, the animation the
samples folder.
"""
import argparse
import contextlib
import functools
import importlib.util
import io
import os
import pathlib
import shutil
import sys

import numpy
import tqdm
from PIL import Image

from lsgan.datasets.images import to_bytes
from lsgan.errors import InputError
from lsgan.figures import images
from lsgan.figures.animation import FORMATS, animation
from lsgan.figures.curves import curves
from lsgan.figures.sheet import sheet
from lsgan.npz import load_weights
from lsgan.random import analogy, way
from lsgan.training import flags, report, run, snapshot

SAMPLES = {'scatter': 'real and generated points side by side, the modes marked',
           'density': 'how dense real and generated points lie',
           'samples': "samples in a grid, no more than the run's own shows",
           'classes': 'the share of samples of each class, as the judge sees them'}
EXPORTS = {'npz': 'samples.npz', 'png': 'samples-png'}
BATCH, STEPS, ROWS = 500, 100, 8       # samples written at a time, most in a row of an interpolation, rows unless asked for


class RunFolder:
    """A run folder, of which no more is read than a picture needs.

    Args:
        path: the folder; must hold config.json.
        samples (int): how many to draw from the generator; None for as many as the run's own picture or metrics are made of.
        seed (int): of the latents; None for those of the run's own pictures.

    Raises:
        InputError: also by each attribute, where what it needs is missing, damaged or of something else.
    """

    def __init__(self, path, samples=None, seed=None):
        self.path, self._n, self._seed = pathlib.Path(path), samples, seed
        if not self.path.is_dir():
            raise InputError(f'{path}: no such run folder')
        self._config = self.path / 'config.json'
        self.settings = snapshot.read_settings(path)

    @functools.cached_property
    def experiment(self):
        """The `lsgan.training.run.Experiment`, built by the training script beside this one."""
        name = f'train_{self.settings["experiment"]}'
        script = pathlib.Path(__file__).resolve().parent / f'{name}.py'
        if not name.isidentifier() or not script.is_file():
            raise InputError(f'{self._config}: a run of {name}.py, which is not beside {pathlib.Path(__file__).name}')
        spec = importlib.util.spec_from_file_location(name, script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with self._settings_to_blame():
            return module.build(self.settings)

    @property
    def has_images(self):
        """Whether the samples are images, which a grid shows."""
        return 'samples' in self.experiment.figures

    @functools.cached_property
    def newest(self):
        """The file of the newest generator, and the number of updates that this had seen."""
        files = snapshot.numbered(self.path, 'generator_iter_{}.npz')
        if not files:
            raise InputError(f'{self.path}: no generator_iter_N.npz')
        return files[0], int(files[0].stem.rpartition('_')[2])

    @functools.cached_property
    def generator(self):
        """The newest one, on the CPU."""
        load_weights(self.newest[0], self.experiment.generator, 'config.json describes')
        return self.experiment.generator

    @property
    def title(self):
        """What a picture of its samples says above them."""
        return report.title(self.settings, self.newest[1])

    def latents(self, n):
        """The first n latents, (n, size)."""
        seed = self.settings['seed'] if self._seed is None else self._seed
        with self._settings_to_blame():
            return run.latents(self.experiment, seed, run.select_device('-1'), n)

    def generate(self, z):
        """Samples of the newest generator: a NumPy array (N, ...)."""
        generator = self.generator
        with self._settings_to_blame():
            return run.generate(generator, z, BATCH)

    @functools.cached_property
    def samples(self):
        """As many samples as were asked for, or as the metrics are made of."""
        return self.generate(self.latents(self._n or self.experiment.samples))

    def written(self):
        """Yields the same, a batch at a time, as they are exported: images as bytes (N, H, W, C), all else as it is."""
        z = self.latents(self._n or self.experiment.samples)
        with tqdm.tqdm(total=len(z), delay=2, file=sys.stdout, disable=not sys.stdout.isatty(), unit='') as bar:
            for i in range(0, len(z), BATCH):
                samples = self.generate(z[i:i + BATCH])
                self.require_finite(samples)
                yield to_bytes(samples).transpose(0, 2, 3, 1) if self.has_images else samples
                bar.update(len(samples))

    def require_finite(self, samples):
        if not numpy.isfinite(samples).all():
            raise InputError(f'{self.newest[0]}: makes samples that are not finite')

    @contextlib.contextmanager
    def _settings_to_blame(self):
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f'{self._config}: settings that cannot be used ({type(error).__name__}: {error})') from None

    def pictures(self):
        """File names and what draws each, see `lsgan.training.report.draw_each`."""
        pictures = report.main_pictures(self.path, self.settings, self.experiment.figures,
                                        lambda: (self.samples, self.newest[1]))
        if self.has_images:     # a grid shows the first samples only, so that no more are made for it
            pictures.update({'samples.png': self.draw_shown, 'interpolation.png': self.draw_interpolation,
                             'arithmetic.png': self.draw_arithmetic})
        return pictures

    def draw_shown(self, file, title=None):
        """Writes the picture that the run has of its samples all through training."""
        samples = self.generate(self.latents(self._n or self.experiment.shown))
        self.experiment.draw(samples, file, title or self.title)

    def draw_interpolation(self, file, cells=None, rows=None, steps=10):
        if not 2 <= steps <= STEPS:
            raise InputError(f'--steps {steps}: from 2, which are both ends, to {STEPS}')
        ways = [way(*ends, steps, self.experiment.latent_distribution) for ends in self._latents_of(2, cells, rows)]
        self._draw_rows(file, ways)

    def draw_arithmetic(self, file, cells=None):
        rows = [[*abc, analogy(*abc, self.experiment.latent_distribution)] for abc in self._latents_of(3, cells)]
        self._draw_rows(file, rows, ('a', 'b', 'c', 'a − b + c'))

    def _latents_of(self, n, cells=None, rows=None):
        """The latents of some samples of the grid, n in a row: (rows, n, size); of the first ones, where none are given.

        Args:
            cells (sequence of int): their numbers in the grid.
            rows (int): how many of the first ones.
        """
        shown = self.experiment.shown
        most = shown // n
        if cells is None:
            cells = range(n * (rows or min(ROWS, most)))
            if len(cells) > shown:
                raise InputError(f'--rows {rows}: the grid has {shown} samples, enough for {most} rows')
        elif rows:
            raise InputError('--rows is of the first samples of the grid; leave it out where --cells says which')
        elif len(cells) % n:
            raise InputError(f'--cells: {len(cells)} given; it takes {n} for each row')
        for cell in cells:
            if not 0 <= cell < shown:
                raise InputError(f'--cells {cell}: the grid has the samples 0 to {shown - 1}')
        return self.latents(shown)[cells].reshape(-1, n, self.experiment.latent_size)

    def _draw_rows(self, file, z, headings=()):
        """Draws the samples of latents (rows, columns, size) in such rows."""
        samples = self.generate(numpy.concatenate(z))
        images.grid(file, to_bytes(samples), self.title, len(z[0]), headings)

    def draw_animation(self, file, form='GIF', seconds=0.15):
        folder = self.path / 'samples'
        frames = snapshot.numbered(folder, 'iter_{}.png') if folder.is_dir() else []
        if not frames:
            raise InputError(f'{folder}: no iter_N.png')
        animation(file, frames[::-1], form, seconds)


def draw_one(args, name, samples=None, **options):
    folder = RunFolder(args.runs[0], samples, args.seed)
    pictures = folder.pictures()
    if f'{name}.png' not in pictures:
        raise InputError(f'{folder.path}: this run of train_{folder.settings["experiment"]}.py has no {name}')
    yield report.draw(out_path(args, f'figures/{name}.png'), functools.partial(pictures[f'{name}.png'], **options))


def draw_samples(args):
    return draw_one(args, args.command, args.samples)


def draw_interpolation(args):
    return draw_one(args, 'interpolation', cells=args.cells, rows=args.rows, steps=args.steps)


def draw_arithmetic(args):
    return draw_one(args, 'arithmetic', cells=args.cells)


def draw_curves(args):
    folders = [RunFolder(path) for path in args.runs]
    if len(folders) == 1:
        picture = functools.partial(report.draw_log, folder=folders[0].path, settings=folders[0].settings)
        yield report.draw(out_path(args, 'figures/curves.png'), picture)
    else:
        logs = {name: report.read_log(folder.path) for name, folder in zip(labels(folders, args.labels), folders)}
        yield report.draw(out_path(args, 'figures/curves_compared.png'), lambda file: curves(file, logs, 'runs compared'))


def draw_animation(args):
    path = out_path(args, 'figures/animation.gif', FORMATS)
    picture = functools.partial(RunFolder(args.runs[0]).draw_animation, form=FORMATS[path.suffix], seconds=args.seconds)
    yield report.draw(path, picture)


def draw_comparison(args):
    folders = [RunFolder(path, args.samples, args.seed) for path in args.runs]
    panels = []
    for name, folder in zip(labels(folders, args.labels), folders):
        panels.append(io.BytesIO())
        folder.draw_shown(panels[-1], name)
    yield report.draw(out_path(args, 'figures/compare.png'), lambda file: sheet(file, panels, args.columns))


def draw_all(args):
    folder = RunFolder(args.runs[0], args.samples, args.seed)
    pictures = {**folder.pictures(), 'animation.gif': folder.draw_animation}
    yield from report.draw_each(pathlib.Path(args.out or folder.path / 'figures'), pictures)


def score(args):
    for folder in args.runs:
        folder = RunFolder(folder, seed=args.seed)
        folder.require_finite(folder.samples)
        yield f'{folder.newest[0]}:'
        yield from run.tell(folder.experiment.evaluate(folder.samples))


def export(args):
    folder = RunFolder(args.runs[0], args.samples, args.seed)
    if args.format == 'png':
        path = out_path(args, EXPORTS['png'], None)
        if not folder.has_images:
            raise InputError(f'{folder.path}: this run of train_{folder.settings["experiment"]}.py makes no images; '
                             'leave --format png out')
        with filling(path) as new:
            for i, image in enumerate(image for batch in folder.written() for image in batch):
                Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(new / f'{i:05}.png')
    else:
        path = out_path(args, EXPORTS['npz'], ('.npz',))
        if path.is_dir():
            raise InputError(f'{path}: a folder; give the name of a file')
        samples = numpy.concatenate(list(folder.written()))
        path.parent.mkdir(parents=True, exist_ok=True)
        with snapshot.replacing(path) as f:
            numpy.savez(f, samples=samples)
    yield f'written: {path}'


@contextlib.contextmanager
def filling(path):
    """Yields a folder that takes the place of `path`, which must be new or empty, at the end; after an error it is gone."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f'{path} exists already; remove it, or choose another folder with --out')
    target = path.resolve()
    aside = target.with_name(f'.{target.name}.partial')
    try:
        shutil.rmtree(aside, ignore_errors=True)    # what a killed export left
        aside.mkdir(parents=True)
        yield aside
        os.replace(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def out_path(args, name, suffixes=('.png',)):
    """Where something is written: as given, or of that name in the run folder, of several runs that of the first.

    Args:
        suffixes: what it may end in, or None for anything.
    """
    path = pathlib.Path(args.out or pathlib.Path(args.runs[0], name))
    if suffixes and path.suffix not in suffixes:
        raise InputError(f'--out {path}: must end in {" or ".join(suffixes)}')
    return path


def labels(folders, given):
    """What to call each run: as given, or by what tells all apart: loss, loss and preset, folder name, or path."""
    if given is not None:
        if len(given) != len(folders) or len(set(given)) < len(given):
            raise InputError(f'--labels: {len(folders)} different ones are needed, one for each run')
        return given
    losses = [folder.settings['loss'].upper() for folder in folders]
    presets = [f'{loss}, {folder.settings["preset"]}' for loss, folder in zip(losses, folders)]
    paths = [str(folder.path.resolve()) for folder in folders]
    names = [folder.path.resolve().name for folder in folders]
    return next((labels for labels in (losses, presets, names) if len(set(labels)) == len(labels)), paths)


def make_parser():
    one, several, naming, counting, seeding = (argparse.ArgumentParser(add_help=False) for _ in range(5))
    one.add_argument('runs', nargs=1, metavar='RUN', help='run folder')
    several.add_argument('runs', nargs='+', metavar='RUN', help='run folders')
    naming.add_argument('--labels', nargs='+', metavar='LABEL',
                        help='what to call the runs (default: loss, preset or folder, whichever tells them apart)')
    counting.add_argument('-n', '--samples', type=flags.positive, metavar='N',
                          help="how many samples to make (default: as many as the run's own pictures or metrics take)")
    seeding.add_argument('--seed', type=flags.seed, metavar='N',
                         help="number that determines the latents (default: the run's own, so that the samples are those that "
                              'were seen and measured during training)')

    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    commands = parser.add_subparsers(title='commands', dest='command', metavar='COMMAND', required=True)

    def command(name, action, parents, what, out, verb='Draws'):
        added = commands.add_parser(name, parents=parents, help=what, description=f'{verb} {what}.', allow_abbrev=False)
        if out:
            added.add_argument('-o', '--out', metavar='PATH', help=out)
        added.set_defaults(action=action)
        return added

    for name, what in SAMPLES.items():
        command(name, draw_samples, [one, counting, seeding], what, f'PNG to write (default: RUN/figures/{name}.png)')
    interpolation = command('interpolate', draw_interpolation, [one, seeding],
                            'rows of samples on the way from one latent to another',
                            'PNG to write (default: RUN/figures/interpolation.png)')
    arithmetic = command('arithmetic', draw_arithmetic, [one, seeding], 'rows of samples of the latents a, b, c and a - b + c',
                         'PNG to write (default: RUN/figures/arithmetic.png)')
    for added, what in (interpolation, 'both ends'), (arithmetic, 'a, b and c'):
        added.add_argument('--cells', type=int, nargs='+', action='extend', metavar='N',
                           help=f'{what} of each row, as numbers of samples in the grid that `samples` draws, from 0 and in '
                                'reading order (default: the first samples, in their order)')
    interpolation.add_argument('--rows', type=flags.positive, metavar='N', help=f'how many, without --cells (default: {ROWS})')
    interpolation.add_argument('--steps', type=flags.positive, default=10, metavar='N',
                               help='samples in a row, with both ends (default: 10)')
    command('curves', draw_curves, [several, naming], 'losses and metrics over the updates; of several runs in one picture',
            'PNG to write (default: RUN/figures/curves.png, of several the first with curves_compared.png)')
    command('animation', draw_animation, [one], 'the samples through training, moving',
            f'picture to write, ending in {", ".join(FORMATS)} (default: RUN/figures/animation.gif)').add_argument(
        '--seconds', type=flags.above_zero, default=0.15, metavar='S', help='how long a frame is seen (default: 0.15)')
    command('compare', draw_comparison, [several, naming, counting, seeding], 'the samples of several runs on one sheet',
            'PNG to write (default: figures/compare.png in the first RUN)').add_argument(
        '--columns', type=flags.positive, metavar='N', help='panels in a row (default: up to 3; of more, as many as rows)')
    command('all', draw_all, [one, counting, seeding], 'every picture of a run, and says what is left out',
            'folder to write to (default: RUN/figures)')
    command('score', score, [several, seeding], 'the metrics of the newest generator, as training does at its end', None,
            'Prints')
    command('export', export, [one, counting, seeding],
            'samples for metrics of others: images as bytes of 0 to 255, points as they are',
            'npz to write, or folder, which must be new or empty (default: RUN/samples.npz or RUN/samples-png)', 'Writes',
            ).add_argument(
        '--format', choices=list(EXPORTS), default='npz',
        help='npz: one array `samples`, of images uint8 (N, H, W, C), the layout of tools for FID, of points float32 (N, 2); '
             'png: files 00000.png and on, of images (default: npz)')
    return parser


def main(argv=None):
    """Does what the arguments ask for, by default the command line's; returns the exit status, see `run.guarded`."""
    parser = make_parser()

    def act():
        args = parser.parse_args(argv)
        try:
            for line in args.action(args):
                print(line, flush=True)
        except MemoryError:
            raise InputError('that does not fit into memory; ask for fewer samples with -n') from None
        return 0
    return run.guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
