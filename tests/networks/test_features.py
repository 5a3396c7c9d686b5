import chainer
import numpy
import pytest
from PIL import Image

from lsgan.datasets.faces import FACTORS, Face, draw
from lsgan.datasets.images import scaled
from lsgan.errors import InputError
from lsgan.metrics.frechet import frechet_distance
from lsgan.metrics.manifold import precision_recall
from lsgan.networks.features import WEIGHTS, FaceFeatures, load_features, resized
from lsgan.npz import save_weights


@pytest.fixture(scope='module')
def network():
    return load_features()


@pytest.fixture(scope='module')
def faces():
    """400 drawn faces with random factors, float32 of shape (400, 3, 64, 64) in [-1, 1]."""
    draws = numpy.random.default_rng(7)
    return scaled(numpy.stack([draw(Face(*(of[draws.integers(len(of))] for of in FACTORS.values()),
                                         *draws.uniform(-0.02, 0.02, 2)), 64) for _ in range(400)]))


def shuffled(images, seed=0):
    """Return images whose sixteen blocks of 16 x 16 pixels are shuffled, differently in each image."""
    draws, result = numpy.random.default_rng(seed), numpy.empty_like(images)
    for image, new in zip(images, result):
        for to, place in enumerate(draws.permutation(16)):
            (y, x), (v, u) = divmod(place, 4), divmod(to, 4)
            new[:, 16 * v:16 * v + 16, 16 * u:16 * u + 16] = image[:, 16 * y:16 * y + 16, 16 * x:16 * x + 16]
    return result


def test_committed_weights_are_finite(network):
    assert WEIGHTS.stat().st_size < 400_000
    assert all(numpy.isfinite(p.array).all() and p.dtype == numpy.float32 for p in network.params())


def test_features_distinguish_shuffled_faces(network, faces):
    real, others, mixed = (network.look(x) for x in (faces[:200], faces[200:], shuffled(faces[200:])))
    assert frechet_distance(mixed, real) > 5 * frechet_distance(others, real)
    assert precision_recall(real, mixed)[0] < 0.5 < precision_recall(real, others)[0]


def test_features_are_not_negative_and_repeatable(network, faces):
    features = network.look(faces[:23])
    assert (type(features), features.shape, features.dtype) == (numpy.ndarray, (23, 64), numpy.float32)
    assert features.min() >= 0 and (features.std(axis=0) > 0).mean() > 0.9
    numpy.testing.assert_array_equal(network.look(faces[:23]), features)
    numpy.testing.assert_allclose(network.look(faces[:23], batch=5), features, rtol=1e-3, atol=1e-4)
    numpy.testing.assert_array_equal(network.look(faces[:23].astype(numpy.float64)), features)


def test_look_changes_no_state(faces):
    numpy.random.seed(0)
    network = load_features()
    before = {name: p.array.copy() for name, p in network.namedparams()}
    mean = network.hidden_norm.avg_mean.copy()
    with chainer.using_config('train', True):
        network.look(faces[:5])
        assert chainer.config.train and chainer.config.enable_backprop
    assert all((p.array == before[name]).all() for name, p in network.namedparams())
    assert (network.hidden_norm.avg_mean == mean).all()
    assert numpy.random.random() == numpy.random.RandomState(0).random_sample()


def test_grey_images_and_other_sizes(network, faces):
    grey = faces[:9, :1]
    numpy.testing.assert_array_equal(network.look(grey), network.look(grey.repeat(3, axis=1)))
    larger, same, mixed = (network.look(x) for x in (faces[:200].repeat(2, axis=2).repeat(2, axis=3), faces[:200],
                                                     shuffled(faces[:200])))
    assert frechet_distance(larger, same) < 0.05 * frechet_distance(mixed, same)
    assert network.look(numpy.zeros((1, 3, 32, 32))).shape == (1, 64)


@pytest.mark.parametrize('n', [32, 48, 64, 96, 256])
def test_resizing_equals_pillow(n):
    image = numpy.random.default_rng(0).random((n, n), numpy.float32)
    expected = numpy.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
    mine = resized(image[None, None], 64)
    assert mine.dtype == numpy.float32 and mine.shape == (1, 1, 64, 64)
    numpy.testing.assert_allclose(mine[0, 0], expected, atol=1e-5)


def test_weights_of_other_network_are_refused(tmp_path, faces):
    numpy.random.seed(0)
    network = FaceFeatures()
    for name, half in ('single.npz', False), ('half.npz', True):
        save_weights(tmp_path / name, network, half)
        numpy.testing.assert_allclose(load_features(tmp_path / name).look(faces[:5]), network.look(faces[:5]), atol=0.02)
    assert (tmp_path / 'half.npz').stat().st_size < 0.6 * (tmp_path / 'single.npz').stat().st_size
    save_weights(tmp_path / 'other.npz', network.last)
    with pytest.raises(InputError, match='other.npz: weights of another network than the face-feature network'):
        load_features(tmp_path / 'other.npz')
    with pytest.raises(InputError, match='none.npz: no such file'):
        load_features(tmp_path / 'none.npz')
