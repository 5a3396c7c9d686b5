"""Where a script is run: in a terminal, with its output going elsewhere, or in an IPython session such as a notebook."""
import os
import shlex
import sys


def in_ipython():
    """Return whether this code runs in IPython or a Jupyter kernel, which live on when a script ends."""
    ipython = sys.modules.get('IPython')
    return ipython is not None and ipython.get_ipython() is not None


def shows_bars(stream):
    """Return whether a progress bar can be redrawn in place on this text stream."""
    return stream.isatty() or in_ipython()


def one_line(text):
    """Return a text with its line breaks as spaces and all else that cannot be printed as escapes such as `\\x1b`."""
    return ''.join(' ' if c.isspace() else c if c.isprintable() else escaped(c) for c in text)


def escaped(c):
    """Return the escape of a character, as in Python's strings."""
    return c.encode('unicode_escape').decode()


def shell_path(path):
    """Return a path as an argument in a command that bash or zsh reads, in one line of printable characters."""
    text = str(path)
    if text.startswith('-'):        # or it would be a flag
        text = f'./{text}'
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + ''.join(chr(b) if chr(b).isalnum() and b < 128 or b in b'/._- ' else f'\\x{b:02x}'
                          for b in os.fsencode(text)) + "'"


def leave(status):
    """End a script with an exit status. IPython would show the status as an error, so there the script just ends."""
    if not in_ipython():
        sys.exit(status)
