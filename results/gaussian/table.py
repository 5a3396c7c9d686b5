"""Print the final metrics of the runs of a group from GROUP.csv: means over the seeds, each with its standard deviation.

    python results/gaussian/table.py runs               the groups are those of sweep.py

The spread, and the distance over its floor, are the smallest and the largest of all runs.
"""
import statistics
import sys

from sweep import GROUPS, HERE

from lsgan.training.sweep import print_tables, rows


def meets_target(row):
    """Return whether a run is on target.

    It is if every mode holds at least half of its fair share of the samples, at least 97% of the samples are of high quality,
    and the standard deviation of every mode is within 30% of sigma.

    Args:
        row (dict): a row of a table of this folder.
    """
    return (row['modes_fair'] == row['modes_total'] and float(row['high_quality']) >= 0.97
            and float(row['spread_min']) >= 0.7 and float(row['spread_max']) <= 1.3)


def mean(runs, key, digits):
    """Return the mean of a column as text, with the standard deviation if there are several runs.

    Args:
        runs (list of dict): rows of a table of this folder.
        key (str): the column.
        digits (int): decimal places.
    """
    values = [float(row[key]) for row in runs]
    spread = f' ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.{digits}f}{spread}'


def extent(least, most):
    """Return the smallest of the values `least` and the largest of the values `most` as text."""
    return f'{min(map(float, least)):.2f} to {max(map(float, most)):.2f}'


def table(group):
    """Yield the lines of the table of `group`, a key of `sweep.GROUPS`."""
    yield ('| run | seeds | on target | captured | fair | high quality | spread / σ | distance | floor | distance / floor '
           '| seconds |')
    yield '|---|' + '--:|' * 10
    everything = rows(HERE / f'{group}.csv')
    for name in GROUPS[group]:
        runs = [row for row in everything if row['name'] == name]
        if runs:
            ratios = [float(row['sliced_wasserstein']) / float(row['sliced_wasserstein_floor']) for row in runs]
            yield (f'| {name} | {len(runs)} | {sum(map(meets_target, runs))} | {mean(runs, "modes_captured", 1)} '
                   f'| {mean(runs, "modes_fair", 1)} | {mean(runs, "high_quality", 3)} '
                   f'| {extent((row["spread_min"] for row in runs), (row["spread_max"] for row in runs))} '
                   f'| {mean(runs, "sliced_wasserstein", 3)} | {mean(runs, "sliced_wasserstein_floor", 3)} '
                   f'| {extent(ratios, ratios)} | {mean(runs, "seconds", 0)} |')


if __name__ == '__main__':
    sys.exit(print_tables(__doc__, GROUPS, table))
