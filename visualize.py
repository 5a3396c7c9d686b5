#!/usr/bin/env python
"""Draw pictures of a run, print its metrics, or export its samples or its generator.

any run:
    visualize.py all result/mnist                       every picture of a run, in result/mnist/figures
    visualize.py curves result/mnist                    losses and metrics during training
    visualize.py curves result/mnist result/wgan        the same for several runs, in one picture
    visualize.py animation result/mnist -o digits.gif   the samples during training; also as .webp and .png
    visualize.py compare result/mnist result/wgan --labels "least squares" Wasserstein
                                                        samples of several runs on one sheet
    visualize.py compare result/anime result/wgan --epochs 1 end
                                                        their samples after epoch 1 and at the end, in two rows
    visualize.py report result/mnist result/wgan -o report.html
                                                        one web page with settings, samples, curves and metrics of the runs
    visualize.py score result/mnist result/wgan         print the metrics of the newest generators
    visualize.py export result/mnist -n 50000           write samples for other programs; --format png for image files
    visualize.py export result/mnist --format onnx      write the generator for programs that run networks without Chainer

runs on points (train_gaussian.py):
    visualize.py scatter result/gaussian                real and generated points side by side, with the modes marked
    visualize.py density result/gaussian -n 20000       density of real points and of 20,000 samples

runs on images (train_mnist.py, train_anime.py):
    visualize.py samples result/mnist                   a grid of samples, from the same latents as during training
    visualize.py real result/anime                      a grid of real images
    visualize.py nearest result/anime                   samples, with the nearest real image below each
    visualize.py classes result/mnist                   fraction of samples in each class (train_mnist.py only)
    visualize.py analogy result/mnist --numbers         samples with their numbers, which the next commands take
    visualize.py analogy result/mnist --corners 3 17 8 42
                                                        a grid that interpolates between four samples
    visualize.py analogy result/mnist --arithmetic 3,17,8 4,25,6 1,52,9
                                                        latent arithmetic on groups of samples: mean(A) - mean(B) + mean(C)
    visualize.py analogy result/mnist --loop 3 17 8 42  an animation from sample to sample and back to the first
    visualize.py explore result/mnist                   a web page on which you move through latent space

A run folder is a folder that a training script has written or is still writing to. To generate samples, it must hold
config.json and a generator_iter_N.npz; the newest one is used. Real images are read from their path in training; if they have
moved, pass --images. Curves need its file log, and animation and --epochs need its folder samples.
"""
import argparse
import contextlib
import functools
import io
import os
import pathlib
import shutil
import webbrowser

import numpy
from PIL import Image

from lsgan import console
from lsgan.errors import InputError
from lsgan.figures.animation import FORMATS, MOST
from lsgan.figures.curves import curves
from lsgan.figures.page import page
from lsgan.figures.sheet import sheet
from lsgan.training import flags, report, run, snapshot, summary
from lsgan.training.experiment import tell
from lsgan.training.explorer import Explorer
from lsgan.training.folder import MOST_SIDE, NOISE, SECONDS, SIDE, STEPS, STOPS, RunFolder
from lsgan.training.server import Server

PICTURES = {'scatter': 'real and generated points side by side, with the modes marked',
            'density': 'the densities of real and of generated points',
            'samples': "a grid of samples, at most as many as in the run's own pictures",
            'classes': 'the fraction of samples in each class, as predicted by the judge (train_mnist.py only)',
            'real': 'a grid of real images',
            'nearest': 'a grid of samples, with the nearest real image below each'}
# the pictures that `analogy` draws, each with the flags that it takes and some of the others do not
ANALOGIES = {'corners': ('steps',), 'arithmetic': ('labels',), 'loop': ('steps', 'seconds'), 'numbers': ()}
ANALOGY_HELP = """
First draw the samples with their numbers. Then choose samples by number:
    visualize.py analogy RUN --numbers                              the samples, with the number of each below it
    visualize.py analogy RUN --corners 3 17 8 42                    a grid between samples: 3 top left, 17 top right, ...
    visualize.py analogy RUN --arithmetic 3,17,8 4,25,6 1,52,9      mean(A) - mean(B) + mean(C); A is 3, 17 and 8
    visualize.py analogy RUN --loop 3 17 8 42 -o loop.webp          an animation from 3 to 17, 8, 42 and back to 3

Latent arithmetic gives C what A has and B lacks: smiling women - other women + men = smiling men. Arithmetic on single latents
is noisy. Give each group at least three samples that have only one property in common, so that the mean averages out the rest.
Normal latents are interpolated along an arc, which keeps their length typical. Uniform latents are interpolated linearly.
"""
EXPORTS = {'npz': 'samples.npz', 'png': 'samples-png', 'onnx': 'generator.onnx'}
SCRIPTS = pathlib.Path(__file__).resolve().parent


def open_runs(args):
    """Return a `RunFolder` for each run, with those flags of the command that say how to read it."""
    given = {name: value for name, value in vars(args).items() if name in ('samples', 'seed', 'images', 'judge')}
    return [RunFolder(path, SCRIPTS, **given) for path in args.runs]


def open_run_on_images(args):
    """Return the `RunFolder` of a command that needs a run on images."""
    folder, = open_runs(args)
    if not folder.has_images:
        raise InputError(f'{folder.path}: a run of train_{folder.settings["experiment"]}.py generates points; {args.command} '
                         'needs a run on images')
    return folder


def draw_picture(args):
    """Draw one of the `PICTURES`."""
    folder, = open_runs(args)
    name, pictures = f'{args.command}.png', folder.pictures()
    if name not in pictures:
        raise InputError(f'{folder.path}: a run of train_{folder.settings["experiment"]}.py has no picture {args.command}; '
                         'visualize.py --help lists the pictures of each kind of run')
    yield report.draw(out_path(args, f'figures/{name}'), pictures[name])


def draw_analogy(args):
    """Draw one of the `ANALOGIES`."""
    form = next((form for form in ANALOGIES if getattr(args, form) is not None), 'corners')
    options = {flag: getattr(args, flag) for flag in ('steps', 'seconds', 'labels') if getattr(args, flag) is not None}
    for flag in options:
        if flag not in ANALOGIES[form]:
            readers = ' or '.join(f'--{other}' for other, flags_read in ANALOGIES.items() if flag in flags_read)
            raise InputError(f'--{flag}: works only with {readers}; leave it out with --{form}')
    chosen = getattr(args, form)
    if form == 'arithmetic':
        names = [f'{letter}: {label}' for letter, label in zip('ABC', options.pop('labels', ()))]
        options |= {'groups': chosen, 'names': names or 'ABC'}
    elif form != 'numbers' and chosen:
        options['numbers'] = chosen
    path = out_path(args, f'figures/{form}.{"gif" if form == "loop" else "png"}', FORMATS if form == 'loop' else ('.png',))
    if form == 'loop':
        options['form'] = FORMATS[path.suffix]
    folder = open_run_on_images(args)
    yield report.draw(path, functools.partial(getattr(folder, f'draw_{form}'), **options))


def draw_curves(args):
    """Draw the curves of one run, or of several runs in one picture."""
    folders = open_runs(args)
    if len(folders) == 1:
        if args.labels:
            raise InputError('--labels: only the curves of several runs have labels; leave it out')
        picture = functools.partial(report.draw_log, folder=folders[0].path, settings=folders[0].settings)
        yield report.draw(out_path(args, 'figures/curves.png'), picture)
    else:
        logs = {name: report.read_log(folder.path) for name, folder in zip(labels(folders, args.labels), folders)}
        yield report.draw(out_path(args, 'figures/curves_compared.png'), lambda file: curves(file, logs, 'runs compared'))


def draw_animation(args):
    """Draw an animation of the sample pictures that training has written."""
    path = out_path(args, 'figures/animation.gif', FORMATS)
    folder, = open_runs(args)
    yield report.draw(path, functools.partial(folder.draw_animation, form=FORMATS[path.suffix], seconds=args.seconds))


def draw_comparison(args):
    """Draw a sheet with samples of several runs, or with their sample pictures after some epochs."""
    folders = open_runs(args)
    names, columns, headings = labels(folders, args.labels), args.columns, ()
    if args.epochs:
        if args.samples or args.seed is not None:
            raise InputError('--epochs shows pictures that training has written: leave --samples and --seed out')
        if args.labels and columns:
            raise InputError('--labels and --columns: with --epochs, each run has one column, and labels are the headings of '
                             'these columns; leave one of the two flags out')
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
    """Draw every picture of a run for which nothing is missing."""
    folder, = open_runs(args)
    pictures = {'curves.png': functools.partial(report.draw_log, folder=folder.path, settings=folder.settings),
                'animation.gif': folder.draw_animation}
    try:
        pictures = {**folder.pictures(), **pictures}
    except InputError as error:
        yield f'left out: all pictures of samples ({error})'
    yield from report.draw_each(pathlib.Path(args.out or folder.path / 'figures'), pictures)


def draw_report(args):
    """Write a web page about one or several runs."""
    path = out_path(args, 'report.html', ('.html',))
    folders = open_runs(args)
    columns = summary.summarise(folders, labels(folders, args.labels), args.frames)
    for column in columns:
        yield from (f'left out: {reason}' for reason in column.missing)
    yield report.draw(path, lambda file: page(file, columns))


def explore(args):
    """Serve a web page on which one moves through the latent space of a run, until Ctrl-C."""
    folder = open_run_on_images(args)
    command = f'visualize.py analogy {console.shell_path(folder.path)}'
    with Server(args.port) as server:
        explorer = Explorer(folder, command if args.seed is None else f'{command} --seed {args.seed}')
        yield f'latent space of {folder.newest[0]}: {server.address} (Ctrl-C ends it)'
        if args.browser:
            webbrowser.open(server.address)
        server.serve(explorer.answer)


def score(args):
    """Yield the metrics of the newest generator of each run."""
    for folder in open_runs(args):
        metrics, remark = folder.evaluate()
        yield f'{folder.newest[0]}:'
        if remark:
            yield f'  {remark}'
        yield from tell(metrics)


def export(args):
    """Write samples to an npz file or to a folder of PNG files, or the generator to an ONNX file."""
    folder, = open_runs(args)
    for flag in 'samples', 'seed':
        if args.format == 'onnx' and getattr(args, flag) is not None:
            raise InputError(f'--{flag}: --format onnx writes the generator, and no samples; leave the flag out')
    if args.format == 'png':
        path = out_path(args, EXPORTS['png'], None)
        if not folder.has_images:
            raise InputError(f'--format png: needs images, and {folder.path} is a run of '
                             f'train_{folder.settings["experiment"]}.py, which generates points; leave the flag out')
        with filling(path) as new:
            for i, image in enumerate(image for batch in folder.written() for image in batch):
                Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(new / f'{i:05}.png')
    else:
        path = out_path(args, EXPORTS[args.format], (f'.{args.format}',))
        if path.is_dir():
            raise InputError(f'{path}: this is a folder; pass the name of a file with --out')
        made = folder.onnx() if args.format == 'onnx' else numpy.concatenate(list(folder.written()))
        path.parent.mkdir(parents=True, exist_ok=True)
        with snapshot.replacing(path) as f:
            if args.format == 'onnx':
                f.write(made)
            else:
                numpy.savez(f, made)
    yield f'written: {path}'


@contextlib.contextmanager
def filling(path):
    """Create a folder completely or not at all.

    Args:
        path (pathlib.Path): the folder to create. It may exist if it is empty.

    Yields:
        pathlib.Path: a temporary folder to fill. It is moved to `path` at the end, and deleted after an error.

    Raises:
        InputError: if `path` exists and is not an empty folder.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f'{path} exists already; remove it, or choose another folder with --out')
    target = path.resolve()
    aside = target.with_name(f'.{target.name}.partial')
    try:
        shutil.rmtree(aside, ignore_errors=True)    # a leftover of a killed export
        aside.mkdir(parents=True)
        yield aside
        os.replace(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def out_path(args, name, suffixes=('.png',)):
    """Return the path to write to: the value of --out, or `name` in the run folder (of several runs, in the first one).

    Args:
        args (argparse.Namespace): the parsed arguments.
        name (str): default path, relative to the run folder.
        suffixes (sequence of str): allowed suffixes of the path, or None to allow any.

    Raises:
        InputError: if the path has another suffix.
    """
    path = pathlib.Path(args.out or pathlib.Path(args.runs[0], name))
    if suffixes and path.suffix not in suffixes:
        raise InputError(f'--out {path}: the name must end in {" or ".join(suffixes)}')
    return path


def labels(folders, given):
    """Return a label for each run.

    Args:
        folders (list of RunFolder): the runs.
        given (list of str): value of --labels, or None.

    Returns:
        list of str: the given labels, or the first of these that is different for every run: loss, loss and preset, folder
        name, path.

    Raises:
        InputError: if the given labels are too few, too many or not all different.
    """
    if given is not None:
        if len(given) != len(folders) or len(set(given)) < len(given):
            raise InputError(f'--labels: pass {len(folders)} different labels, one for each run')
        return given
    losses = [folder.settings['loss'].upper() for folder in folders]
    presets = [f'{loss}, {folder.settings["preset"]}' for loss, folder in zip(losses, folders)]
    paths = [str(folder.path.resolve()) for folder in folders]
    names = [folder.path.resolve().name for folder in folders]
    return next((labels for labels in (losses, presets, names) if len(set(labels)) == len(labels)), paths)


def make_parser():
    """Return the argument parser of all commands."""
    one, several, naming, counting, seeding, finding, judging = (argparse.ArgumentParser(add_help=False) for _ in range(7))
    one.add_argument('runs', nargs=1, metavar='RUN', help='run folder to read')
    several.add_argument('runs', nargs='+', metavar='RUN', help='one or more run folders to read')
    naming.add_argument('--labels', nargs='+', metavar='LABEL',
                        help='names of the runs in the picture, one for each (default: loss, preset, folder name or path, '
                             'whichever differs between them)')
    counting.add_argument('-n', '--samples', type=flags.positive, metavar='N',
                          help='number of samples to generate (default: as in the pictures or metrics of training)')
    seeding.add_argument('--seed', type=flags.seed, metavar='N',
                         help='random seed of the latents (default: the seed of the run, which gives the samples that '
                              'training has drawn and measured)')
    finding.add_argument('--images', type=flags.path, action='append', metavar='PATH',
                         help='path of the real images, if they have moved (default: their path in training); repeat the flag '
                              'for several paths')
    judging.add_argument('--judge', type=flags.path, metavar='FILE',
                         help='for runs of train_mnist.py: npz file of the classifier that measures the samples (default: the '
                              'judge of the run)')

    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    commands = parser.add_subparsers(title='commands', dest='command', metavar='COMMAND', required=True)

    def command(name, action, parents, what, out, verb='Draw'):
        """Add a command and return its parser; `action` takes the parsed arguments and yields lines to print."""
        added = commands.add_parser(name, parents=parents, help=what, description=f'{verb} {what}.', allow_abbrev=False)
        if out:
            added.add_argument('-o', '--out', metavar='PATH', help=out)
        added.set_defaults(action=action)
        return added

    takes = {'real': [finding], 'nearest': [seeding, finding], 'classes': [counting, seeding, finding, judging]}
    for name, what in PICTURES.items():
        command(name, draw_picture, [one, *takes.get(name, [counting, seeding])], what,
                f'PNG file to write (default: RUN/figures/{name}.png)')
    analogy = command('analogy', draw_analogy, [one, seeding], 'interpolations between samples, or latent arithmetic',
                      'file to write (default: corners.png, arithmetic.png, loop.gif or numbers.png in RUN/figures); the '
                      f'name must end in .png, or with --loop in one of {", ".join(FORMATS)}')
    analogy.formatter_class, analogy.epilog = argparse.RawDescriptionHelpFormatter, ANALOGY_HELP
    form = analogy.add_mutually_exclusive_group()
    form.add_argument('--corners', type=int, nargs=4, metavar='N',
                      help='draw a grid that interpolates between four samples: top left, top right, bottom left, bottom '
                           'right (default: 0 1 2 3)')
    form.add_argument('--arithmetic', type=flags.numbers, nargs=3, metavar=('A', 'B', 'C'),
                      help='draw mean(A) - mean(B) + mean(C) of the latents of three groups of samples, each given as numbers '
                           'such as 3,17,8; eight samples around the result come from its latent with added noise, of '
                           f'{NOISE:g} times the scale of latents')
    form.add_argument('--loop', type=int, nargs='*', metavar='N',
                      help='draw an animation that interpolates from each of these samples to the next, and back to the first '
                           f'(default: the first {STOPS} samples)')
    form.add_argument('--numbers', action='store_true', default=None,
                      help='draw the samples with their numbers, which the three flags above take')
    analogy.add_argument('--labels', nargs=3, metavar=('A', 'B', 'C'),
                         help='with --arithmetic, names of the three groups in the picture (default: A, B and C)')
    analogy.add_argument('--steps', type=flags.positive, metavar='N',
                         help='with --corners, number of samples along a side, corners included (default: '
                              f'{SIDE}, at most {MOST_SIDE}); with --loop, number of frames from one sample to the next '
                              f'(default: {STEPS}, at most {MOST} frames in total)')
    analogy.add_argument('--seconds', type=flags.above_zero, metavar='S',
                         help=f'with --loop, duration of each frame in seconds (default: {SECONDS:g})')
    command('curves', draw_curves, [several, naming],
            'losses and metrics during training, of one run or of several in one picture',
            'PNG file to write (default: figures/curves.png in RUN, or for several runs figures/curves_compared.png in the '
            'first RUN)')
    command('animation', draw_animation, [one], f'an animation of the samples during training, with at most {MOST} frames',
            'file to write (default: RUN/figures/animation.gif); the name must end in one of '
            f'{", ".join(FORMATS)}').add_argument(
        '--seconds', type=flags.above_zero, default=0.15, metavar='S',
        help='duration of each frame in seconds (default: 0.15)')
    comparison = command('compare', draw_comparison, [several, naming, counting, seeding],
                         'samples of several runs on one sheet',
                         'PNG file to write (default: figures/compare.png in the first RUN)')
    comparison.add_argument('--columns', type=flags.positive, metavar='N',
                            help='number of panels in a row (default: one row for up to 3 panels, otherwise about as many '
                                 'rows as columns; with --epochs, one column for each run)')
    comparison.add_argument('--epochs', type=flags.epoch, nargs='+', metavar='N',
                            help='show the pictures that training has written after these epochs, instead of new samples; end '
                                 'stands for the newest picture of each run')
    command('all', draw_all, [one, counting, seeding, finding, judging],
            'every picture of a run, except latent arithmetic, for which you choose the samples',
            'folder to write to (default: RUN/figures); a picture for which something is missing is left out, and the reason '
            'is printed')
    command('report', draw_report, [several, naming, finding, judging],
            'a web page about one or several runs: settings, samples through training, curves, metrics and pictures',
            'HTML file to write (default: report.html in the first RUN); it holds everything, so it opens without a network',
            'Write').add_argument(
        '--frames', type=flags.positive, metavar='N',
        help='maximum number of sample pictures of the training for each run, evenly spaced; more of them make a larger file '
             f'(default: {summary.FRAMES} of all runs together, but at least {summary.FEWEST} of each)')
    exploring = command('explore', explore, [one, seeding],
                        'a web page on which you move through the latent space of a run, with sliders, maps, walks and '
                        'arithmetic; only this computer can open it', None, 'Serve')
    exploring.add_argument('--port', type=flags.port, default=0, metavar='N',
                           help='port of the page, so that its address is http://127.0.0.1:N/ (default: any free port)')
    exploring.add_argument('--browser', action='store_true', help='open the page in the default browser')
    command('score', score, [several, seeding, finding, judging],
            'the metrics of the newest generator, as at the end of training', None, 'Print')
    command('export', export, [one, counting, seeding],
            'samples for other programs (images as bytes from 0 to 255, points as floats), or the generator itself',
            'file to write, whose name ends in the format (default: RUN/samples.npz or RUN/generator.onnx), or with --format '
            'png a new or empty folder (default: RUN/samples-png)', 'Write').add_argument(
        '--format', choices=list(EXPORTS), default='npz',
        help='npz writes one array, arr_0: uint8 of shape (N, H, W, C) for images, which tools that compute an FID read, or '
             'float32 of shape (N, 2) for points; png writes images as 00000.png, 00001.png, ...; onnx writes the '
             'generator, in test mode, for programs that run networks without Chainer (default: npz)')
    return parser


def main(argv=None):
    """Run a command and print its lines.

    Args:
        argv (list of str): arguments; None for those of the command line.

    Returns:
        int: exit status, see `lsgan.training.run.guarded`.
    """
    parser = make_parser()

    def act():
        args = parser.parse_args(argv)
        for line in args.action(args):
            print(console.one_line(line), flush=True)
        return 0
    return run.guarded(parser.prog, act)


if __name__ == '__main__':
    console.leave(main())
