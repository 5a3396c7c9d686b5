#!/usr/bin/env python
"""Draws what a run folder holds, from that folder alone.

    visualize.py all result/gaussian                    every picture of a run, into result/gaussian/figures
    visualize.py scatter result/gaussian                real and generated points side by side, the modes marked
    visualize.py density result/gaussian -n 20000       how dense they lie, of 20,000 samples
    visualize.py curves result/gaussian                 losses, modes and distances over the updates
    visualize.py curves result/gaussian result/wgan     the same of several runs in one picture
    visualize.py animation result/gaussian -o ring.gif  the samples through training; also .webp and .png
    visualize.py compare result/gaussian result/wgan --labels "least squares" Wasserstein
                                                        one sheet, a panel for each run

A run folder is what a training script leaves, or still writes to. Of it, scatter, density and compare need config.json and
one generator_iter_N.npz, and take the newest; curves need the log, the animation the samples folder.
"""
import argparse
import contextlib
import dataclasses
import functools
import importlib.util
import io
import pathlib
import sys

from lsgan.errors import InputError
from lsgan.figures.animation import FORMATS, animation
from lsgan.figures.curves import curves
from lsgan.figures.sheet import sheet
from lsgan.training import flags, report, run, snapshot

SAMPLES = {'scatter': 'real and generated points side by side, the modes marked',
           'density': 'how dense real and generated points lie'}


class RunFolder:
    """A run folder, of which no more is read than a picture needs.

    Args:
        path: the folder; must hold config.json.
        samples (int): how many to draw from the generator; None for as many as the run's metrics are made of.
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
            made = module.build(self.settings)
        return dataclasses.replace(made, samples=self._n or made.samples)

    @functools.cached_property
    def samples(self):
        """Samples of the newest generator, made on the CPU, and the number of updates that it had seen."""
        files = snapshot.numbered(self.path, 'generator_iter_{}.npz')
        if not files:
            raise InputError(f'{self.path}: no generator_iter_N.npz')
        made = self.experiment
        report.load_weights(files[0], made.generator)
        seed = self.settings['seed'] if self._seed is None else self._seed
        with self._settings_to_blame():
            samples = run.sample(made, made.generator, seed, run.select_device('-1'), made.samples)
        return samples, int(files[0].stem.rpartition('_')[2])

    @contextlib.contextmanager
    def _settings_to_blame(self):
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f'{self._config}: settings that cannot be used ({type(error).__name__}: {error})') from None

    def pictures(self):
        """File names and what draws each, see `lsgan.training.report.draw_each`."""
        return report.main_pictures(self.path, self.settings, self.experiment.figures, lambda: self.samples)

    def draw_animation(self, file, form='GIF', seconds=0.15):
        folder = self.path / 'samples'
        frames = snapshot.numbered(folder, 'iter_{}.png') if folder.is_dir() else []
        if not frames:
            raise InputError(f'{folder}: no iter_N.png')
        animation(file, frames[::-1], form, seconds)


def draw_samples(args):
    folder = RunFolder(args.runs[0], args.samples, args.seed)
    name = f'{args.command}.png'
    pictures = folder.pictures()
    if name not in pictures:
        raise InputError(f'{folder.path}: a run of train_{folder.settings["experiment"]}.py has no {args.command}')
    yield report.draw(picture_path(args, name), pictures[name])


def draw_curves(args):
    folders = [RunFolder(path) for path in args.runs]
    if len(folders) == 1:
        picture = functools.partial(report.draw_log, folder=folders[0].path, settings=folders[0].settings)
        yield report.draw(picture_path(args, 'curves.png'), picture)
    else:
        logs = {name: report.read_log(folder.path) for name, folder in zip(labels(folders, args.labels), folders)}
        yield report.draw(picture_path(args, 'curves_compared.png'), lambda file: curves(file, logs, 'runs compared'))


def draw_animation(args):
    path = picture_path(args, 'animation.gif', FORMATS)
    picture = functools.partial(RunFolder(args.runs[0]).draw_animation, form=FORMATS[path.suffix], seconds=args.seconds)
    yield report.draw(path, picture)


def draw_comparison(args):
    folders = [RunFolder(path, args.samples, args.seed) for path in args.runs]
    panels = []
    for name, folder in zip(labels(folders, args.labels), folders):
        panels.append(io.BytesIO())
        folder.experiment.draw(folder.samples[0], panels[-1], name)
    yield report.draw(picture_path(args, 'compare.png'), lambda file: sheet(file, panels, args.columns))


def draw_all(args):
    folder = RunFolder(args.runs[0], args.samples, args.seed)
    pictures = {**folder.pictures(), 'animation.gif': folder.draw_animation}
    yield from report.draw_each(pathlib.Path(args.out or folder.path / 'figures'), pictures)


def picture_path(args, name, suffixes=('.png',)):
    """Where a picture goes: as given, or into the folder of the run, of several runs that of the first."""
    path = pathlib.Path(args.out or pathlib.Path(args.runs[0], 'figures', name))
    if path.suffix not in suffixes:
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
    one, several, sampling = (argparse.ArgumentParser(add_help=False) for _ in range(3))
    one.add_argument('runs', nargs=1, metavar='RUN', help='run folder')
    several.add_argument('runs', nargs='+', metavar='RUN', help='run folders')
    several.add_argument('--labels', nargs='+', metavar='LABEL',
                         help='what to call the runs (default: loss, preset or folder, whichever tells them apart)')
    sampling.add_argument('-n', '--samples', type=flags.positive, metavar='N',
                          help="how many samples to draw (default: as many as the run's metrics are made of)")
    sampling.add_argument('--seed', type=flags.seed, metavar='N',
                          help="number that determines the latents (default: the run's own, so that the picture shows what "
                               'those made during training show)')

    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    commands = parser.add_subparsers(title='commands', dest='command', metavar='COMMAND', required=True)

    def command(name, draw, parents, what, out):
        added = commands.add_parser(name, parents=parents, help=what, description=f'Draws {what}.', allow_abbrev=False)
        added.add_argument('-o', '--out', metavar='PATH', help=out)
        added.set_defaults(draw=draw)
        return added

    for name, what in SAMPLES.items():
        command(name, draw_samples, [one, sampling], what, f'PNG to write (default: RUN/figures/{name}.png)')
    command('curves', draw_curves, [several], 'losses and metrics over the updates; of several runs in one picture',
            'PNG to write (default: RUN/figures/curves.png, of several the first with curves_compared.png)')
    command('animation', draw_animation, [one], 'the samples through training, moving',
            f'picture to write, ending in {", ".join(FORMATS)} (default: RUN/figures/animation.gif)').add_argument(
        '--seconds', type=flags.above_zero, default=0.15, metavar='S', help='how long a frame is seen (default: 0.15)')
    command('compare', draw_comparison, [several, sampling], 'the samples of several runs on one sheet',
            'PNG to write (default: figures/compare.png in the first RUN)').add_argument(
        '--columns', type=flags.positive, metavar='N', help='panels in a row (default: up to 3; of more, as many as rows)')
    command('all', draw_all, [one, sampling], 'every picture of a run, and says what is left out',
            'folder to write to (default: RUN/figures)')
    return parser


def main(argv=None):
    """Draws what the arguments ask for, by default the command line's; returns the exit status, see `run.guarded`."""
    parser = make_parser()

    def draw():
        args = parser.parse_args(argv)
        for line in args.draw(args):
            print(line)
        return 0
    return run.guarded(parser.prog, draw)


if __name__ == '__main__':
    sys.exit(main())
