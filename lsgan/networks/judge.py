"""A classifier of small grey images, whose features and classes say what a generator draws."""
import pathlib

import chainer
import chainer.functions as F
import chainer.links as L
import numpy

from lsgan import links
from lsgan.npz import load_weights, read_arrays

WEIGHTS = pathlib.Path(__file__).with_name('judge.npz')     # of MNIST's digits, by results/mnist/judge.py


class Judge(chainer.Chain):
    """Maps images (B, 1, 28, 28) in [-1, 1] to the logits of their classes, (B, classes).

    Three convolutions that halve height and width, then a layer of 64 features, each with batch normalisation and ReLU;
    `chainer.links.Classifier` trains it, with dropout of the features.

    Args:
        classes (int): how many there are.
        initialW: the weights' initializer, by Chainer's conventions.
    """

    def __init__(self, classes=10, initialW=None):
        super().__init__()
        channels = 1, 32, 64, 64
        with self.init_scope():
            self.steps = chainer.ChainList(*(links.Convolution2D(a, b, 4, 2, 1, initialW=initialW)
                                             for a, b in zip(channels, channels[1:])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(c, 'relu') for c in channels[1:]))
            self.hidden = L.Linear(3 * 3 * channels[-1], 64, initialW=initialW)
            self.hidden_norm = links.BatchNormalization(64, 'relu')
            self.last = L.Linear(64, classes, initialW=initialW)

    def features(self, x):
        """The features that the classes are told by, not negative: (B, 64)."""
        for step, norm in zip(self.steps, self.norms):
            x = norm(step(x))
        return self.hidden_norm(self.hidden(x))

    def forward(self, x):
        return self.last(F.dropout(self.features(x), 0.3))

    def look(self, images, batch=500):
        """Features and probabilities of the classes, in test mode: NumPy arrays (N, 64) and (N, classes), float32.

        Args:
            images: NumPy array of shape (N, 1, 28, 28) in [-1, 1], at least one.
            batch (int): images that are looked at at a time.
        """
        features, probabilities = [], []
        with chainer.no_backprop_mode(), chainer.using_config('train', False):
            for start in range(0, len(images), batch):
                h = self.features(self.device.send(images[start:start + batch].astype(numpy.float32, copy=False)))
                features.append(h.array)
                probabilities.append(F.softmax(self.last(h)).array)
        return tuple(numpy.concatenate(chainer.get_device('@numpy').send(arrays)) for arrays in (features, probabilities))


def load_judge(path=None):
    """A `Judge` with the weights in an npz file, on the CPU; nothing is unpickled and nothing random is drawn.

    Args:
        path: the file, of any number of classes; by default the one that comes with the package, which knows MNIST's ten
            digits.

    Raises:
        InputError: where the file is missing, damaged or of another network.
    """
    path = path or WEIGHTS
    classes = read_arrays(path).get('last/b', numpy.zeros(10)).size
    judge = Judge(classes, initialW=0)
    load_weights(path, judge, 'the judge')
    return judge
