"""A small network whose features describe faces: Fréchet distance, precision and recall are measured in them."""
import pathlib

import chainer
import chainer.links as L
import numpy

from lsgan import links
from lsgan.npz import load_weights

WEIGHTS = pathlib.Path(__file__).with_name('features.npz')      # of drawn faces, by results/anime/features.py
SIDE, OUTPUTS = 64, 26      # pixels; what it tells of a face, see results/anime/features.py
_CHANNELS = 3, 24, 40, 64, 64


class FaceFeatures(chainer.Chain):
    """Map images (B, 3, 64, 64) in [-1, 1] to what is told of the faces in them, (B, 26).

    Four convolutions that halve height and width, then a layer of 64 features, each with batch normalisation and ReLU.

    Args:
        initialW: initializer of the weights, by Chainer's conventions.
    """

    def __init__(self, initialW=None):
        super().__init__()
        with self.init_scope():
            self.steps = chainer.ChainList(*(links.Convolution2D(a, b, 4, 2, 1, nobias=True, initialW=initialW)
                                             for a, b in zip(_CHANNELS, _CHANNELS[1:])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(c, 'relu') for c in _CHANNELS[1:]))
            self.hidden = L.Linear(4 * 4 * _CHANNELS[-1], 64, nobias=True, initialW=initialW)
            self.hidden_norm = links.BatchNormalization(64, 'relu')
            self.last = L.Linear(64, OUTPUTS, initialW=initialW)

    def features(self, x):
        """Return the features, not negative: (B, 64)."""
        for step, norm in zip(self.steps, self.norms):
            x = norm(step(x))
        return self.hidden_norm(self.hidden(x))

    def forward(self, x):
        return self.last(self.features(x))

    def look(self, images, batch=250):
        """Return the features of images in test mode: a float32 NumPy array (N, 64).

        Args:
            images: NumPy array of shape (N, C, H, W) in [-1, 1], at least one image. One channel counts as three equal ones,
                and images of other sides are resized to 64 pixels.
            batch (int): images that go through the network together.
        """
        features = []
        with chainer.no_backprop_mode(), chainer.using_config('train', False):
            for first in range(0, len(images), batch):
                some = resized(images[first:first + batch].astype(numpy.float32, copy=False), SIDE)
                some = numpy.ascontiguousarray(numpy.broadcast_to(some, (len(some), 3, SIDE, SIDE)))
                features.append(self.features(self.device.send(some)).array)
        return numpy.concatenate(chainer.get_device('@numpy').send(features))


def resized(images, side):
    """Return float32 images (N, C, H, W) as (N, C, side, side), by linear interpolation that averages where it reduces.

    The kernel is a triangle as wide as two pixels of the coarser grid, as in Pillow's bilinear resizing: without the average,
    distances would depend on aliasing (Parmar et al. 2022, arXiv:2104.11222).
    """
    for axis in 2, 3:
        n = images.shape[axis]
        scale = n / side
        centers = (numpy.arange(side)[:, None] + 0.5) * scale - 0.5
        weights = numpy.maximum(0, 1 - numpy.abs(numpy.arange(n) - centers) / max(scale, 1))
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(numpy.float32)
        images = (weights @ images) if axis == 2 else images @ weights.T
    return images


def load_features(path=WEIGHTS):
    """Return a `FaceFeatures` with the weights in an npz file, on the CPU; nothing is unpickled and nothing random is drawn.

    Args:
        path: the file; by default the one that comes with the package.

    Raises:
        InputError: if the file is missing, damaged or of another network.
    """
    network = FaceFeatures(initialW=0)
    load_weights(path, network, 'the one of face features')
    return network
