"""Images that are made once on a machine and then mapped into memory."""
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

import numpy
import tqdm

from lsgan import console
from lsgan.datasets.images import fingerprint
from lsgan.errors import InputError

UNREADABLE = 'unreadable'       # a reason that begins so may pass: what was skipped for it alone is tried again each time
_AHEAD = 2          # items for each thread that are begun before they are needed


class Skipped(Exception):
    """An image that cannot be made; the message is the reason, in words that fit every such image."""


def unreadable(error):
    """Return the reason why a file is skipped that cannot be read at the moment, because of an OSError or a MemoryError."""
    return f'{UNREADABLE} ({getattr(error, "strerror", "too little memory")})'


def folder(name):
    """Return the folder of that name for what lsgan keeps on this machine: in $XDG_CACHE_HOME, usually ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    base = base if os.path.isabs(base) else os.path.expanduser('~/.cache')      # a relative one is to be ignored
    return pathlib.Path(base, 'lsgan', name)


def images(key, shape, items, title, total=None):
    """Return a set of images, from the cache if they were made before.

    Each CPU core makes images in a thread of its own. They are written aside first, so that a killed process leaves nothing
    that looks complete.

    Args:
        key: what the images follow from, as JSON data; another key is another set of images.
        shape (tuple of int): of an image.
        items (callable): returns an iterator of (name, make, alone), one for each image. `make` takes no argument and returns
            a uint8 array of that shape, or raises `Skipped`. `alone` says whether it takes so much memory that the next item
            should wait. If a name occurs twice, the later image replaces the earlier one. Items are only iterated if the set
            is not in the cache, or if some of them were unreadable.
        title (str): what the progress bar says, on standard error if that is a terminal.
        total (int): number of items, for the progress bar, or None if it is unknown.

    Returns:
        tuple: uint8 array (N, *shape), read-only and mapped into memory; a list of (name, reason), the skipped items; and the
        array's `lsgan.datasets.images.fingerprint`, which the cache keeps since computing it takes reading everything. If all
        items were skipped, N is 0 and the fingerprint is None; the cache does not keep that.

    Raises:
        InputError: if the disk is full or the cache cannot be written.
    """
    place = folder('images') / hashlib.sha256(json.dumps([key, shape]).encode()).hexdigest()[:32]
    try:
        return _read(place, shape, items) or _make(place, shape, items, title, total)
    except OSError as error:
        raise InputError(f'{place.parent}: {error.strerror}. Decoded images are kept there: make room, or let $XDG_CACHE_HOME '
                         'name another folder') from None


def _read(place, shape, items):
    """Return what `images` returns, or None if it is not there, damaged, or if an unreadable item can be read again."""
    try:
        about = json.loads((place / 'about.json').read_text())
        skipped, digest = [(name, reason) for name, reason in about['skipped']], about['fingerprint']
        # drawn faces that an earlier version kept come without their number
        made = _map(place, (about.get('count', -1), *shape))
        unreadable_ones = {name for name, reason in skipped if reason.startswith(UNREADABLE)}
    except (FileNotFoundError, ValueError, TypeError, LookupError, AttributeError):
        return None
    if unreadable_ones and any(_is_readable(make) for name, make, _ in items() if name in unreadable_ones):
        return None
    return made, skipped, digest


def _is_readable(make):
    """Return whether an item that could not be read can be read now, be it an image or not."""
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
            return numpy.empty((0, *shape), numpy.uint8), skipped, None
        made = _map(aside, (count, *shape))        # mapped, it stays even if the file is replaced
        digest = fingerprint(made)
        (aside / 'about.json').write_text(json.dumps({'count': count, 'skipped': skipped, 'fingerprint': digest}))
        if not _read(place, shape, items):        # else another process was quicker
            shutil.rmtree(place, ignore_errors=True)
            try:
                os.rename(aside, place)
            except OSError:
                if not place.exists():      # else another process was quicker after all
                    raise
        return made, skipped, digest
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(place):
    """Remove what processes that were killed more than a day ago were making."""
    for partial in place.glob('.partial-*'):
        with contextlib.suppress(FileNotFoundError):        # another process may just have finished it
            if time.time() - partial.stat().st_mtime > 86400:
                shutil.rmtree(partial, ignore_errors=True)


def _fill(path, shape, items, title, total):
    """Write the images of a set one after the other into a file; return their number, and a list of those skipped."""
    def attempt(make):
        try:
            return make().tobytes()
        except Skipped as reason:
            return str(reason)

    def finish(name, future):
        made = future.result()
        last.pop(name, None)        # a later item of the same name counts, and comes after those before it
        last[name] = made if isinstance(made, str) else file.tell()
        if not isinstance(made, str):
            file.write(made)
        bar.update()

    last = {}       # of each name the place of its image in the file, or the reason why it was skipped
    threads = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        with open(path, 'wb') as file, tqdm.tqdm(total=total, desc=title, unit='', delay=0.5,
                                                   disable=not console.shows_bars(sys.stderr)) as bar:
            begun = collections.deque()
            for name, make, alone in items():
                begun.append((name, pool.submit(attempt, make)))
                del make        # a file in memory goes once its image is made
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
    """Remove from a file all images but those at these places, which rise."""
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


def tell_skipped(skipped):
    """Return in one line how many were skipped for which reason, and how their names end; `skipped` lists (name, reason)."""
    suffixes = collections.defaultdict(collections.Counter)
    for name, reason in skipped:
        suffixes[reason][pathlib.PurePath(name).suffix.lower()] += 1
    lines = []
    for reason, found in sorted(suffixes.items(), key=lambda item: -item[1].total()):
        told = ', '.join(suffix for suffix, _ in found.most_common(3) if suffix)
        lines.append(f'{found.total():,} {reason}' + (f' ({told})' if told else ''))
    return ', '.join(lines)
