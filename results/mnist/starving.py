"""Does a D that is too good starve G? Trains D on a frozen, half-trained G and follows the gradient that G would get.

    python results/mnist/starving.py                    tables and picture of the rows of this folder, starving.csv
    python results/mnist/starving.py RUN                of RUN/starving.csv, with rows of each loss and seed that it lacks
    python results/mnist/starving.py RUN --jobs 2       two at a time
    python results/mnist/starving.py RUN --steps 2000   at most so many steps

RUN is a run folder of train_mnist.py, stopped half-way; its newest generator is taken. D starts anew, with that run's
network, initial weights and Adam: of a least squares GAN with one step on the sum of both terms, then with two steps, of a
standard GAN, and as critic with clipped weights, by RMSprop. It is trained until its loss stops falling: until the mean of
5,000 steps is not below that of the 5,000 before. Every 20 steps, after 5,000 every 200, a row says how D does and how long
the gradient of G's loss is. A loss and seed that have rows are not trained again, so RUN must not go on between. The picture
is starving.png beside the rows.
"""
import itertools
import multiprocessing
import pathlib
import sys

import numpy as np
import tqdm
from matplotlib.figure import Figure

from lsgan import functions, losses
from lsgan.datasets.iterator import SampleIterator
from lsgan.errors import InputError
from lsgan.figures import palette
from lsgan.functions.optimizers import ClipWeights, gradient_norm
from lsgan.random import Latent, Stream
from lsgan.training import flags, report
from lsgan.training.folder import RunFolder
from lsgan.training.run import guarded
from lsgan.training.surroundings import surroundings
from lsgan.training.sweep import append, make_parser, rows
from lsgan.training.updater import GANUpdater

HERE = pathlib.Path(__file__).resolve().parent
ROOT, TABLE = HERE.parent.parent, 'starving.csv'
SEEDS, BLOCK = (0, 1, 2), 5000      # the means of two blocks of steps are compared
# name: loss, whether in two steps
LOSSES = {
    'LSGAN': (losses.LeastSquares(), False),
    'LSGAN, two steps': (losses.LeastSquares(), True),
    'GAN': (losses.NonSaturating(), False),
    'WGAN': (losses.Wasserstein(), False),
}
WINDOWS = (1, 1), (400, 600), (1600, 2400), (4000, 5000)    # of steps, the table's columns before that of the end
LEVELS = 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0       # of D's loss, between which the second table's rows are


def ended(losses):
    """Whether D's loss, of every step so far, has stopped falling: looked at after each block."""
    blocks, rest = divmod(len(losses), BLOCK)
    return blocks > 1 and not rest and np.mean(losses[-BLOCK:]) >= np.mean(losses[-2 * BLOCK:-BLOCK])


def follow(task):
    """The rows of one D's training, a dict each, from the loss's name, a seed, a run folder and the most steps."""
    name, seed, path, steps = task
    loss, split = LOSSES[name]
    np.random.seed(seed)        # D's initial weights draw from it
    folder = RunFolder(path, ROOT)
    experiment, generator, settings = folder.experiment, folder.generator, folder.settings
    optimizer = (functions.RMSprop(flags.WGAN['lr_d']) if name == 'WGAN' else
                 functions.Adam(settings['lr_d'], settings['beta1'], settings['beta2']))
    optimizers = {'generator': functions.Adam().setup(generator), 'discriminator': optimizer.setup(experiment.discriminator)}
    if name == 'WGAN':
        optimizer.add_hook(ClipWeights(flags.WGAN['clip']))
    latent = Latent(experiment.latent_size, experiment.latent_distribution, Stream(seed, 'latent'))
    batches = SampleIterator(experiment.data, settings['batchsize'], Stream(seed, 'data'), settings['epoch_size'])
    updater = GANUpdater(batches, optimizers, loss, latent, split=split)
    commit, made, lost = surroundings()['git_commit'], [], []
    for step in tqdm.trange(1, steps + 1, desc=f'{name} {seed}', disable=None):
        n, reported = updater.step_discriminator()
        lost.append(float(reported['dis/loss']))
        if step == 1 or step % (20 if step <= BLOCK else 200) == 0:
            reported['gen/loss'] = updater.backward_generator(n)
            reported['gen/gradient'] = gradient_norm(generator)
            numbers = {key: f'{float(value):.6g}' for key, value in reported.items()}
            made.append({'loss': name, 'seed': seed, 'commit': commit, 'step': step, **numbers})
        if ended(lost):
            break
    return made


def tell(table):
    """The lines of a table: G's gradient and D's loss in each window of steps, of all seeds the median, and between which
    values eight tenths are; the end is the last fifth of each seed's steps."""
    windows = [(a, b) for a, b in WINDOWS if any(a <= int(row['step']) <= b for row in table)]
    heads = [f'{a:,} to {b:,}' if a < b else f'{a:,}' for a, b in windows]
    yield '| steps | ' + ' | '.join([*heads, 'the end', 'ended after']) + ' |'
    yield '|---|' + '--:|' * (len(windows) + 1) + '---|'
    for key, what in ('gen/gradient', "norm of G's gradient"), ('dis/loss', "D's loss"):
        for name in LOSSES:
            runs = [row for row in table if row['loss'] == name]
            lengths = {row['seed']: int(row['step']) for row in runs}       # the last of each
            inside = [[row for row in runs if first <= int(row['step']) <= last] for first, last in windows]
            inside.append([row for row in runs if int(row['step']) > 0.8 * lengths[row['seed']]])
            cells = []
            for seen in inside:
                values = [float(row[key]) for row in seen]
                low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)) if values else [np.nan] * 3
                cells.append('{} ({} to {})'.format(*(f'{float(f"{value:.2g}"):,g}' for value in (middle, low, high))))
            ends = ', '.join(f'{length:,}' for length in lengths.values())
            yield f'| {what}, {name} | ' + ' | '.join(cells) + f' | {ends} |'


def tell_levels(table):
    """The lines of a table: G's gradient where D's least squares loss is the same, by one step of D's or two: of all seeds
    the median, the medians of each, and of how many rows."""
    names = [name for name, (loss, _) in LOSSES.items() if isinstance(loss, losses.LeastSquares)]
    yield "| norm of G's gradient where D's loss is | " + ' | '.join(names) + ' |'
    yield '|---|' + '---|' * len(names)
    for high, low in itertools.pairwise(LEVELS):
        cells = []
        for name in names:
            seen = {}
            for row in table:
                if row['loss'] == name and low <= float(row['dis/loss']) < high:
                    seen.setdefault(row['seed'], []).append(float(row['gen/gradient']))
            values = [value for of_seed in seen.values() for value in of_seed]
            by_seed = ', '.join(f'{np.median(of_seed):.1f}' for of_seed in seen.values())
            cells.append(f'{np.median(values):.1f} ({by_seed}; {len(values)} rows)' if values else '')
        yield f'| {low} to {high} | ' + ' | '.join(cells) + ' |'


def draw(table, file):
    """Writes the picture: G's gradient over D's steps, and D's outputs, the median over the seeds, while all go on."""
    figure = Figure((8, 6.4), dpi=100, layout='constrained')
    gradient, outputs = figure.subplots(2, 1, sharex=True)
    for color, name in zip(palette.CYCLE, LOSSES):
        runs = {}
        for row in table:
            if row['loss'] == name:
                runs.setdefault(row['seed'], []).append(row)
        shared = list(zip(*runs.values()))      # the rows of all seeds at each step; all have the same steps but for the end
        steps = [int(same[0]['step']) for same in shared]

        def median(key, shared=shared):
            return [np.median([float(row[key]) for row in same]) for same in shared]

        gradient.plot(steps, median('gen/gradient'), color=color, linewidth=2, label=name)
        outputs.plot(steps, np.subtract(median('dis/real'), median('dis/fake')), color=color, linewidth=2, label=name)
    outputs.set_ylim(bottom=1e-3)       # below D still sees no difference, or the wrong way round
    gradient.set_ylabel("norm of G's gradient", fontsize=palette.LABEL)
    outputs.set_ylabel("D's outputs,\nreal less generated", fontsize=palette.LABEL)
    outputs.set_xlabel("D's steps, G held fixed", fontsize=palette.LABEL)
    outputs.set_xscale('log')
    for ax in gradient, outputs:
        ax.set_yscale('log')
        ax.grid(color=palette.GRID)
        ax.tick_params(labelsize=palette.TICK)
        ax.spines[['top', 'right']].set_visible(False)
    gradient.legend(fontsize=palette.TICK, frameon=False, ncols=2)
    figure.suptitle('What a better D leaves of the gradient', fontsize=palette.TITLE, fontweight='bold')
    figure.savefig(file, format='png')


def make(path, steps, jobs):
    """Adds the rows that the table of a run folder lacks."""
    folder = RunFolder(path, ROOT)
    if folder.settings['experiment'] != 'mnist':
        raise InputError(f'{path}: a run of train_mnist.py is needed, stopped half-way')
    print(f'G of {folder.newest[0]}')
    there = {(row['loss'], int(row['seed'])) for row in rows(path / TABLE)}
    missing = [(name, seed, path, steps) for seed in SEEDS for name in LOSSES if (name, seed) not in there]
    with multiprocessing.get_context('spawn').Pool(jobs) as pool:
        for made in pool.imap(follow, missing):
            append(path / TABLE, made)
            print(made[0]['loss'], made[0]['seed'], 'done', flush=True)
        pool.close()        # else what its processes hold would be found leaking
        pool.join()


def main():
    parser = make_parser(__doc__)
    parser.add_argument('run', nargs='?', type=pathlib.Path, metavar='RUN', help='run folder')
    parser.add_argument('--steps', type=flags.positive, default=100000, metavar='N', help='of D at most (default: 100000)')

    def act():
        args = parser.parse_args()
        if args.run:
            make(args.run, args.steps, args.jobs)
        folder = args.run or HERE
        table = rows(folder / TABLE)
        if not table:
            raise InputError(f'{folder}: no rows yet; give a RUN')
        print(*tell(table), '', *tell_levels(table), sep='\n')
        print(report.draw(folder / 'starving.png', lambda file: draw(table, file)))
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
