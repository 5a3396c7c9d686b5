"""One sheet of several pictures."""
import math

from PIL import Image


def sheet(file, pictures, columns=None):
    """Writes a PNG of pictures side by side, in rows.

    Args:
        file (path or binary file): where it is written.
        pictures (sequence of paths or binary files): each in a cell of the largest one's size, on white.
        columns (int): pictures in a row; None for up to three in one row, and for more about as many rows as columns.
    """
    pictures = [Image.open(picture).convert('RGB') for picture in pictures]
    n = len(pictures)
    columns = columns or (n if n <= 3 else math.ceil(math.sqrt(n)))
    width, height = (max(sides) for sides in zip(*(picture.size for picture in pictures), strict=True))
    whole = Image.new('RGB', (width * min(columns, n), height * math.ceil(n / columns)), 'white')
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i % columns * width, i // columns * height))
    whole.save(file, 'PNG')
