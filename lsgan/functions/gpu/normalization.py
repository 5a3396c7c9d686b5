"""CUDA kernels for batch normalisation and the activation after it, two launches forward and two backward.

The kernels treat x as a matrix (batches * R, C): `batches` batches, one after the other, each with its own statistics. A row
is one pixel of one image, or one example. Means and inverse standard deviations are float64 arrays (batches, C). Element i of
the matrix is stored at `moved(i, u, v)` in the memory of x and at `moved(i, a, b)` in the memory of y.
"""
import numpy
from chainer.backends import cuda

from lsgan.functions.gpu import activation, reduction
from lsgan.functions.gpu.activation import KINDS
from lsgan.functions.gpu.kernel import NULL, Kernel, blocks_for
from lsgan.functions.gpu.layout import laid_out_as, reshaped

_PAIRS = activation.SOURCE + reduction.SOURCE + r'''
// Store the sums of s and of q over the rows of this block, a chunk of a batch, for the block that finishes last.
__device__ void keep_sums(double s, double q, double *shared, double *parts, long long columns) {
    long long column = blockIdx.x * blockDim.x + threadIdx.x, chunk = blockIdx.z * (long long)gridDim.y + blockIdx.y;
    s = over_rows(s, shared);
    q = over_rows(q, shared);
    if (threadIdx.y == 0 && column < columns) {
        double *to = parts + chunk * 2 * columns + column;
        to[0] = s;
        to[columns] = q;
    }
}
// Compute the sums over all chunks of a batch.
__device__ void all_sums(long long batch, double *shared, const double *parts, long long columns, double &s, double &q) {
    long long column = blockIdx.x * blockDim.x + threadIdx.x, chunks = gridDim.y;
    s = q = 0;
    if (column < columns)
        for (long long k = threadIdx.y; k < chunks; k += blockDim.y) {
            const double *part = parts + (batch * chunks + k) * 2 * columns + column;
            s += __ldcg(part);
            q += __ldcg(part + columns);
        }
    s = over_rows(s, shared);
    q = over_rows(q, shared);
}
'''

_moments = Kernel(_PAIRS + r'''
// Compute mean and 1 / sqrt(variance + eps) of each column of each batch, and update the running statistics.
extern "C" __global__ void normalization_moments(
        const T *x, long long rows, long long columns, long long batches, long long u, long long v, double eps, double decay,
        double *parts, unsigned *tickets, double *mean, double *inv_std, T *running_mean, T *running_var) {
    __shared__ double shared[256];
    long long column = blockIdx.x * blockDim.x + threadIdx.x, batch = blockIdx.z, chunks = gridDim.y;
    bool used = column < columns;
    long long start = batch * rows * columns + column;
    double first = used ? x[moved(start, u, v)] : 0, s = 0, q = 0;      // deviations from the first row avoid cancellation
    if (used)
        for (long long r = blockIdx.y * (long long)blockDim.y + threadIdx.y; r < rows; r += chunks * blockDim.y) {
            double d = x[moved(start + r * columns, u, v)] - first;
            s += d;
            q += d * d;
        }
    keep_sums(s, q, shared, parts, columns);
    if (!is_last(tickets + blockIdx.x, chunks * batches)) return;
    for (long long b = 0; b < batches; ++b) {
        all_sums(b, shared, parts, columns, s, q);
        s /= rows;
        q /= rows;
        if (threadIdx.y == 0 && used) {
            double m = x[moved(b * rows * columns + column, u, v)] + s, var = q - s * s;
            var = var < 0 ? 0 : var;        // unlike fmax, this keeps NaN
            mean[b * columns + column] = m;
            inv_std[b * columns + column] = 1 / sqrt(var + eps);
            if (running_mean) {
                running_mean[column] = decay * running_mean[column] + (1 - decay) * m;
                running_var[column] = decay * running_var[column] + (1 - decay) * (rows > 1 ? rows / (rows - 1.0) : 1.0) * var;
            }
        }
    }
}''')

_apply = Kernel(activation.SOURCE + r'''
// Compute y = activation(gamma (x - mean) inv_std + beta), in the memory layout of y.
extern "C" __global__ void normalization(
        const T *x, const double *mean, const double *inv_std, const T *gamma, const T *beta, long long n, long long columns,
        long long per_batch, long long u, long long v, long long a, long long b, long long kind, T *y) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        long long c = i % columns, k = i / per_batch * columns + c;
        T d = x[moved(i, u, v)] - T(mean[k]);
        y[moved(i, a, b)] = activated(d * (gamma[c] * T(inv_std[k])) + beta[c], kind);
    }
}''')

_sums = Kernel(_PAIRS + r'''
// Sum g and g (x - mean) over the rows of each batch, where g is the gradient before the activation. From the sums, compute
// the gradients of gamma and beta and, for each batch, the terms that `normalization_gradient` subtracts from g.
extern "C" __global__ void normalization_sums(
        const T *x, const T *gy, const double *mean, const double *inv_std, const T *gamma, const T *beta, long long rows,
        long long columns, long long batches, long long u, long long v, long long a, long long b, long long kind,
        double *parts, unsigned *tickets, T *subtracted, T *ggamma, T *gbeta) {
    __shared__ double shared[256];
    long long column = blockIdx.x * blockDim.x + threadIdx.x, batch = blockIdx.z, chunks = gridDim.y;
    bool used = column < columns;
    double s = 0, q = 0;
    if (used) {
        double exact = mean[batch * columns + column];
        T m = exact, scale = gamma[column] * T(inv_std[batch * columns + column]), shift = beta[column];
        for (long long r = blockIdx.y * (long long)blockDim.y + threadIdx.y; r < rows; r += chunks * blockDim.y) {
            long long i = (batch * rows + r) * columns + column;
            T value = x[moved(i, u, v)];
            double g = gy[moved(i, a, b)] * slope((value - m) * scale + shift, kind);
            s += g;
            q += g * (value - exact);
        }
    }
    keep_sums(s, q, shared, parts, columns);
    if (!is_last(tickets + blockIdx.x, chunks * batches)) return;
    double all_s = 0, all_q = 0;
    for (long long k = 0; k < batches; ++k) {
        all_sums(k, shared, parts, columns, s, q);
        if (threadIdx.y == 0 && used) {
            double scale = inv_std[k * columns + column];
            subtracted[2 * k * columns + column] = s / rows;
            subtracted[(2 * k + 1) * columns + column] = q * scale * scale / rows;
            all_s += s;
            all_q += q * scale;
        }
    }
    if (threadIdx.y == 0 && used) {
        ggamma[column] = all_q;
        gbeta[column] = all_s;
    }
}''')

_gradient = Kernel(activation.SOURCE + r'''
// Compute gx = scale (g - constant - linear (x - mean)), where `subtracted` holds constant and linear; both are 0 with given
// statistics. They are divided beforehand, because dividing doubles takes many times as long as reading an element.
extern "C" __global__ void normalization_gradient(
        const T *x, const T *gy, const double *mean, const double *inv_std, const T *gamma, const T *beta, const T *subtracted,
        long long n, long long columns, long long rows, long long u, long long v, long long a, long long b, long long kind,
        T *gx) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        long long c = i % columns, batch = i / (rows * columns), k = batch * columns + c;
        long long at = moved(i, u, v);
        T d = x[at] - T(mean[k]), scale = gamma[c] * T(inv_std[k]);
        T g = gy[moved(i, a, b)] * slope(d * scale + beta[c], kind);
        if (subtracted) {
            const T *of = subtracted + 2 * batch * columns + c;
            g -= of[0] + of[columns] * d;
        }
        gx[at] = scale * g;
    }
}''')


class Normalization:
    """Batch normalisation and an activation.

    Args:
        x: dense array (batches * R, C) or (N, C, H, W), in either layout of `lsgan.functions.gpu.layout`.
        gamma, beta: arrays (C,).
        activation (str): None, relu or leaky_relu.
        eps (float): added to the variance.
        batches (int): number of batches in x, each with statistics of its own.
        shape (tuple of int): shape of each example in the result, as in `lsgan.functions.activation`.
    """

    def __init__(self, x, gamma, beta, activation, eps, batches, shape):
        self.x, self.gamma, self.beta, self.eps, self.batches = x, gamma, beta, eps, batches
        self.kind = KINDS[activation]
        self.all_rows, self.columns = x.size // x.shape[1], x.shape[1]
        self.layouts, self.y = layouts(x, shape)

    def use(self, mean, var):
        """Use the given statistics, arrays (C,)."""
        self.given, self.rows = True, self.all_rows
        self.mean = mean[None].astype(float)
        self.inv_std = 1 / cuda.cupy.sqrt(var[None].astype(float) + self.eps)

    def measure(self, running_mean, running_var, decay):
        """Compute the statistics of each batch and update the running statistics.

        Args:
            running_mean, running_var: arrays (C,), updated in place, or None.
            decay (float): weight of the old running statistics, from 0 to 1.
        """
        self.given, self.rows = False, self.all_rows // self.batches
        threads, blocks = reduction.shape_of(self.rows, self.columns, self.batches)
        parts = cuda.cupy.empty((self.batches, blocks[1], 2, self.columns))
        self.mean, self.inv_std = cuda.cupy.empty((2, self.batches, self.columns))
        running = [NULL, NULL] if running_mean is None else [running_mean, running_var]
        _moments(self.x.dtype, blocks, (self.x, self.rows, self.columns, self.batches, *self.layouts[:2],
                                        numpy.float64(self.eps), numpy.float64(decay), parts, reduction.tickets(), self.mean,
                                        self.inv_std, *running), threads)

    def forward(self):
        """Return activation(gamma (x - mean) / std + beta)."""
        n = self.x.size
        _apply(self.x.dtype, blocks_for(n), (self.x, self.mean, self.inv_std, self.gamma, self.beta, n, self.columns,
                                             self.rows * self.columns, *self.layouts, self.kind, self.y))
        return self.y

    def backward(self, gy):
        """Return the gradients with respect to x, gamma and beta.

        Args:
            gy: the gradient with respect to the output.
        """
        x, batches, gy = self.x, len(self.mean), laid_out_as(gy, self.y)
        known = self.mean, self.inv_std, self.gamma, self.beta
        threads, blocks = reduction.shape_of(self.rows, self.columns, batches)
        parts = cuda.cupy.empty((batches, blocks[1], 2, self.columns))
        subtracted = cuda.cupy.empty((batches, 2, self.columns), x.dtype)
        gx, ggamma, gbeta = (cuda.cupy.empty_like(a) for a in (x, self.gamma, self.beta))
        _sums(x.dtype, blocks, (x, gy, *known, self.rows, self.columns, batches, *self.layouts, self.kind, parts,
                                reduction.tickets(), subtracted, ggamma, gbeta), threads)
        _gradient(x.dtype, blocks_for(x.size), (x, gy, *known, NULL if self.given else subtracted, x.size, self.columns,
                                                self.rows, *self.layouts, self.kind, gx))
        return gx, ggamma, gbeta


def layouts(x, shape):
    """Return the memory layouts of x and y, (u, v, a, b) as above, and an uninitialised array y."""
    if x.ndim == 2:
        y, moved = reshaped(x, shape)
        return (1, 1, *moved), y
    N, C, H, W = x.shape
    pixels_first = x.transpose(0, 2, 3, 1)
    of_x = (1, 1) if pixels_first.flags.c_contiguous else (C, H * W)
    if shape is None:
        return (*of_x, 1, 1), cuda.cupy.empty(pixels_first.shape, x.dtype).transpose(0, 3, 1, 2)
    return (*of_x, C, H * W), cuda.cupy.empty((N, *shape), x.dtype)
