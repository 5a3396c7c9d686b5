"""One sheet of several pictures."""
import math

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lsgan.figures.text import write

_HEADING, _FONT, _DPI = 44, 19, 100     # height of the headings in pixels, size of their letters in points, dots per inch


def sheet(file, pictures, columns=None, headings=()):
    """Writes a PNG of pictures side by side, in rows.

    Args:
        file (path or binary file): where it is written.
        pictures (sequence of paths or binary files): each in a cell of the largest one's size, on white.
        columns (int): pictures in a row; None for up to three in one row, and for more about as many rows as columns.
        headings (sequence of str): what stands above each column, or nothing.
    """
    pictures = [Image.open(picture).convert('RGB') for picture in pictures]
    n = len(pictures)
    columns = columns or (n if n <= 3 else math.ceil(math.sqrt(n)))
    width, height = (max(sides) for sides in zip(*(picture.size for picture in pictures), strict=True))
    top = _HEADING if headings else 0
    whole = Image.new('RGB', (width * min(columns, n), top + height * math.ceil(n / columns)), 'white')
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i % columns * width, top + i // columns * height))
    for i, heading in enumerate(headings):
        whole.paste(_drawn(heading, width), (i * width, 0))
    whole.save(file, 'PNG')


def _drawn(heading, width):
    """Return a picture of a heading in the middle of so many pixels."""
    figure = Figure((width / _DPI, _HEADING / _DPI), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    write(figure.text(0.5, 0.5, '', fontsize=_FONT, ha='center', va='center'), heading, 0.95 * width)
    canvas.draw()
    return Image.fromarray(numpy.asarray(canvas.buffer_rgba())).convert('RGB')
