"""Which samples still get a gradient when D is good? Train GANs on the ring of eight Gaussians and measure it.

    python results/vanishing/vanishing.py               print the table and draw the picture of vanishing.csv in this folder
    python results/vanishing/vanishing.py RUNS          first add the missing rows to RUNS/vanishing.csv, then show that file
    python results/vanishing/vanishing.py RUNS --jobs 2     train two GANs at a time

RUNS is any folder. Each loss is trained with 1, 5 and 25 steps of D for each of 3,000 steps of G and with three seeds. The
networks are those of train_gaussian.py. The learning rate is constant, and there is no instance noise, which would keep D from
getting better. At chosen steps of G, the gradient of G's loss is computed for each of 2,500 new samples. The samples are
sorted by D's output and divided into ten groups. A row records D's median output in each group, the median Euclidean norm of
the gradients there, and the gradient of G's parameters. The picture is vanishing.png beside the rows.
"""
import itertools
import pathlib
import sys

import numpy as np
import tqdm
from matplotlib.figure import Figure

from lsgan import functions, losses
from lsgan.datasets.iterator import SampleIterator
from lsgan.datasets.mixture import GaussianMixture, ring
from lsgan.errors import InputError
from lsgan.figures import palette
from lsgan.functions.optimizers import ClipWeights, gradient_norm
from lsgan.metrics.modes import mode_statistics
from lsgan.networks.gaussian import Perceptron
from lsgan.random import Latent, Stream
from lsgan.training import report
from lsgan.training.run import guarded
from lsgan.training.surroundings import surroundings
from lsgan.training.sweep import append, computed, make_parser, rows
from lsgan.training.updater import GANUpdater, frozen

import chainer  # isort: skip (lsgan makes it importable)

HERE = pathlib.Path(__file__).resolve().parent
TABLE = 'vanishing.csv'
LOSSES = {
    'least squares 0, 1, 1': losses.LeastSquares(),
    'least squares -1, 1, 0': losses.LeastSquares(-1, 1, 0),
    'standard GAN': losses.NonSaturating(),
    'Wasserstein GAN': losses.Wasserstein(),
}
STEPS, SEEDS = (1, 5, 25), (0, 1, 2)            # steps of D for each step of G
MEASURED = 100, 300, 1000, 3000                 # steps of G after which a row is made
LATENT, BATCH, SAMPLES, GROUPS = 256, 200, 2500, 10


def follow(task):
    """Train one GAN and return its rows, a list of dict.

    Args:
        task (tuple): name of the loss (a key of `LOSSES`), steps of D for each step of G, random seed.
    """
    name, n_critic, seed = task
    np.random.seed(seed)        # the initial weights use this stream
    he = chainer.initializers.HeNormal()
    generator = Perceptron([LATENT, *[128] * 4, 2], 'relu', he)
    discriminator = Perceptron([2, *[128] * 3, 1], 'leaky_relu', he)
    if name == 'Wasserstein GAN':       # the settings of train_gaussian.py --loss wgan
        optimizers = [functions.RMSprop(1e-3) for _ in range(2)]
    else:
        optimizers = [functions.Adam(1e-3, beta1=0.0, beta2=0.99) for _ in range(2)]
    for optimizer, network in zip(optimizers, (generator, discriminator)):
        optimizer.setup(network)
    if name == 'Wasserstein GAN':
        optimizers[1].add_hook(ClipWeights(0.03))
    mixture = GaussianMixture(ring(8, 2.0), 0.04)
    updater = GANUpdater(SampleIterator(mixture, BATCH, Stream(seed, 'data'), MEASURED[-1]),
                         dict(zip(('generator', 'discriminator'), optimizers)), LOSSES[name],
                         Latent(LATENT, 'normal', Stream(seed, 'latent')), n_critic)
    latent = Latent(LATENT, 'normal', Stream(seed, 'measured'))
    commit, made = surroundings()['git_commit'], []
    for step in tqdm.trange(1, MEASURED[-1] + 1, desc=f'{name}, {n_critic}, {seed}', disable=None):
        reported = updater.take_steps()
        if step in MEASURED:
            samples = generator(latent(SAMPLES))
            gradient = gradient_norm(generator)
            made.append({'loss': name, 'steps of D': n_critic, 'seed': seed, 'commit': commit, 'step': step,
                         'dis/loss': f'{float(reported["dis/loss"]):.6g}', 'gen/gradient': f'{float(gradient):.6g}',
                         'modes': mode_statistics(samples.array, mixture.centers, mixture.sigma)['modes_captured'],
                         **measure(discriminator, LOSSES[name], samples.array)})
    return made


def measure(discriminator, loss, samples):
    """Return a dict of what a row says about D's outputs and the gradients of samples, an array (N, 2)."""
    x = chainer.Variable(samples)
    with frozen(discriminator):
        y = discriminator(x)
        gradients, = chainer.grad([loss.generator(y)], [x])
    norms = len(samples) * np.linalg.norm(gradients.array, axis=1)     # of the gradient of each sample's own loss
    groups = np.array_split(np.argsort(y.array[:, 0]), GROUPS)
    row = {f'{what} {i}': f'{np.median(values[group]):.6g}' for what, values in (('output', y.array[:, 0]), ('norm', norms))
           for i, group in enumerate(groups)}
    return {**row, 'starved': f'{(norms < 0.1 * norms.mean()).mean():.6g}'}


def tell(table):
    """Yield the lines of the table: medians over the seeds at the last step.

    Args:
        table (list of dict): rows of vanishing.csv.
    """
    yield ("| loss | steps of D | D's loss | norm of G's gradient | starved samples | gradient of the tenth with the largest "
           'outputs, over that with the smallest | modes |')
    yield '|---|--:|--:|--:|--:|--:|--:|'
    for name, n_critic in itertools.product(LOSSES, STEPS):
        which = name, str(n_critic), str(MEASURED[-1])
        seen = [row for row in table if (row['loss'], row['steps of D'], row['step']) == which]
        if seen:
            def of(value, seen=seen):
                return [value(row) for row in seen]
            ratio = of(lambda row: float(row[f'norm {GROUPS - 1}']) / float(row['norm 0']))
            modes = ', '.join(row['modes'] for row in seen)
            yield (f'| {name} | {n_critic} | {np.median(of(lambda row: float(row["dis/loss"]))):.2g} '
                   f'| {np.median(of(lambda row: float(row["gen/gradient"]))):.2g} '
                   f'| {np.median(of(lambda row: float(row["starved"]))):.0%} | {np.median(ratio):.2g} | {modes} |')


def draw(table, file):
    """Draw the gradients of samples over D's outputs: a panel for each loss and number of steps, a curve for each time.

    Args:
        table (list of dict): rows of vanishing.csv. The first seed is drawn.
        file: binary file that the PNG is written to.
    """
    figure = Figure((12, 11), dpi=100, layout='constrained')
    panels = figure.subplots(len(LOSSES), len(STEPS), sharex='row', sharey='row', squeeze=False)
    for ax, (name, n_critic) in zip(panels.flat, itertools.product(LOSSES, STEPS)):
        for color, step in zip(palette.CYCLE, MEASURED):
            for row in table:
                if (row['loss'], row['steps of D'], row['seed'], row['step']) == (name, str(n_critic), '0', str(step)):
                    x, y = ([float(row[f'{what} {i}']) for i in range(GROUPS)] for what in ('output', 'norm'))
                    ax.plot(x, y, color=color, linewidth=2, marker='o', label=f'{step:,}')
        ax.set_yscale('log')
        ax.set_title(f'{name}, D {n_critic}:1', fontsize=palette.TICK)
        ax.tick_params(labelsize=palette.TICK)
        ax.grid(color=palette.GRID)
        ax.spines[['top', 'right']].set_visible(False)
    panels[0, 0].legend(title='steps of G', fontsize=palette.TICK, frameon=False)
    figure.supxlabel("D's output", fontsize=palette.LABEL)
    figure.supylabel("gradient of a sample's loss", fontsize=palette.LABEL)
    figure.suptitle('Which samples get a gradient', fontsize=palette.TITLE, fontweight='bold')
    figure.savefig(file, format='png')


def make(folder, jobs):
    """Train the GANs whose rows the table in a folder lacks, and append their rows.

    Args:
        folder (pathlib.Path): folder of the table; made if it does not exist.
        jobs (int): number of GANs trained at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = {(row['loss'], int(row['steps of D']), int(row['seed'])) for row in rows(folder / TABLE)}
    missing = [task for task in itertools.product(LOSSES, STEPS, SEEDS) if task not in there]
    for made in computed(follow, missing, jobs):
        append(folder / TABLE, made)
        print(made[0]['loss'], made[0]['steps of D'], made[0]['seed'], 'done', flush=True)


def main():
    parser = make_parser(__doc__)
    parser.add_argument('runs', nargs='?', type=pathlib.Path, metavar='RUNS',
                        help='folder of the rows to make (default: train nothing and show the rows beside this script)')

    def act():
        args = parser.parse_args()
        if args.runs:
            make(args.runs, args.jobs)
        folder = args.runs or HERE
        table = rows(folder / TABLE)
        if not table:
            raise InputError(f'{folder}: there are no rows yet; give a folder to make them')
        print(*tell(table), sep='\n')
        print(report.draw(folder / 'vanishing.png', lambda file: draw(table, file)))
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
