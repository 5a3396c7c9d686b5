"""The device that a run computes on."""
import importlib.metadata
import importlib.util

import chainer
import numpy
from chainer.backends import cuda

from lsgan.errors import InputError


def select_device(name):
    """The Chainer device of that name, made current.

    Raises:
        InputError: where there is no such device, or it does not work.
    """
    device, obstacle = _try(name)
    if obstacle:
        raise InputError(f'--device {name}: {obstacle}; the CPU is -1, a GPU 0 or @cupy:0')
    return device


def choose_device():
    """The name of the device that --device auto takes, the first GPU where it works and else the CPU; and why, a text."""
    _, obstacle = _try('@cupy:0')
    if obstacle:
        return '@numpy', obstacle
    return '@cupy:0', cuda.cupy.cuda.runtime.getDeviceProperties(0)['name'].decode()


def _try(name):
    """The device, and None; or None, and why it cannot be used."""
    if name.startswith('@cupy'):
        if importlib.util.find_spec('cupy') is None:
            return None, f'CuPy is not installed, for an NVIDIA GPU: pip install {_extra()}'
        if not cuda.available:      # Chainer knows no more than that there is no GPU, where CuPy cannot load cuBLAS
            return None, f'CuPy is installed but finds no CUDA libraries: pip install {_extra()}'
    try:
        device = chainer.get_device(name)
        device.use()
        a = device.send(numpy.ones((2, 2), numpy.float32))
        (a.dot(a) + a).sum().item()     # loads libraries and compiles a kernel
    except Exception as error:      # each of Chainer, CuPy and CUDA has errors of its own
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        return None, f'CuPy is installed, but no such GPU works ({reason})' if name.startswith('@cupy') else reason
    return device, None


def _extra():
    """The extra that brings CUDA's libraries: of the CuPy that is there, or of the newest."""
    for version in '12', '13':
        try:
            importlib.metadata.version(f'cupy-cuda{version}x')
            break
        except importlib.metadata.PackageNotFoundError:
            pass
    return f"'lsgan[cuda{version}]'"
