"""The images in a folder or a zip, of any format that Pillow reads, as squares of one size."""
import contextlib
import errno
import io
import os
import stat
import threading
import warnings
import zipfile

import numpy
import PIL
import threadpoolctl
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from lsgan.datasets import cache
from lsgan.datasets.cache import Skipped
from lsgan.errors import InputError

_MOST_PIXELS, _MOST_BYTES = 100_000_000, 1 << 30       # beyond these a file is rather an attack than a picture
_VERSION = 2        # of what is made of a file: another one, another cache
# not to fill the memory: pixels beyond which images are decoded one by one, bytes beyond which a zip's are looked at first
_LARGE, _LONG = 20_000_000, 1 << 24
_DAMAGED, _TOO_LONG = 'damaged or truncated', f'larger than {_MOST_BYTES >> 20:,} MiB'
_NO_IMAGE = 'no image that Pillow reads'
_alone = threading.Lock()


def load(path, size, background='white'):
    """Reads images: their middle square, resized by area.

    Formats are told by content. Transparent parts show the background, 16 bits become 8, rotations that a camera noted are
    done, and of an animation the first frame is taken. Files whose names begin with a dot are no one's pictures, and what a
    run folder below the path holds is not what it was trained on.

    Args:
        path: a folder, with all below it and behind symbolic links, or a zip.
        size (int): height and width of the images.
        background (str): a colour by name or as #rrggbb.

    Returns:
        tuple: uint8 array (N, 3, size, size), N at least 1, read-only and mapped into memory; a list of (name, reason) of what
        was skipped: no images, damaged ones, those smaller than a quarter of the size, absurdly large, or not to be read
        now, which are tried again by the next load, and run folders; and the array's `lsgan.datasets.images.fingerprint`.

    Raises:
        InputError: where the path is missing, no folder and no zip, a broken or encrypted zip, or holds no image, or where the
            cache cannot be written.
    """
    path = os.path.realpath(path)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise InputError(f'--images {path}: {error.strerror}; give a folder or a zip of images') from None
    if stat.S_ISDIR(mode):
        file_of, names, key, skipped = _folder(path)
        opened = contextlib.nullcontext()
    else:
        opened, file_of, names, key, skipped = _zip(path, mode)
    Image.init()        # else several threads would load the formats at once

    def make(name):
        try:
            with file_of(name) as file:
                return square(file, size, background)
        except (MemoryError, OSError) as error:
            raise Skipped(_unreadable(error)) from None

    # each of several threads has an image of its own
    with opened, warnings.catch_warnings(), threadpoolctl.threadpool_limits(1, 'blas'):
        # Pillow warns of large images and odd metadata; what matters is told by reason
        warnings.simplefilter('ignore')
        made, missing, digest = cache.images([_VERSION, PIL.__version__, path, key, background], (3, size, size), names, make,
                                             'reading images')
    skipped += [(names[i], reason) for i, reason in missing]
    if not len(made):
        told = f': {cache.tell_skipped(skipped)}' if skipped else ''
        raise InputError(f'--images {path}: no image in it that can be used{told}')
    return made, sorted(skipped), digest


def _folder(path):
    """What opens a file of a folder, the names of all files, what tells that they changed, and what was skipped."""
    names, key, skipped, seen = [], [], [], set()
    for place, folders, files in os.walk(path, followlinks=True, onerror=lambda error: skipped.append(
            (os.path.relpath(error.filename, path), 'in a folder that cannot be read'))):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:      # a link led back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if place != path and 'config.json' in files and 'samples' in folders:
            skipped.append((os.path.relpath(place, path), 'run folder'))
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for file in sorted(files):
            if file.startswith('.'):
                continue
            name = os.path.relpath(os.path.join(place, file), path)
            try:
                status = os.stat(os.path.join(place, file))
            except OSError as error:
                skipped.append((name, 'links to nothing' if os.path.islink(os.path.join(place, file)) else _unreadable(error)))
                continue
            if not stat.S_ISREG(status.st_mode):        # a pipe would be waited for
                skipped.append((name, 'no regular file'))
                continue
            if status.st_size > _MOST_BYTES:
                skipped.append((name, _TOO_LONG))
                continue
            names.append(name)
            key.append([name, status.st_size, status.st_mtime_ns, status.st_ctime_ns])      # the last one of permissions

    def file_of(name):
        return open(os.path.join(path, name), 'rb')     # of what is no image Pillow reads the beginning alone
    return file_of, names, key, skipped


def _unreadable(error):
    return f'{cache.UNREADABLE} ({getattr(error, "strerror", "too little memory")})'


@contextlib.contextmanager
def _or_skip(reason, kind=Exception):
    """Skips an image for that reason where it is at fault: each format and compression has errors of its own."""
    try:
        yield
    except (MemoryError, Skipped):
        raise
    except kind as error:
        # errors of the disk have numbers, and may pass; but a damaged image may send where no file can be
        if getattr(error, 'errno', None) not in (None, errno.EINVAL):
            raise
        raise Skipped(reason) from None


def _zip(path, mode):
    """The open zip, and as `_folder`."""
    try:
        if not stat.S_ISREG(mode):
            raise zipfile.BadZipFile
        opened = zipfile.ZipFile(path)
    except OSError as error:
        raise InputError(f'--images {path}: {error.strerror}') from None
    except Exception:       # BadZipFile, and others where its directory is damaged
        raise InputError(f'--images {path}: neither a folder nor a whole zip; of a single image give its folder, and unpack '
                         'other archives first') from None
    entries = {entry.filename: entry for entry in opened.infolist() if not entry.is_dir() and not any(
        part.startswith(('.', '__MACOSX')) and part not in ('.', '..') for part in entry.filename.split('/'))}
    if any(entry.flag_bits & 1 for entry in entries.values()):
        opened.close()
        raise InputError(f'--images {path}: encrypted; unpack it, and give the folder')
    status = os.stat(path)

    def file_of(name):
        if entries[name].file_size > _MOST_BYTES:
            raise Skipped(_TOO_LONG)
        with _or_skip(_DAMAGED), _or_skip('compressed in a way that Python does not know', RuntimeError):
            if entries[name].file_size > _LONG:     # such as a film, of which the beginning says that it is no image
                try:
                    with opened.open(entries[name]) as stream:
                        Image.open(stream)
                except UnidentifiedImageError:
                    raise Skipped(_NO_IMAGE) from None
                except Exception:       # who reads it all will know more
                    pass
            return io.BytesIO(opened.read(entries[name]))       # each step back in an open entry would start it anew
    return opened, file_of, sorted(entries), [status.st_size, status.st_mtime_ns], []


def square(file, size, background='white'):
    """The middle square of an image, a uint8 array (3, size, size).

    Raises:
        Skipped: where the binary file holds none, or one that is damaged, too small or too large.
        OSError, MemoryError: where it cannot be read now.
    """
    too_large = f'larger than {_MOST_PIXELS // 10 ** 6:,} million pixels'
    with _or_skip(_NO_IMAGE):
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
    """The middle square of an open image, as `square`."""
    with _or_skip(_DAMAGED):
        image.load()
    with contextlib.suppress(Skipped), _or_skip(_DAMAGED):      # metadata that are damaged turn nothing
        ImageOps.exif_transpose(image, in_place=True)       # else it would copy an image that needs no turn, too
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    with _or_skip('of colours that Pillow does not convert'):
        image = _rgb(image, (left, top, left + side, top + side), background)
    if side < size:         # enlarged, areas would be blocks
        return numpy.asarray(image.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    return _areas(image, size)


def _areas(image, size):
    """A square image made smaller: each pixel is the mean of its area, (3, size, size)."""
    times = max(1, image.width // (4 * size))       # a large one first by a whole number, by Pillow, which is quicker
    length = image.width / times                    # the last pixel may be a part of one
    pixels = numpy.asarray(image.reduce(times), numpy.float32)
    edges, starts = numpy.linspace(0, length, size + 1)[:, None], numpy.arange(len(pixels))
    overlaps = numpy.minimum(edges[1:], starts + 1) - numpy.maximum(edges[:-1], starts)
    weights = (numpy.maximum(overlaps, 0) * (size / length)).astype(numpy.float32)
    means = numpy.tensordot(weights, numpy.tensordot(weights, pixels, (1, 0)), (1, 1))       # (x, y, colour)
    return numpy.rint(means).astype(numpy.uint8).transpose(2, 1, 0)


def _rgb(image, box, background):
    """That part of the image in 8-bit RGB, on the background where it is transparent."""
    part = image.crop(box)
    if image.mode[0] in 'IF':       # 16 bits, which Pillow may hold in 32, or floating point
        grey = numpy.array(part, numpy.float32)
        if not numpy.isfinite(grey).all():
            raise ValueError('numbers that are none')
        grey *= 255 / (65535 if image.mode[0] == 'I' else 1 if image.getextrema()[1] <= 1 else 255)
        numpy.clip(numpy.rint(grey, out=grey), 0, 255, out=grey)
        rgb = Image.fromarray(grey.astype(numpy.uint8)).convert('RGB')
        if 'transparency' in image.info:        # of one grey
            rgb.paste(background, mask=Image.fromarray(numpy.asarray(part) == image.info['transparency']))
        return rgb
    if part.has_transparency_data:
        part = part.convert('RGBA')
        return Image.alpha_composite(Image.new('RGBA', part.size, background), part).convert('RGB')
    return part.convert('RGB')


def is_colour(name):
    """Whether Pillow knows an opaque colour of that name."""
    try:
        return len(ImageColor.getrgb(name)) == 3
    except ValueError:
        return False
