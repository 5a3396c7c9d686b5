"""Images from folders, zip files and tar archives, in any format that Pillow reads, as squares of one size."""
import contextlib
import functools
import os
import threading
import warnings

import numpy
import PIL
import threadpoolctl
from PIL import Image, ImageColor, ImageOps

from lsgan.datasets import cache
from lsgan.datasets.cache import Skipped
from lsgan.datasets.sources import DAMAGED, NO_IMAGE, open_source, or_skip
from lsgan.errors import InputError

_MOST_PIXELS = 100_000_000      # an image that claims more may be an attack
_VERSION = 3        # of the way images are made and kept: a cache of another version is not used
_LARGE = 20_000_000     # images of more pixels are decoded one by one, to save memory
_alone = threading.Lock()


def load(paths, size, background='white'):
    """Return the images at some paths: the middle square of each, resized by area, in the order of the paths.

    Formats are recognised by content. Transparent parts show the background, 16 bits become 8, the rotation that a camera
    noted is applied, and of an animation the first frame is taken. Files whose names begin with a dot are left out, and so
    are run folders below the paths, whose pictures no run was trained on. A file that two paths lead to counts once.

    Args:
        paths: a folder, with everything below it and behind symbolic links, a zip file, or a tar archive, plain or compressed
            by gzip, bzip2 or xz; or a sequence of these.
        size (int): height and width of the images.
        background (str): a colour by name or as #rrggbb.

    Returns:
        tuple: uint8 array (N, 3, size, size), N at least 1, read-only and mapped into memory; a sorted list of (name, reason)
        of the skipped files and run folders, each name beginning with its path if there are several; and the array's
        `lsgan.datasets.images.fingerprint`. Files are skipped if they are not images, damaged, smaller than a quarter of the
        size, absurdly large, or unreadable at the moment; the next load tries the last ones again.

    Raises:
        InputError: if a path is missing, not a folder and not a complete archive, or an encrypted zip file; if there is no
            image; or if the cache cannot be written.
    """
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    paths = list(dict.fromkeys(map(os.path.realpath, paths)))
    Image.init()        # otherwise several threads would load the formats at once

    def make(open_file):
        try:
            with open_file() as file:
                return square(file, size, background)
        except (MemoryError, OSError) as error:
            raise Skipped(cache.unreadable(error)) from None

    def named(path, name):
        return f'{path}/{name}' if len(paths) > 1 else name

    with contextlib.ExitStack() as stack:
        opened = {path: stack.enter_context(open_source(path)) for path in paths}

        def items():
            for path, source in opened.items():
                for name, open_file, long in source:
                    yield named(path, name), functools.partial(make, open_file), long

        totals = [source.total for source in opened.values()]
        key = [_VERSION, PIL.__version__, [[path, source.key] for path, source in opened.items()], background]
        stack.enter_context(warnings.catch_warnings())
        # Pillow warns of large images and odd metadata; what matters becomes the reason for skipping
        warnings.simplefilter('ignore')
        stack.enter_context(threadpoolctl.threadpool_limits(1, 'blas'))     # each thread has an image of its own
        made, unused, digest = cache.images(key, (3, size, size), items, 'reading images',
                                            None if None in totals else sum(totals))
        skipped = sorted({*unused, *((named(path, name), reason) for path, source in opened.items()
                                     for name, reason in source.skipped)})
    if not len(made):
        told = f': {cache.tell_skipped(skipped)}' if skipped else ''
        raise InputError(f'--images {" ".join(paths)}: no usable image{told}')
    return made, skipped, digest


def square(file, size, background='white'):
    """Return the middle square of the image in a binary file, a uint8 array (3, size, size).

    Raises:
        Skipped: if the file does not hold an image, or one that is damaged, too small or too large.
        OSError, MemoryError: if it cannot be read at the moment.
    """
    too_large = f'larger than {_MOST_PIXELS // 10 ** 6:,} million pixels'
    with or_skip(NO_IMAGE):
        try:
            image = Image.open(file)
        except Image.DecompressionBombError:
            raise Skipped(too_large) from None
    if image.width * image.height > _MOST_PIXELS:
        raise Skipped(too_large)
    if 4 * min(image.size) < size:
        raise Skipped(f'smaller than {-(-size // 4)} pixels')
    with _alone if image.width * image.height > _LARGE else contextlib.nullcontext():
        return _decoded(image, size, background)


def _decoded(image, size, background):
    """Return the middle square of an open image, see `square`."""
    with or_skip(DAMAGED):
        image.load()
    with contextlib.suppress(Skipped), or_skip(DAMAGED):      # damaged metadata are ignored
        ImageOps.exif_transpose(image, in_place=True)       # otherwise it would also copy an image that stays as it is
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    with or_skip('of colours that Pillow does not convert'):
        image = _rgb(image, (left, top, left + side, top + side), background)
    if side < size:         # enlarging by areas would give blocks
        return numpy.asarray(image.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    return _areas(image, size)


def _areas(image, size):
    """Return a square image made smaller, (3, size, size): each pixel is the mean of its area."""
    times = max(1, image.width // (4 * size))       # Pillow is quicker, so it first divides a large image by a whole number
    length = image.width / times                    # the last pixel may be an incomplete one
    pixels = numpy.asarray(image.reduce(times), numpy.float32)
    edges, starts = numpy.linspace(0, length, size + 1)[:, None], numpy.arange(len(pixels))
    overlaps = numpy.minimum(edges[1:], starts + 1) - numpy.maximum(edges[:-1], starts)
    weights = (numpy.maximum(overlaps, 0) * (size / length)).astype(numpy.float32)
    means = numpy.tensordot(weights, numpy.tensordot(weights, pixels, (1, 0)), (1, 1))       # (x, y, colour)
    return numpy.rint(means).astype(numpy.uint8).transpose(2, 1, 0)


def _rgb(image, box, background):
    """Return a part of an image in 8-bit RGB; transparent parts show the background."""
    part = image.crop(box)
    if image.mode[0] in 'IF':       # 16 bits, which Pillow may keep in 32, or floating point
        grey = numpy.array(part, numpy.float32)
        if not numpy.isfinite(grey).all():
            raise ValueError('infinite or not a number')
        grey *= 255 / (65535 if image.mode[0] == 'I' else 1 if image.getextrema()[1] <= 1 else 255)
        numpy.clip(numpy.rint(grey, out=grey), 0, 255, out=grey)
        rgb = Image.fromarray(grey.astype(numpy.uint8)).convert('RGB')
        if 'transparency' in image.info:        # one grey level is transparent
            rgb.paste(background, mask=Image.fromarray(numpy.asarray(part) == image.info['transparency']))
        return rgb
    if part.has_transparency_data:
        part = part.convert('RGBA')
        return Image.alpha_composite(Image.new('RGBA', part.size, background), part).convert('RGB')
    return part.convert('RGB')


def is_colour(name):
    """Return whether Pillow knows an opaque colour of that name."""
    try:
        return len(ImageColor.getrgb(name)) == 3
    except ValueError:
        return False
