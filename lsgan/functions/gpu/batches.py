"""CUDA kernels that make a batch in one launch: points of a mixture, images of a set, or joined arrays with or without noise.
"""
from chainer.backends import cuda

from lsgan.functions.gpu.kernel import NULL, Kernel, blocks_for
from lsgan.functions.gpu.random import BLOCKS, FLOAT, SOURCE
from lsgan.functions.gpu.scalar import Scalar

_ELEMENTS = 1024        # approximate number of elements of an image that one block gathers

_POINTS = Kernel(SOURCE + r'''
extern "C" __global__ void draw_points(T *points, long long n, const T *centers, long long modes, T sigma,
                                       unsigned long long key, unsigned long long *counter) {
    unsigned long long draw = next_draw(counter);
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (long long)blockDim.x) {
        uint4 words = philox(key, draw, i);
        float2 offset = normal_pair(words.x, words.y);
        long long mode = bounded(words.z, words.w, modes);
        points[2 * i] = sigma * offset.x + centers[2 * mode];
        points[2 * i + 1] = sigma * offset.y + centers[2 * mode + 1];
    }
}
''', types='f')

# The indexes of the images are those that `Philox.integers` draws. Scaling rounds twice, like `lsgan.datasets.images.scaled`
_IMAGES = Kernel(SOURCE + r'''
extern "C" __global__ void draw_images(T *batch, const unsigned char *images, long long n, long long size, long long width,
                                       long long channels, long long mirror, long long parts, unsigned long long key,
                                       unsigned long long *counter) {
    unsigned long long draw = next_draw(counter);
    long long i = blockIdx.x / parts;
    uint4 words = philox(key, draw, i);
    long long number = bounded(words.x, words.y, (1 + mirror) * n);
    bool turned = number >= n;
    const unsigned char *image = images + (turned ? number - n : number) * size;
    int row = width * channels;
    for (int e = blockIdx.x % parts * blockDim.x + threadIdx.x; e < size; e += parts * blockDim.x) {
        int pixel = e % row / (int)channels;
        int source = turned ? e + ((int)width - 1 - 2 * pixel) * (int)channels : e;
        batch[i * size + e] = __fadd_rn(__fmul_rn(image[source], (float)(1 / 127.5)), -1);
    }
}
''', types='f')

_JOIN = Kernel(r'''
extern "C" __global__ void join(T *out, const T *first, long long size, const T *second, long long total) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < total; i += gridDim.x * (long long)blockDim.x)
        out[i] = i < size ? first[i] : second[i - size];
}
''')

_ADD_NORMAL = Kernel(SOURCE + r'''
extern "C" __global__ void add_normal(T *out, const T *first, long long size, const T *second, long long total, T value,
                                      const double *scalar, unsigned long long key, unsigned long long *counter) {
    unsigned long long draw = next_draw(counter);
    T sigma = scalar ? (T)*scalar : value;
    long long quarter = (total + 3) / 4;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < quarter; i += gridDim.x * (long long)blockDim.x) {
        float4 z = normal(philox(key, draw, i));
        float noise[] = {z.x, z.y, z.z, z.w};
        for (int k = 0; k < 4; ++k) {
            long long at = i + k * quarter;
            if (at < total) out[at] = (at < size ? first[at] : second[at - size]) + sigma * noise[k];
        }
    }
}
''')


def points(n, centers, sigma, philox):
    """Draw points around centres that are equally likely.

    Args:
        n (int): how many points.
        centers (cupy.ndarray): float32 array of shape (K, 2).
        sigma (float): standard deviation along each axis.
        philox (lsgan.functions.gpu.random.Philox): source of the random numbers.

    Returns:
        cupy.ndarray: float32 array of shape (n, 2).
    """
    out = cuda.cupy.empty((n, 2), FLOAT)
    _POINTS(FLOAT, blocks_for(n, most=BLOCKS), (out, n, centers, len(centers), float(sigma), philox.key, philox.counter))
    return out


def images(n, held, mirror, philox):
    """Draw images of a set, scaled to [-1, 1].

    Args:
        n (int): how many images.
        held (cupy.ndarray): the set, uint8 of shape (N, C, H, W), channels last in memory; each image less than 2^31 bytes.
        mirror (bool): whether to mirror each image left to right with probability 1/2.
        philox (lsgan.functions.gpu.random.Philox): source of the random numbers.

    Returns:
        cupy.ndarray: float32 array of shape (n, C, H, W), channels last in memory.
    """
    N, C, H, W = held.shape
    out = cuda.cupy.empty((n, H, W, C), FLOAT)
    parts = blocks_for(H * W * C, _ELEMENTS)
    if n:
        _IMAGES(FLOAT, n * parts, (out, held, N, H * W * C, W, C, int(mirror), parts, philox.key, philox.counter))
    return out.transpose(0, 3, 1, 2)


def _in_memory_order(arrays):
    """Return C-contiguous arrays with axes in memory order, and the axes that undo this transposition."""
    if arrays[0].ndim == 4 and not all(x.flags.c_contiguous for x in arrays):
        return [cuda.cupy.ascontiguousarray(x.transpose(0, 2, 3, 1)) for x in arrays], (0, 3, 1, 2)
    return [cuda.cupy.ascontiguousarray(x) for x in arrays], range(arrays[0].ndim)


def _join(arrays, kernel, elements, arguments):
    """Launch a kernel that joins one or two arrays; each thread makes `elements` elements."""
    (first, *rest), axes = _in_memory_order(arrays)
    second, = rest or [first[:0]]
    out = cuda.cupy.empty((len(first) + len(second), *first.shape[1:]), first.dtype)
    blocks = blocks_for(-(-out.size // elements), most=BLOCKS)
    kernel(out.dtype, blocks, (out, first, first.size, second, out.size, *arguments))
    return out.transpose(axes)


def joined(arrays):
    """Return one or two arrays joined along the first axis; images keep their channels last in memory.

    Args:
        arrays (list of cupy.ndarray): all float32 or all float64. All axes but the first have equal lengths. A single array
            is returned as it is. Arrays with different memory layouts, or with gaps, are copied first.
    """
    return arrays[0] if len(arrays) == 1 else _join(arrays, _JOIN, 1, ())


def add_normal(arrays, sigma, philox):
    """Return one or two arrays joined along the first axis, with normal noise added; see `joined`.

    Args:
        arrays (list of cupy.ndarray): as in `joined`.
        sigma (float or Scalar): standard deviation of the noise. A captured graph keeps a float for all replays, but reads
            the current value of a scalar.
        philox (lsgan.functions.gpu.random.Philox): source of the noise.
    """
    level = (0.0, sigma.array) if isinstance(sigma, Scalar) else (float(sigma), NULL)
    return _join(arrays, _ADD_NORMAL, 4, (*level, philox.key, philox.counter))
