"""Decorators that compile the CPU kernels with Numba on first use, cache them on disk and tell the user once."""
import sys
from collections.abc import Callable
from typing import Any

try:
    import numba
    from numba.core import event
except ImportError:         # Numba does not support every platform
    numba = None  # type: ignore[assignment]

AVAILABLE = numba is not None


def kernel(function: Callable) -> Callable[..., Any]:
    """Decorate a function of arrays and numbers to run as machine code, on one thread, without Python's global lock.

    The first call with each combination of types compiles the code. Numba caches it beside this package or, if that folder
    is not writable, in the user's cache folder. If neither is writable, every process compiles again. Without Numba, the
    function stays as it is.
    """
    # Contraction and reassociation let sums run in vector registers. NaN and infinity keep their meaning
    return _compile(function, {'contract', 'reassoc', 'nsz'})


def exact_kernel(function: Callable) -> Callable[..., Any]:
    """Decorate a function like `kernel`, with every operation rounded as NumPy rounds it."""
    return _compile(function, False)


def _compile(function, fastmath):
    if not AVAILABLE:
        return function
    options = {'nogil': True, 'error_model': 'numpy', 'fastmath': fastmath}
    try:
        compiled = numba.njit(function, cache=True, **options)
    except RuntimeError:        # Numba finds no folder that it can write to
        compiled = numba.njit(function, **options)
    _kernels.add(compiled)
    return compiled


_kernels: set = set()

if AVAILABLE:
    class _Notice(event.Listener):
        """A listener that tells the user once why the first update takes seconds."""

        def on_start(self, event):
            if event.data['dispatcher'] in _kernels:
                _kernels.clear()
                print('Compiling CPU kernels (a few seconds, once per machine)', file=sys.stderr, flush=True)

        def on_end(self, event):
            pass

    event.register('numba:compile', _Notice())
