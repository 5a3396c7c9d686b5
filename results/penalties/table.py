"""Print the tables of README.md from GROUP.csv: means over the seeds, each with its standard deviation.

    python results/penalties/table.py ring              the groups are those of sweep.py
"""
import itertools
import statistics
import sys

from sweep import GROUPS, HERE

from lsgan.training.sweep import print_tables, rows

COLUMNS = {'modes': lambda row: row['modes_captured'], 'fair': lambda row: row['modes_fair'],
           'high quality': lambda row: row['high_quality'], 'distance': lambda row: row['sliced_wasserstein'],
           'distance / floor': lambda row: float(row['sliced_wasserstein']) / float(row['sliced_wasserstein_floor'])}


def table(group):
    """Yield the lines of the table of `group`, a key of `sweep.GROUPS`."""
    yield ' '.join(['| run | seeds |', ' | '.join(COLUMNS), '|'])
    yield '|---|' + '--:|' * (1 + len(COLUMNS))
    order = sorted(rows(HERE / f'{group}.csv'), key=lambda row: row['name'])
    for name, runs in ((name, [*runs]) for name, runs in itertools.groupby(order, key=lambda row: row['name'])):
        cells = [name, str(len(runs))]
        for column, read in COLUMNS.items():
            values, digits = [float(read(row)) for row in runs], 3 if column in ('high quality', 'distance') else 1
            spread = f' ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.{digits}f}{spread}')
        yield ' '.join(['|', ' | '.join(cells), '|'])


if __name__ == '__main__':
    sys.exit(print_tables(__doc__, GROUPS, table))
