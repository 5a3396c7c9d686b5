"""Print the tables of README.md from GROUP.csv: means over the seeds, each with its standard deviation.

    python results/penalties/table.py tuning
    python results/penalties/table.py ring
"""
import itertools
import statistics
import sys

from sweep import HERE

from lsgan.training.sweep import rows

COLUMNS = {'modes': lambda row: row['modes_captured'], 'fair': lambda row: row['modes_fair'],
           'high quality': lambda row: row['high_quality'], 'distance': lambda row: row['sliced_wasserstein'],
           'distance / floor': lambda row: float(row['sliced_wasserstein']) / float(row['sliced_wasserstein_floor'])}


def main(group):
    print('| run | seeds |', ' | '.join(COLUMNS), '|')
    print('|---|' + '--:|' * (1 + len(COLUMNS)))
    order = sorted(rows(HERE / f'{group}.csv'), key=lambda row: row['name'])
    for name, runs in ((name, [*runs]) for name, runs in itertools.groupby(order, key=lambda row: row['name'])):
        cells = [name, str(len(runs))]
        for column, read in COLUMNS.items():
            values, digits = [float(read(row)) for row in runs], 3 if column in ('high quality', 'distance') else 1
            spread = f' ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.{digits}f}{spread}')
        print('|', ' | '.join(cells), '|')


if __name__ == '__main__':
    main(*sys.argv[1:])
