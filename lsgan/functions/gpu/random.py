"""Random numbers by Philox4x32-10, a counter-based generator.

Source: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", section 3.3.

Each random number is a function of the key, the count of draws so far and the number's place in the draw. The state of a
generator is the count of draws. It is stored in device memory, and each kernel that draws increments it, so that a captured
CUDA graph draws new numbers at every launch.
"""

import numpy
from chainer.backends import cuda

from lsgan.functions.gpu.kernel import Kernel, blocks_for
from lsgan.functions.gpu.reduction import TICKET

FLOAT = numpy.dtype(numpy.float32)
BLOCKS = 1024       # the most blocks of a kernel that draws, because each block takes a ticket in `next_draw`

# Device functions for all kernels that draw. Such a kernel has a one-dimensional grid and the parameters
# `unsigned long long key` and `unsigned long long *counter`, see `Philox`
SOURCE = TICKET + r'''
// Return the number of this launch's draw, and count it. All threads call this once, together. Each block reads the count
// before it takes a ticket. Therefore the block with the last ticket can increment the count.
__device__ unsigned long long next_draw(unsigned long long *counter) {
    unsigned long long draw = counter[0];
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        if (arrives_last(counter + 1, gridDim.x)) counter[0] = draw + 1;
    }
    return draw;
}

// Return the four random words at a given place in a draw.
__device__ uint4 philox(unsigned long long key, unsigned long long draw, unsigned long long number) {
    unsigned k0 = key, k1 = key >> 32;
    uint4 c = make_uint4(number, number >> 32, draw, draw >> 32);
    for (int round = 0; round < 10; ++round) {
        unsigned long long p = 0xD2511F53ull * c.x, q = 0xCD9E8D57ull * c.z;
        c = make_uint4(unsigned(q >> 32) ^ c.y ^ k0, q, unsigned(p >> 32) ^ c.w ^ k1, p);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// Return two standard normal numbers (Box and Muller 1958). They are sqrt(-2 log u) times a cosine and a sine, with
// u = (a + 1) / 2^32 in (0, 1]. Near 1, float32 cannot hold u but holds 1 - u = ~a / 2^32.
__device__ float2 normal_pair(unsigned a, unsigned b) {
    float logarithm = a < 0x80000000u ? logf((a + 1) * 2.3283064365386963e-10f) : log1pf(~a * -2.3283064365386963e-10f);
    float radius = sqrtf(-2 * logarithm), half_turns = (int)b * 4.656612873077393e-10f;
    return make_float2(radius * cospif(half_turns), radius * sinpif(half_turns));
}

__device__ float4 normal(uint4 words) {
    float2 first = normal_pair(words.x, words.y), second = normal_pair(words.z, words.w);
    return make_float4(first.x, first.y, second.x, second.y);
}

// Return a number uniform in [-1, 1), a multiple of 2^-23.
__device__ float uniform(unsigned word) { return (word >> 8) * 1.1920928955078125e-7f - 1; }

__device__ float4 uniform(uint4 words) {
    return make_float4(uniform(words.x), uniform(words.y), uniform(words.z), uniform(words.w));
}

// Return an integer in [0, high), for high up to 2^32: the upper half of the product of high and a random 64-bit number
// (Lemire 2019, without rejection). The probabilities of two integers differ by at most 2^-64.
__device__ long long bounded(unsigned upper, unsigned lower, unsigned long long high) {
    return (upper * high + (lower * high >> 32)) >> 32;
}
'''


# Neighbouring threads write neighbouring elements
_FILLING = SOURCE + r'''
extern "C" __global__ void draw_DISTRIBUTION(T *out, long long n, unsigned long long key, unsigned long long *counter) {
    unsigned long long draw = next_draw(counter);
    long long quarter = (n + 3) / 4;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < quarter; i += gridDim.x * (long long)blockDim.x) {
        float4 x = DISTRIBUTION(philox(key, draw, i));
        out[i] = x.x;
        if (i + quarter < n) out[i + quarter] = x.y;
        if (i + 2 * quarter < n) out[i + 2 * quarter] = x.z;
        if (i + 3 * quarter < n) out[i + 3 * quarter] = x.w;
    }
}
'''
_NORMAL, _UNIFORM = (Kernel(_FILLING.replace('DISTRIBUTION', name), types='f') for name in ('normal', 'uniform'))

_INTEGERS = Kernel(SOURCE + r'''
extern "C" __global__ void draw_integers(long long *out, long long n, long long high, unsigned long long key,
                                         unsigned long long *counter) {
    unsigned long long draw = next_draw(counter);
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (long long)blockDim.x) {
        uint4 words = philox(key, draw, i);
        out[i] = bounded(words.x, words.y, high);
    }
}
''', types='f')


class Philox:
    """A generator of random numbers on the current device. Each draw is one launch on the current stream.

    Only one stream at a time may draw from a generator.

    Args:
        key (int): 64 bits that distinguish this generator from others.

    Attributes:
        key (numpy.uint64): the argument `key` of kernels that draw.
        counter (cupy.ndarray): the argument `counter` of kernels that draw, uint64 of shape (2,): the number of draws, and
            the number of tickets that the blocks of the launch in progress have taken. Its memory never moves.
    """

    def __init__(self, key):
        self.key, self.counter = numpy.uint64(key), cuda.cupy.zeros(2, numpy.uint64)

    @property
    def draws(self):
        """The number of draws so far. It can be set. Reading it waits for the device."""
        return int(self.counter[0])

    @draws.setter
    def draws(self, draws):
        self.counter[0] = draws

    def normal(self, shape):
        """Return standard normal numbers, a float32 array of the given shape."""
        return self._fill(_NORMAL, shape)

    def uniform(self, shape):
        """Return numbers uniform in [-1, 1), a float32 array of the given shape."""
        return self._fill(_UNIFORM, shape)

    def _fill(self, kernel, shape):
        out = cuda.cupy.empty(shape, FLOAT)
        kernel(FLOAT, blocks_for(-(-out.size // 4), most=BLOCKS), (out, out.size, self.key, self.counter))
        return out

    def integers(self, high, shape):
        """Return integers uniform in [0, high), an int64 array of the given shape; `high` is at least 1 and at most 2^32.

        Raises:
            ValueError: if `high` is outside these bounds.
        """
        if not 1 <= high <= 1 << 32:
            raise ValueError(f'high is {high}, but must be at least 1 and at most 2^32')
        out = cuda.cupy.empty(shape, numpy.int64)
        _INTEGERS(FLOAT, blocks_for(out.size, most=BLOCKS), (out, out.size, int(high), self.key, self.counter))
        return out
