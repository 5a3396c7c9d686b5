"""Convolutional networks for images, in the style of DCGAN (Radford et al. 2016, arXiv:1511.06434)."""
from collections.abc import Sequence

import chainer
from chainer.types import InitializerSpec, NdArray

from lsgan import functions, links


def _require(norm, kinds):
    if norm not in (*kinds, None):
        raise ValueError(f'norm must be {" or ".join(kinds)}, or None, but is {norm!r}')


def _after(size, activation, norm, shape=None):
    """Return the link that follows a layer: the activation, after batch normalisation if `norm` is true.

    Args:
        size (int): number of channels or units of the layer.
        activation (str): see `lsgan.links.Activation`.
        norm: whether to normalise.
        shape (tuple of int): shape of the result, see `lsgan.links.Activation`.
    """
    return links.BatchNormalization(size, activation, shape) if norm else links.Activation(activation, shape)


def _paddings(side, n):
    """Return the side at which n upsampling steps must start to end at `side`, and the padding of each step.

    A 4x4 deconvolution with stride 2 and padding 1 doubles the side. Only the first step may start at an odd side. If half of
    the output of another step is odd, that step starts one pixel above the half, and padding 2 removes the surplus.
    """
    pads = []
    for i in reversed(range(n)):
        odd = i > 0 and side // 2 % 2
        side, pads = side // 2 + odd, [1 + odd, *pads]
    return side, pads


class _Deconvolution(links.Deconvolution2D):
    """Upsampling by a 4x4 deconvolution with stride 2."""

    def __init__(self, a, b, pads, initialW):
        super().__init__(a, b, 4, 2, pads, initialW=initialW)


class _PixelShuffle(links.Convolution2D):
    """Upsampling by a 3x3 convolution and a pixel shuffle (Shi et al. 2016, arXiv:1609.05158).

    The pixel shuffle rearranges groups of four channels to blocks of 2x2 pixels.
    """

    def __init__(self, a, b, pads, initialW):
        super().__init__(a, 4 * b, 3, 1, 1, initialW=initialW)
        self._crop = _crop(pads)

    def forward(self, x):
        return functions.depth_to_space(super().forward(x), self._crop)


class _Resize(links.Convolution2D):
    """Upsampling by repeating pixels, then a 3x3 convolution (Odena et al. 2016, distill.pub/2016/deconv-checkerboard)."""

    def __init__(self, a, b, pads, initialW):
        super().__init__(a, b, 3, 1, 1, initialW=initialW)
        self._crop = _crop(pads)

    def forward(self, x):
        return super().forward(functions.repeat(x, self._crop))


def _crop(pads):
    """Return the numbers of rows and columns to crop at each border. A padding of 2 corresponds to cropping 1."""
    return tuple(pad - 1 for pad in pads)


UPSAMPLINGS = {'deconv': _Deconvolution, 'pixelshuffle': _PixelShuffle, 'resize': _Resize}


class Generator(chainer.Chain):
    """A convolutional generator, which maps latents of shape (B, latent) to images of shape (B, colours, H, W) in [-1, 1].

    A linear layer is followed by upsampling steps, which double height and width. To avoid odd sides after the first step, a
    step can end two pixels below the double: three steps to 28 pixels have the sides 4, 8, 14 and 28. All layers except the
    last are followed by batch normalisation and the activation. The last step is followed by tanh.

    Args:
        latent: dimension of the latents.
        channels: number of input channels of each upsampling step.
        size: height and width of the images in pixels, both even.
        colours: number of channels of the images.
        activation: activation after the hidden layers, see `lsgan.links.Activation`.
        norm: batch normalisation after the linear layer, with statistics per 'unit' or per 'channel'; the other layers have
            statistics per channel. None disables batch normalisation in all layers.
        initialW: initializer of the weights, as for Chainer's links.
        upsample: method of upsampling: deconv, pixelshuffle or resize.
    """

    def __init__(self, latent: int, channels: Sequence[int], size: tuple[int, int], colours: int = 3, activation: str = 'relu',
                 norm: str | None = 'unit', initialW: InitializerSpec | None = None, upsample: str = 'deconv'):
        super().__init__()
        _require(norm, ('unit', 'channel'))
        (height, pads_y), (width, pads_x) = (_paddings(side, len(channels)) for side in size)
        start = channels[0], height, width
        by_channel = norm == 'channel'
        units = start[0] * height * width
        with self.init_scope():
            self.first = links.Linear(latent, units, shape=start if by_channel else None, initialW=initialW)
            self.first_norm = (_after(channels[0], activation, norm) if by_channel else
                               _after(units, activation, norm, start))
            self.steps = chainer.ChainList(*(UPSAMPLINGS[upsample](a, b, pads, initialW)
                                             for a, b, pads in zip(channels, [*channels[1:], colours], zip(pads_y, pads_x))))
            self.norms = chainer.ChainList(*(_after(c, activation, norm) for c in channels[1:]))

    def forward(self, z: NdArray | chainer.Variable) -> chainer.Variable:
        h = self.first_norm(self.first(z))
        for step, norm in zip(self.steps, self.norms):
            h = norm(step(h))
        return functions.activation(self.steps[-1](h), 'tanh')


class Discriminator(chainer.Chain):
    """A convolutional discriminator or critic, which maps images of shape (B, colours, H, W) to outputs of shape (B, 1).

    It consists of 4x4 convolutions with stride 2, which halve height and width (rounded down), and a linear layer. Each
    convolution is followed by batch normalisation and the activation. The output has no activation.

    Args:
        channels: number of output channels of each convolution.
        size: height and width of the images in pixels, each at least 2 ** len(channels).
        colours: number of channels of the images.
        activation: activation after the convolutions, see `lsgan.links.Activation`.
        norm: batch normalisation after 'all' convolutions or after all 'but first'. None for no batch normalisation.
        initialW: initializer of the weights, as for Chainer's links.
    """

    def __init__(self, channels: Sequence[int], size: tuple[int, int], colours: int = 3, activation: str = 'leaky_relu',
                 norm: str | None = 'all', initialW: InitializerSpec | None = None):
        super().__init__()
        _require(norm, ('all', 'but first'))
        scale = 2 ** len(channels)
        units = channels[-1] * (size[0] // scale) * (size[1] // scale)
        shapes = [None] * (len(channels) - 1) + [(units,)]
        with self.init_scope():
            self.steps = chainer.ChainList(*(links.Convolution2D(a, b, 4, 2, 1, initialW=initialW)
                                             for a, b in zip([colours, *channels], channels)))
            self.norms = chainer.ChainList(*(_after(c, activation, norm == 'all' or norm and i > 0, shape)
                                             for i, (c, shape) in enumerate(zip(channels, shapes))))
            self.last = links.Linear(units, 1, initialW=initialW)

    def forward(self, x: NdArray | chainer.Variable) -> chainer.Variable:
        for step, norm in zip(self.steps, self.norms):
            x = norm(step(x))
        return self.last(x)
