"""Folders and tables that belong to one process at a time."""
import contextlib
import fcntl
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

from lsgan.errors import InputError
from lsgan.types import PathLike

NAME = '.lock'      # of the lock file in a run folder


@contextlib.contextmanager
def held(path: pathlib.Path, name: PathLike, hint: str) -> Iterator[None]:
    """Hold the lock file `path` inside this context and remove it at the end.

    The operating system releases the lock when the process ends, even if it is killed, so a file that a killed process leaves
    behind locks nothing. Linux passes such locks on to NFS servers, so they also exclude processes on other hosts.

    Args:
        path: the lock file. Missing folders above it are created, and removed at the end if they are empty.
        name: what the lock protects, for messages.
        hint: what the user can do if another process holds the lock; ends the error message.

    Raises:
        InputError: if another process holds the lock; the message names its process id and host.
        OSError: if the file cannot be created.
    """
    created = [folder for folder in path.parents if not folder.exists()]      # the deepest first
    try:
        with _acquire(path, name, hint):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):      # a folder that holds something stays, and so do those above it
            for folder in created:
                folder.rmdir()


def _acquire(path, name, hint):
    """Return the open, locked lock file; closing it releases the lock."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = open(path, 'a+')
        except FileNotFoundError:       # another process has just ended and removed the folder
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            with file:
                file.seek(0)
                owner = file.read().strip()
            raise InputError(f'{name}: in use by {owner or "another process"}; {hint}') from None
        except OSError as error:
            print(f'note: {name}: this file system has no locks ({error.strerror}); make sure that no other process uses it',
                  file=sys.stderr)
            return file
        # the previous owner may have removed the file after it was opened here
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                file.truncate(0)
                file.write(f'process {os.getpid()} on host {socket.gethostname()}\n')
                file.flush()
                return file
        file.close()
