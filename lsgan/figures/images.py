"""Pictures of images and of the classes that a judge sees in them."""
import math

import numpy
from matplotlib.figure import Figure

from lsgan.figures import palette
from lsgan.figures.text import write

_DPI, _SIDE, _GAP, _MARGIN = 100, 64, 2, 6     # pixels: least side of an image, white between images, left and right
_TITLE, _LABEL = 40, 26                        # pixels: heights of the title and of headings and labels
_OPERATOR, _ACROSS = 44, 3                     # pixels between two terms of a sum, and images of a group in a row
_HISTOGRAM = 7, 3.6                            # inches


class _Page:
    """A white page, filled with images and text by pixel coordinates from the top left.

    Args:
        height, width (int): in pixels.
    """

    def __init__(self, height, width):
        self._pixels = numpy.full((height, width, 3), 255, numpy.uint8)
        self._figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)

    def put(self, image, y, x, zoom):
        """Put a uint8 image (C, H, W) at y, x, enlarged by a whole number."""
        image = image.repeat(zoom, axis=1).repeat(zoom, axis=2).transpose(1, 2, 0)
        self._pixels[y:y + image.shape[0], x:x + image.shape[1]] = image

    def write(self, text, y, x, width, size=palette.LABEL, weight='normal', colour=palette.BLACK):
        """Write one line in the middle of `width` pixels that begin at x, and as high above y as below it."""
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
    """Return the whole number by which images (..., H, W) are enlarged to have a longer side of at least so many pixels."""
    return math.ceil(side / max(images.shape[-2:]))


def grid(file, images, title, columns=10, headings=(), labels=(), side=_SIDE):
    """Write a PNG of images in rows, each enlarged by a whole number.

    Args:
        file (path or binary file): where it is written.
        images: uint8 array of shape (N, C, H, W), grey (C = 1) or RGB (C = 3).
        title (str): one line.
        columns (int): images in a row.
        headings (sequence of str): what stands above each column, or nothing.
        labels (sequence of str): what stands below each image, or nothing. A row without text takes no room for it.
        side (int): pixels that the longer side of an image has at least.
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


def arithmetic(file, groups, means, near, title, names, numbers):
    """Write a PNG of mean(A) - mean(B) + mean(C): the images of each group, and larger, below them, the equation of the means.

    Args:
        file (path or binary file): where it is written.
        groups (sequence): three uint8 arrays of shape (n, C, H, W), each of any number of images.
        means: uint8 array of shape (3, C, H, W): the image of each group's mean.
        near: uint8 array of shape (9, C, H, W): images near the result, and the result in their middle.
        title (str): one line.
        names (sequence of str): what stands above the three groups.
        numbers (sequence): for each group, what stands below each of its images, a sequence of str.
    """
    height, width = means.shape[2:]
    zoom = _zoom(means, _SIDE)
    step_x, step_y = width * zoom + _GAP, height * zoom + _LABEL
    block = _ACROSS * step_x - _GAP
    large = block // width                                      # as wide as the images above them
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


def histogram(file, shares, due, title):
    """Writes a PNG of how large a share of the samples each class has, and of the share that it should have.

    Args:
        file (path or binary file): where it is written.
        shares, due: float arrays of shape (K,), 0 to 1.
        title (str): one line.
    """
    figure = Figure(_HISTOGRAM, dpi=_DPI, layout='constrained')
    ax = figure.add_subplot()
    classes = numpy.arange(len(shares))
    ax.bar(classes, shares, color=palette.BLUE, label='generated')
    ax.hlines(due, classes - 0.4, classes + 0.4, color=palette.BLACK, linewidth=3, label='real')
    ax.set_xticks(classes[::math.ceil(len(classes) / 16)])      # more would overlap
    ax.set_xlabel('class', fontsize=palette.LABEL)
    ax.set_ylabel('share', fontsize=palette.LABEL)
    ax.set_ylim(0, max(min(1.25, 2 / len(due)), 1.25 * max(*shares, *due)))      # with room for the legend
    ax.tick_params(labelsize=palette.TICK)
    ax.spines[['top', 'right']].set_visible(False)
    ax.legend(fontsize=palette.TICK, frameon=False, ncols=2, loc='upper right')
    write(figure.suptitle('', fontsize=palette.TITLE, fontweight='bold'), title, 0.95 * _DPI * _HISTOGRAM[0])
    figure.savefig(file, format='png')
