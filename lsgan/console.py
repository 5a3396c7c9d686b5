"""Helpers for output and exit that depend on where a script runs: a terminal, a pipe, or IPython such as a notebook."""
import os
import shlex
import sys
from collections.abc import Iterable
from typing import TextIO

import tqdm

from lsgan.types import PathLike


def in_ipython() -> bool:
    """Return whether this code runs in IPython or a Jupyter kernel, which keep running when a script ends."""
    ipython = sys.modules.get('IPython')
    return ipython is not None and ipython.get_ipython() is not None


def shows_bars(stream: TextIO) -> bool:
    """Return whether a progress bar can be redrawn in place on this text stream."""
    return stream.isatty() or in_ipython()


def progress(iterable: Iterable | None = None, total: int | None = None) -> tqdm.tqdm:
    """Return a progress bar on stdout for an iterable, or for `total` steps, which appears after two seconds.

    Nothing is shown where a bar cannot be redrawn, see `shows_bars`.
    """
    return tqdm.tqdm(iterable, total=total, delay=2, leave=False, file=sys.stdout, disable=not shows_bars(sys.stdout), unit='')


def one_line(text: str) -> str:
    """Return a text with white space as spaces and every other unprintable character as an escape such as `\\x1b`."""
    return ''.join(' ' if c.isspace() else c if c.isprintable() else escaped(c) for c in text)


def escaped(c: str) -> str:
    """Return the escape sequence of a character in a Python string."""
    return c.encode('unicode_escape').decode()


def shell_path(path: PathLike) -> str:
    """Return a path quoted as an argument for bash or zsh, as one line of printable characters."""
    text = str(path)
    if text.startswith('-'):        # otherwise the command would take it for a flag
        text = f'./{text}'
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + ''.join(chr(b) if chr(b).isalnum() and b < 128 or b in b'/._- ' else f'\\x{b:02x}'
                          for b in os.fsencode(text)) + "'"


def leave(status: int) -> None:
    """End a script with an exit status, except in IPython, which would show the status as an error."""
    if not in_ipython():
        sys.exit(status)
