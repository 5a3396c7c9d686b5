import gzip
import hashlib
import os
import random
import struct
import tracemalloc
import urllib.parse

import numpy
import pytest
from running import idx, serve

from lsgan.datasets import mnist
from lsgan.errors import InputError


def images(n, height=5, width=3, seed=0):
    return numpy.random.RandomState(seed).randint(0, 256, (n, height, width), numpy.uint8)


def labels(n):
    return numpy.arange(n, dtype=numpy.uint8) % 10


def write(folder, before='', end='.gz', test='t10k', **arrays):
    """Write arrays, passed as train_images, test_labels and so on, to idx files with MNIST's names; return the folder."""
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        split, kind = name.split('_')
        path = folder / f'{before}{split.replace("test", test)}-{kind}-idx{array.ndim}-ubyte{end}'
        path.write_bytes(gzip.compress(idx(array)) if end == '.gz' else idx(array))
    return folder


def whole_set(n=6, m=4):
    return {'train_images': images(n), 'train_labels': labels(n), 'test_images': images(m, seed=1), 'test_labels': labels(m)}


def assert_holds(loaded, train_images, train_labels=None, test_images=None, test_labels=None):
    for actual, expected in [(loaded.train, train_images), (loaded.train_labels, train_labels),
                             (loaded.test, test_images), (loaded.test_labels, test_labels)]:
        if expected is None:
            assert actual is None
        else:
            assert actual.dtype == numpy.uint8
            assert numpy.array_equal(actual, expected)


def complaint(call, *args):
    """Return the message of the `InputError` that a call raises. The message must be a single line."""
    with pytest.raises(InputError) as error:
        call(*args)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize('name', ['file', 'file.gz', 'file.png'])
@pytest.mark.parametrize('pack', [bytes, gzip.compress, lambda data: gzip.compress(data[:30]) + gzip.compress(data[30:])])
@pytest.mark.parametrize('array', [labels(7), images(1, 2, 5)[0], images(4), images(0), images(300, 40, 20) // 255])
def test_read_idx_gives_what_is_in_the_file_whatever_its_name(tmp_path, name, pack, array):
    (tmp_path / name).write_bytes(pack(idx(array)))
    actual = mnist.read_idx(tmp_path / name, array.ndim)
    assert actual.dtype == numpy.uint8 and actual.shape == array.shape
    assert numpy.array_equal(actual, array)
    assert numpy.array_equal(mnist.read_idx(str(tmp_path / name), array.ndim), array)


GOOD = idx(images(4))
GZIP = gzip.compress(GOOD)
BAD = {
    'empty': (b'', 'is empty'),
    'a text': (b'P5 28 28 255', '50 35 20 32'),
    'a byte': (b'\0', 'begins with 00,'),
    'three bytes': (b'\0\0\x08', 'begins with 00 00 08,'),
    'another magic': (b'\1' + GOOD[1:], '01 00 08 03'),
    'little endian': (b'\3\x08\0\0' + GOOD[4:], '03 08 00 00'),
    '32-bit floats': (b'\0\0\x0d' + GOOD[3:], '00 00 0d 03'),
    'labels': (idx(labels(20)), 'a 1-dimensional idx file, but a 3-dimensional'),
    'four dimensions': (idx(images(4)[None]), 'a 4-dimensional idx file, but a 3-dimensional'),
    'only a magic': (GOOD[:4], 'header'),
    'half a header': (GOOD[:13], 'header'),
    'only a header': (GOOD[:16], '4 x 5 x 3'),
    'cut short': (GOOD[:-1], '4 x 5 x 3'),
    'too long': (GOOD + b'\0', '4 x 5 x 3 bytes, but more data follow'),
    'absurd sizes': (GOOD[:4] + b'\xff' * 12 + GOOD[16:], '4294967295 x 4294967295 x 4294967295'),
    'absurd and empty': (GOOD[:4] + b'\xff' * 4 + bytes(4) + b'\xff' * 4, 'too big'),
    'large sizes': (GOOD[:4] + struct.pack('>3I', 60_000, 28, 28) + GOOD[16:], '60000 x 28 x 28'),
    'gzip cut in its header': (GZIP[:5], 'gzip'),
    'gzip cut short': (GZIP[:-20], 'gzip'),
    'gzip without its checksum': (GZIP[:-8], 'gzip'),
    'gzip with another checksum': (GZIP[:-8] + b'abcd' + GZIP[-4:], 'gzip'),
    'gzip with damage': (GZIP[:12] + b'\xff\xff\xff\xff' + GZIP[16:], 'gzip'),
    'gzip and more': (GZIP + b'more', 'gzip'),
    'gzip of nothing': (gzip.compress(b''), 'is empty'),
    'gzip of a text': (gzip.compress(b'<html>'), '3c 68 74 6d'),
    'gzip of gzip': (gzip.compress(GZIP), '1f 8b'),
    'gzip of labels': (gzip.compress(idx(labels(20))), '1-dimensional'),
    'gzip of half a header': (gzip.compress(GOOD[:13]), 'header'),
    'gzip of less': (gzip.compress(GOOD[:-7]), 'truncated after 53'),
    'gzip of more': (gzip.compress(GOOD + b'\0'), 'more data follow'),
    'gzip of absurd sizes': (gzip.compress(GOOD[:4] + b'\xff' * 12), '4294967295 x 4294967295 x 4294967295'),
    'gzip of large sizes': (gzip.compress(GOOD[:4] + struct.pack('>3I', 60_000, 28, 28) + GOOD[16:]), '60000 x 28 x 28'),
}


@pytest.mark.parametrize('what', BAD)
def test_read_idx_says_of_a_bad_file_what_was_found_and_takes_no_memory_for_it(tmp_path, what):
    content, words = BAD[what]
    path = tmp_path / 'file'
    path.write_bytes(content)
    tracemalloc.start()
    try:
        message = complaint(mnist.read_idx, path, 3)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert message.startswith(f'{path}: ') and words in message


def test_read_idx_says_where_nothing_is_and_what_is_a_folder(tmp_path):
    assert complaint(mnist.read_idx, tmp_path / 'missing', 3) == f'{tmp_path}/missing: No such file or directory'
    assert complaint(mnist.read_idx, tmp_path, 3) == f'{tmp_path}: Is a directory'


def test_read_idx_reads_any_damaged_file_or_complains_in_one_line(tmp_path):
    choice, path, complaints = random.Random(0), tmp_path / 'file', 0
    for _ in range(300):
        content = bytearray(choice.choice([GOOD, GZIP]))
        for _ in range(choice.randint(1, 3)):
            content[choice.randrange(min(30, len(content)))] = choice.randrange(256)
        path.write_bytes(content[:choice.choice([None, choice.randrange(len(content))])])
        try:
            assert mnist.read_idx(path, 3).ndim == 3
        except InputError as error:
            assert str(error).startswith(str(path)) and '\n' not in str(error)
            complaints += 1
    assert 150 < complaints < 300


@pytest.mark.parametrize('before', ['', 'emnist-letters-', 'my train-'])
@pytest.mark.parametrize('end', ['', '.gz'])
@pytest.mark.parametrize('test', ['t10k', 'test'])
def test_load_reads_the_set_in_a_folder(tmp_path, before, end, test):
    folder = write(tmp_path / 'set', before, end, test, **whole_set())
    for name in 'readme.txt', 'emnist-letters-mapping.txt', '.train-images-idx3-ubyte', 'train-images-idx3-ubyte.gz.part':
        (folder / name).write_bytes(b'something else')
    (folder / 'other-train-images-idx3-ubyte').mkdir()
    assert_holds(mnist.load(folder), **whole_set())
    assert_holds(mnist.load(str(folder)), **whole_set())
    assert_holds(mnist.load(folder / f'{before}train-images-idx3-ubyte{end}'), **whole_set())


def test_load_takes_names_with_a_dot(tmp_path):
    folder = write(tmp_path / 'set', **whole_set())
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace('-idx', '.idx'))
    assert_holds(mnist.load(folder), **whole_set())


@pytest.mark.parametrize('missing', [{'train_labels'}, {'test_labels'}, {'test_images'}, {'test_images', 'test_labels'},
                                     {'train_labels', 'test_images', 'test_labels'}])
def test_load_needs_only_the_training_images(tmp_path, missing):
    arrays = {name: array for name, array in whole_set().items() if name not in missing}
    folder = write(tmp_path / 'set', **arrays)
    if 'test_images' in missing:
        arrays.pop('test_labels', None)
    assert_holds(mnist.load(folder), **arrays)
    assert_holds(mnist.load(folder / 'train-images-idx3-ubyte.gz'), **arrays)


def test_load_reads_a_file_of_another_name_alone(tmp_path, monkeypatch):
    folder = write(tmp_path / 'set', **whole_set())
    (folder / 'digits').write_bytes(idx(images(3)))
    assert_holds(mnist.load(folder / 'digits'), images(3))
    assert_holds(mnist.load(folder / 't10k-images-idx3-ubyte.gz'), whole_set()['test_images'])
    monkeypatch.chdir(folder)
    assert_holds(mnist.load('digits'), images(3))
    assert_holds(mnist.load('train-images-idx3-ubyte.gz'), **whole_set())


def test_load_takes_the_compressed_one_of_a_file_that_is_there_twice(tmp_path):
    folder = write(tmp_path / 'set', **whole_set())
    for path in list(folder.iterdir()):
        path.with_suffix('').write_bytes(b'half unpacked')
    assert_holds(mnist.load(folder), **whole_set())


def test_load_keeps_sets_in_one_folder_apart(tmp_path):
    folder, letters, digits = tmp_path / 'set', whole_set(6), whole_set(9)
    write(folder, 'emnist-letters-', '.gz', 'test', **letters)
    write(folder, 'emnist-digits-', '.gz', 'test', train_images=digits['train_images'])
    names = [str(folder / f'emnist-{name}-train-images-idx3-ubyte.gz') for name in ('digits', 'letters')]
    message = complaint(mnist.load, folder)
    assert message.startswith(f'{folder}: several') and ' or '.join(names) in message
    assert_holds(mnist.load(names[0]), digits['train_images'])
    assert_holds(mnist.load(names[1]), **letters)


@pytest.mark.parametrize('arrays', [{}, {'test_images': images(4), 'test_labels': labels(4)}, {'train_labels': labels(4)}])
def test_load_says_of_a_folder_without_training_images_what_is_looked_for(tmp_path, arrays):
    message = complaint(mnist.load, write(tmp_path / 'set', **arrays))
    assert message.startswith(f'{tmp_path}/set: no training images') and 'train-images-idx3-ubyte.gz' in message


@pytest.mark.parametrize('path', ['missing', 'missing/train-images-idx3-ubyte.gz', 'train-images-idx3-ubyte.gz'])
def test_load_says_what_is_missing(tmp_path, path):
    assert complaint(mnist.load, tmp_path / path).startswith(f'{tmp_path / path}: no such file or folder. Pass --data')


@pytest.mark.parametrize('arrays, words', [
    ({'train_images': images(0)}, ['train-images', 'no images', '0 x 5 x 3']),
    ({'train_images': images(6, 0)}, ['train-images', 'no images', '6 x 0 x 3']),
    ({'test_images': images(0)}, ['t10k-images', 'no images']),
    ({'train_labels': labels(5)}, ['train-labels', '5 labels', '6 images', 'train-images']),
    ({'test_labels': labels(0)}, ['t10k-labels', '0 labels', '4 images', 't10k-images']),
    ({'test_images': images(4, 3, 5)}, ['t10k-images', '3 x 5', 'train-images', '5 x 3']),
])
def test_load_says_which_files_do_not_go_together(tmp_path, arrays, words):
    folder = write(tmp_path / 'set', **whole_set() | arrays)
    for path in folder, folder / 'train-images-idx3-ubyte.gz':
        message = complaint(mnist.load, path)
        assert message.startswith(f'{folder}/{words[0]}') and all(word in message for word in words)


@pytest.mark.parametrize('mirrors', [mnist.MIRRORS, mnist.FASHION_MIRRORS], ids=['MNIST', 'Fashion-MNIST'])
def test_mirrors_are_several_and_not_the_one_that_refuses(mirrors):
    hosts = {urllib.parse.urlsplit(mirror).hostname for mirror in mirrors}
    assert len(hosts) >= 2 and 'yann.lecun.com' not in hosts
    assert all(mirror.startswith('https://') for mirror in mirrors)


@pytest.mark.parametrize('name', list(mnist.SHA256))
def test_load_names_the_file_that_is_damaged(tmp_path, name):
    folder = write(tmp_path / 'set', **whole_set())
    (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    assert complaint(mnist.load, folder).startswith(f'{folder / name}: ')


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Path of the cache of MNIST. A small made-up set stands in for MNIST; the second of two mirrors provides it."""
    offered = write(tmp_path / 'mirror', **whole_set())
    (tmp_path / 'empty').mkdir()
    monkeypatch.setattr(mnist, 'SHA256', {name: hashlib.sha256((offered / name).read_bytes()).hexdigest()
                                          for name in mnist.SHA256})
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '*')
    with serve(tmp_path) as url:
        monkeypatch.setattr(mnist, 'MIRRORS', (f'{url}/empty/', f'{url}/mirror/'))
        yield tmp_path / 'cache' / 'lsgan' / 'mnist'


def test_without_a_path_mnist_is_downloaded_once_into_the_cache(cache, monkeypatch):
    assert_holds(mnist.load(), **whole_set())
    assert sorted(os.listdir(cache)) == sorted(mnist.SHA256)
    (cache / 'mine-train-images-idx3-ubyte').write_bytes(idx(images(2)))
    monkeypatch.setattr(mnist, 'MIRRORS', ())
    assert_holds(mnist.load(), **whole_set())


@pytest.mark.parametrize('base', ['', 'relative', None])
def test_the_cache_is_in_the_home_folder_unless_an_absolute_one_is_given(cache, tmp_path, monkeypatch, base):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('XDG_CACHE_HOME') if base is None else monkeypatch.setenv('XDG_CACHE_HOME', base)
    mnist.load()
    assert len(os.listdir(tmp_path / 'home' / '.cache' / 'lsgan' / 'mnist')) == 4 and not cache.exists()
    assert not (tmp_path / 'relative').exists()


def test_only_what_is_missing_in_the_cache_is_downloaded(cache, tmp_path):
    mnist.load()
    (cache / 't10k-labels-idx1-ubyte.gz').unlink()
    for path in (tmp_path / 'mirror').iterdir():
        if path.name != 't10k-labels-idx1-ubyte.gz':
            path.unlink()
    assert_holds(mnist.load(), **whole_set())


def test_what_cannot_be_downloaded_is_named_with_its_place_and_may_be_put_there(cache, tmp_path):
    name = 't10k-images-idx3-ubyte.gz'
    hidden = (tmp_path / 'mirror' / name).rename(tmp_path / name)
    message = complaint(mnist.load)
    assert name in message and str(cache) in message and '404' in message
    hidden.rename(cache / name)
    assert_holds(mnist.load(), **whole_set())


def test_another_set_in_the_cache_is_not_taken_for_mnist(cache):
    mnist.load()
    write(cache, train_images=images(6, seed=7))
    assert complaint(mnist.load).startswith(f'{cache}/train-images-idx3-ubyte.gz: ')
