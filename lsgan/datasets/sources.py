"""Folders, zip files and tar archives as sources of files. Nothing is ever unpacked to disk."""
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

from PIL import Image, UnidentifiedImageError

from lsgan.datasets import cache
from lsgan.datasets.cache import Skipped
from lsgan.errors import InputError

_MOST_BYTES = 1 << 30       # no picture is longer; a file that claims to be may be an attack
_LONG, _HEAD = 1 << 24, 1 << 20     # of a packed file longer than the first, the beginning must look like an image
_MOST_TIMES = 1000          # a tar archive may unpack to so many times its size, and _MOST_BYTES more
_LONGEST_HEADER = 1 << 18   # bytes of all headers of one tar member together: long names, extended attributes, sparse maps
_DECOMPRESSORS = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open, b'\xfd7zXZ\0': lzma.open}      # by the first bytes of a file

DAMAGED, NO_IMAGE, NOT_REGULAR = 'damaged or truncated', 'no image that Pillow reads', 'no regular file'
_TOO_LONG = f'larger than {_MOST_BYTES >> 20:,} MiB'


def open_source(path):
    """Return the `Folder`, `Tar` or `Zip` at a path. Archives are recognised by content, not by suffix.

    Raises:
        InputError: if there is nothing at the path, or nothing that can be read.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return Folder(path)
        if stat.S_ISREG(mode):
            # A tar archive that ends with a zip file would also pass for that zip file.
            return Tar(path) if Tar.is_at(path) else Zip(path)
    except OSError as error:
        raise InputError(f'--images {path}: {error.strerror}. Pass a folder of images, or a zip or tar archive of '
                         'them') from None
    except zipfile.BadZipFile:
        pass
    raise InputError(f'--images {path}: not a folder, and not a complete zip or tar archive. Pass the folder that contains '
                     'the images, or unpack the archive first')


class _Source(contextlib.AbstractContextManager):
    """The interface that `Folder`, `Zip` and `Tar` share: a context manager, made from a path.

    Iteration yields (name, open, long) in a fixed order, any number of times. `open` takes no argument, may be called from any
    thread, and returns a binary file. It raises `Skipped` if this file can never be used, and OSError or MemoryError if it
    cannot be read at the moment. `long` says whether the file takes so much memory that only one such file should be open. If
    a name occurs twice, the later file replaces the earlier one.

    Attributes:
        key: JSON data that changes when a file in the source may have changed.
        skipped: list of (name, reason), the files that are known to be unusable before any file is opened.
        total: number of files, or None if only reading the whole archive would tell.
    """

    skipped, total = (), None

    def __exit__(self, *_):
        pass


class Folder(_Source):
    """All files below a folder, behind symbolic links too, except hidden ones and those in run folders."""

    def __init__(self, path):
        self._path, self._names, self.key, self.skipped, seen = path, [], [], [], set()
        for place, folders, files in os.walk(path, followlinks=True, onerror=lambda error: self.skipped.append(
                (os.path.relpath(error.filename, path), 'in a folder that cannot be read'))):
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:      # a link led back
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
            self.skipped.append((name, 'links to nothing' if os.path.islink(file) else cache.unreadable(error)))
            return
        if not stat.S_ISREG(status.st_mode):        # reading a pipe would wait for a writer
            self.skipped.append((name, NOT_REGULAR))
        elif status.st_size > _MOST_BYTES:
            self.skipped.append((name, _TOO_LONG))
        else:
            self._names.append(name)
            # the change time also tells changes of permissions
            self.key.append([name, status.st_size, status.st_mtime_ns, status.st_ctime_ns])

    def __iter__(self):
        for name in self._names:
            # left open, since of a file that is no image Pillow reads only the beginning
            yield name, functools.partial(open, os.path.join(self._path, name), 'rb'), False


class Zip(_Source):
    """The files in a zip file, except hidden ones, by name."""

    def __init__(self, path):
        try:
            self._opened = zipfile.ZipFile(path)
        except OSError:
            raise
        except Exception:       # a damaged directory of entries raises various errors
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
        with or_skip(DAMAGED), or_skip('compressed in a way that Python does not know', RuntimeError):
            if entry.file_size > _LONG:
                with self._opened.open(entry) as file:
                    _require_image(file.read(_HEAD))
            return io.BytesIO(self._opened.read(entry))       # seeking back in an open entry would decompress it again


class Tar(_Source):
    """The files in a tar archive, plain or compressed by gzip, bzip2 or xz, except hidden ones, in the order of the archive.

    A compressed archive has no index, so it is read in one pass by whoever iterates; what `open` returns is in memory already.
    Links and devices are skipped.
    """

    def __init__(self, path):
        self._path, self.key = path, _size_and_time(path)

    @staticmethod
    def is_at(path):
        """Return whether a file begins like a tar archive."""
        try:
            with _open_tar(path):
                return True
        except OSError as error:
            if error.errno is not None:
                raise
            return False
        except Exception:       # each compression has its own errors
            return False

    def __iter__(self):
        try:
            most = _MOST_TIMES * os.path.getsize(self._path) + _MOST_BYTES
            with _open_tar(self._path) as opened:
                reached = 0
                while member := self._next(opened):
                    if not reached < opened.offset:     # a negative size leads back, and round and round
                        raise tarfile.ReadError
                    reached = opened.offset
                    if reached > most:
                        raise InputError(f'--images {self._path}: unpacks to more than {_MOST_TIMES:,} times its size, as no '
                                         'set of images does, so it is damaged or an attack. Unpack it and pass the folder')
                    name = member.name.removeprefix('./')
                    if not member.isdir() and not _is_hidden(name):
                        yield name, self._opener(opened, member), member.size > _LONG
                opened.fileobj.allow(_HEAD)
                opened.fileobj.read(_HEAD)      # the padding at the end, after which gzip compares its checksum
        except (InputError, MemoryError):
            raise
        except Exception as error:      # each compression has its own errors
            if getattr(error, 'errno', None) is not None:
                raise InputError(f'--images {self._path}: {error.strerror}') from None
            raise InputError(f'--images {self._path}: this tar archive is truncated or damaged. Download or pack it '
                             'again') from None

    @staticmethod
    def _next(opened):
        """Return the next member of an open archive, or None at its end; forget the one before."""
        opened.members.clear()
        opened.pax_headers.clear()
        opened.fileobj.allow(_LONGEST_HEADER)
        return opened.next()

    @staticmethod
    def _opener(opened, member):
        """Read a member; return what opens it."""
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
    """A header of a tar member. A damaged one is an error; `tarfile` would take it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, opened):
        try:
            return super().fromtarfile(opened)
        except tarfile.EOFHeaderError:      # the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


class _Allowance:
    """A binary file that reads no more bytes than it is allowed to, so that what a header claims cannot fill the memory."""

    def __init__(self, file):
        self._file, self._left = file, _LONGEST_HEADER
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def allow(self, count):
        """Allow to read that many bytes from now on."""
        self._left = count

    def read(self, count=-1):
        if not 0 <= count <= self._left:
            raise tarfile.ReadError
        self._left -= count
        return self._file.read(count)


@contextlib.contextmanager
def _open_tar(path):
    """Yield a `tarfile.TarFile` whose first header is good; raise various errors if it is not."""
    with open(path, 'rb') as file:
        head = file.read(max(map(len, _DECOMPRESSORS)))
    decompress = next((opener for magic, opener in _DECOMPRESSORS.items() if head.startswith(magic)), open)
    with decompress(path, 'rb') as file, tarfile.TarFile(fileobj=_Allowance(file), tarinfo=_Header) as opened:
        yield opened


def _size_and_time(path):
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _is_hidden(name):
    """Return whether a file in an archive is one that its owner does not see."""
    return any(part.startswith(('.', '__MACOSX')) and part not in ('.', '..') for part in name.split('/'))


def _skip(reason):
    raise Skipped(reason)


def _require_image(head):
    """Raise `Skipped` if a file that begins so is not an image, such as a film."""
    try:
        Image.open(io.BytesIO(head))
    except UnidentifiedImageError:
        # some formats keep what Pillow needs at the end of the file; then their first bytes decide
        accepts = [accept(head[:16]) for _, accept in Image.OPEN.values() if accept]
        if not any(accepted and not isinstance(accepted, str) for accepted in accepts):
            raise Skipped(NO_IMAGE) from None
    except Exception:       # whoever reads the whole file knows more
        pass


@contextlib.contextmanager
def or_skip(reason, kind=Exception):
    """Turn an error into `Skipped` for that reason if the file is at fault: each format and compression has its own errors."""
    try:
        yield
    except (MemoryError, Skipped):
        raise
    except kind as error:
        # Errors of the disk have numbers and may pass. But a damaged image may make Pillow seek to where no file can be.
        if getattr(error, 'errno', None) not in (None, errno.EINVAL):
            raise
        raise Skipped(reason) from None
