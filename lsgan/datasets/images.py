"""Data sets of images of one size, and the conversions between bytes and the values that networks see."""
import functools
import hashlib
from collections.abc import Callable

import chainer
import numpy
from chainer.types import NdArray

from lsgan.functions.gpu import batches
from lsgan.random import Stream

_AT_ONCE = 1024     # images per block where temporary copies are made


class ImageSet:
    """A data set of images, stored as bytes in the memory of the device that draws batches.

    If the images would take more than half of a GPU's free memory, they stay in main memory. A batch from GPU memory is one
    kernel launch. A batch from main memory is slower: the host waits for the indices that the GPU draws, and then gathers the
    images.

    Args:
        load: returns the images, a uint8 array of shape (N, C, H, W) with N at least 1. It is called once, when the images are
            first needed.
        mirror: whether to add the mirror image (left and right exchanged) of every image to the set.
    """

    def __init__(self, load: Callable[[], numpy.ndarray], mirror: bool = False):
        self._load, self.mirror = load, mirror
        self._place: chainer.backend.Device | None = None

    @functools.cached_property
    def images(self) -> NdArray:
        """All images, uint8 of shape (N, C, H, W). In GPU memory, their layout is channels-last."""
        return self._load()

    @property
    def on_device(self) -> bool:
        """Whether the images are in GPU memory; see `lsgan.datasets.iterator.DataSet`."""
        return self._place is not None and self._place.xp is not numpy

    def sample(self, n: int, stream: Stream) -> NdArray:
        """Draw `n` images uniformly, with replacement.

        Args:
            n: number of images.
            stream: source of the random indices.

        Returns:
            float32 array of shape (n, C, H, W) in [-1, 1], on the device of the stream.
        """
        device, host = stream.device, chainer.get_device('@numpy')
        if self._place is None:
            fits = device.xp is numpy or self.images.nbytes < device.xp.cuda.runtime.memGetInfo()[0] / 2
            self._place = device if fits else host
            if self._place.xp is not numpy:
                self.images = _channels_second(self._place.send(_channels_last(self.images)))
        if self._place.xp is not numpy:
            return batches.images(n, self.images, self.mirror, stream.generator)
        numbers = host.send(stream.integers((1 + self.mirror) * len(self.images), n))
        drawn = self.images[numbers % len(self.images)]
        if self.mirror:
            turned = numbers >= len(self.images)
            drawn[turned] = drawn[turned, :, :, ::-1]
        if device.xp is numpy:
            return scaled(drawn)
        return _channels_second(scaled(device.send(_channels_last(drawn))))

    def some(self, n: int) -> numpy.ndarray:
        """Return up to `n` different images of the set for a picture, always the same: uint8 of shape (n, C, H, W)."""
        order = numpy.random.default_rng(0).permutation(len(self.images))
        return self.images[numpy.sort(order[:n])]


class StackedSet(ImageSet):
    """A data set of colour images whose three channels are independently drawn greyscale images of a set.

    With MNIST, this is Stacked MNIST (Metz et al. 2017, arXiv:1611.02163). `images` are the greyscale images.
    """

    def sample(self, n: int, stream: Stream) -> NdArray:
        """Draw `n` colour images, see `ImageSet.sample`: float32 array of shape (n, 3, H, W) in [-1, 1]."""
        return _stacked(super().sample(3 * n, stream))

    def some(self, n: int) -> numpy.ndarray:
        """Return up to `n` colour images without a greyscale image in common, see `ImageSet.some`: (n, 3, H, W)."""
        grey = super().some(3 * n)
        return _stacked(grey[:len(grey) // 3 * 3])


def _stacked(grey):
    """Return a view of greyscale images, shape (3 n, 1, H, W), as colour images of shape (n, 3, H, W)."""
    return grey.reshape(-1, 3, *grey.shape[2:])


def _channels_last(images):
    """Return images of shape (N, C, H, W) in main memory as a C-contiguous array of shape (N, H, W, C)."""
    return numpy.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _channels_second(images):
    """Return a view of shape (N, C, H, W) of images of shape (N, H, W, C)."""
    return images.transpose(0, 3, 1, 2)


def is_grey(images: numpy.ndarray) -> bool:
    """Return whether all RGB images are grey: red, green and blue are equal at every pixel.

    Args:
        images: uint8 array of shape (N, 3, H, W).
    """
    parts = (images[first:first + _AT_ONCE] for first in range(0, len(images), _AT_ONCE))
    return all((part[:, :1] == part[:, 1:]).all() for part in parts)


def to_grey(images: numpy.ndarray) -> numpy.ndarray:
    """Convert RGB images to greyscale.

    The luminance is that of Pillow's mode L: 0.299 R + 0.587 G + 0.114 B, the weights of ITU-R BT.601.

    Args:
        images: uint8 array of shape (N, 3, H, W).

    Returns:
        uint8 array of shape (N, 1, H, W). It is a view of the input if all images are grey already.
    """
    if is_grey(images):
        return images[:, :1]
    grey = numpy.empty((len(images), 1, *images.shape[2:]), numpy.uint8)
    for first in range(0, len(images), _AT_ONCE):
        red, green, blue = images[first:first + _AT_ONCE].astype(numpy.uint32).swapaxes(0, 1)
        grey[first:first + _AT_ONCE, 0] = 19595 * red + 38470 * green + 7471 * blue + (1 << 15) >> 16
    return grey


def fingerprint(*arrays: numpy.ndarray) -> str:
    """Return the SHA-256 of the shapes and values of uint8 arrays, in hexadecimal. It identifies a data set."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        for first in range(0, len(array), _AT_ONCE):
            digest.update(numpy.ascontiguousarray(array[first:first + _AT_ONCE]).data)
    return digest.hexdigest()


def scaled(images: NdArray) -> NdArray:
    """Convert bytes to float32 in [-1, 1], the range that networks see: 0 becomes -1 and 255 becomes 1."""
    return images.astype(numpy.float32) * numpy.float32(1 / 127.5) - 1


def to_bytes(images: numpy.ndarray) -> numpy.ndarray:
    """Convert images in [-1, 1] to bytes, the inverse of `scaled`. Values outside the range are clipped."""
    return numpy.clip(numpy.rint(127.5 * images + 127.5), 0, 255).astype(numpy.uint8)
