"""Tests of the figures. They inspect the pixels of the pictures."""
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lsgan.datasets.mixture import ring
from lsgan.errors import InputError
from lsgan.figures import palette
from lsgan.figures.animation import animation
from lsgan.figures.curves import Panel, curves
from lsgan.figures.points import density, scatter
from lsgan.figures.sheet import sheet

CENTERS, SIGMA = ring(8, 2.0).astype(np.float32), 0.04
YELLOW = '#FDE725'      # colour of the highest density


def points(modes=range(8), n=800, seed=0):
    random = np.random.default_rng(seed)
    return (CENTERS[random.choice(modes, n)] + SIGMA * random.standard_normal((n, 2))).astype(np.float32)


def picture(draw, *args, **options):
    """Return the picture that a figure function writes, a uint8 array of shape (H, W, 3)."""
    file = io.BytesIO()
    draw(file, *args, **options)
    with Image.open(file) as image:
        assert image.format == 'PNG'
        return np.asarray(image.convert('RGB'))


def count(pixels, color, tolerance=40):
    wanted = np.array([int(color[i:i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(pixels.astype(int) - wanted).max(axis=2) <= tolerance).sum())


def png(color, size=(40, 30)):
    file = io.BytesIO()
    Image.new('RGB', size, color).save(file, 'PNG')
    return file


@pytest.mark.parametrize('draw', [scatter, density])
def test_missed_mode_has_a_cross(draw):
    whole = picture(draw, points(), CENTERS, SIGMA, 'title')
    missing = picture(draw, points([0, 1, 2, 4, 5, 6, 7]), CENTERS, SIGMA, 'title')
    two_missing = picture(draw, points([0, 1, 2, 5, 6, 7]), CENTERS, SIGMA, 'title')
    assert whole.shape == missing.shape and min(whole.shape[:2]) >= 400
    assert count(whole, palette.VERMILLION) == 0
    assert count(missing, palette.VERMILLION) > 100
    assert count(two_missing, palette.VERMILLION) > 1.8 * count(missing, palette.VERMILLION)


@pytest.mark.parametrize('draw', [scatter, density])
def test_points_out_of_view_are_counted(draw):
    near = points()
    odd = near.copy()
    odd[:4] = [[np.nan, 0], [0, np.inf], [3e38, -3e38], [9, 9]]
    one, other = (picture(draw, samples, CENTERS, SIGMA, 'title') for samples in (near, odd))
    assert one.shape == other.shape
    assert (one[:45] == other[:45]).all() and (one[:, :48] == other[:, :48]).all()     # title, tick labels of the y axis
    corner = np.s_[375:412, 230:415]
    assert (one[corner] != other[corner]).any()
    picture(draw, np.full((50, 2), np.nan), CENTERS, SIGMA, 'title')


@pytest.mark.parametrize('draw', [scatter, density])
def test_real_points_are_left_of_generated_points(draw):
    alone = picture(draw, points([0]), CENTERS, SIGMA, 'title')
    both = picture(draw, points([0]), CENTERS, SIGMA, 'title', real=points())
    left, right = both[:, :430], both[:, 430:]
    assert both.shape[1] > 1.7 * alone.shape[1]
    assert count(left, palette.VERMILLION) == 0 and count(right, palette.VERMILLION) > 500


def test_real_and_generated_points_differ_in_colour():
    both = picture(scatter, points(), CENTERS, SIGMA, 'title', real=points(seed=1))
    left, right = both[:, :430], both[:, 430:]
    assert count(left, palette.GREEN) > 100 and count(left, palette.BLUE) == 0
    assert count(right, palette.BLUE) > 100 and count(right, palette.GREEN) == 0


def test_density_of_mixture_is_bright():
    inside = np.s_[50:410, 55:415]      # without the colour bar
    right, blurred = (picture(density, samples, CENTERS, SIGMA, 'title')[inside]
                      for samples in (points(n=5000), np.random.default_rng(0).normal(size=(5000, 2))))
    assert count(right, YELLOW, 60) >= 8 * 4
    assert count(blurred, YELLOW, 60) == 0


def test_pictures_can_be_written_to_paths(tmp_path):
    scatter(tmp_path / 'a.png', points(), CENTERS, SIGMA, 'title')
    with Image.open(tmp_path / 'a.png') as image:
        assert image.format == 'PNG'


def log(n=20, **keys):
    return [{'iteration': 100 * (i + 1), **{key: value(i) for key, value in keys.items()}} for i in range(n)]


def test_curves_have_panels_for_logged_values_only():
    losses = {'gen/loss': lambda i: 1 / (i + 1), 'dis/loss': lambda i: 0.5}
    one = picture(curves, {'': log(**losses)}, 'title')
    two = picture(curves, {'': log(**losses, frechet_distance=lambda i: 100 / (i + 1))}, 'title')
    assert one.shape[1] == two.shape[1] and one.shape[0] < two.shape[0]
    for key in 'diversity', 'nearest_distance', 'values_fair', 'classes_fair', 'modes_captured':
        assert picture(curves, {'': log(**losses, **{key: lambda i: i})}, 'title').shape == two.shape
    for color in palette.BLUE, palette.VERMILLION:
        assert count(one, color) > 100
    other = picture(curves, {'': log(**losses)}, 'title', [Panel('D alone', {'dis/loss': 'D'})])
    assert count(other, palette.BLUE) > 100 and count(other, palette.VERMILLION) == 0


def test_each_run_has_its_own_colour():
    falling = log(**{'high_quality': lambda i: 1 - i / 20})
    both = picture(curves, {'one': falling, 'two': falling[:5]}, 'title')
    assert count(both, palette.BLUE) > 100 and count(both, palette.VERMILLION) > 100
    many = picture(curves, {str(i): falling for i in range(9)}, 'title')
    assert many.shape[0] > both.shape[0]


def test_curves_skip_infinite_values():
    broken = {'gen/loss': lambda i: [np.nan, np.inf, -np.inf, None, 0.5][i % 5], 'sliced_wasserstein': lambda i: i % 2}
    assert count(picture(curves, {'': log(**broken)}, 'title'), palette.BLUE) > 100
    picture(curves, {'': log(1, **{'gen/loss': lambda i: 0.5})}, 'title')
    for nothing in [], log(), log(**{'gen/loss': lambda i: np.nan}):
        with pytest.raises(InputError, match='no numbers'):
            picture(curves, {'': nothing}, 'title')


@pytest.mark.parametrize('form', ['GIF', 'PNG', 'WEBP'])
def test_animation_shows_last_frame_longer(form):
    colors = ['red', 'lime', 'blue', 'white', 'black']
    file = io.BytesIO()
    animation(file, [png(color) for color in colors], form, seconds=0.2, hold=1.0)
    with Image.open(file) as image:
        assert image.format == form and image.size == (40, 30) and image.n_frames == 5 and image.info['loop'] == 0
        seen, durations = [], []
        for i in range(5):
            image.seek(i)
            seen.append(image.convert('RGB').getpixel((20, 15)))
            durations.append(image.info['duration'])
    assert seen == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]
    assert durations == [200] * 4 + [1200]


def test_long_animation_has_200_frames():
    file = io.BytesIO()
    animation(file, [png((i // 4, 255 - i // 4, i % 4)) for i in range(1001)], 'WEBP')
    with Image.open(file) as image:
        seen = []
        for i in range(image.n_frames):
            image.seek(i)
            red, _, blue = image.convert('RGB').getpixel((20, 15))
            seen.append(4 * red + blue)
    assert len(seen) == 200 and (seen[0], seen[-1]) == (0, 1000) and set(np.diff(seen)) == {5, 6}


def test_animation_needs_little_memory():
    program = """if True:
        import io, resource
        from PIL import Image
        from lsgan.figures.animation import animation
        frames = [io.BytesIO() for _ in range(100)]
        for i, frame in enumerate(frames):
            Image.new('RGB', (1000, 1000), (i, 0, 0)).save(frame, 'PNG')     # 4 MB in memory
        animation(io.BytesIO(), frames[:2])     # loads all libraries before the limit is set
        pages = int(open('/proc/self/statm').read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 300_000_000, -1))
        animation(io.BytesIO(), frames)
    """
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_animation_names_bad_frame(tmp_path):
    good, cut, small = (tmp_path / name for name in ('good.png', 'cut.png', 'small.png'))
    good.write_bytes(png('red').getvalue())
    cut.write_bytes(good.read_bytes()[:60])
    small.write_bytes(png('red', (8, 8)).getvalue())
    for bad in cut, small, tmp_path / 'nothing.png':
        with pytest.raises(InputError, match=bad.name):
            animation(io.BytesIO(), [good, bad])
    with pytest.raises(InputError, match='frame'):
        animation(io.BytesIO(), [])


@pytest.mark.parametrize('n, columns, size', [(1, None, (40, 30)), (3, None, (120, 30)), (4, None, (80, 60)),
                                              (5, None, (120, 60)), (4, 4, (160, 30)), (2, 5, (80, 30))])
def test_sheet_has_rows(n, columns, size):
    colors = ['#ff0000', '#00ff00', '#0000ff', '#000000', '#888888'][:n]
    whole = picture(sheet, [png(color) for color in colors], columns)
    assert whole.shape == (size[1], size[0], 3)
    cells = whole.reshape(size[1] // 30, 30, size[0] // 40, 40, 3)[:, 15, :, 20].reshape(-1, 3)
    assert ['#' + bytes(cell.tolist()).hex() for cell in cells] == colors + ['#ffffff'] * (len(cells) - n)


def test_figures_need_neither_chainer_nor_pyplot():
    program = ('import sys, lsgan.figures.points, lsgan.figures.curves, lsgan.figures.animation, lsgan.figures.sheet; '
               'sys.exit(", ".join({"chainer", "matplotlib.pyplot"} & sys.modules.keys()))')
    assert subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=False).stderr.strip() == ''
