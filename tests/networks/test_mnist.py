import chainer
import chainer.functions as F
import numpy

from lsgan.networks.mnist import PerceptronGenerator


def test_images_lie_between_minus_one_and_one():
    z = numpy.random.default_rng(0).uniform(-1, 1, (20, 5)).astype(numpy.float32)
    images = PerceptronGenerator((5, 7, 6, 12), chainer.initializers.Normal(3)).forward(z)
    assert images.shape == (20, 12)
    assert 0.9 < abs(images.array).max() <= 1


def test_each_hidden_layer_is_rectified_and_then_normalised():
    net = PerceptronGenerator((5, 7, 6, 12))
    z = numpy.random.default_rng(0).standard_normal((50, 5)).astype(numpy.float32)
    h = z
    for layer in net.layers[:2]:
        h = F.relu(layer(h)).array
        h = (h - h.mean(axis=0)) / numpy.sqrt(h.var(axis=0) + 2e-5)
    numpy.testing.assert_allclose(net(z).array, F.tanh(net.layers[2](h)).array, rtol=1e-3, atol=1e-4)
