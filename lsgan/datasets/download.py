"""Files from the web: each from the first of several mirrors that gives it, checked, and continued where it stopped."""
import fcntl
import hashlib
import http.client
import os
import pathlib
import sys
import urllib.error
import urllib.request

import tqdm

from lsgan import console
from lsgan.errors import InputError


def fetch(name, mirrors, sha256, folder, timeout=20, stream=None):
    """Downloads a file unless it is there; `NAME.part` keeps what has come until it is whole.

    Args:
        name (str): the file's, in the folder and on the mirrors.
        mirrors (sequence of str): URLs of folders, tried in this order.
        sha256 (str): of the whole file, hexadecimal.
        folder: where the file belongs; made where it is missing.
        timeout (float): seconds of silence after which a mirror is given up.
        stream: a text file for the progress, a bar on a terminal and a line elsewhere (default: standard output).

    Returns:
        pathlib.Path: of the file.

    Raises:
        InputError: where no mirror gives the file, or what is there under its name is another one.
        OSError: where the disk is full or the folder cannot be written.
    """
    path, stream = pathlib.Path(folder, name), stream or sys.stdout
    part = path.with_name(f'{name}.part')
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(part, stream) as file:
                try:
                    if not path.exists():       # another process may have been quicker
                        _complete(file, path, mirrors, sha256, timeout, stream)
                        os.fsync(file.fileno())
                        os.replace(part, path)
                finally:
                    if not os.fstat(file.fileno()).st_size:
                        part.unlink(missing_ok=True)
        with open(path, 'rb') as file:
            if _digest(file) != sha256:
                raise InputError(f'{path}: not the file of that name (SHA-256 differs); remove it to download that')
    except OSError as error:
        error.filename = error.filename or str(part)    # a failed write does not say of which file
        raise
    return path


def _locked(path, stream):
    """The file, open to read and append, that no other process has until it is closed."""
    while True:
        file = open(path, 'a+b')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'{path}: waiting for another process to download it', file=stream, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:    # else who had it before has removed it
            return file
        file.close()


def _digest(file):
    file.seek(0)
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _complete(file, path, mirrors, sha256, timeout, stream):
    """Appends to a part what it lacks; one that leads to another content is dropped and begun anew."""
    reasons = []
    with tqdm.tqdm(desc=path.name, unit='B', unit_scale=True, file=stream, disable=not console.shows_bars(stream)) as bar:
        if bar.disable:
            print(f'downloading {path.name} to {path.parent}', file=stream, flush=True)
        for mirror in mirrors:
            try:
                return _from_one(f'{mirror.rstrip("/")}/{path.name}', file, sha256, timeout, bar)
            except InputError as error:
                reasons.append(str(error))
    reason = ', '.join(reasons) or 'none is known'
    raise InputError(f'{path.name}: no mirror gives it ({reason}); try again later, or put it into {path.parent} by hand')


def _from_one(url, file, sha256, timeout, bar):
    for start in dict.fromkeys([file.seek(0, os.SEEK_END), 0]):
        for at, end, chunk in _chunks(url, start, timeout):
            file.truncate(at)
            file.write(chunk)
            file.flush()        # a process that is killed loses nothing that has come
            bar.total = end
            bar.update(at + len(chunk) - bar.n)
        if _digest(file) == sha256:
            return
        file.truncate(0)
    raise InputError(f'{url}: another file (SHA-256 differs)')


def _chunks(url, start, timeout):
    """Yields (place, size of the whole or None, bytes) from a place on, or from 0 where the server cannot do that."""
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
            reason = f'the connection broke at {at:,} of {end:,} bytes'
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:     # nothing comes after the part
            return
        reason = f'HTTP {error.code} {error.reason}'
    except (OSError, http.client.HTTPException, ValueError) as error:       # ValueError: of what is no URL
        reason = getattr(error, 'reason', error)
        reason = getattr(reason, 'strerror', None) or reason
    raise InputError(f'{url}: {" ".join(str(reason).split())}')
