"""Pictures for a page on which one moves through the latent space of a run."""
import io
import math
import threading
import urllib.parse

import numpy
from PIL import Image

from lsgan.errors import InputError
from lsgan.figures.page import fill
from lsgan.random import along, analogy, between, mean, near, way
from lsgan.training.folder import SIDE, STEPS, RunFolder

_DIRECTIONS, _FARTHEST = 8, 4   # sliders of the page, and their largest value in standard deviations of the latents
_KNOWN = 1000                   # samples that the directions are computed from
_COLUMNS = 10                   # samples in a row of the picture of all samples
_FORMS = {'sample': 1, 'corners': 4, 'loop': 2, 'arithmetic': 3}    # ways to choose a latent, and how many groups each takes
_POSITIONS = {'corners': 2, 'loop': 1}      # numbers that say where between the samples the latent is


def principal_directions(latents: numpy.ndarray, images: numpy.ndarray, n: int) -> numpy.ndarray:
    """Return the orthogonal directions in latent space along which images change most.

    The images are regressed on their latents by least squares. The directions are the left singular vectors of the
    coefficients. Shen and Zhou (2021, arXiv:2007.06600) take the singular vectors of the generator's first layer in the same
    way. This function takes those of the linear map that is closest to the whole generator, so it works with every network.
    Like Härkönen et al. (2020, arXiv:2004.02546), it needs no labels.

    Args:
        latents: array of shape (N, size), with N well above size.
        images: array of shape (N, ...), the generator's images of these latents.
        n: number of directions; there are at most as many as a latent has dimensions.

    Returns:
        Array of shape (n, size), unit vectors. The first one changes the images most. The sign of each is chosen so that the
        images become brighter along it.
    """
    z, x = (array.reshape(len(array), -1).astype(numpy.float32) for array in (latents, images))
    coefficients = numpy.linalg.pinv(z - z.mean(axis=0)) @ (x - x.mean(axis=0))
    # singular vectors of a matrix with many more columns than rows
    directions = numpy.linalg.eigh(coefficients @ coefficients.T)[1].T[::-1][:n]
    return directions * numpy.where(directions @ coefficients.sum(axis=1) < 0, -1, 1)[:, None]


class Explorer:
    """What the page of `visualize.py explore` shows: the page itself and the pictures that it asks for.

    Several threads may use it. Samples are numbered as in the run's own grid, and chosen in one of these forms, whose values
    are those of the flags of `visualize.py analogy`:

    - `sample=3`
    - `corners=3 17 8 42`: between four samples
    - `loop=3 17`: on the way from one sample to another
    - `arithmetic=3,17,8 4,25,6 1,52,9`: mean(A) - mean(B) + mean(C)

    Args:
        folder: a run on images.
        command: the command that draws analogies of this run, without the flags that choose samples.

    Raises:
        InputError: see `lsgan.training.folder.RunFolder`.
    """

    def __init__(self, folder: RunFolder, command: str):
        self._folder, self._lock = folder, threading.Lock()
        self._distribution, self._shown = folder.experiment.latent_distribution, folder.experiment.shown
        z = folder.latents(_KNOWN, 'directions')
        images = folder.to_images(z)
        self._directions = z.std() * principal_directions(z, images, _DIRECTIONS)
        height, width = images.shape[2:]
        self._page = fill('explore.html', f'Latent space: {folder.title}', {
            'run': str(folder.path), 'title': folder.title, 'command': command, 'shown': self._shown, 'columns': _COLUMNS,
            'side': SIDE, 'steps': STEPS, 'width': width, 'height': height, 'directions': len(self._directions),
            'farthest': _FARTHEST})

    def answer(self, path: str, query: str) -> tuple[str, bytes] | None:
        """Return the page or a picture.

        Args:
            path: `/` for the page; `/image.png` for one image; `/sheet.png` for the images that it is chosen from.
            query: for a picture, one of the forms above, URL-encoded. For the sheet of all samples, it is empty. An image of
                the form `corners` or `loop` also takes `at`, one or two numbers from 0 to 1 with a comma: the position on the
                way, or in the square from left to right and from top to bottom. Every image takes `move`, numbers with
                commas: how far to move along each direction, in standard deviations of the latents.

        Returns:
            The content type and the content, or None if there is nothing at this path.

        Raises:
            InputError: if the query cannot be fulfilled.
        """
        if path == '/':
            return 'text/html; charset=utf-8', self._page
        pictures = {'/image.png': self._image, '/sheet.png': self._sheet}
        if path not in pictures:
            return None
        with self._lock:
            z, columns = pictures[path](_parsed(query))
            return 'image/png', _png(self._folder.to_images(z), columns)

    def _image(self, values):
        """Return the latent of the image that a query asks for, of shape (1, size), and the number of columns, 1."""
        form, members = self._chosen(values)
        at = _numbers(values, 'at', _POSITIONS.get(form, 0), 0, 1)
        move = _numbers(values, 'move', len(self._directions), -_FARTHEST, _FARTHEST)
        _require_read(values)
        if form == 'sample':
            z = members[0][0]
        elif form == 'arithmetic':
            z = analogy(*members, self._distribution)
        else:
            ends = numpy.concatenate(members)
            if form == 'corners':       # first down the sides, as in `between`
                x, *at = at
                ends = [self._along(*side, at) for side in zip(ends[:2], ends[2:])]
                at = [x]
            z = self._along(*ends, at)
        if move.any():
            z, = near(z, (move @ self._directions)[None].astype(z.dtype), self._distribution)
        return z[None], 1

    def _along(self, a, b, at):
        return along(a, b, numpy.array(at), self._distribution)[0]

    def _sheet(self, values):
        """Return the latents of a picture of several images, of shape (n, size), and the number of columns."""
        if not values:
            return self._folder.latents(self._shown), min(_COLUMNS, self._shown)
        form, members = self._chosen(values)
        _require_read(values)
        if form == 'arithmetic':
            means = [mean(group, self._distribution) for group in members]
            return numpy.stack([*means, analogy(*members, self._distribution)]), 4
        ends = numpy.concatenate(members)
        if form == 'corners':
            return between(ends, SIDE, self._distribution).reshape(SIDE * SIDE, -1), SIDE
        if form == 'loop':
            return way(*ends, SIDE, self._distribution), SIDE
        return ends, 1

    def _chosen(self, values):
        """Take the form from the values of a query. Return it, and the latents of each group, of shape (n, size)."""
        form = next((form for form in _FORMS if form in values), None)
        if form is None:
            raise InputError(f'choose samples by one of {", ".join(_FORMS)}')
        text = values.pop(form)
        try:
            groups = [[*map(int, group.split(','))] for group in text.split()]
        except ValueError:
            raise InputError(f'{form}={text}: pass numbers of samples') from None
        if len(groups) != _FORMS[form]:
            raise InputError(f'{form}={text}: takes {_FORMS[form]} samples or groups, with a space between them')
        if form != 'arithmetic' and any(len(group) > 1 for group in groups):
            raise InputError(f'{form}={text}: only arithmetic takes groups of several samples')
        return form, [self._folder.numbered(form, group) for group in groups]


def _parsed(query):
    """Return the values of a query, a dict from names to texts."""
    try:
        pairs = urllib.parse.parse_qsl(query, True, True, errors='strict') if query else []
    except ValueError:
        raise InputError('the query is not a list of NAME=VALUE with & between them') from None
    if len(dict(pairs)) < len(pairs):
        raise InputError('the query has the same name twice')
    return dict(pairs)


def _numbers(values, name, n, low, high):
    """Take n numbers from low to high from the values of a query. If the name is missing, return zeros."""
    text = values.pop(name, None)
    if text is None:
        return numpy.zeros(n)
    try:
        numbers = [*map(float, text.split(','))]
    except ValueError:
        numbers = [math.nan]
    if len(numbers) != n or not all(low <= number <= high for number in numbers):
        raise InputError(f'{name}={text}: must be {n} numbers from {low} to {high} with commas' if n else
                         f'{name}: works only with {" or ".join(_POSITIONS)}')
    return numpy.array(numbers)


def _require_read(values):
    """Raise `InputError` if something in a query has not been read."""
    for name in values:
        raise InputError(f'{name}: unknown, or does not belong here')


def _png(images, columns):
    """Return a PNG of uint8 images (n, C, H, W), without gaps between them. The last row may be filled up with black."""
    images = numpy.pad(images, [(0, -len(images) % columns), (0, 0), (0, 0), (0, 0)])
    _, colours, height, width = images.shape
    rows = images.reshape(-1, columns, colours, height, width).transpose(0, 3, 1, 4, 2)
    pixels = rows.reshape(-1, columns * width, colours)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(axis=2) if colours == 1 else pixels).save(file, 'PNG', compress_level=1)
    return file.getvalue()
