"""A web page about one or several runs, in one file that needs no network."""
import base64
import dataclasses
import html
import importlib.resources
import io
import json
import re
from collections.abc import Sequence
from typing import BinaryIO

from lsgan.console import one_line
from lsgan.figures import palette
from lsgan.figures.animation import read
from lsgan.figures.curves import PANELS, Panel, values
from lsgan.types import FileLike

_QUALITY = 55       # of lossy WebP, at which grids of faces show no artefacts


@dataclasses.dataclass(frozen=True)
class Column:
    """Description of one run on the page.

    Attributes:
        label (str): name of the run. Every run needs its own.
        summary (str): a line about the run.
        command (str): the command that started it.
        facts (dict of str): what the results depend on besides the settings, such as the git commit.
        settings (dict of str): all settings.
        epoch_size (int): number of updates in an epoch.
        frames (list of tuple): sample pictures of the training, oldest first: number of updates and data URI.
        log (list of dict): see `lsgan.figures.curves.curves`.
        metrics (dict of tuple): maps the name of each metric to its value and the value to compare it with, both as text.
        pictures (dict of str): maps the heading of each other picture to its data URI.
        missing (list of str): the reasons why something is not shown.
    """

    label: str
    summary: str
    command: str
    facts: dict
    settings: dict
    epoch_size: int
    frames: list = dataclasses.field(default_factory=list)
    log: list = dataclasses.field(default_factory=list)
    metrics: dict = dataclasses.field(default_factory=dict)
    pictures: dict = dataclasses.field(default_factory=dict)
    missing: list = dataclasses.field(default_factory=list)


def page(file: BinaryIO, columns: Sequence[Column], panels: Sequence[Panel] = PANELS) -> None:
    """Write an HTML page that shows runs side by side.

    Args:
        file (binary file): destination.
        columns (sequence of Column): the runs, at least one.
        panels (sequence of lsgan.figures.curves.Panel): the plots of the logs. Those without any values are omitted.
    """
    title = f'Training report: {", ".join(column.label for column in columns)}'
    runs = [dataclasses.asdict(dataclasses.replace(column, log=_series(column.log, panels))) for column in columns]
    data = {'title': title, 'runs': runs, 'panels': [dataclasses.asdict(panel) for panel in panels],
            # black on a white page is white on a black one
            'colours': ['currentColor' if colour == palette.BLACK else colour for colour in palette.CYCLE]}
    file.write(fill('page.html', title, data))


def fill(name: str, title: str, data: dict) -> bytes:
    """Return an HTML page, encoded in UTF-8.

    Args:
        name: the file name of its template, which is in the folder of this module.
        title: the title of the page.
        data: what the script on the page reads; only what JSON can hold, and no NaN.
    """
    folder = importlib.resources.files('lsgan.figures')
    template, style = (folder.joinpath(file).read_text(encoding='utf-8') for file in (name, 'style.css'))
    encoded = json.dumps(data, allow_nan=False).replace('<', r'\u003c')     # no text can end the script element
    values = {'{STYLE}': style, '{TITLE}': html.escape(one_line(title)), '{DATA}': encoded}
    return re.sub('{STYLE}|{TITLE}|{DATA}', lambda found: values[found[0]], template).encode()


def embed(file: FileLike) -> str:
    """Return a picture as the data URI of a WebP image, lossy or lossless, whichever is smaller.

    Args:
        file (path or binary file): the picture.

    Raises:
        InputError: if the picture is missing or damaged.
    """
    picture, lossy, lossless = read(file), io.BytesIO(), io.BytesIO()
    picture.save(lossy, 'WEBP', quality=_QUALITY)
    picture.save(lossless, 'WEBP', lossless=True)
    return 'data:image/webp;base64,' + base64.b64encode(min(lossy.getvalue(), lossless.getvalue(), key=len)).decode()


def _series(log, panels):
    """Return the curves of all panels: for each key, a list of (update, value) with five significant digits."""
    return {key: [(update, float(f'{value:.5g}')) for update, value in values(log, key, panel.scale)]
            for panel in panels for key in (*panel.keys, *panel.references)}
