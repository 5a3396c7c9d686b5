"""Make the runs behind the results pages, and write one row for each run to GROUP.csv.

    python results/mnist/sweep.py map                   make the missing rows of a group, one run at a time
    python results/mnist/sweep.py map --jobs 2          make two runs at a time
    python results/mnist/sweep.py factors --list        list the rows that exist and those that are missing

The groups are default, map, plain, published, targets, longer, pfnet, he, convolutional, factors, long, losses, stability and
penalties. Without a group, all of them are made.

An interrupted run continues where it stopped. A finished run appends its row with the git commit that made it. Its run folder
in result/sweep is kept for pictures. MNIST is read from the cache, or downloaded.
"""
import itertools
import math
import pathlib
import re
import sys

from lsgan.penalties import PENALTIES
from lsgan.training.sweep import main, rows

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / 'train_mnist.py'
STDS = '0.0003', '0.001', '0.003', '0.01', '0.03', '0.1'
SCHEMES, OPTIMIZERS = ('binary', 'pearson'), ('adam', 'rmsprop')
LOGGED = 'gen/loss', 'dis/loss', 'dis/real', 'dis/fake', 'gen/gradient', 'dis/gradient'
COLUMNS = ('iteration', 'frechet_distance', 'frechet_distance_floor', 'classes_fair', 'class_kl', 'confident',
           'nearest_distance', 'saturated', 'images_per_second',
           *(f'{key} {when}' for key in LOGGED for when in ('first', 'last')))
THREE = range(3)


def distance(row):
    """Return the Fréchet distance of a row as float: infinity if the run diverged."""
    value = float(row['frechet_distance'])
    return math.inf if math.isnan(value) else value


def finalists():
    """Return the flags of the best three trials of each loss, from trials.csv as made by tune.py.

    Returns:
        dict: from the loss to a dict from names to flags. Flags for length and reports are left out.
    """
    trials = {}
    for row in rows(HERE / 'trials.csv'):
        loss = re.match('second (.+) ', row['name'])
        if loss:
            trials.setdefault(loss[1], []).append(row)
    return {loss: {f'tuned {loss}{place}': re.sub(r'--(epoch|\w+-interval) \S+ ', '', row['flags'])
                   for place, row in zip(('', ', second', ', third'), sorted(made, key=distance))}
            for loss, made in trials.items()}


def seeds(names):
    """Return the seeds of each finalist of a loss: 0 and, for the best one after all have a row, two more.

    Args:
        names (iterable of str): names of the finalists of one loss.
    """
    made = {row['name']: distance(row) for row in rows(HERE / 'losses.csv') if row['seed'] == '0'}
    complete = all(name in made for name in names)
    return {name: THREE if complete and name == min(names, key=made.get) else range(1) for name in names}


def blog(epochs, interval):
    """Return the flags of a run with the blog's settings.

    Args:
        epochs (int): length of the run, in epochs of 600 updates.
        interval (int): updates between evaluations, pictures and snapshots.
    """
    intervals = ' '.join(f'--{name}-interval {interval}' for name in ('metric', 'sample', 'snapshot'))
    return f'--preset blog --epoch {epochs} --epoch-size 600 {intervals} --gradient-norms'


def plain_seeds(g, d):
    """Return the seeds of one cell of the map without batch normalisation.

    There are three with the published scales and with 0.1 in G. There are two beside a G of 0.0003, to see whether D's scale
    explains why seeds 0 and 1 differ. Everywhere else there is one.

    Args:
        g, d (str): initial scales of G and D.
    """
    return THREE if d == '0.001' and g in ('0.001', '0.1') else range(2) if g == '0.0003' and float(d) < 0.03 else range(1)


SHORT, LONGER = blog(4, 2400), blog(30, 6000)
# the learning rates of DCGAN, and no instance noise
STABILITY = '--epoch 2 --lr-g 2e-4 --lr-d 2e-4 --noise 0'
# group: name: (flags, seeds)
GROUPS = {
    # the default settings, and an earlier default that seeds 0 to 4 showed to be not good enough
    'default': {'default': ('--gradient-norms', range(10)),
                'less noise': ('--gradient-norms --noise 0.3 --noise-end 0.28 --epoch 15', range(5))},
    # the initial scales of G and D, with the blog's perceptrons and 2,400 updates
    'map': {f'map {scheme} {optimizer} {g} {d}':
            (f'{SHORT} --scheme {scheme} --optimizer {optimizer} --init-std {g} {d}', THREE)
            for scheme, optimizer, g, d in itertools.product(SCHEMES, OPTIMIZERS, STDS, STDS)},
    # the same scales without batch normalisation in G, as in the published code; other seeds only for the telling cells
    'plain': {f'plain {g} {d}': (f'{SHORT} --norm none --init-std {g} {d}', plain_seeds(g, d))
              for g, d in itertools.product(STDS, STDS)},
    # other optimizers and activations in the published code, which has no batch normalisation
    'published': {f'published {name}': (f'{SHORT} --norm none {flags}', THREE) for name, flags in [
        ('rmsprop', '--optimizer rmsprop'), ('G leaky_relu', '--activation-g leaky_relu'), ('G tanh', '--activation-g tanh')]},
    # from the targets 0, 1, 1 to -1, 1, 0, in all combinations: b - a is 1 or 2; D, which gives 0 at first, begins at its
    # target for generated images or halfway; G wants D's target for real images or halfway
    'targets': {f'targets {abc}': (f'{SHORT} --abc {abc}', THREE)
                for abc in ('0 2 2', '0 1 0.5', '0 2 1', '-0.5 0.5 0.5', '-0.5 0.5 0', '-1 1 1')},
    # settings that have not learnt in the map, for 30 epochs
    'longer': {'longer -1 1 0': (f'{LONGER} --abc -1 1 0', range(1)),
               'longer G 0.1': (f'{LONGER} --init-std 0.1 0.001', range(1)),
               'longer D 0.03': (f'{LONGER} --init-std 0.001 0.03', range(1))},
    # which combinations train? Batch normalisation in both networks of the default, in D only, and in neither
    'stability': {f'stability {loss} {optimizer} {norm}':
                  (f'{STABILITY} --loss {loss} --optimizer {optimizer} --norm {norm}', THREE)
                  for norm, optimizer, loss in itertools.product(('both', 'd', 'none'), OPTIMIZERS, ('lsgan', 'gan'))},
    # the Chainer reference implementation
    'pfnet': {'pfnet': ('--preset pfnet --epoch 3 --gradient-norms', range(1))},
    # He initialisation, whose scale follows from the size of each layer
    'he': {'he': (f'{SHORT} --init he', THREE), 'he plain': (f'{SHORT} --init he --norm none', THREE)},
    # does the map hold for convolutions? The published scales, the best ones for perceptrons, DCGAN's, and DCGAN's with a
    # larger scale in either network
    'convolutional': {f'convolutional {norm} {g} {d}':
                      (f'{SHORT} --network conv --norm {norm} --init-std {g} {d}', range(1))
                      for norm, (g, d) in itertools.product(('none', 'g'), (
                          ('0.001', '0.001'), ('0.003', '0.01'), ('0.02', '0.02'), ('0.1', '0.02'), ('0.02', '0.1')))},
    # ablations of the blog's perceptrons, one factor at a time, 30 epochs
    'factors': {name: (f'{LONGER} {flags}'.strip(), THREE) for name, flags in [
        ('blog', ''),
        ('without normalisation', '--norm none'),
        ('rmsprop', '--optimizer rmsprop'),
        *((f'{net.upper()} {activation}', f'--activation-{net} {activation}')
          for net, activations in {'g': ('leaky_relu', 'tanh', 'sigmoid'), 'd': ('relu', 'tanh', 'sigmoid')}.items()
          for activation in activations)]},
    # Adam, as published, and RMSprop, ten times as long, with a picture every 10 epochs
    'long': {name: (f'{blog(300, 6000)} {flags}'.strip(), range(1))
             for name, flags in {'blog long': '', 'rmsprop long': '--optimizer rmsprop'}.items()},
    # the best three of the ten trials of each loss, for 5 epochs; then the best of these with other seeds
    'losses': {name: (f'{flags} --epoch 5 --log-interval 60 --gradient-norms', seeds(made)[name])
               for made in finalists().values() for name, flags in made.items()},
    # gradient penalties for 5 epochs, without batch normalisation in D, which would mix the gradients of examples
    'penalties': {'penalty none, normalised D': ('--epoch 5', range(1)),
                  'penalty none': ('--epoch 5 --norm g', range(1)),
                  **{f'penalty {kind}': (f'--epoch 5 --norm g --gradient-penalty {kind}', range(1)) for kind in PENALTIES}},
}


def learnt(row):
    """Return whether a run has learnt digits: at least half of the classes are fair, and the Fréchet distance is at most 100.

    The criterion was fixed before the runs, in view of a run that had learnt rough digits (distance 26.5, 5 fair classes) and
    one that drew a single picture (427, no fair class).

    Args:
        row (dict): a row of a table in this folder.
    """
    return float(row['classes_fair']) >= 5 and float(row['frechet_distance']) <= 100


if __name__ == '__main__':
    sys.exit(main(__doc__, SCRIPT, HERE, GROUPS, COLUMNS))
