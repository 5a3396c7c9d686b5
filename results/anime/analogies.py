"""Measure whether latents encode the factors of drawn faces, by interpolation between latents and by sums a - b + c.

    python results/anime/analogies.py result/anime      a run on the drawn faces

The table has one row for each factor, such as the hair colour. All columns are fractions:

    read correctly          drawings whose value the reader recognises; this limits all other columns
    shown                   samples that show any value of the factor
    constant                interpolations between two samples with the same value that keep this value all the way
    changes once            interpolations between two samples with different values that change exactly once
    a's value in a - b + c  sums that show a's value, if b and c share another one
    c's value in a - b + c  sums that show c's value, if a and b share another one
    (by chance)             other samples that show the value expected in the column before
"""
import pathlib
import sys

import numpy as np

from lsgan.errors import InputError
from lsgan.random import analogy, way
from lsgan.training import flags
from lsgan.training.folder import RunFolder
from lsgan.training.run import guarded

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEADINGS = ('factor', 'read correctly', 'shown', 'constant', 'changes once', "a's value in a − b + c", '(by chance)',
            "c's value in a − b + c", '(by chance)')


def along(values):
    """Return how often a factor stays constant, or changes exactly once, along interpolations between two samples.

    Interpolations with an end that shows no value are left out. Samples between the ends that show no value are ignored.

    Args:
        values: int array of shape (N, steps), the values that the samples of each interpolation show, -1 for none.

    Returns:
        tuple of float: the fraction that stays constant, among interpolations whose ends show the same value; and the
        fraction that changes exactly once, among those whose ends show different values. nan if there are none.
    """
    kept = [row[row >= 0] for row in values if row[0] >= 0 and row[-1] >= 0]
    changes = np.array([np.count_nonzero(np.diff(row)) for row in kept])
    same = np.array([row[0] == row[-1] for row in kept], bool)
    return _fraction(changes[same] == 0), _fraction(changes[~same] == 1)


def expected(a, b, c, result):
    """Return how often a - b + c shows the expected value, and how often another sample shows it by chance.

    Args:
        a, b, c, result: int arrays of shape (N,), the values that each shows, -1 for none.

    Returns:
        list of float: the fraction of sums with a's value where b and c share another one, and the fraction of other samples
        with it; then both fractions for c's value where a and b share another one.
    """
    fractions = []
    for target, one, other in (a, b, c), (c, a, b):
        rows = (one == other) & (target != one) & (np.minimum(target, one) >= 0)
        fractions += [_fraction(found[rows] == target[rows]) for found in (result, np.roll(target, 1))]
    return fractions


def _fraction(found):
    return float(found.mean()) if len(found) else float('nan')


def table(folder, n, steps):
    """Yield the lines of the table.

    Args:
        folder (RunFolder): a run on the drawn faces.
        n (int): number of interpolations, and of sums.
        steps (int): samples on each interpolation, with both ends.

    Raises:
        InputError: if the run's images have no known factors.
    """
    distribution = folder.experiment.latent_distribution
    read = folder.experiment.data.read
    z = folder.latents(3 * n).reshape(3, n, -1)
    ways = read(folder.generate(np.concatenate([way(start, end, steps, distribution) for start, end in zip(z[0], z[1])])))
    if not ways:
        raise InputError(f'{folder.path}: the factors of its images are not known. Give a run made without --images')
    reliable = folder.experiment.data.reliability()
    parts = [read(folder.generate(part)) for part in (*z, np.stack([analogy(*abc, distribution) for abc in zip(*z)]))]
    yield '| ' + ' | '.join(HEADINGS) + ' |'
    yield '|---|' + '--:|' * (len(HEADINGS) - 1)
    for name in ways:
        numbers = (reliable[name], np.mean(ways[name] >= 0), *along(ways[name].reshape(n, steps)),
                   *expected(*(part[name] for part in parts)))
        yield f'| {name} | ' + ' | '.join(f'{number:.2f}' for number in numbers) + ' |'


def main():
    parser = flags.OneLineParser(description=__doc__.partition('\n')[0])
    parser.add_argument('run', metavar='RUN', help='run folder of a run on the drawn faces')
    parser.add_argument('-n', type=flags.at_least_two, default=1000,
                        help='number of interpolations, and of sums of latents (default: 1000)')
    parser.add_argument('--steps', type=flags.at_least_two, default=9,
                        help='samples on each interpolation, with both ends (default: 9)')

    def act():
        args = parser.parse_args()
        for line in table(RunFolder(args.run, ROOT), args.n, args.steps):
            print(line)
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
