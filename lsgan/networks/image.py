"""Convolutional networks for images, by the rule of DCGAN (Radford et al. 2016): 4x4 kernels, each doubling or halving."""
import chainer

from lsgan import functions, links


def _require(norm, kinds):
    if norm not in (*kinds, None):
        raise ValueError(f'norm is {norm!r}; it can be {" or ".join(kinds)}, or None')


def _after(size, activation, norm, shape=None):
    """Return what follows a layer of so many channels; `shape` is that of its result, as of `lsgan.links.Activation`."""
    return links.BatchNormalization(size, activation, shape) if norm else links.Activation(activation, shape)


def _paddings(side, n):
    """The side at which n deconvolutions that end at `side` start, and the padding of each.

    With 1 a deconvolution doubles. Where half of its output is odd and not yet the start, it begins one above that, and 2
    takes off what is too much.
    """
    pads = []
    for i in reversed(range(n)):
        odd = i > 0 and side // 2 % 2
        side, pads = side // 2 + odd, [1 + odd, *pads]
    return side, pads


class _Deconvolution(links.Deconvolution2D):
    """Doubles by a deconvolution of 4x4 with stride 2 (Radford et al. 2016)."""

    def __init__(self, a, b, pads, initialW):
        super().__init__(a, b, 4, 2, pads, initialW=initialW)


class _PixelShuffle(links.Convolution2D):
    """Doubles by a 3x3 convolution whose channels become blocks of 2x2 pixels (Shi et al. 2016, arXiv:1609.05158)."""

    def __init__(self, a, b, pads, initialW):
        super().__init__(a, 4 * b, 3, 1, 1, initialW=initialW)
        self._crop = _crop(pads)

    def forward(self, x):
        return functions.depth_to_space(super().forward(x), self._crop)


class _Resize(links.Convolution2D):
    """Doubles by repeating each pixel, before a 3x3 convolution (Odena et al. 2016, distill.pub/2016/deconv-checkerboard)."""

    def __init__(self, a, b, pads, initialW):
        super().__init__(a, b, 3, 1, 1, initialW=initialW)
        self._crop = _crop(pads)

    def forward(self, x):
        return super().forward(functions.repeat(x, self._crop))


def _crop(pads):
    """Return the rows and columns that a deconvolution's paddings above 1 take off at each border."""
    return tuple(pad - 1 for pad in pads)


UPSAMPLINGS = {'deconv': _Deconvolution, 'pixelshuffle': _PixelShuffle, 'resize': _Resize}


class Generator(chainer.Chain):
    """Maps latents (B, latent) to images (B, colours, H, W) in [-1, 1].

    A linear layer, then steps that double height and width each, or double and take off 2 where a side would be odd and not
    the first (28 is 4, 8, 14, 28). Batch normalisation and the activation after each but the last, tanh after that.

    Args:
        latent (int): numbers in a latent.
        channels (sequence of int): before each step.
        size (tuple of int): height and width of the images, both even.
        colours (int): channels of the images.
        activation (str): see `lsgan.links.Activation`.
        norm (str): after the linear layer, batch normalisation by 'unit' or by 'channel'; None for none anywhere.
        initialW: the weights' initializer, by Chainer's conventions.
        upsample (str): how a step doubles: deconv, pixelshuffle or resize.
    """

    def __init__(self, latent, channels, size, colours=3, activation='relu', norm='unit', initialW=None, upsample='deconv'):
        super().__init__()
        _require(norm, ('unit', 'channel'))
        (height, pads_y), (width, pads_x) = (_paddings(side, len(channels)) for side in size)
        self.start = channels[0], height, width
        self.by_channel = norm == 'channel'
        units = self.start[0] * height * width
        with self.init_scope():
            self.first = links.Linear(latent, units, initialW=initialW)
            self.first_norm = (_after(channels[0], activation, norm) if self.by_channel else
                               _after(units, activation, norm, self.start))
            self.steps = chainer.ChainList(*(UPSAMPLINGS[upsample](a, b, pads, initialW)
                                             for a, b, pads in zip(channels, [*channels[1:], colours], zip(pads_y, pads_x))))
            self.norms = chainer.ChainList(*(_after(c, activation, norm) for c in channels[1:]))

    def forward(self, z):
        h = self.first(z)
        h = self.first_norm(h.reshape(-1, *self.start) if self.by_channel else h)
        for step, norm in zip(self.steps, self.norms):
            h = norm(step(h))
        return functions.activation(self.steps[-1](h), 'tanh')


class Discriminator(chainer.Chain):
    """Maps images (B, colours, H, W) to one number each, (B, 1), by a last linear unit without activation.

    Convolutions that halve height and width each, rounding down, with batch normalisation and the activation after each.

    Args: as `Generator`, but for
        channels (sequence of int): after each convolution.
        norm (str): batch normalisation after 'all' convolutions or after all 'but first'; None for none.
    """

    def __init__(self, channels, size, colours=3, activation='leaky_relu', norm='all', initialW=None):
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

    def forward(self, x):
        for step, norm in zip(self.steps, self.norms):
            x = norm(step(x))
        return self.last(x)
