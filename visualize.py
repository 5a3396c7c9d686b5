#!/usr/bin/env python
"""Draws, measures and writes out what a run folder holds, from that folder and what its config.json names.

any run:
    visualize.py all result/mnist                       every picture of a run, into result/mnist/figures
    visualize.py curves result/mnist                    losses and metrics over the updates
    visualize.py curves result/mnist result/wgan        the same of several runs in one picture
    visualize.py animation result/mnist -o digits.gif   the samples through training; also .webp and .png
    visualize.py compare result/mnist result/wgan --labels "least squares" Wasserstein
                                                        one sheet, a panel for each run
    visualize.py compare result/anime result/wgan --epochs 1 end
                                                        what they drew after these epochs, a row for each
    visualize.py score result/mnist result/wgan         the metrics of the newest generators, printed
    visualize.py export result/mnist -n 50000           samples for metrics of others; --format png for files

runs on points (train_gaussian.py):
    visualize.py scatter result/gaussian                real and generated points side by side, the modes marked
    visualize.py density result/gaussian -n 20000       how dense they lie, of 20,000 samples

runs on images (train_mnist.py, train_anime.py):
    visualize.py samples result/mnist                   samples in a grid, those seen through training
    visualize.py real result/anime                      real images in such a grid
    visualize.py nearest result/anime                   samples, and below each the nearest real image
    visualize.py classes result/mnist                   how many samples each class has, as the judge sees them
    visualize.py analogy result/mnist --numbers         samples with their numbers, to choose from
    visualize.py analogy result/mnist --corners 3 17 8 42
                                                        what lies between four samples
    visualize.py analogy result/mnist --arithmetic 3,17,8 4,25,6 1,52,9
                                                        mean of a group of samples less that of another plus a third
    visualize.py analogy result/mnist --loop 3 17 8 42  from one sample to the next and back to the first, moving

A run folder is what a training script leaves, or still writes to. Of it, whatever needs samples needs config.json and one
generator_iter_N.npz, and takes the newest. What shows or measures against real images needs these, where they were or, moved,
where --images says. Curves need the log, the animation and the pictures after some epochs the samples folder.
"""
import argparse
import contextlib
import functools
import io
import os
import pathlib
import shutil

import numpy
from PIL import Image

from lsgan import console
from lsgan.errors import InputError
from lsgan.figures.animation import FORMATS, MOST
from lsgan.figures.curves import curves
from lsgan.figures.sheet import sheet
from lsgan.training import flags, report, run, snapshot
from lsgan.training.experiment import tell
from lsgan.training.folder import MOST_SIDE, NOISE, SECONDS, SIDE, STEPS, STOPS, RunFolder

PICTURES = {'scatter': 'real and generated points side by side, the modes marked',
            'density': 'how dense real and generated points lie',
            'samples': "samples in a grid, no more than the run's own shows",
            'classes': 'the share of samples of each class, as the judge sees them',
            'real': 'real images in a grid',
            'nearest': 'samples in a grid, and below each the nearest real image'}
# what `analogy` draws, and the flags that only some of its pictures read
ANALOGIES = {'corners': ('steps',), 'arithmetic': ('labels',), 'loop': ('steps', 'seconds'), 'numbers': ()}
ANALOGY_HELP = """
Choose samples by their numbers in this order:
    visualize.py analogy RUN --numbers                              draw the samples, the number of each below it
    visualize.py analogy RUN --corners 3 17 8 42                    a grid between samples: 3 top left, 17 top right, ...
    visualize.py analogy RUN --arithmetic 3,17,8 4,25,6 1,52,9      mean(A) - mean(B) + mean(C), A being 3, 17 and 8
    visualize.py analogy RUN --loop 3 17 8 42 -o loop.webp          an animation from 3 to 17, 8, 42 and back to 3

A sum carries what A has and B lacks over to C: smiling women less other women plus men gives smiling men. Sums of single
latents are noisy, so give each group three samples or more that have nothing else in common; their mean averages the rest out.
Normal latents turn into each other, so that their length stays usual; the way between uniform latents is straight.
"""
EXPORTS = {'npz': 'samples.npz', 'png': 'samples-png'}
SCRIPTS = pathlib.Path(__file__).resolve().parent


def open_runs(args):
    """Their folders, with what the command has of the flags that say how a run is read."""
    given = {name: value for name, value in vars(args).items() if name in ('samples', 'seed', 'images', 'judge')}
    return [RunFolder(path, SCRIPTS, **given) for path in args.runs]


def draw_picture(args):
    folder, = open_runs(args)
    name, pictures = f'{args.command}.png', folder.pictures()
    if name not in pictures:
        raise InputError(f'{folder.path}: this run of train_{folder.settings["experiment"]}.py has no {args.command}')
    yield report.draw(out_path(args, f'figures/{name}'), pictures[name])


def draw_analogy(args):
    form = next((form for form in ANALOGIES if getattr(args, form) is not None), 'corners')
    options = {flag: getattr(args, flag) for flag in ('steps', 'seconds', 'labels') if getattr(args, flag) is not None}
    for flag in options:
        if flag not in ANALOGIES[form]:
            readers = ' and '.join(f'--{other}' for other, flags_read in ANALOGIES.items() if flag in flags_read)
            raise InputError(f'--{flag}: only {readers} can use it; leave it out with --{form}')
    chosen = getattr(args, form)
    if form == 'arithmetic':
        names = [f'{letter}: {label}' for letter, label in zip('ABC', options.pop('labels', ()))]
        options |= {'groups': chosen, 'names': names or 'ABC'}
    elif form != 'numbers' and chosen:
        options['numbers'] = chosen
    path = out_path(args, f'figures/{form}.{"gif" if form == "loop" else "png"}', FORMATS if form == 'loop' else ('.png',))
    if form == 'loop':
        options['form'] = FORMATS[path.suffix]
    folder, = open_runs(args)
    if not folder.has_images:
        raise InputError(f'{folder.path}: a run of train_{folder.settings["experiment"]}.py makes points, not images')
    yield report.draw(path, functools.partial(getattr(folder, f'draw_{form}'), **options))


def draw_curves(args):
    folders = open_runs(args)
    if len(folders) == 1:
        if args.labels:
            raise InputError('--labels: for the curves of several runs; leave it out')
        picture = functools.partial(report.draw_log, folder=folders[0].path, settings=folders[0].settings)
        yield report.draw(out_path(args, 'figures/curves.png'), picture)
    else:
        logs = {name: report.read_log(folder.path) for name, folder in zip(labels(folders, args.labels), folders)}
        yield report.draw(out_path(args, 'figures/curves_compared.png'), lambda file: curves(file, logs, 'runs compared'))


def draw_animation(args):
    path = out_path(args, 'figures/animation.gif', FORMATS)
    folder, = open_runs(args)
    yield report.draw(path, functools.partial(folder.draw_animation, form=FORMATS[path.suffix], seconds=args.seconds))


def draw_comparison(args):
    folders = open_runs(args)
    names, columns, headings = labels(folders, args.labels), args.columns, ()
    if args.epochs:
        if args.samples or args.seed is not None:
            raise InputError('--epochs shows pictures that are there: leave --samples and --seed out')
        if args.labels and columns:
            raise InputError('--labels and --columns: with --epochs labels are of columns, one for each run; leave one out')
        panels = [folder.frame(epoch) for epoch in args.epochs for folder in folders]
        if not columns:
            columns, headings = len(folders), names if len(folders) > 1 else ()
    else:
        panels = []
        for name, folder in zip(names, folders):
            panels.append(io.BytesIO())
            folder.draw_shown(panels[-1], name)
    yield report.draw(out_path(args, 'figures/compare.png'), lambda file: sheet(file, panels, columns, headings))


def draw_all(args):
    folder, = open_runs(args)
    pictures = {'curves.png': functools.partial(report.draw_log, folder=folder.path, settings=folder.settings),
                'animation.gif': folder.draw_animation}
    try:
        pictures = {**folder.pictures(), **pictures}
    except InputError as error:
        yield f'left out: all pictures of samples ({error})'
    yield from report.draw_each(pathlib.Path(args.out or folder.path / 'figures'), pictures)


def score(args):
    for folder in open_runs(args):
        metrics, remark = folder.evaluate()
        yield f'{folder.newest[0]}:'
        if remark:
            yield f'  {remark}'
        yield from tell(metrics)


def export(args):
    folder, = open_runs(args)
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
            numpy.savez(f, samples)
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
    one, several, naming, counting, seeding, finding, judging = (argparse.ArgumentParser(add_help=False) for _ in range(7))
    one.add_argument('runs', nargs=1, metavar='RUN', help='run folder')
    several.add_argument('runs', nargs='+', metavar='RUN', help='run folders')
    naming.add_argument('--labels', nargs='+', metavar='LABEL',
                        help='what to call the runs (default: loss, preset or folder, whichever tells them apart)')
    counting.add_argument('-n', '--samples', type=flags.positive, metavar='N',
                          help="how many samples to make (default: as many as the run's own pictures or metrics take)")
    seeding.add_argument('--seed', type=flags.seed, metavar='N',
                         help="number that determines the latents (default: the run's own, so that the samples are those that "
                              'were seen and measured during training)')
    finding.add_argument('--images', type=flags.path, action='append', metavar='PATH',
                         help='where the real images are (default: where they were in training); repeat the flag for several '
                              'paths')
    judging.add_argument('--judge', type=flags.path, metavar='FILE',
                         help='classifier, of runs of train_mnist.py, see its --judge (default: that of the run)')

    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    commands = parser.add_subparsers(title='commands', dest='command', metavar='COMMAND', required=True)

    def command(name, action, parents, what, out, verb='Draws'):
        added = commands.add_parser(name, parents=parents, help=what, description=f'{verb} {what}.', allow_abbrev=False)
        if out:
            added.add_argument('-o', '--out', metavar='PATH', help=out)
        added.set_defaults(action=action)
        return added

    takes = {'real': [finding], 'nearest': [seeding, finding], 'classes': [counting, seeding, finding, judging]}
    for name, what in PICTURES.items():
        command(name, draw_picture, [one, *takes.get(name, [counting, seeding])], what,
                f'PNG to write (default: RUN/figures/{name}.png)')
    analogy = command('analogy', draw_analogy, [one, seeding], 'what lies between samples, in latents, and sums of latents',
                      'picture to write (default: RUN/figures/ with corners.png, arithmetic.png, loop.gif or numbers.png); of '
                      f'--loop it ends in {", ".join(FORMATS)}')
    analogy.formatter_class, analogy.epilog = argparse.RawDescriptionHelpFormatter, ANALOGY_HELP
    form = analogy.add_mutually_exclusive_group()
    form.add_argument('--corners', type=int, nargs=4, metavar='N',
                      help='draw a grid between four samples: top left, top right, bottom left, bottom right '
                           '(default: 0 1 2 3)')
    form.add_argument('--arithmetic', type=flags.numbers, nargs=3, metavar=('A', 'B', 'C'),
                      help='draw mean(A) - mean(B) + mean(C) of three groups, each of numbers such as 3,17,8, and around the '
                           f'result samples with noise of {NOISE:g} times the size of latents')
    form.add_argument('--loop', type=int, nargs='*', metavar='N',
                      help=f'draw an animation through these samples and back to the first (default: the first {STOPS})')
    form.add_argument('--numbers', action='store_true', default=None,
                      help='draw the samples with the number of each, which the flags above take')
    analogy.add_argument('--labels', nargs=3, metavar=('A', 'B', 'C'),
                         help='what to call the groups in the picture of --arithmetic (default: only A, B and C)')
    analogy.add_argument('--steps', type=flags.positive, metavar='N',
                         help=f'samples along a side with --corners, corners included (default: {SIDE}, at most {MOST_SIDE}); '
                              f'frames from one sample to the next with --loop (default: {STEPS}, at most {MOST} in all)')
    analogy.add_argument('--seconds', type=flags.above_zero, metavar='S',
                         help=f'how long a frame of --loop is seen (default: {SECONDS:g})')
    command('curves', draw_curves, [several, naming], 'losses and metrics over the updates; of several runs in one picture',
            'PNG to write (default: RUN/figures/curves.png, of several the first with curves_compared.png)')
    command('animation', draw_animation, [one], f'the samples through training, moving, in up to {MOST} pictures of them',
            f'picture to write, ending in {", ".join(FORMATS)} (default: RUN/figures/animation.gif)').add_argument(
        '--seconds', type=flags.above_zero, default=0.15, metavar='S', help='how long a frame is seen (default: 0.15)')
    comparison = command('compare', draw_comparison, [several, naming, counting, seeding],
                         'the samples of several runs on one sheet',
                         'PNG to write (default: figures/compare.png in the first RUN)')
    comparison.add_argument('--columns', type=flags.positive, metavar='N',
                            help='panels in a row (default: up to 3, of more as many as rows; with --epochs one of each run)')
    comparison.add_argument('--epochs', type=flags.epoch, nargs='+', metavar='N',
                            help='show the pictures that training made after these epochs, instead of new samples; end is the '
                                 'newest of each run')
    command('all', draw_all, [one, counting, seeding, finding, judging],
            'every picture of a run but sums, whose groups are yours to choose, and says what is left out',
            'folder to write to (default: RUN/figures)')
    command('score', score, [several, seeding, finding, judging],
            'the metrics of the newest generator, as training does at its end', None, 'Prints')
    command('export', export, [one, counting, seeding],
            'samples for metrics of others: images as bytes of 0 to 255, points as they are',
            'npz to write, or folder, which must be new or empty (default: RUN/samples.npz or RUN/samples-png)', 'Writes',
            ).add_argument(
        '--format', choices=list(EXPORTS), default='npz',
        help='npz: one array, arr_0, of images uint8 (N, H, W, C), the layout of tools for FID, of points float32 (N, 2); '
             'png: files 00000.png and on, of images (default: npz)')
    return parser


def main(argv=None):
    """Does what the arguments ask for, by default the command line's; returns the exit status, see `run.guarded`."""
    parser = make_parser()

    def act():
        args = parser.parse_args(argv)
        for line in args.action(args):
            print(console.one_line(line), flush=True)
        return 0
    return run.guarded(parser.prog, act)


if __name__ == '__main__':
    console.leave(main())
