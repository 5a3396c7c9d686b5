"""Perceptrons for points of the plane."""
import chainer
import chainer.links as L

from lsgan import functions


class Perceptron(chainer.ChainList):
    """Fully connected layers, the same activation after each but the last, which is linear.

    Maps (B, sizes[0]) to (B, sizes[-1]). As a generator it ends in the data's dimension; as a discriminator or critic in one
    linear unit without activation. Its parameters are those of a `ChainList` of Chainer's `Linear`.

    Args:
        sizes (sequence of int): units of the input, of each hidden layer and of the output.
        activation (str): of the hidden layers: relu, leaky_relu, tanh or sigmoid.
        initialW: the weights' initializer, by Chainer's conventions; biases start at zero.
    """

    def __init__(self, sizes, activation, initialW=None):
        super().__init__(*(L.Linear(n_in, n_out, initialW=initialW) for n_in, n_out in zip(sizes, sizes[1:])))
        self.activation = activation

    def forward(self, x):
        return functions.perceptron(x, [p for layer in self for p in (layer.W, layer.b)], self.activation)
