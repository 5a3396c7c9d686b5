"""Perceptrons for small images."""
import math

import chainer
import chainer.links as L

from lsgan import functions, links


class _Layers(chainer.Chain):
    """Fully connected layers; after each but the last the activation and then, if asked for, batch normalisation."""

    def __init__(self, sizes, activation, norm, initialW, last=None):
        super().__init__()
        self.activation, self.last = activation, last
        with self.init_scope():
            self.layers = chainer.ChainList(*(L.Linear(a, b, initialW=initialW) for a, b in zip(sizes, sizes[1:])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(n) for n in sizes[1:-1] if norm))

    def forward(self, h):
        parameters = [(layer.W, layer.b) for layer in self.layers]
        if not len(self.norms):
            return functions.perceptron(h, [p for pair in parameters for p in pair], self.activation, self.last)
        for pair, norm in zip(parameters, self.norms):
            h = norm(functions.perceptron(h, pair, last=self.activation))
        return functions.perceptron(h, parameters[-1], last=self.last)


class PerceptronGenerator(_Layers):
    """Fully connected layers, the activation and then batch normalisation after each but the last, tanh after that.

    Maps latents (B, latent) to images (B, *shape) in [-1, 1].

    Args:
        latent (int): numbers in a latent.
        hidden (sequence of int): units of each hidden layer.
        shape (tuple of int): of an image: channels, height, width.
        activation (str): see `lsgan.links.Activation`.
        norm (bool): whether there is batch normalisation.
        initialW: the weights' initializer, by Chainer's conventions.
    """

    def __init__(self, latent, hidden, shape, activation='relu', norm=True, initialW=None):
        super().__init__([latent, *hidden, math.prod(shape)], activation, norm, initialW, 'tanh')
        self.shape = shape

    def forward(self, z):
        return super().forward(z).reshape(-1, *self.shape)


class PerceptronDiscriminator(_Layers):
    """The same without the tanh: maps images (B, *shape) to one number each, (B, 1).

    Args: as `PerceptronGenerator`.
    """

    def __init__(self, shape, hidden, activation='leaky_relu', norm=False, initialW=None):
        super().__init__([math.prod(shape), *hidden, 1], activation, norm, initialW)

    def forward(self, x):
        return super().forward(x.reshape(len(x), -1))
