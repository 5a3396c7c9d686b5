"""Data sets of square images, read from folders, zip files and tar archives in any format that Pillow supports."""
import contextlib
import functools
import os
import threading
import warnings
from collections.abc import Sequence
from typing import BinaryIO

import numpy
import PIL
import threadpoolctl
from PIL import Image, ImageColor, ImageOps

from lsgan.datasets import cache
from lsgan.datasets.cache import Skipped
from lsgan.datasets.sources import DAMAGED, NO_IMAGE, open_source, or_skip
from lsgan.errors import InputError
from lsgan.types import PathLike

_MOST_PIXELS = 100_000_000      # a file that claims more pixels may be a decompression bomb
_VERSION = 3        # must change whenever the decoded images change, because the cache keeps them
_LARGE = 20_000_000     # images of more pixels are decoded one at a time, to save memory
_alone = threading.Lock()


def load(paths: PathLike | Sequence[PathLike], size: int,
         background: str = 'white') -> tuple[numpy.ndarray, list[tuple[str, str]], str]:
    """Return the central square of each image at the given paths, resized to one size.

    The images come in the order of the paths. Image formats are recognised by content. Transparent parts show the background
    colour, 16-bit images are converted to 8 bits, the EXIF orientation is applied, and an animation contributes its first
    frame. Images larger than `size` are reduced by averaging areas; smaller ones are enlarged by bicubic interpolation.

    Hidden files, whose names begin with a dot, are ignored. Run folders below the paths are skipped, because they contain
    pictures of generated samples. A file that can be reached through two paths counts once.

    A file is skipped if it is not an image, is damaged, has a side shorter than a quarter of `size`, has more than 100 million
    pixels, or cannot be read at the moment. The next load tries unreadable files again.

    Args:
        paths: one path or a sequence of paths. Each is a folder, which is searched recursively and through symbolic links; a
            zip file; or a tar archive, uncompressed or compressed by gzip, bzip2 or xz.
        size: height and width of the resulting images, in pixels.
        background: colour behind transparent parts, by name or as #rrggbb.

    Returns:
        The images, a read-only, memory-mapped uint8 array of shape (N, 3, size, size) with N at least 1; a sorted list of
        (name, reason) of the skipped files and folders, in which names begin with their path if there are several paths; and
        the `lsgan.datasets.images.fingerprint` of the images.

    Raises:
        InputError: if a path is missing or is neither a folder nor a complete archive; if a zip file is encrypted; if there is
            no usable image; or if the cache cannot be written.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    sources = list(dict.fromkeys(map(os.path.realpath, given)))
    Image.init()        # loads all formats here, before several threads would do it at the same time

    def make(open_file):
        try:
            with open_file() as file:
                return square(file, size, background)
        except (MemoryError, OSError) as error:
            raise Skipped(cache.unreadable(error)) from None

    def named(path, name):
        return f'{path}/{name}' if len(sources) > 1 else name

    with contextlib.ExitStack() as stack:
        opened = {path: stack.enter_context(open_source(path)) for path in sources}

        def items():
            for path, source in opened.items():
                for name, open_file, long in source:
                    yield named(path, name), functools.partial(make, open_file), long

        totals = [source.total for source in opened.values()]
        key = [_VERSION, PIL.__version__, [[path, source.key] for path, source in opened.items()], background]
        stack.enter_context(warnings.catch_warnings())
        # Pillow warns about large images and unusual metadata. Images that cannot be used are reported as skipped instead.
        warnings.simplefilter('ignore')
        stack.enter_context(threadpoolctl.threadpool_limits(1, 'blas'))     # there is one thread per image already
        made, unused, digest = cache.images(key, (3, size, size), items, 'Reading images',
                                            None if None in totals else sum(totals))
        skipped = sorted({*unused, *((named(path, name), reason) for path, source in opened.items()
                                     for name, reason in source.skipped)})
    if not len(made):
        told = f': {cache.tell_skipped(skipped)}' if skipped else ''
        raise InputError(f'--images {" ".join(sources)}: no usable image{told}')
    return made, skipped, digest


def square(file: BinaryIO, size: int, background: str = 'white') -> numpy.ndarray:
    """Return the central square of the image in a binary file, resized as by `load`.

    Args:
        file: binary file with one image.
        size: height and width of the result, in pixels.
        background: colour behind transparent parts, by name or as #rrggbb.

    Returns:
        RGB image, uint8 of shape (3, size, size).

    Raises:
        Skipped: if the file is not an image, or if the image is damaged, too small or too large.
        OSError, MemoryError: if the file cannot be read at the moment.
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
    """Decode an open image and return its central square; see `square`."""
    with or_skip(DAMAGED):
        image.load()
    with contextlib.suppress(Skipped), or_skip(DAMAGED):      # ignores damaged metadata
        ImageOps.exif_transpose(image, in_place=True)       # without a copy of images that need no rotation
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    with or_skip('in a colour space that Pillow cannot convert'):
        image = _rgb(image, (left, top, left + side, top + side), background)
    if side < size:         # averaging areas would produce blocks here
        return numpy.asarray(image.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    return _areas(image, size)


def _areas(image, size):
    """Reduce a square RGB image to (3, size, size): each new pixel is the mean of the area it covers."""
    times = max(1, image.width // (4 * size))       # Pillow first reduces large images by a whole number, which is faster
    length = image.width / times                    # not a whole number if the last pixel covers less than the others
    pixels = numpy.asarray(image.reduce(times), numpy.float32)
    edges, starts = numpy.linspace(0, length, size + 1)[:, None], numpy.arange(len(pixels))
    overlaps = numpy.minimum(edges[1:], starts + 1) - numpy.maximum(edges[:-1], starts)
    weights = (numpy.maximum(overlaps, 0) * (size / length)).astype(numpy.float32)
    means = numpy.tensordot(weights, numpy.tensordot(weights, pixels, (1, 0)), (1, 1))       # (x, y, colour)
    return numpy.rint(means).astype(numpy.uint8).transpose(2, 1, 0)


def _rgb(image, box, background):
    """Crop an image and convert it to 8-bit RGB. Transparent parts show the background colour."""
    part = image.crop(box)
    if image.mode[0] in 'IF':       # 16-bit images, which Pillow may store as 32 bits, and floating-point images
        grey = numpy.array(part, numpy.float32)
        if not numpy.isfinite(grey).all():
            raise ValueError('infinite or NaN')
        grey *= 255 / (65535 if image.mode[0] == 'I' else 1 if image.getextrema()[1] <= 1 else 255)
        numpy.clip(numpy.rint(grey, out=grey), 0, 255, out=grey)
        rgb = Image.fromarray(grey.astype(numpy.uint8)).convert('RGB')
        if 'transparency' in image.info:        # the grey level that counts as transparent
            rgb.paste(background, mask=Image.fromarray(numpy.asarray(part) == image.info['transparency']))
        return rgb
    if part.has_transparency_data:
        part = part.convert('RGBA')
        return Image.alpha_composite(Image.new('RGBA', part.size, background), part).convert('RGB')
    return part.convert('RGB')


def is_colour(name: str) -> bool:
    """Return whether Pillow accepts `name` as an opaque colour."""
    try:
        return len(ImageColor.getrgb(name)) == 3
    except ValueError:
        return False
