"""A stand-in for `cupy.cuda.nccl` on emulated devices. It uses MPI, because their memory is ordinary memory.

It has the functions that ChainerMN uses. Like NCCL, it refuses two ranks on one device.
"""
import ctypes
import sys

import cupy
import numpy
from mpi4py import MPI

NCCL_FLOAT = NCCL_FLOAT32 = 7
NCCL_FLOAT16, NCCL_FLOAT64, NCCL_SUM = 6, 8, 0
CALLS = []          # number of elements in every exchange


class NcclError(RuntimeError):
    """The error of a call that NCCL refuses."""


def get_build_version():
    return 22707


get_version = get_build_version


def get_unique_id():
    return tuple(range(128))


class NcclCommunicator:

    def __init__(self, size, unique_id, rank):
        assert unique_id == get_unique_id() and (rank, size) == (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size)
        devices = MPI.COMM_WORLD.allgather(cupy.cuda.Device().pci_bus_id)
        if len(set(devices)) < size:
            raise NcclError('NCCL_ERROR_INVALID_USAGE: duplicate GPU')

    def allReduce(self, send, receive, count, kind, operation, stream):
        assert operation == NCCL_SUM
        cupy.cuda.runtime.streamSynchronize(stream)     # the real one is a launch in the stream
        real = {NCCL_FLOAT32: ctypes.c_float, NCCL_FLOAT64: ctypes.c_double}[kind]
        of, to = (numpy.ctypeslib.as_array((real * count).from_address(place)) for place in (send, receive))
        MPI.COMM_WORLD.Allreduce(of.copy(), to)
        CALLS.append(count)


def install():
    """Replace `cupy.cuda.nccl` by this module."""
    sys.modules['cupy.cuda.nccl'] = cupy.cuda.nccl = sys.modules[__name__]
