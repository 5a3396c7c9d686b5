"""Make runs on Stacked MNIST for the results page, and write one row for each run to GROUP.csv.

    python results/stacked/sweep.py losses              make the missing rows of a group, one run at a time
    python results/stacked/sweep.py tuning --jobs 2     make two runs at a time; best with OMP_NUM_THREADS=1
    python results/stacked/sweep.py losses --list       list the missing runs

Without a group, the runs of all groups are made. The groups are:

    losses      the preset `stacked` with each loss, seeds 0 to 2
    tuning      three short trials of each loss with seed 100: the preset, and two changes of its learning rates or noise

Every run sees equally many real images. An interrupted run continues where it stopped. A finished run appends its row with the
git commit that made it. Its run folder in result/sweep is kept for pictures. MNIST is read from the cache, or downloaded.
"""
import pathlib
import sys

from lsgan.training.sweep import main

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / 'train_mnist.py'
COLUMNS = ('iteration', 'modes_seen', 'mode_kl', 'modes_seen_real', 'mode_kl_real', 'modes_total', 'frechet_distance',
           'frechet_distance_floor', 'classes_fair', 'confident', 'nearest_distance', 'nearest_distance_real', 'saturated',
           'images_per_second')
LOSSES = {'lsgan': '', 'lsgan pearson': '--scheme pearson', 'gan': '--loss gan', 'wgan': '--loss wgan'}
TRIALS = {'': '', ', slower D': '--lr-d 5e-4', ', noise 0.4': '--noise 0.4 --noise-end 0.4'}
# RMSprop and a critic of clipped weights need other learning rates, so the trials of the Wasserstein GAN are others.
CRITICS = {'': '', ', faster': '--lr-g 1e-3 --lr-d 5e-4', ', bound 0.1': '--lr-g 1e-3 --clip 0.1'}


def preset(loss, more=''):
    """Return the flags of a run of the preset `stacked`, in one string; `loss` is a key of `LOSSES`."""
    return ' '.join(f'--preset stacked {LOSSES[loss]} {more}'.split())


# {group: {name: (flags, seeds)}}
GROUPS = {
    'losses': {loss: (preset(loss), range(3)) for loss in LOSSES},
    'tuning': {f'tuning {loss}{name}': (preset(loss, f'--epoch 3 {more}'), range(100, 101)) for loss in LOSSES
               for name, more in (CRITICS if loss == 'wgan' else TRIALS).items()},
}

if __name__ == '__main__':
    sys.exit(main(__doc__, SCRIPT, HERE, GROUPS, COLUMNS))
