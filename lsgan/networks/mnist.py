"""Multilayer perceptrons for small images."""
import math
from collections.abc import Sequence

import chainer
import chainer.links as L
from chainer.types import InitializerSpec

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
        latent: dimension of the latents.
        hidden: number of units of each hidden layer.
        shape: shape of an image: channels, height, width.
        activation: activation of the hidden layers, see `lsgan.links.Activation`.
        norm: whether to use batch normalisation.
        initialW: initializer of the weights, as for Chainer's links.
    """

    def __init__(self, latent: int, hidden: Sequence[int], shape: tuple[int, int, int], activation: str = 'relu',
                 norm: bool = True, initialW: InitializerSpec | None = None):
        super().__init__([latent, *hidden, math.prod(shape)], activation, norm, initialW, 'tanh', shape)


class PerceptronDiscriminator(_Layers):
    """A fully connected discriminator or critic, which maps images of shape (B, *shape) to outputs of shape (B, 1).

    Each hidden layer is followed by the activation and, if `norm` is true, by batch normalisation. The output has no
    activation.

    Args:
        shape: shape of an image: channels, height, width.
        hidden: number of units of each hidden layer.
        activation: activation of the hidden layers, see `lsgan.links.Activation`.
        norm: whether to use batch normalisation.
        initialW: initializer of the weights, as for Chainer's links.
    """

    def __init__(self, shape: tuple[int, int, int], hidden: Sequence[int], activation: str = 'leaky_relu', norm: bool = False,
                 initialW: InitializerSpec | None = None):
        super().__init__([math.prod(shape), *hidden, 1], activation, norm, initialW)
