"""Log entries and sample pictures as event files, for TensorBoard."""
import importlib.util

import numpy

from lsgan.errors import InputError
from lsgan.figures.animation import read

_PROGRESS = 'epoch', 'iteration', 'elapsed_time'     # keys of a log entry that TensorBoard shows by itself


def require_writer():
    """Raise `InputError` if tensorboardX, which writes the event files, is not installed."""
    if importlib.util.find_spec('tensorboardX') is None:
        raise InputError("--tensorboard: tensorboardX is not installed; run pip install 'lsgan[tensorboard]', or pass "
                         '--no-tensorboard')


class Events:
    """A writer of event files. It creates a new file for each start of a run.

    Args:
        folder: the folder of the event files. It is created with the first event.
    """

    def __init__(self, folder):
        self._folder, self._writer = folder, None

    def _start(self, step):
        """Return the writer. The first call hides what a killed run has left in older files from this step on."""
        if self._writer is None:
            from tensorboardX import SummaryWriter
            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        return self._writer

    def add_entry(self, entry):
        """Write the numbers of a log entry, a dict."""
        writer, step = self._start(entry['iteration']), entry['iteration']
        for key, value in entry.items():
            if key not in _PROGRESS:
                writer.add_scalar(key if '/' in key else f'metrics/{key}', value, step)
        writer.flush()

    def add_picture(self, path, step):
        """Write the sample picture in a file, drawn after `step` updates."""
        writer = self._start(step)
        writer.add_image('samples', numpy.asarray(read(path)), step, dataformats='HWC')
        writer.flush()
