"""Add the evaluations of training runs to search.csv in results/mnist or results/anime, one row for each evaluation.

    train_mnist.py --seed 100 --lr-d 2e-4 -o result/slower
    python results/search.py result/slower

Rows that the table already has are not added again.
"""
import argparse
import pathlib
import sys

from lsgan.errors import InputError
from lsgan.training import snapshot
from lsgan.training.flags import OneLineParser
from lsgan.training.report import read_log
from lsgan.training.run import guarded
from lsgan.training.sweep import append, rows

HERE = pathlib.Path(__file__).resolve().parent
# experiment: the metrics in its table
MEASURED = {'mnist': ('frechet_distance', 'classes_fair', 'confident'),
            'anime': ('sliced_wasserstein', 'sliced_wasserstein_64', 'sliced_wasserstein_16', 'diversity', 'nearest_distance')}
LOSSES = 'dis/loss', 'gen/loss'


def evaluations(folder):
    """Return the path of the table that a run belongs to, and one row (dict of str) for each evaluation of the run.

    Args:
        folder (pathlib.Path): run folder of train_mnist.py or train_anime.py.

    Raises:
        InputError: if `folder` is not such a run folder.
    """
    settings, config = snapshot.read_settings(folder), snapshot.read_json(folder / 'config.json')
    experiment = settings['experiment']
    if experiment not in MEASURED:
        raise InputError(f'{folder}: a run of train_{experiment}.py; only {" and ".join(MEASURED)} have a table')
    measured, others = MEASURED[experiment], argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in ('--seed',), ('-d', '--device', '-g', '--gpu'), ('-o', '--out'):
        others.add_argument(*names)         # these flags are no settings, or have a column of their own
    others.add_argument('-r', '--resume', nargs='?')
    kept = others.parse_known_args(config['command'][1:])[1]
    return HERE / experiment / 'search.csv', [
        {'seed': str(settings['seed']), 'commit': config['git_commit'], 'flags': ' '.join(kept),
         **{key: f'{entry.get(key, float("nan")):.6g}' for key in ('iteration', *measured, *LOSSES)},
         'elapsed_time': f'{entry["elapsed_time"]:.0f}'}
        for entry in read_log(folder) if measured[0] in entry]


def main():
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN', help='one or more run folders')

    def act():
        for table, made in [evaluations(folder) for folder in parser.parse_args().runs]:
            there = rows(table)
            new = [row for row in made if row not in there]     # the same run may be given twice
            if new:
                append(table, new)
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
