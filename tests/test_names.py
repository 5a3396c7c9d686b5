"""Tests of arbitrary Unicode in names, labels and paths: a command succeeds, or prints one line and exits with status 2."""
import contextlib
import io
import os
import shutil
import subprocess
import sys
import warnings

import numpy
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings, strategies
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from running import ROOT, SHORT, assert_one_line, start, train

import visualize
from lsgan.figures import curves, images, points, sheet
from lsgan.figures.text import write

ODD = ['cost $5 and $x^{', '$\\frac{', '_hidden', '__', 'two\nlines\r\n', 'דג סקרן', 'سلام', '漢字', '😀', '\x00'.join('ab'),
       '\x1b[31m', '\u202e\u200d', '\udcff', ' ', '%', '{}', '\\', '"\'`;&|', '--', 'é' * 60]


def is_file_name(text):
    encoded = os.fsencode(text)
    return text.strip() not in ('', '.', '..') and not {'/', '\0'} & set(text) and len(encoded) < 200


# File names can contain any characters, and bytes that are not UTF-8, which Python represents by surrogates.
undecodable = strategies.binary(min_size=1, max_size=20).map(os.fsdecode)
texts = strategies.text(max_size=20) | strategies.sampled_from(ODD) | undecodable
names = texts.filter(lambda text: not any('\ud800' <= c < '\udc80' for c in text)).filter(is_file_name)


def drawn(text, width=None):
    """Draw a text with `write` in the middle of a picture. Return the picture and the artist."""
    figure = Figure((6, 0.5), dpi=100)
    canvas, artist = FigureCanvasAgg(figure), figure.text(0.5, 0.5, '', fontsize=14, ha='center', va='center')
    write(artist, text, width)
    canvas.draw()
    return numpy.asarray(canvas.buffer_rgba())[..., 0], artist


def test_text_is_drawn_literally(capsys):
    for text in 'cost $5 and $x^{', '_a', '$x$', '':
        assert drawn(text)[1].get_text() == text
    assert drawn('a\nb\tc\u2028d')[1].get_text() == 'a b c d'
    assert drawn('\udcff\x00\x1b')[1].get_text() == '\\udcff\\x00\\x1b'
    assert (drawn('$x$')[0] != drawn('x')[0]).any()
    assert (drawn('דג')[0] != drawn('גד')[0]).any()
    assert capsys.readouterr().err == ''


def test_long_text_is_drawn_smaller():
    assert drawn('short', 300)[1].get_fontsize() == 14
    for text in 'W' * 60, 'i' * 120, '\udcff' * 20:
        assert drawn(text, 300)[1].get_window_extent().width <= 300


def test_text_fits_any_width():
    exact = drawn('some text')[1].get_window_extent().width
    for width in exact, numpy.nextafter(exact, 0), exact - 0.1, 1, 0:
        artist = drawn('some text', width)[1]
        assert artist.get_window_extent().width <= width or artist.get_fontsize() <= 1


def test_other_font_draws_missing_characters(capsys):
    usual = set(font_manager.get_font(font_manager.findfont('DejaVu Sans')).get_charmap())
    other = set(font_manager.get_font(font_manager.findfont('STIXGeneral')).get_charmap())
    character = chr(min(code for code in other - usual if chr(code).isprintable() and code > 32))
    picture, artist = drawn(f'a{character}')
    assert artist.get_text() == f'a{character}' and len(artist.get_fontfamily()) == 2
    assert (picture != drawn('a')[0]).any() and capsys.readouterr().err == ''


def test_characters_of_no_font_are_escaped(capsys):
    character = '\U000123ff'    # an unassigned code point
    if character.isprintable():
        pytest.skip('a later Unicode has this character')
    assert drawn(f'a{character}')[1].get_text() == 'a\\U000123ff'
    missing = '𓀀'      # a hieroglyph
    if drawn(missing)[1].get_text() == missing:
        pytest.skip('a font with hieroglyphs is installed')
    line, = capsys.readouterr().err.splitlines()
    assert 'U+13000' in line and 'Install a font' in line


@settings(max_examples=25, deadline=None, derandomize=True)
@given(texts)
def test_every_picture_takes_any_text(text):
    cells = numpy.zeros((4, 1, 8, 8), numpy.uint8)
    one = io.BytesIO()
    images.grid(one, cells, text, 2, [text, text])
    images.histogram(io.BytesIO(), numpy.full(3, 0.3), numpy.full(3, 0.3), text)
    points.scatter(io.BytesIO(), numpy.zeros((5, 2)), numpy.eye(2), 0.1, text)
    log = [{'iteration': 1, 'gen/loss': 1.0}]
    curves.curves(io.BytesIO(), {text: log, f'{text}2': log}, text)
    file = io.BytesIO()
    sheet.sheet(file, [one, one], 2, [text, text])
    assert Image.open(file).size[0] > 0


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A folder with two short runs, one on points and one on images."""
    folder = tmp_path_factory.mktemp('runs')
    assert train(*SHORT, '--iterations', 60, '-o', folder / 'points').returncode == 0
    rng = numpy.random.default_rng(0)
    (folder / 'pictures').mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=numpy.uint8)).save(folder / 'pictures' / f'{i}.png')
    small = '--size', 32, '--epoch', 1, '--epoch-size', 2, '--batchsize', 4, '--hidden-g', 4, '--hidden-d', 4
    done = train('--images', folder / 'pictures', *small, '--metric-samples', 12, '--log-interval', 1, '-o', folder / 'images',
                 script=ROOT / 'train_anime.py', env={**os.environ, 'XDG_CACHE_HOME': str(folder / 'cache')})
    assert done.returncode == 0, done.stderr
    return folder


def commands(run, other, label, out):
    """Yield the arguments of every command of visualize.py, for a run folder."""
    yield ['curves', run]
    yield ['curves', run, other, '--labels', f'{label}1', f'{label}2', '-o', f'{out}.png']
    yield ['compare', run, other, '-o', f'{out}2.png']
    yield ['compare', run, other, '--labels', f'{label}1', f'{label}2']
    yield ['compare', run, other, '--epochs', '1', 'end', '--labels', f'{label}1', f'{label}2']
    yield ['export', run, '-n', '4', '-o', f'{out}.npz']
    yield ['export', run, '--format', 'onnx', '-o', f'{out}.onnx']
    yield ['report', run, other, '--labels', f'{label}1', f'{label}2', '-o', f'{out}.html']
    yield ['animation', run, '-o', f'{out}.gif']
    yield ['analogy', run, '--arithmetic', '1', '2', '3', '--labels', label, label, label, '-o', f'{out}3.png']
    for command in 'score', 'scatter', 'density', 'samples', 'real', 'nearest', 'classes', 'analogy', 'all':
        yield [command, run]
    yield ['export', run, '--format', 'png', '-n', '4', '-o', out]


@pytest.mark.parametrize('kind', ['points', 'images'])
@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],     # shrinking is slow
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names, label=texts, out=names)
@example(name='cost $5 and $x^{', label='_$\n', out='דג\n漢字')
def test_every_command_takes_any_name(kind, name, label, out, runs, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(runs / 'cache'))
    folder = tmp_path / 'here'
    shutil.rmtree(folder, ignore_errors=True)
    (folder / 'out').mkdir(parents=True)
    run, other = folder / name, folder / f'{name}2'
    for path in run, other:
        shutil.copytree(runs / kind, path)
    for arguments in commands(run, other, label.replace('\0', ''), folder / 'out' / out):
        says, complains = (io.TextIOWrapper(io.BytesIO(), 'utf-8') for _ in range(2))
        with contextlib.redirect_stdout(says), contextlib.redirect_stderr(complains), warnings.catch_warnings():
            warnings.simplefilter('error')
            status = visualize.main([*map(str, arguments)])
        says.flush(), complains.flush()
        lines = [line for line in complains.buffer.getvalue().decode().splitlines() if not line.startswith('note: ')]
        assert (status, len(lines)) in ((0, 0), (2, 1)), (arguments, status, lines)
        assert status == 0 or arguments[0] in ('scatter', 'density', 'samples', 'real', 'nearest', 'classes',
                                               'analogy') or '--format' in arguments or 'label' in lines[0], lines
    assert {*os.listdir(folder)} == {name, f'{name}2', 'out'} and {*os.listdir(tmp_path)} <= {'here'}


@pytest.mark.parametrize('name', ['-rf', 'two\nlines', '漢字 $x^{ "\'`;&|', 'x\udcff\'\\9'])
def test_printed_commands_work_in_folder_of_any_name(name, tmp_path):
    process = start(*SHORT, '--iterations', 20, f'--out={name}', cwd=tmp_path, errors='surrogateescape')
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and err == '' and os.listdir(tmp_path) == [name]

    def run(script, line):
        """Run a command printed in the output in bash, as a user would; `line` is the beginning of its line."""
        arguments, = (found.split(f'{script} ', 1)[1] for found in out.splitlines() if found.startswith(line))
        return subprocess.run(['bash', '-c', f'"$0" {ROOT / script} {arguments}', sys.executable], cwd=tmp_path,
                              capture_output=True, text=True, errors='surrogateescape', timeout=120)

    again = run('train_gaussian.py', 'stopped early; to go on: ')
    assert again.returncode == 0 and 'updates 20 to 180' in again.stdout, again.stderr
    (tmp_path / name / 'figures' / 'curves.png').unlink()
    assert run('visualize.py', 'more pictures: ').returncode == 0
    assert (tmp_path / name / 'figures' / 'curves.png').exists() and os.listdir(tmp_path) == [name]
    assert_one_line(train(*SHORT, f'--out={name}', cwd=tmp_path, errors='surrogateescape'), 'exists already')
