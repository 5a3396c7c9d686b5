"""Training curves: the logged numbers of one or several runs, plotted over the generator updates."""
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator

from lsgan.errors import InputError
from lsgan.figures import palette
from lsgan.figures.text import write
from lsgan.types import FileLike

# Inches; _HEIGHT and _GAP are the height of a panel and the space above it.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT, _GAP = 7.0, 0.75, 1.45, 0.4, 0.65, 1.2, 0.45
_LEGEND = 0.3      # inches: height of each row in the legend of the runs' names


@dataclasses.dataclass(frozen=True)
class Panel:
    """Description of one plot: the log entries that share its axes. A log may lack any of them.

    Attributes:
        title (str): title with the unit.
        keys (dict): maps keys of the log to short names for the legend.
        references (dict): the same for reference values, which are drawn as dotted lines.
        scale (str): scale of the y axis: linear, log, or count for whole numbers.
        within (tuple of float): values that the y axis must include.
    """

    title: str
    keys: Mapping
    references: Mapping = dataclasses.field(default_factory=dict)
    scale: str = 'linear'
    within: tuple = ()


PANELS = (
    Panel('loss', {'gen/loss': 'G', 'dis/loss': 'D'}),
    Panel('mean output of D', {'dis/real': 'real', 'dis/fake': 'generated'}),
    Panel('gradient penalty on D, without its weight', {'dis/penalty': 'D'}, scale='log'),
    Panel('gradient norm', {'gen/gradient': 'G', 'dis/gradient': 'D'}, scale='log'),
    Panel('modes', {'modes_captured': 'captured', 'modes_fair': 'fair share'}, {'modes_total': 'all'}, 'count', (0,)),
    Panel('high-quality samples (fraction)', {'high_quality': 'generated'}, within=(0, 1)),
    Panel('sliced Wasserstein distance', {'sliced_wasserstein': 'generated'}, {'sliced_wasserstein_floor': 'real'}, 'log'),
    Panel('classes', {'classes_fair': 'fair share'}, {'classes_total': 'all'}, 'count', (0,)),
    Panel('confidently recognised samples (fraction)', {'confident': 'generated'}, within=(0, 1)),
    Panel('Fréchet distance', {'frechet_distance': 'generated'}, {'frechet_distance_floor': 'real'}, 'log'),
    Panel('precision', {'precision': 'generated'}, {'precision_real': 'real'}, within=(0, 1)),
    Panel('recall', {'recall': 'generated'}, {'recall_real': 'real'}, within=(0, 1)),
    Panel('mean chroma', {'chroma': 'generated'}, {'chroma_real': 'real'}, within=(0,)),
    Panel('pixel values near black (fraction)', {'near_black': 'generated'}, {'near_black_real': 'real'}, within=(0,)),
    Panel('pixel values near white (fraction)', {'near_white': 'generated'}, {'near_white_real': 'real'}, within=(0,)),
    Panel('diversity relative to real images', {'diversity': 'generated'}, within=(0, 1)),
    Panel('values of known factors', {'values_fair': 'fair share'}, {'values_total': 'all'}, 'count', (0,)),
    Panel('distance to the nearest image (grey levels)', {'nearest_distance': 'generated'}, {'nearest_distance_real': 'real'},
          within=(0,)),
)


def curves(file: FileLike, logs: Mapping[str, Sequence[Mapping]], title: str, panels: Sequence[Panel] = PANELS) -> None:
    """Write a PNG with plots of logged numbers over the generator updates, one panel below the other.

    Args:
        file: destination.
        logs: maps the label of each run to its log, a list of dicts as written by Chainer's `LogReport`. With one run, each
            key has its own colour. With several runs, each run has its own colour and each key its own line style.
        title: title of the figure, in one line.
        panels: the panels to draw. Those without any values are omitted.

    Raises:
        InputError: if no panel has any values.
    """
    panels = [panel for panel in panels if any(values(log, key, panel.scale) for log in logs.values() for key in panel.keys)]
    if not panels:
        raise InputError('the log contains no numbers to draw. Try again when the run has written log entries')
    top = _TOP + (_LEGEND * math.ceil(len(logs) / 3) if len(logs) > 1 else 0)
    height = top + len(panels) * (_GAP + _HEIGHT) + _BOTTOM
    figure = Figure((_WIDTH, height), dpi=100)
    above = figure.text(0.5, 1 - _TOP / 2 / height, '', fontsize=palette.TITLE, fontweight='bold', ha='center', va='center')
    write(above, title, 95 * _WIDTH)
    if len(logs) > 1:
        runs = [Line2D([], [], color=_color(i), linewidth=4) for i in range(len(logs))]
        legend = figure.legend(runs, ['run'] * len(logs), ncols=3, fontsize=palette.LABEL, frameon=False, handlelength=1.2,
                               borderaxespad=0, loc='upper center', bbox_to_anchor=(0.5, 1 - _TOP / height))
        for text, name in zip(legend.get_texts(), logs):        # labels in the legend would be parsed as math
            write(text, name, 85 * _WIDTH / min(3, len(logs)) - 30)
    last = max(entry['iteration'] for log in logs.values() for entry in log)
    for i, panel in enumerate(panels):
        bottom = height - top - (i + 1) * (_GAP + _HEIGHT)
        ax = figure.add_axes((_LEFT / _WIDTH, bottom / height, 1 - (_LEFT + _RIGHT) / _WIDTH, _HEIGHT / height))
        ax.set_xlim(0, last)
        _draw(ax, panel, list(logs.values()))
        ax.tick_params(labelbottom=panel is panels[-1])
    ax.set_xlabel('generator updates', fontsize=palette.LABEL)
    figure.savefig(file, format='png')


def values(log: Sequence[Mapping[str, Any]], key: str, scale: str) -> list[tuple[int, float]]:
    """Return the values of a key in a log that the scale of a panel can show.

    Args:
        log (list of dict): see `curves`.
        key (str): a key that entries may lack.
        scale (str): see `Panel`.

    Returns:
        list of tuple: (update, value), oldest first.
    """
    return [(entry['iteration'], entry[key]) for entry in log
            if isinstance(entry.get(key), (int, float)) and math.isfinite(entry[key]) and (scale != 'log' or entry[key] > 0)]


def _draw(ax, panel, logs):
    """Draw the curves of a panel, with a legend beside it if there is more than one kind of curve."""
    if panel.scale == 'log':
        ax.set_yscale('log')
    else:
        ax.locator_params('y', nbins=5, steps=(1, 2, 2.5, 5, 10), integer=panel.scale == 'count')
    several, kinds = len(logs) > 1, []
    for i, (key, name) in enumerate(panel.keys.items()):
        style = {'linestyle': ('-', '--', '-.')[i % 3] if several else '-', 'linewidth': 2}
        drawn = [_plot(ax, log, key, panel.scale, color=_color(j if several else i), **style) for j, log in enumerate(logs)]
        if any(drawn):
            kinds.append(Line2D([], [], color=palette.BLACK if several else _color(i), label=name, **style))
    for key, name in panel.references.items():
        style = {'color': palette.BLACK, 'linestyle': ':', 'linewidth': 2}
        if _plot(ax, logs[0], key, panel.scale, **style):
            kinds.append(Line2D([], [], label=name, **style))
    ax.update_datalim([(0, value) for value in panel.within], updatex=False)
    ax.autoscale_view(scalex=False)
    if panel.scale == 'log':
        low, high = ax.get_ylim()
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 3) if high < 100 * low else (1,), numticks=5))
        ax.yaxis.set_major_formatter('{x:g}')
        ax.minorticks_off()
    ax.set_title(panel.title, fontsize=palette.LABEL, loc='left')
    ax.grid(color=palette.GRID)
    ax.spines[['top', 'right']].set_visible(False)
    ax.xaxis.set_major_formatter(EngFormatter(sep=''))
    ax.locator_params('x', nbins=5)
    ax.tick_params(labelsize=palette.TICK)
    if len(kinds) > 1:
        ax.legend(handles=kinds, fontsize=palette.TICK, frameon=False, loc='center left', bbox_to_anchor=(1, 0.5),
                  handlelength=1.6, handletextpad=0.5)


def _plot(ax, log, key, scale, **style):
    """Draw one curve. Return whether the log has values for it."""
    found = values(log, key, scale)
    if found:
        ax.plot(*zip(*found), marker='o' if len(found) == 1 else None, markersize=4, **style)
    return bool(found)


def _color(i):
    return palette.CYCLE[i % len(palette.CYCLE)]
