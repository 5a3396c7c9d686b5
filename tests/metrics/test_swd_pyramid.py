import numpy
import pytest

from lsgan.metrics.swd import pyramid_distances, pyramid_projections


def smooth(n=80, side=64, seed=0, colours=3):
    """Return smooth random images with grey levels around 128."""
    images = numpy.random.default_rng(seed).normal(128, 60, (n, colours, side // 8, side // 8)).repeat(8, 2).repeat(8, 3)
    for axis in 2, 3:
        for width in 7, 7, 5, 3:
            images = sum(numpy.roll(images, k, axis) for k in range(width)) / width
    return images


def noise(n=50, side=32, seed=0):
    return numpy.random.default_rng(seed).integers(256, size=(n, 3, side, side), dtype=numpy.uint8)


def distances(a, b):
    return pyramid_distances(pyramid_projections(a), pyramid_projections(b))


@pytest.mark.parametrize('height, width, levels', [(16, 16, [16]), (31, 31, [31]), (32, 32, [32, 16]), (40, 40, [40, 20]),
                                                   (128, 128, [128, 64, 32, 16]), (64, 32, [64, 32]), (20, 70, [20]),
                                                   (65, 65, [65, 33, 17])])
@pytest.mark.parametrize('colours', [1, 3])
def test_levels_are_halved_down_to_16_pixels(height, width, levels, colours):
    images = numpy.random.default_rng(0).random((3, colours, height, width))
    projections = pyramid_projections(images)
    assert list(projections) == levels
    for rows in projections.values():
        assert rows.shape == (128, 3 * 32) and rows.dtype == numpy.float32
        assert (numpy.diff(rows, axis=1) >= 0).all()
    assert list(pyramid_distances(projections, projections).values()) == [0] * len(levels)


def test_distance_is_mean_difference_of_sorted_projections():
    a = {32: numpy.float32([[0, 1, 5], [-1, 0, 1]]), 16: numpy.float32([[1, 1, 1], [2, 2, 2]])}
    b = {32: numpy.float32([[0, 2, 2], [-2, 1, 1]]), 16: numpy.float32([[1, 1, 1], [2, 2, 3.5]])}
    found = pyramid_distances(a, b)
    assert found == {32: pytest.approx((0 + 1 + 3 + 1 + 1 + 0) / 6), 16: pytest.approx(0.25)}
    assert all(isinstance(distance, float) for distance in found.values())


def test_projections_of_white_noise_are_standard():
    rows = pyramid_projections(noise())[32]
    assert abs(rows.mean()) < 0.01 and rows.std(axis=1) == pytest.approx(1, abs=0.1)


def test_patches_and_directions_are_normalised():
    # Normalised flat patches are ±(1, 1, 1, ...), and normalised stripes are ±(1, -1, 1, ...). Their projections onto a
    # direction are, up to the sign, nearly independent normal numbers x and y. E||x| - |y|| = (2 sqrt(2) - 2) sqrt(2 / pi).
    flat = numpy.where(numpy.arange(60) < 30, 50, 200)[:, None, None, None] * numpy.ones((1, 3, 16, 16))
    stripes = numpy.where(numpy.arange(16) % 2, 3, 1) * numpy.ones((60, 3, 16, 1))
    found = [pyramid_distances(pyramid_projections(flat, seed), pyramid_projections(stripes, seed))[16] for seed in range(9)]
    assert numpy.mean(found) == pytest.approx((2 * 2 ** 0.5 - 2) * (2 / numpy.pi) ** 0.5, rel=0.1)


@pytest.mark.parametrize('n', [80, 300])
def test_equal_sets_have_distance_0(n):
    a = smooth(n, 32)
    b = a.copy()
    b[-20:] = noise(20)         # the last images are in the second block if n = 300
    assert distances(a, a.copy()) == {32: 0, 16: 0}
    assert all(distance > 0.005 for distance in distances(a, b).values())


def test_similar_sets_are_near():
    a, b = smooth(seed=0), smooth(seed=1)
    near, shuffled, far = distances(a, b), distances(a, a[::-1]), distances(a, noise(80, 64))
    assert near == distances(b, a)
    assert all(2 * max(near[level], shuffled[level]) < far[level] for level in (64, 32))


@pytest.mark.parametrize('change', [lambda a: 0.5 * a + 40, lambda a: a / 127.5 - 1, lambda a: a * [[[0.2]], [[3]], [[1]]],
                                    lambda a: a + [[[-100]], [[0]], [[1000]]]])
def test_brightness_and_contrast_are_ignored(change):
    a = smooth()
    assert distances(a, change(a)) == pytest.approx({64: 0, 32: 0, 16: 0}, abs=1e-3)


def test_inverted_and_exchanged_colours_are_seen():
    a = smooth() ** 2               # makes the distribution asymmetric, so that it differs from its negative
    b = a.copy()
    b[:, 1] = b[:, 0]               # makes two channels equal
    assert distances(a, b)[16] > 0.05
    assert distances(a, -a)[16] > 2 * distances(a, a[::-1])[16]


def test_noise_changes_finest_level_most():
    a = smooth()
    found = distances(a, a + numpy.random.default_rng(2).normal(0, 10, a.shape))
    assert found[64] > 2 * found[32] > 4 * found[16]


def test_blur_changes_finest_level_most():
    a = smooth() + 20 * numpy.random.default_rng(2).standard_normal((80, 3, 64, 64))
    blurred = sum(numpy.roll(a, (y, x), (2, 3)) for y in (-1, 0, 1) for x in (-1, 0, 1)) / 9
    found = distances(a, blurred)
    assert found[64] > 2 * found[32] > 2 * found[16]


def test_checkerboard_changes_only_finest_level():
    a = smooth()
    board = 30 * (numpy.indices((64, 64)).sum(axis=0) % 2) - 15     # a checkerboard, which the blur removes
    found = distances(a, a + board)
    assert found[64] > 0.1 and found[32] < 1e-4 and found[16] < 1e-4


def test_constant_changes_only_coarsest_level():
    a = smooth()
    found = distances(a, a + numpy.linspace(-100, 100, 80)[:, None, None, None])
    assert found[64] < 1e-4 and found[32] < 1e-4 and found[16] > 0.1


def test_slope_changes_only_coarsest_level():
    # Mirroring at the borders adds a small contribution to the finer levels.
    rows = numpy.arange(64.0) * numpy.linspace(-1, 1, 80)[:, None, None, None]
    a = smooth()
    found = distances(a, a + rows * numpy.ones((64, 1)))
    assert found[16] > 2 * found[64]


@pytest.mark.parametrize('n', [20, 700])
def test_uniform_images_give_finite_numbers(n):
    plain, other = numpy.full((n, 3, 32, 32), 200, numpy.uint8), noise(n)
    assert distances(plain, plain) == distances(plain, plain // 2) == {32: 0, 16: 0}
    # The projections of a single colour are 0, and the others are standard normal, with E|x| = sqrt(2 / pi).
    expected = (2 / numpy.pi) ** 0.5
    assert distances(plain, other) == distances(other, plain) == pytest.approx({32: expected, 16: expected}, rel=0.05)


def test_seed_determines_projections():
    a = noise(5)
    first = pyramid_projections(a)
    numpy.random.seed(7)        # must have no effect
    for again, same in [(pyramid_projections(a), True), (pyramid_projections(a, seed=0), True),
                        (pyramid_projections(a, seed=1), False)]:
        assert all(numpy.array_equal(first[level], again[level]) == same for level in (32, 16))
    assert numpy.array_equal(a, noise(5))
    # The patches of flat images do not depend on the random positions, so only the directions can differ.
    flat = numpy.arange(5)[:, None, None, None] * numpy.ones((1, 1, 16, 16))
    assert not numpy.array_equal(pyramid_projections(flat)[16], pyramid_projections(flat, seed=1)[16])


@pytest.mark.parametrize('n, side', [(4, 32), (6, 32), (5, 64), (5, 16), (5, 40)])
def test_wrong_numbers_and_sizes_are_refused(n, side):
    with pytest.raises(ValueError, match='equally many images of one size'):
        distances(noise(5, 32), noise(n, side))
