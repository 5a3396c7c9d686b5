"""Print the final metrics of the runs of a group from GROUP.csv; each number is the median over the seeds.

    python results/mnist/table.py losses                the groups are those of sweep.py

The column "learnt" counts the seeds that have learnt, see `sweep.learnt`. The brackets after the distance give the range over
the seeds.
"""
import statistics
import sys

from sweep import GROUPS, HERE, distance, learnt

from lsgan.training.sweep import print_tables, rows

MEDIANS = {'confident': 3, 'classes_fair': 0, 'saturated': 2, 'dis/real last': 2, 'dis/fake last': 2, 'gen/gradient last': 2,
           'iteration': 0, 'seconds': 0}


def table(group):
    """Yield the lines of the table of `group`, a key of `sweep.GROUPS`."""
    yield ('| run | seeds | learnt | Fréchet distance | confident | fair classes | saturated | D on real | on generated '
           "| norm of G's gradient | updates | seconds |")
    yield '|---|' + '--:|' * 11
    everything = rows(HERE / f'{group}.csv')
    for name in GROUPS[group]:
        runs = [row for row in everything if row['name'] == name]
        if runs:
            distances = sorted(map(distance, runs))
            spread = f' ({distances[0]:.3g} to {distances[-1]:.3g})' if len(runs) > 1 else ''
            medians = [f'{statistics.median(float(row[key]) for row in runs):,.{digits}f}' for key, digits in MEDIANS.items()]
            yield f'| {name} | {len(runs)} | {sum(map(learnt, runs))} | ' + ' | '.join(
                [f'{statistics.median(distances):.3g}{spread}', *medians]) + ' |'


if __name__ == '__main__':
    sys.exit(print_tables(__doc__, GROUPS, table))
