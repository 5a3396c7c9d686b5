"""Log entries and sample pictures as event files, for TensorBoard."""
import importlib.util
from collections.abc import Mapping

import numpy

from lsgan.errors import InputError
from lsgan.figures.animation import read
from lsgan.types import PathLike

_PROGRESS = 'epoch', 'iteration', 'elapsed_time'     # keys of a log entry that TensorBoard shows by itself


def require_writer() -> None:
    """Raise `InputError` if tensorboardX, which writes the event files, is not installed."""
    if importlib.util.find_spec('tensorboardX') is None:
        raise InputError("--tensorboard: tensorboardX is not installed; run pip install 'lsgan[tensorboard]', or pass "
                         '--no-tensorboard')


class Events:
    """A writer of event files. It creates a new file for each start of a run.

    Args:
        folder: the folder of the event files. It is created with the first event.
    """

    def __init__(self, folder: PathLike):
        self._folder, self._writer = folder, None

    def _start(self, step):
        """Return the writer. The first call hides what a killed run has left in older files from this step on."""
        if self._writer is None:
            from tensorboardX import SummaryWriter
            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        return self._writer

    def add_entry(self, entry: Mapping[str, float]) -> None:
        """Write the numbers of a log entry, a dict."""
        writer, step = self._start(entry['iteration']), entry['iteration']
        for key, value in entry.items():
            if key not in _PROGRESS:
                writer.add_scalar(key if '/' in key else f'metrics/{key}', value, step)
        writer.flush()

    def add_picture(self, path: PathLike, step: int) -> None:
        """Write the sample picture in a file, drawn after `step` updates."""
        writer = self._start(step)
        writer.add_image('samples', numpy.asarray(read(path)), step, dataformats='HWC')
        writer.flush()
