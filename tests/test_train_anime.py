"""Run train_anime.py as a user does, on a small folder of drawn faces that also contains broken files."""
import functools
import itertools
import json
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
import running
from PIL import Image
from running import ROOT, arrays, assert_one_line, assert_same_run, metrics_of, same_arrays, settings_of, timeless_log

from lsgan.datasets import files
from lsgan.datasets.faces import FACTORS, Face, draw
from lsgan.datasets.images import fingerprint
from lsgan.errors import InputError

SMALL = ['--size', '32', '--hidden-g', '8', '8', '--hidden-d', '4', '8', '--latent', '8', '--batchsize', '8',
         '--metric-samples', '20']
SHORT = [*SMALL, '--epoch', '3', '--epoch-size', '6', '--log-interval', '3', '--metric-interval', '6',
         '--sample-interval', '6', '--snapshot-interval', '5']


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return {**os.environ, 'XDG_CACHE_HOME': str(tmp_path_factory.mktemp('cache'))}


@pytest.fixture(scope='module')
def train(cache):
    return functools.partial(running.train, script=ROOT / 'train_anime.py', env=cache)


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    """Thirty faces of several sizes in three folders, and four unusable files."""
    folder = tmp_path_factory.mktemp('photographs') / 'mine'
    for i in range(30):
        place = folder / f'album {i % 3}'
        place.mkdir(parents=True, exist_ok=True)
        face = Face(*(of[i % len(of)] for of in FACTORS.values()), x=0.001 * i)
        Image.fromarray(draw(face, 40 + i).transpose(1, 2, 0)).save(place / f'{i}.png')
    (folder / 'notes.txt').write_text('not a picture')
    (folder / 'cut.png').write_bytes((folder / 'album 0' / '27.png').read_bytes()[:700])
    (folder / 'empty.jpg').touch()
    Image.new('RGB', (7, 100)).save(folder / 'thin.png')
    return folder


@pytest.fixture(scope='module')
def run(photographs, train, tmp_path_factory):
    """An uninterrupted run on these images, and its output."""
    folder = tmp_path_factory.mktemp('run') / 'run'
    result = train(*SHORT, '--images', photographs, '--mirror', '-o', folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_broken_files_are_skipped(run, photographs):
    folder, printed = run
    unknown = 'not in an image format that Pillow reads'
    assert f'60 images of {photographs}, mirrored ones included; skipped: 2 {unknown} (' in printed
    assert sorted((folder / 'skipped.txt').read_text().splitlines()) == [
        'cut.png: damaged or truncated', f'empty.jpg: {unknown}', f'notes.txt: {unknown}', 'thin.png: smaller than 8 pixels']
    assert {'config.json', 'log', 'samples', 'snapshot_iter_18', 'generator_iter_18.npz'} <= set(os.listdir(folder))
    assert sorted(os.listdir(folder / 'figures')) == ['curves.png', 'samples.png']
    metrics = metrics_of(folder)
    assert metrics['sliced_wasserstein'] > metrics['sliced_wasserstein_floor'] > 0
    assert {'sliced_wasserstein_32', 'sliced_wasserstein_16', 'diversity', 'nearest_distance'} <= metrics.keys()
    assert metrics['frechet_distance'] > metrics['frechet_distance_floor'] > 0
    assert {name + end for name in ('precision', 'recall', 'chroma', 'near_black', 'near_white') for end in ('', '_real')} <= {
        name for name, value in metrics.items() if 0 <= value <= 1}
    assert 'values_fair' not in metrics


def test_fingerprint_is_recorded(run, photographs, cache, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', cache['XDG_CACHE_HOME'])
    assert json.loads((run[0] / 'config.json').read_text())['data'] == fingerprint(files.load(photographs, 32)[0])


def test_zip_gives_the_same_run(run, photographs, train, tmp_path):
    with zipfile.ZipFile(tmp_path / 'all.zip', 'w') as f:
        for path in sorted(photographs.rglob('*.*')):
            f.write(path, path.relative_to(photographs))
    result = train(*SHORT, '--images', tmp_path / 'all.zip', '--mirror', '-o', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    assert_same_run(run[0], tmp_path / 'run', 18)


def test_tar_gives_the_same_run(run, photographs, train, tmp_path):
    with tarfile.open(tmp_path / 'all.tar.xz', 'w:xz') as file:
        for path in sorted(photographs.rglob('*.*')):
            file.add(path, path.relative_to(photographs))
    result = train(*SHORT, '--images', tmp_path / 'all.tar.xz', '--mirror', '-o', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    assert_same_run(run[0], tmp_path / 'run', 18)


def test_several_paths_form_one_set(run, photographs, train, cache, tmp_path):
    """The paths are given in the order in which their common folder is read."""
    names = ['empty.jpg', 'notes.txt']
    (tmp_path / 'bad').mkdir()
    for name in names:
        shutil.copy(photographs / name, tmp_path / 'bad')
    with tarfile.open(tmp_path / 'one.tar.gz', 'w:gz') as file:
        for path in sorted((photographs / 'album 1').iterdir()):
            file.add(path, path.name)
    with zipfile.ZipFile(tmp_path / 'two', 'w') as file:
        for path in (photographs / 'album 2').iterdir():
            file.write(path, path.name)
    paths = [tmp_path / 'bad', photographs / 'album 0', tmp_path / 'one.tar.gz', tmp_path / 'two']
    folder = tmp_path / 'run'
    result = train(*SHORT, '--images', *paths[:2], '--images', *paths[2:], '--mirror', '--iterations', 8, '-o', folder)
    assert result.returncode == 0, result.stderr
    assert f'60 images of {" and ".join(map(str, paths))}, mirrored ones included; skipped: 2 not in an image' in result.stdout
    assert (folder / 'skipped.txt').read_text().splitlines() == [
        f'{tmp_path}/bad/{name}: not in an image format that Pillow reads' for name in names]
    assert settings_of(folder)['images'] == list(map(str, paths))
    assert train('--resume', folder, cwd=tmp_path).returncode == 0
    assert_same_run(run[0], folder, 18)
    draw_it = functools.partial(running.train, script=ROOT / 'visualize.py', env=cache)
    given = [('--images', path) for path in paths]
    for images in [], [('--images', photographs)], given[1:]:
        result = draw_it('nearest', *itertools.chain(*images), folder)
        assert result.returncode == 0 and not result.stderr
    assert_one_line(draw_it('real', folder, *itertools.chain(*given[:3])), 'not the training data', status=0)


@pytest.fixture(scope='module')
def grey(photographs, tmp_path_factory):
    """The same images in grey, some of them stored as RGB."""
    folder = tmp_path_factory.mktemp('grey') / 'set'
    folder.mkdir()
    for i, path in enumerate(sorted(photographs.glob('*/*.png'))):
        with Image.open(path) as picture:
            picture.convert('L').convert('L' if i % 2 else 'RGB').save(folder / path.name)
    return folder


@pytest.fixture(scope='module')
def grey_run(grey, train, tmp_path_factory):
    """An uninterrupted run on these images, and its output."""
    folder = tmp_path_factory.mktemp('grey run') / 'run'
    result = train(*SHORT, '--images', grey, '-o', folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_grey_images_train_one_channel(grey_run, grey, train, tmp_path):
    folder, printed = grey_run
    assert 'All 30 images are grey: training one channel (--channels 3 trains three)\n' in printed
    settings = settings_of(folder)
    assert (settings['channels'], settings['image_channels']) == ('auto', 1)
    assert arrays(folder / 'generator_iter_18.npz')['steps/1/W'].shape[0] == 1
    assert metrics_of(folder)['sliced_wasserstein'] > metrics_of(folder)['sliced_wasserstein_floor'] > 0
    assert 'frechet_distance' in metrics_of(folder) and 'chroma' not in metrics_of(folder)
    with Image.open(folder / 'samples' / 'iter_00000018.png') as picture:
        grid = np.asarray(picture.convert('RGB')).astype(int)
    assert (grid.max(axis=2) == grid.min(axis=2)).all()
    assert train(*SHORT, '--images', grey, '--iterations', 8, '-o', tmp_path / 'run').returncode == 0
    assert 'All 30' not in train('--resume', tmp_path / 'run').stdout
    assert_same_run(folder, tmp_path / 'run', 18)
    assert train(*SHORT, '--images', grey, '--channels', 1, '-o', tmp_path / 'one').returncode == 0
    assert_same_run(folder, tmp_path / 'one', 18)
    assert_one_line(train('--resume', tmp_path / 'run', '--channels', 3), 'cannot resume', '--channels is auto in that run')


def test_channels_can_be_chosen(grey, photographs, train, tmp_path):
    for path, channels in (grey, 3), (photographs, 1):
        folder = tmp_path / str(channels)
        result = train(*SHORT, '--images', path, '--channels', channels, '--iterations', 1, '-o', folder)
        assert result.returncode == 0 and 'All 30' not in result.stdout
        assert ('in grey (--channels 1)' in result.stdout) == (channels == 1)
        assert settings_of(folder)['image_channels'] == channels
        assert arrays(folder / 'generator_iter_1.npz')['steps/1/W'].shape[0] == channels


def test_grey_run_is_drawn_and_exported_in_grey(grey_run, grey, cache, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(grey_run[0], folder)
    draw_it = functools.partial(running.train, script=ROOT / 'visualize.py', env=cache)
    result = draw_it('all', folder)
    assert result.returncode == 0 and 'left out' not in result.stdout, result.stdout
    for name in 'real', 'nearest', 'samples', 'numbers', 'corners':
        with Image.open(folder / 'figures' / f'{name}.png') as picture:
            grid = np.asarray(picture.convert('RGB'))
        assert (grid == grid[..., :1]).all() and len(np.unique(grid)) > 20
    assert 'nearest_distance' in draw_it('score', folder).stdout
    config = json.loads((folder / 'config.json').read_text())
    config['settings']['images'] = [str(tmp_path / 'away')]
    (folder / 'config.json').write_text(json.dumps(config))
    for command in 'samples', 'analogy', 'animation', 'curves':
        assert draw_it(command, folder).returncode == 0
    assert draw_it('export', folder, '-n', 5, '-o', tmp_path / 'samples.npz').returncode == 0
    exported = arrays(tmp_path / 'samples.npz')['arr_0']
    assert exported.shape == (5, 32, 32, 1) and exported.dtype == np.uint8
    assert draw_it('export', folder, '-n', 5, '--format', 'png', '-o', tmp_path / 'samples').returncode == 0
    with Image.open(tmp_path / 'samples' / '00003.png') as picture:
        assert picture.mode == 'L' and np.array_equal(np.asarray(picture), exported[3, :, :, 0])


def test_init_from_needs_equal_channels(grey_run, grey, photographs, train, tmp_path):
    flags = [*SHORT, '--iterations', 1, '--init-from', grey_run[0]]
    assert train(*flags, '--images', grey, '-o', tmp_path / 'a').returncode == 0
    assert train(*flags, '--images', photographs, '--channels', 1, '-o', tmp_path / 'b').returncode == 0
    assert_one_line(train(*flags, '--images', photographs, '-o', tmp_path / 'c'), '--init-from', 'another network')


def test_run_from_before_channels_resumes(grey, train, cache, tmp_path):
    """Such a run was always RGB and had one path."""
    def aged(settings):
        return {name: value for name, value in settings.items() if name not in ('channels', 'image_channels')} | {
            'images': settings['images'][0]}
    folder, whole = tmp_path / 'run', tmp_path / 'whole'
    assert train(*SHORT, '--images', grey, '--channels', 3, '-o', whole).returncode == 0
    assert train(*SHORT, '--images', grey, '--channels', 3, '--iterations', 8, '-o', folder).returncode == 0
    config = json.loads((folder / 'config.json').read_text())
    config['settings'] = aged(config['settings'])
    (folder / 'config.json').write_text(json.dumps(config))
    for path in folder.glob('snapshot_iter_*'):
        state = arrays(path)
        state['lsgan/settings'] = np.array(json.dumps(aged(json.loads(str(state['lsgan/settings'])))))
        with open(path, 'wb') as file:
            np.savez(file, **state)
    for command in 'nearest', 'score':
        result = running.train(command, folder, script=ROOT / 'visualize.py', env=cache)
        assert result.returncode == 0 and not result.stderr
    result = train('--resume', folder)
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert_same_run(whole, folder, 18)
    assert {name: settings_of(folder)[name] for name in ('images', 'channels', 'image_channels')} == {
        'images': [str(grey)], 'channels': 'auto', 'image_channels': 3}


@pytest.mark.parametrize('upsample', ['deconv', 'pixelshuffle', 'resize'])
def test_networks_have_the_channels_that_were_decided(upsample, grey, photographs, cache, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv('XDG_CACHE_HOME', cache['XDG_CACHE_HOME'])
    import train_anime
    from lsgan.training import flags
    for paths, channels, expected in [([grey], 'auto', 1), ([grey, photographs], 'auto', 3), ([photographs], '1', 1),
                                      ([], None, 3)]:
        given = {'images': list(map(str, paths)), 'channels': channels} if paths else {}
        settings = flags.resolve('anime', {'size': 32, 'upsample': upsample, **given}, train_anime.PRESETS)
        made = train_anime.build(settings)
        assert settings['image_channels'] == expected
        images = made.generator(np.zeros((2, made.latent_size), np.float32))
        assert images.shape == (2, expected, 32, 32) and made.discriminator(images).shape == (2, 1)
        if paths:
            assert made.data.images.shape == (30 * len(paths), expected, 32, 32)


def test_resuming_is_exact(run, photographs, train, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--images', photographs, '--mirror', '--iterations', 8, '-o', folder).returncode == 0
    assert train('--resume', folder, cwd=tmp_path).returncode == 0
    assert_same_run(run[0], folder, 18)
    assert (folder / 'skipped.txt').read_bytes() == (run[0] / 'skipped.txt').read_bytes()


@pytest.mark.parametrize('flags', [
    ['--upsample', 'pixelshuffle', '--lr-steps', 1, 0.5, 2, 0.1],
    ['--upsample', 'resize', '--loss', 'wgan', '--n-critic', 2, '--clip-gradient', 0.5],
    ['--loss', 'gan', '--noise', 0.3],
], ids=['pixelshuffle', 'wgan', 'gan'])
def test_resuming_with_other_settings_is_exact(flags, photographs, train, tmp_path):
    flags = [*SHORT, '--images', photographs, '--metric-interval', '99', *flags]
    result = train(*flags, '-o', tmp_path / 'whole')
    assert result.returncode == 0, result.stderr
    assert train(*flags, '--iterations', 7, '-o', tmp_path / 'run').returncode == 0
    assert train('--resume', tmp_path / 'run').returncode == 0
    assert_same_run(tmp_path / 'whole', tmp_path / 'run', 18)


def test_evaluation_does_not_change_training(run, photographs, train, tmp_path):
    never = ['--log-interval', 100, '--metric-interval', 100, '--sample-interval', 100]
    assert train(*SHORT, '--images', photographs, '--mirror', *never, '-o', tmp_path / 'run').returncode == 0
    assert same_arrays(run[0] / 'generator_iter_18.npz', tmp_path / 'run' / 'generator_iter_18.npz')


def test_init_from_other_run(run, photographs, train, tmp_path):
    flags = [*SMALL, '--images', photographs, '--mirror', '--epoch', '1', '--epoch-size', '1', '--lr-g', '1e-30',
             '--lr-d', '1e-30', '--average', 0, '--init-from', run[0], '-o', tmp_path / 'run']
    assert train(*flags).returncode == 0
    saved, begun = arrays(run[0] / 'snapshot_iter_18'), arrays(tmp_path / 'run' / 'snapshot_iter_1')
    for name in 'generator/first/W', 'generator/steps/0/W', 'discriminator/last/W':
        assert np.array_equal(saved[f'updater/model:{name}'], begun[f'updater/model:{name}'])
    assert_one_line(train(*SMALL, '--latent', 9, '--images', photographs, '--init-from', run[0], '-o', tmp_path / 'other'),
                    '--init-from', 'generator')
    assert_one_line(train(*SMALL, '--images', photographs, '--init-from', tmp_path / 'no', '-o', tmp_path / 'other'), 'no')
    assert not (tmp_path / 'other').exists()


def test_learning_rate_steps_and_gradient_clipping(photographs, train, tmp_path):
    """Use gradient descent, because each of its steps is the learning rate times the gradient."""
    flags = [*SMALL, '--images', photographs, '--epoch', 4, '--epoch-size', 1, '--snapshot-interval', 1, '--keep', 9,
             '--optimizer', 'sgd', '--lr-g', 0.01, '--lr-d', 0.02, '--lr-decay', 0, '--average', 0]
    assert train(*flags, '--clip-gradient', 1e-3, '--lr-steps', 2, 0.5, 3, 0, '-o', tmp_path / 'run').returncode == 0
    weights = [arrays(tmp_path / 'run' / f'snapshot_iter_{i}') for i in range(1, 5)]

    def moved(net, a, b):
        return sum(((b[key].astype(np.float64) - a[key]) ** 2).sum() for key in a
                   if key.startswith(f'updater/model:{net}') and 'avg_' not in key and not key.endswith('/N')) ** 0.5
    for net, rate in ('generator', 0.01), ('discriminator', 0.02):
        lengths = [moved(net, a, b) for a, b in zip(weights, weights[1:])]
        assert lengths == pytest.approx([rate * 1e-3, 0.5 * rate * 1e-3, 0], rel=0.05, abs=1e-9)


def test_run_folder_among_images_is_ignored(photographs, train, tmp_path):
    folder = tmp_path / 'mine'
    shutil.copytree(photographs, folder)
    flags = [*SHORT, '--images', folder, '-o', folder / 'album 0' / 'run']
    assert train(*flags, '--iterations', 6).returncode == 0
    result = train('--resume', folder / 'album 0' / 'run', '--iterations', 7)
    assert result.returncode == 0, result.stderr
    assert '30 images' in result.stdout and '1 run folder' in result.stdout
    result = train(*SHORT, '--images', folder, '--iterations', 1, '-o', folder / 'other')
    assert '30 images' in result.stdout
    assert 'album 0/run: run folder' in (folder / 'other' / 'skipped.txt').read_text().splitlines()


def test_drawn_faces_need_no_images(train, tmp_path):
    result = train(*SMALL, '--iterations', 1, '-o', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    metrics = metrics_of(tmp_path / 'run')
    assert metrics['values_total'] == sum(map(len, FACTORS.values()))
    assert metrics['values_fair'] == sum(metrics[f'{name}_values'] for name in FACTORS)
    assert not (tmp_path / 'run' / 'skipped.txt').exists()


@pytest.mark.parametrize('preset, average, batchsize', [('default', 0.999, 64), ('blog', 0, 128), ('cifar', 0, 64)])
def test_presets_see_as_many_images_with_every_loss(preset, average, batchsize, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    import train_anime
    from lsgan.training import flags
    runs = [flags.resolve('anime', {'preset': preset, 'loss': loss}, train_anime.PRESETS) for loss in ('lsgan', 'gan', 'wgan')]
    for settings in runs:
        assert (settings['average'], settings['batchsize']) == (average, batchsize)
        assert settings['sample_interval'] % settings['epoch_size'] == 0
    seen = [s['epoch_size'] * s['n_critic'] for s in runs]
    assert len(set(seen)) == 1
    assert len({s['epoch'] for s in runs}) == 1


def test_sweep_accepts_run_from_before_channels(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    import train_anime
    from lsgan.training import flags, snapshot
    saved = snapshot.read_settings(ROOT / 'results' / 'anime' / 'pretrained')
    assert saved['image_channels'] == 3
    assert 'channels' not in snapshot.contradictions(flags.resolve('anime', {}, train_anime.PRESETS), saved)


def test_networks_follow_presets(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    import train_anime
    from lsgan.training import flags

    def shapes(preset):
        made = train_anime.build(flags.resolve('anime', {'preset': preset}, train_anime.PRESETS))
        return [{name: p.shape for name, p in link.namedparams()} for link in (made.generator, made.discriminator)]
    generator, discriminator = shapes('blog')
    assert generator['/first/W'] == (512 * 6 * 6, 50) and generator['/norms/2/gamma'] == (64,)
    assert generator['/first_norm/gamma'] == (512 * 6 * 6,)
    assert [generator[f'/steps/{i}/W'][:2] for i in range(4)] == [(512, 256), (256, 128), (128, 64), (64, 3)]
    assert [discriminator[f'/steps/{i}/W'][0] for i in range(4)] == [32, 64, 128, 256]
    assert discriminator['/norms/0/gamma'] == (32,) and discriminator['/last/W'] == (1, 256 * 6 * 6)
    generator, discriminator = shapes('cifar')
    assert generator['/first/W'] == (256 * 4 * 4, 1024) and generator['/steps/2/W'] == (64, 3, 4, 4)
    assert generator['/first_norm/gamma'] == (256,) and '/norms/0/gamma' not in discriminator
    assert discriminator['/norms/1/gamma'] == (128,) and discriminator['/last/W'] == (1, 512 * 2 * 2)


CRITIC = {'optimizer': 'rmsprop', 'lr_g': 5e-5, 'lr_d': 5e-5, 'n_critic': 5, 'clip': 0.01}
PUBLISHED = {
    'blog': {'size': 96, 'latent': 50, 'latent_distribution': 'uniform', 'init': 'normal', 'init_std': 0.01,
             'activation_g': 'relu', 'activation_d': 'leaky_relu', 'upsample': 'deconv', 'scheme': 'binary', 'noise': 0,
             'lr_decay': 0, 'lr_steps': [], 'clip_gradient': 0},
    'cifar': {'size': 32, 'latent': 1024, 'latent_distribution': 'uniform', 'init': 'lecun',
              'activation_g': 'relu', 'activation_d': 'leaky_relu', 'upsample': 'deconv', 'scheme': 'binary', 'noise': 0,
              'lr_decay': 0, 'lr_steps': [], 'clip_gradient': 0},
}


@pytest.mark.parametrize('preset, loss, optimization', [
    ('blog', 'lsgan', {'optimizer': 'adam', 'lr_g': 1e-4, 'lr_d': 1e-4, 'beta1': 0.5, 'n_critic': 1, 'epoch_size': 500}),
    ('blog', 'wgan', {**CRITIC, 'epoch_size': 100}), ('default', 'wgan', CRITIC),
    ('cifar', 'lsgan', {'optimizer': 'rmsprop', 'lr_g': 1e-3, 'lr_d': 1e-3, 'n_critic': 1}), ('cifar', 'wgan', CRITIC)])
def test_presets_have_published_numbers(preset, loss, optimization, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    import train_anime
    from lsgan.training import flags
    settings = flags.resolve('anime', {'preset': preset, 'loss': loss}, train_anime.PRESETS)
    wanted = {**PUBLISHED.get(preset, {}), **optimization}
    assert {name: settings[name] for name in wanted} == wanted


@pytest.mark.parametrize('size', [16, 31, 40, 257, 272])
def test_impossible_sizes_are_refused(size, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    import train_anime
    parser = train_anime.make_parser()
    with pytest.raises(InputError, match=f"--size: '{size}' is not a multiple of 16 from 32 to 256"):
        parser.parse_args(['--size', str(size)])
    assert [parser.parse_args(['--size', str(least)]).size for least in (32, 48, 256)] == [32, 48, 256]


def test_wrong_input_is_one_line(photographs, train, tmp_path):
    (tmp_path / 'none').mkdir()
    (tmp_path / 'few').mkdir()
    shutil.copy(photographs / 'album 0' / '0.png', tmp_path / 'few' / '0.png')
    shutil.copytree(tmp_path / 'few', tmp_path / 'same')
    shutil.copy(tmp_path / 'few' / '0.png', tmp_path / 'same' / '1.png')
    (tmp_path / 'broken.zip').write_bytes(b'PK\3\4 no zip')
    with tarfile.open(tmp_path / 'whole.tar.gz', 'w:gz') as file:
        file.add(photographs, 'mine')
    (tmp_path / 'cut.tar.gz').write_bytes((tmp_path / 'whole.tar.gz').read_bytes()[:20000])
    for flags, words in [
        (['--images', tmp_path / 'gone'], ['gone', 'No such file']),
        (['--images', tmp_path / 'none'], ['none', 'no usable image']),
        (['--images', tmp_path / 'broken.zip'], ['broken.zip', 'zip']),
        (['--images', photographs / 'notes.txt'], ['notes.txt', 'zip']),
        (['--images', tmp_path / 'few'], ['few', 'only one image']),
        (['--images', tmp_path / 'same'], ['same', 'copies']),
        (['--images', photographs, '--batchsize', 31], ['30 images of', '--batchsize 30', 'skipped: 2 not in an image']),
        (['--batchsize', 10001], ['10000 images of drawn faces', '--batchsize 10000']),
        (['--images', ''], ['empty']),
        (['--images', photographs, '--background', 'whitish'], ['whitish', 'colour']),
        (['--background', 'red'], ['--background', '--images']),
        (['--channels', 1], ['--channels', '--images']),
        (['--images', photographs, '--channels', 2], ['--channels', '2']),
        (['--images', photographs, tmp_path / 'gone'], ['gone', 'No such file', 'Pass a folder']),
        (['--images', photographs, tmp_path / 'cut.tar.gz'], ['cut.tar.gz', 'truncated or damaged', 'Download']),
        (['--images', photographs, '--hidden-g', 4, 4, 4, 4, 4, 4], ['--hidden-g', '6 times']),
        (['--images', photographs, '--lr-steps', 3], ['--lr-steps', 'pairs']),
        (['--images', photographs, '--lr-steps', 3, 0.5, 2, 0.1], ['--lr-steps', 'rising']),
        (['--images', photographs, '--lr-steps', 3, 0.5, '--lr-decay', 0.5], ['--lr-steps', '--lr-decay']),
    ]:
        assert_one_line(train(*SMALL, *flags, '-o', tmp_path / 'run'), *words)
        assert not (tmp_path / 'run').exists()


def test_missing_images_stop_resuming_but_not_drawing(run, photographs, train, cache, tmp_path):
    folder, moved = tmp_path / 'run', tmp_path / 'moved'
    shutil.copytree(run[0], folder)
    config = json.loads((folder / 'config.json').read_text())
    config['settings']['images'] = str(tmp_path / 'away')
    (folder / 'config.json').write_text(json.dumps(config))
    draw_it = functools.partial(running.train, script=ROOT / 'visualize.py', env=cache)
    for command in 'samples', 'analogy', 'animation', 'curves':
        assert draw_it(command, folder).returncode == 0
    shutil.copytree(photographs, moved)
    for command in 'real', 'nearest', 'score':
        assert_one_line(draw_it(command, folder), 'away', '--images')
    for command in 'nearest', 'score', 'all':
        result = draw_it(command, folder, '--images', moved)
        assert result.returncode == 0 and not result.stderr
    Image.new('RGB', (40, 40), 'red').save(moved / 'one more.png')
    for command in 'real', 'nearest', 'score', 'all':
        result = draw_it(command, folder, '--images', moved)
        assert_one_line(result, 'note', 'not the training data', status=0)
        assert result.stdout
    assert not draw_it('samples', folder).stderr
    result = draw_it('all', folder)
    assert result.returncode == 0 and 'left out: nearest.png' in result.stdout and 'samples.png' in result.stdout


def test_resuming_needs_the_same_images(photographs, train, tmp_path):
    here, there, folder = tmp_path / 'here', tmp_path / 'there', tmp_path / 'run'
    shutil.copytree(photographs, here)
    flags = [*SHORT, '--images', here]
    assert train(*flags, '-o', tmp_path / 'whole').returncode == 0
    assert train(*flags, '--iterations', 7, '-o', folder).returncode == 0
    here.rename(there)
    (there / 'album 0' / '27.png').rename(tmp_path / '27.png')
    assert_one_line(train('--resume', folder), 'here', 'No such file')
    assert_one_line(train('--resume', folder, '--images', there), 'cannot resume', 'the data are not')
    (tmp_path / 'one').mkdir()
    for name in '0.png', '27.png':
        shutil.copy(next(tmp_path.rglob(name)), tmp_path / 'one' / name)
    # not that there are fewer than a batch
    assert_one_line(train('--resume', folder, '--images', tmp_path / 'one'), 'cannot resume', 'the data are not')
    (tmp_path / '27.png').rename(there / 'album 0' / '27.png')
    assert train('--resume', folder, '--images', there).returncode == 0
    assert_same_run(tmp_path / 'whole', folder, 18)


def test_comparison_of_losses_at_epochs(run, photographs, train, cache, tmp_path):
    """The runs have different numbers of updates per epoch, and one was stopped within an epoch."""
    runs = [run[0], tmp_path / 'gan', tmp_path / 'wgan']
    flags = [*SMALL, '--images', photographs]
    assert train(*flags, '--loss', 'gan', '--epoch', 2, '--epoch-size', 6, '-o', runs[1]).returncode == 0
    assert train(*flags, '--loss', 'wgan', '--epoch-size', 2, '--iterations', 3, '-o', runs[2]).returncode == 0
    draw_it = functools.partial(running.train, script=ROOT / 'visualize.py', env=cache)
    assert draw_it('compare', *runs, '--epochs', 1, 'end', '-o', tmp_path / 'sheet.png').returncode == 0
    with Image.open(tmp_path / 'sheet.png') as picture:
        sheet = np.asarray(picture)
    cells = [cell for row in np.split(sheet[44:], 2) for cell in np.split(row, 3, axis=1)]
    assert all((heading < 128).any() for heading in np.split(sheet[:44], 3, axis=1))
    for cell, folder, iteration in zip(cells, 2 * runs, (6, 6, 2, 18, 12, 3)):
        with Image.open(folder / 'samples' / f'iter_{iteration:08}.png') as picture:
            assert np.array_equal(cell, np.asarray(picture.convert('RGB')))
    named = draw_it('compare', *runs, '--epochs', 1, 'end', '--labels', 'a', 'b', 'c', '-o', tmp_path / 'named.png')
    assert named.returncode == 0
    with Image.open(tmp_path / 'named.png') as picture:
        assert (np.asarray(picture) != sheet).any(axis=(1, 2)).nonzero()[0].max() < 44
    assert_one_line(draw_it('compare', *runs, '--epochs', 1, '--labels', 'a', 'b'), '--labels', '3')
    assert_one_line(draw_it('compare', *runs, '--epochs', 1, '--labels', 'a', 'b', 'c', '--columns', 2), '--columns')
    assert_one_line(draw_it('compare', *runs, '--epochs', 9), 'epoch 9')
    assert_one_line(draw_it('compare', *runs, '--epochs', 'last'), '--epochs', "'last'", 'or end')
    assert_one_line(draw_it('compare', *runs, '--epochs', 1, '-n', 5), '--samples')


def test_seed_determines_run(run, photographs, train, tmp_path):
    for seed in 0, 1:
        assert train(*SHORT, '--images', photographs, '--mirror', '--seed', seed, '-o', tmp_path / str(seed)).returncode == 0
    assert timeless_log(tmp_path / '0') == timeless_log(run[0]) != timeless_log(tmp_path / '1')


def test_unusable_cache_is_one_line(photographs, tmp_path):
    (tmp_path / 'cache').mkdir()
    (tmp_path / 'cache' / 'lsgan').touch()
    for flags in ['--images', photographs], []:
        result = running.train(*SMALL, *flags, '-o', tmp_path / 'run', script=ROOT / 'train_anime.py',
                               env={**os.environ, 'XDG_CACHE_HOME': str(tmp_path / 'cache')})
        assert_one_line(result, str(tmp_path / 'cache' / 'lsgan'), '$XDG_CACHE_HOME')
    assert not (tmp_path / 'run').exists()


def test_help_teaches(train):
    text = train('--help').stdout
    for flag in '--images', '--size', '--mirror', '--upsample', '--lr-steps', '--clip-gradient', '--init-from', 'cifar':
        assert flag in text
    assert text.count('(default:') > 35
    assert '49 0.5 99 0.1 149 0.05 199 0.01' in ' '.join(text.split())
