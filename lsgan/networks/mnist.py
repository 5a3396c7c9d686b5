"""Networks for MNIST's images."""
import chainer
import chainer.functions as F
import chainer.links as L

from lsgan import links


class PerceptronGenerator(chainer.Chain):
    """Fully connected layers, ReLU and then batch normalisation after each but the last, tanh after that.

    Maps latents (B, sizes[0]) to (B, sizes[-1]) in [-1, 1].

    Args:
        sizes (sequence of int): numbers in a latent, units of each hidden layer, pixels.
        initialW: the weights' initializer, by Chainer's conventions.
    """

    def __init__(self, sizes, initialW=None):
        super().__init__()
        with self.init_scope():
            self.layers = chainer.ChainList(*(L.Linear(a, b, initialW=initialW) for a, b in zip(sizes, sizes[1:])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(n) for n in sizes[1:-1]))

    def forward(self, h):
        for layer, norm in zip(self.layers, self.norms):
            h = norm(F.relu(layer(h)))
        return F.tanh(self.layers[-1](h))
