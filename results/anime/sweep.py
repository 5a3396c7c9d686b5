"""Make runs for the results page, and write one row for each run to GROUP.csv.

    python results/anime/sweep.py faces                 make the missing rows of a group, one run at a time
    python results/anime/sweep.py faces --jobs 2        make two runs at a time; best with OMP_NUM_THREADS=1
    python results/anime/sweep.py faces --list          list the missing runs

Without a group, the runs of all groups are made. The groups are:

    faces       three losses, the first settings and the blog's, drawn faces, 8 epochs of 10,240 real images
    real        the same on the anime faces, a folder or zip at data/faces
    rates       larger learning rates for the Wasserstein GAN, on drawn and anime faces
    tuning      trials for a better default, anime faces, seed 100
    rivals      trials of the other losses with the default networks, anime faces, seed 100, 10 epochs
    default     the default settings, on anime faces and on drawn faces
    stability   with and without batch normalisation, Adam and RMSprop, least squares and the standard GAN, on drawn faces
    penalties   gradient penalties without batch normalisation in D, anime faces, 10 epochs

All images have 64x64 pixels. An interrupted run continues where it stopped. A finished run appends its row with the git commit
that made it. Its run folder in result/sweep is kept for pictures.
"""
import itertools
import pathlib
import sys

from lsgan.penalties import PENALTIES
from lsgan.training.sweep import main

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / 'train_anime.py'
LEVELS = [f'sliced_wasserstein{level}' for level in ('', '_64', '_32', '_16')]
DISTANCES, VALUES = ('frechet_distance', 'chroma_distance'), ('precision', 'recall', 'chroma', 'near_black', 'near_white')
TRAITS = [name + end for names, other in ((DISTANCES, '_floor'), (VALUES, '_real')) for name in names for end in ('', other)]
COLUMNS = ('iteration', *LEVELS, *(f'{level}_floor' for level in LEVELS), 'diversity', 'nearest_distance',
           'nearest_distance_real', 'values_fair', 'values_total', 'images_per_second', *TRAITS)
REAL = '--images data/faces'
# The first settings, by loss, for the groups `faces`, `real` and `rates`. The preset `default` has other values.
FIRST = {'wgan': '--upsample deconv',
         None: '--upsample deconv --norm-d none --lr-g 1e-3 --lr-d 5e-4 --noise 0.3 --noise-end 0.03'}
RATES = '--lr-g 1e-3 --lr-d 2e-4 --clip 0.1'       # best trial of the Wasserstein GAN on MNIST, results/mnist/tune.py
ONE_STEP = '--loss wgan --n-critic 1 --epoch-size 150 --log-interval 50'       # as many updates of G as the other losses


def flags(preset, loss, epoch, more):
    """Return the flags of a run of 8 epochs, in one string.

    Args:
        preset (str): `default`, which stands for the first settings here, or `blog`.
        loss (str): value of --loss.
        epoch (int): updates of G in an epoch; measures, samples and snapshots are made once in each.
        more (str): further flags, which override the others.
    """
    if preset == 'default':
        more = f'{FIRST.get(loss, FIRST[None])} {more}'
    intervals = ' '.join(f'--{name}-interval {epoch}' for name in ('metric', 'sample', 'snapshot'))
    return (f'--preset {preset} --size 64 --loss {loss} --epoch 8 --epoch-size {epoch} --log-interval {epoch // 4} '
            f'{intervals} {more}').strip()


def compared(images, more=''):
    """Return a group with each loss and each preset, three seeds each.

    Args:
        images (str): what the names of the runs begin with.
        more (str): flags that choose the images.

    Returns:
        dict: from each run's name to its flags and seeds.
    """
    # Every loss sees equally many real images in an epoch: an update of the Wasserstein GAN takes 5 batches of them.
    return {f'{images} {preset} {loss}': (flags(preset, loss, updates // 5 if loss == 'wgan' else updates, more), range(3))
            for (preset, updates), loss in itertools.product({'default': 160, 'blog': 80}.items(), ('lsgan', 'wgan', 'gan'))}


# Batch normalisation in both networks, in D only, and in neither, with the learning rates of DCGAN and without instance noise
NORMS = {'both': '--norm-g unit --norm-d but-first', 'd': '--norm-g none --norm-d but-first',
         'none': '--norm-g none --norm-d none'}
STABILITY = '--epoch 4 --epoch-size 160 --lr-g 2e-4 --lr-d 2e-4 --lr-decay 0 --noise 0'

# {group: {name: (flags, seeds)}}
GROUPS = {
    'faces': compared('faces'),
    'real': compared('real', REAL),
    # Does a Wasserstein GAN draw faces with larger steps, and with as many updates of G as the other losses have?
    'rates': {'rates wgan': (flags('default', 'wgan', 32, RATES), range(1)),
              'rates wgan, one step of the critic': (flags('default', 'wgan', 160, f'{RATES} --n-critic 1'), range(1)),
              'rates real wgan, one step of the critic':
                  (flags('default', 'wgan', 160, f'{RATES} --n-critic 1 {REAL}'), range(1))},
    # Batch normalisation in D, a larger learning rate for G, and weak noise. `default` uses other seeds than this group.
    'tuning': {name: (f'{REAL} --norm-d but-first --lr-g 2e-3 {more}', range(100, 101)) for name, more in {
        'constant noise 0.05': '--epoch 20 --noise 0.05 --noise-end 0.05 --lr-d 5e-4 --upsample deconv',
        'noise from 0.15 to 0.05': '--epoch 20 --noise 0.15 --noise-end 0.05 --lr-d 5e-4 --upsample deconv',
        'constant noise 0.05, resize': '--epoch 20 --noise 0.05 --noise-end 0.05 --lr-d 5e-4 --upsample resize',
        'constant noise 0.02, resize': '--epoch 20 --noise 0.02 --noise-end 0.02 --lr-d 5e-4 --upsample resize',
        'constant noise 0.05, resize, slower D': '--epoch 20 --noise 0.05 --noise-end 0.05 --lr-d 2.5e-4 --upsample resize',
        'constant noise 0.05, resize, slower D, 30 epochs':
            '--epoch 30 --noise 0.05 --noise-end 0.05 --lr-d 2.5e-4 --upsample resize'}.items()},
    # As many trials of each as of least squares in `tuning`, read after 10 epochs. An update of D sees 64 images everywhere.
    'rivals': {f'rivals {name}': (f'{REAL} --epoch 10 {more}', range(100, 101)) for name, more in {
        'gan': '--loss gan',
        'gan, faster D': '--loss gan --lr-d 5e-4',
        'gan, slower G': '--loss gan --lr-g 1e-3',
        'gan, faster D, noise 0.02': '--loss gan --lr-d 5e-4 --noise 0.02 --noise-end 0.02',
        'gan, faster D, noise 0.1': '--loss gan --lr-d 5e-4 --noise 0.1 --noise-end 0.1',
        'wgan': f'{ONE_STEP} {RATES}',
        'wgan, faster G': f'{ONE_STEP} {RATES} --lr-g 2e-3',
        'wgan, faster': f'{ONE_STEP} {RATES} --lr-g 2e-3 --lr-d 5e-4',
        'wgan, bound 0.03': f'{ONE_STEP} {RATES} --clip 0.03',
        'wgan, faster, noise 0.05': f'{ONE_STEP} {RATES} --lr-g 2e-3 --lr-d 5e-4 --noise 0.05 --noise-end 0.05'}.items()},
    'default': {'anime faces': (REAL, range(3)), 'drawn faces': ('', range(3))},
    'stability': {f'stability {loss} {optimizer} {norm}':
                  (f'{STABILITY} --loss {loss} --optimizer {optimizer} {NORMS[norm]}', range(3))
                  for norm, optimizer, loss in itertools.product(NORMS, ('adam', 'rmsprop'), ('lsgan', 'gan'))},
    'penalties': {'penalty none, normalised D': (f'{REAL} --epoch 10', range(1)),
                  'penalty none': (f'{REAL} --epoch 10 --norm-d none', range(1)),
                  **{f'penalty {kind}': (f'{REAL} --epoch 10 --norm-d none --gradient-penalty {kind}', range(1))
                     for kind in PENALTIES}},
}

if __name__ == '__main__':
    sys.exit(main(__doc__, SCRIPT, HERE, GROUPS, COLUMNS))
