"""Tune the default preset for the losses other than least squares; each trial is one row of trials.csv.

    python results/gaussian/tune.py gan                 38 trials of the standard GAN, one at a time
    python results/gaussian/tune.py wgan --jobs 2       38 trials of the Wasserstein GAN with clipped weights, two at a time

Each loss gets 38 trials, as many as least squares (tuning.csv). 26 of them use seed 100: the default's own settings and 25
random settings. The best four settings are then tried again with seeds 101 to 103. The winner has the largest mean score over
these three seeds; ties go to the smallest mean distance. Every trial sees as many real examples as the default. Trials that
already have a row are not repeated.
"""
import random
import statistics
import sys

from sweep import HERE, METRICS, SCRIPT

from lsgan.training.run import guarded
from lsgan.training.sweep import make_parser, rows, sweep

TRIALS = HERE / 'trials.csv'
DRAWN, FINAL_SEEDS = 25, (101, 102, 103)
COMMON = {'--hidden-g': ['128 128 128', '128 128 128 128'], '--hidden-d': ['128 128', '128 128 128'],
          '--activation-d': ['leaky_relu', 'tanh'], '--noise': ['0', '0.5', '2'], '--lr-decay': ['0.5', '1'],
          '--average': ['0.99', '0.999']}
CHOICES = {
    'gan': {**COMMON, '--lr-g': ['3e-4', '1e-3', '2e-3'], '--lr-d': ['3e-4', '1e-3', '2e-3'], '--beta1': ['0', '0.5'],
            '--beta2': ['0.99', '0.999']},
    'wgan': {**COMMON, '--lr-g': ['1e-4', '3e-4', '1e-3'], '--lr-d': ['1e-4', '3e-4', '1e-3'],
             '--clip': ['0.03', '0.1', '0.3', '1'],
             # more steps of D for each of G need fewer epochs, so that D sees as many real examples as in the other runs
             '--n-critic': [f'{n} --epoch {epochs} --epoch-size 1000' for n, epochs in ((1, 25), (2, 13), (5, 5))]},
}


def settings(loss):
    """Return the flags of each trial, the default's own settings first.

    Args:
        loss (str): gan or wgan; it also seeds the random draws.
    """
    draw = random.Random(loss)
    return [f'--loss {loss}'] + [
        ' '.join([f'--loss {loss}', *(f'{flag} {draw.choice(values)}' for flag, values in CHOICES[loss].items())])
        for _ in range(DRAWN)]


def score(row):
    """Return the score of a trial: 1 if it is on target, 0 if it diverged.

    Otherwise it is a product of one factor for each part of the target (see `table.meets_target`). A factor is 1 if its part
    is met, and smaller the further it is missed.

    Args:
        row (dict): a row of trials.csv.
    """
    fair, total, quality, least, most = (float(row[key]) for key in (
        'modes_fair', 'modes_total', 'high_quality', 'spread_min', 'spread_max'))
    return fair / total * min(1, quality / 0.97) * min(1, least / 0.7) * min(1, 1.3 / most) if most > 0 else 0


def main():
    parser = make_parser(__doc__)
    parser.add_argument('loss', choices=list(CHOICES), help='loss to tune: standard GAN or Wasserstein GAN')
    return guarded(parser.prog, lambda: tune(**vars(parser.parse_args())))


def tune(loss, jobs):
    """Make the missing trials of a loss, `jobs` at a time, print the ranking, and return an exit status."""
    number = {flags: i for i, flags in enumerate(settings(loss))}

    def trials():
        return [row for row in rows(TRIALS) if row['flags'] in number]

    def run(wanted):
        wanted = [(f'tune {loss} {number[flags]}', flags, seed) for flags, seed in wanted]
        return sweep(SCRIPT, TRIALS, wanted, METRICS, jobs)

    def rank(seeds):
        tried = {}
        for row in trials():
            if int(row['seed']) in seeds:
                tried.setdefault(row['flags'], []).append(row)
        mean = {flags: (statistics.mean(map(score, each)), -statistics.mean(float(row['sliced_wasserstein']) for row in each))
                for flags, each in tried.items() if len(each) == len(seeds)}
        return sorted(mean.items(), key=lambda item: item[1], reverse=True)

    failed = run([(flags, 100) for flags in number])
    failed += run([(flags, seed) for seed in FINAL_SEEDS for flags, _ in rank((100,))[:4]])
    for flags, (points, distance) in rank(FINAL_SEEDS):
        print(f'{points:.3f}  {-distance:.3f}  {flags}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
