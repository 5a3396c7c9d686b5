"""Named streams of random numbers, each seeded and saved on its own, and latents for generators."""
import json
import math
import zlib
from collections.abc import Sequence
from typing import Any

import chainer
import numpy
from chainer.types import NdArray

from lsgan.functions.cpu.normal import normal
from lsgan.functions.gpu import batches
from lsgan.functions.gpu.random import Philox
from lsgan.functions.gpu.scalar import Scalar


class Stream:
    """A source of random arrays on one device, determined by a random seed and a name.

    Streams with different names are independent. Therefore a hook that draws from a stream of its own cannot change the
    numbers that training draws. The generator is NumPy's default generator on the CPU and
    `lsgan.functions.gpu.random.Philox` on a GPU. On a GPU, each draw is one kernel launch, without a copy or a wait, and the
    state is the number of draws.

    Args:
        seed: the run's random seed, at least 0.
        name: what the stream is for.
        device: the device that holds the arrays (default: the CPU).
        branch: numbers, at least 0, that distinguish independent streams of the same seed and name.

    Attributes:
        device (chainer.backend.Device): the device that holds the arrays.
        generator (numpy.random.Generator or Philox): the generator of the numbers.
    """

    def __init__(self, seed: int, name: str, device: chainer.backend.Device | None = None, branch: Sequence[int] = ()):
        self.device = device = device or chainer.get_device('@numpy')
        self.generator: Any     # its class depends on the device
        seeds = seed_sequence(seed, name, branch)
        if device.xp is numpy:
            self.generator = numpy.random.default_rng(seeds)
        else:
            with chainer.using_device(device):
                self.generator = Philox(seeds.generate_state(1, numpy.uint64)[0])

    def normal(self, shape: int | tuple[int, ...]) -> NdArray:
        """Return standard normal numbers, a float32 array of the given shape."""
        if self.device.xp is numpy:
            return normal(self.generator, math.prod(shape) if isinstance(shape, tuple) else shape).reshape(shape)
        return self.generator.normal(shape)

    def uniform(self, shape: int | tuple[int, ...]) -> NdArray:
        """Return numbers uniform in [-1, 1), a float32 array of the given shape."""
        if self.device.xp is numpy:
            return 2 * self.generator.random(shape, dtype=numpy.float32) - 1
        return self.generator.uniform(shape)

    def integers(self, high: int, shape: int | tuple[int, ...]) -> NdArray:
        """Return integers uniform in [0, high), an int64 array of the given shape; `high` is at least 1 and at most 2^32."""
        if self.device.xp is numpy:
            return self.generator.integers(high, size=shape)
        return self.generator.integers(high, shape)

    def add_normal(self, arrays: Sequence[NdArray], sigma: float | Scalar) -> NdArray:
        """Return arrays with normal noise added, concatenated along the first axis.

        Args:
            arrays: one or two float arrays on the stream's device. All axes but the first have equal lengths. On a GPU, images
                with channels last in memory stay so.
            sigma: standard deviation of the noise. A captured CUDA graph keeps a float for all replays, but reads the current
                value of a scalar. Scalars work on a GPU only.
        """
        if self.device.xp is not numpy:
            return batches.add_normal(arrays, sigma, self.generator)
        noisy = [x + sigma * self.normal(x.shape) for x in arrays]
        return noisy[0] if len(noisy) == 1 else numpy.concatenate(noisy)

    @property
    def state(self) -> dict:
        """The state of the CPU generator, a dict that determines the next numbers. It can be set."""
        return self.generator.bit_generator.state

    @state.setter
    def state(self, state: dict) -> None:
        self.generator.bit_generator.state = state

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        if self.device.xp is not numpy:
            self.generator.draws = int(serializer('draws', self.generator.draws))
        else:
            serializer('draws', 0)
            saved = str(serializer('state', json.dumps(self.state)))
            if not isinstance(serializer, chainer.Serializer):
                self.state = json.loads(saved)


class Latent:
    """A source of latent vectors for a generator.

    Calling it with n returns the next n latents, a float32 array of shape (n, size).

    Args:
        size: dimension of a latent.
        distribution: normal (mean 0, variance 1) or uniform (in [-1, 1)).
        stream: source of the numbers.
    """

    def __init__(self, size: int, distribution: str, stream: Stream):
        self.size, self.stream = size, stream
        self._draw = {'normal': stream.normal, 'uniform': stream.uniform}[distribution]

    def __call__(self, n: int) -> NdArray:
        return self._draw((n, self.size))

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        self.stream.serialize(serializer)


def along(a: numpy.ndarray, b: numpy.ndarray, t: numpy.ndarray, distribution: str) -> numpy.ndarray:
    """Return latents on the way from one latent to another.

    Uniform latents are interpolated linearly. Normal latents almost all have about the same length, and points halfway along
    a straight line are shorter than the latents that the generator was trained on. Therefore the direction of normal latents
    is interpolated on the sphere (White 2016, arXiv:1609.04468), and their length linearly.

    Args:
        a, b: NumPy arrays of shape (size,).
        t: NumPy array of shape (n,): positions on the way, from 0 at a to 1 at b.
        distribution: the distribution of the latents, as in `Latent`.

    Returns:
        NumPy array of shape (n, size). The latent at 0 is exactly a, and the one at 1 exactly b.
    """
    t = t[:, None]
    if distribution == 'uniform':
        latents = (1 - t) * a + t * b
    else:
        (u, first), (v, last) = (_direction(x.astype(numpy.float64)) for x in (a, b))
        u, v = (u, v) if first and last else (u + v, u + v)      # a zero vector has no direction and takes the other's
        across = v - (u @ v) * u        # the component of b's direction that is orthogonal to a
        angle = math.atan2(numpy.linalg.norm(across), u @ v)
        if numpy.linalg.norm(across) < 1e-6:    # opposite directions span no plane: turn towards the axis most orthogonal to a
            k = abs(u).argmin()
            across = -u[k] * u
            across[k] += 1
        latents = ((1 - t) * first + t * last) * (numpy.cos(t * angle) * u + numpy.sin(t * angle) * _direction(across)[0])
    latents = latents.astype(a.dtype)
    return numpy.select([t == 0, t == 1], [a, b], latents)


def way(a: numpy.ndarray, b: numpy.ndarray, steps: int, distribution: str) -> numpy.ndarray:
    """Interpolate between two latents in even steps, see `along`.

    Args:
        a, b: NumPy arrays of shape (size,).
        steps: number of latents, including both ends; at least 2.
        distribution: the distribution of the latents, as in `Latent`.

    Returns:
        NumPy array of shape (steps, size). The first latent is exactly a, and the last exactly b.
    """
    return along(a, b, numpy.linspace(0, 1, steps), distribution)


def between(corners: numpy.ndarray, steps: int, distribution: str) -> numpy.ndarray:
    """Interpolate between the four corners of a square: first down the left and the right side, then along each row.

    Args:
        corners: NumPy array of shape (4, size): top left, top right, bottom left, bottom right.
        steps: number of latents along a side, at least 2.
        distribution: the distribution of the latents, as in `Latent`.

    Returns:
        NumPy array of shape (steps, steps, size). Its corners are exactly the given ones.
    """
    left, right = (way(top, bottom, steps, distribution) for top, bottom in zip(corners[:2], corners[2:]))
    return numpy.stack([way(*ends, steps, distribution) for ends in zip(left, right)])


def loop(latents: numpy.ndarray, steps: int, distribution: str) -> numpy.ndarray:
    """Interpolate along a closed path: from each given latent to the next, and from the last to the first.

    Args:
        latents: NumPy array of shape (n, size), n at least 2.
        steps: number of steps from one latent to the next, at least 1.
        distribution: the distribution of the latents, as in `Latent`.

    Returns:
        NumPy array of shape (n * steps, size). Every `steps`-th latent is exactly a given one. The first is not repeated at
        the end.
    """
    ends = zip(latents, numpy.roll(latents, -1, axis=0))
    return numpy.concatenate([way(a, b, steps + 1, distribution)[:-1] for a, b in ends])


def mean(latents: numpy.ndarray, distribution: str) -> numpy.ndarray:
    """Return the mean of latents.

    The mean of normal latents is rescaled to their mean length, because the generator was trained on latents of that length.

    Args:
        latents: NumPy array of shape (n, size).
        distribution: the distribution of the latents, as in `Latent`.

    Returns:
        NumPy array of shape (size,).
    """
    return _placed(latents.mean(axis=0), latents, distribution)


def analogy(a: numpy.ndarray, b: numpy.ndarray, c: numpy.ndarray, distribution: str) -> numpy.ndarray:
    """Compute a latent by vector arithmetic: mean(a) - mean(b) + mean(c).

    The result is then clipped to [-1, 1] for uniform latents, or rescaled to the mean length of all given normal latents.
    Radford et al. 2016 (arXiv:1511.06434, section 6.3.2) found that arithmetic on single latents is unstable, but consistent
    with the means of three. The means are not rescaled to a common length first, because that would give larger groups a
    larger weight.

    Args:
        a, b, c: NumPy arrays, each a single latent (size,) or a group of any number of latents (n, size).
        distribution: the distribution of the latents, as in `Latent`.

    Returns:
        NumPy array of shape (size,).
    """
    a, b, c = groups = [numpy.atleast_2d(group) for group in (a, b, c)]
    return _placed(a.mean(axis=0) - b.mean(axis=0) + c.mean(axis=0), numpy.concatenate(groups), distribution)


def near(latent: numpy.ndarray, noise: numpy.ndarray, distribution: str) -> numpy.ndarray:
    """Add noise to a latent.

    The sums are then clipped to [-1, 1] for uniform latents, or rescaled to the length of the given normal latent.

    Args:
        latent: NumPy array of shape (size,).
        noise: NumPy array of shape (n, size).
        distribution: the distribution of the latents, as in `Latent`.

    Returns:
        NumPy array of shape (n, size).
    """
    return numpy.stack([_placed(latent + some, latent[None], distribution) for some in noise])


def _placed(x, latents, distribution):
    """Return x (size,), clipped to [-1, 1] for uniform latents, or rescaled to the mean length of normal `latents` (n, size).

    Uniform latents are never outside [-1, 1]. The sum of three normal latents is longer than each of them by a factor of
    sqrt(3), and their mean is shorter by the same factor. The generator was trained on neither length.
    """
    if distribution == 'uniform':
        return numpy.clip(x, -1, 1)
    return _direction(x)[0] * numpy.linalg.norm(latents, axis=1).mean(dtype=x.dtype)


def _direction(x):
    """Return x divided by its length, and the length. A zero vector stays zero."""
    length = numpy.linalg.norm(x)
    return x / (length or 1), length


def seed_sequence(seed: int, name: str, branch: Sequence[int] = ()) -> numpy.random.SeedSequence:
    """Return the `numpy.random.SeedSequence` of a stream. The arguments are those of `Stream`."""
    return numpy.random.SeedSequence([seed, zlib.crc32(name.encode()), *branch])


def seed_global(seed: int, branch: Sequence[int]) -> None:
    """Seed NumPy's global random state. The arguments are those of `Stream`."""
    numpy.random.seed(seed_sequence(seed, 'numpy', branch).generate_state(4))


def serialize_global(serializer: chainer.AbstractSerializer) -> None:
    """Save or restore NumPy's global random state."""
    state: Any = numpy.random.get_state()
    name, keys, *rest = state
    keys = serializer('keys', keys.copy())
    rest = json.loads(str(serializer('rest', json.dumps(rest))))
    if not isinstance(serializer, chainer.Serializer):
        numpy.random.set_state((name, keys, *rest))
