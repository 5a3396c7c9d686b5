import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest
from chainer import serializers
from PIL import Image, ImageDraw

from lsgan import functions
from lsgan.datasets import cache, mnist
from lsgan.datasets.images import scaled
from lsgan.errors import InputError
from lsgan.metrics.frechet import frechet_distance
from lsgan.networks.judge import WEIGHTS, Judge, load_judge

STROKES = [     # corners of the line that draws each digit, from 0 to 9
    [(14, 5), (9, 9), (9, 18), (14, 23), (19, 18), (19, 9), (14, 5)],
    [(14, 4), (14, 24)],
    [(9, 8), (14, 5), (18, 9), (9, 22), (20, 22)],
    [(9, 5), (18, 5), (13, 12), (18, 17), (14, 22), (9, 20)],
    [(10, 5), (9, 14), (19, 14), (19, 5), (18, 23)],
    [(19, 5), (10, 5), (10, 13), (17, 14), (18, 19), (9, 22)],
    [(16, 4), (10, 12), (10, 20), (17, 22), (18, 15), (11, 15)],
    [(8, 6), (20, 6), (13, 23)],
    [(14, 5), (10, 9), (18, 17), (14, 22), (10, 17), (18, 9), (14, 5)],
    [(18, 9), (12, 5), (10, 10), (15, 13), (18, 9), (16, 23)],
]


@pytest.fixture(scope='module')
def judge():
    return load_judge()


@pytest.fixture(scope='module')
def images():
    """Random blots, float32 of shape (23, 1, 28, 28) in [-1, 1]."""
    x = numpy.random.default_rng(0).standard_normal((23, 1, 7, 7)).repeat(4, axis=2).repeat(4, axis=3)
    return numpy.tanh(x).astype(numpy.float32)


def test_committed_weights_have_ten_classes(judge):
    assert judge.last.b.shape == (10,)
    assert judge.count_params() < 150_000
    assert WEIGHTS.stat().st_size < 600_000
    assert all(numpy.isfinite(p.array).all() for p in judge.params())


def test_recognises_hand_drawn_digits(judge):
    drawings = [Image.new('L', (28, 28)) for _ in STROKES]
    for drawing, corners in zip(drawings, STROKES):
        ImageDraw.Draw(drawing).line(corners, 255, 3)
    _, probabilities = judge.look(numpy.stack([numpy.array(d) for d in drawings])[:, None] / 127.5 - 1)
    assert probabilities.argmax(axis=1).tolist() == list(range(10))
    assert probabilities.max(axis=1).mean() > 0.9


@pytest.mark.skipif(not all((cache.folder('mnist') / name).exists() for name in mnist.SHA256), reason='no copy of MNIST')
def test_accuracy_and_distance_on_mnist(judge):
    data = mnist.load()
    features, probabilities = judge.look(scaled(data.test[:, None]))
    assert (probabilities.argmax(axis=1) == data.test_labels).mean() > 0.99
    assert frechet_distance(judge.look(scaled(data.train[:10000, None]))[0], features) == pytest.approx(0.107, abs=0.001)


def test_features_and_probabilities(judge, images):
    features, probabilities = judge.look(images)
    assert (type(features), features.shape, features.dtype) == (numpy.ndarray, (23, 64), numpy.float32)
    assert (type(probabilities), probabilities.shape, probabilities.dtype) == (numpy.ndarray, (23, 10), numpy.float32)
    assert features.min() >= 0
    assert features.std(axis=0).max() > 0.1
    numpy.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    with chainer.using_config('train', False):
        numpy.testing.assert_allclose(judge.features(images).array, features, rtol=1e-5, atol=1e-5)
        numpy.testing.assert_allclose(F.softmax(judge(images)).array, probabilities, rtol=1e-4, atol=1e-6)
        assert judge(images).shape == (23, 10)


@pytest.mark.parametrize('batch', [1, 7, 23])
def test_batch_size_changes_nothing(judge, images, batch):
    for mine, whole in zip(judge.look(images, batch), judge.look(images)):
        numpy.testing.assert_allclose(mine, whole, rtol=1e-4, atol=1e-5)


def test_float64_images(judge, images):
    for mine, single in zip(judge.look(images.astype(numpy.float64)), judge.look(images)):
        numpy.testing.assert_array_equal(mine, single)


@pytest.mark.parametrize('train', [True, False])
def test_look_changes_no_state(judge, images, train):
    before = {name: value.copy() for name, value in state(judge).items()}
    numpy.random.seed(0)
    with chainer.using_config('train', train):
        judge.look(images)
        assert chainer.config.train is train
        assert chainer.config.enable_backprop
    for name, value in state(judge).items():
        numpy.testing.assert_array_equal(value, before[name], err_msg=name)
    assert numpy.random.random() == numpy.random.RandomState(0).random_sample()


def state(link):
    """Return a dict of everything that a serializer saves of a link."""
    serializer = serializers.DictionarySerializer()
    serializer.save(link)
    return serializer.target


def test_loading_draws_nothing_random():
    numpy.random.seed(0)
    load_judge()
    assert numpy.random.random() == numpy.random.RandomState(0).random_sample()


def test_trains_as_classifier(images):
    numpy.random.seed(0)
    model = L.Classifier(Judge(3))
    optimizer = functions.Adam(1e-2).setup(model)
    labels = numpy.arange(23, dtype=numpy.int32) % 3
    for _ in range(30):
        optimizer.update(model, images, labels)
    assert (model.predictor.look(images)[1].argmax(axis=1) == labels).all()


def test_judge_with_other_classes_loads(tmp_path, images):
    numpy.random.seed(0)
    other = Judge(47)
    other(images)       # changes the running statistics
    serializers.save_npz(tmp_path / 'judge.npz', other)
    read = load_judge(tmp_path / 'judge.npz')
    for mine, saved in zip(read.look(images), other.look(images)):
        numpy.testing.assert_array_equal(mine, saved)
    assert read.look(images)[1].shape == (23, 47)


def refused(path):
    with pytest.raises(InputError) as error:
        load_judge(path)
    message = str(error.value)
    assert message.startswith(f'{path}: ')
    assert '\n' not in message
    return message.removeprefix(f'{path}: ')


@pytest.mark.parametrize('link', [L.Linear(3, 2), L.Classifier(Judge()), chainer.Sequential(L.Linear(2, 3))])
def test_weights_of_other_network_are_refused(tmp_path, link):
    path = tmp_path / 'other.npz'
    serializers.save_npz(path, link)
    assert refused(path).startswith('weights of another network than the judge')


@pytest.mark.parametrize('last', [numpy.zeros((3, 10)), numpy.zeros(10), numpy.float32(0)])
def test_wrong_shapes_and_types_are_refused(tmp_path, last):
    path = tmp_path / 'other.npz'
    numpy.savez(path, **{**state(Judge()), 'last/b': last})
    assert refused(path).startswith('weights of another network than the judge')


@pytest.mark.parametrize('content', [b'', b'no zip', WEIGHTS.read_bytes()[:1000], WEIGHTS.read_bytes()[:-1000]])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / 'judge.npz'
    path.write_bytes(content)
    assert refused(path).startswith('truncated, damaged or not an npz file')


def test_other_files_are_refused(tmp_path):
    assert refused(tmp_path / 'none.npz') == 'no such file'
    assert refused(tmp_path) == 'Is a directory'
    numpy.save(tmp_path / 'array.npy', numpy.zeros(3))
    assert refused(tmp_path / 'array.npy').startswith('truncated, damaged or not an npz file')
    numpy.savez(tmp_path / 'pickled.npz', numpy.array([None]))
    assert refused(tmp_path / 'pickled.npz').startswith('truncated, damaged or not an npz file')
