import numpy
import pytest
from chainer import serializers

from lsgan.random import Latent, analogy, between, loop, mean, near, serialize_global, way


def draws(stream):
    return [stream.normal((3, 4)), stream.uniform((2, 5)), stream.integers(7, 20)]


def same(first, second):
    return all(numpy.array_equal(a, b) for a, b in zip(first, second))


def test_seed_and_name_determine_numbers(make_stream):
    assert same(draws(make_stream(5, 'data')), draws(make_stream(5, 'data')))


@pytest.mark.parametrize('seed, name', [(6, 'data'), (5, 'latent'), (0, 'data'), (5, '')])
def test_other_seed_or_name_gives_other_numbers(make_stream, seed, name):
    other = draws(make_stream(seed, name))
    assert not any(numpy.array_equal(a, b) for a, b in zip(draws(make_stream(5, 'data')), other))


def test_streams_of_different_names_are_uncorrelated(make_stream):
    data, latent = (make_stream(5, name).normal(10_000) for name in ('data', 'latent'))
    assert abs(numpy.corrcoef(data, latent)[0, 1]) < 0.05     # five standard errors


def test_streams_do_not_affect_each_other(make_stream):
    expected = draws(make_stream(5, 'data'))
    watched, other = make_stream(5, 'data'), make_stream(5, 'pictures')
    before = numpy.random.get_state()[1].copy()
    draws(other)
    assert same(draws(watched), expected)
    assert numpy.array_equal(numpy.random.get_state()[1], before)


def test_normal_numbers_are_standard_and_float32(make_stream):
    x = make_stream().normal((201, 501))
    assert x.shape == (201, 501)
    assert x.dtype == numpy.float32
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.01
    for bound, share in (1, 0.6827), (2, 0.9545), (3, 0.9973):
        assert abs((numpy.abs(x) < bound).mean() - share) < 0.01 / bound
    first, second = x.reshape(-1)[:2 * (x.size // 2)].reshape(2, -1)        # made from the same uniform numbers
    assert abs((first * second).mean()) < 0.02
    assert abs((first ** 2 * second ** 2).mean() - 1) < 0.05


def test_uniform_numbers_are_float32_in_minus_1_to_1(make_stream):
    x = make_stream().uniform((200, 500))
    assert x.shape == (200, 500)
    assert x.dtype == numpy.float32
    assert -1 <= x.min() < -0.999
    assert 0.999 < x.max() < 1
    assert abs(x.mean()) < 0.02
    assert abs(x.var() - 1 / 3) < 0.01


def test_integers_are_uniform(make_stream):
    x = make_stream().integers(5, 100_000)
    assert x.shape == (100_000,)
    assert x.dtype.kind == 'i'
    counts = numpy.bincount(x)
    assert len(counts) == 5
    assert (abs(counts - 20_000) < 5 * 127).all()     # five standard deviations of a share


def test_noisy_arrays_are_joined(make_stream):
    x, y = numpy.ones((2, 3), numpy.float32), numpy.zeros((4, 3), numpy.float32)
    alone, stream = make_stream(3), make_stream(3)
    expected = numpy.concatenate([x + 0.2 * alone.normal((2, 3)), y + 0.2 * alone.normal((4, 3))])
    assert same([stream.add_normal([x, y], 0.2)], [expected])
    assert same([stream.add_normal([x], 0.2)], [x + 0.2 * alone.normal((2, 3))])
    assert expected.dtype == numpy.float32


def test_loaded_stream_continues_exactly(make_stream, transfer):
    stream = make_stream(5, 'data')
    draws(stream)
    loaded = make_stream(8, 'other')
    draws(loaded)
    transfer(stream, loaded)
    expected = draws(stream)
    assert same(draws(loaded), expected)


def test_saving_does_not_change_stream(make_stream, transfer):
    stream, untouched = make_stream(5), make_stream(5)
    transfer(stream, make_stream(6))
    assert same(draws(stream), draws(untouched))


@pytest.mark.parametrize('distribution', ['normal', 'uniform'])
def test_latents_come_from_the_stream(make_stream, distribution):
    z = Latent(16, distribution, make_stream(3))(5)
    assert z.shape == (5, 16)
    assert z.dtype == numpy.float32
    assert numpy.array_equal(z, getattr(make_stream(3), distribution)((5, 16)))


def test_batches_of_latents_follow_each_other_in_the_stream(make_stream):
    latent, stream = Latent(16, 'normal', make_stream(3)), make_stream(3)
    for n in (5, 5, 5, 2, 7, 7):
        assert numpy.array_equal(latent(n), stream.normal((n, 16)))


def test_loaded_latents_continue_exactly(make_stream, transfer):
    latent, other, stream = Latent(16, 'normal', make_stream(3)), Latent(16, 'normal', make_stream(8)), make_stream(3)
    latent(5), other(5)
    stream.normal((5, 16))
    transfer(latent, other)
    for _ in range(2):
        expected = stream.normal((5, 16))
        assert numpy.array_equal(latent(5), expected)
        assert numpy.array_equal(other(5), expected)


def test_unknown_distribution_is_refused(make_stream):
    with pytest.raises(KeyError):
        Latent(16, 'cauchy', make_stream())


def lengths(latents):
    return numpy.linalg.norm(latents.astype(float), axis=-1)


@pytest.mark.parametrize('distribution', ['normal', 'uniform'])
@pytest.mark.parametrize('steps', [2, 3, 10])
def test_way_reaches_its_ends_exactly(make_stream, distribution, steps):
    a, b = Latent(50, distribution, make_stream())(2)
    latents = way(a, b, steps, distribution)
    assert latents.shape == (steps, 50) and latents.dtype == numpy.float32
    assert (latents[0] == a).all() and (latents[-1] == b).all()
    assert numpy.allclose(way(b, a, steps, distribution)[::-1], latents, atol=1e-6)


def test_uniform_latents_are_interpolated_linearly(make_stream):
    a, b = Latent(50, 'uniform', make_stream())(2)
    latents = way(a, b, 5, 'uniform')
    assert numpy.allclose(latents[2], (a + b) / 2, atol=1e-7)
    assert numpy.allclose(numpy.diff(latents, axis=0), (b - a) / 4, atol=1e-6)


def test_normal_latents_are_interpolated_on_sphere(make_stream):
    a, b = Latent(50, 'normal', make_stream())(2)
    b *= 3
    latents = way(a, b, 9, 'normal')
    assert numpy.allclose(lengths(latents), numpy.linspace(lengths(a), lengths(b), 9), rtol=1e-6)
    u = latents / lengths(latents)[:, None]
    assert numpy.ptp(numpy.arccos((u[1:] * u[:-1]).sum(axis=1))) < 1e-5
    plane = numpy.linalg.svd(latents.astype(float), compute_uv=False)
    assert plane[2] < 1e-5 * plane[1]


@pytest.mark.parametrize('size', [1, 2, 50])
@pytest.mark.parametrize('factors', [(1, 1), (1, 2), (1, -1), (1, -3), (0, 1), (1, 0), (0, 0), (1, 1 + 1e-7), (1, -1 + 1e-7)])
def test_way_between_parallel_opposite_and_zero_latents(make_stream, size, factors):
    z = make_stream().normal(size)
    a, b = (numpy.float32(factor) * z for factor in factors)
    latents = way(a, b, 7, 'normal')
    assert (latents[0] == a).all() and (latents[-1] == b).all() and numpy.isfinite(latents).all()
    if size > 1 or min(factors) >= 0:       # of one number, opposite latents have zero between them
        assert numpy.allclose(lengths(latents), numpy.linspace(lengths(a), lengths(b), 7), rtol=1e-5)
    steps = lengths(numpy.diff(latents, axis=0))
    assert steps.max() <= 1.01 * numpy.pi / 6 * max(lengths(a), lengths(b))     # no leap: half a circle at most


def test_analogy_has_length_of_latents(make_stream):
    a, b, c = Latent(50, 'uniform', make_stream())(3)
    assert numpy.array_equal(analogy(a, b, c, 'uniform'), numpy.clip(a - b + c, -1, 1))
    a, b, c = Latent(50, 'normal', make_stream())(3)
    result = analogy(a, b, c, 'normal')
    assert result.dtype == numpy.float32
    assert numpy.isclose(lengths(result), lengths(numpy.stack([a, b, c])).mean())
    assert numpy.isclose((result * (a - b + c)).sum(), lengths(result) * lengths(a - b + c))
    for distribution in 'normal', 'uniform':
        assert numpy.allclose(analogy(*[a / 9] * 3, distribution), a / 9)
        assert not analogy(*[0 * a] * 3, distribution).any()


@pytest.mark.parametrize('distribution', ['normal', 'uniform'])
def test_means_have_length_of_latents(make_stream, distribution):
    z = Latent(50, distribution, make_stream())(9)
    a, b, c = z[:4], z[4:5], z[5:]
    raw = a.mean(axis=0) - b[0] + c.mean(axis=0)
    result = analogy(a, b, c, distribution)
    assert numpy.allclose(mean(b, distribution), b[0])
    assert numpy.allclose(analogy(a[0], b[0], c[0], distribution), analogy(a[:1], b, c[:1], distribution))
    if distribution == 'uniform':
        assert numpy.allclose(result, numpy.clip(raw, -1, 1)) and numpy.allclose(mean(a, distribution), a.mean(axis=0))
    else:
        for latent, direction, group in (result, raw, z), (mean(a, distribution), a.mean(axis=0), a):
            assert numpy.isclose(lengths(latent), lengths(group).mean())
            assert numpy.allclose(latent / lengths(latent), direction / lengths(direction), atol=1e-6)
    neighbours = near(result, 0.25 * Latent(50, distribution, make_stream())(8), distribution)
    assert neighbours.shape == (8, 50) and neighbours.dtype == result.dtype == mean(a, distribution).dtype == numpy.float32
    if distribution == 'uniform':
        assert abs(neighbours).max() <= 1 and abs(neighbours - result).max() <= 0.25
    else:
        assert numpy.allclose(lengths(neighbours), lengths(result))
    assert lengths(neighbours - result).max() < lengths(z).min() / 2


@pytest.mark.parametrize('distribution', ['normal', 'uniform'])
def test_squares_and_loops_contain_given_latents(make_stream, distribution):
    z = Latent(20, distribution, make_stream())(4)
    square = between(z, 5, distribution)
    assert square.shape == (5, 5, 20) and square.dtype == z.dtype
    assert numpy.array_equal(square[[0, 0, -1, -1], [0, -1, 0, -1]], z)
    sides = [(square[0], 0, 1), (square[-1], 2, 3), (square[:, 0], 0, 2), (square[:, -1], 1, 3)]
    assert all(numpy.array_equal(side, way(z[i], z[j], 5, distribution)) for side, i, j in sides)
    path = loop(z, 6, distribution)
    assert path.shape == (24, 20) and numpy.array_equal(path[::6], z)
    assert numpy.array_equal(numpy.concatenate([path[18:], path[:1]]), way(z[3], z[0], 7, distribution))
    assert numpy.array_equal(loop(z, 1, distribution), z)
    steps = lengths(path - numpy.roll(path, 1, axis=0))
    assert steps.max() < 3 * steps.min()
    if distribution == 'normal':        # as long as the corners, also in the middle
        assert lengths(square).min() > 0.99 * lengths(z).min() and lengths(square).max() < 1.01 * lengths(z).max()


def test_global_state_is_saved_and_restored():
    numpy.random.seed(0)
    numpy.random.standard_normal(3)     # an odd number leaves one cached
    serializer = serializers.DictionarySerializer()
    serialize_global(serializer)
    expected = numpy.random.standard_normal(1000), numpy.random.rand(5)
    numpy.random.seed(1)
    serialize_global(serializers.NpzDeserializer(serializer.target))
    assert same((numpy.random.standard_normal(1000), numpy.random.rand(5)), expected)


def test_saving_does_not_change_global_state():
    numpy.random.seed(0)
    expected = numpy.random.rand(5)
    numpy.random.seed(0)
    serialize_global(serializers.DictionarySerializer())
    assert numpy.array_equal(numpy.random.rand(5), expected)
