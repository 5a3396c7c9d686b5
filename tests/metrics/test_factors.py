import numpy
import pytest

from lsgan.datasets import faces
from lsgan.metrics.factors import FactorReader, fair_values


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Drawn faces, their factor values, and a reader fitted to the first 1,000 of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        images, values, _ = faces.load(32, 1500)
    return images, values, FactorReader(images[:1000], {factor: numbers[:1000] for factor, numbers in values.items()})


def bars(factors, size=32, seed=0):
    """Return noisy images. The brightness of the upper half encodes one factor, the colour of the lower half the other."""
    images = numpy.random.default_rng(seed).normal(100, 20, (len(factors['top']), 3, size, size))
    images[:, :, :size // 2] += 30 * factors['top'][:, None, None, None]
    for i, number in enumerate(factors['bottom']):
        images[i, number, size // 2:] += 60
    return images.clip(0, 255).astype(numpy.uint8)


def some_factors(n=300, seed=0):
    rng = numpy.random.default_rng(seed)
    return {'top': rng.integers(4, size=n), 'bottom': rng.integers(3, size=n)}


@pytest.mark.parametrize('size', [8, 32, 64, 65])
def test_reads_factors_of_unseen_images(size):
    known, others = some_factors(), some_factors(seed=1)
    read = FactorReader(bars(known, size), known).read(bars(others, size, seed=1))
    assert list(read) == ['top', 'bottom']
    for factor, numbers in others.items():
        assert read[factor].shape == (300,) and numpy.issubdtype(read[factor].dtype, numpy.integer)
        assert (read[factor] == numbers).mean() > 0.97


def test_images_are_read_independently():
    known, others = some_factors(), some_factors(20, seed=1)
    reader, images = FactorReader(bars(known), known), bars(others, seed=1)
    together = reader.read(images)
    for i in range(20):
        assert {factor: numbers.tolist() for factor, numbers in reader.read(images[i:i + 1]).items()} \
            == {factor: [numbers[i]] for factor, numbers in together.items()}


def test_reads_rare_values():
    known, others = some_factors(1000), some_factors(seed=1)
    known['top'] = numpy.minimum(numpy.random.default_rng(2).integers(40, size=1000), 3)       # mostly 3
    read = FactorReader(bars(known), known).read(bars(others, seed=1))
    assert (read['top'] == others['top']).mean() > 0.95


def test_inputs_are_not_changed():
    known = some_factors(50)
    images = bars(known)
    FactorReader(images, known).read(images)
    assert numpy.array_equal(images, bars(some_factors(50)))
    assert all(numpy.array_equal(numbers, some_factors(50)[factor]) for factor, numbers in known.items())


def test_reads_faces_except_mouth(drawn):
    images, values, reader = drawn
    right = {factor: (numbers == values[factor][1000:]).mean() for factor, numbers in reader.read(images[1000:]).items()}
    assert right.keys() == faces.FACTORS.keys()
    # Measured accuracies: 0.74 to 0.78 for the mouth, 1 for all other factors.
    assert right.pop('mouth') > 0.6 and min(right.values()) > 0.97


def test_images_without_face_have_no_values(drawn):
    images, _, reader = drawn
    draws = numpy.random.default_rng(0)
    for junk in (draws.integers(256, size=images.shape), images[:, :, ::-1],
                 numpy.broadcast_to(draws.integers(256, size=(len(images), 3, 1, 1)), images.shape)):
        read = reader.read(junk.astype(numpy.uint8))
        assert sum(fair_values(read[name], len(of)) for name, of in faces.FACTORS.items()) < 8


def test_robust_to_little_noise(drawn):
    images, values, reader = drawn
    noisy = images[1000:] + numpy.random.default_rng(0).normal(0, 5, images[1000:].shape)
    read = reader.read(noisy.clip(0, 255).astype(numpy.uint8))
    for factor in faces.FACTORS.keys() - {'mouth'}:
        assert (read[factor] == values[factor][1000:]).mean() > 0.95


@pytest.mark.parametrize('contrast, shift', [(1, (5, 5, 5)), (1, (-5, -5, -5)), (1, (4, -2, 3)), (0.92, (0, 0, 0))])
def test_robust_to_invisible_shade(drawn, contrast, shift):
    images, values, reader = drawn
    shaded = 127.5 + contrast * (images[1000:] - 127.5) + numpy.array(shift)[:, None, None]
    read = reader.read(shaded.clip(0, 255).astype(numpy.uint8))
    for factor in faces.FACTORS.keys() - {'mouth'}:
        assert (read[factor] == values[factor][1000:]).mean() > 0.95


@pytest.mark.parametrize('numbers, n, fair', [
    ([0, 1, 2, 3], 4, 4),
    ([0, 0, 0, 0], 4, 1),
    ([3, 3, 3, 3], 4, 1),
    ([0] * 7 + [1], 4, 2),          # an eighth is half of a quarter, the uniform fraction
    ([0] * 8 + [1], 4, 1),          # a ninth is less
    ([0] * 15 + [1, 2] + [3] * 3, 5, 2),        # 0.75, 0.05, 0.05 and 0.15; the threshold is 0.1
    ([2, 2, 0], 3, 2),
    ([0], 1, 1),
    ([0, 1, -1, -1, -1, -1], 2, 0),     # a sixth each; the threshold is a quarter, and -1 is no value
    ([0, 0, 1, -1], 2, 2),
])
def test_fair_values_of_known_numbers(numbers, n, fair):
    found = fair_values(numpy.array(numbers), n)
    assert found == fair and isinstance(found, int)
    assert fair_values(numpy.random.default_rng(0).permutation(numbers), n) == fair


def test_uniform_values_are_fair(drawn):
    _, values, _ = drawn
    for factor, numbers in values.items():
        assert fair_values(numbers, len(faces.FACTORS[factor])) == len(faces.FACTORS[factor])
        assert fair_values(numbers[numbers != 0], len(faces.FACTORS[factor])) == len(faces.FACTORS[factor]) - 1
