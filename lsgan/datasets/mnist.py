"""MNIST and what comes in its format, images as bytes in idx files: Fashion-MNIST, KMNIST, EMNIST, one's own."""
import dataclasses
import gzip
import math
import os
import pathlib
import re
import zlib

import numpy

from lsgan.datasets import cache
from lsgan.datasets.download import fetch
from lsgan.errors import InputError

MIRRORS = ('https://ossci-datasets.s3.amazonaws.com/mnist/', 'https://storage.googleapis.com/cvdf-datasets/mnist/',
           'https://raw.githubusercontent.com/fgnt/mnist/master/')
SHA256 = {
    'train-images-idx3-ubyte.gz': '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
    'train-labels-idx1-ubyte.gz': '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
    't10k-images-idx3-ubyte.gz': '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
    't10k-labels-idx1-ubyte.gz': 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
}
_NAME = re.compile(r'(?!\.)(.*)(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(?:\.gz)?')
_EXPANSION = 1032       # most bytes that gzip makes of one


@dataclasses.dataclass(frozen=True, eq=False)
class IdxSet:
    """Images as they are in their files; labels, where they are known, are as many as the images.

    Attributes:
        train: uint8 array of shape (N, H, W), N at least 1.
        train_labels: uint8 array of shape (N,), or None.
        test: uint8 array of shape (M, H, W), M at least 1, or None.
        test_labels: uint8 array of shape (M,), or None.
    """

    train: numpy.ndarray
    train_labels: numpy.ndarray | None
    test: numpy.ndarray | None
    test_labels: numpy.ndarray | None


def load(path=None):
    """Reads a set of images.

    Args:
        path: a folder with one set, its files named as those of MNIST with or without something before, such as
            `emnist-letters-train-images-idx3-ubyte.gz`; or a file, the training images, beside which the others are looked
            for by its name. Only the training images must be there. None is MNIST itself, 11.6 MB in the user's cache
            folder, downloaded where it is missing.

    Returns:
        IdxSet

    Raises:
        InputError: where there are no training images or several, files are damaged or do not go together, or MNIST is
            missing and cannot be downloaded or kept, or a folder cannot be read.
    """
    try:
        if path is None:
            train = _mnist()
        else:
            path = pathlib.Path(path)
            if not path.exists():
                raise InputError(f'{path}: no such file or folder; --data (of visualize.py: --images) names a folder of idx '
                                 'files, or the file of the training images')
            train = _training_images(path) if path.is_dir() else path
        before, *role = _parse(train.name)
        files = _found(train.parent) if role == ['train', 'images'] and train.is_file() else {}
    except OSError as error:
        raise InputError(f'{error.filename}: {error.strerror}; the folder of idx files is given by --data (of visualize.py: '
                         '--images)') from None
    files[before, 'train', 'images'] = train
    (images, labels), (test, test_labels) = (
        _read_split(files.get((before, split, 'images')), files.get((before, split, 'labels'))) for split in ('train', 'test'))
    if test is not None and test.shape[1:] != images.shape[1:]:
        raise InputError(f'{files[before, "test", "images"]}: images of {_times(test.shape[1:])} pixels, '
                         f'those of {train} have {_times(images.shape[1:])}')
    return IdxSet(images, labels, test, test_labels)


def _mnist():
    """The file of MNIST's training images, all four downloaded where they are missing."""
    try:
        return [fetch(name, MIRRORS, sha256, cache.folder('mnist')) for name, sha256 in SHA256.items()][0]
    except InputError as error:
        raise InputError(f'{error}; MNIST is {", ".join(SHA256)}, there or in a folder that --data (of visualize.py: '
                         '--images) names') from None


def _parse(name):
    """What a file's name says: what is before, 'train' or 'test', 'images' or 'labels'; three times None where nothing."""
    match = _NAME.fullmatch(name)
    return (match[1], match[2].replace('t10k', 'test'), match[3]) if match else (None, None, None)


def _found(folder):
    """The files in a folder, by what their names say."""
    # where NAME and NAME.gz are both there, the latter, which has a checksum, is taken
    return {_parse(file.name): file for file in sorted(folder.iterdir()) if file.is_file()}


def _training_images(folder):
    files = [file for (_, *role), file in _found(folder).items() if role == ['train', 'images']]
    if not files:
        raise InputError(f'{folder}: no training images, a file named *train-images-idx3-ubyte or *train-images-idx3-ubyte.gz')
    if len(files) > 1:
        raise InputError(f'{folder}: several sets; give the training images of one, {" or ".join(map(str, files))}')
    return files[0]


def _read_split(images, labels):
    """The arrays in a file of images and in one of labels, None for either that is None."""
    if images is None:
        return None, None
    x, y = read_idx(images, 3), None if labels is None else read_idx(labels, 1)
    if not x.size:
        raise InputError(f'{images}: no images in it, {_times(x.shape)} bytes')
    if y is not None and len(y) != len(x):
        raise InputError(f'{labels}: {len(y):,} labels for the {len(x):,} images of {images}')
    return x, y


def read_idx(path, dimensions):
    """The unsigned bytes in an idx file, compressed by gzip or not.

    Args:
        path: the file.
        dimensions (int): how many it must have, 3 of images and 1 of labels.

    Returns:
        uint8 array of that many dimensions, read-only.

    Raises:
        InputError: where the file is missing, damaged or something else; the message says what was found.
    """
    try:
        with open(path, 'rb') as file:
            size, zipped = os.fstat(file.fileno()).st_size, file.read(2) == b'\x1f\x8b'
            file.seek(0)
            return _read(*(gzip.GzipFile(fileobj=file), size * _EXPANSION) if zipped else (file, size), dimensions)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = f'damaged or truncated gzip data ({error})'
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
    raise InputError(f'{path}: {reason}')


def _read(file, most, dimensions):
    """The array in an open idx file of at most `most` bytes; raises `ValueError` where it is none."""
    head = file.read(4)
    if head[:3] != b'\0\0\x08' or len(head) < 4:
        found = f'begins with {head.hex(" ")}' if head else 'is empty'
        raise ValueError(f'{found}; needed is an idx file of unsigned bytes (00 00 08), gzip-compressed or not')
    if head[3] != dimensions:
        raise ValueError(f'a {head[3]}-dimensional idx file; a {dimensions}-dimensional one is needed')
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError('truncated in the header')
    shape = numpy.frombuffer(sizes, '>u4').tolist()
    count = math.prod(shape)
    if count > most:        # not to ask for memory that the file cannot fill
        raise ValueError(f'truncated or damaged, {_times(shape)} bytes cannot be in it')
    data = file.read(count + 1)     # one more, to be at the end, where gzip checks all
    if len(data) != count:
        there = f'truncated after {len(data):,}' if len(data) < count else 'followed by more'
        raise ValueError(f'damaged, its {_times(shape)} bytes are {there}')
    return numpy.frombuffer(data, numpy.uint8).reshape(shape)


def _times(shape):
    return ' x '.join(map(str, shape))
