"""Tests of random numbers and batches on a GPU: `pytest -m gpu`. If no GPU works, each test is skipped with the reason."""
import math

import numpy
import pytest
from gpu_checks import emulation

from lsgan.datasets.images import ImageSet, StackedSet, scaled
from lsgan.datasets.mixture import GaussianMixture, ring
from lsgan.functions.gpu.batches import joined
from lsgan.functions.gpu.random import SOURCE
from lsgan.functions.gpu.scalar import Scalar
from lsgan.random import Stream

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures('gpu')]
SIZES = [1, 2, 3, 4, 5, 7, 1023, (3, 5), (2, 3, 4, 5), 1_100_001]       # the last has more elements than there are threads


@pytest.fixture
def stream(gpu):
    return Stream(5, 'test', gpu)


@pytest.fixture
def launches(gpu):
    """A function that calls another one and returns the kernels that it launches.

    A first call compiles the kernels. The test fails if the second call waits for the device or copies anything. It is skipped
    on a real device, because only the emulated device counts.
    """
    emulated = emulation()
    if emulated is None:
        pytest.skip('only the emulated device counts launches, copies and waits')

    def launches(function):
        function()
        kernels, counts = emulated.launched(), emulated.counts()
        function()
        kernels, changed = emulated.launched() - kernels, emulated.counts()
        for what in 'copies in', 'copies out', 'copies within', 'waits':
            assert changed[what] == counts[what], what
        return kernels
    return launches


def philox(counter, key):
    """Compute Philox4x32-10 by its definition (Salmon et al. 2011).

    Args:
        counter: integers (..., 4).
        key (tuple of int): two words.

    Returns:
        numpy.ndarray: random words (..., 4).
    """
    x, (k0, k1) = numpy.asarray(counter, numpy.uint64).T, (numpy.uint64(k) for k in key)
    for _ in range(10):
        p, q = x[0] * numpy.uint64(0xD2511F53), x[2] * numpy.uint64(0xCD9E8D57)
        low, shift = numpy.uint64(0xFFFFFFFF), numpy.uint64(32)
        x = numpy.stack([q >> shift ^ x[1] ^ k0, q & low, p >> shift ^ x[3] ^ k1, p & low])
        k0, k1 = (k0 + numpy.uint64(0x9E3779B9)) & low, (k1 + numpy.uint64(0xBB67AE85)) & low
    return x.T


def words(stream, draw, n):
    """Return the random words (n, 4) that a draw of a stream is made of."""
    key = int(stream.generator.key)
    number = numpy.arange(n)
    counter = numpy.stack([number, 0 * number, 0 * number + draw, 0 * number], axis=1)
    return philox(counter, (key & 0xFFFFFFFF, key >> 32))


def spread(quarters, shape):
    """Return an array of the given shape, made of the elements that each thread computes, (n, 4)."""
    return quarters.T.ravel()[:math.prod(numpy.atleast_1d(shape))].reshape(shape)


def quarter(shape):
    return -(-math.prod(numpy.atleast_1d(shape)) // 4)


# from tests/kat_vectors of Random123, a library by the authors of the paper
@pytest.mark.parametrize('counter, key, expected', [
    ((0, 0, 0, 0), (0, 0), (0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8)),
    ((0xffffffff,) * 4, (0xffffffff,) * 2, (0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd)),
    ((0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344), (0xa4093822, 0x299f31d0),
     (0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1)),
])
def test_published_known_answers(gpu, counter, key, expected):
    kernel = gpu.xp.RawKernel(SOURCE + r'''
extern "C" __global__ void known_answer(uint4 *out, unsigned long long key, unsigned long long draw,
                                        unsigned long long number) {
    *out = philox(key, draw, number);
}''', 'known_answer')
    found = gpu.xp.empty(4, numpy.uint32)
    kernel((1,), (1,), (found, *(numpy.uint64(low | high << 32) for low, high in (key, counter[2:], counter[:2]))))
    assert tuple(found.get().tolist()) == expected
    assert tuple(philox(counter, key).tolist()) == expected


@pytest.mark.parametrize('shape', SIZES)
def test_numbers_are_computed_from_words(stream, shape):
    uniform, normal = stream.uniform(shape), stream.normal(shape)
    assert uniform.dtype == normal.dtype == numpy.float32
    expected = (words(stream, 0, quarter(shape)) >> numpy.uint64(8)) / 2 ** 23 - 1
    assert numpy.array_equal(uniform.get(), spread(expected, shape))

    a, b = words(stream, 1, quarter(shape)).reshape(-1, 2).astype(float).T
    radius, angle = numpy.sqrt(-2 * numpy.log((a + 1) / 2 ** 32)), 2 * numpy.pi * b / 2 ** 32
    expected = numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], axis=1).reshape(-1, 4)
    numpy.testing.assert_allclose(normal.get(), spread(expected, shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('high', [1, 2, 5, 60000, 2 ** 31 + 12345, 2 ** 32])
def test_integers_are_upper_half_of_product(stream, high):
    found = stream.integers(high, (3, 70))
    assert found.dtype == numpy.int64
    x = words(stream, 0, 210)
    expected = [((int(upper) << 32 | int(lower)) * high) >> 64 for upper, lower in x[:, :2]]
    assert found.ravel().tolist() == expected


@pytest.mark.parametrize('high', [0, -3, 2 ** 32 + 1])
def test_integers_without_a_range_are_refused(stream, high):
    with pytest.raises(ValueError, match='2\\^32'):
        stream.integers(high, 3)


def test_radius_near_0_is_accurate(gpu):
    a = numpy.array([0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 100, 2 ** 32 - 3, 2 ** 32 - 2, 2 ** 32 - 1], numpy.uint32)
    found = gpu.xp.empty((len(a), 2), numpy.float32)
    gpu.xp.RawKernel(SOURCE + r'''
extern "C" __global__ void pairs(float2 *out, const unsigned *a, unsigned b) {
    out[threadIdx.x] = normal_pair(a[threadIdx.x], b);
}
''', 'pairs')((1,), (len(a),), (found, gpu.xp.asarray(a), numpy.uint32(0)))
    expected = numpy.sqrt(-2 * numpy.log1p(-(2. ** 32 - 1 - a) / 2 ** 32))
    assert numpy.isfinite(found.get()).all()
    numpy.testing.assert_allclose(found.get()[:, 0], expected, rtol=3e-7)
    assert not found.get()[:, 1].any()


def kolmogorov_smirnov(x, distribution):
    """Return the Kolmogorov-Smirnov statistic of x times the square root of its size; 1.95 corresponds to p = 0.001."""
    x = numpy.sort(numpy.asarray(x, float).ravel())
    expected, n = distribution(x), len(x)
    steps = numpy.arange(n + 1) / n
    return max(abs(expected - steps[1:]).max(), abs(expected - steps[:-1]).max()) * n ** 0.5


def test_numbers_have_their_distributions(stream):
    for _ in range(3):
        z, u = stream.normal((301, 333)).get(), stream.uniform((301, 333)).get()
        assert kolmogorov_smirnov(z, lambda x: 0.5 + 0.5 * numpy.vectorize(math.erf)(x / 2 ** 0.5)) < 1.95
        assert kolmogorov_smirnov(u, lambda x: (x + 1) / 2) < 1.95
        assert -1 <= u.min() < -0.999 and 0.999 < u.max() < 1
        n = z.size
        assert abs(z.mean()) < 4 / n ** 0.5 and abs((z ** 2).mean() - 1) < 4 * (2 / n) ** 0.5
        assert abs((z ** 3).mean()) < 4 * (15 / n) ** 0.5 and abs((z ** 4).mean() - 3) < 4 * (96 / n) ** 0.5
        assert abs(numpy.corrcoef(z.ravel()[1:], z.ravel()[:-1])[0, 1]) < 4 / n ** 0.5
        counts = numpy.bincount(stream.integers(5, 100_000).get(), minlength=5)
        assert len(counts) == 5 and (abs(counts - 20_000) < 4 * 127).all()


@pytest.mark.parametrize('seed, name', [(6, 'test'), (5, 'other')])
def test_streams_and_draws_are_independent(gpu, stream, seed, name):
    draws = [stream.normal(40_000), stream.normal(40_000), Stream(seed, name, gpu).normal(40_000)]
    correlations = numpy.corrcoef([x.get() for x in draws])
    assert (abs(correlations - numpy.eye(3)) < 4 / 200).all()


def test_streams_do_not_affect_each_other(gpu):
    first, second, other = Stream(0, 'a', gpu), Stream(0, 'a', gpu), Stream(0, 'b', gpu)
    for _ in range(3):
        other.normal(100)
        assert (first.normal(100) == second.normal(100)).all()


def everything(stream, mixture, images):
    """Return one draw of each kind, as arrays on the CPU."""
    return [x.get() for x in (stream.normal((3, 5)), stream.uniform(7), stream.integers(10, 4), mixture.sample(5, stream),
                              images.sample(3, stream), stream.add_normal([stream.normal((4, 2))], 0.5))]


@pytest.fixture
def mixture():
    return GaussianMixture(ring(8, 2.0), 0.2)


@pytest.fixture
def byte_images():
    return numpy.random.default_rng(0).integers(256, size=(20, 3, 6, 4)).astype(numpy.uint8)


def test_saved_stream_continues(gpu, transfer, mixture, byte_images):
    images = ImageSet(lambda: byte_images, mirror=True)
    first, second = (Stream(3, 'test', gpu) for _ in range(2))
    for _ in range(3):
        everything(first, mixture, images)
    transfer(first, second)
    for ours, theirs in zip(everything(first, mixture, images), everything(second, mixture, images)):
        assert numpy.array_equal(ours, theirs)


def captured(gpu, function):
    """Capture a function after two warm-up calls; return the graph, the function's result and the stream of the capture."""
    stream = gpu.xp.cuda.Stream(non_blocking=True)
    gpu.xp.cuda.Device().synchronize()
    with stream:
        for _ in range(2):
            function()
        stream.begin_capture()
        result = function()
        graph = stream.end_capture()
    stream.synchronize()
    return graph, result, stream


def test_replayed_graph_draws_the_same_numbers(gpu, mixture, byte_images):
    replayed, eager = (Stream(3, 'test', gpu) for _ in range(2))
    images = ImageSet(lambda: byte_images, mirror=True)
    sigma, points = Scalar(0.5), gpu.xp.ones((4, 2), numpy.float32)

    def draw(stream):
        return [stream.normal((300, 7)), stream.uniform(11), stream.integers(1000, 13), mixture.sample(9, stream),
                images.sample(5, stream), stream.add_normal([points, points[:3]], sigma)]

    graph, result, current = captured(gpu, lambda: draw(replayed))
    for _ in range(2):      # the two warm-up calls; the capture itself draws nothing
        draw(eager)
    for i in range(3):
        with current:
            sigma.value = 0.5 + i
            graph.launch(current)
            current.synchronize()
        for ours, theirs in zip(result, draw(eager)):
            assert (ours == theirs).all()
        gpu.xp.cuda.Device().synchronize()
    assert (replayed.normal(100) == eager.normal(100)).all()


def test_mixture_equals_cpu(gpu, stream):
    centers, n = ring(8, 2.0), 40_000
    points = GaussianMixture(centers, 0.2).sample(n, stream)
    assert isinstance(points, gpu.xp.ndarray) and points.shape == (n, 2) and points.dtype == numpy.float32
    points = points.get()
    nearest = numpy.linalg.norm(points[:, None] - centers, axis=2).argmin(axis=1)
    counts = numpy.bincount(nearest, minlength=8)
    assert (abs(counts - n / 8) < 4 * (n / 8 * 7 / 8) ** 0.5).all()
    offsets = (points - centers[nearest]) / 0.2
    for axis in offsets.T:
        assert kolmogorov_smirnov(axis, lambda x: 0.5 + 0.5 * numpy.vectorize(math.erf)(x / 2 ** 0.5)) < 1.95
    assert abs(numpy.corrcoef(offsets.T)[0, 1]) < 4 / n ** 0.5
    only = GaussianMixture(centers, 0.0).sample(500, stream).get()
    assert {tuple(p) for p in only} == {tuple(c) for c in centers.astype(numpy.float32)}


@pytest.mark.parametrize('channels, height, width', [(1, 4, 4), (3, 5, 7), (3, 40, 33)])
@pytest.mark.parametrize('mirror', [False, True])
def test_mirror_images_are_drawn_as_often(stream, channels, height, width, mirror):
    rng = numpy.random.default_rng(0)
    images = rng.integers(256, size=(6, channels, height, width)).astype(numpy.uint8)
    known = numpy.concatenate([images, images[:, :, :, ::-1]]) if mirror else images
    n = 600
    drawn = ImageSet(lambda: images, mirror).sample(n, stream)
    assert drawn.shape == (n, channels, height, width) and drawn.dtype == numpy.float32
    assert drawn.transpose(0, 2, 3, 1).flags.c_contiguous
    numbers = {x.tobytes(): i for i, x in enumerate(scaled(known))}
    counts = numpy.bincount([numbers[x.tobytes()] for x in drawn.get()], minlength=len(known))
    assert (abs(counts - n / len(known)) < 4 * (n / len(known)) ** 0.5).all()


def test_images_in_main_memory_give_the_same_batches(gpu, monkeypatch, byte_images):
    held, beside = (ImageSet(lambda: byte_images, mirror=True) for _ in range(2))
    first, second = (Stream(0, 'data', gpu) for _ in range(2))
    held.sample(1, first)
    monkeypatch.setattr(gpu.xp.cuda.runtime, 'memGetInfo', lambda: (500, 500))
    beside.sample(1, second)
    assert isinstance(held.images, gpu.xp.ndarray) and isinstance(beside.images, numpy.ndarray)
    for n in 9, 50:
        ours, theirs = held.sample(n, first), beside.sample(n, second)
        assert (ours == theirs).all() and ours.strides == theirs.strides


def test_stacked_images_are_drawn_on_the_device(stream, byte_images):
    grey = byte_images[:, :1]
    stacked = StackedSet(lambda: grey)
    drawn = stacked.sample(300, stream)
    assert drawn.shape == (300, 3, *grey.shape[2:]) and stacked.on_device
    known = {x.tobytes(): i for i, x in enumerate(scaled(grey[:, 0]))}
    numbers = numpy.array([[known[channel.tobytes()] for channel in x] for x in drawn.get()])
    assert len(numpy.unique(numbers)) == 20 and len(numpy.unique(numbers, axis=0)) > 250        # of 8,000 combinations


def in_memory(gpu, x, last):
    """Return an array on the GPU, in C order or, if `last` is True, with channels last in memory."""
    return gpu.send(numpy.ascontiguousarray(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2) if last else gpu.send(x)


@pytest.mark.parametrize('dtype', [numpy.float32, numpy.float64])
@pytest.mark.parametrize('shape, lasts', [((5, 2), (False,)), ((5, 2), (False, False)), ((3, 2, 4, 5), (True,)),
                                          ((3, 2, 4, 5), (True, True)), ((3, 2, 4, 5), (True, False)),
                                          ((3, 2, 4, 5), (False, False)), ((3, 1, 4, 5), (True, False))])
def test_joining_keeps_memory_layout(gpu, stream, dtype, shape, lasts):
    rng = numpy.random.default_rng(0)
    parts = [rng.standard_normal((n, *shape[1:])).astype(dtype) for n in (shape[0], 7)[:len(lasts)]]
    arrays = [in_memory(gpu, x, last) for x, last in zip(parts, lasts)]
    whole = numpy.concatenate(parts)
    noisy = stream.add_normal(arrays, Scalar(0.25))
    for made in joined(arrays), noisy:
        assert made.dtype == dtype and made.shape == whole.shape
        assert (made.transpose(0, 2, 3, 1) if any(lasts) else made).flags.c_contiguous
    assert numpy.array_equal(joined(arrays).get(), whole)
    assert numpy.array_equal(stream.add_normal(arrays, 0.0).get(), whole)

    order = (0, 2, 3, 1) if any(lasts) else range(whole.ndim)
    expected = Stream(5, 'test', gpu).normal(whole.transpose(order).shape).get()
    assert numpy.allclose((noisy.get() - whole).transpose(order), 0.25 * expected, atol=1e-6)


def test_three_batches_are_refused(gpu):
    with pytest.raises(ValueError):
        joined([gpu.xp.zeros((2, 2), numpy.float32)] * 3)


def test_a_scalar_is_set_only_if_it_changes(gpu):
    scalar = Scalar(0.1)
    memory = scalar.array
    assert memory.dtype == numpy.float64 and memory.get().tolist() == [0.1] and scalar.value == 0.1
    scalar.value = 1 / 3
    assert scalar.array is memory and memory.get().tolist() == [1 / 3]
    memory[0] = 7.0
    scalar.value = 1 / 3
    assert memory.get().tolist() == [7.0]


def test_draw_is_one_launch(gpu, stream, launches, mixture, byte_images):
    x = in_memory(gpu, numpy.zeros((4, 3, 6, 4), numpy.float32), True)
    images, scalar = ImageSet(lambda: byte_images, mirror=True), Scalar(0.1)
    assert launches(lambda: stream.normal((5, 3))) == {'draw_normal': 1}
    assert launches(lambda: stream.uniform((5, 3))) == {'draw_uniform': 1}
    assert launches(lambda: stream.integers(9, (5, 3))) == {'draw_integers': 1}
    assert launches(lambda: mixture.sample(7, stream)) == {'draw_points': 1}
    assert launches(lambda: images.sample(7, stream)) == {'draw_images': 1}
    assert launches(lambda: joined([x, x])) == {'join': 1}
    assert launches(lambda: joined([x])) == {}
    assert launches(lambda: stream.add_normal([x, x], scalar)) == {'add_normal': 1}
    assert launches(lambda: stream.add_normal([x], 0.1)) == {'add_normal': 1}

    def rise():
        scalar.value += 1
        return scalar
    assert launches(rise) == {'set_scalar': 1}
