"""The emulated device, a library compiled from `native/`, and the counters of its work."""
import contextlib
import ctypes
import functools
import sys
import sysconfig
import traceback
from collections import Counter

from cupy_on_cpu.compiler import library
from cupy_on_cpu.settings import NATIVE, setting

COUNTERS = 'kernels', 'products', 'copies in', 'copies out', 'copies within', 'waits', 'allocations', 'bytes out', 'graphs'
SYNCS = Counter()   # with CUPY_ON_CPU_REPORT: (kind of operation, line that asked for it) -> how often


@functools.cache
def device():
    """Return the library, compiled at first use. Its name is libcuda.so.1, so that CuPy finds it."""
    path = library('libcuda.so.1', sorted(NATIVE.glob('*.cpp')), f'-I{sysconfig.get_path("include")}')
    loaded = ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    loaded.emu_counts.restype = ctypes.POINTER(ctypes.c_long)
    loaded.emu_peak.restype = ctypes.c_size_t
    loaded.emu_launched.restype, loaded.emu_launched.argtypes = ctypes.c_size_t, (ctypes.c_char_p, ctypes.c_size_t)
    return loaded


def counts():
    """Count what the device has done since the program began.

    Returns:
        dict: a number for each name in `COUNTERS`. Kernels and products in a graph count once, when they are captured;
            'graphs' counts the launches of graphs. A 'wait' is a call that returns only when the device has done its work,
            such as a copy to memory that is not page-locked.
    """
    values = device().emu_counts()
    return {name: values[i] for i, name in enumerate(COUNTERS)}


def launched():
    """Return how often each kernel was launched, a Counter by kernel name."""
    text = ctypes.create_string_buffer(device().emu_launched(None, 0))
    device().emu_launched(text, len(text))
    return Counter({name: int(n) for n, name in (line.split(' ', 1) for line in text.value.decode().splitlines())})


def observe(what, size):
    """Record which line of the program asked for a wait, a copy between host and device, or memory."""
    if what == 'malloc' and not setting('MALLOCS'):
        return
    frames = [f for f in traceback.extract_stack() if '/cupy/' not in f.filename and '/cupy_on_cpu/' not in f.filename]
    if frames:
        nearest = frames[-1]
        own = next((f for f in reversed(frames) if 'site-packages' not in f.filename), nearest)
        where = f'{own.filename}:{own.lineno} {own.name}'
        if nearest is not own:
            where += f' < {nearest.filename.split("site-packages/")[-1]}:{nearest.lineno}'
        SYNCS[what, where] += 1


def write_report(path):
    """Append a report of the device's work, if there is any, to a file, or print it on stderr if the path is -."""
    if not any(counts().values()):
        return
    with contextlib.nullcontext(sys.stderr) if path == '-' else open(path, 'a') as file:
        print('cupy_on_cpu:', counts(), f'peak {device().emu_peak() >> 20} MiB', *sys.argv[:1], file=file)
        for (what, where), n in SYNCS.most_common(60):
            print(f'{n:8} {what}: {where}', file=file)
        for name, n in launched().most_common():
            print(f'{n:8} kernel {name}', file=file)
