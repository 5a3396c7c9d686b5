"""Pictures of images and of the classes that a judge sees in them."""
import math

import numpy
from matplotlib.figure import Figure

from lsgan.figures import palette
from lsgan.figures.text import write

_DPI, _SIDE, _GAP, _MARGIN = 100, 64, 2, 6     # pixels: least side of an image, white between images, left and right
_TITLE, _HEADINGS = 40, 26                     # pixels: their heights
_HISTOGRAM = 7, 3.6                            # inches


def grid(file, images, title, columns=10, headings=()):
    """Writes a PNG of images in rows, each enlarged by a whole number to at least 64 pixels.

    Args:
        file (path or binary file): where it is written.
        images: uint8 array of shape (N, C, H, W), grey (C = 1) or RGB (C = 3).
        title (str): one line.
        columns (int): images in a row.
        headings (sequence of str): what stands above each column, or nothing.
    """
    n, _, height, width = images.shape
    columns = min(columns, n)
    rows, zoom = math.ceil(n / columns), math.ceil(_SIDE / max(height, width))
    cells = numpy.repeat(numpy.repeat(images, zoom, axis=2), zoom, axis=3)
    cells = numpy.broadcast_to(cells, (n, 3, height * zoom, width * zoom)).transpose(0, 2, 3, 1)
    step_y, step_x = height * zoom + _GAP, width * zoom + _GAP
    top = _TITLE + (_HEADINGS if headings else 0)
    sheet = numpy.full((top + rows * step_y, columns * step_x - _GAP + 2 * _MARGIN, 3), 255, numpy.uint8)
    for i, cell in enumerate(cells):
        y, x = top + i // columns * step_y, _MARGIN + i % columns * step_x
        sheet[y:y + cell.shape[0], x:x + cell.shape[1]] = cell
    tall, wide, _ = sheet.shape
    figure = Figure((wide / _DPI, tall / _DPI), dpi=_DPI)
    figure.figimage(sheet)
    above = figure.text(0.5, 1 - _TITLE / 2 / tall, '', fontsize=palette.TITLE, fontweight='bold', ha='center', va='center')
    write(above, title, wide - 2 * _MARGIN)
    for i, heading in enumerate(headings):
        x = (_MARGIN + i * step_x + width * zoom / 2) / wide
        above = figure.text(x, 1 - (_TITLE + _HEADINGS / 2) / tall, '', fontsize=palette.LABEL, ha='center', va='center')
        write(above, heading, step_x)
    figure.savefig(file, format='png')


def histogram(file, shares, due, title):
    """Writes a PNG of how large a share of the samples each class has, and of the share that it should have.

    Args:
        file (path or binary file): where it is written.
        shares, due: float arrays of shape (K,), 0 to 1.
        title (str): one line.
    """
    figure = Figure(_HISTOGRAM, dpi=_DPI, layout='constrained')
    ax = figure.add_subplot()
    classes = numpy.arange(len(shares))
    ax.bar(classes, shares, color=palette.BLUE, label='generated')
    ax.hlines(due, classes - 0.4, classes + 0.4, color=palette.BLACK, linewidth=3, label='real')
    ax.set_xticks(classes[::math.ceil(len(classes) / 16)])      # more would overlap
    ax.set_xlabel('class', fontsize=palette.LABEL)
    ax.set_ylabel('share', fontsize=palette.LABEL)
    ax.set_ylim(0, max(min(1.25, 2 / len(due)), 1.25 * max(*shares, *due)))      # with room for the legend
    ax.tick_params(labelsize=palette.TICK)
    ax.spines[['top', 'right']].set_visible(False)
    ax.legend(fontsize=palette.TICK, frameon=False, ncols=2, loc='upper right')
    write(figure.suptitle('', fontsize=palette.TITLE, fontweight='bold'), title, 0.95 * _DPI * _HISTOGRAM[0])
    figure.savefig(file, format='png')
