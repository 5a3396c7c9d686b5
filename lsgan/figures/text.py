"""Drawing of arbitrary text, such as titles and file names from users, without any interpretation of its characters."""
import functools
import sys

from matplotlib import font_manager, ft2font
from matplotlib.text import Text

from lsgan.console import escaped, one_line

_FAMILY = 'DejaVu Sans'     # included in Matplotlib
_BOXES = 'Last Resort'      # included in Matplotlib too; it draws a box instead of every character


def write(artist: Text, text: str, width: float | None = None) -> None:
    """Set the content of a Matplotlib text to one line. Dollar signs are not parsed as math.

    Characters that DejaVu Sans lacks are drawn in an installed font that has them. Characters that no font has, and those that
    cannot be printed, are shown as escapes such as `\\u6f22`.

    Args:
        artist: the text to set; must belong to a figure.
        text: any string; line breaks become spaces.
        width: maximum width in pixels. The font size is reduced for longer text. None for no limit.
    """
    shown, families = _drawable(text)
    artist.set(text=shown, parse_math=False, fontfamily=families)
    # Repeat, because hinting rounds the widths of letters to whole pixels, so that one step may not be enough.
    while (width is not None and (size := float(artist.get_fontsize())) > 1
           and (taken := artist.get_window_extent().width) > width):
        artist.set_fontsize(size * min(0.99, width / taken))


@functools.cache
def _drawable(text):
    """Return a text with escapes for the characters that cannot be drawn, and the font families that draw it."""
    families, missing = [_FAMILY], []
    printable = one_line(text)
    known = _characters(font_manager.findfont(_FAMILY))
    for c in dict.fromkeys(printable):
        if ord(c) not in known:
            family = _family_with(ord(c))
            (missing if family is None else families).append(family or c)
    if missing:
        _tell_missing(''.join(missing))
    return ''.join(escaped(c) if c in missing else c for c in printable), list(dict.fromkeys(families))


@functools.cache        # print this once for the same characters
def _tell_missing(characters):
    codes = ', '.join(f'U+{ord(c):04X}' for c in characters)
    print(f'note: no installed font has the characters {characters} ({codes}). A picture shows escapes instead. Install a '
          'font that has them, such as Noto Sans CJK', file=sys.stderr)


@functools.cache
def _characters(path):
    """Return the character codes that a font file can draw. A bitmap font, such as some emoji fonts, has none."""
    try:
        font = ft2font.FT2Font(path)
    except (OSError, RuntimeError):     # damaged, or not supported by Matplotlib
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


@functools.cache
def _family_with(code):
    """Return an installed font family that has the character with this code, or None."""
    fonts = sorted({(font.name, font.fname) for font in font_manager.fontManager.ttflist
                    if font.style == 'normal' and not font.name.startswith(_BOXES)})
    return next((name for name, path in fonts if code in _characters(path)), None)
