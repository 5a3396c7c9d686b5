"""Gradient penalties on the discriminator D.

A penalty is a function of D, a real batch, a generated batch and a source of random numbers. Its weighted value is added
to D's loss. Each norm is the L2 norm of the gradient of D's output with respect to one example.

Batch normalisation in D makes D's output for an example depend on the whole batch. The gradient of an example then contains
the effect of the example on the other outputs, which the papers do not intend.
"""
import dataclasses
from collections.abc import Callable
from typing import Any

import chainer
import chainer.functions as F
from chainer.types import NdArray

from lsgan.random import Stream

_TINY = 1e-12       # added to squared norms, because the derivative of a square root at 0 is infinite
_SPREAD = 0.5       # standard deviation of DRAGAN's perturbation, in standard deviations of the real batch


def squared_norms(discriminator: Callable, x: NdArray) -> chainer.Variable:
    """Return the squared norm of the gradient of D's output at each example.

    Args:
        discriminator: D, whose parameters get gradients through the result.
        x: examples of shape (B, ...).

    Returns:
        A Variable of shape (B,).
    """
    x = chainer.Variable(x)
    gradient, = chainer.grad([F.sum(discriminator(x))], [x], enable_double_backprop=True)
    return F.sum(F.square(gradient), axis=tuple(range(1, x.ndim)))


def _distance_from_one(discriminator, x):
    """Return the mean of (norm - 1)^2 over the examples."""
    return F.mean(F.square(F.sqrt(squared_norms(discriminator, x) + _TINY) - 1))


def wgan_gp(discriminator: Callable, real: NdArray, fake: NdArray, stream: Stream) -> chainer.Variable:
    """Return E[(norm - 1)^2] at random points between real and generated examples (Gulrajani et al. 2017, equation 3).

    Args:
        discriminator: D, maps examples (B, ...) to outputs.
        real: real examples of shape (B, ...).
        fake: generated examples of the same shape.
        stream: source of random numbers, on the device of the examples.

    Returns:
        A scalar.
    """
    share = (1 + stream.uniform((len(real),) + (1,) * (real.ndim - 1))) / 2
    return _distance_from_one(discriminator, share * real + (1 - share) * fake)


def dragan(discriminator: Callable, real: NdArray, fake: NdArray, stream: Stream) -> chainer.Variable:
    """Return E[(norm - 1)^2] at perturbed real examples (Kodali et al. 2017, with k = 1).

    The perturbation is Gaussian, as in the paper. Its standard deviation is half of that of all values in the real batch. This
    is the scale in the code of the paper's authors. The arguments are those of `wgan_gp`; `fake` is not used.

    LSGANs-GP (Mao et al. 2019, "On the Effectiveness of Least Squares Generative Adversarial Networks", arXiv:1712.06391) use
    this penalty with least squares. Their code has the weight 150, but it sums the loss over a batch of 64. For means over a
    batch, as in `lsgan.losses`, that is a weight of 150 / 64 = 2.3.
    """
    return _distance_from_one(discriminator, real + _SPREAD * real.std() * stream.normal(real.shape))


def r1(discriminator: Callable, real: NdArray, fake: NdArray, stream: Stream) -> chainer.Variable:
    """Return E[norm^2] / 2 at real examples (Mescheder et al. 2018, equation 9).

    The arguments are those of `wgan_gp`; `fake` and `stream` are not used.
    """
    return F.mean(squared_norms(discriminator, real)) / 2


# for each name: the function, and the usual weight
PENALTIES: dict[str, tuple[Callable[..., chainer.Variable], float]] = {
    'wgan-gp': (wgan_gp, 10.0), 'dragan': (dragan, 10.0), 'r1': (r1, 10.0)}


@dataclasses.dataclass
class GradientPenalty:
    """A gradient penalty with its weight and its source of random numbers.

    Attributes:
        function: see `PENALTIES`.
        weight: factor of the penalty in D's loss, above 0.
        stream: source of random numbers.
    """

    function: Callable[..., chainer.Variable]
    weight: float
    stream: Stream

    def __call__(self, discriminator: Callable, real: NdArray, fake: NdArray) -> tuple[Any, Any]:
        """Return the weighted penalty and the penalty, two scalars. The arguments are those of `wgan_gp`.

        Batch normalisation does not count these examples in its running statistics.
        """
        with chainer.using_config('in_recomputing', True):
            penalty = self.function(discriminator, real, fake, self.stream)
        return self.weight * penalty, penalty
