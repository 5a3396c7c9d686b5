"""Tests of the metrics that compare coloured images with real images."""
import numpy
import pytest

from lsgan.datasets.faces import FACTORS, Face, draw
from lsgan.datasets.images import scaled, to_grey
from lsgan.training.gallery import Gallery


def faces(n, seed=0, **fixed):
    draws = numpy.random.default_rng(seed)
    numbers = {name: draws.integers(len(of), size=n) for name, of in FACTORS.items()}
    numbers |= {name: numpy.full(n, value) for name, value in fixed.items()}
    places = draws.uniform(-0.02, 0.02, (n, 2))
    images = numpy.stack([draw(Face(*(of[numbers[name][i]] for name, of in FACTORS.items()), *places[i]), 32)
                          for i in range(n)])
    return images, numbers, f'{n} faces'


@pytest.fixture(scope='module')
def known():
    return faces(600)


def test_images_are_loaded_once_and_lazily(known):
    calls = []
    gallery = Gallery(lambda: calls.append(1) or known)
    assert not calls
    gallery.metrics(scaled(known[0][:50]))
    gallery.metrics(scaled(known[0][50:100]))
    assert gallery.images is known[0] and gallery.fingerprint == '600 faces' and calls == [1]


def test_metrics_of_real_images(known):
    metrics = Gallery(lambda: known).metrics(scaled(faces(300, 1)[0]))
    assert metrics['sliced_wasserstein'] == pytest.approx(metrics['sliced_wasserstein_floor'], rel=0.4)
    for height in 32, 16:
        distance, floor = (metrics[f'sliced_wasserstein_{height}{end}'] for end in ('', '_floor'))
        assert distance == pytest.approx(floor, rel=0.5)
    for name in 'frechet_distance', 'chroma_distance':
        assert 0.3 < metrics[name] / metrics[f'{name}_floor'] < 3
    for name in 'precision', 'recall', 'chroma', 'near_black', 'near_white':
        assert metrics[name] == pytest.approx(metrics[f'{name}_real'], rel=0.2)
    assert metrics['precision'] > 0.6 and metrics['recall'] > 0.6
    assert metrics['diversity'] == pytest.approx(1, abs=0.05)
    assert metrics['nearest_distance'] == pytest.approx(metrics['nearest_distance_real'], rel=0.2)
    # of the mouth, which is small, not each value is read
    assert metrics['values_total'] == 29 and metrics['values_fair'] >= 28 and metrics['hair_values'] == 4


def test_metrics_detect_copies_noise_and_missing_values(known):
    gallery = Gallery(lambda: known)
    copies = gallery.metrics(scaled(numpy.repeat(known[0][:1], 100, axis=0)))
    assert copies['diversity'] == pytest.approx(0, abs=1e-3) and copies['nearest_distance'] == 0
    assert copies['values_fair'] == 7 and copies['recall'] < 0.1 < copies['recall_real']
    noise = numpy.random.default_rng(0).uniform(-1, 1, (100, 3, 32, 32)).astype(numpy.float32)
    noisy = gallery.metrics(noise)
    assert noisy['sliced_wasserstein'] > 3 * noisy['sliced_wasserstein_floor']
    assert noisy['frechet_distance'] > 10 * noisy['frechet_distance_floor']
    assert noisy['precision'] < 0.5 * noisy['precision_real'] and noisy['recall'] == 0
    fair = gallery.metrics(scaled(faces(100, 2, hair=0, background=3)[0]))
    assert (fair['hair_values'], fair['background_values'], fair['skin_values']) == (1, 1, 4)


def test_reliability_of_factors(monkeypatch, known):
    monkeypatch.setattr('lsgan.training.gallery._KNOWN', 400)       # 200 others are left
    images, factors, _ = known
    factors = {**factors, 'told by nothing': numpy.random.default_rng(1).integers(4, size=600)}
    reliability = Gallery(lambda: (images, factors, '')).reliability()
    assert reliability['hair_colour'] > 0.98 and reliability['told by nothing'] == pytest.approx(0.25, abs=0.12)


def test_metrics_detect_strong_colours(known):
    strong = numpy.clip(1.5 * scaled(known[0][:200]), -1, 1)
    metrics = Gallery(lambda: known).metrics(strong)
    assert metrics['chroma'] > 1.05 * metrics['chroma_real']
    assert metrics['chroma_distance'] > 3 * metrics['chroma_distance_floor']
    assert metrics['near_white'] > 1.2 * metrics['near_white_real']


def test_diversity_of_equal_images_is_nan():
    images = numpy.zeros((600, 3, 32, 32), numpy.uint8)
    images[numpy.random.default_rng(0).permutation(600)[-1]] = 9     # one that is not among those compared
    metrics = Gallery(lambda: (images, {}, '')).metrics(scaled(faces(20)[0]))
    assert numpy.isnan(metrics['diversity']) and metrics['sliced_wasserstein'] > 0


def test_nearest_distance_of_real_images(known):
    images, *_ = known
    metrics = Gallery(lambda: (images[:210], {}, '')).metrics(scaled(faces(200, 1)[0]))
    assert metrics['nearest_distance'] == pytest.approx(metrics['nearest_distance_real'], rel=0.1)
    turned = Gallery(lambda: (images[:100], {}, ''), mirror=True).metrics(scaled(images[:50, :, :, ::-1]))
    assert turned['nearest_distance'] == 0 < turned['nearest_distance_real']


def test_number_of_compared_images(known):
    images, *_ = known
    few = Gallery(lambda: (images[:20], {}, ''))
    metrics = few.metrics(scaled(images[20:60]))
    assert metrics['sliced_wasserstein'] > 0 and 'values_fair' not in metrics


def test_grey_images_measure_like_their_rgb_copies(known):
    grey, samples = (to_grey(images).repeat(3, axis=1) for images in (known[0], faces(60, 1)[0]))
    one = Gallery(lambda: (to_grey(grey), {}, ''), mirror=True).metrics(scaled(to_grey(samples)))
    three = Gallery(lambda: (grey, {}, ''), mirror=True).metrics(scaled(samples))
    assert one['diversity'] == pytest.approx(three['diversity'])
    for name in 'nearest_distance', 'nearest_distance_real':
        assert 3 ** 0.5 * one[name] == pytest.approx(three[name], rel=1e-5)
    assert one['sliced_wasserstein'] == pytest.approx(three['sliced_wasserstein'], rel=0.3)
