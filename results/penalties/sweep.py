"""Make the runs on the ring of eight Gaussians behind README.md, and write one row for each run to GROUP.csv.

    python results/penalties/sweep.py                   make all missing rows, one run at a time
    python results/penalties/sweep.py ring              make the missing rows of a group
    python results/penalties/sweep.py ring --list       list the missing runs

The groups are:

    tuning      three weights of each penalty, 5 epochs, seed 100
    ring        the best weight of each penalty, 5 epochs; without a penalty, also 7 epochs, which take as long
    wgan        the Wasserstein GAN with weight clipping and with the penalty of WGAN-GP, 5 epochs
    long        the best weight of each penalty, 25 epochs as in the default settings

Flags that a group does not mention have the values of the preset default. The best weight of a penalty is the one with the
smallest sliced Wasserstein distance in `tuning`. An interrupted run continues where it stopped. A finished run appends its row
with the git commit that made it. Its run folder in result/sweep is kept for pictures.
"""
import pathlib
import sys

from lsgan.training.sweep import main

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / 'train_gaussian.py'
METRICS = ('iteration', 'modes_captured', 'modes_fair', 'high_quality', 'spread_min', 'spread_max', 'sliced_wasserstein',
           'sliced_wasserstein_floor', 'images_per_second', 'dis/penalty last')
WEIGHTS = {'wgan-gp': ('0.1', '1', '10'), 'dragan': ('0.1', '1', '10'), 'r1': ('0.01', '0.1', '1')}
BEST, SEEDS = {'wgan-gp': '0.1', 'dragan': '0.1', 'r1': '1'}, range(3)


def penalty(kind, weight):
    """Return the flags of a penalty."""
    return f'--gradient-penalty {kind} --penalty-weight {weight}'


# {group: {name: (flags, seeds)}}
GROUPS = {
    'tuning': {'none, 5 epochs': ('--epoch 5', range(100, 101)),
               **{f'{kind} {weight}, 5 epochs': (f'--epoch 5 {penalty(kind, weight)}', range(100, 101))
                  for kind, weights in WEIGHTS.items() for weight in weights}},
    'ring': {'none': ('--epoch 5', SEEDS), 'none, 7 epochs': ('--epoch 7', SEEDS),
             **{f'{kind} {weight}': (f'--epoch 5 {penalty(kind, weight)}', SEEDS) for kind, weight in BEST.items()}},
    # the penalty with the optimizer of least squares
    'wgan': {'wgan, clipped': ('--epoch 5 --loss wgan', SEEDS),
             'wgan, wgan-gp 10': (f'--epoch 5 --loss wgan --optimizer adam {penalty("wgan-gp", 10)}', SEEDS)},
    'long': {'none, 25 epochs': ('', SEEDS),
             **{f'{kind} {weight}, 25 epochs': (penalty(kind, weight), SEEDS) for kind, weight in BEST.items()}},
}

if __name__ == '__main__':
    sys.exit(main(__doc__, SCRIPT, HERE, GROUPS, METRICS))
