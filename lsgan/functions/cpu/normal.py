"""Standard normal numbers from random bits, without branches, so that the processor computes many at a time."""
import math

import numpy as np

from lsgan.functions.cpu import jit

_f, _i = np.float32, np.int32
_ROOT_HALF = _i(0x3f3504f3)     # the bits of sqrt(1/2) in float32
# Coefficients of polynomials, the highest power first. log(1 + m) is m - m^2/2 + m^3 times the first one, from Cephes. The
# sine of pi t is t, and the cosine 1, times a polynomial in t^2; both are Taylor series
_LOG = tuple(map(_f, (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
                      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)))
_SIN = tuple(_f((-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1)) for k in range(5, -1, -1))
_COS = tuple(_f((-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k)) for k in range(6, -1, -1))


@jit.kernel
def _fill(words, out):
    n = out.size // 2
    for i in range(n):
        # the logarithm of u = (k + 1) / 2^24, k from the upper 24 bits: u = 2^e (1 + m), with 1 + m from sqrt(1/2) to sqrt(2)
        u = _f(_i(words[i] >> np.uint32(8)) + _i(1))
        bits = _i(u.view(np.int32) - _ROOT_HALF)
        m = _i((bits & _i(0x7fffff)) + _ROOT_HALF).view(np.float32) - _f(1)
        p = _LOG[0]
        for c in _LOG[1:]:
            p = p * m + c
        logarithm = m + (p * m - _f(0.5)) * m * m + _f(_i(bits >> _i(23)) - _i(24)) * _f(0.6931472)
        radius = np.sqrt(_f(-2) * logarithm)
        # sine and cosine of half the angle, pi t with t in [-1/2, 1/2), and then of the angle
        t = _f(_i(words[n + i])) * _f(2.0 ** -32)
        sine, cosine = _SIN[0], _COS[0]
        for c in _SIN[1:]:
            sine = sine * t * t + c
        for c in _COS[1:]:
            cosine = cosine * t * t + c
        sine *= t
        out[i] = radius * (cosine * cosine - sine * sine)
        out[n + i] = radius * (sine * cosine * _f(2))


def _fill_without_numba(words, out):
    first, second = np.split(words, 2)
    radius = np.sqrt(-2 * np.log(((first >> 8) + 1).astype(_f) * _f(2.0 ** -24)))
    angle = second.view(_i) * _f(math.pi * 2.0 ** -31)
    out[:] = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])


def normal(generator: np.random.Generator, n: int) -> np.ndarray:
    """Return n standard normal numbers by the method of Box and Muller (1958).

    Each pair takes 64 random bits. 24 of them determine the radius, which is at most sqrt(48 log 2) = 5.8.

    Args:
        generator: source of the bits.
        n: how many numbers.

    Returns:
        float32 array of shape (n,).
    """
    words = generator.bit_generator.random_raw((n + 1) // 2).view(np.uint32)
    numbers = np.empty(words.size, _f)
    (_fill if jit.AVAILABLE else _fill_without_numba)(words, numbers)
    return numbers[:n]
