"""The losses of the discriminator D and the generator G.

Each loss is a class with two methods. `discriminator` computes D's loss from D's outputs on real and on generated data; with
only one of the two, it computes that term alone. `generator` computes G's loss from D's outputs on generated data. D's outputs
have no final activation. They are arrays or Variables of any shape with the batch first, and every expectation is a mean over
the batch.
"""
import math
from typing import Protocol

import chainer
from chainer.types import NdArray

from lsgan import functions


def _given(*terms):
    """Return the outputs that are not None, and the number that belongs to each: two sequences."""
    return zip(*((outputs, number) for outputs, number in terms if outputs is not None))


class Loss(Protocol):
    """The interface of the losses."""

    def discriminator(self, real: NdArray | chainer.Variable | None = None,
                      fake: NdArray | chainer.Variable | None = None) -> chainer.Variable:
        """Return D's loss, or one of its two terms; see `LeastSquares.discriminator`."""
        ...

    def generator(self, fake: NdArray | chainer.Variable) -> chainer.Variable:
        """Return G's loss; see `LeastSquares.generator`."""
        ...


class LeastSquares:
    """The loss of the least squares GAN (Mao et al. 2017, equation 2).

    D minimises 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2], and G minimises 1/2 E[(D(G(z)) - c)^2].

    Args:
        a: D's target for generated data.
        b: D's target for real data.
        c: G's target for D's output on generated data.
    """

    SCHEMES = {'binary': (0.0, 1.0, 1.0), 'pearson': (-1.0, 1.0, 0.0)}   # equations 9 and 8 of the paper

    def __init__(self, a: float = 0.0, b: float = 1.0, c: float = 1.0):
        self.a, self.b, self.c = a, b, c

    def discriminator(self, real: NdArray | chainer.Variable | None = None,
                      fake: NdArray | chainer.Variable | None = None) -> chainer.Variable:
        """Return D's loss, or one of its two terms.

        Args:
            real: D's outputs on real data, or None for the other term alone.
            fake: D's outputs on generated data, or None for the other term alone.

        Returns:
            A scalar.
        """
        return functions.half_squared_error(*_given((real, self.b), (fake, self.a)))

    def generator(self, fake: NdArray | chainer.Variable) -> chainer.Variable:
        """Return G's loss.

        Args:
            fake: D's outputs on generated data.

        Returns:
            A scalar.
        """
        return functions.half_squared_error((fake,), (self.c,))

    @property
    def is_pearson(self) -> bool:
        """Whether b - c = 1 and b - a = 2, so that G minimises the Pearson chi-squared divergence (section 3.2)."""
        return math.isclose(self.b - self.c, 1) and math.isclose(self.b - self.a, 2)


class Wasserstein:
    """The loss of the Wasserstein GAN (Arjovsky et al. 2017, algorithm 1).

    The critic D maximises E[D(x)] - E[D(G(z))], and G maximises E[D(G(z))]. D's weights must be clipped, for example by
    `lsgan.functions.optimizers.ClipWeights`, or its gradient penalised, see `lsgan.penalties`.
    """

    def discriminator(self, real: NdArray | chainer.Variable | None = None,
                      fake: NdArray | chainer.Variable | None = None) -> chainer.Variable:
        """Return D's loss, as in `LeastSquares.discriminator`."""
        return functions.signed_mean(*_given((real, -1), (fake, 1)))

    def generator(self, fake: NdArray | chainer.Variable) -> chainer.Variable:
        """Return G's loss, as in `LeastSquares.generator`."""
        return functions.signed_mean((fake,), (-1,))


class NonSaturating:
    """The non-saturating loss of the standard GAN (Goodfellow et al. 2014, section 3).

    D maximises E[log sigmoid(D(x))] + E[log(1 - sigmoid(D(G(z))))], and G maximises E[log sigmoid(D(G(z)))].
    """

    def discriminator(self, real: NdArray | chainer.Variable | None = None,
                      fake: NdArray | chainer.Variable | None = None) -> chainer.Variable:
        """Return D's loss, as in `LeastSquares.discriminator`."""
        return functions.mean_softplus(*_given((real, -1), (fake, 1)))

    def generator(self, fake: NdArray | chainer.Variable) -> chainer.Variable:
        """Return G's loss, as in `LeastSquares.generator`."""
        return functions.mean_softplus((fake,), (-1,))


LOSSES: dict[str, type[Loss]] = {'lsgan': LeastSquares, 'wgan': Wasserstein, 'gan': NonSaturating}
