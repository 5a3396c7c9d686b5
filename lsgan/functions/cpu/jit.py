"""Numba as the CPU kernels use it: compiled on first use, kept on disk, and saying so."""
import sys

try:
    import numba
    from numba.core import event
except ImportError:         # there are platforms without it
    numba = None

AVAILABLE = numba is not None


def kernel(function):
    """Decorates a function of arrays and numbers: it runs as machine code, on one thread, without holding Python's lock.

    The code is compiled at the first call for each combination of types and kept in Numba's cache, beside this package or,
    where that cannot be written, in the user's cache folder; where neither can, each process compiles anew.
    """
    # contraction and reassociation let sums run in vector registers; NaN and infinity stay what they are
    return _compile(function, {'contract', 'reassoc', 'nsz'})


def exact_kernel(function):
    """As `kernel`, with each operation rounded as NumPy rounds it."""
    return _compile(function, False)


def _compile(function, fastmath):
    if not AVAILABLE:
        return function
    options = {'nogil': True, 'error_model': 'numpy', 'fastmath': fastmath}
    try:
        compiled = numba.njit(function, cache=True, **options)
    except RuntimeError:        # Numba finds no folder that it could write to
        compiled = numba.njit(function, **options)
    _kernels.add(compiled)
    return compiled


_kernels = set()

if AVAILABLE:
    class _Notice(event.Listener):
        """Tells the user once why the first update takes seconds."""

        def on_start(self, event):
            if event.data['dispatcher'] in _kernels:
                _kernels.clear()
                print('compiling the CPU kernels: some seconds, once on this machine', file=sys.stderr, flush=True)

        def on_end(self, event):
            pass

    event.register('numba:compile', _Notice())
