"""Streams of random numbers that a run is determined by, each named, seeded and saved on its own."""
import json
import math
import zlib

import chainer
import numpy

from lsgan.functions.cpu import threads
from lsgan.functions.gpu import batches
from lsgan.functions.gpu.random import Philox


class Stream:
    """Random arrays on one device, determined by a seed and a name.

    Streams of different names are independent, so a hook that draws from its own cannot change what training draws.
    The generator is NumPy's default one on the CPU, and `lsgan.functions.gpu.random.Philox` on a GPU. There every draw is one
    kernel launch, without a copy or a wait, and the state is the number of draws.

    Args:
        seed (int): the run's seed, not negative.
        name (str): what the stream is for.
        device (chainer.backend.Device): where the arrays are made (default: the CPU).
        branch (sequence of int): not negative; streams of the same seed and name but different branches are independent.

    Attributes:
        device (chainer.backend.Device): where the arrays are made.
        generator (numpy.random.Generator or Philox): what the numbers come from.
    """

    def __init__(self, seed, name, device=None, branch=()):
        self.device = device = device or chainer.get_device('@numpy')
        seeds = seed_sequence(seed, name, branch)
        if device.xp is numpy:
            self.generator = numpy.random.default_rng(seeds)
        else:
            with chainer.using_device(device):
                self.generator = Philox(seeds.generate_state(1, numpy.uint64)[0])

    def normal(self, shape):
        """Standard normal numbers, float32, of the given shape."""
        if self.device.xp is numpy:
            return self.generator.standard_normal(shape, dtype=numpy.float32)
        return self.generator.normal(shape)

    def uniform(self, shape):
        """Numbers uniform in [-1, 1), float32, of the given shape."""
        if self.device.xp is numpy:
            return 2 * self.generator.random(shape, dtype=numpy.float32) - 1
        return self.generator.uniform(shape)

    def integers(self, high, shape):
        """Integers uniform in [0, high), int64, of the given shape; `high` is at most 2^32."""
        if self.device.xp is numpy:
            return self.generator.integers(high, size=shape)
        return self.generator.integers(high, shape)

    def add_normal(self, arrays, sigma):
        """Return arrays with normal noise added, joined along the first axis.

        Args:
            arrays (list): one or two float arrays on the stream's device, of one shape but for the first axis. On a GPU,
                images keep their channels last in memory.
            sigma (float or lsgan.functions.gpu.scalar.Scalar): the noise's standard deviation; scalars are for a GPU only. A
                captured CUDA graph keeps a float but reads a scalar anew.
        """
        if self.device.xp is not numpy:
            return batches.add_normal(arrays, sigma, self.generator)
        noisy = [x + sigma * self.normal(x.shape) for x in arrays]
        return noisy[0] if len(noisy) == 1 else numpy.concatenate(noisy)

    @property
    def state(self):
        """What the next numbers on a CPU follow from, a dict; may be set."""
        return self.generator.bit_generator.state

    @state.setter
    def state(self, state):
        self.generator.bit_generator.state = state

    def serialize(self, serializer):
        if self.device.xp is not numpy:
            self.generator.draws = int(serializer('draws', self.generator.draws))
        else:
            serializer('draws', 0)
            saved = str(serializer('state', json.dumps(self.state)))
            if not isinstance(serializer, chainer.Serializer):
                self.state = json.loads(saved)


class Latent:
    """Latents for a generator, float32 arrays of shape (B, size).

    Called with n, it gives n latents. On a CPU, with `chainer.config.cpu_threads` above 1, it has the next n drawn in the
    background meanwhile; they are the same as without.

    Args:
        size (int): numbers in a latent.
        distribution (str): normal (mean 0, variance 1) or uniform (in [-1, 1)).
        stream (Stream): where they come from; nothing else may draw from it.
    """

    def __init__(self, size, distribution, stream):
        self.size, self.stream = size, stream
        self._draw = {'normal': stream.normal, 'uniform': stream.uniform}[distribution]
        self._ahead = None      # how many are drawn in the background, the future ones, and the stream's state before them

    def draw(self, n):
        """n latents, and none ahead."""
        self._rewind()
        return self._draw((n, self.size))

    def __call__(self, n):
        ahead = self._ahead
        if ahead and ahead[0] == n and not ahead[1].exception():
            latents, self._ahead = ahead[1].result(), None
        else:
            latents = self.draw(n)
        if self.stream.device.xp is numpy and chainer.config.cpu_threads > 1:
            state = self.stream.state
            self._ahead = n, threads.background(lambda: self._draw((n, self.size))), state
        return latents

    def _rewind(self):
        """Forgets what is drawn in the background."""
        if self._ahead:
            _, drawn, state = self._ahead
            drawn.exception()       # waits; what failed there is drawn anew, and fails here if it must
            self.stream.state, self._ahead = state, None

    def serialize(self, serializer):
        self._rewind()
        self.stream.serialize(serializer)


def way(a, b, steps, distribution):
    """Latents on the way from one latent to another: (steps, size); the first is a and the last b, to the bit.

    The way between uniform latents is straight. Normal latents nearly all have about the same length, and halfway on a
    straight way it would be one that a generator has hardly seen: they turn (White 2016, arXiv:1609.04468), while their length
    goes evenly from that of a to that of b.

    Args:
        a, b: NumPy arrays of shape (size,).
        steps (int): at least 2.
        distribution (str): of the latents, see `Latent`.
    """
    t = numpy.linspace(0, 1, steps)[:, None]
    if distribution == 'uniform':
        latents = (1 - t) * a + t * b
    else:
        (u, first), (v, last) = (_direction(x.astype(numpy.float64)) for x in (a, b))
        u, v = (u, v) if first and last else (u + v, u + v)      # zero has no direction but takes that of the other
        across = v - (u @ v) * u        # what is at right angles to a, on b's side
        angle = math.atan2(numpy.linalg.norm(across), u @ v)
        if numpy.linalg.norm(across) < 1e-6:    # of opposite directions every side is b's: one of those farthest from a
            k = abs(u).argmin()
            across = -u[k] * u
            across[k] += 1
        latents = ((1 - t) * first + t * last) * (numpy.cos(t * angle) * u + numpy.sin(t * angle) * _direction(across)[0])
    latents = latents.astype(a.dtype)
    latents[0], latents[-1] = a, b
    return latents


def between(corners, steps, distribution):
    """Return latents on a square between four corners: each row is a `way` between ways down the left and the right side.

    Args:
        corners: NumPy array of shape (4, size): top left, top right, bottom left, bottom right.
        steps (int): latents along a side, at least 2.
        distribution (str): of the latents, see `Latent`.

    Returns:
        NumPy array of shape (steps, steps, size), whose corners are those given, to the bit.
    """
    left, right = (way(top, bottom, steps, distribution) for top, bottom in zip(corners[:2], corners[2:]))
    return numpy.stack([way(*ends, steps, distribution) for ends in zip(left, right)])


def loop(latents, steps, distribution):
    """Return latents on a closed path: a `way` from each given latent to the next, and from the last to the first.

    Args:
        latents: NumPy array of shape (n, size), n at least 2.
        steps (int): steps from one to the next, at least 1.
        distribution (str): of the latents, see `Latent`.

    Returns:
        NumPy array of shape (n * steps, size). Every `steps`-th latent is one of those given, to the bit; the first one is not
        repeated at the end.
    """
    ends = zip(latents, numpy.roll(latents, -1, axis=0))
    return numpy.concatenate([way(a, b, steps + 1, distribution)[:-1] for a, b in ends])


def mean(latents, distribution):
    """Return the mean of latents (n, size), of shape (size,): of normal ones, with their mean length."""
    return _placed(latents.mean(axis=0), latents, distribution)


def analogy(a, b, c, distribution):
    """Return the latent that is to c as a is to b: mean(a) - mean(b) + mean(c), of shape (size,).

    Radford et al. 2016 (arXiv:1511.06434, section 6.3.2) found sums of single latents unstable but sums of means of three
    consistent. The means are not brought to a common length first: that would give larger groups a larger weight.

    Args:
        a, b, c: NumPy arrays, each one latent (size,) or a group of any number of latents (n, size).
        distribution (str): of the latents, see `Latent`.
    """
    a, b, c = groups = [numpy.atleast_2d(group) for group in (a, b, c)]
    return _placed(a.mean(axis=0) - b.mean(axis=0) + c.mean(axis=0), numpy.concatenate(groups), distribution)


def near(latent, noise, distribution):
    """Return latents near another: noise is added to it, and the sum brought back to where latents lie.

    Args:
        latent: NumPy array of shape (size,).
        noise: NumPy array of shape (n, size).
        distribution (str): of the latents, see `Latent`.

    Returns:
        NumPy array of shape (n, size).
    """
    return numpy.stack([_placed(latent + some, latent[None], distribution) for some in noise])


def _placed(x, latents, distribution):
    """Return x (size,) moved to where the generator has seen latents: clipped, or with the mean length of `latents` (n, size).

    No uniform latent lies outside [-1, 1]. A sum of three normal latents is longer than each by a factor of the root of 3, and
    the mean of three is shorter by the same factor; the generator has seen neither length.
    """
    if distribution == 'uniform':
        return numpy.clip(x, -1, 1)
    return _direction(x)[0] * numpy.linalg.norm(latents, axis=1).mean(dtype=x.dtype)


def _direction(x):
    """A vector of length 1 and the length that x has; the vector of length 0 stays one."""
    length = numpy.linalg.norm(x)
    return x / (length or 1), length


def seed_sequence(seed, name, branch=()):
    """Return the `numpy.random.SeedSequence` of a stream; for the arguments see `Stream`."""
    return numpy.random.SeedSequence([seed, zlib.crc32(name.encode()), *branch])


def seed_global(seed, branch):
    """Seed NumPy's global random state for a branch; for the arguments see `Stream`."""
    numpy.random.seed(seed_sequence(seed, 'numpy', branch).generate_state(4))


def serialize_global(serializer):
    """Saves or restores NumPy's global random state."""
    name, keys, *rest = numpy.random.get_state()
    keys = serializer('keys', keys.copy())
    rest = json.loads(str(serializer('rest', json.dumps(rest))))
    if not isinstance(serializer, chainer.Serializer):
        numpy.random.set_state((name, keys, *rest))
