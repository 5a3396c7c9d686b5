"""Adds to a search.csv what runs measured: a row for each evaluation, in results/mnist or results/anime.

    train_mnist.py --seed 100 --lr-d 2e-4 -o result/slower
    python results/search.py result/slower
"""
import argparse
import pathlib
import sys

from lsgan.errors import InputError
from lsgan.training import snapshot
from lsgan.training.flags import OneLineParser
from lsgan.training.report import read_log
from lsgan.training.run import guarded
from lsgan.training.sweep import append

HERE = pathlib.Path(__file__).resolve().parent
# experiment: metrics that its table has
MEASURED = {'mnist': ('frechet_distance', 'classes_fair', 'confident'),
            'anime': ('sliced_wasserstein', 'sliced_wasserstein_16', 'diversity', 'nearest_distance', 'values_fair')}
LOSSES = 'dis/loss', 'gen/loss'
# flags that are not settings, or have a column of their own, and whether something follows them
OMITTED = {'--seed': 1, '-d': 1, '--device': 1, '-g': 1, '--gpu': 1, '-o': 1, '--out': 1, '-r': 0, '--resume': 0}


def evaluations(folder):
    """The table of a run and its rows, dicts."""
    config = snapshot.read_json(folder / 'config.json')
    experiment = config['settings']['experiment']
    if experiment not in MEASURED:
        raise InputError(f'{folder}: a run of train_{experiment}.py; there is a table for {" and ".join(MEASURED)}')
    words, kept = iter(config['command'][1:]), []
    for word in words:
        if word not in OMITTED:
            kept.append(word)
        elif OMITTED[word]:
            next(words)
    measured = MEASURED[experiment]
    return HERE / experiment / 'search.csv', [
        {'seed': config['settings']['seed'], 'commit': config['git_commit'], 'flags': ' '.join(kept),
         **{key: f'{entry.get(key, float("nan")):.6g}' for key in ('iteration', *measured, *LOSSES)},
         'elapsed_time': f'{entry["elapsed_time"]:.0f}'}
        for entry in read_log(folder) if measured[0] in entry]


def main():
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN', help='run folders')

    def act():
        for table, rows in [evaluations(folder) for folder in parser.parse_args().runs]:
            if rows:
                append(table, rows)
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
