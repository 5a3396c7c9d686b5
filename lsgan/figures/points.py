"""Pictures of two-dimensional samples, with the modes of the target mixture."""
import numpy
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from lsgan.figures import palette
from lsgan.figures.text import write
from lsgan.metrics.modes import held_by_modes, mode_statistics
from lsgan.types import FileLike

# Inches: the side of a panel, the space around and between panels, and the width of the colour bar with its labels.
_SIDE, _LEFT, _TOP, _BOTTOM, _GAP, _BAR = 3.7, 0.5, 0.45, 0.65, 0.15, 0.95
_BINS, _BLUR = 200, 2.0     # of a density estimate: bins per axis, standard deviation of the smoothing kernel in bins


def scatter(file: FileLike, samples: numpy.ndarray, centers: numpy.ndarray, sigma: float, title: str,
            real: numpy.ndarray | None = None) -> None:
    """Write a PNG scatter plot of samples and modes.

    A circle marks each captured mode, which has at least one sample within 3 sigma. A cross marks each missed mode. The axis
    limits depend only on the modes, so that pictures of a run can be compared by flipping through them.

    Args:
        file: destination.
        samples: generated points, float array of shape (N, 2). The picture states how many of them are out of view; points
            with NaN or infinite coordinates count as out of view.
        centers: centres of the modes, float array of shape (K, 2).
        sigma: standard deviation of each mode along each axis.
        title: title of the figure, in one line.
        real: real points, float array of shape (M, 2), drawn in a panel left of the generated ones. None for no such panel.
    """
    figure, panels = _panels(title, samples, centers, sigma, real)
    for ax, points, color in panels:
        ax.plot(*points[_seen(ax, points)].T, 'o', color=color, alpha=0.3, markersize=3, markeredgewidth=0)
        _mark(ax, points, centers, sigma, palette.BLACK)
    figure.savefig(file, format='png')


def density(file: FileLike, samples: numpy.ndarray, centers: numpy.ndarray, sigma: float, title: str,
            real: numpy.ndarray | None = None) -> None:
    """Write a PNG of the smoothed density of samples, with the modes marked as in `scatter`.

    All pictures of a mixture share one colour scale. Its value 1 is the density of the mixture itself at a mode, with the same
    smoothing. The scale ends at 1 and follows the square root of the density, which makes thin bridges between modes visible.

    Args:
        file, samples, centers, sigma, title, real: see `scatter`.
    """
    figure, panels = _panels(title, samples, centers, sigma, real, 'white', _BAR)
    for ax, points, _ in panels:
        values = _density(points, _view(centers, sigma), len(centers), sigma)
        image = ax.imshow(values, 'viridis', PowerNorm(0.5, 0, 1), extent=_view(centers, sigma), origin='lower')
        _mark(ax, points, centers, sigma, 'white')
    place = ax.get_position()
    side = figure.add_axes((place.x1 + 0.02, place.y0, 0.02, place.height))
    bar = figure.colorbar(image, side, ticks=(0, 0.1, 0.5, 1), format='%g')
    bar.set_label('density (real peak = 1)', fontsize=palette.LABEL)
    side.tick_params(labelsize=palette.TICK)
    figure.savefig(file, format='png')


def _view(centers, sigma):
    """Return the axis limits, a square around the modes: x_low, x_high, y_low, y_high."""
    low, high = numpy.min(centers, axis=0), numpy.max(centers, axis=0)
    x, y = (low + high) / 2
    reach = 0.6 * (high - low).max() + 6 * sigma
    return x - reach, x + reach, y - reach, y + reach


def _panels(title, samples, centers, sigma, real, color=None, bar=0.0):
    """Create a figure with one panel, or two if there are real points.

    Args:
        title, samples, centers, sigma, real: see `scatter`.
        color (str): colour of the panels' names. None for the colour of their points.
        bar (float): width of the space for a colour bar, in inches.

    Returns:
        tuple: the figure, and a list of (axes, points, colour of the points) with one entry per panel.
    """
    shown = [('', samples, palette.BLUE)]
    if real is not None:
        shown = [('real', real, palette.GREEN), ('generated', samples, palette.BLUE)]
    width, height = _LEFT + len(shown) * (_SIDE + _GAP) + bar, _TOP + _SIDE + _BOTTOM
    figure = Figure((width, height), dpi=100)
    above = figure.text((_LEFT + width - bar - _GAP) / 2 / width, 1 - _TOP / 2 / height, '',
                        fontsize=palette.TITLE, fontweight='bold', ha='center', va='center')
    write(above, title, 100 * (width - _LEFT - bar))
    panels = []
    for i, (name, points, own) in enumerate(shown):
        ax = figure.add_axes(((_LEFT + i * (_SIDE + _GAP)) / width, _BOTTOM / height, _SIDE / width, _SIDE / height))
        ax.axis(_view(centers, sigma))
        ax.locator_params(nbins=4, steps=(1, 2, 5, 10))
        ax.tick_params(labelsize=palette.TICK, labelleft=i == 0)
        _write_inside(ax, name, color or own, x=0.02, y=0.985, ha='left', va='top')
        panels.append((ax, numpy.asarray(points, numpy.float64), own))
    return figure, panels


def _seen(ax, points):
    """Return which points are in view, as a bool array of shape (N,)."""
    low, high = numpy.transpose([ax.get_xlim(), ax.get_ylim()])
    return ((low <= points) & (points <= high)).all(axis=1)


def _mark(ax, points, centers, sigma, color):
    """Mark the modes. Write below the axes how good the points are, and inside them how many points are out of view."""
    centers = numpy.asarray(centers)
    found = numpy.array([len(held) > 0 for held in held_by_modes(points, centers, sigma)])
    circle = 6 * sigma / numpy.ptp(ax.get_xlim()) * _SIDE * 72      # diameter, in typographic points
    ax.plot(*centers[found].T, 'o', color=color, markerfacecolor='none', markersize=circle, markeredgewidth=1.2)
    ax.plot(*centers[~found].T, 'x', color=palette.VERMILLION, markersize=16, markeredgewidth=4.5)
    numbers = mode_statistics(points, centers, sigma)
    ax.set_xlabel(f'{numbers["modes_captured"]} of {len(centers)} modes, {numbers["high_quality"]:.0%} high quality',
                  fontsize=palette.LABEL)
    unseen = numpy.count_nonzero(~_seen(ax, points))
    if unseen:
        _write_inside(ax, f'{unseen:,} out of view', color, x=0.98, y=0.015, ha='right', va='bottom')


def _write_inside(ax, text, color, **place):
    ax.text(s=text, color=color, transform=ax.transAxes, fontsize=palette.LABEL, fontweight='bold', **place)


def _density(points, view, modes, sigma):
    """Return the smoothed density as an array of shape (_BINS, _BINS), with y along the first axis.

    Its unit is the smoothed density of the mixture at a mode.
    """
    x_low, x_high, y_low, y_high = view
    pixel = (x_high - x_low) / _BINS
    finite = points[numpy.isfinite(points).all(axis=1)]
    counts, _, _ = numpy.histogram2d(finite[:, 1], finite[:, 0], _BINS, ((y_low, y_high), (x_low, x_high)))
    offsets = numpy.arange(_BINS)[:, None] - numpy.arange(_BINS)
    blur = numpy.exp(-offsets ** 2 / (2 * _BLUR ** 2)) / (numpy.sqrt(2 * numpy.pi) * _BLUR)
    peak = 1 / (modes * 2 * numpy.pi * (sigma ** 2 + (_BLUR * pixel) ** 2))
    return blur @ counts @ blur.T / (len(points) * pixel ** 2 * peak)
