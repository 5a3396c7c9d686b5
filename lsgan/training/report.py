"""The log and the pictures of a run folder. Each picture is written completely or not at all."""
import functools
import io
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy

from lsgan.errors import InputError
from lsgan.figures.curves import curves
from lsgan.training import snapshot
from lsgan.types import FileLike

Picture = Callable[[BinaryIO], None]


def title(settings: dict, iteration: int) -> str:
    """Return the title of a run's pictures: its loss, epoch and number of updates.

    Args:
        settings: of the run.
        iteration: number of updates done.
    """
    epoch = iteration / settings['epoch_size']
    return f'{settings["loss"].upper()}, epoch {epoch:.3g}, {iteration:,} update{"s" * (iteration != 1)}'


def read_log(folder: pathlib.Path) -> list[dict[str, Any]]:
    """Return the entries of a run's log.

    Args:
        folder: run folder.

    Returns:
        At least one entry, in the format of Chainer's `LogReport`.

    Raises:
        InputError: if there is no entry, or if the file is damaged or not a log.
    """
    path = folder / 'log'
    if (folder / 'config.json').exists() and not path.exists():
        raise InputError(f'{path}: no entry yet; the first one comes after --log-interval updates')
    log = snapshot.read_json(path)
    if not (isinstance(log, list)
            and all(isinstance(entry, dict) and isinstance(entry.get('iteration'), int) for entry in log)):
        raise InputError(f'{path}: damaged, or not the log of a run; restore it from a copy')
    if not log:
        raise InputError(f'{path}: no entry yet; the first one comes after --log-interval updates')
    return log


def draw(path: pathlib.Path, picture: Picture) -> str:
    """Write a picture to a file, and create the folder of the file if it does not exist.

    Args:
        path: file to write.
        picture: takes a binary file and writes the picture to it.

    Returns:
        A line for the user that names the file.

    Raises:
        InputError: if `path` is a folder, or if `picture` raises it because something that it needs is missing.
        OSError: if the file cannot be written.
    """
    if path.is_dir():
        raise InputError(f'{path}: this is a folder; pass the name of a file')
    drawn = io.BytesIO()    # a picture that cannot be drawn must leave nothing on the disk
    picture(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    with snapshot.replacing(path) as f:
        f.write(drawn.getbuffer())
    return f'drawn: {path}'


def draw_each(folder: pathlib.Path, pictures: Mapping[str, Picture]) -> Iterator[str]:
    """Write pictures into a folder, and leave out those for which something is missing.

    Args:
        folder: created if it does not exist.
        pictures: from file names to callables, see `draw`.

    Yields:
        For each picture, a line for the user that names the file, or the reason why it was left out.
    """
    for name, picture in pictures.items():
        try:
            yield draw(folder / name, picture)
        except InputError as error:
            yield f'left out: {name} ({error})'


def draw_log(file: FileLike, folder: pathlib.Path, settings: dict) -> None:
    """Write a PNG of a run's losses and metrics over its updates.

    Args:
        file: the file to write.
        folder: run folder.
        settings: of the run.

    Raises:
        InputError: if there is no log, see `read_log`, or if it has nothing to draw.
    """
    log = read_log(folder)
    curves(file, {'': log}, title(settings, log[-1]['iteration']))


def main_pictures(folder: pathlib.Path, settings: dict, figures: Mapping[str, Callable],
                  sample: Callable[[], tuple[numpy.ndarray, int]]) -> dict[str, Picture]:
    """Return the pictures that are drawn at the end of a training run, as a dict for `draw_each`.

    Args:
        folder: run folder.
        settings: of the run.
        figures: see `lsgan.training.experiment.Experiment`.
        sample: takes nothing; returns samples, and the number of updates that their generator has seen.
    """
    def draw_samples(figure, file):
        samples, iteration = sample()
        figure(samples, file, title(settings, iteration))

    pictures = {f'{name}.png': functools.partial(draw_samples, figure) for name, figure in figures.items()}
    return {**pictures, 'curves.png': functools.partial(draw_log, folder=folder, settings=settings)}
