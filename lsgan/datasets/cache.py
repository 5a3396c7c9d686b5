"""An on-disk cache of image sets: each set is made once per machine and then memory-mapped."""
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy
import tqdm

from lsgan import console
from lsgan.datasets.images import fingerprint
from lsgan.errors import InputError

# Prefix of the reasons that may be temporary. Items skipped for such a reason are tried again on every load.
UNREADABLE = 'unreadable'
_AHEAD = 2          # items per thread that are submitted before their results are needed


class Skipped(Exception):
    """The error of an item that cannot be made into an image.

    The message is the reason. It must fit both after a file name and after a number of files, such as "damaged".
    """


def unreadable(error: OSError | MemoryError) -> str:
    """Return the reason for skipping a file that cannot be read at the moment.

    Args:
        error: the exception that reading the file raised.
    """
    return f'{UNREADABLE} ({getattr(error, "strerror", "out of memory")})'


def folder(name: str) -> pathlib.Path:
    """Return the path of the subfolder `name` of lsgan's cache, which is in $XDG_CACHE_HOME or, by default, in ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    base = base if os.path.isabs(base) else os.path.expanduser('~/.cache')      # XDG: ignore relative paths
    return pathlib.Path(base, 'lsgan', name)


def images(key: Any, shape: tuple[int, ...], items: Callable[[], Iterable[tuple[str, Callable[[], numpy.ndarray], bool]]],
           title: str, total: int | None = None) -> tuple[numpy.ndarray, list[tuple[str, str]], str]:
    """Return a set of images from the cache. Make the set first if the cache does not contain it.

    Images are made in one thread per CPU core. They are written to a temporary folder, which is renamed when it is complete.
    A killed process therefore never leaves a set that looks complete.

    Args:
        key: JSON data that identifies the set, such as its source and all settings. A different key is a different set.
        shape: shape of one image.
        items: returns an iterator of tuples (name, make, alone), one per image. `make` takes no argument and returns a uint8
            array of the given shape, or raises `Skipped`. `alone` tells whether making the image takes so much memory that the
            next item must wait. If a name occurs twice, the later image replaces the earlier one. The items are iterated only
            if the cache does not contain the set, or if some items were unreadable.
        title: label of the progress bar. The bar is shown on standard error if that is a terminal.
        total: number of items, for the progress bar; None if it is unknown.

    Returns:
        The images, a read-only, memory-mapped uint8 array of shape (N, *shape); a list of (name, reason) of the skipped items;
        and the `lsgan.datasets.images.fingerprint` of the array. The fingerprint is cached too, because computing it reads the
        whole array. If all items were skipped, N is 0, the fingerprint is empty, and nothing is cached.

    Raises:
        InputError: if the disk is full or the cache cannot be written.
    """
    place = folder('images') / hashlib.sha256(json.dumps([key, shape]).encode()).hexdigest()[:32]
    try:
        return _read(place, shape, items) or _make(place, shape, items, title, total)
    except OSError as error:
        raise InputError(f'{place.parent}: {error.strerror}. Decoded images are cached in this folder. Free some space on its '
                         'disk, or set $XDG_CACHE_HOME to another folder') from None


def _read(place, shape, items):
    """Return a cached set as `images` does, or None if the set must be made.

    A set must be made if it is missing or damaged, or if an item that was unreadable can be read again.
    """
    try:
        about = json.loads((place / 'about.json').read_text())
        skipped, digest = [(name, reason) for name, reason in about['skipped']], about['fingerprint']
        # Caches of drawn faces that an earlier version wrote lack the count.
        made = _map(place, (about.get('count', -1), *shape))
        unreadable_ones = {name for name, reason in skipped if reason.startswith(UNREADABLE)}
    except (FileNotFoundError, ValueError, TypeError, LookupError, AttributeError):
        return None
    if unreadable_ones and any(_is_readable(make) for name, make, _ in items() if name in unreadable_ones):
        return None
    return made, skipped, digest


def _is_readable(make):
    """Return whether the file of an item can be read, even if it turns out not to be an image."""
    try:
        make()
    except Skipped as reason:
        return not str(reason).startswith(UNREADABLE)
    return True


def _map(place, shape):
    return numpy.asarray(numpy.memmap(place / 'images', numpy.uint8, 'r')).reshape(shape)


def _make(place, shape, items, title, total):
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(place.parent)
    aside = pathlib.Path(tempfile.mkdtemp(prefix='.partial-', dir=place.parent))
    try:
        count, skipped = _fill(aside / 'images', shape, items, title, total)
        if not count:
            return numpy.empty((0, *shape), numpy.uint8), skipped, ''
        made = _map(aside, (count, *shape))        # stays valid even if another process replaces the file
        digest = fingerprint(made)
        (aside / 'about.json').write_text(json.dumps({'count': count, 'skipped': skipped, 'fingerprint': digest}))
        if not _read(place, shape, items):        # otherwise another process has made the set in the meantime
            shutil.rmtree(place, ignore_errors=True)
            try:
                os.rename(aside, place)
            except OSError:
                if not place.exists():      # if it exists, another process has just put its own set there
                    raise
        return made, skipped, digest
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(place):
    """Remove the incomplete sets of processes that were killed more than a day ago."""
    for partial in place.glob('.partial-*'):
        with contextlib.suppress(FileNotFoundError):        # another process may finish and rename it at any moment
            if time.time() - partial.stat().st_mtime > 86400:
                shutil.rmtree(partial, ignore_errors=True)


def _fill(path, shape, items, title, total):
    """Write the images of a set into one file, one after the other.

    Returns:
        tuple: the number of images, and a list of (name, reason) of the skipped items.
    """
    def attempt(make):
        try:
            return make().tobytes()
        except Skipped as reason:
            return str(reason)

    def finish(name, future):
        made = future.result()
        last.pop(name, None)        # a later item of the same name replaces the earlier one and moves to the end
        last[name] = made if isinstance(made, str) else file.tell()
        if not isinstance(made, str):
            file.write(made)
        bar.update()

    last = {}       # maps each name to the position of its image in the file, or to the reason why it was skipped
    threads = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        with open(path, 'wb') as file, tqdm.tqdm(total=total, desc=title, unit='', delay=0.5,
                                                   disable=not console.shows_bars(sys.stderr)) as bar:
            begun = collections.deque()
            for name, make, alone in items():
                begun.append((name, pool.submit(attempt, make)))
                del make        # so that a file held in memory is freed as soon as its image is made
                while len(begun) > (0 if alone else _AHEAD * threads):
                    finish(*begun.popleft())
            for item in begun:
                finish(*item)
            file.flush()
            os.fsync(file.fileno())
    finally:
        pool.shutdown(cancel_futures=True)
    places = [place for place in last.values() if not isinstance(place, str)]
    _keep(path, shape, places)
    return len(places), [(name, reason) for name, reason in last.items() if isinstance(reason, str)]


def _keep(path, shape, places):
    """Shorten a file of images to the images at the given positions.

    Args:
        path: the file.
        shape (tuple of int): shape of one image.
        places (list of int): byte positions of the images to keep, ascending.
    """
    length = math.prod(shape)
    if len(places) * length == path.stat().st_size:
        return
    with open(path, 'r+b') as file:
        for number, place in enumerate(places):
            file.seek(place)
            image = file.read(length)
            file.seek(number * length)
            file.write(image)
        file.truncate(len(places) * length)
        file.flush()
        os.fsync(file.fileno())


def tell_skipped(skipped: Iterable[tuple[str, str]]) -> str:
    """Return a one-line summary of the skipped files: for each reason, their number and their most common suffixes.

    Args:
        skipped: list of (name, reason).
    """
    suffixes: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for name, reason in skipped:
        suffixes[reason][pathlib.PurePath(name).suffix.lower()] += 1
    lines = []
    for reason, found in sorted(suffixes.items(), key=lambda item: -item[1].total()):
        told = ', '.join(suffix for suffix, _ in found.most_common(3) if suffix)
        lines.append(f'{found.total():,} {reason}' + (f' ({told})' if told else ''))
    return ', '.join(lines)
