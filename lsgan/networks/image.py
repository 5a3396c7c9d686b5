"""Convolutional networks for images, by the rule of DCGAN (Radford et al. 2016): 4x4 kernels, each doubling or halving."""
import chainer
import chainer.functions as F
import chainer.links as L

from lsgan import links


class Generator(chainer.Chain):
    """Maps latents (B, latent) to images (B, colours, H, W) in [-1, 1].

    A linear layer, then deconvolutions that double height and width each; batch normalisation and ReLU after each but the
    last, tanh after that.

    Args:
        latent (int): numbers in a latent.
        channels (sequence of int): before each deconvolution.
        size (tuple of int): height and width of the images, divisible by 2 to the number of deconvolutions.
        colours (int): channels of the images.
        initialW: the weights' initializer, by Chainer's conventions.
    """

    def __init__(self, latent, channels, size, colours=3, initialW=None):
        super().__init__()
        scale = 2 ** len(channels)
        self.start = channels[0], size[0] // scale, size[1] // scale
        units = self.start[0] * self.start[1] * self.start[2]
        with self.init_scope():
            self.first = L.Linear(latent, units, initialW=initialW)
            self.first_norm = links.BatchNormalization(units, 'relu')
            self.steps = chainer.ChainList(*(links.Deconvolution2D(a, b, 4, 2, 1, initialW=initialW)
                                             for a, b in zip(channels, [*channels[1:], colours])))
            self.norms = chainer.ChainList(*(links.BatchNormalization(c, 'relu') for c in channels[1:]))

    def forward(self, z):
        h = self.first_norm(self.first(z)).reshape(-1, *self.start)
        for step, norm in zip(self.steps, self.norms):
            h = norm(step(h))
        return F.tanh(self.steps[-1](h))


class Discriminator(chainer.Chain):
    """Maps images (B, colours, H, W) to one number each, (B, 1), by a last linear unit without activation.

    Convolutions that halve height and width each, with batch normalisation and leaky ReLU.

    Args: as `Generator`; `channels` are those after each convolution.
    """

    def __init__(self, channels, size, colours=3, initialW=None):
        super().__init__()
        scale = 2 ** len(channels)
        with self.init_scope():
            self.steps = chainer.ChainList(*(links.Convolution2D(a, b, 4, 2, 1, initialW=initialW)
                                             for a, b in zip([colours, *channels], channels)))
            self.norms = chainer.ChainList(*(links.BatchNormalization(c, 'leaky_relu') for c in channels))
            self.last = L.Linear(channels[-1] * (size[0] // scale) * (size[1] // scale), 1, initialW=initialW)

    def forward(self, x):
        for step, norm in zip(self.steps, self.norms):
            x = norm(step(x))
        return self.last(x)
