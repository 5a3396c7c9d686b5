import numpy
import pytest
from PIL import Image, ImageDraw

from lsgan.datasets.images import scaled
from lsgan.errors import InputError
from lsgan.metrics.frechet import frechet_distance
from lsgan.metrics.nearest import nearest_distance
from lsgan.networks.judge import load_judge
from lsgan.training.judgement import Judgement


def strokes(n, kind, seed=0):
    """Return drawn digits, zeros (kind 0) or ones (kind 1), with small shifts: uint8 of shape (n, 1, 28, 28)."""
    rng, images = numpy.random.RandomState(seed), []
    for _ in range(n):
        image = Image.new('L', (28, 28))
        x, y = rng.randint(-2, 3, 2)
        draw = ImageDraw.Draw(image)
        if kind:
            draw.line((14 + x, 4 + y, 14 + x, 23 + y), 255, 3)
        else:
            draw.ellipse((7 + x, 4 + y, 20 + x, 23 + y), outline=255, width=3)
        images.append(numpy.asarray(image))
    return numpy.stack(images)[:, None]


def mixed(n, seed):
    return numpy.concatenate([strokes(n, 0, seed), strokes(n, 1, seed)])


@pytest.fixture(scope='module')
def judgement():
    return Judgement(mixed(60, 1), mixed(40, 2))


@pytest.mark.parametrize('n', [70, 120, 150])
def test_frechet_distance_and_floor_use_test_images(judgement, n):
    samples = scaled(strokes(n, 0, 3))
    judge = load_judge()
    test, train, these = (judge.look(x)[0] for x in (scaled(mixed(40, 2)), scaled(mixed(60, 1)[:n]), samples))
    metrics = judgement.metrics(samples)
    assert metrics['frechet_distance'] == pytest.approx(frechet_distance(these, test))
    assert metrics['frechet_distance_floor'] == pytest.approx(frechet_distance(train, test))
    assert 0 < metrics['frechet_distance_floor'] < metrics['frechet_distance']


def test_expected_fractions_are_those_of_test_images(judgement):
    found, due = judgement.shares(scaled(strokes(20, 1, 4)))
    assert due == pytest.approx([0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0]) and found.tolist() == [0, 1] + 8 * [0]
    metrics = judgement.metrics(scaled(mixed(20, 4)))
    assert metrics['classes_total'] == metrics['classes_fair'] == 2
    # of zeros alone: twice their due is fair, no ones is not
    assert judgement.metrics(scaled(strokes(20, 0, 4)))['classes_fair'] == 1


def test_stacked_samples_are_measured_by_channel(judgement):
    grey = mixed(60, 4)[:118].repeat(3, axis=0)
    grey = grey[numpy.random.default_rng(0).permutation(len(grey))]
    stacked = scaled(grey.reshape(-1, 3, 28, 28))
    metrics, by_channel = judgement.metrics(stacked), judgement.metrics(scaled(grey))
    assert all(metrics[name] == value for name, value in by_channel.items())
    assert numpy.array_equal(judgement.shares(stacked)[0], judgement.shares(scaled(grey))[0])
    assert metrics.keys() - by_channel.keys() == {'modes_total', 'modes_seen', 'mode_kl', 'modes_seen_real', 'mode_kl_real'}
    assert metrics['modes_total'] == 1000 and metrics['modes_seen'] == metrics['modes_seen_real'] == 8
    for name in 'mode_kl', 'mode_kl_real':      # 8 modes are almost even
        assert metrics[name] == pytest.approx(numpy.log(1000 / 8), abs=0.1)


def test_collapsed_stacked_samples_have_few_modes(judgement):
    zeros, ones = strokes(60, 0, 4), strokes(60, 1, 4)
    metrics = judgement.metrics(scaled(numpy.concatenate([zeros, ones, zeros], axis=1)))
    assert metrics['modes_seen'] == 1 and metrics['mode_kl'] == pytest.approx(numpy.log(1000))
    assert metrics['modes_seen_real'] == 8 and metrics['classes_fair'] == 2


def test_nearest_distance_uses_training_images(judgement):
    assert judgement.metrics(scaled(mixed(60, 1)))['nearest_distance'] == 0
    metrics = judgement.metrics(scaled(mixed(40, 2)))
    assert metrics['nearest_distance'] == metrics['nearest_distance_real'] == pytest.approx(
        nearest_distance(mixed(40, 2), mixed(60, 1)))


def test_saturated_pixels_are_counted(judgement):
    samples = numpy.zeros((4, 1, 28, 28), numpy.float32)
    samples[:, :, :7], samples[:, :, 7:14] = 1, -1
    assert judgement.metrics(samples)['saturated'] == pytest.approx(0.5)


def test_missing_test_images_are_taken_from_training_images():
    images = mixed(30, 5)
    metrics = Judgement(images).metrics(scaled(images[30:]))
    assert metrics['frechet_distance'] == pytest.approx(0, abs=1e-6)
    assert metrics['frechet_distance_floor'] > 1        # zeros against ones
    assert metrics['nearest_distance_real'] > 0
    assert metrics['nearest_distance'] == 0         # though held back, they are learnt from


def test_judge_is_left_out_for_unknown_images(judgement):
    train, test = mixed(20, 1), mixed(20, 2)
    right = numpy.repeat([0, 1], 20).astype(numpy.uint8)
    assert Judgement(train, test, right).left_out is judgement.left_out is None
    assert Judgement(train, test, right).sure and not judgement.sure
    alone = train[::-1], None, right        # without a test set the labels are those of the training images
    assert Judgement(train, None, right).left_out is None
    for images in Judgement(train, test, 1 - right), Judgement(*alone), Judgement(train[..., :20], test[..., :20]):
        assert '28 x 28' in images.left_out or '--judge' in images.left_out
        metrics = images.metrics(scaled(images.test))
        with pytest.raises(InputError, match='no classes: ' + images.left_out):
            images.shares(scaled(images.test))
        assert metrics.keys() == {'nearest_distance', 'nearest_distance_real', 'saturated'}


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match='too few images .* 10 for training and 1 for testing. Add images'):
        Judgement(mixed(5, 0), strokes(1, 0))
    with pytest.raises(InputError, match='too few images .* 3 for training. .* 4 for training alone'):
        Judgement(strokes(3, 0))
    with pytest.raises(InputError, match='--judge some.npz: .* 28 x 28 pixels, and these are 28 x 20'):
        Judgement(mixed(5, 0)[..., :20], judge='some.npz')
