"""One sheet of several pictures."""
import math

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

_HEADING, _FONT = 44, 26        # pixels: height of the headings, size of their letters


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
    for i, heading in enumerate(headings):      # a long one in smaller letters
        font = ImageFont.truetype(findfont('DejaVu Sans'), min(_FONT, 1.5 * width / max(1, len(heading))))
        ImageDraw.Draw(whole).text(((i + 0.5) * width, top / 2), heading, 'black', font, 'mm')
    whole.save(file, 'PNG')
