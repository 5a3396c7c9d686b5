"""Work that is the same every time, captured as a CUDA graph and replayed in one launch."""
import contextlib
import functools
import gc

from chainer.backends import cuda

from lsgan.errors import InputError

WARM_UP = 2         # runs before the capture; they compile kernels, build plans and allocate lasting memory
_running: list = []         # the graph whose work is being done, if there is one


def outside_graphs(action):
    """Do something that a CUDA graph cannot hold, such as an exchange between processes.

    In the work of a `Graph`, the action is done between two parts of the work, each captured as a graph of its own, and again
    at this place of every replay. It uses the stream that was current outside of the work.

    Args:
        action (callable): takes nothing.
    """
    if _running:
        _running[-1].interrupt(action)
    else:
        action()


@functools.cache
def _stream(device):
    """Return the stream for captures, always the same one, since cuBLAS and cuDNN have a handle and memory for each stream.

    A capture is not possible on the default stream. On a stream that waits for the default stream, a capture fails if a
    library uses the default stream meanwhile, for example while it loads.
    """
    return cuda.cupy.cuda.Stream(non_blocking=True)


class Graph:
    """Work on the device that is captured at its third run and replayed from then on.

    The work becomes one CUDA graph, or several graphs with actions between them (see `outside_graphs`). It must enqueue the
    same operations every time, read everything that changes from device memory, and neither wait for the device nor copy from
    or to main memory. Its arrays come from a memory pool of their own, so that nothing else overwrites them between replays.

    Args:
        work (callable): takes nothing. The result that it returns at the capture is the result of every replay.
    """

    def __init__(self, work):
        self._work, self._runs, self._parts, self._result, self._key = work, 0, None, None, None
        self._stream = _stream(cuda.cupy.cuda.device.get_device_id())
        self._pool = cuda.cupy.cuda.MemoryPool()
        self._new = None        # the parts captured so far, during a capture
        self._capturing = False

    def __call__(self, key):
        """Do the work once.

        Args:
            key: everything that the operations depend on. After a change of the key, the work is warmed up and captured again.

        Returns:
            tuple: the result, and whether the work was replayed. In a replay its Python code does not run.

        Raises:
            InputError: if the work cannot be captured, because it waits for the device or copies from or to main memory.
        """
        if key != self._key:
            self._key, self._runs, self._parts, self._result = key, 0, None, None
        if self.replays(key):
            for part in self._parts:
                part()
            return self._result, True
        self._runs += 1
        self._outer = cuda.cupy.cuda.get_current_stream()
        self._stream.wait_event(self._outer.record())
        _running.append(self)
        try:
            with self._stream, cuda.cupy.cuda.using_allocator(self._pool.malloc):
                if self._runs > WARM_UP:
                    self._capture()
                else:
                    result = self._work()
        finally:
            _running.pop()
        if self._runs <= WARM_UP:
            self._outer.wait_event(self._stream.record())
            return result, False
        self._parts[-1]()
        return self._result, False

    def replays(self, key):
        """Return whether the next run with this key is a replay."""
        return self._parts is not None and key == self._key

    def interrupt(self, action):
        """Do an action between what the work has enqueued so far and what follows; see `outside_graphs`."""
        if self._new is None:
            self._outer.wait_event(self._stream.record())
        else:
            self._end_part()
        with self._outer:
            if self._new is not None:
                self._new[-1]()
                self._new.append(action)
            action()
        if self._new is None:
            self._stream.wait_event(self._outer.record())
        else:
            self._begin_part()

    def _begin_part(self):
        self._capturing = True
        self._stream.begin_capture()

    def _end_part(self):
        self._new.append(self._stream.end_capture().launch)
        self._capturing = False

    def _capture(self):
        gc.collect()        # before the capture, because CUDA may refuse to free memory during it
        cuda.memory_pool.free_all_blocks()      # memory that updates before the first run have left
        self._new = []
        self._begin_part()
        try:
            self._result = self._work()
            self._end_part()
            self._parts = self._new
        except RuntimeError as error:       # CuPy and CUDA refuse an operation
            if not self._capturing:     # an action between two parts has failed
                raise
            self._end_failed_capture()
            reason = str(error).partition('\n')[0]
            raise InputError(f'this update cannot be captured as a CUDA graph ({reason}); train without graphs: add '
                             '--no-graph, or pass graph=False in Python') from error
        except BaseException:
            self._end_failed_capture()
            raise
        finally:
            self._new = None

    def _end_failed_capture(self):
        with contextlib.suppress(cuda.cupy.cuda.runtime.CUDARuntimeError):      # CUDA reports the failed capture again
            self._stream.end_capture()
