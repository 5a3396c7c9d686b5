"""CUDA kernels for activations, alone or after a bias, and for their gradients."""
from chainer.backends import cuda

from lsgan.functions.gpu import reduction
from lsgan.functions.gpu.kernel import Kernel, blocks_for

KINDS = {None: 0, 'relu': 1, 'leaky_relu': 2, 'tanh': 3, 'sigmoid': 4}

SOURCE = r'''
__device__ T activated(T x, int kind) {
    switch (kind) {
        case 1: return x < T(0) ? T(0) : x;
        case 2: return x < T(0) ? T(0.2) * x : x;
        case 3: return tanh(x);
        case 4: return T(0.5) * tanh(T(0.5) * x) + T(0.5);
    }
    return x;
}
// The derivative, from the output.
__device__ T slope(T y, int kind) {
    switch (kind) {
        case 1: return y > T(0) ? T(1) : T(0);
        case 2: return y > T(0) ? T(1) : T(0.2);
        case 3: return T(1) - y * y;
        case 4: return y * (T(1) - y);
    }
    return T(1);
}
// Return the place of element i in the other memory layout. An image is a matrix (b, a) here and its transpose there.
__device__ long long moved(long long i, long long a, long long b) {
    if (a == 1 || b == 1) return i;
    long long image = i / (a * b), j = i - image * a * b;
    return image * a * b + j % a * b + j / a;
}
'''

_forward = Kernel(SOURCE + r'''
extern "C" __global__ void activation(const T *x, long long n, long long a, long long b, long long kind, T *y) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        y[moved(i, a, b)] = activated(x[i], kind);
}''')

_backward = Kernel(SOURCE + r'''
extern "C" __global__ void activation_gradient(const T *y, const T *gy, long long n, long long a, long long b, long long kind,
                                               T *gx) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        long long j = moved(i, a, b);
        gx[i] = gy[j] * slope(y[j], kind);
    }
}''')

_with_bias = Kernel(SOURCE + r'''
extern "C" __global__ void bias_activation(T *y, const T *bias, long long n, long long columns, long long kind) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        y[i] = activated(y[i] + bias[i % columns], kind);
}''')

_bias_gradient = Kernel(SOURCE + reduction.SOURCE + r'''
// Compute g = gy * activation'(y), if there is an activation, and the sum of each column of g.
extern "C" __global__ void bias_gradient(const T *__restrict__ gy, const T *__restrict__ y, long long rows, long long columns,
                                         long long kind, double *parts, unsigned *tickets, T *__restrict__ g, T *sums) {
    __shared__ double shared[256];
    long long column = blockIdx.x * blockDim.x + threadIdx.x;
    long long step = (long long)gridDim.y * blockDim.y, chunks = gridDim.y;
    double sum = 0;
    long long r = column < columns ? blockIdx.y * (long long)blockDim.y + threadIdx.y : rows;
    #pragma unroll 4
    for (; r < rows; r += step) {
        long long i = r * columns + column;
        T value = gy[i];
        if (kind) g[i] = value *= slope(y[i], kind);
        sum += value;
    }
    sum = over_rows(sum, shared);
    if (chunks > 1) {
        if (threadIdx.y == 0 && column < columns) parts[blockIdx.y * columns + column] = sum;
        if (!is_last(tickets + blockIdx.x, chunks)) return;
        sum = 0;
        if (column < columns)
            for (long long k = threadIdx.y; k < chunks; k += blockDim.y) sum += __ldcg(parts + k * columns + column);
        sum = over_rows(sum, shared);
    }
    if (threadIdx.y == 0 && column < columns) sums[column] = sum;
}''')


def forward(x, name, y, a=1, b=1):
    """Fill y with the activation of x, in the same or in the other memory layout.

    Args:
        x, y: dense arrays of the same size.
        name (str): the activation, a key of `KINDS`.
        a, b (int): each image of x is an array (b, a) in memory, and the same image of y its transpose; 1 for no change.
    """
    _forward(x.dtype, blocks_for(x.size), (x, x.size, a, b, KINDS[name], y))


def gradient(y, gy, name, gx=None, a=1, b=1):
    """Return the gradient of `forward` with respect to x.

    Args:
        y: the output of `forward`.
        gy: the gradient with respect to y, with the same memory layout.
        name (str): the activation, a key of `KINDS`.
        gx: array for the result, laid out as x, or None for a new one like y.
        a, b (int): as in `forward`.
    """
    gx = cuda.cupy.empty_like(y) if gx is None else gx
    _backward(y.dtype, blocks_for(y.size), (y, gy, y.size, a, b, KINDS[name], gx))
    return gx


def add_bias(y, bias, name):
    """Add a bias to each row of a matrix and apply an activation, in place.

    Args:
        y: C-contiguous array (R, C).
        bias: array (C,).
        name (str): the activation, a key of `KINDS`.
    """
    _with_bias(y.dtype, blocks_for(y.size), (y, bias, y.size, y.shape[1], KINDS[name]))


def bias_gradient(gy, y=None, name=None):
    """Return the gradients of `add_bias`. Sums are computed in float64 and always in the same order.

    Args:
        gy: C-contiguous array (R, C), the gradient with respect to the activation's output.
        y: C-contiguous array (R, C), the activation's output, or None if there is no activation.
        name (str): the activation, a key of `KINDS`.

    Returns:
        tuple: the gradient with respect to the matrix, (R, C), which is gy itself if there is no activation, and the gradient
            with respect to the bias, (C,).
    """
    rows, columns = gy.shape
    g = gy if name is None else cuda.cupy.empty_like(gy)
    threads, (groups, chunks, _) = reduction.shape_of(rows, columns)
    parts, sums = cuda.cupy.empty((chunks, columns)), cuda.cupy.empty(columns, gy.dtype)
    _bias_gradient(gy.dtype, (groups, chunks), (gy, gy if y is None else y, rows, columns, KINDS[name], parts,
                                                reduction.tickets(), g, sums), threads)
    return g, sums
