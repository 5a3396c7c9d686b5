"""Downloads from a list of mirrors, with a checksum. An interrupted download continues where it stopped."""
import fcntl
import hashlib
import http.client
import os
import pathlib
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import TextIO

import tqdm

from lsgan import console
from lsgan.errors import InputError
from lsgan.types import PathLike


def fetch(name: str, mirrors: Sequence[str], sha256: str, folder: PathLike, timeout: float = 20,
          stream: TextIO | None = None) -> pathlib.Path:
    """Download a file unless the folder contains it already.

    The file is downloaded to `NAME.part` and renamed when it is complete. If several processes call this function at the same
    time, one of them downloads and the others wait.

    Args:
        name: name of the file, both in the folder and on the mirrors.
        mirrors: URLs of folders, tried in this order.
        sha256: SHA-256 of the complete file, in hexadecimal.
        folder: folder for the file; created if it is missing.
        timeout: seconds without any data after which the next mirror is tried.
        stream: text file to which progress is written (default: standard output). A terminal gets a progress bar, anything
            else a single line.

    Returns:
        Path of the file.

    Raises:
        InputError: if no mirror provides the file, or if the folder contains another file of this name.
        OSError: if the disk is full or the folder cannot be written.
    """
    path, stream = pathlib.Path(folder, name), stream or sys.stdout
    part = path.with_name(f'{name}.part')
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(part, stream) as file:
                try:
                    if not path.exists():       # another process may have downloaded it in the meantime
                        _complete(file, path, mirrors, sha256, timeout, stream)
                        os.fsync(file.fileno())
                        os.replace(part, path)
                finally:
                    if not os.fstat(file.fileno()).st_size:
                        part.unlink(missing_ok=True)
        with open(path, 'rb') as file:
            if _digest(file) != sha256:
                raise InputError(f'{path}: not the expected file, because its SHA-256 differs. Delete it and run again to '
                                 'download the right one')
    except OSError as error:
        error.filename = error.filename or str(part)    # an error in a write does not name the file
        raise
    return path


def _locked(path, stream):
    """Return the file, opened for reading and appending and locked. No other process can lock it until it is closed."""
    while True:
        file = open(path, 'a+b')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'{path}: waiting for another process, which is downloading this file', file=stream, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:    # otherwise the previous owner of the lock has removed the file
            return file
        file.close()


def _digest(file):
    file.seek(0)
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _complete(file, path, mirrors, sha256, timeout, stream):
    """Append the missing bytes to a partial file. If the result has a wrong checksum, download the whole file again."""
    reasons = []
    with tqdm.tqdm(desc=path.name, unit='B', unit_scale=True, file=stream, disable=not console.shows_bars(stream)) as bar:
        if bar.disable:
            print(f'Downloading {path.name} to {path.parent}', file=stream, flush=True)
        for mirror in mirrors:
            try:
                return _from_one(f'{mirror.rstrip("/")}/{path.name}', file, sha256, timeout, bar)
            except InputError as error:
                reasons.append(str(error))
    reason = ', '.join(reasons) or 'the list of mirrors is empty'
    raise InputError(f'{path.name}: no mirror provides this file ({reason}). Try again later, or put the file into '
                     f'{path.parent} yourself')


def _from_one(url, file, sha256, timeout, bar):
    for start in dict.fromkeys([file.seek(0, os.SEEK_END), 0]):
        for at, end, chunk in _chunks(url, start, timeout):
            file.truncate(at)
            file.write(chunk)
            file.flush()        # so that a killed process loses nothing it has received
            bar.total = end
            bar.update(at + len(chunk) - bar.n)
        if _digest(file) == sha256:
            return
        file.truncate(0)
    raise InputError(f'{url}: not the expected file (SHA-256 differs)')


def _chunks(url, start, timeout):
    """Yield tuples (position, size of the whole file or None, bytes), beginning at `start`.

    They begin at 0 if the server does not support range requests.
    """
    try:
        request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
        with urllib.request.urlopen(request, timeout=timeout) as response:
            at = start if response.status == 206 else 0
            end = None if response.length is None else at + response.length
            while chunk := response.read1(1 << 16):
                yield at, end, chunk
                at += len(chunk)
            if end in (None, at):
                return
            reason = f'the connection broke after {at:,} of {end:,} bytes'
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:     # the partial file is complete or too long
            return
        reason = f'HTTP {error.code} {error.reason}'
    except (OSError, http.client.HTTPException, ValueError) as error:       # ValueError: not a URL
        reason = getattr(error, 'reason', error)
        reason = getattr(reason, 'strerror', None) or reason
    raise InputError(f'{url}: {" ".join(str(reason).split())}')
