"""Multilayer perceptrons for small images."""
import math

import chainer
import chainer.links as L

from lsgan import functions, links


class _Layers(chainer.Chain):
    """Fully connected layers. Each one except the last is followed by the activation and optional batch normalisation."""

    def __init__(self, sizes, activation, norm, initialW, last=None, shape=None):
        super().__init__()
        self.activation, self.last, self.shape = activation, last, shape
        with self.init_scope():
            self.layers = chainer.ChainList(*(L.Linear(a, b, initialW=initialW) for a, b in zip(sizes, sizes[1:])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(n) for n in sizes[1:-1] if norm))

    def forward(self, h):
        parameters = [(layer.W, layer.b) for layer in self.layers]
        if not len(self.norms):
            return functions.perceptron(h, [p for pair in parameters for p in pair], self.activation, self.last, self.shape)
        for pair, norm in zip(parameters, self.norms):
            h = norm(functions.perceptron(h, pair, last=self.activation))
        return functions.perceptron(h, parameters[-1], last=self.last, shape=self.shape)


class PerceptronGenerator(_Layers):
    """A fully connected generator, which maps latents of shape (B, latent) to images of shape (B, *shape) in [-1, 1].

    Each hidden layer is followed by the activation and, if `norm` is true, by batch normalisation. The last layer is followed
    by tanh.

    Args:
        latent (int): dimension of the latents.
        hidden (sequence of int): number of units of each hidden layer.
        shape (tuple of int): shape of an image: channels, height, width.
        activation (str): activation of the hidden layers, see `lsgan.links.Activation`.
        norm (bool): whether to use batch normalisation.
        initialW: initializer of the weights, as for Chainer's links.
    """

    def __init__(self, latent, hidden, shape, activation='relu', norm=True, initialW=None):
        super().__init__([latent, *hidden, math.prod(shape)], activation, norm, initialW, 'tanh', shape)


class PerceptronDiscriminator(_Layers):
    """A fully connected discriminator or critic, which maps images of shape (B, *shape) to outputs of shape (B, 1).

    Each hidden layer is followed by the activation and, if `norm` is true, by batch normalisation. The output has no
    activation.

    Args:
        shape (tuple of int): shape of an image: channels, height, width.
        hidden (sequence of int): number of units of each hidden layer.
        activation (str): activation of the hidden layers, see `lsgan.links.Activation`.
        norm (bool): whether to use batch normalisation.
        initialW: initializer of the weights, as for Chainer's links.
    """

    def __init__(self, shape, hidden, activation='leaky_relu', norm=False, initialW=None):
        super().__init__([math.prod(shape), *hidden, 1], activation, norm, initialW)
