"""Selection of the device that a run computes on."""
import importlib.metadata
import importlib.util

import chainer
import numpy
from chainer.backends import cuda

from lsgan.errors import InputError


def select_device(name: str, local_rank: int = 0) -> tuple[chainer.backend.Device, str | None]:
    """Return the Chainer device of a name, made current; `auto` is the first GPU where that works, and else the CPU.

    Of the processes of a parallel run on one machine, each takes a GPU of its own: the one with the given number plus the
    process's local rank. A process to which only one GPU is visible takes that one.

    Args:
        name: see `lsgan.training.flags.device`.
        local_rank: of this process among those on the same machine.

    Returns:
        The device, and a text if `auto` chose it, else None. The text is the name of the GPU, or the reason why no GPU can be
        used.

    Raises:
        InputError: if the device does not exist or does not work.
    """
    device, obstacle = _try(_own_gpu('@cupy:0' if name == 'auto' else name, local_rank))
    if name == 'auto' and obstacle:
        return chainer.get_device('@numpy'), obstacle
    if obstacle:
        raise InputError(f'--device {name}: {obstacle}. For a new run, pass --device auto, or -1 for the CPU; a resumed run '
                         'stays on the device where it began')
    return device, cuda.cupy.cuda.runtime.getDeviceProperties(device.device.id)['name'].decode() if name == 'auto' else None


def _own_gpu(name, local_rank):
    if not local_rank or not name.startswith('@cupy') or not cuda.available:
        return name
    try:
        count = cuda.cupy.cuda.runtime.getDeviceCount()
    except cuda.cupy.cuda.runtime.CUDARuntimeError:
        return name     # no GPU works
    number = int(name.partition(':')[2] or 0) + local_rank
    if count == 1:
        return '@cupy:0'
    if number >= count:
        raise InputError(f'the process with local rank {local_rank} needs GPU {number}, and this machine has {count}: start '
                         f'at most {count} processes on it, or add --device -1')
    return f'@cupy:{number}'


def _try(name):
    """Return the device and None, or None and the reason why it cannot be used."""
    if name.startswith('@cupy'):
        if importlib.util.find_spec('cupy') is None:
            return None, f'CuPy is not installed. For an NVIDIA GPU: {_install()}'
        if not cuda.available:      # Chainer would only say that there is no GPU
            return None, (f'CuPy is installed but finds no CUDA libraries ({_first_line(cuda._resolution_error)}). To install '
                          f'them: {_install()}')
    try:
        device = chainer.get_device(name)
        device.use()
        a = device.send(numpy.ones((2, 2), numpy.float32))
        (a.dot(a) + a).sum().item()     # loads libraries and compiles a kernel
    except Exception as error:      # Chainer, CuPy and CUDA each raise exceptions of their own
        reason = _first_line(error)
        return None, f'CuPy is installed, but no such GPU works ({reason})' if name.startswith('@cupy') else reason
    return device, None


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _install():
    """Return the command that installs CUDA's libraries for the installed CuPy, or else the newest CuPy."""
    try:
        importlib.metadata.version('cupy-cuda12x')
        extra = 'cuda12'
    except importlib.metadata.PackageNotFoundError:
        extra = 'cuda13'
    return f"pip install 'lsgan[{extra}]', or uv run --extra {extra}"
