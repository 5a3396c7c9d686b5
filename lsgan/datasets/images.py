"""Images of one size, from which training draws."""
import functools
import hashlib

import chainer
import numpy

from lsgan.functions.gpu import batches

_AT_ONCE = 1024     # images that are copied together


class ImageSet:
    """A set of images, held once as bytes: on the device that it is drawn on, or in main memory where they would take more
    than half of what is free there. A batch from a GPU's memory is one kernel launch; a batch from main memory makes the host
    wait for the GPU, since it gathers what the GPU has drawn.

    Args:
        load (callable): returns them, a uint8 array of shape (N, C, H, W), N at least 1; called once, when they are needed.
        mirror (bool): whether each image is there twice, as it is and with left and right exchanged.
    """

    def __init__(self, load, mirror=False):
        self._load, self.mirror, self._place = load, mirror, None

    @functools.cached_property
    def images(self):
        """All of them, (N, C, H, W); in a GPU's memory, the channels are last."""
        return self._load()

    @property
    def on_device(self):
        """Whether the images are held in a GPU's memory; see `lsgan.datasets.iterator.SampleIterator`."""
        return self._place is not None and self._place.xp is not numpy

    def sample(self, n, stream):
        """`n` images, each drawn from all, as a float32 array of shape (n, C, H, W) in [-1, 1], on the stream's device."""
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


def _channels_last(images):
    """Return images (N, C, H, W) in main memory as (N, H, W, C), C-contiguous."""
    return numpy.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _channels_second(images):
    """Return images (N, H, W, C) as (N, C, H, W), a view."""
    return images.transpose(0, 3, 1, 2)


def is_grey(images):
    """Return whether red, green and blue are equal at every pixel of RGB images, a uint8 array (N, 3, H, W)."""
    parts = (images[first:first + _AT_ONCE] for first in range(0, len(images), _AT_ONCE))
    return all((part[:, :1] == part[:, 1:]).all() for part in parts)


def to_grey(images):
    """Return RGB images in one channel, (N, 1, H, W): a view if they are grey, and otherwise their luminance.

    The luminance is Pillow's mode L, with the weights of ITU-R 601: 0.299 R + 0.587 G + 0.114 B.

    Args:
        images: uint8 array of shape (N, 3, H, W).
    """
    if is_grey(images):
        return images[:, :1]
    grey = numpy.empty((len(images), 1, *images.shape[2:]), numpy.uint8)
    for first in range(0, len(images), _AT_ONCE):
        red, green, blue = images[first:first + _AT_ONCE].astype(numpy.uint32).swapaxes(0, 1)
        grey[first:first + _AT_ONCE, 0] = 19595 * red + 38470 * green + 7471 * blue + (1 << 15) >> 16
    return grey


def fingerprint(*arrays):
    """What tells images, and what comes with them, from any others: the SHA-256 of uint8 arrays, hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        for first in range(0, len(array), _AT_ONCE):
            digest.update(numpy.ascontiguousarray(array[first:first + _AT_ONCE]))
    return digest.hexdigest()


def scaled(images):
    """Bytes as float32 in [-1, 1], what networks see: 0 is -1 and 255 is 1."""
    return images.astype(numpy.float32) * numpy.float32(1 / 127.5) - 1


def to_bytes(images):
    """Images in [-1, 1] as bytes, the inverse of `scaled`; what is outside is cut off."""
    return numpy.clip(numpy.rint(127.5 * images + 127.5), 0, 255).astype(numpy.uint8)
