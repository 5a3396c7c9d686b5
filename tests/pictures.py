"""Makes small pictures and sets of them for tests, and compares what is loaded."""
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
    """The bytes of an image file."""
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
    """Packs files into a tar archive; instead of its bytes, a file can have the attributes of a `tarfile.TarInfo`."""
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
    """Stores files in a new source of that kind, `folder`, `zip`, `tar`, `tar.gz`, `tar.bz2` or `tar.xz`; returns its path."""
    if kind == 'folder':
        return fill(folder / 'set', contents)
    path = folder / f'set.{kind}'
    return pack(path, contents) if kind == 'zip' else pack_tar(path, contents, kind[4:])


def holds(loaded, *pictures):
    """Whether these pictures were loaded, in any order."""
    return sorted(image.transpose(1, 2, 0).tolist() for image in loaded[0]) == sorted(picture.tolist() for picture in pictures)


def complaint(*args):
    """The one line of the `InputError` that a load raises."""
    with pytest.raises(InputError) as error:
        files.load(*args)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)
