"""Draws map.png from map.csv and plain.csv: what the initial scale of G and of D decides.

    python results/mnist/map.py

Cells that have no run yet are white, panels without any are left out.
"""
import argparse
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


def panel(ax, title, table, name):
    """One map; `name` gives the run's name from G's and D's scale. Cells without a run stay white."""
    values = [[[row for row in table if row['name'] == name(g, d)] for g in STDS] for d in STDS]
    distances = [[statistics.median(map(distance, runs)) if runs else math.nan for runs in line] for line in values]
    shown = numpy.minimum(distances, 1000)      # what is infinite would be left white
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


def draw(file):
    """Writes the picture."""
    table = rows(HERE / 'map.csv') + rows(HERE / 'plain.csv')
    panels = [(f'{optimizer}, targets {TARGETS[scheme]}', lambda g, d, s=scheme, o=optimizer: f'map {s} {o} {g} {d}')
              for optimizer in OPTIMIZERS for scheme in SCHEMES]
    panels.append(('adam, targets 0, 1, 1,\nno batch normalisation', lambda g, d: f'plain {g} {d}'))
    made = {row['name'] for row in table}
    panels = [(title, name) for title, name in panels if any(name(g, d) in made for g in STDS for d in STDS)]
    if not panels:
        raise InputError(f'{HERE}: no rows of the map yet; sweep.py makes them')
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
    for ax in axes.flat[max(0, len(panels) - columns):len(panels)]:     # the lowest of each column
        ax.set_xlabel("G's initial std", fontsize=palette.LABEL)
        ax.tick_params(labelbottom=True)
    bar = figure.colorbar(image, ax=axes, shrink=0.6)
    bar.set_label('Fréchet distance, median', fontsize=palette.LABEL)
    bar.ax.tick_params(labelsize=palette.TICK)
    figure.suptitle('Seeds that learnt digits in 2,400 updates', fontsize=palette.TITLE, fontweight='bold')
    figure.savefig(file, format='png')


def main():
    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def act():
        parser.parse_args()
        print(report.draw(HERE / 'map.png', draw))
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
