"""Tests of tar archives and of several paths. Folders and zip files are tested in test_files.py."""
import gzip
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile

import numpy
import pytest
from pictures import complaint, encoded, fill, holds, noise, pack, pack_tar, stored
from running import ROOT

from lsgan.datasets import cache, files, sources
from lsgan.datasets.images import fingerprint

NO_IMAGE, DAMAGED, LINK = 'not in an image format that Pillow reads', 'damaged or truncated', 'link in an archive'
TARS = 'tar', 'tar.gz', 'tar.bz2', 'tar.xz'
BROKEN = 'this tar archive is truncated or damaged'


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Path of the image cache, in a temporary folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'lsgan' / 'images'


def many(n):
    return {f'{i:03}.png': encoded(noise(seed=i)) for i in range(n)}


@pytest.mark.parametrize('kind', TARS)
@pytest.mark.parametrize('form', [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tar_equals_folder(tmp_path, kind, form):
    names = ['a.png', 'sub/b.png', 'sub/deeper/c d.png', 'ünï/日本 🙂.png', 'line\nbreak.png', '-rf.png',
             'long/' * 50 + 'd.png']
    contents = {name: encoded(noise(seed=i)) for i, name in enumerate(names)}
    contents |= {'.h.png': encoded(noise(seed=99)), 'bad/text.txt': b'text', 'bad/cut.png': encoded(noise(32, 32))[:400],
                 'bad/small.png': encoded(noise(1, 1)), '.git/x.png': encoded(noise(seed=98)), 'bad/empty': b''}
    made, skipped, _ = files.load(fill(tmp_path / 'folder', contents), 8)
    more = {'__MACOSX/a.png': encoded(noise(seed=99)), 'sub/._b.png': b'', 'sub': {'type': tarfile.DIRTYPE}}
    prefixed = {f'./{name}': data for name, data in (contents | more).items()}
    packed, left_out, _ = files.load(pack_tar(tmp_path / 'a picture', prefixed, kind[4:], format=form), 8)
    assert left_out == skipped and len(skipped) == 4
    assert sorted(map(numpy.ndarray.tobytes, packed)) == sorted(map(numpy.ndarray.tobytes, made)) and len(made) == 7


@pytest.mark.parametrize('kind', TARS)
def test_tar_keeps_its_order(tmp_path, kind):
    contents = many(40)
    fill(tmp_path / 'folder', contents)
    order = sorted(contents, reverse=True)
    subprocess.run(['tar', '-C', tmp_path / 'folder', '-caf', tmp_path / f'set.{kind}', *order], check=True)
    made, skipped, digest = files.load(tmp_path / f'set.{kind}', 4)
    assert skipped == [] and digest == fingerprint(made)
    assert all(numpy.array_equal(image.transpose(1, 2, 0), noise(seed=int(name[:3]))) for image, name in zip(made, order))


@pytest.mark.parametrize('kind', TARS)
def test_links_and_devices_in_tar_are_skipped(tmp_path, kind):
    (tmp_path / 'outside.png').write_bytes(encoded(noise(seed=9)))
    before = set(tmp_path.rglob('*'))
    contents = {'a.png': encoded(noise()), '/abs/b.png': encoded(noise(seed=1)), '../up.png': encoded(noise(seed=2)),
                'sym.png': {'type': tarfile.SYMTYPE, 'linkname': str(tmp_path / 'outside.png')},
                'hard.png': {'type': tarfile.LNKTYPE, 'linkname': 'a.png'},
                'null': {'type': tarfile.CHRTYPE, 'devmajor': 1, 'devminor': 3},
                'disk': {'type': tarfile.BLKTYPE}, 'pipe': {'type': tarfile.FIFOTYPE}, 'odd': {'type': b'Z'}}
    path = pack_tar(tmp_path / 'set', contents, kind[4:])
    loaded = files.load(path, 4)
    assert holds(loaded, noise(), noise(seed=1), noise(seed=2))
    assert loaded[1] == [('disk', 'not a regular file'), ('hard.png', LINK),
                         *((name, 'not a regular file') for name in ('null', 'odd', 'pipe')), ('sym.png', LINK)]
    assert {p for p in tmp_path.rglob('*') if tmp_path / 'cache' not in [p, *p.parents]} == before | {path}


@pytest.mark.parametrize('kind', ['zip', *TARS])
def test_last_of_equal_names_counts(tmp_path, kind):
    pairs = [('a', encoded(noise())), ('b', encoded(noise(seed=1))), ('c', b'text'), ('a', encoded(noise(seed=2))),
             ('d', encoded(noise(seed=3))), ('c', encoded(noise(seed=4))), ('b', b'text'), ('a', encoded(noise(seed=5)))]
    path = tmp_path / 'set'
    if kind == 'zip':
        with zipfile.ZipFile(path, 'w') as file, pytest.warns(UserWarning, match='Duplicate name'):
            for name, data in pairs:
                file.writestr(name, data)
    else:
        pack_tar(path, pairs, kind[4:])
    for _ in 'new', 'kept':
        loaded = files.load(path, 4)
        assert holds(loaded, noise(seed=3), noise(seed=4), noise(seed=5)) and loaded[1] == [('b', NO_IMAGE)]
        assert loaded[2] == fingerprint(loaded[0])


@pytest.mark.parametrize('kind', TARS[1:])
def test_compressed_tar_is_decompressed_once(tmp_path, monkeypatch, kind):
    path, total, opened = stored(kind, tmp_path, many(300)), [0], []

    class Counted(sources._Allowance):
        def __init__(self, file):
            super().__init__(file)
            opened.append(self)
            self.seek = lambda place: total.append(file.seek(place)) or self._forward(place)

        def _forward(self, place):
            assert place >= total[-2], 'it went back'
    monkeypatch.setattr(sources, '_Allowance', Counted)
    made, _, digest = files.load(path, 4)
    assert len(made) == 300 and len(opened) == 2        # once to recognise the archive, once to read it
    again, _, kept = files.load(path, 4)
    assert numpy.array_equal(again, made) and kept == digest and len(opened) == 3


@pytest.mark.parametrize('kind', TARS)
@pytest.mark.parametrize('part', [0.3, 0.8])
def test_truncated_tar_is_refused(tmp_path, own_cache, kind, part):
    contents = {f'{i}.png': encoded(noise(64, 64, seed=i)) for i in range(300)}      # bzip2 compresses blocks of 900,000 bytes
    whole = stored(kind, tmp_path, contents).read_bytes()
    path = tmp_path / 'cut'
    path.write_bytes(whole[:int(part * len(whole))])
    assert complaint(path, 4) == f'--images {path}: {BROKEN}. Download or pack it again'
    assert list(own_cache.iterdir()) == []


def test_tar_that_ends_between_members_is_refused(tmp_path):
    path = pack_tar(tmp_path / 'set', many(3))
    with tarfile.open(path) as file:
        end = file.getmembers()[2].offset
    os.truncate(path, end)
    assert BROKEN in complaint(path, 4)


@pytest.mark.parametrize('kind', TARS)
def test_damaged_header_is_refused(tmp_path, kind):
    path = pack_tar(tmp_path / 'plain', many(9))
    with tarfile.open(path) as file:
        place = file.getmembers()[5].offset
    data = bytearray(path.read_bytes())
    data[place + 3] ^= 1
    openers = {'tar': open, **{f'tar.{name}': opener for name, opener in zip(('gz', 'bz2', 'xz'),
                                                                             sources._DECOMPRESSORS.values())}}
    with openers[kind](path, 'wb') as file:
        file.write(data)
    assert BROKEN in complaint(path, 4)


@pytest.mark.parametrize('kind', TARS[1:])
def test_damaged_compression_is_refused(tmp_path, kind):
    path = stored(kind, tmp_path, {f'{i}.bmp': encoded(noise(32, 32, seed=i), 'BMP') for i in range(20)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    message = complaint(path, 4)
    assert message.startswith(f'--images {path}: ')


def test_checksum_of_gzip_is_checked(tmp_path):
    path = stored('tar.gz', tmp_path, many(3))
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    assert BROKEN in complaint(path, 4)


def test_disk_error_in_tar_is_reported(tmp_path, monkeypatch):
    path = pack_tar(tmp_path / 'set', many(30))

    def fail(file, count):
        raise OSError(5, os.strerror(5))
    with monkeypatch.context() as patch:
        patch.setattr(sources.Tar, '_opener', staticmethod(fail))
        assert complaint(path, 4) == f'--images {path}: Input/output error'
    assert len(files.load(path, 4)[0]) == 30


def header(name, size, kind=tarfile.REGTYPE):
    """Return the header of a tar member that claims the given size."""
    entry = tarfile.TarInfo(name)
    entry.type = kind
    data = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    data[124:136] = b'\x80' + size.to_bytes(11, 'big') if size >= 0 else b'\xff' + (size % 256 ** 11).to_bytes(11, 'big')
    data[148:156] = b' ' * 8
    data[148:156] = b'%06o\0 ' % sum(data)
    return bytes(data)


def padded(data):
    return data + bytes(-len(data) % 512)


def pax(**records):
    """Return a PAX header with the given records."""
    lines = b''
    for key, value in records.items():
        rest = f' {key}={value}\n'.encode()
        lines += next(line for n in range(len(rest), len(rest) + 20) if len(line := b'%d' % n + rest) == n)
    return header('pax', len(lines), tarfile.XHDTYPE) + padded(lines)


GOOD = encoded(noise())
END = bytes(1024)
HOSTILE = {
    'a member that goes on for ever': header('a', 2 ** 62) + GOOD,
    'a size below zero': header('a', -512) + END,
    'a size below zero in a PAX header': header('a', 512) + bytes(512) + pax(size=-1024) + header('b', 0) + END,
    'a PAX header that goes on for ever': header('pax', 2 ** 40, tarfile.XHDTYPE) + bytes(10 ** 4),
    'a PAX header of a size below zero': header('pax', -(10 ** 6), tarfile.XHDTYPE) + bytes(10 ** 4) + END,
    'a long PAX header': header('pax', 1 << 25, tarfile.XHDTYPE) + bytes(1 << 25) + header('a', 0) + END,
    'a long global PAX header': header('pax', 1 << 25, tarfile.XGLTYPE) + bytes(1 << 25) + header('a', 0) + END,
    'a long name': header('name', 1 << 25, tarfile.GNUTYPE_LONGNAME) + b'x' * (1 << 25) + header('a', 0) + END,
    'many headers before one member': pax(comment='x' * 1000) * 5000 + header('a', 0) + END,
    'a long sparse map': header('pax', 4, tarfile.XHDTYPE)[:0] + pax(**{'GNU.sparse.major': 1, 'GNU.sparse.minor': 0,
                         'GNU.sparse.realsize': 9}) + header('a', 1 << 25) + b'99999999\n' + b'1\n' * (1 << 24) + END,
    'a PAX header that stands still': header('pax', 5, tarfile.XHDTYPE) + padded(b'0 a=b') + header('a', 0) + END,
}


@pytest.mark.parametrize('kind', HOSTILE)
@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize('first', [False, True])
def test_malicious_header_is_refused_without_filling_memory(tmp_path, kind, compressed, first):
    before = b'' if first else header('good.png', len(GOOD)) + padded(GOOD)
    path = tmp_path / 'set'
    with (gzip.open(path, 'wb', 1) if compressed else open(path, 'wb')) as file:
        file.write(before + HOSTILE[kind])
    tracemalloc.start()
    message = complaint(path, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message.startswith(f'--images {path}: ')
    assert any(words in message for words in (BROKEN, 'not a complete zip or tar', 'unpacks to more than', 'no usable image'))
    assert peak < 1 << 24


@pytest.mark.parametrize('kind', ['tar', 'tar.gz'])
def test_decompression_bomb_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(sources, '_MOST_BYTES', 10_000)
    monkeypatch.setattr(sources, '_MOST_TIMES', 2)
    path = stored(kind, tmp_path, many(3) | {'zeros': bytes(1 << 20)})
    if kind == 'tar':
        loaded = files.load(path, 4)
        assert len(loaded[0]) == 3 and loaded[1] == [('zeros', 'larger than 1,024 MiB')]
    else:
        assert complaint(path, 4).startswith(f'--images {path}: unpacks to more than 2 times its size')


@pytest.mark.parametrize('form', ['gnu', 'posix'])
def test_sparse_members_are_read(tmp_path, form):
    data = encoded(numpy.zeros((600, 600, 3), numpy.uint8), 'BMP') + bytes(1 << 20)
    with open(tmp_path / 'sparse.bmp', 'wb') as file:
        file.write(data[:60])
        file.truncate(len(data))
    subprocess.run(['tar', '-C', tmp_path, '-S', '--hole-detection=raw', f'--format={form}', '-cf', tmp_path / 'set.tar',
                    'sparse.bmp'], check=True)
    assert (tmp_path / 'set.tar').stat().st_size < 1 << 16
    made, skipped, _ = files.load(tmp_path / 'set.tar', 4)
    assert skipped == [] and made.shape == (1, 3, 4, 4) and not made.any()


def test_large_image_with_directory_at_end_is_read(tmp_path):
    data = encoded(numpy.full((2500, 2500, 3), 77, numpy.uint8), 'TIFF')
    offset, = struct.unpack('<I', data[4:8])
    moved = b'II*\0' + struct.pack('<I', len(data)) + data[8:] + data[offset:]     # a common layout of TIFF files
    for kind in 'zip', 'tar', 'tar.gz':
        loaded = files.load(stored(kind, tmp_path, {'a.tif': moved}), 4)
        assert loaded[1] == [] and (loaded[0] == 77).all()


@pytest.mark.parametrize('kind', ['zip', 'tar', 'tar.gz'])
def test_few_large_files_are_in_memory_at_once(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(8)), raising=False)
    path = stored(kind, tmp_path, {f'{i}.bmp': encoded(noise(seed=i), 'BMP').ljust(1 << 25, b'\0') for i in range(8)})
    tracemalloc.start()
    loaded = files.load(path, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert holds(loaded, *(noise(seed=i) for i in range(8))) and peak < 4 << 25


def test_tar_that_ends_with_zip_is_tar(tmp_path):
    inner = pack(tmp_path / 'inner.zip', {'in.png': encoded(noise(seed=9))}, zipfile.ZIP_STORED).read_bytes()
    loaded = files.load(pack_tar(tmp_path / 'set', many(2) | {'inner.zip': inner}), 4)
    assert holds(loaded, noise(seed=0), noise(seed=1)) and loaded[1] == [('inner.zip', NO_IMAGE)]


def test_compressed_file_without_tar_is_refused(tmp_path):
    for name, opener in zip(('gz', 'bz2', 'xz'), sources._DECOMPRESSORS.values()):
        path = tmp_path / f'picture.{name}'
        with opener(path, 'wb') as file:
            file.write(encoded(noise(40, 40)))
        assert 'not a complete zip or tar archive' in complaint(path, 4)


def test_empty_tar_has_no_image(tmp_path):
    path = pack_tar(tmp_path / 'set', {})
    assert complaint(path, 4) == f'--images {path}: no usable image'


def test_lack_of_memory_in_tar_is_temporary(tmp_path, monkeypatch):
    path, square = stored('tar.gz', tmp_path, many(3)), files.square
    with monkeypatch.context() as patch:
        patch.setattr(files, 'square', lambda file, *args: square(file, *args) if file.getvalue() != encoded(noise(seed=1))
                      else (_ for _ in ()).throw(MemoryError))
        assert files.load(path, 4)[1] == [('001.png', 'unreadable (out of memory)')]
    assert len(files.load(path, 4)[0]) == 3


INTERRUPTED = '''
import sys, time
from lsgan.datasets import files
square = files.square
files.square = lambda *args: time.sleep(0.05) or square(*args)
print('begins', flush=True)
files.load(sys.argv[1], 4)
'''


@pytest.mark.parametrize('kind', ['zip', 'tar.gz'])
def test_ctrl_c_ends_load(tmp_path, own_cache, kind):
    path = stored(kind, tmp_path, many(2000))
    process = subprocess.Popen([sys.executable, '-c', INTERRUPTED, path], env={**os.environ, 'PYTHONPATH': str(ROOT)},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'begins\n'
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert 'KeyboardInterrupt' in error and list(own_cache.iterdir()) == []


# Several paths

def test_several_paths_are_joined_in_order(tmp_path):
    contents = many(9)
    parts = [{name: contents[name] for name in list(contents)[i:i + 3]} for i in (0, 3, 6)]
    paths = [stored('folder', tmp_path, parts[0]), stored('zip', tmp_path, parts[1]), stored('tar.gz', tmp_path, parts[2])]
    for some in paths, paths[::-1]:
        made, skipped, digest = files.load(some, 4)
        order = range(9) if some is paths else (6, 7, 8, 3, 4, 5, 0, 1, 2)
        assert skipped == [] and digest == fingerprint(made)
        assert [image.transpose(1, 2, 0).tolist() for image in made] == [noise(seed=i).tolist() for i in order]


def test_names_begin_with_one_of_several_paths(tmp_path):
    bad = {'bad.txt': b'text', '/abs.txt': b'text', 'a.png': encoded(noise())}
    one, two = pack_tar(tmp_path / 'one.tar', bad), pack(tmp_path / 'two.zip', {'bad.txt': b'text', 'b.png': encoded(noise())})
    three = fill(tmp_path / 'three', {'c.png': encoded(noise())})
    (three / 'gone.png').symlink_to('nowhere')
    assert files.load([one, two, three], 4)[1] == [
        (f'{one}//abs.txt', NO_IMAGE), (f'{one}/bad.txt', NO_IMAGE), (f'{three}/gone.png', 'broken symbolic link'),
        (f'{two}/bad.txt', NO_IMAGE)]
    assert files.load([one], 4)[1] == [('/abs.txt', NO_IMAGE), ('bad.txt', NO_IMAGE)]


def test_file_below_two_paths_counts_once(tmp_path):
    folder = fill(tmp_path / 'set', {'a.png': encoded(noise()), 'sub/b.png': encoded(noise(seed=1)), 'sub/c.txt': b'text'})
    (tmp_path / 'link').symlink_to(folder)
    single = files.load(folder, 4)
    for paths in [folder, folder], [folder, tmp_path / 'link'], [f'{folder}/', f'{folder}/sub/..']:
        assert files.load(paths, 4)[1:] == single[1:]
    for paths in [folder, folder / 'sub'], [folder / 'sub', folder]:
        loaded = files.load(paths, 4)
        assert holds(loaded, noise(), noise(seed=1)) and loaded[1] == [(f'{folder}/sub/c.txt', NO_IMAGE)]


def test_wrong_one_of_several_paths_is_named(tmp_path):
    good, cut = stored('tar', tmp_path, many(2)), tmp_path / 'cut.tar'
    cut.write_bytes(good.read_bytes()[:2000])
    assert complaint([good, tmp_path / 'gone'], 4).startswith(f'--images {tmp_path}/gone: No such file')
    assert complaint([good, cut], 4).startswith(f'--images {cut}: {BROKEN}')
    none = fill(tmp_path / 'none', {'a.txt': b'text'})
    assert complaint([none, cut.parent / 'none'], 4) == f'--images {none}: no usable image: 1 {NO_IMAGE} (.txt)'
    assert holds(files.load([none, good], 4), noise(seed=0), noise(seed=1))


def test_change_in_any_path_is_noticed(tmp_path):
    one, two = stored('tar', tmp_path, many(2)), fill(tmp_path / 'two', {'a.png': encoded(noise(seed=7))})
    assert len(files.load([one, two], 4)[0]) == 3
    fill(two, {'b.png': encoded(noise(seed=8))})
    assert len(files.load([one, two], 4)[0]) == 4
    pack_tar(one, many(5))
    assert len(files.load([one, two], 4)[0]) == 7


def test_cached_faces_of_earlier_version_are_used(tmp_path, own_cache, monkeypatch):
    """about.json of an earlier version lacks the number of images."""
    def items():
        return (('a', lambda: numpy.uint8([[1, 2], [3, 4]]), False), ('b', lambda: numpy.uint8([[5, 6], [7, 8]]), False))
    made, _, digest = cache.images('key', (2, 2), items, 'title')
    entry, = own_cache.iterdir()
    (entry / 'about.json').write_text(f'{{"skipped": [], "fingerprint": "{digest}"}}')
    again, skipped, kept = cache.images('key', (2, 2), None, 'title')
    assert numpy.array_equal(again, made) and (skipped, kept) == ([], digest)
