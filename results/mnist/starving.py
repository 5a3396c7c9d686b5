"""Does a D that is too good starve G? Train D against a frozen, half-trained G and record the gradient that G would get.

    python results/mnist/starving.py                    print the tables and draw the picture of starving.csv in this folder
    python results/mnist/starving.py RUN                first add the missing rows to RUN/starving.csv, then show that file
    python results/mnist/starving.py RUN --jobs 2       train two D's at a time
    python results/mnist/starving.py RUN --steps 2000   train each D for at most 2,000 steps

RUN is a run folder of train_mnist.py that was stopped half-way. G is its newest generator. D starts anew, with the network,
the distribution of initial weights and the Adam of that run. It is trained with least squares in one optimizer step for the
sum of both losses, with least squares in two steps, with the standard GAN loss, and as a Wasserstein critic with clipped
weights and RMSprop. Each D is trained until its loss stops falling: until the mean of 5,000 steps is not below that of the
5,000 before.

Every 20 steps (every 200 after step 5,000), a row records D's loss and outputs and the norm of the gradient of G's loss. A
loss and seed that have rows are not trained again, so do not continue RUN in between. The picture is starving.png beside the
rows.
"""
import itertools
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
from lsgan.training.sweep import append, computed, make_parser, rows
from lsgan.training.updater import GANUpdater

HERE = pathlib.Path(__file__).resolve().parent
ROOT, TABLE = HERE.parent.parent, 'starving.csv'
SEEDS, BLOCK = (0, 1, 2), 5000      # BLOCK: steps in each of the two blocks whose mean losses are compared
# name: loss, and whether D takes two optimizer steps, one for each of its losses
LOSSES = {
    'LSGAN': (losses.LeastSquares(), False),
    'LSGAN, two steps': (losses.LeastSquares(), True),
    'GAN': (losses.NonSaturating(), False),
    'WGAN': (losses.Wasserstein(), False),
}
WINDOWS = (1, 1), (400, 600), (1600, 2400), (4000, 5000)    # steps in each column but the last of the first table
LEVELS = 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0       # bounds of D's loss for the rows of the second table


def ended(losses):
    """Return whether D's loss has stopped falling; it is checked after each block of steps.

    Args:
        losses (list of float): D's loss at every step so far.
    """
    blocks, rest = divmod(len(losses), BLOCK)
    return blocks > 1 and not rest and np.mean(losses[-BLOCK:]) >= np.mean(losses[-2 * BLOCK:-BLOCK])


def follow(task):
    """Train one D against the frozen G and return its rows, a list of dict.

    Args:
        task (tuple): name of the loss (a key of `LOSSES`), random seed, run folder, and the largest number of steps.
    """
    name, seed, path, steps = task
    loss, split = LOSSES[name]
    np.random.seed(seed)        # D's initial weights use this stream
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
    """Yield the lines of the first table: G's gradient and D's loss in each window of steps.

    Each cell has the median over all seeds and, in brackets, the 10th and 90th percentile. The end is the last fifth of the
    steps of each seed.

    Args:
        table (list of dict): rows of starving.csv.
    """
    windows = [(a, b) for a, b in WINDOWS if any(a <= int(row['step']) <= b for row in table)]
    heads = [f'{a:,} to {b:,}' if a < b else f'{a:,}' for a, b in windows]
    yield '| steps | ' + ' | '.join([*heads, 'the end', 'ended after']) + ' |'
    yield '|---|' + '--:|' * (len(windows) + 1) + '---|'
    for key, what in ('gen/gradient', "norm of G's gradient"), ('dis/loss', "D's loss"):
        for name in LOSSES:
            runs = [row for row in table if row['loss'] == name]
            lengths = {row['seed']: int(row['step']) for row in runs}       # the last step of each seed
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
    """Yield the lines of the second table: G's gradient at equal values of D's least squares loss, with one step and with two.

    Each cell has the median over all seeds and, in brackets, the median of each seed and the number of rows.

    Args:
        table (list of dict): rows of starving.csv.
    """
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
    """Draw G's gradient and D's outputs over D's steps: medians over the seeds, up to the end of the shortest seed.

    Args:
        table (list of dict): rows of starving.csv.
        file: binary file that the PNG is written to.
    """
    figure = Figure((8, 6.4), dpi=100, layout='constrained')
    gradient, outputs = figure.subplots(2, 1, sharex=True)
    for color, name in zip(palette.CYCLE, LOSSES):
        runs = {}
        for row in table:
            if row['loss'] == name:
                runs.setdefault(row['seed'], []).append(row)
        shared = list(zip(*runs.values()))      # the rows of all seeds at each step; the seeds differ only in where they end
        steps = [int(same[0]['step']) for same in shared]

        def median(key, shared=shared):
            return [np.median([float(row[key]) for row in same]) for same in shared]

        gradient.plot(steps, median('gen/gradient'), color=color, linewidth=2, label=name)
        outputs.plot(steps, np.subtract(median('dis/real'), median('dis/fake')), color=color, linewidth=2, label=name)
    outputs.set_ylim(bottom=1e-3)       # below this, D sees no difference yet, or one in the wrong direction
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
    """Train the D's whose rows RUN/starving.csv lacks, and append their rows.

    Args:
        path (pathlib.Path): run folder of train_mnist.py.
        steps (int): largest number of steps for each D.
        jobs (int): number of D's trained at a time.

    Raises:
        InputError: if the run is not of train_mnist.py.
    """
    folder = RunFolder(path, ROOT)
    if folder.settings['experiment'] != 'mnist':
        raise InputError(f'{path}: this is not a run of train_mnist.py; give one that was stopped half-way')
    print(f'G of {folder.newest[0]}')
    there = {(row['loss'], int(row['seed'])) for row in rows(path / TABLE)}
    missing = [(name, seed, path, steps) for seed in SEEDS for name in LOSSES if (name, seed) not in there]
    for made in computed(follow, missing, jobs):
        append(path / TABLE, made)
        print(made[0]['loss'], made[0]['seed'], 'done', flush=True)


def main():
    parser = make_parser(__doc__)
    parser.add_argument('run', nargs='?', type=pathlib.Path, metavar='RUN',
                        help='run folder of train_mnist.py (default: train nothing and show the rows in this folder)')
    parser.add_argument('--steps', type=flags.positive, default=100000, metavar='N',
                        help='largest number of steps of each D (default: 100000)')

    def act():
        args = parser.parse_args()
        if args.run:
            make(args.run, args.steps, args.jobs)
        folder = args.run or HERE
        table = rows(folder / TABLE)
        if not table:
            raise InputError(f'{folder}: there are no rows yet; give a RUN to make them')
        print(*tell(table), '', *tell_levels(table), sep='\n')
        print(report.draw(folder / 'starving.png', lambda file: draw(table, file)))
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
