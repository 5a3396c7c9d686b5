"""Text in pictures that comes from users and file systems: drawn as it stands, whatever characters it has."""
import functools
import sys

from matplotlib import font_manager, ft2font

from lsgan.console import escaped, one_line

_FAMILY = 'DejaVu Sans'     # comes with Matplotlib
_BOXES = 'Last Resort'      # a font that comes with Matplotlib, too, and has a box for every character


def write(artist, text, width=None):
    """Let a Matplotlib text show `text` in one line, without reading dollar signs as math.

    Characters that the usual font lacks are drawn by an installed font that has them. Those that no font has, and those that
    cannot be printed, are shown as escapes such as `\\u6f22`.

    Args:
        artist (matplotlib.text.Text): belongs to a figure.
        text (str): any string; line breaks become spaces.
        width (float): pixels that the text may take; in a smaller font size if it is longer. None for any width.
    """
    shown, families = _drawable(text)
    artist.set(text=shown, parse_math=False, fontfamily=families)
    # small letters have widths of whole pixels, so that one step may not be enough
    while width is not None and artist.get_fontsize() > 1 and (taken := artist.get_window_extent().width) > width:
        artist.set_fontsize(artist.get_fontsize() * min(0.99, width / taken))


@functools.cache
def _drawable(text):
    """Return what is shown of a text, and the font families that draw it."""
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


@functools.cache        # once for the same characters
def _tell_missing(characters):
    codes = ', '.join(f'U+{ord(c):04X}' for c in characters)
    print(f'note: no installed font has {characters} ({codes}), so a picture shows escapes instead. Install a font that has '
          'them, such as Noto Sans CJK', file=sys.stderr)


@functools.cache
def _characters(path):
    """Return the character codes that a font file draws; none if it is not scalable, as some of emoji are not."""
    try:
        font = ft2font.FT2Font(path)
    except (OSError, RuntimeError):     # damaged, or of a kind that Matplotlib does not read
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


@functools.cache
def _family_with(code):
    """Return an installed font family that has a character, or None."""
    fonts = sorted({(font.name, font.fname) for font in font_manager.fontManager.ttflist
                    if font.style == 'normal' and not font.name.startswith(_BOXES)})
    return next((name for name, path in fonts if code in _characters(path)), None)
