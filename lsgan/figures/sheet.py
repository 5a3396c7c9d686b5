"""Contact sheets: several pictures in one."""
import math
from collections.abc import Sequence

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lsgan.figures.text import write
from lsgan.types import FileLike

_HEADING, _FONT, _DPI = 44, 19, 100     # height of the headings in pixels, their font size in points, dots per inch


def sheet(file: FileLike, pictures: Sequence[FileLike], columns: int | None = None, headings: Sequence[str] = ()) -> None:
    """Write a PNG of several pictures in rows.

    Args:
        file: destination.
        pictures: the pictures. All cells have the width and the height of the largest picture; the rest of a cell is white.
        columns: number of pictures per row. By default, up to three pictures form one row, and more pictures form a nearly
            square grid.
        headings: text above each column; empty for none.
    """
    images = [Image.open(picture).convert('RGB') for picture in pictures]
    n = len(images)
    columns = columns or (n if n <= 3 else math.ceil(math.sqrt(n)))
    width, height = (max(sides) for sides in zip(*(image.size for image in images), strict=True))
    top = _HEADING if headings else 0
    whole = Image.new('RGB', (width * min(columns, n), top + height * math.ceil(n / columns)), 'white')
    for i, image in enumerate(images):
        whole.paste(image, (i % columns * width, top + i // columns * height))
    for i, heading in enumerate(headings):
        whole.paste(_drawn(heading, width), (i * width, 0))
    whole.save(file, 'PNG')


def _drawn(heading, width):
    """Return a picture of a heading, centred within `width` pixels."""
    figure = Figure((width / _DPI, _HEADING / _DPI), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    write(figure.text(0.5, 0.5, '', fontsize=_FONT, ha='center', va='center'), heading, 0.95 * width)
    canvas.draw()
    return Image.fromarray(numpy.asarray(canvas.buffer_rgba())).convert('RGB')
