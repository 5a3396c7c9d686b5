"""Adds to search.csv what runs of train_mnist.py measured: a row for each evaluation.

    train_mnist.py --seed 100 --lr-d 2e-4 -o result/slower
    python results/mnist/search.py result/slower
"""
import argparse
import pathlib
import sys

from sweep import HERE

from lsgan.training import snapshot
from lsgan.training.flags import OneLineParser
from lsgan.training.report import read_log
from lsgan.training.run import guarded
from lsgan.training.sweep import append

MEASURED = 'iteration', 'frechet_distance', 'classes_fair', 'confident', 'dis/loss', 'gen/loss'
# flags that are not settings, or have a column of their own, and whether something follows them
OMITTED = {'--seed': 1, '-d': 1, '--device': 1, '-g': 1, '--gpu': 1, '-o': 1, '--out': 1, '-r': 0, '--resume': 0}


def evaluations(folder):
    """The rows of a run, dicts."""
    config = snapshot.read_json(folder / 'config.json')
    words, kept = iter(config['command'][1:]), []
    for word in words:
        if word not in OMITTED:
            kept.append(word)
        elif OMITTED[word]:
            next(words)
    for entry in read_log(folder):
        if 'frechet_distance' in entry:
            yield {'seed': config['settings']['seed'], 'commit': config['git_commit'], 'flags': ' '.join(kept),
                   **{key: f'{entry[key]:.6g}' for key in MEASURED}, 'elapsed_time': f'{entry["elapsed_time"]:.0f}'}


def main():
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN', help='run folders')

    def act():
        for rows in [list(evaluations(folder)) for folder in parser.parse_args().runs]:
            if rows:
                append(HERE / 'search.csv', rows)
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
