"""The content of a web page about runs, collected from their folders."""
import functools
import io
import json
import shlex
from collections.abc import Sequence

import numpy
import tqdm

from lsgan import console
from lsgan.errors import InputError
from lsgan.figures.page import Column, embed
from lsgan.training import report, snapshot
from lsgan.training.experiment import number
from lsgan.training.folder import RunFolder

FRAMES, FEWEST = 30, 10     # sample pictures of the training on a page: of all runs together, but at least of each run
_PICTURES = {'scatter': 'Real and generated points', 'density': 'Density of real and generated points',
             'corners': 'Interpolation between four samples', 'arithmetic': 'Latent arithmetic',
             'nearest': 'Samples, and below each the nearest real image', 'real': 'Real images',
             'classes': 'Classes of the samples'}


def summarise(folders: Sequence[RunFolder], labels: Sequence[str], frames: int | None = None) -> list[Column]:
    """Collect what a web page shows of runs. A progress bar appears after two seconds.

    Args:
        folders (list of lsgan.training.folder.RunFolder): the runs.
        labels (list of str): a different name for each run.
        frames (int): maximum number of sample pictures of the training for each run, evenly spaced. None for 30 pictures on
            the page, but at least 10 for each run.

    Returns:
        list of lsgan.figures.page.Column: one for each run. What cannot be shown is left out, with the reason.
    """
    frames = frames or max(FRAMES // len(folders), FEWEST)
    columns = [_column(folder, label) for folder, label in zip(folders, labels)]
    jobs = [(column, job) for folder, column in zip(folders, columns) for job in _jobs(folder, column, frames)]
    for column, job in console.progress(jobs):
        _attempt(column, job)
    return columns


def _column(folder, label):
    """Return the column of a run, without anything that may be missing."""
    config, settings = snapshot.read_json(folder.path / 'config.json'), folder.settings
    summary = (f'{settings["experiment"]}, loss {settings["loss"]}, preset {settings["preset"]}, '
               f'seed {settings.get("seed")}, {settings.get("epoch")} epochs of {settings["epoch_size"]} updates')
    if config.get('git_commit'):
        summary += f', commit {config["git_commit"]}'
    facts = {'run folder': folder.path, **{name.replace('_', ' '): value for name, value in config.items()
                                           if name not in ('command', 'git_commit', 'settings')}}
    return Column(label, summary, shlex.join(map(str, config.get('command', ()))),
                  {name: _text(value) for name, value in facts.items()},
                  {name: _text(value) for name, value in settings.items()}, settings['epoch_size'])


def _text(value):
    """Return a value of config.json as text."""
    if isinstance(value, dict):
        return ', '.join(f'{name} {_text(inner)}' for name, inner in value.items())
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, bool, type(None))) else str(value)


def _jobs(folder, column, frames):
    """Yield callables, each of which adds something to a column or raises `InputError` if that is missing."""
    yield functools.partial(_add_log, column, folder.path)
    yield functools.partial(_add_metrics, column, folder.path / 'metrics.json')
    paths = _attempt(column, lambda: folder.frames) or []
    for i in numpy.linspace(0, len(paths) - 1, min(len(paths), frames), dtype=int):
        yield functools.partial(_add_frame, column, paths[i])
    drawings = _attempt(column, folder.pictures) or {}
    if (drawn := folder.path / 'figures' / 'arithmetic.png').exists():      # its samples are chosen by hand
        drawings['arithmetic.png'] = lambda file: file.write(drawn.read_bytes())
    for name, heading in _PICTURES.items():
        if f'{name}.png' in drawings:
            yield functools.partial(_add_picture, column, heading, drawings[f'{name}.png'])


def _attempt(column, job):
    """Return the result of a callable. If something is missing for it, note the reason in the column and return None."""
    try:
        return job()
    except InputError as error:
        column.missing.append(console.one_line(str(error)))


def _add_log(column, folder):
    column.log.extend(report.read_log(folder))
    column.facts['updates'] = f'{column.log[-1]["iteration"]:,}'
    if seconds := column.log[-1].get('elapsed_time'):
        column.facts['training time'] = tqdm.tqdm.format_interval(seconds)


def _add_metrics(column, path):
    metrics = snapshot.read_json(path)
    if not (isinstance(metrics, dict) and all(isinstance(value, (int, float)) for value in metrics.values())):
        raise InputError(f'{path}: damaged, or not the metrics of a run; restore it from a copy')
    for name, value in metrics.items():
        if name != 'iteration' and not name.endswith(('_floor', '_real', '_total')):
            column.metrics[name] = number(value), _reference(metrics, name)


def _reference(metrics, name):
    """Return a text with the value that real data have for a metric, or an empty one if it is not known."""
    if floor := metrics.get(f'{name}_floor'):
        return f'{metrics[name] / floor:.1f} × floor {number(floor)}'
    if f'{name}_real' in metrics:
        return f'real data: {number(metrics[f"{name}_real"])}'
    total = metrics.get(f'{name.rpartition("_")[0]}_total')
    return '' if total is None else f'of {number(total)}'


def _add_frame(column, path):
    column.frames.append((int(path.stem.rpartition('_')[2]), embed(path)))


def _add_picture(column, heading, draw):
    drawn = io.BytesIO()
    draw(drawn)
    column.pictures[heading] = embed(drawn)
