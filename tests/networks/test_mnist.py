import chainer
import chainer.functions as F
import numpy
import pytest

from lsgan.networks.mnist import PerceptronDiscriminator, PerceptronGenerator

ACTIVATIONS = {'relu': F.relu, 'leaky_relu': lambda h: F.leaky_relu(h, 0.2), 'tanh': F.tanh, 'sigmoid': F.sigmoid}


def x_of(*shape):
    return numpy.random.default_rng(0).uniform(-1, 1, shape).astype(numpy.float32)


def test_images_are_between_minus_1_and_1():
    images = PerceptronGenerator(5, (7, 6), (1, 3, 4), initialW=chainer.initializers.Normal(3))(x_of(20, 5))
    assert images.shape == (20, 1, 3, 4)
    assert 0.9 < abs(images.array).max() <= 1


@pytest.mark.parametrize('norm', [True, False], ids=['normalised', 'plain'])
@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_activation_comes_before_normalisation(activation, norm):
    generator = PerceptronGenerator(5, (7, 6), (1, 3, 4), activation, norm)
    discriminator = PerceptronDiscriminator((1, 3, 4), (7, 6), activation, norm)
    for net, x in (generator, x_of(50, 5)), (discriminator, x_of(50, 1, 3, 4)):
        h = x.reshape(50, -1)
        for layer in net.layers[:2]:
            h = ACTIVATIONS[activation](layer(h)).array
            if norm:
                h = (h - h.mean(axis=0)) / numpy.sqrt(h.var(axis=0) + 2e-5)
        h = net.layers[2](h)
        expected = F.tanh(h).reshape(50, 1, 3, 4) if net is generator else h
        numpy.testing.assert_allclose(net(x).array, expected.array, rtol=1e-3, atol=1e-3)
