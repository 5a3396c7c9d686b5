"""Does a D that is too good starve G? Trains D on a frozen, half-trained G and follows the gradient that G would get.

    python results/mnist/starving.py RUN                each loss and seed that starving.csv lacks, then the picture
    python results/mnist/starving.py RUN --steps 2000   shorter

RUN is a run folder of train_mnist.py, stopped half-way; its newest generator is taken. D starts anew, with that run's
network and initial weights: of a least squares GAN with one Adam step on the sum of both terms, then with two steps, of a
standard GAN, and as critic with clipped weights, by RMSprop. Every 20 steps a row says how D does and how long the gradient
of G's loss is. Rows that are there are not made again: for another RUN, move starving.csv away.
"""
import argparse
import pathlib
import sys

import numpy as np
import tqdm
from matplotlib.figure import Figure

from lsgan import functions, losses
from lsgan.datasets.iterator import SampleIterator
from lsgan.figures import palette
from lsgan.random import Latent, Stream
from lsgan.training.folder import RunFolder
from lsgan.training.run import guarded
from lsgan.training.surroundings import surroundings
from lsgan.training.sweep import append, rows
from lsgan.training.updater import ClipWeights, GANUpdater, gradient_norm

HERE = pathlib.Path(__file__).resolve().parent
ROOT, TABLE = HERE.parent.parent, HERE / 'starving.csv'
EVERY, SEEDS, BATCH = 20, (0, 1, 2), 100
# name: loss, whether in two steps, optimizer
LOSSES = {
    'LSGAN': (losses.LeastSquares(), False, lambda: functions.Adam(1e-4, 0.5)),
    'LSGAN, two steps': (losses.LeastSquares(), True, lambda: functions.Adam(1e-4, 0.5)),
    'GAN': (losses.NonSaturating(), False, lambda: functions.Adam(1e-4, 0.5)),
    'WGAN': (losses.Wasserstein(), False, lambda: functions.RMSprop(5e-5)),
}


def follow(name, seed, path, steps):
    """The rows of one D's training, a dict each."""
    loss, split, make_optimizer = LOSSES[name]
    np.random.seed(seed)        # D's initial weights draw from it
    folder = RunFolder(path, ROOT)
    made, generator = folder.experiment, folder.generator
    optimizers = {'generator': functions.Adam().setup(generator), 'discriminator': make_optimizer().setup(made.discriminator)}
    if name == 'WGAN':
        optimizers['discriminator'].add_hook(ClipWeights(0.01))
    latent = Latent(made.latent_size, made.latent_distribution, Stream(seed, 'latent'))
    batches = SampleIterator(made.data, BATCH, Stream(seed, 'data'), 600)
    updater = GANUpdater(batches, optimizers, loss, latent, split=split)
    commit = surroundings()['git_commit']
    for step in tqdm.trange(1, steps + 1, desc=f'{name} {seed}', disable=None):
        n, reported = updater.step_discriminator()
        if step == 1 or step % EVERY == 0:
            reported['gen/loss'] = updater.backward_generator(n)
            reported['gen/gradient'] = gradient_norm(generator)
            numbers = {key: f'{float(value):.6g}' for key, value in reported.items()}
            yield {'loss': name, 'seed': seed, 'commit': commit, 'step': step, **numbers}


def draw(table):
    """starving.png: G's gradient over D's steps, and D's outputs, the median over the seeds."""
    figure = Figure((8, 6.4), dpi=100, layout='constrained')
    gradient, outputs = figure.subplots(2, 1, sharex=True)
    for color, name in zip(palette.CYCLE, LOSSES):
        runs = [row for row in table if row['loss'] == name]
        steps = sorted({int(row['step']) for row in runs})

        def median(key, name=name, runs=runs, steps=steps):
            return [np.median([float(row[key]) for row in runs if int(row['step']) == step]) for step in steps]

        gradient.plot(steps, median('gen/gradient'), color=color, linewidth=2, label=name)
        outputs.plot(steps, np.subtract(median('dis/real'), median('dis/fake')), color=color, linewidth=2, label=name)
    outputs.set_ylim(bottom=1e-3)       # below D still sees no difference, or the wrong way round
    gradient.set_ylabel("norm of G's gradient", fontsize=palette.LABEL)
    outputs.set_ylabel("D's outputs,\nreal less generated", fontsize=palette.LABEL)
    outputs.set_xlabel("D's steps, G held fixed", fontsize=palette.LABEL)
    for ax in gradient, outputs:
        ax.set_yscale('log')
        ax.grid(color=palette.GRID)
        ax.tick_params(labelsize=palette.TICK)
        ax.spines[['top', 'right']].set_visible(False)
    gradient.legend(fontsize=palette.TICK, frameon=False, ncols=2)
    figure.suptitle('What a better D leaves of the gradient', fontsize=palette.TITLE, fontweight='bold')
    figure.savefig(HERE / 'starving.png')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('run', type=pathlib.Path, metavar='RUN', help='run folder')
    parser.add_argument('--steps', type=int, default=5000, help="of D (default: 5000)")
    args = parser.parse_args()
    there = {(row['loss'], int(row['seed'])) for row in rows(TABLE)}
    for seed in SEEDS:
        for name in LOSSES:
            if (name, seed) not in there:
                made = list(follow(name, seed, args.run, args.steps))
                append(TABLE, made)
                first, last = made[0]['gen/gradient'], made[-1]['gen/gradient']
                print(f"{name} {seed}: G's gradient {first} at first, {last} at last", flush=True)
    draw(rows(TABLE))
    return 0


if __name__ == '__main__':
    sys.exit(guarded('starving.py', main))
