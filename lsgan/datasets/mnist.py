"""MNIST and other data sets of idx files: Fashion-MNIST, KMNIST, EMNIST, or your own."""
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
from lsgan.types import PathLike

MIRRORS = ('https://ossci-datasets.s3.amazonaws.com/mnist/', 'https://storage.googleapis.com/cvdf-datasets/mnist/',
           'https://raw.githubusercontent.com/fgnt/mnist/master/')
SHA256 = {
    'train-images-idx3-ubyte.gz': '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
    'train-labels-idx1-ubyte.gz': '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
    't10k-images-idx3-ubyte.gz': '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
    't10k-labels-idx1-ubyte.gz': 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
}
# https://github.com/zalandoresearch/fashion-mnist, with the same names of files. The second mirror is that of Keras.
FASHION_MIRRORS = ('https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/',
                   'https://storage.googleapis.com/tensorflow/tf-keras-datasets/')
FASHION_SHA256 = {
    'train-images-idx3-ubyte.gz': '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
    'train-labels-idx1-ubyte.gz': 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
    't10k-images-idx3-ubyte.gz': '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
    't10k-labels-idx1-ubyte.gz': '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
}
_NAME = re.compile(r'(?!\.)(.*)(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(?:\.gz)?')
_EXPANSION = 1032       # the largest compression ratio of gzip


@dataclasses.dataclass(frozen=True, eq=False)
class IdxSet:
    """The images and labels of a data set, as stored in its files.

    Attributes:
        train: training images, uint8 array of shape (N, H, W), N at least 1.
        train_labels: their labels, uint8 array of shape (N,), or None.
        test: test images, uint8 array of shape (M, H, W), M at least 1, or None.
        test_labels: their labels, uint8 array of shape (M,), or None.
    """

    train: numpy.ndarray
    train_labels: numpy.ndarray | None
    test: numpy.ndarray | None
    test_labels: numpy.ndarray | None


def load(path: PathLike | None = None) -> IdxSet:
    """Read a data set of idx files.

    Args:
        path: a folder that contains one data set, or the file of its training images. Files are named as those of MNIST,
            optionally with a prefix, such as `emnist-letters-train-images-idx3-ubyte.gz`. The test images and the labels are
            optional; they are found in the same folder by the same prefix. A file with any other name is read alone, as
            training images. None means MNIST itself, which is downloaded to the user's cache folder (11.6 MB) if it is not
            there yet.

    Returns:
        The images and labels.

    Raises:
        InputError: if the folder contains no training images or those of several data sets; if a file is damaged; if files do
            not belong together; if a folder cannot be read; or if MNIST cannot be downloaded or stored.
    """
    try:
        if path is None:
            train = _mnist()
        else:
            path = pathlib.Path(path)
            if not path.exists():
                raise InputError(f'{path}: no such file or folder. Pass --data (for visualize.py: --images) a folder of idx '
                                 'files, or the file of the training images')
            train = _training_images(path) if path.is_dir() else path
        before, *role = _parse(train.name)
        files = _found(train.parent) if role == ['train', 'images'] and train.is_file() else {}
    except OSError as error:
        raise InputError(f'{error.filename}: {error.strerror}. Use --data (for visualize.py: --images) to choose another '
                         'folder of idx files') from None
    files[before, 'train', 'images'] = train
    (images, labels), (test, test_labels) = (
        _read_split(files.get((before, split, 'images')), files.get((before, split, 'labels'))) for split in ('train', 'test'))
    if test is not None and test.shape[1:] != images.shape[1:]:
        raise InputError(f'{files[before, "test", "images"]}: the images have {_times(test.shape[1:])} pixels, but those '
                         f'of {train} have {_times(images.shape[1:])}. Both files must belong to the same data set')
    return IdxSet(images, labels, test, test_labels)


def _mnist():
    """Return the path of MNIST's training images. Download the files of MNIST that are missing in the cache."""
    try:
        return [fetch(name, MIRRORS, sha256, cache.folder('mnist')) for name, sha256 in SHA256.items()][0]
    except InputError as error:
        raise InputError(f'{error}. MNIST consists of {", ".join(SHA256)}. If you have these files in another folder, pass '
                         'it to --data (for visualize.py: --images)') from None


def _parse(name):
    """Split a file name into its prefix, 'train' or 'test', and 'images' or 'labels'. Return three None for other names."""
    match = _NAME.fullmatch(name)
    return (match[1], match[2].replace('t10k', 'test'), match[3]) if match else (None, None, None)


def _found(folder):
    """Return a dict from the parts of a name, as returned by `_parse`, to the files in a folder."""
    # If both NAME and NAME.gz exist, the dict keeps NAME.gz, which contains a checksum.
    return {_parse(file.name): file for file in sorted(folder.iterdir()) if file.is_file()}


def _training_images(folder):
    files = [file for (_, *role), file in _found(folder).items() if role == ['train', 'images']]
    if not files:
        raise InputError(f'{folder}: no training images. Their file must be named *train-images-idx3-ubyte or '
                         '*train-images-idx3-ubyte.gz')
    if len(files) > 1:
        raise InputError(f'{folder}: several data sets. Pass the training images of one of them: '
                         f'{" or ".join(map(str, files))}')
    return files[0]


def _read_split(images, labels):
    """Return the arrays in a file of images and a file of labels, or None for a file that is None."""
    if images is None:
        return None, None
    x, y = read_idx(images, 3), None if labels is None else read_idx(labels, 1)
    if not x.size:
        raise InputError(f'{images}: contains no images, because its size is {_times(x.shape)}')
    if y is not None and len(y) != len(x):
        raise InputError(f'{labels}: {len(y):,} labels, but {len(x):,} images in {images}. Both files must belong to the same '
                         'data set')
    return x, y


def read_idx(path: PathLike, dimensions: int) -> numpy.ndarray:
    """Read an idx file of unsigned bytes, with or without gzip compression.

    Args:
        path: the file.
        dimensions: the required number of dimensions: 3 for images, 1 for labels.

    Returns:
        Read-only uint8 array with that number of dimensions.

    Raises:
        InputError: if the file is missing, damaged or of another kind. The message tells what was found.
    """
    try:
        with open(path, 'rb') as file:
            size, zipped = os.fstat(file.fileno()).st_size, file.read(2) == b'\x1f\x8b'
            file.seek(0)
            if zipped:
                return _read(gzip.GzipFile(fileobj=file), size * _EXPANSION, dimensions)
            return _read(file, size, dimensions)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = f'damaged or truncated gzip data ({error})'
    except (OSError, ValueError) as error:
        reason = str(getattr(error, 'strerror', None) or error)
    raise InputError(f'{path}: {reason}')


def _read(file, most, dimensions):
    """Read an array from an open idx file of at most `most` bytes, or raise `ValueError` if it is not one."""
    head = file.read(4)
    if head[:3] != b'\0\0\x08' or len(head) < 4:
        found = f'begins with {head.hex(" ")}' if head else 'is empty'
        raise ValueError(f'the content {found}, but an idx file of unsigned bytes begins with 00 00 08 and the number of its '
                         'dimensions')
    if head[3] != dimensions:
        raise ValueError(f'a {head[3]}-dimensional idx file, but a {dimensions}-dimensional one is needed. Images have 3 '
                         'dimensions, labels have 1')
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError('truncated within the header')
    shape = numpy.frombuffer(sizes, '>u4').tolist()
    count = math.prod(shape)
    if count > most:        # avoids allocating memory for data that the file cannot contain
        raise ValueError(f'truncated or damaged: the header promises {_times(shape)} bytes, more than the file can contain')
    data = file.read(count + 1)     # one more byte, to reach the end, where gzip compares its checksum
    if len(data) != count:
        there = f'it is truncated after {len(data):,}' if len(data) < count else 'more data follow'
        raise ValueError(f'damaged: the header promises {_times(shape)} bytes, but {there}')
    return numpy.frombuffer(data, numpy.uint8).reshape(shape)


def _times(shape):
    return ' x '.join(map(str, shape))
