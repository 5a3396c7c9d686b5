"""Tests of image grids and histograms. They inspect the pixels of the pictures."""
import numpy as np
import pytest
from test_figures import count, picture

from lsgan.figures import palette
from lsgan.figures.images import grid, histogram


def noise(*shape):
    return np.random.RandomState(0).randint(0, 256, shape, np.uint8)


@pytest.mark.parametrize('n, colours, height, width, columns, zoom', [
    (100, 1, 28, 28, 10, 3), (8, 3, 64, 64, 4, 1), (5, 1, 7, 9, 3, 8), (3, 3, 70, 40, 10, 1), (1, 1, 1, 1, 10, 64),
    (1, 1, 20, 103, 1, 1), (1, 1, 71, 20, 1, 1)])      # in floating point, 115 / 100 * 100 is below 115
def test_grid_shows_exact_pixels(n, colours, height, width, columns, zoom):
    images = noise(n, colours, height, width)
    for top, headings in (40, ()), (66, 'x' * min(n, columns)):
        sheet = picture(grid, images, 'title', columns, headings).copy()
        assert sheet.shape == (top - -(-n // columns) * -(height * zoom + 2), min(n, columns) * (width * zoom + 2) + 10, 3)
        for i, image in enumerate(images):
            y, x = top + i // columns * (height * zoom + 2), 6 + i % columns * (width * zoom + 2)
            cell = sheet[y:y + height * zoom, x:x + width * zoom]
            assert (cell == image.repeat(zoom, axis=1).repeat(zoom, axis=2).transpose(1, 2, 0)).all()
            sheet[y:y + height * zoom, x:x + width * zoom] = 255
        assert (sheet[top:] == 255).all()


def test_title_and_headings_are_above_columns():
    images = np.full((8, 1, 28, 28), 255, np.uint8)
    plain = picture(grid, images, 'a long title, longer than this', 4)
    sheet = picture(grid, images, 'a long title, longer than this', 4, ('a', 'b', 'c', 'a - b + c'))
    assert (sheet[:40] == plain[:40]).all() and (sheet[66:] == 255).all()
    columns = (sheet[40:66] < 128).all(axis=2).any(axis=0)
    assert all(columns[6 + 86 * i:90 + 86 * i].any() for i in range(4))
    assert not columns[[0, 1, 90, 91, 176, 177, 262, 263, -2, -1]].any()


def test_bars_have_the_right_heights():
    due = np.full(10, 0.1)
    even, all_in_one = (picture(histogram, shares, due, 'title') for shares in (due, np.eye(10)[9]))
    assert even.shape == all_in_one.shape
    assert count(even, palette.BLUE) > 10000 and count(even, palette.BLACK) > 1000
    blue = np.abs(all_in_one.astype(int) - [0x00, 0x72, 0xB2]).max(axis=2) <= 40
    bar = blue.sum(axis=0) > 100
    legend = np.flatnonzero(blue[:, ~bar].sum(axis=1) > 10)
    assert len(legend) and legend.max() < np.flatnonzero(blue[:, bar].any(axis=1)).min()


def test_markers_of_many_classes_are_visible():
    drawn = picture(histogram, np.full(47, 0.03), np.full(47, 0.02), 'title')
    black = (drawn < 128).all(axis=2)[:300, 90:]        # inside the axes
    marks = black[black.sum(axis=1).argmax()]
    assert (marks[1:] & ~marks[:-1]).sum() == 47
    blue = np.abs(drawn[60:, 90:].astype(int) - [0x00, 0x72, 0xB2]).max(axis=2) <= 40
    assert blue.any(axis=1).sum() > 120     # the bars are visible too, although they are short
