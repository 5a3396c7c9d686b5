import gzip
import hashlib
import os
import pathlib

import chainer
import numpy
import pytest
from running import idx, serve

from lsgan.datasets import mnist
from lsgan.errors import InputError

SETS = {'mnist': (chainer.datasets.get_mnist, ''), 'fashion-mnist': (chainer.datasets.get_fashion_mnist, 'FASHION_')}
NAMES = {(split, kind): f'{split}-{kind}-idx{dimensions}-ubyte.gz'
         for split in ('train', 't10k') for kind, dimensions in (('images', 3), ('labels', 1))}


def arrays(split):
    """Three images and their labels."""
    rng = numpy.random.default_rng(len(split))
    return {'images': rng.integers(0, 256, (3, 28, 28), 'uint8'), 'labels': rng.integers(0, 10, 3, 'uint8')}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The root of Chainer's cache. The second mirror of each set provides small files with the names of the real ones."""
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(chainer.dataset.download, '_dataset_root', str(tmp_path / 'cache'))
    (tmp_path / 'mirror').mkdir()
    for (split, kind), name in NAMES.items():
        (tmp_path / 'mirror' / name).write_bytes(gzip.compress(idx(arrays(split)[kind])))
    with serve(tmp_path) as url:
        for _, prefix in SETS.values():
            monkeypatch.setattr(mnist, f'{prefix}MIRRORS', (f'{url}/empty/', f'{url}/mirror/'))
            monkeypatch.setattr(mnist, f'{prefix}SHA256', {
                name: hashlib.sha256((tmp_path / 'mirror' / name).read_bytes()).hexdigest() for name in NAMES.values()})
        yield tmp_path / 'cache'


@pytest.mark.parametrize('name', SETS)
def test_chainer_downloads_the_set_from_a_mirror_into_its_own_cache_once(root, capsys, name):
    get, _ = SETS[name]
    for _ in range(2):
        for part, split in zip(get(ndim=3), ('train', 't10k')):
            x, t = chainer.dataset.concat_examples(part)
            assert numpy.array_equal(x, arrays(split)['images'][:, None].astype('float32') * numpy.float32(1 / 255))
            assert numpy.array_equal(t, arrays(split)['labels'])
        written = capsys.readouterr().err
        for path in root.parent.joinpath('mirror').iterdir():
            path.unlink()           # the second call must not need them
    assert not written
    assert set(os.listdir(root / 'pfnet' / 'chainer' / name)) == {'train.npz', 'test.npz', *NAMES.values()}


def test_the_message_names_the_file_and_not_the_address_that_is_gone(root, capsys):
    chainer.datasets.get_mnist()
    written = capsys.readouterr().err
    assert all(f'Downloading {name} to {root}' in written for name in NAMES.values()) and 'lecun' not in written


def test_a_file_that_no_mirror_has_may_be_put_into_the_cache(root):
    name = NAMES['train', 'labels']
    file = root.parent / 'mirror' / name
    hidden = file.rename(root.parent / name)
    with pytest.raises(InputError) as error:
        chainer.datasets.get_fashion_mnist()
    place = root / 'pfnet' / 'chainer' / 'fashion-mnist'
    assert f'put the file into {place} yourself' in str(error.value)
    hidden.rename(place / name)
    assert len(chainer.datasets.get_fashion_mnist()[0]) == 3


def test_what_chainer_cached_itself_is_used(root):
    for split, kind in NAMES:
        url = f'http://yann.lecun.com/exdb/mnist/{NAMES[split, kind]}'
        cached = root / '_dl_cache' / hashlib.md5(url.encode()).hexdigest()
        cached.parent.mkdir(parents=True, exist_ok=True)
        (root.parent / 'mirror' / NAMES[split, kind]).rename(cached)
        assert chainer.dataset.cached_download(url) == str(cached)
    assert len(chainer.datasets.get_mnist()[1]) == 3


def test_other_addresses_are_downloaded_as_ever(root, tmp_path, capsys):
    (tmp_path / 'some').write_text('thing')
    with serve(tmp_path) as url:
        path = pathlib.Path(chainer.dataset.cached_download(f'{url}/some'))
    assert path.read_text() == 'thing' and path.parent == root / '_dl_cache'
    assert capsys.readouterr().err == f'Downloading from {url}/some...\n'
