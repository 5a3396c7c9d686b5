"""The judge: a classifier of small greyscale images, whose classes and features are used to evaluate samples."""
import pathlib

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
from chainer.types import InitializerSpec, NdArray

from lsgan import console, links
from lsgan.npz import load_weights, read_arrays
from lsgan.types import PathLike

WEIGHTS = pathlib.Path(__file__).with_name('judge.npz')     # trained on MNIST by results/mnist/judge.py


class Judge(chainer.Chain):
    """A classifier, which maps images of shape (B, 1, 28, 28) in [-1, 1] to logits of shape (B, classes).

    It consists of three convolutions that halve height and width and a fully connected layer of 64 units, each with batch
    normalisation and ReLU; then dropout in training mode; and a linear layer. Train it with `chainer.links.Classifier`.

    Args:
        classes: number of classes.
        initialW: initializer of the weights, as for Chainer's links.
    """

    def __init__(self, classes: int = 10, initialW: InitializerSpec | None = None):
        super().__init__()
        channels = 1, 32, 64, 64
        with self.init_scope():
            self.steps = chainer.ChainList(*(links.Convolution2D(a, b, 4, 2, 1, initialW=initialW)
                                             for a, b in zip(channels, channels[1:])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(c, 'relu') for c in channels[1:]))
            self.hidden = L.Linear(3 * 3 * channels[-1], 64, initialW=initialW)
            self.hidden_norm = links.BatchNormalization(64, 'relu')
            self.last = L.Linear(64, classes, initialW=initialW)

    def features(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        """Return the features of images, the non-negative inputs of the last layer, of shape (B, 64)."""
        for step, norm in zip(self.steps, self.norms):
            x = norm(step(x))
        return self.hidden_norm(self.hidden(x))

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        return self.last(F.dropout(self.features(x), 0.3))

    def look(self, images: numpy.ndarray, batch: int = 500) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Compute the features and the class probabilities of images in test mode. A progress bar appears after two seconds.

        Args:
            images: NumPy array of shape (N, 1, 28, 28) in [-1, 1], N at least 1.
            batch: number of images per forward pass.

        Returns:
            Features of shape (N, 64) and probabilities of shape (N, classes), both float32.
        """
        features, probabilities = [], []
        with chainer.no_backprop_mode(), chainer.using_config('train', False):
            for start in console.progress(range(0, len(images), batch)):
                h = self.features(self.device.send(images[start:start + batch].astype(numpy.float32, copy=False)))
                features.append(h.array)
                probabilities.append(F.softmax(self.last(h)).array)
        host = chainer.get_device('@numpy')
        return numpy.concatenate(host.send(features)), numpy.concatenate(host.send(probabilities))


def load_judge(path: PathLike | None = None) -> Judge:
    """Return a `Judge` on the CPU with weights from an npz file.

    Nothing is unpickled, and no random numbers are drawn.

    Args:
        path: npz file of a judge with any number of classes; by default the one included in the package, which was trained on
            the ten digits of MNIST.

    Raises:
        InputError: if the file is missing, damaged or contains the weights of another network.
    """
    path = path or WEIGHTS
    classes = read_arrays(path).get('last/b', numpy.zeros(10)).size
    judge = Judge(classes, initialW=0)
    load_weights(path, judge, 'the judge')
    return judge
