"""Tunes the convolutional networks for each loss; a row a trial in trials.csv.

    python results/mnist/tune.py lsgan                  10 trials of least squares, one at a time
    python results/mnist/tune.py wgan --jobs 2          of the Wasserstein GAN with clipped weights, two at a time
    python results/mnist/tune.py gan                    of the standard GAN

Each loss has ten settings, drawn at random, on seed 100, all with 60,000 real images seen, one pass. The best is that of the
smallest Fréchet distance. Trials that are there are not made again. The rows `tune` are of a first round, of least squares
with other settings to choose from.
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
             # steps of D, and the updates in an epoch that make its real images those of every other run
             '--n-critic': ['1 --epoch-size 600', '2 --epoch-size 300', '5 --epoch-size 120']},
}


def settings(loss):
    """The trials' flags."""
    draw = random.Random(loss)
    drawn = [' '.join(f'{flag} {draw.choice(values)}' for flag, values in CHOICES[loss].items()) for _ in range(DRAWN)]
    return [f'--loss {loss} {LENGTH} {flags}' for flags in drawn]


def main():
    parser = make_parser(__doc__)
    parser.add_argument('loss', choices=list(CHOICES))
    return guarded(parser.prog, lambda: tune(**vars(parser.parse_args())))


def tune(loss, jobs):
    wanted = [(f'second {loss} {i}', flags, SEED) for i, flags in enumerate(settings(loss))]
    failed = sweep(SCRIPT, TRIALS, wanted, COLUMNS, jobs)
    names = {name for name, _, _ in wanted}
    for row in sorted((row for row in rows(TRIALS) if row['name'] in names), key=distance):
        print(row['frechet_distance'], row['classes_fair'], row['confident'], row['flags'], sep='  ')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
