"""Training on several processes that `mpiexec` starts, with ChainerMN (Akiba et al. 2017, arXiv:1710.11351).

Every process holds both networks and trains on its part of each batch. Gradients are averaged before each step of an
optimizer, so the weights stay equal. The process of rank 0 alone prints, evaluates, draws and writes the run folder.
"""
import collections
import ctypes
import os
import socket
import time
import zlib

import chainer
import numpy
from chainer.backends import cuda

from lsgan.errors import InputError, SharedError

# environment variables of the rank and the number of processes that launchers set
_LAUNCHERS = (('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'),     # Open MPI
              ('PMI_RANK', 'PMI_SIZE'),                             # MPICH, Intel MPI, srun --mpi=pmi2
              ('PMIX_RANK', 'SLURM_STEP_NUM_TASKS'))                # srun --mpi=pmix
COMMUNICATORS = 'auto', 'naive', 'flat', 'pure_nccl'
_NCCL = "pip install 'nvidia-nccl-cu13>=2.27.7,<3' (or -cu12)"
_SPIN = 1e-3        # seconds of waiting without a pause


def launched():
    """Return this process's rank and the number of processes, as the launcher tells them: 0 and 1 without a launcher."""
    for rank, size in _LAUNCHERS:
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def _start_mpi():
    """Return `mpi4py.MPI` of as many processes as the launcher has started."""
    _, size = launched()
    try:
        from mpi4py import MPI
    except ModuleNotFoundError:
        raise SharedError(f"{size} processes were started, but mpi4py is not installed: pip install 'lsgan[mpi]'") from None
    except (ImportError, RuntimeError) as error:
        raise SharedError(f'{size} processes were started, but no MPI library works ({str(error).strip().splitlines()[0]}): '
                          "pip install 'lsgan[mpi]' brings one") from None
    if MPI.COMM_WORLD.size != size:
        raise SharedError(f'{size} processes were started, but MPI knows {MPI.COMM_WORLD.size}: mpiexec belongs to another '
                          f'MPI than {MPI.Get_library_version().split(",")[0]}, which mpi4py uses; install one MPI only')
    return MPI


class Alone:
    """The only process of a run. `Parallel` has the same methods and attributes."""

    rank = local_rank = 0
    size = 1
    communicator = threads = None

    def call(self, function):
        """Call a function on rank 0, then on the other ranks, and return its result on each rank.

        Raises:
            SharedError: on every rank, if the function raises `InputError` on any.
        """
        return function()

    def gather(self, value):
        """Return the list of what each rank passes, by rank."""
        return [value]

    def share(self, value):
        """Return what rank 0 passes."""
        return value

    def latest(self, number):
        """Return the largest of the integers that the ranks pass."""
        return number

    def mean(self, numbers):
        """Return the mean of each of the numbers, a dict, over the ranks that pass it."""
        return numbers

    def require_equal(self, values, todo):
        """Raise `SharedError` if the ranks pass different values, a dict; `todo` ends the message."""

    def connect(self, settings, device):
        """Choose the communicator for gradients.

        Args:
            settings (dict): of the run; `communicator` and `sync_norm` are read.
            device (chainer.backend.Device): of this process.

        Raises:
            SharedError: if the communicator does not fit the devices.
        """

    def require_equal_weights(self, links, iteration):
        """Raise `SharedError` if the weights of links are not the same, to the bit, on all ranks."""


class Parallel:
    """The process of one rank of a parallel run. While it waits for other ranks, it sleeps.

    Attributes:
        rank (int): of this process, 0 to size - 1.
        size (int): number of processes.
        local_rank (int): of this process among those on the same machine.
        threads (int): CPU threads for this process.
        communicator: ChainerMN's, after `connect`.
        name (str): of the communicator, one of `COMMUNICATORS`, after `connect`.

    Raises:
        SharedError: if mpi4py or the MPI library is missing, or belongs to another MPI than the launcher.
    """

    def __init__(self):
        self._mpi = mpi = _start_mpi()
        self._comm = mpi.COMM_WORLD
        self.rank, self.size, self.communicator = self._comm.rank, self._comm.size, None
        _, cores = place = socket.gethostname(), tuple(sorted(_cores()))
        places = self.gather(place)
        self.local_rank = self._comm.Split_type(mpi.COMM_TYPE_SHARED).rank
        if not os.environ.get('OMP_NUM_THREADS'):       # cores that several processes may use are divided among them
            chainer.global_config.cpu_threads = max(1, len(cores) // places.count(place))
        self.threads = chainer.config.cpu_threads

    def call(self, function):
        """See `Alone.call`."""
        result = self._together(function if self.rank == 0 else lambda: None)
        other = self._together(function if self.rank else lambda: None)
        return other if self.rank else result

    def _together(self, function):
        result = error = None
        try:
            result = function()
        except InputError as e:
            error = str(e)
        for rank, message in enumerate(self.gather(error)):
            if message is not None:
                self._fail(message if rank == 0 else f'rank {rank}: {message}')
        return result

    def _fail(self, message):
        raise SharedError(message)

    def mean(self, numbers):
        """See `Alone.mean`."""
        lists = collections.defaultdict(list)
        for own in self.gather({name: float(value) for name, value in numbers.items()}):
            for name, value in own.items():
                lists[name].append(value)
        return {name: sum(values) / len(values) for name, values in lists.items()}

    def require_equal(self, values, todo):
        """See `Alone.require_equal`."""
        first, *others = self.gather(values)
        for rank, other in enumerate(others, 1):
            for name in sorted(first.keys() | other.keys()):
                if first.get(name) != other.get(name):
                    self._fail(f'{name} is {first.get(name)} for rank 0 and {other.get(name)} for rank {rank}: {todo}')

    def gather(self, value):
        """See `Alone.gather`."""
        self._wait(self._comm.Ibarrier())
        return self._comm.allgather(value)

    def share(self, value):
        """See `Alone.share`."""
        self._wait(self._comm.Ibarrier())
        return self._comm.bcast(value)

    def latest(self, number):
        """See `Alone.latest`."""
        number = numpy.array(number)
        self._wait(self._comm.Iallreduce(self._mpi.IN_PLACE, number, self._mpi.MAX))
        return int(number)

    def _wait(self, request):
        start = time.monotonic()
        while not request.Test():
            waited = time.monotonic() - start
            if waited > _SPIN:
                time.sleep(min(waited / 10, 0.02))

    def connect(self, settings, device):
        """See `Alone.connect`."""
        import chainermn
        from chainermn import nccl
        name, on_gpu = settings['communicator'], device.xp is not numpy
        kinds = self.gather(device.xp.__name__)
        if len(set(kinds)) > 1:
            other = next(rank for rank, kind in enumerate(kinds) if kind != kinds[0])
            self._fail(f'rank 0 computes with {kinds[0]} and rank {other} with {kinds[other]}: give all processes a GPU, or '
                       'add --device -1')
        if name == 'auto':
            has_nccl = on_gpu and all(self.gather(nccl._available))
            name = 'pure_nccl' if has_nccl else 'naive'
            if on_gpu and not has_nccl:
                print(f'note: NCCL is not installed, so gradients are averaged through main memory. For NCCL: {_NCCL}')
        if name != 'naive' and not on_gpu:
            self._fail(f'--communicator {name} is for GPUs, and these processes compute on the CPU: leave it out')
        if name == 'pure_nccl':
            if not all(self.gather(nccl._available)):
                self._fail(f'--communicator pure_nccl needs NCCL: {_NCCL}')
            self._require_own_gpus(device)
        if name == 'flat' and not _reads_gpu_memory():
            self._fail('--communicator flat needs an MPI library that can read GPU memory, and this one cannot: leave it '
                       'out')
        if settings['sync_norm'] and on_gpu and name == 'naive':
            self._fail('--sync-norm on GPUs needs --communicator pure_nccl or flat')
        self.communicator = chainermn.create_communicator(name)
        with self.communicator.config_scope():      # PureNcclCommunicator.set_config drops the value
            self.communicator.batched_copy = False      # it would copy from main memory in each exchange
        self.name = name

    def _require_own_gpus(self, device):
        gpus = self.gather((socket.gethostname(), device.device.pci_bus_id))
        gpu, count = collections.Counter(gpus).most_common(1)[0]
        if count > 1:
            self._fail(f'ranks {", ".join(str(i) for i, other in enumerate(gpus) if other == gpu)} share one GPU of {gpu[0]}, '
                       'which NCCL cannot do: start one process per GPU, or add --communicator naive')

    def averager(self, array):
        """Return a callable that replaces the values of an array by their means over all ranks.

        Args:
            array: contiguous float32 array on the device, of the same size on all ranks.
        """
        if self.name == 'pure_nccl':    # ChainerMN averages the gradients of a link; here it has a single parameter
            link = chainer.Link()
            with link.init_scope():
                link.all = chainer.Parameter(array)
            link.all.grad = array
            return lambda: self.communicator.multi_node_mean_grad(link)
        if isinstance(array, cuda.ndarray) and self.name == 'naive':
            return lambda: self._average_on_host(array)
        return lambda: self._average(array)

    def _average_on_host(self, array):
        host = array.get()      # so MPI need not know about GPUs
        self._average(host)
        array.set(host)

    def _average(self, array):
        if isinstance(array, cuda.ndarray):
            cuda.cupy.cuda.get_current_stream().synchronize()       # MPI copies by a stream of its own
        array[...] = self.communicator.allreduce(array)
        array *= 1 / self.size

    def broadcast(self, link):
        """Give a link on every rank the parameters and persistent values of rank 0."""
        source = chainer.serializers.DictionarySerializer()
        source.save(link)
        chainer.serializers.NpzDeserializer(self.share(source.target)).load(link)

    def require_equal_weights(self, links, iteration):
        """See `Alone.require_equal_weights`."""
        sums = self.gather([_checksum(link) for link in links])
        wrong = [rank for rank, own in enumerate(sums) if own != sums[0]]
        if wrong:
            self._fail(f'the weights of rank {wrong[0]} are not those of rank 0 at update {iteration:,}: the processes do not '
                       'compute the same. Check that all machines have the same processors and libraries, then go on from the '
                       'last snapshot with --resume')


def _reads_gpu_memory():
    """Return whether the MPI library can send arrays in GPU memory, as far as it tells."""
    try:
        return bool(ctypes.CDLL('libmpi.so.40').MPIX_Query_cuda_support())      # Open MPI's, which is loaded already
    except (OSError, AttributeError):
        return True


def _cores():
    return os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else range(os.cpu_count())


def _checksum(link):
    checksum = 0
    for p in link.params():
        checksum = zlib.crc32(numpy.ascontiguousarray(cuda.to_cpu(p.array)), checksum)
    return checksum
