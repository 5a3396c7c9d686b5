"""Helpers that make small pictures and sets of pictures, and that compare what was loaded."""
import io
import tarfile
import zipfile

import numpy
import pytest
from PIL import Image

from lsgan.datasets import files
from lsgan.errors import InputError


def noise(height=4, width=4, seed=0):
    return numpy.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=numpy.uint8)


def encoded(picture, form='PNG', **options):
    """Return a picture as the bytes of an image file."""
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, form, **options)
    return file.getvalue()


def fill(folder, contents):
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pack(path, contents, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, 'w', compression) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return path


def pack_tar(path, contents, compression='', **options):
    """Pack files into a tar archive. A dict instead of bytes sets the attributes of a member's `tarfile.TarInfo`."""
    with tarfile.open(path, f'w:{compression}', **options) as archive:
        for name, data in contents.items() if isinstance(contents, dict) else contents:
            entry = tarfile.TarInfo(name)
            if isinstance(data, dict):
                for key, value in data.items():
                    setattr(entry, key, value)
                archive.addfile(entry)
            else:
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return path


def stored(kind, folder, contents):
    """Store files in a new source of a kind (folder, zip, tar, tar.gz, tar.bz2 or tar.xz) and return its path."""
    if kind == 'folder':
        return fill(folder / 'set', contents)
    path = folder / f'set.{kind}'
    return pack(path, contents) if kind == 'zip' else pack_tar(path, contents, kind[4:])


def holds(loaded, *pictures):
    """Return whether exactly these pictures were loaded, in any order."""
    return sorted(image.transpose(1, 2, 0).tolist() for image in loaded[0]) == sorted(picture.tolist() for picture in pictures)


def complaint(*args):
    """Return the message of the `InputError` that loading raises. The message must be a single line."""
    with pytest.raises(InputError) as error:
        files.load(*args)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)
