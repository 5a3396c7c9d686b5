"""Draw the map of initial scales, map.png, from map.csv and plain.csv, and print a table of map.csv.

    python results/mnist/map.py

Each cell of the map is one pair of initial scales of G and D. Cells without a run are white, and panels without any run are
left out. In the table, each number is the median over the runs in a group of cells; "first" and "last" are means over the
first and the last hundred updates. The last column counts the runs that have learnt.
"""
import argparse
import itertools
import math
import statistics
import sys

import numpy
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from sweep import HERE, OPTIMIZERS, SCHEMES, STDS, distance, learnt

from lsgan.errors import InputError
from lsgan.figures import palette
from lsgan.training import flags, report
from lsgan.training.run import guarded
from lsgan.training.sweep import rows

TARGETS = {'binary': '0, 1, 1', 'pearson': '-1, 1, 0'}
METHODS = {'adam': 'Adam', 'rmsprop': 'RMSprop'}
# groups of cells in the table: name, and whether a pair of scales of G and D belongs to it
PARTS = {
    'D ≤ 0.01, G ≤ 0.003': lambda g, d: d <= 0.01 and g <= 0.003,
    'D ≤ 0.01, G 0.01': lambda g, d: d <= 0.01 and g == 0.01,
    'D ≤ 0.01, G ≥ 0.03': lambda g, d: d <= 0.01 and g > 0.01,
    'D 0.03': lambda g, d: d == 0.03,
    'D 0.1': lambda g, d: d == 0.1,
}
MEDIANS = {
    'D on real, first': 'dis/real first', 'on generated, first': 'dis/fake first',
    'on real, last': 'dis/real last', 'on generated, last': 'dis/fake last',
    "norm of G's gradient, first": 'gen/gradient first', 'last': 'gen/gradient last', 'saturated': 'saturated',
}


def panel(ax, title, table, name):
    """Draw one map and return its image; cells without a run stay white.

    Args:
        ax: Matplotlib axes.
        title (str): title of the panel.
        table (list of dict): rows of map.csv and plain.csv.
        name (callable): from the scales of G and D to the name of the runs.
    """
    values = [[[row for row in table if row['name'] == name(g, d)] for g in STDS] for d in STDS]
    distances = [[statistics.median(map(distance, runs)) if runs else math.nan for runs in line] for line in values]
    shown = numpy.minimum(distances, 1000)      # infinite distances would be left white
    image = ax.imshow(shown, 'viridis_r', LogNorm(10, 1000), origin='lower')
    for y, line in enumerate(values):
        for x, runs in enumerate(line):
            if runs:
                n = sum(map(learnt, runs))
                ax.text(x, y, f'{n}/{len(runs)}', ha='center', va='center', fontsize=palette.TICK,
                        fontweight='bold' if n else None, color='white' if distances[y][x] > 100 else 'black')
    ax.set_xticks(range(len(STDS)), STDS, rotation=45)
    ax.set_yticks(range(len(STDS)), STDS)
    ax.tick_params(labelsize=palette.TICK)
    ax.set_title(title, fontsize=palette.LABEL)
    return image


def tell(table):
    """Yield the lines of the table of `table`, a list of rows of map.csv."""
    yield '| targets, optimizer, scales | Fréchet distance | ' + ' | '.join(MEDIANS) + ' | learnt |'
    yield '|---|' + '--:|' * (len(MEDIANS) + 2)
    for scheme, optimizer, part in itertools.product(SCHEMES, OPTIMIZERS, PARTS):
        runs = [row for row in table if row['name'].split()[:3] == ['map', scheme, optimizer]
                and PARTS[part](*map(float, row['name'].split()[3:]))]
        if runs:
            medians = [statistics.median(map(distance, runs))]
            # runs that diverged have nan
            medians += [numpy.nanmedian([float(row[key]) for row in runs]) for key in MEDIANS.values()]
            numbers = ' | '.join(f'{float(f"{value:.2g}"):,g}' for value in medians)
            yield f'| {TARGETS[scheme]}, {METHODS[optimizer]}, {part} | {numbers} | {sum(map(learnt, runs))} of {len(runs)} |'


def draw(file):
    """Write the map as PNG to `file`, a binary file.

    Raises:
        InputError: if there are no rows to draw.
    """
    table = rows(HERE / 'map.csv') + rows(HERE / 'plain.csv')
    panels = [(f'{METHODS[optimizer]}, targets {TARGETS[scheme]}', lambda g, d, s=scheme, o=optimizer: f'map {s} {o} {g} {d}')
              for optimizer in OPTIMIZERS for scheme in SCHEMES]
    # in third place, so that each line of the picture shows one optimizer
    panels.insert(2, ('Adam, targets 0, 1, 1,\nwithout batch normalisation', lambda g, d: f'plain {g} {d}'))
    made = {row['name'] for row in table}
    panels = [(title, name) for title, name in panels if any(name(g, d) in made for g in STDS for d in STDS)]
    if not panels:
        raise InputError(f'{HERE}: there are no rows of the map yet; make them with sweep.py')
    lines = 1 if len(panels) < 3 else 2
    columns = math.ceil(len(panels) / lines)
    figure = Figure((4.2 * columns + 1.5, 4.1 * lines + 0.8), dpi=100, layout='constrained')
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for ax, (title, name) in zip(axes.flat, panels):
        image = panel(ax, title, table, name)
    for ax in axes.flat[len(panels):]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("D's initial std", fontsize=palette.LABEL)
    for ax in axes.flat[max(0, len(panels) - columns):len(panels)]:     # the lowest panel of each column
        ax.set_xlabel("G's initial std", fontsize=palette.LABEL)
        ax.tick_params(labelbottom=True)
    bar = figure.colorbar(image, ax=axes, shrink=0.6)
    bar.set_label('Fréchet distance, median', fontsize=palette.LABEL)
    bar.ax.tick_params(labelsize=palette.TICK)
    figure.suptitle('Seeds that learnt digits in 2,400 updates, by default with batch normalisation in G',
                    fontsize=palette.TITLE, fontweight='bold')
    figure.savefig(file, format='png')


def main():
    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def act():
        parser.parse_args()
        print(report.draw(HERE / 'map.png', draw))
        print(*tell(rows(HERE / 'map.csv')), sep='\n')
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
