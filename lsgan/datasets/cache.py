"""Images that are made once on a machine and then mapped into memory."""
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import time

import numpy
import tqdm

from lsgan.datasets.images import fingerprint
from lsgan.errors import InputError

UNREADABLE = 'unreadable'       # a reason that begins so may pass: what was skipped for it alone is tried again each time
_AT_ONCE = 256      # items that are handed to the threads together


class Skipped(Exception):
    """An image that cannot be made; the message is the reason, in words that fit every such image."""


def folder(name):
    """The folder of that name for what lsgan keeps on this machine: in $XDG_CACHE_HOME, usually ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    base = base if os.path.isabs(base) else os.path.expanduser('~/.cache')      # a relative one is to be ignored
    return pathlib.Path(base, 'lsgan', name)


def images(key, shape, items, make, title):
    """The images made of some items, from the cache where they were made before.

    They are made by a thread for each core and written aside, so that a killed process leaves nothing that looks whole.

    Args:
        key: what the images follow from, JSON can write it; another key is another set of images.
        shape (tuple of int): of an image.
        items (sequence): what `make` takes, one for each image.
        make (callable): from an item to a uint8 array of that shape; raises `Skipped` for an item that has none. Called again
            for those that could not be read, by each later call.
        title (str): what the progress bar says, on standard error where that is a terminal.

    Returns:
        tuple: uint8 array (N, *shape), read-only and mapped into memory; a list of (index of an item, reason), those that were
        skipped; and the array's `lsgan.datasets.images.fingerprint`, kept beside it, as it takes to read all. Where all were
        skipped N is 0 and the fingerprint None; that is not kept.

    Raises:
        InputError: where the disk is full or the cache cannot be written.
    """
    place = folder('images') / hashlib.sha256(json.dumps([key, shape]).encode()).hexdigest()[:32]
    try:
        return _read(place, shape, items, make) or _make(place, shape, items, make, title)
    except OSError as error:
        raise InputError(f'{place.parent}: {error.strerror}; images are kept there once they are made: make room, or let '
                         '$XDG_CACHE_HOME name another folder') from None


def _read(place, shape, items, make):
    """What `images` returns, or None where it is not there, damaged, or not to be relied on."""
    try:
        about = json.loads((place / 'about.json').read_text())
        skipped, digest = [(number, reason) for number, reason in about['skipped']], about['fingerprint']
        made = _map(place, (len(items) - len(skipped), *shape))
        passed = any(reason.startswith(UNREADABLE) and _is_readable(items[number], make) for number, reason in skipped)
    except (FileNotFoundError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return None if passed else (made, skipped, digest)


def _is_readable(item, make):
    """Whether an item that could not be read can be now, be it an image or not."""
    try:
        make(item)
    except Skipped as reason:
        return not str(reason).startswith(UNREADABLE)
    return True


def _map(place, shape):
    return numpy.asarray(numpy.memmap(place / 'images', numpy.uint8, 'r')).reshape(shape)


def _make(place, shape, items, make, title):
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(place.parent)
    aside = pathlib.Path(tempfile.mkdtemp(prefix='.partial-', dir=place.parent))
    try:
        skipped = _fill(aside, items, make, title)
        if len(skipped) == len(items):
            return numpy.empty((0, *shape), numpy.uint8), skipped, None
        made = _map(aside, (-1, *shape))        # mapped, it stays even where the file is replaced
        digest = fingerprint(made)
        (aside / 'about.json').write_text(json.dumps({'skipped': skipped, 'fingerprint': digest}))
        if not _read(place, shape, items, make):        # else another process was quicker
            shutil.rmtree(place, ignore_errors=True)
            try:
                os.rename(aside, place)
            except OSError:
                if not place.exists():      # else it was so now
                    raise
        return made, skipped, digest
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(place):
    """What processes killed more than a day ago were making."""
    for partial in place.glob('.partial-*'):
        with contextlib.suppress(FileNotFoundError):        # another process may just have finished it
            if time.time() - partial.stat().st_mtime > 86400:
                shutil.rmtree(partial, ignore_errors=True)


def _fill(aside, items, make, title):
    """Writes the images of a set; the list of those skipped."""
    def attempt(item):
        try:
            return make(item).tobytes()
        except Skipped as reason:
            return str(reason)

    skipped = []
    pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else None)
    try:
        with open(aside / 'images', 'wb') as file, tqdm.tqdm(total=len(items), desc=title, unit='', delay=0.5,
                                                            disable=None) as bar:
            for first in range(0, len(items), _AT_ONCE):
                for number, made in enumerate(pool.map(attempt, items[first:first + _AT_ONCE]), first):
                    if isinstance(made, str):
                        skipped.append((number, made))
                    else:
                        file.write(made)
                    bar.update()
            file.flush()
            os.fsync(file.fileno())
    finally:
        pool.shutdown(cancel_futures=True)
    return skipped


def tell_skipped(skipped):
    """How many were skipped for which reason, and how their names end, in one line; `skipped` is a list of (name, reason)."""
    suffixes = collections.defaultdict(collections.Counter)
    for name, reason in skipped:
        suffixes[reason][pathlib.PurePath(name).suffix.lower()] += 1
    lines = []
    for reason, found in sorted(suffixes.items(), key=lambda item: -item[1].total()):
        told = ', '.join(suffix for suffix, _ in found.most_common(3) if suffix)
        lines.append(f'{found.total():,} {reason}' + (f' ({told})' if told else ''))
    return ', '.join(lines)
