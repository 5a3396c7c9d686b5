"""Weights and other arrays in npz files, read without unpickling anything."""
from collections.abc import Mapping

import chainer
import numpy
from chainer import serializers

from lsgan.errors import InputError
from lsgan.types import FileLike, PathLike


def read_arrays(path: PathLike) -> dict[str, numpy.ndarray]:
    """Return the arrays in an npz file, a dict by name, without unpickling anything.

    Raises:
        InputError: if the file is missing, truncated or damaged, or holds something else.
    """
    try:
        with open(path, 'rb') as file, numpy.load(file, allow_pickle=False) as f:
            return {key: f[key] for key in f.files}     # reading checks the checksum of each array
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except Exception as error:      # the system, zipfile, zlib and NumPy each raise errors of their own
        reason = getattr(error, 'strerror', None) or (f'truncated, damaged or not an npz file ({type(error).__name__}); '
                                                      'save or copy it again')
        raise InputError(f'{path}: {reason}') from None


def save_weights(file: FileLike, link: chainer.Link, half: bool = False) -> None:
    """Write a link like Chainer's `save_npz`, but ordered by name, so that equal weights give equal files.

    Args:
        file: the file to write.
        link: the link to save.
        half: whether to round floating-point arrays to half precision. `load_weights` reads these as well.
    """
    serializer = serializers.DictionarySerializer()
    serializer.save(link)
    arrays = dict(sorted(serializer.target.items()))
    if half:
        arrays = {name: a.astype(numpy.float16) if a.dtype.kind == 'f' else a for name, a in arrays.items()}
    numpy.savez_compressed(file, **arrays)


def load_weights(path: PathLike, link: chainer.Link, expected: str) -> None:
    """Load weights from an npz file, written by `save_weights` or Chainer's `save_npz`, into a link.

    Args:
        path: the npz file. Half-precision arrays are converted to single precision.
        link: has parameters of the saved names, shapes and types. After an error it is unchanged.
        expected: what the link is, for the error message.

    Raises:
        InputError: if the file is missing or damaged, or holds the weights of another link.
    """
    arrays = {name: a.astype(numpy.float32) if a.dtype == numpy.float16 else a for name, a in read_arrays(path).items()}
    put_weights(arrays, link, f'{path}: weights of another network than {expected}; use a file from one with the same layers')


def put_weights(saved: Mapping[str, numpy.ndarray], link: chainer.Link, complaint: str) -> None:
    """Copy arrays into a link.

    Args:
        saved: the arrays, by the names that they have in an npz file of the link.
        link: has parameters of these names, shapes and types. After an error it is unchanged.
        complaint: the message of the error.

    Raises:
        InputError: if the arrays are those of another link.
    """
    fresh = serializers.DictionarySerializer()
    fresh.save(link)
    saved_kinds, kinds = ({key: (a.shape, a.dtype) for key, a in arrays.items()} for arrays in (saved, fresh.target))
    if saved_kinds != kinds:
        raise InputError(complaint)
    serializers.NpzDeserializer(saved).load(link)
