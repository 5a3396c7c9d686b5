import numpy
import pytest
from PIL import Image

from lsgan.datasets.images import ImageSet, StackedSet, fingerprint, is_grey, scaled, to_bytes, to_grey


def test_scaling_and_back():
    every = numpy.arange(256, dtype=numpy.uint8)
    values = scaled(every)
    assert values.dtype == numpy.float32
    numpy.testing.assert_allclose(values[[0, 51, 255]], [-1, -0.6, 1], atol=1e-6)
    assert numpy.array_equal(to_bytes(values), every)
    assert to_bytes(numpy.float32([-1.3, 2.0])).tolist() == [0, 255]


def test_images_are_drawn_uniformly(make_stream):
    images = numpy.arange(10, dtype=numpy.uint8).reshape(10, 1, 1, 1) * numpy.ones((1, 3, 2, 4), numpy.uint8)
    drawn = ImageSet(lambda: images).sample(20000, make_stream())
    assert drawn.shape == (20000, 3, 2, 4) and drawn.dtype == numpy.float32
    assert (drawn == drawn[:, :1, :1, :1]).all()
    counts = numpy.bincount(to_bytes(drawn[:, 0, 0, 0]), minlength=10)
    assert counts == pytest.approx(2000, abs=5 * 2000 ** 0.5)


def test_mirror_images_are_drawn_as_often(make_stream):
    images = numpy.arange(5 * 3, dtype=numpy.uint8).reshape(5, 1, 1, 3)
    drawn = to_bytes(ImageSet(lambda: images, mirror=True).sample(20000, make_stream()))
    kinds, counts = numpy.unique(drawn.reshape(-1, 3), axis=0, return_counts=True)
    expected = numpy.concatenate([images, images[:, :, :, ::-1]]).reshape(-1, 3)
    assert kinds.tolist() == sorted(expected.tolist())
    assert counts == pytest.approx(2000, abs=5 * 2000 ** 0.5)


def test_images_are_loaded_once_and_lazily(make_stream):
    calls = []
    images = ImageSet(lambda: calls.append(1) or numpy.zeros((9, 1, 4, 4), numpy.uint8))
    assert not calls
    for _ in range(2):
        images.sample(3, make_stream())
    assert calls == [1] and images.images.dtype == numpy.uint8 and images.images.shape == (9, 1, 4, 4)


def test_channels_of_stacked_images_are_drawn_independently(make_stream):
    images = numpy.arange(4, dtype=numpy.uint8).reshape(4, 1, 1, 1) * numpy.ones((2, 3), numpy.uint8)
    stacked = StackedSet(lambda: images)
    drawn = stacked.sample(32000, make_stream())
    assert drawn.shape == (32000, 3, 2, 3) and drawn.dtype == numpy.float32
    assert (drawn == drawn[:, :, :1, :1]).all()
    kinds, counts = numpy.unique(to_bytes(drawn[:, :, 0, 0]), axis=0, return_counts=True)
    assert len(kinds) == 64 and counts == pytest.approx(500, abs=5 * 500 ** 0.5)
    assert numpy.array_equal(stacked.sample(7, make_stream(1)), StackedSet(lambda: images).sample(7, make_stream(1)))


def test_images_for_pictures_are_different():
    images = numpy.arange(12, dtype=numpy.uint8).reshape(12, 1, 1, 1)
    for n in 5, 12, 20:
        some = ImageSet(lambda: images).some(n)
        assert len(numpy.unique(some)) == len(some) == min(n, 12)
        stacked = StackedSet(lambda: images[:11]).some(n)
        assert stacked.shape == (min(n, 3), 3, 1, 1) and len(numpy.unique(stacked)) == stacked.size
    assert numpy.array_equal(ImageSet(lambda: images).some(5), ImageSet(lambda: images).some(5))


def test_fingerprint_distinguishes_sets():
    images = numpy.arange(3000 * 12, dtype=numpy.uint32).astype(numpy.uint8).reshape(3000, 3, 2, 2)
    other = images.copy()
    other[2999, 2, 1, 1] += 1
    prints = {fingerprint(each) for each in (images, other, images[:-1], images[::-1], images.reshape(3000, 3, 4, 1))}
    assert len(prints) == 5 and fingerprint(images) == fingerprint(images.copy())
    labels = numpy.arange(3000, dtype=numpy.uint8)
    assert len(prints | {fingerprint(images, labels), fingerprint(labels, images), fingerprint(images, labels[::-1])}) == 8


def test_stream_determines_batches(make_stream):
    images = ImageSet(lambda: numpy.random.default_rng(0).integers(256, size=(50, 1, 4, 4)).astype(numpy.uint8))
    assert numpy.array_equal(images.sample(9, make_stream(1)), images.sample(9, make_stream(1)))
    assert not numpy.array_equal(images.sample(9, make_stream(1)), images.sample(9, make_stream(2)))


def test_almost_grey_is_not_grey():
    grey = numpy.random.default_rng(0).integers(256, size=(2500, 1, 4, 4), dtype=numpy.uint8).repeat(3, axis=1)
    assert is_grey(grey)
    for channel in range(3):
        coloured = grey.copy()
        coloured[-1, channel, 3, 3] ^= 1
        assert not is_grey(coloured)


def test_greyscale_equals_pillow():
    colours = numpy.random.default_rng(0).integers(256, size=(1100, 3, 8, 8), dtype=numpy.uint8)
    made = to_grey(colours)
    assert made.shape == (1100, 1, 8, 8) and made.dtype == numpy.uint8
    for image, wanted in zip(made, colours):
        assert numpy.array_equal(image[0], numpy.asarray(Image.fromarray(wanted.transpose(1, 2, 0)).convert('L')))
    grey = made.repeat(3, axis=1)
    assert numpy.array_equal(to_grey(grey), made) and numpy.shares_memory(to_grey(grey), grey)
    grey[0, 0, 0, 0] ^= 255     # makes one image coloured; the others must keep their grey levels
    assert numpy.array_equal(to_grey(grey)[1:], made[1:])
