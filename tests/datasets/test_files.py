import builtins
import errno
import hashlib
import io
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import types
import zipfile
import zlib

import numpy
import pytest
from pictures import complaint, encoded, fill, holds, noise, pack, stored
from PIL import Image
from running import ROOT

from lsgan.datasets import faces, files, sources
from lsgan.datasets.images import fingerprint

KINDS = 'folder', 'zip', 'tar', 'tar.gz', 'tar.bz2', 'tar.xz'
NO_IMAGE, DAMAGED = 'not in an image format that Pillow reads', 'damaged or truncated'
GREY = numpy.uint8([[0, 100], [200, 255]])
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Path of the image cache, in a temporary folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'lsgan' / 'images'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'pictures').mkdir()
    return tmp_path / 'pictures'


def with_palette(*colours):
    """Return a picture of 2x2 pixels, [[0, 1], [1, 0]], with the given palette."""
    picture = Image.fromarray(numpy.uint8([[0, 1], [1, 0]]))
    picture.putpalette(sum(colours, ()))
    return picture


def png_header(width, height):
    """Return the beginning of a PNG, which ends after its size."""
    chunk = b'IHDR' + struct.pack('>2I5B', width, height, 8, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + chunk + struct.pack('>I', zlib.crc32(chunk)) + b'\0\0\0\0IDAT'


def only(folder, data, size=2, **options):
    """Load a folder with a single file and return its image, an array of shape (size, size, 3)."""
    made, skipped, _ = files.load(fill(folder, {'picture': data}), size, **options)
    assert made.shape == (1, 3, size, size) and made.dtype == numpy.uint8 and skipped == []
    return made[0].transpose(1, 2, 0)


COLOURS = {
    'greyscale': (lambda: encoded(GREY), GREY),
    '1 bit': (lambda: encoded(GREY > 150), [[0, 0], [255, 255]]),
    'palette': (lambda: encoded(with_palette((10, 20, 30), RED)), [[(10, 20, 30), RED], [RED, (10, 20, 30)]]),
    'palette, one colour transparent': (lambda: encoded(with_palette((10, 20, 30), RED), transparency=0),
                                        [[WHITE, RED], [RED, WHITE]]),
    'palette, each colour with an opacity': (lambda: encoded(with_palette((10, 20, 30), RED), transparency=b'\xff\x33'),
                                             [[(10, 20, 30), (255, 204, 204)], [(255, 204, 204), (10, 20, 30)]]),
    'palette in a GIF, one colour transparent': (lambda: encoded(with_palette((10, 20, 30), RED), 'GIF', transparency=1),
                                                 [[(10, 20, 30), WHITE], [WHITE, (10, 20, 30)]]),
    'one grey transparent': (lambda: encoded(GREY, transparency=100), [[0, 255], [200, 255]]),
    'one colour transparent': (lambda: encoded(numpy.uint8([[RED, BLUE], [BLUE, RED]]), transparency=RED),
                               [[WHITE, BLUE], [BLUE, WHITE]]),
    'greyscale with opacity': (lambda: encoded(numpy.uint8([[(100, 0), (100, 255)], [(0, 51), (255, 51)]])),
                               [[255, 100], [204, 255]]),
    'colours with opacity': (lambda: encoded(numpy.uint8([[(*RED, 0), (*RED, 255)], [(*RED, 51), (*BLUE, 204)]])),
                             [[WHITE, RED], [(255, 204, 204), (51, 51, 255)]]),
    'WebP with opacity': (lambda: encoded(numpy.uint8([[(*RED, 255), (*BLUE, 255)], [(*RED, 0), (*BLUE, 0)]]), 'WEBP',
                                          lossless=True), [[RED, BLUE], [WHITE, WHITE]]),
    'CMYK': (lambda: encoded(Image.new('CMYK', (2, 2), (51, 0, 102, 0)), 'TIFF'), [[(204, 255, 153)] * 2] * 2),
    '16 bits': (lambda: encoded(numpy.uint16([[0, 65535], [32768, 257]])), [[0, 255], [128, 1]]),
    '16 bits, one grey transparent': (lambda: encoded(numpy.uint16([[0, 65535], [32768, 32769]]), transparency=32768),
                                      [[0, 255], [255, 128]]),
    '16 bits in a TIFF': (lambda: encoded(numpy.uint16([[0, 65535], [32768, 257]]), 'TIFF'), [[0, 255], [128, 1]]),
    '32 bits': (lambda: encoded(numpy.int32([[0, 65535], [-9, 70000]]), 'TIFF'), [[0, 255], [0, 255]]),
    'floats up to 1': (lambda: encoded(numpy.float32([[0, 1], [0.2, -0.1]]), 'TIFF'), [[0, 255], [51, 0]]),
    'floats up to 255': (lambda: encoded(numpy.float32([[0, 255], [7.6, 300]]), 'TIFF'), [[0, 255], [8, 255]]),
    'damaged metadata': (lambda: encoded(GREY, exif=b'Exif\0\0II*\0no directory'), GREY),
}


@pytest.mark.parametrize('kind', COLOURS)
def test_every_colour_mode_becomes_rgb(folder, kind):
    data, expected = COLOURS[kind]
    expected = numpy.array(expected)
    expected = expected if expected.ndim == 3 else expected[:, :, None].repeat(3, axis=2)
    assert only(folder, data()).tolist() == expected.tolist()


def test_cmyk_jpeg_is_not_inverted(folder):
    data = encoded(Image.new('CMYK', (16, 16), (51, 0, 102, 0)), 'JPEG', quality=100, subsampling=0)
    numpy.testing.assert_allclose(only(folder, data), [[(204, 255, 153)] * 2] * 2, atol=4)


@pytest.mark.parametrize('background, below', [('#102030', (16, 32, 48)), ('black', (0, 0, 0)), ('hsl(240,100%,50%)', BLUE)])
def test_transparent_parts_show_the_background(folder, background, below):
    color = numpy.array([200, 100, 50])
    data = encoded(numpy.uint8([[(*color, 0), (*color, 255)], [(*color, 51), (*color, 0)]]))
    mixed = 0.2 * color + 0.8 * numpy.array(below)
    numpy.testing.assert_allclose(only(folder, data, background=background), [[below, color], [mixed, below]], atol=0.51)


def test_formats_are_recognised_by_content(folder):
    forms = {'a.jpg': 'PNG', 'b.png': 'BMP', 'c': 'GIF', 'd.txt': 'TIFF', 'e.zip': 'PPM', 'f.tmp': 'WEBP'}
    contents = {name: encoded(numpy.full((4, 4, 3), 10 * i, numpy.uint8), form, **{'lossless': True} if form == 'WEBP' else {})
                for i, (name, form) in enumerate(forms.items())}
    loaded = files.load(fill(folder, contents), 4)
    assert loaded[1] == [] and holds(loaded, *(numpy.full((4, 4, 3), 10 * i, numpy.uint8) for i in range(6)))


TURNS = {1: lambda a: a, 2: numpy.fliplr, 3: lambda a: numpy.rot90(a, 2), 4: numpy.flipud, 5: lambda a: a.transpose(1, 0, 2),
         6: lambda a: numpy.rot90(a, -1), 7: lambda a: numpy.rot90(a, 2).transpose(1, 0, 2), 8: numpy.rot90}


@pytest.mark.parametrize('form, options', [('PNG', {}), ('JPEG', {'quality': 100, 'subsampling': 0}), ('TIFF', {}),
                                           ('WEBP', {'lossless': True})])
@pytest.mark.parametrize('orientation', TURNS)
def test_exif_orientation_is_applied(folder, orientation, form, options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide = noise(4, 6)
    middle = TURNS[orientation](wide)[(slice(1, 5), slice(None))[::1 if orientation > 4 else -1]]
    made = only(folder, encoded(wide, form, exif=exif, **options), 4).astype(int)
    numpy.testing.assert_allclose(made, middle, atol=4 if form == 'JPEG' else 0)


@pytest.mark.parametrize('form', ['GIF', 'PNG', 'WEBP', 'TIFF'])
def test_animation_gives_first_frame(folder, form):
    frames = [Image.new('RGB', (4, 4), colour) for colour in (RED, BLUE, WHITE)]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **{'lossless': True} if form == 'WEBP' else {})
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (only(folder, data, 4) == RED).all()


@pytest.mark.parametrize('turned', [False, True])
def test_central_square_is_cropped(folder, turned):
    wide = noise(4, 10)
    wide[:, :3], wide[:, 7:] = RED, BLUE
    middle = wide[:, 3:7]
    if turned:
        wide, middle = wide.transpose(1, 0, 2), middle.transpose(1, 0, 2)
    assert only(folder, encoded(numpy.ascontiguousarray(wide)), 4).tolist() == middle.tolist()


@pytest.mark.parametrize('height, width', [(100, 10_000), (1000, 1000)])
def test_16_bit_image_needs_little_memory(height, width):
    file = io.BytesIO(encoded(numpy.full((height, width), 25700, numpy.uint16)))
    tracemalloc.start()
    made = files.square(file, 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (made == 100).all() and peak < 1e6 + 12 * min(height, width) ** 2


def test_shrinking_averages_areas(folder):
    blocks = numpy.uint8([[0, 100, 10, 20], [200, 100, 30, 40], [255, 255, 0, 0], [255, 255, 0, 255]])
    assert only(folder, encoded(blocks))[..., 0].tolist() == [[100, 25], [255, 64]]      # 64 is 63.75, rounded


def test_areas_can_be_fractional(folder):
    row = numpy.uint8([[0, 90, 255]] * 3)
    assert only(folder, encoded(row))[:, :, 0].tolist() == [[30, 200], [30, 200]]
    assert only(folder, encoded(row.T.copy()))[:, :, 0].tolist() == [[30, 30], [200, 200]]
    steps = numpy.repeat(numpy.uint8([0, 90, 255]), 5)[None].repeat(15, axis=0)
    assert only(folder, encoded(steps))[0, :, 0].tolist() == [30, 200]
    steps = numpy.repeat(numpy.uint8([0, 90, 255]), 501)[None].repeat(1503, axis=0)      # Pillow first reduces it by 93
    assert only(folder, encoded(steps))[0, :, 0].tolist() == pytest.approx([30, 200], abs=10)


def test_fine_checkerboard_becomes_grey(folder):
    board = numpy.uint8(255 * (numpy.indices((64, 64)).sum(axis=0) % 2))
    assert numpy.isin(only(folder, encoded(board), 16), [127, 128]).all()


@pytest.mark.parametrize('side', [2, 3, 7])
def test_small_image_is_enlarged_smoothly(folder, side):
    picture = numpy.zeros((side, side), numpy.uint8)
    picture[:, side // 2:] = 200
    row = only(folder, encoded(picture), 8)[3, :, 0].astype(int)
    assert row[0] < 20 and row[-1] > 180
    assert len(set(row)) > 3 and (numpy.abs(numpy.diff(row)) < 160).all()       # two blocks would have two values


def lab_of(lightness):
    return encoded(Image.merge('LAB', [Image.new('L', (2, 2), value) for value in (lightness, 128, 128)]), 'TIFF')


@pytest.mark.parametrize('lightness', [0, 255])
def test_lab_image_is_read_or_skipped(folder, lightness):
    fill(folder, {'lab.tif': lab_of(lightness), 'grey.png': encoded(GREY)})
    made, skipped, _ = files.load(folder, 2)
    if skipped:         # Pillow may be built without colour management
        assert skipped == [('lab.tif', 'in a colour space that Pillow cannot convert')] and len(made) == 1
    else:
        assert any(numpy.abs(image - float(lightness)).max() < 3 for image in made)


JPEG = encoded(noise(32, 32), 'JPEG')
PNG = encoded(noise(32, 32))
BAD = {
    'empty': (b'', NO_IMAGE),
    'a text': (b'hello, world\n' * 9, NO_IMAGE),
    'a page': (b'<!DOCTYPE html><html></html>', NO_IMAGE),
    'half a signature': (PNG[:5], NO_IMAGE),
    'half a header': (PNG[:20], NO_IMAGE),
    'a TIFF that goes on beyond any disk': (b'II+\0\x08\0\0\0' + struct.pack('<Q', 2**62), NO_IMAGE),
    'half a PNG': (PNG[:len(PNG) // 2], DAMAGED),
    'half a JPEG': (JPEG[:len(JPEG) // 2], DAMAGED),
    'a PNG with damage': (PNG[:300] + bytes(400) + PNG[700:], DAMAGED),
    'less than a quarter': (encoded(noise(3, 3)), 'smaller than 4 pixels'),
    'less than a quarter in height': (encoded(noise(3, 40)), 'smaller than 4 pixels'),
    'less than a quarter in width': (encoded(noise(40, 3)), 'smaller than 4 pixels'),
    'large': (png_header(10_001, 10_000), 'larger than 100 million pixels'),
    'so large that Pillow refuses it': (png_header(60_000, 60_000), 'larger than 100 million pixels'),
    'as long as can be written': (png_header(2**31 - 1, 1000), 'larger than 100 million pixels'),
}


@pytest.mark.parametrize('kind', BAD)
def test_unusable_file_is_skipped_with_reason(folder, kind):
    data, reason = BAD[kind]
    good = noise(16, 16)
    loaded = files.load(fill(folder, {'sub/bad.png': data, 'good.png': encoded(good)}), 16)
    assert loaded[1] == [('sub/bad.png', reason)] and holds(loaded, good)


@pytest.mark.parametrize('kind', ['a text', 'half a PNG', 'less than a quarter', 'so large that Pillow refuses it'])
def test_square_raises_reason(kind):
    data, reason = BAD[kind]
    with pytest.raises(files.Skipped, match=f'^{reason}$'):
        files.square(io.BytesIO(data), 16)


def test_square_returns_channels_first():
    picture = noise()
    made = files.square(io.BytesIO(encoded(picture)), 4)
    assert made.dtype == numpy.uint8 and made.tolist() == picture.transpose(2, 0, 1).tolist()


@pytest.mark.parametrize('size, side, reason', [(10, 3, None), (10, 2, 'smaller than 3 pixels'), (16, 4, None),
                                                (17, 4, 'smaller than 5 pixels')])
def test_quarter_of_size_is_enough(folder, size, side, reason):
    fill(folder, {'small.png': encoded(noise(side, side)), 'good.png': encoded(noise(size, size))})
    made, skipped, _ = files.load(folder, size)
    assert skipped == ([('small.png', reason)] if reason else []) and len(made) == 2 - len(skipped)


def test_special_files_are_skipped(folder):
    os.mkfifo(folder / 'pipe.png')
    (folder / 'gone.png').symlink_to(folder / 'nowhere')
    (folder / 'itself.png').symlink_to('itself.png')
    good = noise()
    for _ in 'new', 'kept':
        loaded = files.load(fill(folder, {'good.png': encoded(good), 'h.txt': b'text'}), 4)
        assert holds(loaded, good)
        assert loaded[1] == [('gone.png', 'broken symbolic link'), ('h.txt', NO_IMAGE),
                             ('itself.png', 'broken symbolic link'), ('pipe.png', 'not a regular file')]


def denied(path):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


class OnABadDisk(io.BytesIO):
    """A PNG on a failing disk: only its first 1,000 bytes can be read."""

    def __init__(self, _):
        super().__init__(PNG)

    def read(self, *args):
        data = super().read(*args)
        if self.tell() > 1000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data


def replace_opening(monkeypatch, owner, name, instead, *ends):
    """Replace a function that opens files by `instead`, but only for paths or zip entries with the given name endings."""
    real = getattr(owner, name)

    def opening(*args, **options):
        paths = [str(getattr(arg, 'filename', arg)) for arg in args[:2]]        # the first argument may be the ZipFile
        refused = [path for path in paths if path.endswith(ends)]
        return instead(*refused) if refused else real(*args, **options)
    monkeypatch.setattr(owner, name, opening)


@pytest.mark.parametrize('instead, reason', [(denied, 'unreadable (Permission denied)'),
                                             (OnABadDisk, 'unreadable (Input/output error)')])
@pytest.mark.parametrize('packed', [False, True])
def test_unreadable_file_is_skipped_and_tried_again(folder, tmp_path, packed, instead, reason):
    contents = {'good.png': encoded(noise()), 'locked.png': PNG, 'sub/in.png': PNG}
    path = pack(tmp_path / 'set.zip', contents) if packed else fill(folder, contents)
    with pytest.MonkeyPatch.context() as patch:
        replace_opening(patch, *(zipfile.ZipFile, 'open') if packed else (builtins, 'open'), instead, 'locked.png', 'in.png')
        loaded = files.load(path, 4)
    assert holds(loaded, noise()) and loaded[1] == [('locked.png', reason), ('sub/in.png', reason)]
    assert len(files.load(path, 4)[0]) == 3


@pytest.mark.parametrize('packed', [False, True])
def test_only_unreadable_file_is_tried_again(folder, tmp_path, monkeypatch, no_decoding, packed):
    contents = {f'{i}.png': encoded(noise(seed=i)) for i in range(3)} | {'locked.png': PNG}
    path = pack(tmp_path / 'set.zip', contents) if packed else fill(folder, contents)
    replace_opening(monkeypatch, *(zipfile.ZipFile, 'open') if packed else (builtins, 'open'), denied, 'locked.png')
    made, skipped, _ = files.load(path, 4)
    assert len(made) == 3 and skipped == [('locked.png', 'unreadable (Permission denied)')]
    no_decoding()
    again, left_out, _ = files.load(path, 4)
    assert numpy.array_equal(again, made) and left_out == skipped


def test_unreadable_folder_is_skipped(folder, monkeypatch):
    fill(folder, {'good.png': encoded(noise()), 'shut/in.png': PNG})
    replace_opening(monkeypatch, os, 'scandir', denied, 'shut')
    loaded = files.load(folder, 4)
    assert holds(loaded, noise()) and loaded[1] == [('shut', 'folder that cannot be read')]


NAMES = ['a.png', 'sub/b.png', 'sub/deeper/c d.png', 'ünï/日本 🙂.png', 'line\nbreak.png', '-rf.png', 'x.zip/y.png']


def test_subfolders_are_searched(folder):
    contents = {name: encoded(noise(seed=i)) for i, name in enumerate(NAMES)}
    hidden = {name: encoded(noise(seed=99)) for name in ('.e.png', 'sub/._b.png', '.git/f.png', 'sub/.thumbs/g/h.png')}
    loaded = files.load(fill(folder, contents | hidden), 4)
    assert loaded[1] == [] and holds(loaded, *(noise(seed=i) for i in range(7)))


def test_names_can_be_other_than_utf_8(folder):
    good, bad = os.fsdecode(b'\xff\xfe.png'), os.fsdecode(b'caf\xe9/\xe9.txt')
    try:
        fill(folder, {good: encoded(noise()), bad: b'text'})
    except OSError:
        pytest.skip('not on this file system')
    for _ in 'new', 'kept':
        loaded = files.load(folder, 4)
        assert holds(loaded, noise()) and loaded[1] == [(bad, NO_IMAGE)]


def test_links_are_followed_without_loops(folder, tmp_path):
    elsewhere = fill(tmp_path / 'elsewhere', {'b.png': encoded(noise(seed=1)), 'c.png': encoded(noise(seed=2))})
    fill(folder, {'sub/a.png': encoded(noise())})
    (folder / 'linked').symlink_to(elsewhere)
    (folder / 'sub' / 'c.png').symlink_to(elsewhere / 'c.png')
    (folder / 'sub' / 'back').symlink_to(folder)
    (elsewhere / 'back').symlink_to(folder / 'sub')
    loaded = files.load(folder, 4)
    assert loaded[1] == [] and holds(loaded, *(noise(seed=i) for i in (0, 1, 2, 2)))
    (tmp_path / 'link').symlink_to(folder)
    assert holds(files.load(tmp_path / 'link', 4), *(noise(seed=i) for i in (0, 1, 2, 2)))


@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_equals_folder(folder, tmp_path, compression):
    contents = {name: encoded(noise(seed=i)) for i, name in enumerate(NAMES)}
    contents |= {'.h.png': encoded(noise(seed=99)), 'bad/text.txt': b'text', 'bad/cut.png': PNG[:400],
                 'bad/small.png': encoded(noise(1, 1))}
    made, skipped, _ = files.load(fill(folder, contents), 8)
    more = {'__MACOSX/a.png': encoded(noise(seed=99)), '__MACOSX/sub/._b.png': b'', 'empty/': b''}
    path = pack(tmp_path / 'a picture', contents | more, compression)
    zipped, left_out, _ = files.load(path, 8)
    assert sorted(map(numpy.ndarray.tobytes, zipped)) == sorted(map(numpy.ndarray.tobytes, made)) and len(made) == 7
    assert left_out == skipped == [('bad/cut.png', DAMAGED), ('bad/small.png', 'smaller than 2 pixels'),
                                   ('bad/text.txt', NO_IMAGE)]


def test_damaged_member_of_zip_is_skipped(tmp_path):
    contents = {f'{i}.png': encoded(noise(seed=i)) for i in range(4)}
    path = pack(tmp_path / 'set.zip', contents, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.find(contents['1.png']) + 50] ^= 1        # its checksum does not match any more
    data[data.find(b'2.png')] ^= 1                      # its name differs from the one in the central directory
    entry = data.find(b'3.png', data.find(b'PK\1\2')) - 46
    data[entry + 24:entry + 28] = struct.pack('<I', 2**31 - 1)      # it claims to be large
    path.write_bytes(data)
    loaded = files.load(path, 4)
    assert holds(loaded, noise())
    assert loaded[1] == [('1.png', DAMAGED), ('2.png', DAMAGED), ('3.png', 'larger than 1,024 MiB')]


def test_unknown_compression_is_named(tmp_path):
    path = pack(tmp_path / 'set.zip', {'a.png': encoded(noise()), 'b.png': encoded(noise(seed=1))})
    data = bytearray(path.read_bytes())
    data[data.find(b'PK\3\4') + 8] = data[data.find(b'PK\1\2') + 10] = 9      # Deflate64
    path.write_bytes(data)
    loaded = files.load(path, 4)
    assert holds(loaded, noise(seed=1)) and loaded[1] == [('a.png', 'compressed by a method that Python does not support')]


def test_names_in_zip_may_begin_with_dot(tmp_path):
    made, _, _ = files.load(pack(tmp_path / 'set.zip', {'./a.png': encoded(noise()), './.hidden/b.png': encoded(noise())}), 2)
    assert len(made) == 1


@pytest.mark.parametrize('offset, byte', [(46, 0xff), (6, 0xff)], ids=['name', 'version'])
def test_zip_with_damaged_directory_is_refused(tmp_path, offset, byte):
    path = pack(tmp_path / 'set.zip', {'\u00e9.png': encoded(noise())})
    data = bytearray(path.read_bytes())
    data[data.find(b'PK\1\2') + offset] = byte
    path.write_bytes(data)
    assert 'not a complete zip' in complaint(path, 2)


def test_encrypted_zip_is_refused(tmp_path):
    path = pack(tmp_path / 'set.zip', {'a.png': encoded(noise()), 'b.png': encoded(noise(seed=1))})
    data = bytearray(path.read_bytes())
    data[data.rfind(b'PK\3\4') + 6] |= 1
    data[data.rfind(b'PK\1\2') + 8] |= 1
    path.write_bytes(data)
    assert complaint(path, 4) == f'--images {path}: the zip file is encrypted. Unpack it and pass the folder'


def test_incomplete_zip_is_refused(folder, tmp_path):
    good = pack(tmp_path / 'set.zip', {'a.png': encoded(noise())}).read_bytes()
    fill(tmp_path, {'cut.zip': good[:-30], 'half.zip': good[:len(good) // 2], 'empty.zip': b'',
                    'picture.png': encoded(noise()), 'set.tar.gz': b'\x1f\x8b\x08\0 and so on'})
    os.mkfifo(tmp_path / 'pipe')
    for name in 'cut.zip', 'half.zip', 'empty.zip', 'picture.png', 'set.tar.gz', 'pipe':
        assert f'--images {tmp_path / name}: not a folder, and not a complete zip or tar' in complaint(tmp_path / name, 4)


@pytest.mark.parametrize('name, words', [('missing', 'No such file or directory'), ('file/missing', 'Not a directory')])
def test_missing_path_is_named(tmp_path, name, words):
    (tmp_path / 'file').touch()
    for path in tmp_path / name, str(tmp_path / name):
        message = complaint(path, 4)
        assert message.startswith(f'--images {tmp_path / name}: {words}') and 'a folder of images, or a zip' in message


def test_error_without_usable_image_counts_reasons(folder, tmp_path, cache):
    assert complaint(folder, 16) == f'--images {folder}: no usable image'
    assert complaint(pack(tmp_path / 'none.zip', {}), 16) == f'--images {tmp_path}/none.zip: no usable image'
    contents = {f'{i}.txt': b'text' for i in range(1200)} | {f'{i}.png': encoded(noise(seed=i)) for i in range(1000, 1002)}
    contents |= {f'{i}.jpg': PNG[:400] for i in range(3)}
    contents['notes'] = b'text'
    expected = f'no usable image: 1,201 {NO_IMAGE} (.txt), 3 {DAMAGED} (.jpg), 2 smaller than 5 pixels (.png)'
    assert complaint(fill(folder, contents), 18) == f'--images {folder}: {expected}'
    assert complaint(pack(tmp_path / 'set.zip', contents), 18) == f'--images {tmp_path}/set.zip: {expected}'
    assert list(cache.iterdir()) == []


@pytest.fixture
def no_decoding(monkeypatch):
    """A function that makes the test fail if any picture is decoded afterwards."""
    def no_decoding():
        monkeypatch.setattr(files, 'square', lambda *_: pytest.fail('it was decoded again'))
    return no_decoding


@pytest.mark.parametrize('kind', KINDS)
def test_images_are_decoded_once(tmp_path, no_decoding, kind):
    contents = {f'{i:03}': encoded(noise(seed=i)) for i in range(300)} | {'text': b'text'}
    path = stored(kind, tmp_path, contents)
    made, skipped, _ = files.load(path, 4)
    assert holds((made, skipped), *(noise(seed=i) for i in range(300)))
    no_decoding()
    again, left_out, _ = files.load(path, 4)
    assert numpy.array_equal(again, made) and left_out == skipped == [('text', NO_IMAGE)]


@pytest.mark.parametrize('kind', KINDS)
def test_images_are_read_in_parallel(tmp_path, monkeypatch, kind):
    contents, square, both = {'a.png': encoded(noise()), 'b.png': encoded(noise(seed=1))}, files.square, threading.Barrier(2)

    def meet(*args):
        both.wait(30)       # until the other thread is here, too
        return square(*args)
    monkeypatch.setattr(files, 'square', meet)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1}, raising=False)
    path = stored(kind, tmp_path, contents)
    assert holds(files.load(path, 4), noise(), noise(seed=1))


def test_loaded_images_are_memory_mapped_and_read_only(folder):
    fill(folder, {'a.png': encoded(noise())})
    for _ in 'new', 'kept':
        made = files.load(folder, 4)[0]
        with pytest.raises(ValueError, match='read-only'):
            made[0, 0, 0, 0] = 0
        while isinstance(made.base, numpy.ndarray):
            made = made.base
        assert isinstance(made, numpy.memmap)


@pytest.mark.parametrize('load', [lambda folder: files.load(folder, 4), lambda _: faces.load(32, 9)], ids=['files', 'faces'])
def test_fingerprint_reads_images_once(folder, monkeypatch, load):
    made, _, expected = load(fill(folder, {'a.png': encoded(noise()), 'b.png': encoded(noise(seed=1)), 'text': b'text'}))
    assert expected == fingerprint(made) != fingerprint(made[:1])
    # From here on, only data that are passed to sha256 at once, such as the cache key, can be hashed.
    whole = hashlib.sha256
    monkeypatch.setattr(hashlib, 'sha256', lambda data: types.SimpleNamespace(hexdigest=whole(data).hexdigest))
    again, _, kept = load(folder)
    assert kept == expected and numpy.array_equal(again, made)


def test_other_size_or_background_is_decoded_again(folder):
    picture = numpy.uint8([[(*RED, 0)] * 4] * 4)
    fill(folder, {'a.png': encoded(picture)})
    for _ in 'new', 'kept':
        assert (files.load(folder, 4)[0] == 255).all()
        assert files.load(folder, 4, 'blue')[0][0, :, 3, 3].tolist() == list(BLUE)
        assert files.load(folder, 2)[0].shape == (1, 3, 2, 2)


def rewrite(path, data, same):
    """Overwrite a file with data of another size and the same modification time, or the other way round."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (10**9 if same == 'size' else 0)))
    assert (path.stat().st_size == before.st_size) == (same == 'size')


@pytest.mark.parametrize('same', ['size', 'time'])
@pytest.mark.parametrize('packed', [False, True])
def test_changed_file_is_read_again(folder, tmp_path, same, packed):
    pictures, form = [noise(), noise(seed=1)], {'size': 'BMP', 'time': 'PNG'}[same]
    before, after = (encoded(picture, form) for picture in pictures)
    path, changed = folder, folder / 'picture'
    after += bytes(3) if same == 'time' else b''        # bytes after the end of an image are ignored
    if packed:
        path = changed = tmp_path / 'set.zip'
        before, after = (pack(tmp_path / 'other', {'picture': data}).read_bytes() for data in (before, after))
    changed.write_bytes(before)
    assert holds(files.load(path, 4), pictures[0])
    rewrite(changed, after, same)
    assert holds(files.load(path, 4), pictures[1])


def test_changed_permissions_are_noticed(folder):
    files.load(fill(folder, {'a.png': encoded(noise())}), 2)
    before = os.stat(folder / 'a.png').st_ctime_ns
    while os.stat(folder / 'a.png').st_ctime_ns == before:     # the resolution of file times may be coarse
        os.chmod(folder / 'a.png', 0o600)
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        square = files.square
        patch.setattr(files, 'square', lambda *args: calls.append(1) or square(*args))
        files.load(folder, 2)
    assert calls == [1]


def test_added_removed_and_renamed_files_are_noticed(folder):
    one, two = noise(seed=1), noise(seed=2)
    fill(folder, {'a.png': encoded(one)})
    assert holds(files.load(folder, 4), one)
    fill(folder, {'b/c.png': encoded(two)})
    assert holds(files.load(folder, 4), one, two)
    (folder / 'a.png').unlink()
    assert holds(files.load(folder, 4), two)
    fill(folder, {'b/text': b'text'})
    assert files.load(folder, 4)[1] == [('b/text', NO_IMAGE)]
    (folder / 'b').rename(folder / 'd')
    assert files.load(folder, 4)[1] == [('d/text', NO_IMAGE)]


def test_renaming_that_changes_order_is_noticed(folder):
    data = encoded(noise())
    fill(folder, {'a': b'text'.ljust(len(data)), 'b': data})
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    assert files.load(folder, 4)[1] == [('a', NO_IMAGE)]
    (folder / 'a').rename(folder / 'c')
    assert files.load(folder, 4)[1] == [('c', NO_IMAGE)]


def test_failed_write_leaves_nothing(folder, cache, tmp_path):
    fill(folder, {f'{i}.png': encoded(noise(100, 100, seed=i)) for i in range(9)})
    limits, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        told = complaint(folder, 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert 'File too large' in told and str(cache) in told
    assert list(cache.iterdir()) == []
    assert len(files.load(folder, 100)[0]) == 9
    shutil.rmtree(tmp_path / 'cache')
    (tmp_path / 'cache').touch()
    told = complaint(folder, 100)
    assert str(cache) in told and '$XDG_CACHE_HOME' in told


@pytest.mark.parametrize('name, content', [
    ('images', b'short'), ('images', b''), ('images', None), ('about.json', None), ('about.json', b'{'), ('about.json', b'[]'),
    ('about.json', b'{"skipped": [[2, ""]]}')])
def test_damaged_cache_is_replaced(folder, cache, name, content):
    fill(folder, {'a.png': encoded(noise(4, 4)), 'b.png': encoded(noise(4, 4, seed=1)), 'c.txt': b'no'})
    made, skipped, _ = files.load(folder, 4)
    whole = made.copy()     # because damaging the file changes the memory-mapped array
    entry, = cache.iterdir()
    (entry / name).unlink() if content is None else (entry / name).write_bytes(content)
    for _ in range(2):
        again = files.load(folder, 4)
        assert numpy.array_equal(again[0], whole) and again[1] == skipped
    assert list(cache.iterdir()) == [entry]


def test_temporary_errors_are_tried_again(folder, monkeypatch):
    fill(folder, {'a.png': encoded(noise(4, 4)), 'b.png': encoded(noise(4, 4, seed=1))})
    square = files.square

    def once_unreadable(*args):
        monkeypatch.setattr(files, 'square', square)
        raise files.Skipped('unreadable (Input/output error)')
    monkeypatch.setattr(files, 'square', once_unreadable)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0})
    assert len(files.load(folder, 4)[1]) == 1
    assert len(files.load(folder, 4)[0]) == 2


def test_lack_of_memory_is_temporary(folder, monkeypatch):
    fill(folder, {'a.png': encoded(noise(4, 4)), 'b.png': encoded(noise(8, 8))})
    crop = Image.Image.crop

    def full(image, box):
        if image.width == 8:
            raise MemoryError
        return crop(image, box)
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, 'crop', full)
        loaded = files.load(folder, 4)
    assert holds(loaded, noise(4, 4)) and loaded[1] == [('b.png', 'unreadable (out of memory)')]
    assert len(files.load(folder, 4)[0]) == 2


@pytest.mark.parametrize('kind', KINDS)
def test_other_files_are_hardly_read(tmp_path, kind):
    path = stored(kind, tmp_path, {'a.png': encoded(noise(4, 4)), 'movie.mp4': b'\0\0\0\x18ftypmp42'.ljust(1 << 26, b'\0')})
    tracemalloc.start()
    skipped = files.load(path, 4)[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert skipped == [('movie.mp4', NO_IMAGE)] and peak < 1 << 24      # xz alone needs half of it


def test_large_images_are_decoded_one_at_a_time(folder, monkeypatch):
    fill(folder, {f'{i}.png': encoded(noise(8, 8, seed=i)) for i in range(4)} | {'small.png': encoded(noise(4, 4))})
    monkeypatch.setattr(files, '_LARGE', 63)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1, 2}, raising=False)
    crop, now, most = Image.Image.crop, [], []

    def watched(image, box):
        now.append(image.width)
        most.append(now.count(8))
        time.sleep(0.02)
        now.remove(image.width)
        return crop(image, box)
    monkeypatch.setattr(Image.Image, 'crop', watched)
    assert len(files.load(folder, 4)[0]) == 5 and max(most) == 1


@pytest.mark.parametrize('kind', KINDS)
def test_size_of_files_is_limited(tmp_path, monkeypatch, kind):
    contents = {'most.png': encoded(noise()).ljust(1000), 'more.png': encoded(noise(seed=1)).ljust(1001)}
    monkeypatch.setattr(sources, '_MOST_BYTES', 1000)
    loaded = files.load(stored(kind, tmp_path, contents), 4)
    assert holds(loaded, noise()) and loaded[1] == [('more.png', 'larger than 1,024 MiB')]


def test_interrupted_load_leaves_no_complete_set(folder, cache, monkeypatch):
    pictures, square, calls = [noise(seed=i) for i in range(20)], files.square, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return square(*args)
    fill(folder, {f'{i}.png': encoded(picture) for i, picture in enumerate(pictures)})
    monkeypatch.setattr(files, 'square', interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.load(folder, 4)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(files, 'square', square)
    assert holds(files.load(folder, 4), *pictures)


KILLED = '''
import itertools, os, signal, sys
from lsgan.datasets import files
square, calls = files.square, itertools.count()
files.square = lambda *args: square(*args) if next(calls) < 10 else os.kill(os.getpid(), signal.SIGKILL)
files.load(sys.argv[1], 4)
'''


def test_killed_load_leaves_no_complete_set(folder, cache):
    pictures = [noise(seed=i) for i in range(20)]
    fill(folder, {f'{i}.png': encoded(picture) for i, picture in enumerate(pictures)})
    killed = subprocess.run([sys.executable, '-c', KILLED, folder], env={**os.environ, 'PYTHONPATH': str(ROOT)}, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    remains, = cache.iterdir()
    assert holds(files.load(folder, 4), *pictures)
    assert remains.exists()         # its process could still be running
    os.utime(remains, times=(time.time() - 90000,) * 2)
    kept = {path.name for path in cache.iterdir()} - {remains.name}
    files.load(folder, 2)
    assert not remains.exists() and len(list(cache.iterdir())) == 2 and kept < {path.name for path in cache.iterdir()}


def test_two_processes_can_make_one_set(folder, cache, monkeypatch):
    square = files.square

    def late(*args):
        monkeypatch.setattr(files, 'square', square)
        assert holds(files.load(folder, 4), noise())
        return square(*args)
    fill(folder, {'a.png': encoded(noise())})
    monkeypatch.setattr(files, 'square', late)
    assert holds(files.load(folder, 4), noise())
    assert len(list(cache.iterdir())) == 1


def test_folder_of_cache(folder, tmp_path, monkeypatch):
    fill(folder, {'a.png': encoded(noise())})
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')
    monkeypatch.chdir(tmp_path)
    assert holds(files.load(pathlib.Path('pictures'), 4), noise())
    assert len(list((tmp_path / 'home' / '.cache' / 'lsgan' / 'images').iterdir())) == 1
    assert not (tmp_path / 'relative').exists()


@pytest.mark.parametrize('name, known', [('white', True), ('Rebeccapurple', True), ('#102030', True), ('#fff', True),
                                         ('whit', False), ('', False), ('#12', False), ('#gggggg', False), ('102030', False),
                                         ('#10203080', False)])
def test_colour_names_are_checked(name, known):
    assert files.is_colour(name) is known
