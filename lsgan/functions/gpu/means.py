"""CUDA kernels for means over D's outputs: the losses, and the means that training reports."""
from chainer.backends import cuda

from lsgan.functions.gpu import reduction
from lsgan.functions.gpu.kernel import NULL, Kernel, blocks_for

KINDS = {'identity': 0, 'half squared error': 1, 'softplus': 2}
MOST = 2        # the most arrays in one launch: D's outputs on real and on generated data

_SOURCE = r'''
// The function that a loss applies to each of D's outputs x, with the target or sign c, and its derivative.
__device__ T value(T x, T c, int kind) {
    switch (kind) {
        case 1: return T(0.5) * (x - c) * (x - c);
        case 2: x *= c; return (x > T(0) ? x : T(0)) + log1p(exp(-fabs(x)));
    }
    return c * x;
}
__device__ T derivative(T x, T c, int kind) {
    switch (kind) {
        case 1: return x - c;
        case 2: return c * (T(0.5) + T(0.5) * tanh(T(0.5) * c * x));
    }
    return c;
}
'''

_forward = Kernel(_SOURCE + reduction.SOURCE + r'''
// Compute the means of both arrays and their sum, in one block.
extern "C" __global__ void means(const T *x, const T *y, long long n, long long m, T c, T d, long long kind, T *both,
                                 T *total) {
    __shared__ double shared[256];
    double s = 0, q = 0;
    for (long long i = threadIdx.y; i < n; i += blockDim.y) s += value(x[i], c, kind);
    for (long long i = threadIdx.y; i < m; i += blockDim.y) q += value(y[i], d, kind);
    s = over_rows(s, shared) / n;
    q = over_rows(q, shared) / (m ? m : 1);
    if (threadIdx.y == 0) {
        if (both) both[0] = s;
        if (both && m) both[1] = q;
        if (total) *total = s + q;
    }
}''')

_backward = Kernel(_SOURCE + r'''
extern "C" __global__ void means_gradient(const T *x, const T *y, long long n, long long m, T c, T d, long long kind,
                                          const T *gy, T *gx) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n + m; i += (long long)gridDim.x * blockDim.x)
        gx[i] = i < n ? derivative(x[i], c, kind) * (*gy / n) : derivative(y[i - n], d, kind) * (*gy / m);
}''')


def _both(arrays, constants):
    """Return the arguments of a launch for one or two arrays."""
    x, y = arrays[0], arrays[-1]
    return x, y, x.size, y.size if len(arrays) == 2 else 0, float(constants[0]), float(constants[-1])


def sum_of_means(arrays, constants, kind):
    """Return the sum, over one or two arrays, of the mean of an elementwise function.

    Args:
        arrays: C-contiguous arrays of the same type.
        constants: the target or sign of each array.
        kind (str): the function, a key of `KINDS`.

    Returns:
        cupy.ndarray: a scalar.
    """
    total = cuda.cupy.empty((), arrays[0].dtype)
    _forward(total.dtype, 1, (*_both(arrays, constants), KINDS[kind], NULL, total), (1, 256))
    return total


def gradients(arrays, constants, kind, gy):
    """Return the gradients of `sum_of_means` with respect to each array, one after the other in one piece of memory.

    Args:
        arrays, constants, kind: as in `sum_of_means`.
        gy: scalar array, the gradient with respect to the sum.
    """
    n, m = arrays[0].size, sum(x.size for x in arrays)
    both = cuda.cupy.empty(m, gy.dtype)
    _backward(gy.dtype, blocks_for(m), (*_both(arrays, constants), KINDS[kind], gy, both))
    return [part.reshape(x.shape) for x, part in zip(arrays, (both[:n], both[n:]))]


def each_mean(arrays):
    """Return the mean of each of one or two arrays, as an array of one or two numbers."""
    means = cuda.cupy.empty(len(arrays), arrays[0].dtype)
    _forward(means.dtype, 1, (*_both(arrays, (1, 1)), KINDS['identity'], means, NULL), (1, 256))
    return means
