"""Do the latents know the faces' factors? Prints what is read of the samples between two latents, and of a - b + c.

    python results/anime/analogies.py result/anime      a run on the drawn faces

Of each factor, such as the colour of the hair, the table says how often it is read rightly of drawings themselves, which
bounds what follows; which share of the samples shows any value of it; how often it stays all the way between two samples that
show the same value, and how often it changes just once between two others; how often a - b + c shows what is expected: a's
value where b and c share another one, and c's where a and b share another one. By chance is how often any other sample would.
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
HEADINGS = ('factor', 'read rightly', 'shown', 'stays', 'changes once', 'a − b + c has what a brings', '(by chance)',
            'what c brings', '(by chance)')


def along(values):
    """How often a factor does on the ways between two samples what one hopes for.

    Args:
        values: int array of shape (N, steps), of each way the values that its samples show, -1 for none.

    Returns:
        tuple of float: of the ways whose ends show the same value, the share where nothing between shows another; of those
        whose ends show two, the share that goes from one to the other and not back. Samples that show none do not count.
    """
    kept = [row[row >= 0] for row in values if row[0] >= 0 and row[-1] >= 0]
    changes = np.array([np.count_nonzero(np.diff(row)) for row in kept])
    same = np.array([row[0] == row[-1] for row in kept], bool)
    return _share(changes[same] == 0), _share(changes[~same] == 1)


def expected(a, b, c, result):
    """How often a - b + c shows what it should, and how often any sample would.

    Args:
        a, b, c, result: int arrays (N,), the values that each shows, -1 for none.

    Returns:
        list of float: the share with a's value where b and c share another one, and that of other samples with it; then the
        same of c's value where a and b share another one.
    """
    shares = []
    for target, one, other in (a, b, c), (c, a, b):
        rows = (one == other) & (target != one) & (np.minimum(target, one) >= 0)
        shares += [_share(found[rows] == target[rows]) for found in (result, np.roll(target, 1))]
    return shares


def _share(found):
    return float(found.mean()) if len(found) else float('nan')


def table(folder, n, steps):
    """The lines of the table of a `RunFolder`, of n ways with so many samples and of n sums."""
    distribution = folder.experiment.latent_distribution
    read = folder.experiment.data.read
    z = folder.latents(3 * n).reshape(3, n, -1)
    ways = read(folder.generate(np.concatenate([way(start, end, steps, distribution) for start, end in zip(z[0], z[1])])))
    if not ways:
        raise InputError(f'{folder.path}: a run on images whose factors are not known')
    rightly = folder.experiment.data.reliability()
    parts = [read(folder.generate(part)) for part in (*z, np.stack([analogy(*abc, distribution) for abc in zip(*z)]))]
    yield '| ' + ' | '.join(HEADINGS) + ' |'
    yield '|---|' + '--:|' * (len(HEADINGS) - 1)
    for name in ways:
        numbers = (rightly[name], np.mean(ways[name] >= 0), *along(ways[name].reshape(n, steps)),
                   *expected(*(part[name] for part in parts)))
        yield f'| {name} | ' + ' | '.join(f'{number:.2f}' for number in numbers) + ' |'


def main():
    parser = flags.OneLineParser(description=__doc__.partition('\n')[0])
    parser.add_argument('run', metavar='RUN', help='run folder')
    parser.add_argument('-n', type=flags.at_least_two, default=1000, help='ways, and sums of latents (default: 1000)')
    parser.add_argument('--steps', type=flags.at_least_two, default=9, help='samples on each way, with both ends (default: 9)')

    def act():
        args = parser.parse_args()
        for line in table(RunFolder(args.run, ROOT), args.n, args.steps):
            print(line)
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
