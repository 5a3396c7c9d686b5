"""Makes the rows of this folder's tables, GROUP.csv: every run of README.md, each once.

    python results/anime/sweep.py faces                 all that is missing on the drawn faces, one run at a time
    python results/anime/sweep.py faces --jobs 2        two at a time
    python results/anime/sweep.py real                  the same on real images, a folder or zip that data/faces leads to
    python results/anime/sweep.py faces --list          what is there and what is missing (without a group: of all)

Each loss of each preset at 64x64 pixels, 8 epochs of 10,240 real images. A run that was stopped goes on where it was; a
finished one appends its row, with the commit that made it, and its folder in result/sweep stays for pictures. Two at a time
are best with OMP_NUM_THREADS=1.
"""
import pathlib
import sys

from lsgan.training.sweep import main

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / 'train_anime.py'
LEVELS = [f'sliced_wasserstein{level}' for level in ('', '_64', '_32', '_16')]
COLUMNS = ('iteration', *LEVELS, *(f'{level}_floor' for level in LEVELS), 'diversity', 'nearest_distance',
           'nearest_distance_real', 'values_fair', 'values_total', 'images_per_second')
GROUPS = {'faces': '', 'real': '--images data/faces'}
LOSSES, PRESETS, SEEDS = ('lsgan', 'wgan', 'gan'), {'default': 160, 'blog': 80}, range(3)


def runs(group):
    """Name, flags and seed of each run; all of one seed come before those of the next."""
    for seed in SEEDS:
        for preset, updates in PRESETS.items():
            for loss in LOSSES:
                epoch = updates // 5 if loss == 'wgan' else updates     # of which each has 5 batches of real images
                flags = [f'--preset {preset} --size 64 --loss {loss} --epoch 8 --epoch-size {epoch}',
                         f'--log-interval {epoch // 4}',
                         *(f'--{name}-interval {epoch}' for name in ('metric', 'sample', 'snapshot'))]
                yield f'{group} {preset} {loss}', ' '.join([*flags, GROUPS[group]]).strip(), seed


if __name__ == '__main__':
    sys.exit(main(__doc__, SCRIPT, HERE, {group: list(runs(group)) for group in GROUPS}, COLUMNS))
