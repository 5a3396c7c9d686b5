"""A parent process that lets training stop in order although its launcher kills it.

Open MPI's mpiexec answers Ctrl-C with SIGTERM to the processes that it started and SIGKILL a quarter of a second later. That
is too short to finish an update and to save, so these processes only wait for a child, which trains in a session of its own.
MPI keeps working for about a second after mpiexec has ended. An update that ends within it is saved, even if saving takes
longer.
"""
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

_parent = None      # process id
_GRACE = 20         # seconds that training may take to end after its launcher has ended


def supervise(describe: Callable[[int], str]) -> None:
    """Continue in a child process. The parent waits for it, passes SIGINT and SIGTERM on, and exits with its status.

    If the parent is killed, the child gets SIGTERM, and ends at the latest 20 seconds later.

    Args:
        describe: from the number of the signal that has killed the child to a message for standard error.
    """
    global _parent
    read, write = os.pipe()
    _parent = os.getpid()
    child = os.fork()
    if child:
        os.close(read)
        _wait(child, write, describe)
    os.close(write)
    os.setsid()
    sys.stdout, sys.stderr = _Lasting(sys.stdout), _Lasting(sys.stderr)
    threading.Thread(target=_obey, args=[read], daemon=True).start()


def is_orphan() -> bool:
    """Return whether the parent of the process that `supervise` made has ended."""
    return os.getppid() != _parent


class _Lasting:
    """A text stream that stays usable when nobody reads it any more."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def isatty(self):
        return False        # Open MPI gives each process a terminal without a size

    def write(self, text):
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self):
        with contextlib.suppress(OSError):
            self._stream.flush()


def _wait(child, write, describe):
    passed = []

    def pass_on(number, frame):
        passed.append(number)
        with contextlib.suppress(OSError):      # the child has just ended
            os.write(write, bytes([number]))

    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, pass_on)
    _, status = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(status)
    if status < 0:
        if -status not in passed:
            print(describe(-status), file=sys.stderr, flush=True)
        status = 128 - status
    os._exit(status)


def _obey(read):
    """Turn what the parent passes on into signals, and its end into SIGTERM."""
    told = False
    while passed := os.read(read, 1):
        told = True
        os.kill(os.getpid(), passed[0])
    if not told:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)
