"""Makes the rows of this folder's tables, GROUP.csv: every run of README.md, each once.

    python results/anime/sweep.py faces                 all that is missing on the drawn faces, one run at a time
    python results/anime/sweep.py faces --jobs 2        two at a time
    python results/anime/sweep.py real                  the same on real images, a folder or zip that data/faces leads to
    python results/anime/sweep.py rates                 larger rates of the Wasserstein GAN, on either
    python results/anime/sweep.py tuning                trials for a better default, real images, seed 100
    python results/anime/sweep.py default               the default that they led to, on real images and on drawn faces
    python results/anime/sweep.py faces --list          what is there and what is missing (without a group: of all)

Each loss of each preset at 64x64 pixels, 8 epochs of 10,240 real images. A run that was stopped goes on where it was; a
finished one appends its row, with the commit that made it, and its folder in result/sweep stays for pictures. Two at a time
are best with OMP_NUM_THREADS=1.
"""
import itertools
import pathlib
import sys

from lsgan.training.sweep import main

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / 'train_anime.py'
LEVELS = [f'sliced_wasserstein{level}' for level in ('', '_64', '_32', '_16')]
DISTANCES, VALUES = ('frechet_distance', 'chroma_distance'), ('precision', 'recall', 'chroma', 'near_black', 'near_white')
TRAITS = [name + end for names, other in ((DISTANCES, '_floor'), (VALUES, '_real')) for name in names for end in ('', other)]
COLUMNS = ('iteration', *LEVELS, *(f'{level}_floor' for level in LEVELS), 'diversity', 'nearest_distance',
           'nearest_distance_real', 'values_fair', 'values_total', 'images_per_second', *TRAITS)
REAL = '--images data/faces'
# the groups `faces`, `real` and `rates` have the settings of an earlier default
FIRST = {'wgan': '--upsample deconv',
         None: '--upsample deconv --norm-d none --lr-g 1e-3 --lr-d 5e-4 --noise 0.3 --noise-end 0.03'}
RATES = '--lr-g 1e-3 --lr-d 2e-4 --clip 0.1'       # of the best trial of MNIST's Wasserstein GAN, results/mnist/tune.py


def flags(preset, loss, epoch, more):
    """Those of a run, an epoch of so many updates."""
    if preset == 'default':
        more = f'{FIRST.get(loss, FIRST[None])} {more}'
    intervals = ' '.join(f'--{name}-interval {epoch}' for name in ('metric', 'sample', 'snapshot'))
    return (f'--preset {preset} --size 64 --loss {loss} --epoch 8 --epoch-size {epoch} --log-interval {epoch // 4} '
            f'{intervals} {more}').strip()


def compared(images, more=''):
    """Each loss with each preset on some images."""
    # an epoch has as many real images with every loss, an update of the Wasserstein GAN 5 batches of them
    return {f'{images} {preset} {loss}': (flags(preset, loss, updates // 5 if loss == 'wgan' else updates, more), range(3))
            for (preset, updates), loss in itertools.product({'default': 160, 'blog': 80}.items(), ('lsgan', 'wgan', 'gan'))}


# group: name: (flags, seeds)
GROUPS = {
    'faces': compared('faces'),
    'real': compared('real', REAL),
    # whether a Wasserstein GAN that takes larger steps draws faces, or one whose G takes as many as the others', too
    'rates': {'rates wgan': (flags('default', 'wgan', 32, RATES), range(1)),
              'rates wgan, one step of the critic': (flags('default', 'wgan', 160, f'{RATES} --n-critic 1'), range(1)),
              'rates real wgan, one step of the critic':
                  (flags('default', 'wgan', 160, f'{RATES} --n-critic 1 {REAL}'), range(1))},
    # batch normalisation in D and a faster G, with instance noise that stays; results are reported on other seeds
    'tuning': {name: (f'{REAL} --norm-d but-first --lr-g 2e-3 {more}', range(100, 101)) for name, more in {
        'constant noise 0.05': '--epoch 20 --noise 0.05 --noise-end 0.05 --lr-d 5e-4 --upsample deconv',
        'noise from 0.15 to 0.05': '--epoch 20 --noise 0.15 --noise-end 0.05 --lr-d 5e-4 --upsample deconv',
        'constant noise 0.05, resize': '--epoch 20 --noise 0.05 --noise-end 0.05 --lr-d 5e-4 --upsample resize',
        'constant noise 0.02, resize': '--epoch 20 --noise 0.02 --noise-end 0.02 --lr-d 5e-4 --upsample resize',
        'constant noise 0.05, resize, slower D': '--epoch 20 --noise 0.05 --noise-end 0.05 --lr-d 2.5e-4 --upsample resize',
        'constant noise 0.05, resize, slower D, 30 epochs':
            '--epoch 30 --noise 0.05 --noise-end 0.05 --lr-d 2.5e-4 --upsample resize'}.items()},
    'default': {'anime faces': (REAL, range(3)), 'drawn faces': ('', range(3))},
}

if __name__ == '__main__':
    sys.exit(main(__doc__, SCRIPT, HERE, GROUPS, COLUMNS))
