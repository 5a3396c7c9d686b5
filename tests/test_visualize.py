"""Tests of visualize.py, started in another folder than the repository."""
import base64
import importlib.util
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from running import write_images

from lsgan.datasets.images import to_bytes
from lsgan.datasets.mnist import load
from lsgan.networks.judge import Judge
from lsgan.npz import save_weights
from lsgan.random import analogy, between, mean
from lsgan.training.explorer import Explorer, principal_directions
from lsgan.training.folder import RunFolder

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHORT = ['--iterations', '40', '--epoch', '1', '--epoch-size', '40', '--log-interval', '20', '--metric-interval', '20',
         '--sample-interval', '20', '--hidden-g', '16', '--hidden-d', '16', '--latent', '8', '--batchsize', '16']
MNIST = ['--network', 'mlp', '--hidden-g', '16', '--hidden-d', '16', '--latent', '8', '--batchsize', '16', '--epoch', '2',
         '--epoch-size', '10', '--log-interval', '5', '--metric-interval', '20', '--sample-interval', '10',
         '--snapshot-interval', '20', '--init-std', '0.5', '0.02']       # so that samples differ


def call(script, *args, cwd):
    """Run a script as a user does."""
    return subprocess.run([sys.executable, str(ROOT / script), *map(str, args)], capture_output=True, text=True, cwd=cwd,
                          timeout=120, check=False)


@pytest.fixture(scope='module')
def script():
    spec = importlib.util.spec_from_file_location('visualize', ROOT / 'visualize.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def visualize(script, tmp_path, monkeypatch, capsys):
    """A function that runs visualize.py in `tmp_path`, but in this process, to save time."""
    monkeypatch.chdir(tmp_path)

    def visualize(*args):
        status = script.main([*map(str, args)])
        return subprocess.CompletedProcess(args, status, *capsys.readouterr())
    return visualize


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A finished run and its output."""
    folder = tmp_path_factory.mktemp('runs') / 'lsgan'
    result = call('train_gaussian.py', *SHORT, '-o', folder, cwd=folder.parent)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the finished run without its pictures. Tests may change it."""
    folder = tmp_path / 'run'
    shutil.copytree(trained[0], folder)
    shutil.rmtree(folder / 'figures')
    return folder


@pytest.fixture(scope='module')
def trained_on_images(tmp_path_factory):
    """A finished run on images of noise and its output."""
    folder = tmp_path_factory.mktemp('images') / 'run'
    result = call('train_mnist.py', *MNIST, '--data', write_images(folder.parent / 'data'), '-o', folder, cwd=folder.parent)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.fixture
def digits(trained_on_images, tmp_path):
    """A copy of that run without its pictures."""
    folder = tmp_path / 'digits'
    shutil.copytree(trained_on_images[0], folder, ignore=shutil.ignore_patterns('figures'))
    return folder


@pytest.fixture
def bare(trained, tmp_path):
    """A folder that holds only the settings and the weights of the finished run."""
    folder = tmp_path / 'bare'
    folder.mkdir()
    for name in 'config.json', 'generator_iter_40.npz':
        shutil.copy(trained[0] / name, folder)
    return folder


def edit_config(folder, **settings):
    config = json.loads((folder / 'config.json').read_text())
    config['settings'].update(settings)
    (folder / 'config.json').write_text(json.dumps(config))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))


def assert_drawn(result, *paths, folder=pathlib.Path()):
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.splitlines() == [f'drawn: {path}' for path in paths]
    for path in paths:
        with Image.open(folder / path) as image:
            assert min(image.size) >= 400


def assert_one_line(result, *words):
    assert result.returncode == 2 and not result.stdout
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_training_draws_main_pictures(trained, run, tmp_path):
    folder, printed = trained
    assert names(folder / 'figures') == ['curves.png', 'density.png', 'scatter.png']
    for name in names(folder / 'figures'):
        assert f'drawn: {folder / "figures" / name}' in printed
    figures = run / 'figures'
    drawn = [f'run/figures/{name}' for name in ('scatter.png', 'density.png', 'curves.png', 'animation.gif')]
    assert_drawn(call('visualize.py', 'all', 'run', cwd=tmp_path), *drawn, folder=tmp_path)
    for name in names(folder / 'figures'):
        assert (pixels(figures / name) == pixels(folder / 'figures' / name)).all()
    with Image.open(figures / 'animation.gif') as image:
        assert image.n_frames == len(names(run / 'samples'))


@pytest.mark.parametrize('command', ['scatter', 'density', 'curves'])
def test_one_picture_of_one_run(run, visualize, command):
    assert_drawn(visualize(command, run), run / 'figures' / f'{command}.png')
    assert names(run / 'figures') == [f'{command}.png']


def test_number_and_seed_of_samples(bare, tmp_path, visualize):
    flags = {'run': [], 'same': ['--seed', 0], 'other': ['--seed', 1], 'few': ['-n', 20]}
    for name, given in flags.items():
        assert_drawn(visualize('scatter', bare, '-o', tmp_path / f'{name}.png', *given), tmp_path / f'{name}.png')
    drawn = {name: pixels(tmp_path / f'{name}.png') for name in flags}
    assert (drawn['run'] == drawn['same']).all() and (drawn['run'] != drawn['other']).any()
    whites = {name: (picture == 255).all(axis=2).sum() for name, picture in drawn.items()}
    assert whites['few'] > whites['run'] + 1000
    assert names(bare) == ['config.json', 'generator_iter_40.npz']


def test_newest_weights_are_drawn(bare, tmp_path, visualize):
    with np.load(bare / 'generator_iter_40.npz') as f:
        np.savez(bare / 'generator_iter_100.npz', **{key: 0 * f[key] for key in f.files})
    assert_drawn(visualize('scatter', bare, '-o', tmp_path / 'new.png'), tmp_path / 'new.png')
    (bare / 'generator_iter_100.npz').unlink()
    assert_drawn(visualize('scatter', bare, '-o', tmp_path / 'old.png'), tmp_path / 'old.png')
    assert (pixels(tmp_path / 'new.png') != pixels(tmp_path / 'old.png')).any()


def test_samples_need_only_settings_and_weights(bare, visualize):
    result = visualize('all', bare)
    assert result.returncode == 0 and not result.stderr
    assert names(bare / 'figures') == ['density.png', 'scatter.png']
    drawn, left_out = (sorted(line for line in result.stdout.splitlines() if line.startswith(start))
                       for start in ('drawn: ', 'left out: '))
    assert len(drawn) == 2 and len(left_out) == 2
    assert 'animation.gif' in left_out[0] and str(bare / 'samples') in left_out[0]
    assert 'curves.png' in left_out[1] and str(bare / 'log') in left_out[1]
    assert_one_line(visualize('curves', bare), str(bare / 'log'))
    assert_one_line(visualize('animation', bare), str(bare / 'samples'))


def test_curves_need_no_weights(run, visualize):
    (run / 'generator_iter_40.npz').unlink()
    result = visualize('all', run)
    assert result.returncode == 0 and result.stdout.count('left out: ') == 2 and 'generator_iter_N.npz' in result.stdout
    assert names(run / 'figures') == ['animation.gif', 'curves.png']


def test_several_runs_in_one_picture(run, tmp_path, visualize):
    other = tmp_path / 'other'
    shutil.copytree(run, other)
    edit_config(other, loss='wgan')
    assert_drawn(visualize('compare', run, other), run / 'figures' / 'compare.png')
    row = pixels(run / 'figures' / 'compare.png')
    column = tmp_path / 'column.png'
    assert_drawn(visualize('compare', run, other, '--columns', 1, '-o', column), column)
    assert pixels(column).shape == (2 * row.shape[0], row.shape[1] // 2, 3)
    assert (np.concatenate(np.split(row, 2, axis=1)) == pixels(column)).all()
    assert_drawn(visualize('curves', run, other), run / 'figures' / 'curves_compared.png')
    named = tmp_path / 'named.png'
    assert_drawn(visualize('curves', run, other, '--labels', 'one', 'two', '-o', named), named)
    assert (pixels(named) != pixels(run / 'figures' / 'curves_compared.png')).any()
    assert_one_line(visualize('compare', run, other, '--labels', 'one'), '--labels', '2')
    assert_one_line(visualize('curves', run, '--labels', 'one'), '--labels')


@pytest.mark.parametrize('suffix, form', [('.webp', 'WEBP'), ('.png', 'PNG')])
def test_format_of_animation_follows_name(run, tmp_path, visualize, suffix, form):
    path = tmp_path / 'new' / f'a{suffix}'
    assert_drawn(visualize('animation', run, '--seconds', 0.5, '-o', path), path)
    with Image.open(path) as image:
        assert image.format == form and image.n_frames == 3
        image.seek(1)
        image.load()
        assert image.info['duration'] == 500


@pytest.mark.parametrize('content', ['missing', 'truncated', 'no archive', 'pickled', 'other shape', 'other keys'])
def test_unusable_weights_are_named(bare, visualize, content):
    path = bare / 'generator_iter_40.npz'
    with np.load(path) as f:
        arrays = {key: f[key] for key in f.files}
    if content == 'missing':
        path.unlink()
    elif content == 'truncated':
        path.write_bytes(path.read_bytes()[:500])
    elif content == 'no archive':
        path.write_text('nothing')
    elif content == 'pickled':
        np.savez(path, **{**arrays, '0/b': np.array([{}], object)})
    elif content == 'other shape':
        np.savez(path, **{**arrays, '0/W': arrays['0/W'][:1]})      # NumPy would repeat it
    else:
        np.savez(path, **arrays, more=np.zeros(3))
    assert_one_line(visualize('scatter', bare), str(bare), 'generator_iter_')
    assert not (bare / 'figures').exists()


@pytest.mark.parametrize('config, words', [
    (None, ['config.json', 'no such file']),
    ('{', ['config.json', 'damaged']),
    ('[]', ['config.json', 'settings']),
    ({'experiment': 'knitting'}, ['config.json', 'train_knitting.py']),
    ({'experiment': '../train_gaussian'}, ['config.json']),
    ({'activation_g': 'no such'}, ['config.json', 'no such']),
    ({'modes': 'many'}, ['config.json', 'TypeError']),
    ({'epoch_size': 0}, ['config.json', 'settings']),
])
def test_unusable_settings_are_named(bare, visualize, config, words):
    if config is None:
        (bare / 'config.json').unlink()
    elif isinstance(config, str):
        (bare / 'config.json').write_text(config)
    else:
        edit_config(bare, **config)
    assert_one_line(visualize('scatter', bare), *words)


def test_unusable_log_or_frame_is_named(run, visualize):
    for content in '[]', '{}', '[1]', '[{"iter', '[{"iteration": "x"}]':
        (run / 'log').write_text(content)
        assert_one_line(visualize('curves', run), str(run / 'log'))
    frame = run / 'samples' / 'iter_00000020.png'
    frame.write_bytes(frame.read_bytes()[:1000])
    assert_one_line(visualize('animation', run), str(frame))
    assert not (run / 'figures').exists()


def cells(path, top=40, columns=10, side=84):
    """Return the images in a picture, a uint8 array of shape (N, 28, 28)."""
    sheet = pixels(path)[top:, 6:, 0]
    rows = len(sheet) // (side + 2)
    return np.stack([sheet[y:y + side:3, x:x + side:3] for y in range(0, rows * (side + 2), side + 2)
                     for x in range(0, columns * (side + 2), side + 2)])


def assert_alike(a, b):
    """Allow for rounding, which depends on how many samples are generated at a time."""
    assert a.shape == b.shape and np.abs(a.astype(int) - b).max() <= 1


def assert_exported(result, path):
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout == f'written: {path}\n'


def read_samples(path):
    with np.load(path) as f:
        assert f.files == ['arr_0']
        return f['arr_0']


def test_all_pictures_of_run_on_images(trained_on_images, digits, visualize):
    drawn = ['samples.png', 'classes.png', 'curves.png', 'numbers.png', 'corners.png', 'loop.gif', 'real.png', 'nearest.png',
             'animation.gif']
    result = visualize('all', digits)
    assert result.returncode == 0 and not result.stderr
    assert result.stdout.splitlines() == [f'drawn: {digits / "figures" / name}' for name in drawn]
    assert names(digits / 'figures') == sorted(drawn)
    own = trained_on_images[0] / 'figures'
    assert_alike(pixels(digits / 'figures' / 'samples.png'), pixels(own / 'samples.png'))
    assert (pixels(digits / 'figures' / 'curves.png') == pixels(own / 'curves.png')).all()


def shown_by(report):
    """What the page of visualize.py report shows of each run."""
    return json.loads(report.read_text().split('type="application/json">')[1].split('</script>')[0])['runs']


def decoded(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix('data:image/webp;base64,')))) as image:
        return np.asarray(image.convert('RGB'))


def test_a_report_shows_a_run_on_images(trained_on_images, digits, visualize):
    result = visualize('report', digits)
    assert result.returncode == 0 and not result.stderr and result.stdout == f'drawn: {digits / "report.html"}\n'
    shown, = shown_by(digits / 'report.html')
    assert [update for update, _ in shown['frames']] == [0, 10, 20]
    for update, uri in shown['frames']:
        error = np.abs(decoded(uri).astype(float) - pixels(digits / 'samples' / f'iter_{update:08}.png'))
        assert error.mean() < 12        # lossy, and samples of noise are hard to compress
    headings = ['Interpolation between four samples', 'Samples, and below each the nearest real image', 'Real images',
                'Classes of the samples']
    assert [*shown['pictures']] == headings
    visualize('analogy', digits, '--arithmetic', '1,2', '3', '4')
    (digits / 'samples' / 'iter_00000010.png').unlink()
    assert visualize('report', digits).returncode == 0
    again, = shown_by(digits / 'report.html')
    assert len(again['frames']) == 2
    assert [*again['pictures']] == [headings[0], 'Latent arithmetic', *headings[1:]]
    assert again['pictures'].items() > shown['pictures'].items()


def test_a_report_takes_as_many_pictures_of_each_run_as_asked_for(run, tmp_path, visualize):
    other, path = tmp_path / 'other', tmp_path / 'new' / 'report.html'
    shutil.copytree(run, other)
    for args, updates in ([], [0, 20, 40]), (['--frames', 2], [0, 40]):
        assert visualize('report', run, other, *args, '-o', path).returncode == 0
        assert [[update for update, _ in shown['frames']] for shown in shown_by(path)] == [updates] * 2


def test_a_report_says_what_is_missing(bare, tmp_path, visualize):
    result = visualize('report', bare)
    assert result.returncode == 0 and not result.stderr
    *left_out, drawn = result.stdout.splitlines()
    shown, = shown_by(bare / 'report.html')
    assert left_out == [f'left out: {reason}' for reason in shown['missing']] and drawn.startswith('drawn: ')
    for name in 'log', 'samples', 'metrics.json':
        assert sum(str(bare / name) in line for line in left_out) == 1
    assert len(left_out) == 3 and [*shown['pictures']] == ['Real and generated points',
                                                           'Density of real and generated points']
    assert_one_line(visualize('report', bare, '-o', tmp_path / 'a.png'), 'a.png', '.html')
    assert_one_line(visualize('report', bare, '--labels', 'a', 'b'), '--labels')
    (bare / 'metrics.json').write_text('{"modes_total": "8"}')
    assert f'left out: {bare / "metrics.json"}: damaged' in visualize('report', bare).stdout


@pytest.mark.parametrize('command, name, size', [
    ('samples', 'samples', (40 + 10 * 86, 870)), ('classes', 'classes', (360, 700)),
    ('analogy', 'corners', (66 + 8 * 86 + 26, 698)), ('real', 'real', (40 + 6 * 86, 870)),
    ('nearest', 'nearest', (40 + 6 * 86, 870))])
def test_one_picture_of_run_on_images(digits, visualize, command, name, size):
    result = visualize(command, digits)
    assert result.stdout == f'drawn: {digits / "figures" / name}.png\n' and not result.stderr
    assert names(digits / 'figures') == [f'{name}.png']
    assert pixels(digits / 'figures' / f'{name}.png').shape[:2] == size


def test_grid_has_given_number_of_samples(digits, tmp_path, visualize):
    for n in 15, 100:
        visualize('samples', digits, '-n', n, '-o', tmp_path / f'{n}.png')
    few, all_shown = cells(tmp_path / '15.png'), cells(tmp_path / '100.png')
    assert len(few) == 20 and (few[15:] == 255).all()
    assert_alike(few[:15], all_shown[:15])
    assert np.abs(all_shown[1:].astype(int) - all_shown[:-1]).max(axis=(1, 2)).min() > 50


@pytest.mark.parametrize('distribution, other', [('normal', 'uniform'), ('uniform', 'normal')])
def test_square_has_samples_as_corners(digits, tmp_path, visualize, distribution, other):
    edit_config(digits, latent_distribution=distribution)
    figures = digits / 'figures'
    visualize('samples', digits)
    grid = cells(figures / 'samples.png')
    visualize('analogy', digits)
    square = cells(figures / 'corners.png', 66, 8)[:64].reshape(8, 8, 28, 28)
    assert_alike(square[[0, 0, -1, -1], [0, -1, 0, -1]], grid[:4])
    for line in square, square.swapaxes(0, 1):
        leaps = np.abs(np.diff(line.astype(int), axis=1)).mean(axis=(2, 3))
        assert (leaps.max(axis=1) < 0.5 * leaps.sum(axis=1)).all()
    chosen = tmp_path / 'chosen.png'
    visualize('analogy', digits, '--corners', 3, 17, 99, 0, '--steps', 3, '-o', chosen)
    square = cells(chosen, 66, 3)[:9]
    assert_alike(square[[0, 2, 6, 8]], grid[[3, 17, 99, 0]])
    folder = RunFolder(digits, ROOT)
    corners = folder.latents(100)[[3, 17, 99, 0]]
    drawn = {name: to_bytes(folder.generate(between(corners, 3, name).reshape(9, -1)))[:, 0] for name in (distribution, other)}
    assert_alike(square, drawn[distribution])
    assert np.abs(drawn[other][4].astype(int) - square[4]).max() > 10
    visualize('analogy', digits, '--corners', 3, 17, 99, 0, '--steps', 3, '--seed', 1, '-o', chosen)
    assert np.abs(cells(chosen, 66, 3)[:9].astype(int) - square).max() > 100


def test_samples_are_numbered(digits, tmp_path, visualize):
    for flags in [], ['--seed', 1]:
        visualize('samples', digits, *flags)
        path = tmp_path / 'numbers.png'
        assert_drawn(visualize('analogy', digits, '--numbers', '-o', path, *flags), path)
        sheet = pixels(path)[40:, 6:-6].reshape(10, 112, -1, 3)
        assert_alike(np.concatenate([row[:84:3, x:x + 84:3, 0][None] for row in sheet for x in range(0, 860, 86)]),
                     cells(digits / 'figures' / 'samples.png'))
        strips = [row[86:, x:x + 84] for row in sheet for x in range(0, 860, 86)]
        assert len({strip.tobytes() for strip in strips}) == 100 and all((strip < 128).any() for strip in strips)


@pytest.mark.parametrize('distribution, other', [('normal', 'uniform'), ('uniform', 'normal')])
def test_arithmetic_shows_groups_means_and_result(digits, visualize, distribution, other):
    edit_config(digits, latent_distribution=distribution)
    groups = [3, 17, 8, 4], [25], [1, 52]
    path = digits / 'figures' / 'arithmetic.png'
    assert_drawn(visualize('analogy', digits, '--arithmetic', *(','.join(map(str, group)) for group in groups)), path)
    visualize('samples', digits)
    grid, sheet = cells(digits / 'figures' / 'samples.png'), pixels(path)[..., 0]

    def image(y, x, zoom):
        return sheet[y:y + 28 * zoom:zoom, x:x + 28 * zoom:zoom]

    members = [image(66, 6, 3), image(66, 92, 3), image(66, 178, 3), image(66 + 110, 6, 3), image(66, 306 + 86, 3),
               image(66, 606 + 43, 3), image(66, 606 + 129, 3)]
    assert_alike(np.stack(members), grid[[3, 17, 8, 4, 25, 1, 52]])
    below = 66 + 2 * 110 + 2
    large = np.stack([image(below, 8 + 300 * i, 9) for i in range(4)])
    near = np.stack([image(below + y, 1206 + x, 3) for y in (0, 86, 172) for x in (0, 86, 172)])
    folder = RunFolder(digits, ROOT)
    z = [folder.latents(100)[group] for group in groups]
    expected, wrong = (to_bytes(folder.generate(np.stack([*(mean(group, name) for group in z), analogy(*z, name)])))[:, 0]
                       for name in (distribution, other))
    assert_alike(large, expected)
    assert np.abs(large[3].astype(int) - wrong[3]).max() > 10
    assert_alike(near[4], large[3])
    differences = np.abs(near.astype(int) - large[3]).mean(axis=(1, 2))
    assert all(0 < difference < np.abs(grid[1:].astype(int) - grid[:-1]).mean() for difference in np.delete(differences, 4))


def test_groups_have_given_labels(digits, tmp_path, visualize):
    plain, named = tmp_path / 'plain.png', tmp_path / 'named.png'
    visualize('analogy', digits, '--arithmetic', 3, 17, 8, '-o', plain)
    labels = 'a $ sign', 'two\nlines', 30 * 'long '
    assert_drawn(visualize('analogy', digits, '--arithmetic', 3, 17, 8, '-o', named, '--labels', *labels), named)
    plain, named = pixels(plain), pixels(named)
    assert (plain[66:] == named[66:]).all() and all((plain[40:66, x:x + 256] != named[40:66, x:x + 256]).any()
                                                     for x in (6, 306, 606))
    assert (named[40:66, 262:306] == 255).all() and (named[40:66, 862:] == 255).all()


@pytest.mark.parametrize('suffix, form', [('.gif', 'GIF'), ('.webp', 'WEBP'), ('.png', 'PNG')])
def test_loop_passes_through_its_samples(digits, tmp_path, visualize, suffix, form):
    visualize('samples', digits)
    grid, path = cells(digits / 'figures' / 'samples.png').astype(int), tmp_path / f'loop{suffix}'
    result = visualize('analogy', digits, '--loop', 3, 17, 8, '--steps', 8, '--seconds', 0.1, '-o', path)
    assert result.stdout == f'drawn: {path}\n' and not result.stderr
    with Image.open(path) as image:
        assert (image.format, image.n_frames, image.info['loop']) == (form, 24, 0)
        frames = []
        for i in range(24):
            image.seek(i)
            frames.append(np.asarray(image.convert('RGB'))[40:-28, 6:-6, 0][::10, ::10].astype(int))
            assert image.info['duration'] == 100
    assert np.abs(np.stack(frames[::8]) - grid[[3, 17, 8]]).max() <= (8 if form == 'GIF' else 1)
    leaps = [np.abs(frames[i] - frames[i - 1]).mean() for i in range(24)]       # the first one closes the loop
    assert max(leaps) < 5 * np.mean(leaps)


@pytest.mark.parametrize('distribution', ['normal', 'uniform'])
def test_explored_latents_stay_where_the_generator_was_trained(digits, distribution):
    edit_config(digits, latent_distribution=distribution)
    folder = RunFolder(digits, ROOT)
    explorer, z = Explorer(folder, ''), folder.latents(1000, 'directions')
    directions = principal_directions(z, folder.to_images(z), 8)

    def shown(query):
        kind, png = explorer.answer('/image.png', query)
        assert kind == 'image/png'
        with Image.open(io.BytesIO(png)) as image:
            assert image.mode == 'L'
            return np.asarray(image)

    for query, steps in ('sample=17', 0), ('sample=17&move=4,-4,0,0,0,0,0,0', 4):
        moved = folder.latents(100)[17] + steps * z.std() * (directions[0] - directions[1])
        if distribution == 'uniform':
            moved = moved.clip(-1, 1)
        else:
            moved *= np.linalg.norm(folder.latents(100)[17]) / np.linalg.norm(moved)
        assert_alike(shown(query), to_bytes(folder.generate(moved[None].astype('f')))[0, 0])


def test_real_and_nearest_images(digits, visualize):
    data = json.loads((digits / 'config.json').read_text())['settings']['data']
    known = {image.tobytes() for image in load(data).train}
    for command in 'samples', 'real', 'nearest':
        assert visualize(command, digits).returncode == 0
    real, pairs, samples = (cells(digits / 'figures' / f'{name}.png') for name in ('real', 'nearest', 'samples'))
    assert len({image.tobytes() for image in real}) == len(known) == 60
    assert all(image.tobytes() in known for image in real)
    train = load(data).train.astype(float)
    for row in range(3):
        assert_alike(pairs[20 * row:20 * row + 10], samples[10 * row:10 * row + 10])
        for i in range(20 * row, 20 * row + 10):
            distances = ((train - pairs[i]) ** 2).sum(axis=(1, 2))
            found = ((train - pairs[i + 10]) ** 2).sum(axis=(1, 2)).argmin()
            assert pairs[i + 10].tobytes() in known and distances[found] == pytest.approx(distances.min(), rel=1e-3)


@pytest.mark.parametrize('command', ['samples', 'analogy', 'export', 'compare'])
def test_samples_do_not_need_images(command, digits, tmp_path, visualize):
    edit_config(digits, data=str(tmp_path / 'gone'), judge=str(tmp_path / 'gone, too'))
    result = visualize(command, digits)
    assert result.returncode == 0 and not result.stderr


@pytest.mark.parametrize('command', ['real', 'nearest', 'classes', 'score'])
def test_real_images_can_be_given(command, digits, trained_on_images, tmp_path, visualize):
    edit_config(digits, data=str(tmp_path / 'gone'))
    assert_one_line(visualize(command, digits), 'gone', 'no such file', '--images')
    result = visualize(command, digits, '--images', trained_on_images[0].parent / 'data')
    assert result.returncode == 0 and not result.stderr
    others = write_images(tmp_path / 'others', side=12)
    assert_one_line(visualize(command, digits, '--images', others), '12 x 12', '28 x 28')


def test_run_without_size_of_images_takes_it_from_images(digits, visualize):
    config = json.loads((digits / 'config.json').read_text())
    assert config['settings'].pop('image_size') == [28, 28]
    (digits / 'config.json').write_text(json.dumps(config))
    assert_drawn(visualize('samples', digits), digits / 'figures' / 'samples.png')


@pytest.mark.parametrize('name, value', [('data', None), ('data', 5), ('judge', None), ('image_size', [28, 28, 1])])
def test_unusable_image_settings_are_one_line(name, value, digits, visualize):
    config = json.loads((digits / 'config.json').read_text())
    config['settings'][name] = value
    if value is None:
        del config['settings'][name]
    (digits / 'config.json').write_text(json.dumps(config))
    for command in 'score', 'classes':
        assert_one_line(visualize(command, digits), 'config.json', 'cannot be used')
    visualize('all', digits)        # no traceback


def test_missing_judge_explains_missing_classes(tmp_path, visualize):
    folder, data = tmp_path / 'run', write_images(tmp_path / 'small', side=12)
    assert call('train_mnist.py', *MNIST, '--data', data, '-o', folder, cwd=tmp_path).returncode == 0
    assert_one_line(visualize('classes', folder), '28 x 28')
    said = visualize('all', folder).stdout.splitlines()
    assert 'left out: classes.png (no classes: the judge needs images of 28 x 28 pixels)' in said
    assert 'no Fréchet distance and no classes: the judge needs' in visualize('score', folder).stdout


def test_sheet_of_runs_on_images(digits, tmp_path, visualize):
    shutil.copytree(digits, tmp_path / 'other')
    assert_drawn(visualize('compare', digits, tmp_path / 'other', '-o', tmp_path / 'a.png'), tmp_path / 'a.png')
    left, right = np.split(pixels(tmp_path / 'a.png'), 2, axis=1)
    visualize('samples', digits, '-o', tmp_path / 'b.png')
    assert (left[40:] == right[40:]).all() and (left[40:] == pixels(tmp_path / 'b.png')[40:]).all()


def test_score_equals_final_metrics(trained, trained_on_images, digits, bare, visualize):
    result = visualize('score', digits, bare)
    assert result.returncode == 0 and not result.stderr
    files = [digits / 'generator_iter_20.npz', bare / 'generator_iter_40.npz']
    assert [line for line in result.stdout.splitlines() if line[0] != ' '] == [f'{file}:' for file in files]
    for block, (_, printed) in zip(result.stdout.split('.npz:\n')[1:], (trained_on_images, trained)):
        again, end = (dict(re.findall(r'^  (\w+) +([\d.,]+)$', text, re.M)) for text in (block, printed))
        assert again.keys() == end.keys() - {'iteration', 'images_per_second'} and len(again) > 7
        for name, value in again.items():
            assert float(value.replace(',', '')) == pytest.approx(float(end[name].replace(',', '')), rel=1e-3, abs=2e-4), name
    assert visualize('score', bare, '--seed', 1).stdout != visualize('score', bare).stdout


def test_other_judge_changes_score(digits, tmp_path, visualize):
    np.random.seed(0)
    with open(tmp_path / 'judge.npz', 'wb') as f:
        save_weights(f, Judge(3))
    result = visualize('score', digits, '--judge', tmp_path / 'judge.npz')
    assert result.returncode == 0 and re.search(r'classes_total +3\n', result.stdout), result.stderr


def test_images_are_exported_as_bytes(digits, tmp_path, visualize):
    visualize('samples', digits)
    assert_exported(visualize('export', digits, '-n', 600), digits / 'samples.npz')
    samples = read_samples(digits / 'samples.npz')
    assert samples.dtype == np.uint8 and samples.shape == (600, 28, 28, 1)
    assert_alike(samples[:100, :, :, 0], cells(digits / 'figures' / 'samples.png'))
    (digits / 'samples-png').mkdir()
    for folder, flags in (digits / 'samples-png', []), (tmp_path / 'a' / 'b', ['-o', tmp_path / 'a' / 'b']):
        assert_exported(visualize('export', digits, '-n', 600, '--format', 'png', *flags), folder)
        assert names(folder) == [f'{i:05}.png' for i in range(600)]
        for i in 0, 599:
            with Image.open(folder / f'{i:05}.png') as image:
                assert image.mode == 'L' and (np.asarray(image) == samples[i, :, :, 0]).all()
    assert_exported(visualize('export', digits, '-n', 5, '--seed', 1), digits / 'samples.npz')
    assert (read_samples(digits / 'samples.npz') != samples[:5]).any()
    assert not [path for path in names(digits) + names(tmp_path) if path.startswith('.')]


def test_points_are_exported_unchanged(bare, tmp_path, visualize):
    assert_exported(visualize('export', bare, '-o', 'new/points.npz'), 'new/points.npz')
    points = read_samples(tmp_path / 'new' / 'points.npz')
    assert points.dtype == np.float32 and points.shape == (2500, 2)
    assert_one_line(visualize('export', bare, '--format', 'png'), str(bare), 'images', '--format')
    assert names(bare) == ['config.json', 'generator_iter_40.npz']


@pytest.mark.parametrize('form', ['npz', 'png', 'onnx'])
def test_failed_export_leaves_nothing(digits, tmp_path, visualize, form):
    (digits / 'generator_iter_20.npz').rename(tmp_path / 'good.npz')
    before = names(digits)
    assert_one_line(visualize('export', digits, '--format', form), 'generator_iter_N.npz')
    with np.load(tmp_path / 'good.npz') as f:
        np.savez(digits / 'generator_iter_20.npz', **{key: f[key] if f[key].dtype.kind == 'i' else np.nan * f[key]
                                                      for key in f.files})
    assert_one_line(visualize('export', digits, '--format', form), 'generator_iter_20.npz', 'not finite')
    assert_one_line(visualize('score', digits), 'generator_iter_20.npz', 'not finite')
    assert names(digits) == sorted([*before, 'generator_iter_20.npz'])


def test_export_does_not_overwrite(digits, tmp_path, visualize):
    (digits / '.samples-png.partial').mkdir()       # what a killed one leaves
    (digits / '.samples-png.partial' / '00009.png').touch()
    assert_exported(visualize('export', digits, '-n', 2, '--format', 'png'), digits / 'samples-png')
    assert names(digits / 'samples-png') == ['00000.png', '00001.png'] and '.samples-png.partial' not in names(digits)
    (tmp_path / 'file').touch()
    (tmp_path / 'a.npz').mkdir()
    for out, words in [([], ['samples-png']), (['-o', 'file'], ['file']), (['-o', '.'], ['exists'])]:
        assert_one_line(visualize('export', digits, '-n', 2, '--format', 'png', *out), *words, '--out')
    assert_one_line(visualize('export', digits, '-o', 'a.npz'), 'a.npz', 'folder')
    assert_one_line(visualize('export', digits, '-o', 'a.zip'), 'a.zip', '.npz')
    assert_one_line(visualize('export', digits, '--format', 'onnx', '-o', 'a.npz'), 'a.npz', '.onnx')


def test_missing_images_are_named(digits, tmp_path, visualize):
    edit_config(digits, data=str(tmp_path / 'gone'))
    lines = visualize('all', digits).stdout.splitlines()
    for name in 'classes', 'real', 'nearest':
        assert any(line.startswith(f'left out: {name}.png (') and 'gone' in line for line in lines)
    for name in 'samples.png', 'corners.png', 'loop.gif', 'curves.png', 'animation.gif':
        assert f'drawn: {digits / "figures" / name}' in lines


def test_wrong_calls_on_images_are_one_line(digits, bare, visualize):
    for args, words in [
        (['scatter', digits], [str(digits), 'train_mnist.py', 'scatter']),
        (['samples', bare], [str(bare), 'train_gaussian.py', 'samples']),
        (['analogy', bare], [str(bare), 'train_gaussian.py', 'points']),
        (['explore', bare], [str(bare), 'train_gaussian.py', 'points', 'explore']),
        (['explore', digits, '--port', 65536], ['--port', '65535']),
        (['analogy', digits, '--corners', 3], ['--corners', '4']),
        (['analogy', digits, '--corners', 3, 4, 5, 100], ['--corners', '100', '0 to 99']),
        (['analogy', digits, '--corners', -1, 3, 4, 5], ['--corners', '-1', '0 to 99']),
        (['analogy', digits, '--corners', 'x', 3, 4, 5], ['--corners', "'x'"]),
        (['analogy', digits, '--steps', 1], ['--steps', '2']),
        (['analogy', digits, '--steps', 21], ['--steps', '20']),
        (['analogy', digits, '--corners', 0, 1, 2, 3, '--loop'], ['--loop', '--corners']),
        (['analogy', digits, '--arithmetic', 3, 17], ['--arithmetic', '3']),
        (['analogy', digits, '--arithmetic', 3, '', 17], ['--arithmetic', "''", '3,17,8']),
        (['analogy', digits, '--arithmetic', '3,', 4, 17], ['--arithmetic', "'3,'", '3,17,8']),
        (['analogy', digits, '--arithmetic', '3,100', 4, 17], ['--arithmetic', '100', '0 to 99']),
        (['analogy', digits, '--arithmetic', 3, 4, 5, '--labels', 'a', 'b'], ['--labels', '3']),
        (['analogy', digits, '--arithmetic', 3, 4, 5, '--steps', 3], ['--steps', '--corners or --loop', '--arithmetic']),
        (['analogy', digits, '--labels', 'a', 'b', 'c'], ['--labels', '--arithmetic', '--corners']),
        (['analogy', digits, '--numbers', '--seconds', 1], ['--seconds', '--loop', '--numbers']),
        (['analogy', digits, '--loop', 3], ['--loop', 'two']),
        (['analogy', digits, '--loop', 3, 100], ['--loop', '100', '0 to 99']),
        (['analogy', digits, '--loop', 3, 4, '--steps', 101], ['--steps', '202', '200']),
        (['analogy', digits, '--loop', '-o', 'a.jpg'], ['a.jpg', '.webp']),
        (['analogy', digits, '-o', 'a.gif'], ['a.gif', '.png']),
        (['export', digits, '--format', 'jpg'], ['jpg', 'npz', 'png']),
        (['export', digits, '-n', 10 ** 13], ['memory', '-n']),
        (['export', digits, '--format', 'onnx', '-n', 5], ['--samples', '--format onnx']),
        (['export', digits, '--format', 'onnx', '--seed', 5], ['--seed', '--format onnx']),
        (['score', digits, '-n', 10], ['-n']),
        (['score', bare, '--images', digits], ['--images', 'train_gaussian.py']),
        (['nearest', bare], [str(bare), 'nearest']),
        (['real', digits, '--images', digits / 'no'], ['no', 'no such file', '--images']),
        (['real', digits, '--images', digits, '--images', digits], ['--images', 'train_mnist.py', 'one path']),
        (['score', bare, '--judge', digits / 'no'], ['--judge', 'train_gaussian.py']),
        (['score', digits, '--judge', digits / 'no'], ['no', 'no such file', '--judge']),
    ]:
        assert_one_line(visualize(*args), *words)
    assert not (digits / 'figures').exists() and names(bare) == ['config.json', 'generator_iter_40.npz']


def test_wrong_calls_are_one_line(bare, tmp_path, visualize):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.png').mkdir()
    for args, words in [
        (['scatter', 'nothing'], ['nothing', 'no such run folder']),
        (['scatter', tmp_path / 'file'], ['file']),
        (['scatter', bare, '-o', 'a.jpg'], ['a.jpg', '.png']),
        (['scatter', bare, '-o', tmp_path / 'file' / 'a.png'], ['file']),
        (['scatter', bare, '-o', 'folder.png'], ['folder.png', 'folder']),
        (['all', bare, '-o', tmp_path / 'file'], ['file']),
        (['scatter', bare, '-n', '0'], ['-n', "'0'", '--help']),
        (['paint', bare], ['paint', 'scatter', 'animation']),
        ([], ['COMMAND', '--help']),
    ]:
        assert_one_line(visualize(*args), *words)
    assert names(bare) == ['config.json', 'generator_iter_40.npz']
    assert_one_line(call('visualize.py', 'scatter', 'nothing', cwd=tmp_path), 'visualize.py: nothing')


def test_help_teaches(tmp_path):
    text = call('visualize.py', '--help', cwd=tmp_path).stdout
    for word in ('scatter', 'density', 'samples', 'classes', 'analogy', 'curves', 'animation', 'compare',
                 'all', 'score', 'export', 'config.json'):
        assert word in text
    assert '-n' in call('visualize.py', 'scatter', '--help', cwd=tmp_path).stdout
    text = ' '.join(call('visualize.py', 'analogy', '--help', cwd=tmp_path).stdout.split())
    for word in 'analogy RUN --arithmetic 3,17,8 4,25,6 1,52,9 ', 'loop.webp', 'default: 0 1 2 3', 'latents':
        assert word in text
