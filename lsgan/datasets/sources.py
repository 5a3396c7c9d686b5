"""Folders, zip files and tar archives as sources of files. Archives are never unpacked to disk."""
import bz2
import contextlib
import errno
import functools
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from lsgan.datasets import cache
from lsgan.datasets.cache import Skipped
from lsgan.errors import InputError
from lsgan.types import PathLike

_MOST_BYTES = 1 << 30       # a file that claims to be longer is skipped; it may be a decompression bomb
_LONG, _HEAD = 1 << 24, 1 << 20     # a packed file of more than _LONG bytes is only read if its first _HEAD bytes are an image
_MOST_TIMES = 1000          # a tar archive may unpack to this multiple of its size plus _MOST_BYTES
_LONGEST_HEADER = 1 << 18   # largest total size of the headers of one tar member, in bytes
_DECOMPRESSORS = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open, b'\xfd7zXZ\0': lzma.open}      # by the first bytes of a file

# Reasons for skipping a file, see `lsgan.datasets.cache.Skipped`.
DAMAGED, NO_IMAGE, NOT_REGULAR = 'damaged or truncated', 'not in an image format that Pillow reads', 'not a regular file'
_TOO_LONG = f'larger than {_MOST_BYTES >> 20:,} MiB'


def open_source(path: PathLike) -> 'Folder | Tar | Zip':
    """Open the `Folder`, `Tar` or `Zip` at a path. Archives are recognised by content, not by suffix.

    Raises:
        InputError: if the path does not exist, cannot be read, or is neither a folder nor a complete archive.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return Folder(path)
        if stat.S_ISREG(mode):
            # Tar comes first: a tar archive whose last member is a zip file also looks like that zip file.
            return Tar(path) if Tar.is_at(path) else Zip(path)
    except OSError as error:
        raise InputError(f'--images {path}: {error.strerror}. Pass a folder of images, or a zip or tar archive of '
                         'them') from None
    except zipfile.BadZipFile:
        pass
    raise InputError(f'--images {path}: not a folder, and not a complete zip or tar archive. Pass the folder that contains '
                     'the images, or unpack the archive first')


class _Source(contextlib.AbstractContextManager):
    """The common interface of `Folder`, `Zip` and `Tar`: an iterable of files and a context manager, made from a path.

    Iteration yields tuples (name, open, long) in a fixed order and can be repeated. `open` takes no argument, may be called
    from any thread, and returns a binary file. It raises `Skipped` if the file can never be used. It raises OSError or
    MemoryError if the file cannot be read at the moment. `long` tells whether the file needs so much memory that only one such
    file should be open at a time. If a name occurs twice, the later file replaces the earlier one.

    Attributes:
        key: JSON data that changes whenever a file of the source may have changed.
        skipped: list of (name, reason) of the files that are known to be unusable before they are opened.
        total: number of files, or None if that is unknown until the whole archive has been read.
    """

    skipped, total = (), None

    def __exit__(self, *_):
        pass


class Folder(_Source):
    """All files below a folder, including those behind symbolic links, except hidden files and run folders."""

    def __init__(self, path):
        self._path, self._names, self.key, self.skipped, seen = path, [], [], [], set()
        for place, folders, files in os.walk(path, followlinks=True, onerror=lambda error: self.skipped.append(
                (os.path.relpath(error.filename, path), 'folder that cannot be read'))):
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:      # a symbolic link leads to it again
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            if place != path and 'config.json' in files and 'samples' in folders:
                self.skipped.append((os.path.relpath(place, path), 'run folder'))
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith('.'))
            for file in sorted(files):
                if not file.startswith('.'):
                    self._add(os.path.join(place, file))
        self.total = len(self._names)

    def _add(self, file):
        name = os.path.relpath(file, self._path)
        try:
            status = os.stat(file)
        except OSError as error:
            self.skipped.append((name, 'broken symbolic link' if os.path.islink(file) else cache.unreadable(error)))
            return
        if not stat.S_ISREG(status.st_mode):        # reading a named pipe would block
            self.skipped.append((name, NOT_REGULAR))
        elif status.st_size > _MOST_BYTES:
            self.skipped.append((name, _TOO_LONG))
        else:
            self._names.append(name)
            # The change time (ctime) also reveals changes of permissions.
            self.key.append([name, status.st_size, status.st_mtime_ns, status.st_ctime_ns])

    def __iter__(self):
        for name in self._names:
            # Hand out the open file rather than its content: of a file that is not an image, Pillow reads only the beginning.
            yield name, functools.partial(open, os.path.join(self._path, name), 'rb'), False


class Zip(_Source):
    """The files in a zip file, except hidden ones, sorted by name."""

    def __init__(self, path):
        try:
            self._opened = zipfile.ZipFile(path)
        except OSError:
            raise
        except Exception:       # a damaged central directory can raise many kinds of errors
            raise zipfile.BadZipFile from None
        self._entries = {entry.filename: entry for entry in self._opened.infolist()
                         if not entry.is_dir() and not _is_hidden(entry.filename)}
        if any(entry.flag_bits & 1 for entry in self._entries.values()):
            self._opened.close()
            raise InputError(f'--images {path}: the zip file is encrypted. Unpack it and pass the folder')
        self.key, self.total = _size_and_time(path), len(self._entries)

    def __exit__(self, *_):
        self._opened.close()

    def __iter__(self):
        for name, entry in sorted(self._entries.items()):
            yield name, functools.partial(self._open, entry), entry.file_size > _LONG

    def _open(self, entry):
        if entry.file_size > _MOST_BYTES:
            raise Skipped(_TOO_LONG)
        with or_skip(DAMAGED), or_skip('compressed by a method that Python does not support', RuntimeError):
            if entry.file_size > _LONG:
                with self._opened.open(entry) as file:
                    _require_image(file.read(_HEAD))
            # In memory, because seeking back in a compressed entry would decompress it again.
            return io.BytesIO(self._opened.read(entry))


class Tar(_Source):
    """The files in a tar archive, except hidden ones, in the order of the archive.

    The archive is uncompressed or compressed by gzip, bzip2 or xz. Because a tar archive has no index, each iteration reads it
    from beginning to end, and each file is in memory before it is opened. Links and devices are skipped.
    """

    def __init__(self, path):
        self._path, self.key = path, _size_and_time(path)

    @staticmethod
    def is_at(path: PathLike) -> bool:
        """Return whether a file begins with a valid tar header, after decompression."""
        try:
            with _open_tar(path):
                return True
        except OSError as error:
            if error.errno is not None:
                raise
            return False
        except Exception:       # each compression module raises its own errors
            return False

    def __iter__(self):
        try:
            most = _MOST_TIMES * os.path.getsize(self._path) + _MOST_BYTES
            with _open_tar(self._path) as opened:
                reached = 0
                while member := self._next(opened):
                    if not reached < opened.offset:     # a negative size would lead back and cause an endless loop
                        raise tarfile.ReadError
                    reached = opened.offset
                    if reached > most:
                        raise InputError(f'--images {self._path}: unpacks to more than {_MOST_TIMES:,} times its size, so it '
                                         'may be damaged or malicious. If you trust it, unpack it and pass the folder')
                    name = member.name.removeprefix('./')
                    if not member.isdir() and not _is_hidden(name):
                        yield name, self._opener(opened, member), member.size > _LONG
                opened.fileobj.allow(_HEAD)
                opened.fileobj.read(_HEAD)      # read the final padding too, so that gzip compares its checksum
        except (InputError, MemoryError):
            raise
        except Exception as error:      # each compression module raises its own errors
            if getattr(error, 'errno', None) is not None:
                raise InputError(f'--images {self._path}: {error.strerror}') from None
            raise InputError(f'--images {self._path}: this tar archive is truncated or damaged. Download or pack it '
                             'again') from None

    @staticmethod
    def _next(opened):
        """Return the next member of an open archive, or None at its end. Forget the previous one to save memory."""
        opened.members.clear()
        opened.pax_headers.clear()
        opened.fileobj.allow(_LONGEST_HEADER)
        return opened.next()

    @staticmethod
    def _opener(opened, member):
        """Read a member into memory and return a function that opens it."""
        if not member.isreg():
            reason = 'link in an archive' if member.islnk() or member.issym() else NOT_REGULAR
            return functools.partial(_skip, reason)
        if member.size > _MOST_BYTES:
            return functools.partial(_skip, _TOO_LONG)
        opened.fileobj.allow(member.size)
        with opened.extractfile(member) as file:
            data = file.read(_HEAD) if member.size > _LONG else b''
            try:
                if data:
                    _require_image(data)
            except Skipped as reason:
                return functools.partial(_skip, str(reason))
            return functools.partial(io.BytesIO, data + file.read())


class _Header(tarfile.TarInfo):
    """A tar header that raises an error if it is damaged. `tarfile` itself would take it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, opened):
        try:
            return super().fromtarfile(opened)
        except tarfile.EOFHeaderError:      # the regular end of the archive
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


class _Allowance:
    """A binary file with a limit on the bytes that can be read. It protects against headers that claim huge sizes."""

    def __init__(self, file):
        self._file, self._left = file, _LONGEST_HEADER
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def allow(self, count):
        """Set the number of bytes that may still be read."""
        self._left = count

    def read(self, count=-1):
        if not 0 <= count <= self._left:
            raise tarfile.ReadError
        self._left -= count
        return self._file.read(count)


@contextlib.contextmanager
def _open_tar(path):
    """Open a tar archive as a `tarfile.TarFile`, which checks its first header.

    The kind of error for files that are not tar archives depends on the compression.
    """
    with open(path, 'rb') as file:
        head = file.read(max(map(len, _DECOMPRESSORS)))
    decompress = next((opener for magic, opener in _DECOMPRESSORS.items() if head.startswith(magic)), open)
    with decompress(path, 'rb') as file, tarfile.TarFile(fileobj=_Allowance(file), tarinfo=_Header) as opened:
        yield opened


def _size_and_time(path):
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _is_hidden(name):
    """Return whether a file in an archive is hidden or metadata of macOS."""
    return any(part.startswith(('.', '__MACOSX')) and part not in ('.', '..') for part in name.split('/'))


def _skip(reason):
    raise Skipped(reason)


def _require_image(head):
    """Raise `Skipped` if the first bytes of a file are not those of an image."""
    try:
        Image.open(io.BytesIO(head))
    except UnidentifiedImageError:
        # Some formats keep data that Pillow needs at the end of the file. For these, check only the signature.
        accepts = [accept(head[:16]) for _, accept in Image.OPEN.values() if accept]
        if not any(accepted and not isinstance(accepted, str) for accepted in accepts):
            raise Skipped(NO_IMAGE) from None
    except Exception:       # errors are reported when the whole file is read
        pass


@contextlib.contextmanager
def or_skip(reason: str, kind: type[Exception] = Exception) -> Iterator[None]:
    """Turn errors that a damaged or unsupported file causes into `Skipped`; pass on errors of the disk or the memory.

    Args:
        reason: message of `Skipped`.
        kind: exceptions to turn into `Skipped`. The default covers the many errors of image formats and compressions.
    """
    try:
        yield
    except (MemoryError, Skipped):
        raise
    except kind as error:
        # Disk errors have an error number and may be temporary. EINVAL means that a damaged image made Pillow seek too far.
        if getattr(error, 'errno', None) not in (None, errno.EINVAL):
            raise
        raise Skipped(reason) from None
