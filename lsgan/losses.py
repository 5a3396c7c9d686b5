"""The losses: each gives D's from D's outputs on real and generated data, and G's from D's outputs on generated data.

D's may be asked for one of its two terms alone, by leaving out the other data's outputs.
D's outputs are those of a last linear unit without activation, of any shape with the batch first; every expectation is a mean
over the batch.
"""
import math

from lsgan import functions


def _given(*terms):
    """Those pairs of D's outputs and a number of whose outputs there are any: two sequences."""
    return zip(*((outputs, number) for outputs, number in terms if outputs is not None))


class LeastSquares:
    """The least squares GAN (Mao et al. 2017, equation 2), means over the batch.

    D minimises 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2], G minimises 1/2 E[(D(G(z)) - c)^2].

    Args:
        a (float): what D should give generated data.
        b (float): what D should give real data.
        c (float): what G wants D to give generated data.
    """

    SCHEMES = {'binary': (0.0, 1.0, 1.0), 'pearson': (-1.0, 1.0, 0.0)}   # equations 9 and 8 of the paper

    def __init__(self, a=0.0, b=1.0, c=1.0):
        self.a, self.b, self.c = a, b, c

    def discriminator(self, real=None, fake=None):
        """D's loss, a scalar Variable, from D's outputs on real and generated data, or its term for one of them."""
        return functions.half_squared_error(*_given((real, self.b), (fake, self.a)))

    def generator(self, fake):
        """G's loss, a scalar Variable, from D's outputs on generated data."""
        return functions.half_squared_error((fake,), (self.c,))

    @property
    def is_pearson(self):
        """Whether b - c = 1 and b - a = 2: G minimises the Pearson divergence of p_d + p_g and 2 p_g (section 3.2)."""
        return math.isclose(self.b - self.c, 1) and math.isclose(self.b - self.a, 2)


class Wasserstein:
    """The Wasserstein GAN's (Arjovsky et al. 2017): the critic maximises E[D(x)] - E[D(G(z))], its weights kept in a box."""

    def discriminator(self, real=None, fake=None):
        """D's loss, as in `LeastSquares.discriminator`."""
        return functions.signed_mean(*_given((real, -1), (fake, 1)))

    def generator(self, fake):
        """G's loss, as in `LeastSquares.generator`."""
        return functions.signed_mean((fake,), (-1,))


class NonSaturating:
    """The standard GAN's (Goodfellow et al. 2014), G by the log trick: it maximises E[log sigmoid(D(G(z)))]."""

    def discriminator(self, real=None, fake=None):
        """D's loss, as in `LeastSquares.discriminator`."""
        return functions.mean_softplus(*_given((real, -1), (fake, 1)))

    def generator(self, fake):
        """G's loss, as in `LeastSquares.generator`."""
        return functions.mean_softplus((fake,), (-1,))


LOSSES = {'lsgan': LeastSquares, 'wgan': Wasserstein, 'gan': NonSaturating}
