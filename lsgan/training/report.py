"""What is read back from a run folder, and the pictures drawn of it, each written whole or not at all."""
import functools
import io

from lsgan.errors import InputError
from lsgan.figures.curves import curves
from lsgan.training import snapshot


def title(settings, iteration):
    """What a picture of a run says above it."""
    epoch = iteration / settings['epoch_size']
    return f'{settings["loss"].upper()}, epoch {epoch:.3g}, {iteration:,} update{"s" * (iteration != 1)}'


def read_log(folder):
    """The entries of a run's log, a list of dicts, at least one.

    Raises:
        InputError: where there is none, or the file is no log.
    """
    path = folder / 'log'
    if (folder / 'config.json').exists() and not path.exists():
        raise InputError(f'{path}: no entry yet; the first one comes after --log-interval updates')
    log = snapshot.read_json(path)
    if not (isinstance(log, list)
            and all(isinstance(entry, dict) and isinstance(entry.get('iteration'), int) for entry in log)):
        raise InputError(f'{path}: no log of a run')
    if not log:
        raise InputError(f'{path}: no entry yet')
    return log


def draw(path, picture):
    """Writes a picture and makes the folder around it; returns the line that says so.

    Args:
        path (pathlib.Path): where it is written.
        picture (callable): takes a binary file.

    Raises:
        InputError: the picture's own, where something is missing for it.
        OSError: where it cannot be written.
    """
    if path.is_dir():
        raise InputError(f'{path}: a folder; give the name of a picture')
    drawn = io.BytesIO()    # nothing is made on the disk for what cannot be drawn
    picture(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    with snapshot.replacing(path) as f:
        f.write(drawn.getbuffer())
    return f'drawn: {path}'


def draw_each(folder, pictures):
    """Writes those pictures that can be drawn into a folder; yields a line for each of them, and one for each left out.

    Args:
        folder (pathlib.Path): is made where there is none.
        pictures (dict): file name, and callable that takes a binary file.
    """
    for name, picture in pictures.items():
        try:
            yield draw(folder / name, picture)
        except InputError as error:
            yield f'left out: {name} ({error})'


def draw_log(file, folder, settings):
    """Writes the PNG of a run's curves."""
    log = read_log(folder)
    curves(file, {'': log}, title(settings, log[-1]['iteration']))


def main_pictures(folder, settings, figures, sample):
    """The pictures that end a training run, for `draw_each`.

    Args:
        folder (pathlib.Path): of the run.
        settings (dict): of the run.
        figures (dict): see `lsgan.training.experiment.Experiment`.
        sample (callable): returns samples, and the number of updates that they were drawn after.
    """
    def draw_samples(figure, file):
        samples, iteration = sample()
        figure(samples, file, title(settings, iteration))

    pictures = {f'{name}.png': functools.partial(draw_samples, figure) for name, figure in figures.items()}
    return {**pictures, 'curves.png': functools.partial(draw_log, folder=folder, settings=settings)}
