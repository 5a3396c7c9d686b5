"""A small network for features of faces, in which the Fréchet distance, precision and recall are measured."""
import pathlib

import chainer
import chainer.links as L
import numpy
from chainer.types import InitializerSpec, NdArray

from lsgan import links
from lsgan.npz import load_weights
from lsgan.types import PathLike

WEIGHTS = pathlib.Path(__file__).with_name('features.npz')      # trained on drawn faces by results/anime/features.py
SIDE, OUTPUTS = 64, 26      # side of the images in pixels, number of targets in training
_CHANNELS = 3, 24, 40, 64, 64


class FaceFeatures(chainer.Chain):
    """A network that predicts style, colours and position of faces from images, and provides its hidden layer as features.

    It maps images of shape (B, 3, 64, 64) in [-1, 1] to predictions of shape (B, 26); `results/anime/features.py` explains
    them. The network consists of four convolutions that halve height and width and a fully connected layer of 64 units, each
    with batch normalisation and ReLU, and a linear layer.

    Args:
        initialW: initializer of the weights, as for Chainer's links.
    """

    def __init__(self, initialW: InitializerSpec | None = None):
        super().__init__()
        with self.init_scope():
            self.steps = chainer.ChainList(*(links.Convolution2D(a, b, 4, 2, 1, nobias=True, initialW=initialW)
                                             for a, b in zip(_CHANNELS, _CHANNELS[1:])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(c, 'relu') for c in _CHANNELS[1:]))
            self.hidden = L.Linear(4 * 4 * _CHANNELS[-1], 64, nobias=True, initialW=initialW)
            self.hidden_norm = links.BatchNormalization(64, 'relu')
            self.last = L.Linear(64, OUTPUTS, initialW=initialW)

    def features(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        """Return the features of images, non-negative values of shape (B, 64)."""
        for step, norm in zip(self.steps, self.norms):
            x = norm(step(x))
        return self.hidden_norm(self.hidden(x))

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        return self.last(self.features(x))

    def look(self, images: numpy.ndarray, batch: int = 250) -> numpy.ndarray:
        """Compute the features of images in test mode.

        Args:
            images: NumPy array of shape (N, C, H, W) in [-1, 1], N at least 1, C = 1 or C = 3. Greyscale images are converted
                to RGB, and images of other sizes are resized to 64x64 pixels.
            batch: number of images per forward pass.

        Returns:
            Features, float32 of shape (N, 64).
        """
        features = []
        with chainer.no_backprop_mode(), chainer.using_config('train', False):
            for first in range(0, len(images), batch):
                some = resized(images[first:first + batch].astype(numpy.float32, copy=False), SIDE)
                some = numpy.ascontiguousarray(numpy.broadcast_to(some, (len(some), 3, SIDE, SIDE)))
                features.append(self.features(self.device.send(some)).array)
        return numpy.concatenate(chainer.get_device('@numpy').send(features))


def resized(images: numpy.ndarray, side: int) -> numpy.ndarray:
    """Resize images by linear interpolation with antialiasing, as Pillow's bilinear resizing does.

    The kernel is a triangle whose width is two pixels of the coarser grid. Without antialiasing, distances between features
    would depend on aliasing artefacts (Parmar et al. 2022, arXiv:2104.11222).

    Args:
        images: float32 array of shape (N, C, H, W).
        side: height and width of the result, in pixels.

    Returns:
        A float32 array of shape (N, C, side, side).
    """
    for axis in 2, 3:
        n = images.shape[axis]
        scale = n / side
        centers = (numpy.arange(side)[:, None] + 0.5) * scale - 0.5
        weights = numpy.maximum(0, 1 - numpy.abs(numpy.arange(n) - centers) / max(scale, 1))
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(numpy.float32)
        images = (weights @ images) if axis == 2 else images @ weights.T
    return images


def load_features(path: PathLike = WEIGHTS) -> FaceFeatures:
    """Return a `FaceFeatures` on the CPU with weights from an npz file.

    Nothing is unpickled, and no random numbers are drawn.

    Args:
        path: the npz file; by default the one included in the package.

    Raises:
        InputError: if the file is missing, damaged or contains the weights of another network.
    """
    network = FaceFeatures(initialW=0)
    load_weights(path, network, 'the face-feature network')
    return network
