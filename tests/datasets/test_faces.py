import dataclasses
import itertools
import shutil

import numpy
import pytest
from PIL import ImageColor

from lsgan.datasets import faces
from lsgan.datasets.faces import FACTORS, Face


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Path of the image cache, in a temporary folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'lsgan' / 'images'


def changed(a, b, size=64):
    """Return where the pictures of two faces differ visibly, as a bool array of shape (size, size)."""
    a, b = (faces.draw(face, size).astype(int) for face in (a, b))
    return (numpy.abs(a - b).max(axis=0) > 8)


@pytest.mark.parametrize('size', [32, 48, 64, 100, 128, 256])
def test_any_size(size):
    for hair, pose in itertools.product(faces.HAIR, faces.POSE):
        picture = faces.draw(Face(hair=hair, pose=pose), size)
        assert picture.shape == (3, size, size) and picture.dtype == numpy.uint8
        assert numpy.array_equal(picture, faces.draw(Face(hair=hair, pose=pose), size))


def test_face_looks_the_same_at_all_sizes():
    small, large = (faces.draw(Face(), size).astype(float) for size in (32, 256))
    assert numpy.abs(large.reshape(3, 32, 8, 32, 8).mean(axis=(2, 4)) - small).mean() < 5


@pytest.mark.parametrize('factor', FACTORS)
@pytest.mark.parametrize('size', [32, 128])
def test_values_of_a_factor_differ(factor, size):
    least = {'mouth': 0.008, 'eyes': 0.015}.get(factor, 0.08)      # fraction of all pixels
    for a, b in itertools.combinations(FACTORS[factor], 2):
        assert changed(Face(**{factor: a}), Face(**{factor: b}), size).mean() > least * (1 if size == 32 else 0.6), (a, b)


def test_default_values_are_known():
    face = dataclasses.asdict(Face())
    assert all(face[factor] in values for factor, values in FACTORS.items())
    assert face.keys() - FACTORS == {'x', 'y', 'scale'}


def test_any_colour():
    palettes = {'background': faces.BACKGROUND, 'skin': faces.SKIN, 'hair_colour': faces.HAIR_COLOUR, 'eyes': faces.EYES}
    for factor, palette in palettes.items():
        for name, colour in palette.items():
            assert not changed(Face(**{factor: name}), Face(**{factor: colour})).any()
        assert changed(Face(), Face(**{factor: '#12fe34'})).any()


@pytest.mark.parametrize('factor', ['eyes', 'mouth', 'skin', 'hair_colour'])
def test_factor_changes_only_its_part(factor):
    parts = numpy.zeros((64, 64), bool)
    for value in FACTORS[factor]:
        parts |= changed(Face(), Face(**{factor: value}))
    rows, columns = numpy.nonzero(parts)
    assert 0.05 < columns.min() / 64 and columns.max() / 64 < 0.95      # the background is unchanged
    if factor == 'eyes':
        assert 0.4 < rows.min() / 64 and rows.max() / 64 < 0.7
    if factor == 'mouth':
        assert 0.6 < rows.min() / 64 and rows.max() / 64 < 0.85


def test_position_moves_face():
    still = faces.draw(Face(scale=0.7), 64)
    assert numpy.array_equal(faces.draw(Face(scale=0.7, x=4 / 64), 64)[:, :, 4:], still[:, :, :-4])
    assert numpy.array_equal(faces.draw(Face(scale=0.7, x=-3 / 64), 64)[:, :, :-3], still[:, :, 3:])
    assert numpy.array_equal(faces.draw(Face(scale=0.7, y=5 / 64), 64)[:, 5:50], still[:, :45])
    assert numpy.array_equal(faces.draw(Face(scale=0.7, y=-5 / 64), 64)[:, :45], still[:, 5:50])


def test_scale_changes_size_of_face():
    areas = []
    for scale in 0.3, 0.6:
        sky, picture = numpy.array(ImageColor.getrgb(faces.BACKGROUND['sky'])), faces.draw(Face(scale=scale), 256)
        rows, columns = numpy.nonzero((picture != sky[:, None, None]).any(axis=0))
        areas.append((numpy.ptp(rows) + 1, numpy.ptp(columns) + 1))
        assert (columns.min() + columns.max()) / 2 == pytest.approx(127.5, abs=1.5)
    assert numpy.array(areas[1]) / areas[0] == pytest.approx(2, rel=0.03)


def test_left_mirrors_right():
    left, front, right = (faces.draw(Face(pose=pose), 64).astype(int) for pose in ('left', 'front', 'right'))
    assert numpy.abs(left - right[:, :, ::-1]).mean() < 3 < 8 < numpy.abs(left - right).mean()
    assert numpy.abs(front - front[:, :, ::-1]).mean() < 3


def test_load_returns_images_and_values():
    images, values, _ = faces.load(32, 400)
    assert images.shape == (400, 3, 32, 32) and images.dtype == numpy.uint8
    with pytest.raises(ValueError, match='read-only'):
        images[0, 0, 0, 0] = 0
    assert list(values) == list(FACTORS)
    for factor, numbers in values.items():
        assert numbers.shape == (400,) and numpy.issubdtype(numbers.dtype, numpy.integer)
        share = 1 / len(FACTORS[factor])
        counts = numpy.bincount(numbers)
        assert len(counts) == len(FACTORS[factor])
        assert counts == pytest.approx(400 * share, abs=4 * (400 * share * (1 - share)) ** 0.5)
    # A corner shows the background, and no two faces are equal.
    colours = numpy.array([ImageColor.getrgb(colour) for colour in faces.BACKGROUND.values()])
    assert numpy.array_equal(images[:, :, 0, 0], colours[values['background']])
    assert len({image.tobytes() for image in images}) == 400


def test_factors_are_independent():
    values = faces.load(32, 1000)[1]
    for a, b in itertools.combinations(values.values(), 2):
        assert abs(numpy.corrcoef(a, b)[0, 1]) < 4 / 1000 ** 0.5


def test_loaded_faces_match_values():
    images, values, _ = faces.load(32, 200)

    def off(numbers):
        """Return the mean difference between the images and faces with these values, drawn at the default position."""
        drawn = [faces.draw(Face(**{factor: FACTORS[factor][of[i]] for factor, of in numbers.items()}), 32)
                 for i in range(200)]
        return numpy.abs(numpy.stack(drawn).astype(int) - images).mean()
    own = off(values)
    for factor, of in FACTORS.items():
        least = 1.01 if factor in ('mouth', 'eyes') else 1.2
        assert off(values | {factor: (values[factor] + 1) % len(of)}) > least * own, factor


def test_faces_are_drawn_once_and_repeatable(cache, monkeypatch):
    images, values, _ = faces.load(32, 60)
    shutil.rmtree(cache)
    again, others, _ = faces.load(32, 60)
    assert numpy.array_equal(again, images) and all(numpy.array_equal(others[name], values[name]) for name in FACTORS)
    fewer, others, _ = faces.load(32, 30)
    assert len(fewer) == 30 and all(len(numbers) == 30 for numbers in others.values())
    larger, others, _ = faces.load(64, 60)
    assert larger.shape == (60, 3, 64, 64) and all(numpy.array_equal(others[name], values[name]) for name in FACTORS)
    monkeypatch.setattr(faces, 'draw', lambda *_: pytest.fail('it was drawn again'))
    assert numpy.array_equal(faces.load(32, 60)[0], images)
