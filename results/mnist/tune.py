"""Tune the convolutional networks for each loss; each trial is one row of trials.csv.

    python results/mnist/tune.py lsgan                  10 trials of least squares, one at a time
    python results/mnist/tune.py wgan --jobs 2          10 trials of the Wasserstein GAN with clipped weights, two at a time
    python results/mnist/tune.py gan                    10 trials of the standard GAN

Each loss gets ten random settings with seed 100. Every trial lasts one epoch, 60,000 real images. The best trial has the
smallest Fréchet distance. Trials that already have a row are not repeated. The rows named `tune` are from a first round of
least squares, which drew from other settings.
"""
import random
import sys

from sweep import COLUMNS, HERE, SCRIPT, distance

from lsgan.training.run import guarded
from lsgan.training.sweep import make_parser, rows, sweep

TRIALS = HERE / 'trials.csv'
DRAWN, SEED, LENGTH = 10, 100, '--epoch 1 --metric-interval 600 --sample-interval 600 --snapshot-interval 600'
NETS = {'--latent': ['16', '32', '64'], '--hidden-d': ['32 64 128', '32 64 128 256'], '--norm': ['both', 'both', 'g'],
        '--init-std': ['0.02 0.02', '0.05 0.05'], '--average': ['0.99', '0.999'], '--lr-decay': ['0', '0.5', '1'],
        '--noise': ['0', '0.3 --noise-end 0.3', '0.5 --noise-end 0.5']}
ADAM = {'--lr-g': ['1e-3', '2e-3', '4e-3'], '--lr-d': ['2e-4', '5e-4', '1e-3'], '--beta1': ['0', '0.5'],
        '--beta2': ['0.99', '0.999']}
CHOICES = {
    'lsgan': {**NETS, **ADAM},
    'gan': {**NETS, **ADAM},
    'wgan': {**NETS, '--lr-g': ['5e-5', '2e-4', '1e-3'], '--lr-d': ['5e-5', '2e-4', '1e-3'], '--clip': ['0.01', '0.03', '0.1'],
             # more steps of D for each of G need fewer updates, so that D sees as many real images as in the other runs
             '--n-critic': ['1 --epoch-size 600', '2 --epoch-size 300', '5 --epoch-size 120']},
}


def settings(loss):
    """Return the flags of each trial.

    Args:
        loss (str): a key of `CHOICES`; it also seeds the random draws.
    """
    draw = random.Random(loss)
    drawn = [' '.join(f'{flag} {draw.choice(values)}' for flag, values in CHOICES[loss].items()) for _ in range(DRAWN)]
    return [f'--loss {loss} {LENGTH} {flags}' for flags in drawn]


def main():
    parser = make_parser(__doc__)
    parser.add_argument('loss', choices=list(CHOICES), help='loss to tune: least squares, standard GAN or Wasserstein GAN')
    return guarded(parser.prog, lambda: tune(**vars(parser.parse_args())))


def tune(loss, jobs):
    """Make the missing trials of a loss, `jobs` at a time, print them from best to worst, and return an exit status."""
    wanted = [(f'second {loss} {i}', flags, SEED) for i, flags in enumerate(settings(loss))]
    failed = sweep(SCRIPT, TRIALS, wanted, COLUMNS, jobs)
    names = {name for name, _, _ in wanted}
    for row in sorted((row for row in rows(TRIALS) if row['name'] in names), key=distance):
        print(row['frechet_distance'], row['classes_fair'], row['confident'], row['flags'], sep='  ')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
