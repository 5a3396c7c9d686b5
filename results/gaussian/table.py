"""Prints the table of README.md from runs.csv: means over the seeds, the standard deviation behind them.

    python results/gaussian/table.py
"""
import statistics

from sweep import GROUPS, HERE

from lsgan.training.sweep import rows


def meets_target(row):
    """All modes with at least half of their share, 97% of high quality, every spread within 30% of sigma."""
    return (row['modes_fair'] == row['modes_total'] and float(row['high_quality']) >= 0.97
            and float(row['spread_min']) >= 0.7 and float(row['spread_max']) <= 1.3)


def mean(runs, key, digits):
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
