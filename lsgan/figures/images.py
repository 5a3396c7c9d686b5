"""Image grids, latent arithmetic, and histograms of classes."""
import math
from collections.abc import Sequence

import numpy
from matplotlib.figure import Figure

from lsgan.figures import palette
from lsgan.figures.text import write
from lsgan.types import FileLike

_DPI = 100
_SIDE, _GAP, _MARGIN = 64, 2, 6                # pixels: smallest side of an image, gap between images, left and right margin
_TITLE, _LABEL = 40, 26                        # pixels: height of the title, height of headings and labels
_OPERATOR, _ACROSS = 44, 3                     # pixels between two terms of an equation, images per row in a group
_HISTOGRAM = 7, 3.6                            # inches: width and height of a histogram


class _Page:
    """A white page for images and text. Coordinates are pixels from the top left corner.

    Args:
        height, width (int): size of the page, in pixels.
    """

    def __init__(self, height, width):
        self._pixels = numpy.full((height, width, 3), 255, numpy.uint8)
        self._figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)

    def put(self, image, y, x, zoom):
        """Put a uint8 image of shape (C, H, W) with its top left corner at (y, x), enlarged by the whole number `zoom`."""
        image = image.repeat(zoom, axis=1).repeat(zoom, axis=2).transpose(1, 2, 0)
        self._pixels[y:y + image.shape[0], x:x + image.shape[1]] = image

    def write(self, text, y, x, width, size=palette.LABEL, weight='normal', colour=palette.BLACK):
        """Write one line of text, centred horizontally between x and x + width and vertically at y."""
        tall, wide, _ = self._pixels.shape
        artist = self._figure.text((x + width / 2) / wide, 1 - y / tall, '', fontsize=size, fontweight=weight, color=colour,
                                   ha='center', va='center')
        write(artist, text, width)

    def write_title(self, title):
        """Write a title at the top of the page."""
        self.write(title, _TITLE / 2, _MARGIN, self._pixels.shape[1] - 2 * _MARGIN, palette.TITLE, 'bold')

    def save(self, file):
        """Write the page as a PNG."""
        self._figure.figimage(self._pixels)
        self._figure.savefig(file, format='png')


def _zoom(images, side):
    """Return the smallest whole number that enlarges the longer side of images (..., H, W) to at least `side` pixels."""
    return math.ceil(side / max(images.shape[-2:]))


def grid(file: FileLike, images: numpy.ndarray, title: str, columns: int = 10, headings: Sequence[str] = (),
         labels: Sequence[str] = (), side: int = _SIDE) -> None:
    """Write a PNG grid of images, each enlarged by a whole number.

    Args:
        file: destination.
        images: uint8 array of shape (N, C, H, W), greyscale (C = 1) or RGB (C = 3).
        title: title of the figure, in one line.
        columns: number of images per row.
        headings: text above each column; empty for none.
        labels: text below each image; empty for none. A row without any text leaves no space for labels.
        side: minimum length of the longer side of an enlarged image, in pixels.
    """
    n, _, height, width = images.shape
    zoom, columns = _zoom(images, side), min(columns, n)
    step = width * zoom + _GAP
    tops = [_TITLE + (_LABEL if headings else 0)]
    for start in range(0, n, columns):
        tops.append(tops[-1] + height * zoom + _GAP + (_LABEL if any(labels[start:start + columns]) else 0))
    page = _Page(tops[-1], columns * step - _GAP + 2 * _MARGIN)
    for i, image in enumerate(images):
        page.put(image, tops[i // columns], _MARGIN + i % columns * step, zoom)
    page.write_title(title)
    for i, heading in enumerate(headings):
        page.write(heading, _TITLE + _LABEL / 2, _MARGIN + i * step, step - _GAP)
    for i, label in enumerate(labels):
        page.write(label, tops[i // columns] + height * zoom + _LABEL / 2, _MARGIN + i % columns * step, step - _GAP)
    page.save(file)


def arithmetic(file: FileLike, groups: Sequence[numpy.ndarray], means: numpy.ndarray, near: numpy.ndarray, title: str,
               names: Sequence[str], numbers: Sequence[Sequence[str]]) -> None:
    """Write a PNG of the latent arithmetic mean(A) - mean(B) + mean(C) (Radford et al. 2016, section 6.3.2).

    The upper part shows the images of the three groups. The lower part shows, enlarged, the images of the mean latents and of
    the result as an equation.

    Args:
        file: destination.
        groups: the images of A, B and C, three uint8 arrays of shape (n, C, H, W); n can differ between groups.
        means: images of the mean latents of A, B and C, uint8 array of shape (3, C, H, W).
        near: images of the result with noise added to its latent, and in their middle the result itself, uint8 array of shape
            (9, C, H, W).
        title: title of the figure, in one line.
        names: text above each of the three groups.
        numbers: for each group, a sequence of str: the text below each of its images.
    """
    height, width = means.shape[2:]
    zoom = _zoom(means, _SIDE)
    step_x, step_y = width * zoom + _GAP, height * zoom + _LABEL
    block = _ACROSS * step_x - _GAP
    large = block // width                                      # fills the width of the group above
    top = _TITLE + _LABEL
    below = top + step_y * max(math.ceil(len(group) / _ACROSS) for group in groups) + _GAP
    lefts = [_MARGIN + i * (block + _OPERATOR) for i in range(5)]
    page = _Page(below + _ACROSS * (height * zoom + _GAP) + _LABEL, lefts[-1] + block + _MARGIN)
    page.write_title(title)
    for x, group, name, labels, colour in zip(lefts, groups, names, numbers, palette.CYCLE):
        page.write(name, _TITLE + _LABEL / 2, x, block, weight='bold', colour=colour)
        x += (_ACROSS - min(len(group), _ACROSS)) * step_x // 2
        for i, (image, label) in enumerate(zip(group, labels)):
            at = top + i // _ACROSS * step_y, x + i % _ACROSS * step_x
            page.put(image, *at, zoom)
            page.write(label, at[0] + height * zoom + _LABEL / 2, at[1], step_x - _GAP)
    for x, image in zip(lefts, (*means, near[len(near) // 2])):
        page.put(image, below, x + (block - width * large) // 2, large)
    for i, image in enumerate(near):
        page.put(image, below + i // _ACROSS * (height * zoom + _GAP), lefts[-1] + i % _ACROSS * step_x, zoom)
    under = below + _ACROSS * (height * zoom + _GAP) + _LABEL / 2
    for x, label in zip(lefts, ('mean of A', 'mean of B', 'mean of C', 'A − B + C', 'A − B + C, with noise')):
        page.write(label, under, x, block)
    for x, operator in zip(lefts, '−+='):
        page.write(operator, below + height * large / 2, x + block, _OPERATOR, 2 * palette.TITLE)
    page.save(file)


def histogram(file: FileLike, shares: numpy.ndarray, due: numpy.ndarray, title: str) -> None:
    """Write a PNG bar chart of the fraction of samples in each class, with markers at the fractions of real data.

    Args:
        file: destination.
        shares: fraction of generated samples in each class, float array of shape (K,), 0 to 1.
        due: the same for real data.
        title: title of the figure, in one line.
    """
    figure = Figure(_HISTOGRAM, dpi=_DPI, layout='constrained')
    ax = figure.add_subplot()
    classes = numpy.arange(len(shares))
    ax.bar(classes, shares, color=palette.BLUE, label='generated')
    ax.hlines(due, classes - 0.4, classes + 0.4, color=palette.BLACK, linewidth=3, label='real')
    ax.set_xticks(classes[::math.ceil(len(classes) / 16)])      # more labels would overlap
    ax.set_xlabel('class', fontsize=palette.LABEL)
    ax.set_ylabel('fraction of samples', fontsize=palette.LABEL)
    ax.set_ylim(0, max(min(1.25, 2 / len(due)), 1.25 * max(*shares, *due)))      # leaves space for the legend
    ax.tick_params(labelsize=palette.TICK)
    ax.spines[['top', 'right']].set_visible(False)
    ax.legend(fontsize=palette.TICK, frameon=False, ncols=2, loc='upper right')
    write(figure.suptitle('', fontsize=palette.TITLE, fontweight='bold'), title, 0.95 * _DPI * _HISTOGRAM[0])
    figure.savefig(file, format='png')
