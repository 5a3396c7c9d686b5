"""Weights and other arrays in npz files, of which nothing is unpickled."""
import numpy
from chainer import serializers

from lsgan.errors import InputError


def read_arrays(path):
    """The arrays in an npz file by name; nothing is unpickled.

    Raises:
        InputError: where the file is missing, truncated, damaged or holds something else.
    """
    try:
        with open(path, 'rb') as file, numpy.load(file, allow_pickle=False) as f:
            return {key: f[key] for key in f.files}     # zip checks each one's CRC
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except Exception as error:      # the system, zipfile, zlib and NumPy each have their own for what they cannot read
        reason = getattr(error, 'strerror', None) or f'truncated, damaged or no npz file ({type(error).__name__})'
        raise InputError(f'{path}: {reason}') from None


def save_weights(file, link, half=False):
    """Writes a link as Chainer's `save_npz` does, but in the order of the names: equal weights make equal files.

    Args:
        file (path or binary file): where it is written.
        link (chainer.Link): what is written.
        half (bool): whether floating-point arrays are rounded to half precision, which `load_weights` takes, too.
    """
    serializer = serializers.DictionarySerializer()
    serializer.save(link)
    arrays = dict(sorted(serializer.target.items()))
    if half:
        arrays = {name: a.astype(numpy.float16) if a.dtype.kind == 'f' else a for name, a in arrays.items()}
    numpy.savez_compressed(file, **arrays)


def load_weights(path, link, expected):
    """Puts the weights in an npz file, as `save_weights` or Chainer's `save_npz` writes it, into a link.

    Args:
        path: the file.
        link (chainer.Link): with parameters of the saved shapes, of which single precision takes half precision, too; after an
            error it is as it was.
        expected (str): what the link is, for the message.

    Raises:
        InputError: where the file is missing, damaged, or of another link.
    """
    arrays = {name: a.astype(numpy.float32) if a.dtype == numpy.float16 else a for name, a in read_arrays(path).items()}
    put_weights(arrays, link, f'{path}: weights of another network than {expected}')


def put_weights(saved, link, complaint):
    """Puts arrays, a dict by the names of an npz file, into a link; raises `InputError` where they are another link's."""
    fresh = serializers.DictionarySerializer()
    fresh.save(link)
    saved_kinds, kinds = ({key: (a.shape, a.dtype) for key, a in arrays.items()} for arrays in (saved, fresh.target))
    if saved_kinds != kinds:
        raise InputError(complaint)
    serializers.NpzDeserializer(saved).load(link)
