"""Multilayer perceptrons for points in the plane."""
from collections.abc import Sequence

import chainer
import chainer.links as L
from chainer.types import InitializerSpec, NdArray

from lsgan import functions


class Perceptron(chainer.ChainList):
    """A multilayer perceptron: fully connected layers, with an activation after each layer except the last.

    It maps arrays of shape (B, sizes[0]) to (B, sizes[-1]). A generator has as many outputs as the data have dimensions. A
    discriminator or critic has one output. The parameters are named like those of a `ChainList` of Chainer's `Linear` links,
    so both can load the same npz files.

    Args:
        sizes: numbers of units of the input, of each hidden layer and of the output.
        activation: activation of the hidden layers: relu, leaky_relu, tanh or sigmoid.
        initialW: initializer of the weights, as for Chainer's links.
        initial_bias: initializer of the biases of the first layer, or None for zeros. All other biases are initialised to
            zero. With ReLU and zero biases, the network is linear along every ray from the origin. Random biases let it bend
            anywhere from the start.
    """

    def __init__(self, sizes: Sequence[int], activation: str, initialW: InitializerSpec | None = None,
                 initial_bias: InitializerSpec | None = None):
        super().__init__(*(L.Linear(n_in, n_out, initialW=initialW, initial_bias=None if i else initial_bias)
                           for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:]))))
        self.activation = activation

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        return functions.perceptron(x, [p for layer in self for p in (layer.W, layer.b)], self.activation)
