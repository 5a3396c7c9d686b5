"""Print the table of README.md from runs.csv: means over the seeds, each with its standard deviation.

    python results/gaussian/table.py
"""
import statistics

from sweep import GROUPS, HERE

from lsgan.training.sweep import rows


def meets_target(row):
    """Return whether a run is on target.

    It is if every mode holds at least half of its fair share of the samples, at least 97% of the samples are of high quality,
    and the standard deviation of every mode is within 30% of sigma.

    Args:
        row (dict): a row of runs.csv.
    """
    return (row['modes_fair'] == row['modes_total'] and float(row['high_quality']) >= 0.97
            and float(row['spread_min']) >= 0.7 and float(row['spread_max']) <= 1.3)


def mean(runs, key, digits):
    """Return the mean of a column as text, with the standard deviation if there are several runs.

    Args:
        runs (list of dict): rows of runs.csv.
        key (str): the column.
        digits (int): decimal places.
    """
    values = [float(row[key]) for row in runs]
    spread = f' ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.{digits}f}{spread}'


def main():
    print('| run | seeds | on target | captured | fair | high quality | spread / σ | distance | floor | seconds |')
    print('|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|')
    everything = rows(HERE / 'runs.csv')
    for name in GROUPS['runs']:
        runs = [row for row in everything if row['name'] == name]
        if runs:
            least, most = min(float(r['spread_min']) for r in runs), max(float(r['spread_max']) for r in runs)
            print(f'| {name} | {len(runs)} | {sum(map(meets_target, runs))} | {mean(runs, "modes_captured", 1)} '
                  f'| {mean(runs, "modes_fair", 1)} | {mean(runs, "high_quality", 3)} | {least:.2f} to {most:.2f} '
                  f'| {mean(runs, "sliced_wasserstein", 3)} | {mean(runs, "sliced_wasserstein_floor", 3)} '
                  f'| {mean(runs, "seconds", 0)} |')


if __name__ == '__main__':
    main()
