"""The drawing script, from another folder than the repository's."""
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHORT = ['--iterations', '40', '--epoch', '1', '--epoch-size', '40', '--log-interval', '20', '--sample-interval', '20',
         '--hidden-g', '16', '--hidden-d', '16', '--latent', '8', '--batchsize', '16']


def call(script, *args, cwd):
    """Runs a script as a user does."""
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
    """Runs visualize.py in `tmp_path`, but in this process, which takes a fraction of the time."""
    monkeypatch.chdir(tmp_path)

    def visualize(*args):
        status = script.main([*map(str, args)])
        return subprocess.CompletedProcess(args, status, *capsys.readouterr())
    return visualize


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A finished run and what it printed."""
    folder = tmp_path_factory.mktemp('runs') / 'lsgan'
    result = call('train_gaussian.py', *SHORT, '-o', folder, cwd=folder.parent)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the finished run without its pictures, of which a test may do as it likes."""
    folder = tmp_path / 'run'
    shutil.copytree(trained[0], folder)
    shutil.rmtree(folder / 'figures')
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


def test_training_ends_with_the_main_pictures_and_they_can_be_drawn_again(trained, run, tmp_path):
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


def test_samples_are_as_many_as_asked_for_and_follow_the_seed(bare, tmp_path, visualize):
    flags = {'run': [], 'same': ['--seed', 0], 'other': ['--seed', 1], 'few': ['-n', 20]}
    for name, given in flags.items():
        assert_drawn(visualize('scatter', bare, '-o', tmp_path / f'{name}.png', *given), tmp_path / f'{name}.png')
    drawn = {name: pixels(tmp_path / f'{name}.png') for name in flags}
    assert (drawn['run'] == drawn['same']).all() and (drawn['run'] != drawn['other']).any()
    whites = {name: (picture == 255).all(axis=2).sum() for name, picture in drawn.items()}
    assert whites['few'] > whites['run'] + 1000
    assert names(bare) == ['config.json', 'generator_iter_40.npz']


def test_the_newest_weights_are_drawn(bare, tmp_path, visualize):
    with np.load(bare / 'generator_iter_40.npz') as f:
        np.savez(bare / 'generator_iter_100.npz', **{key: 0 * f[key] for key in f.files})
    assert_drawn(visualize('scatter', bare, '-o', tmp_path / 'new.png'), tmp_path / 'new.png')
    (bare / 'generator_iter_100.npz').unlink()
    assert_drawn(visualize('scatter', bare, '-o', tmp_path / 'old.png'), tmp_path / 'old.png')
    assert (pixels(tmp_path / 'new.png') != pixels(tmp_path / 'old.png')).any()


def test_settings_and_weights_alone_are_enough_for_samples(bare, visualize):
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


def test_what_needs_no_weights_is_drawn_without(run, visualize):
    (run / 'generator_iter_40.npz').unlink()
    result = visualize('all', run)
    assert result.returncode == 0 and result.stdout.count('left out: ') == 2 and 'generator_iter_N.npz' in result.stdout
    assert names(run / 'figures') == ['animation.gif', 'curves.png']


def test_several_runs_on_one_sheet_and_in_one_set_of_curves(run, tmp_path, visualize):
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


@pytest.mark.parametrize('suffix, form', [('.webp', 'WEBP'), ('.png', 'PNG')])
def test_an_animation_in_the_format_of_its_name(run, tmp_path, visualize, suffix, form):
    path = tmp_path / 'new' / f'a{suffix}'
    assert_drawn(visualize('animation', run, '--seconds', 0.5, '-o', path), path)
    with Image.open(path) as image:
        assert image.format == form and image.n_frames == 3
        image.seek(1)
        image.load()
        assert image.info['duration'] == 500


@pytest.mark.parametrize('content', ['missing', 'truncated', 'no archive', 'pickled', 'other shape', 'other keys'])
def test_weights_that_cannot_be_used_are_named(bare, visualize, content):
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
])
def test_settings_that_cannot_be_used_are_named(bare, visualize, config, words):
    if config is None:
        (bare / 'config.json').unlink()
    elif isinstance(config, str):
        (bare / 'config.json').write_text(config)
    else:
        edit_config(bare, **config)
    assert_one_line(visualize('scatter', bare), *words)


def test_a_log_or_frame_that_cannot_be_used_is_named(run, visualize):
    for content in '[]', '{}', '[1]', '[{"iter', '[{"iteration": "x"}]':
        (run / 'log').write_text(content)
        assert_one_line(visualize('curves', run), str(run / 'log'))
    frame = run / 'samples' / 'iter_00000020.png'
    frame.write_bytes(frame.read_bytes()[:1000])
    assert_one_line(visualize('animation', run), str(frame))
    assert not (run / 'figures').exists()


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
    for word in 'scatter', 'density', 'curves', 'animation', 'compare', 'all', 'config.json':
        assert word in text
    assert '-n' in call('visualize.py', 'scatter', '--help', cwd=tmp_path).stdout
