"""Pictures of the numbers of one run, or of several, over their updates."""
import dataclasses
import math
from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator

from lsgan.errors import InputError
from lsgan.figures import palette
from lsgan.figures.text import write

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT, _GAP = 7.0, 0.75, 1.45, 0.4, 0.65, 1.2, 0.45     # inches
_LEGEND = 0.3      # of each row of the runs' names


@dataclasses.dataclass(frozen=True)
class Panel:
    """What is drawn together; of its keys, a log may lack any.

    Attributes:
        title (str): what is drawn, with its unit.
        keys (dict): key in the log, and a short name for it.
        references (dict): key and name of what these are to be held against, drawn dotted.
        scale (str): linear, log, or count, which is of whole numbers.
        within (tuple): values that the axis reaches at least.
    """

    title: str
    keys: Mapping
    references: Mapping = dataclasses.field(default_factory=dict)
    scale: str = 'linear'
    within: tuple = ()


PANELS = (
    Panel('loss', {'gen/loss': 'G', 'dis/loss': 'D'}),
    Panel("mean of D's outputs", {'dis/real': 'real', 'dis/fake': 'generated'}),
    Panel('norm of the gradient', {'gen/gradient': 'G', 'dis/gradient': 'D'}, scale='log'),
    Panel('modes', {'modes_captured': 'captured', 'modes_fair': 'fair share'}, {'modes_total': 'all'}, 'count', (0,)),
    Panel('high quality, share of samples', {'high_quality': 'generated'}, within=(0, 1)),
    Panel('sliced Wasserstein distance', {'sliced_wasserstein': 'generated'}, {'sliced_wasserstein_floor': 'real'}, 'log'),
    Panel('classes', {'classes_fair': 'fair share'}, {'classes_total': 'all'}, 'count', (0,)),
    Panel('confidently recognised, share of samples', {'confident': 'generated'}, within=(0, 1)),
    Panel('Fréchet distance', {'frechet_distance': 'generated'}, {'frechet_distance_floor': 'real'}, 'log'),
    Panel('precision', {'precision': 'generated'}, {'precision_real': 'real'}, within=(0, 1)),
    Panel('recall', {'recall': 'generated'}, {'recall_real': 'real'}, within=(0, 1)),
    Panel('mean chroma', {'chroma': 'generated'}, {'chroma_real': 'real'}, within=(0,)),
    Panel('values near black, fraction', {'near_black': 'generated'}, {'near_black_real': 'real'}, within=(0,)),
    Panel('values near white, fraction', {'near_white': 'generated'}, {'near_white_real': 'real'}, within=(0,)),
    Panel('diversity, over that of real images', {'diversity': 'generated'}, within=(0, 1)),
    Panel('values of known factors', {'values_fair': 'fair share'}, {'values_total': 'all'}, 'count', (0,)),
    Panel('distance to the nearest image, grey levels', {'nearest_distance': 'generated'}, {'nearest_distance_real': 'real'},
          within=(0,)),
)


def curves(file, logs, title, panels=PANELS):
    """Writes a PNG of the logs' numbers over the generator's updates, a panel below the other.

    Args:
        file (path or binary file): where it is written.
        logs (dict): label and log of each run, a log being a list of dicts as Chainer's `LogReport` writes them. One run has a
            colour for each key; several have a colour each, and a dash for each key.
        title (str): one line.
        panels (sequence of Panel): those without any value are left out.

    Raises:
        InputError: where nothing is left.
    """
    panels = [panel for panel in panels if any(_values(log, key, panel.scale) for log in logs.values() for key in panel.keys)]
    if not panels:
        raise InputError('the log holds no numbers to draw')
    top = _TOP + (_LEGEND * math.ceil(len(logs) / 3) if len(logs) > 1 else 0)
    height = top + len(panels) * (_GAP + _HEIGHT) + _BOTTOM
    figure = Figure((_WIDTH, height), dpi=100)
    above = figure.text(0.5, 1 - _TOP / 2 / height, '', fontsize=palette.TITLE, fontweight='bold', ha='center', va='center')
    write(above, title, 95 * _WIDTH)
    if len(logs) > 1:
        runs = [Line2D([], [], color=_color(i), linewidth=4) for i in range(len(logs))]
        legend = figure.legend(runs, ['run'] * len(logs), ncols=3, fontsize=palette.LABEL, frameon=False, handlelength=1.2,
                               borderaxespad=0, loc='upper center', bbox_to_anchor=(0.5, 1 - _TOP / height))
        for text, name in zip(legend.get_texts(), logs):        # the legend itself would read names as math
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


def _draw(ax, panel, logs):
    """Draws the curves of a panel, with a legend beside it where there is more than one kind of them."""
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
    """Draws one curve; whether there was any."""
    values = _values(log, key, scale)
    if values:
        ax.plot(*zip(*values), marker='o' if len(values) == 1 else None, markersize=4, **style)
    return bool(values)


def _values(log, key, scale):
    """Updates and numbers that the log has of a key and the scale can show: list of pairs."""
    return [(entry['iteration'], entry[key]) for entry in log
            if isinstance(entry.get(key), (int, float)) and math.isfinite(entry[key]) and (scale != 'log' or entry[key] > 0)]


def _color(i):
    return palette.CYCLE[i % len(palette.CYCLE)]
