"""CUDA kernels of batch normalisation and the activation after it, two launches forward and two backward.

The rows of a matrix (batches * R, C) are `batches` batches, one after the other, each with its own statistics. What follows from
these is float64, of shape (batches, C).
"""
import numpy
from chainer.backends import cuda

from lsgan.functions.gpu import activation, reduction
from lsgan.functions.gpu.activation import KINDS
from lsgan.functions.gpu.kernel import NULL, Kernel, blocks_for

_moments = Kernel(reduction.SOURCE + r'''
// Mean and 1 / sqrt(variance + eps) of each column of each batch; the running statistics follow them.
extern "C" __global__ void normalization_moments(
        const T *x, long long rows, long long columns, long long batches, double eps, double decay, double *parts, unsigned *tickets,
        double *mean, double *inv_std, T *running_mean, T *running_var) {
    __shared__ double shared[256];
    long long column = blockIdx.x * blockDim.x + threadIdx.x, batch = blockIdx.z, chunks = gridDim.y;
    bool used = column < columns;
    const T *from = x + batch * rows * columns;
    double first = used ? from[column] : 0, s = 0, q = 0;       // sums of deviations from the first row, which cancel little
    if (used)
        for (long long r = blockIdx.y * (long long)blockDim.y + threadIdx.y; r < rows; r += chunks * blockDim.y) {
            double d = from[r * columns + column] - first;
            s += d;
            q += d * d;
        }
    s = over_rows(s, shared);
    q = over_rows(q, shared);
    if (threadIdx.y == 0 && used) {
        double *to = parts + (batch * chunks + blockIdx.y) * 2 * columns + column;
        to[0] = s;
        to[columns] = q;
    }
    if (!is_last(tickets + blockIdx.x, chunks * batches)) return;
    for (long long b = 0; b < batches; ++b) {
        s = q = 0;
        if (used)
            for (long long k = threadIdx.y; k < chunks; k += blockDim.y) {
                const double *part = parts + (b * chunks + k) * 2 * columns + column;
                s += __ldcg(part);
                q += __ldcg(part + columns);
            }
        s = over_rows(s, shared) / rows;
        q = over_rows(q, shared) / rows;
        if (threadIdx.y == 0 && used) {
            double m = x[b * rows * columns + column] + s, var = fmax(q - s * s, 0.0);
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
// y = activation(gamma (x - mean) inv_std + beta), in the memory layout of y.
extern "C" __global__ void normalization(
        const T *x, const double *mean, const double *inv_std, const T *gamma, const T *beta, long long n, long long columns,
        long long per_batch, long long a, long long b, long long kind, T *y) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        long long c = i % columns, k = i / per_batch * columns + c;
        T d = x[i] - T(mean[k]);
        y[moved(i, a, b)] = activated(d * (gamma[c] * T(inv_std[k])) + beta[c], kind);
    }
}''')

_sums = Kernel(activation.SOURCE + reduction.SOURCE + r'''
// Of each batch the sums of g and of g (x - mean) over the rows, g being the gradient before the activation, and from them the
// gradients of gamma and beta.
extern "C" __global__ void normalization_sums(
        const T *x, const T *gy, const double *mean, const double *inv_std, const T *gamma, const T *beta, long long rows,
        long long columns, long long batches, long long a, long long b, long long kind, double *parts, unsigned *tickets,
        double *sums, T *ggamma, T *gbeta) {
    __shared__ double shared[256];
    long long column = blockIdx.x * blockDim.x + threadIdx.x, batch = blockIdx.z, chunks = gridDim.y;
    bool used = column < columns;
    double s = 0, q = 0;
    if (used) {
        double exact = mean[batch * columns + column];
        T m = exact, scale = gamma[column] * T(inv_std[batch * columns + column]), shift = beta[column];
        for (long long r = blockIdx.y * (long long)blockDim.y + threadIdx.y; r < rows; r += chunks * blockDim.y) {
            long long i = (batch * rows + r) * columns + column;
            double g = gy[moved(i, a, b)] * slope((x[i] - m) * scale + shift, kind);
            s += g;
            q += g * (x[i] - exact);
        }
    }
    s = over_rows(s, shared);
    q = over_rows(q, shared);
    if (threadIdx.y == 0 && used) {
        double *to = parts + (batch * chunks + blockIdx.y) * 2 * columns + column;
        to[0] = s;
        to[columns] = q;
    }
    if (!is_last(tickets + blockIdx.x, chunks * batches)) return;
    double all_s = 0, all_q = 0;
    for (long long k = 0; k < batches; ++k) {
        s = q = 0;
        if (used)
            for (long long j = threadIdx.y; j < chunks; j += blockDim.y) {
                const double *part = parts + (k * chunks + j) * 2 * columns + column;
                s += __ldcg(part);
                q += __ldcg(part + columns);
            }
        s = over_rows(s, shared);
        q = over_rows(q, shared);
        if (threadIdx.y == 0 && used) {
            sums[2 * k * columns + column] = s;
            sums[(2 * k + 1) * columns + column] = q;
            all_s += s;
            all_q += q * inv_std[k * columns + column];
        }
    }
    if (threadIdx.y == 0 && used) {
        ggamma[column] = all_q;
        gbeta[column] = all_s;
    }
}''')

_gradient = Kernel(activation.SOURCE + r'''
// gx = scale (g - (sum of g + (x - mean) inv_std^2 sum of g (x - mean)) / rows); without the sums where the statistics are given.
extern "C" __global__ void normalization_gradient(
        const T *x, const T *gy, const double *mean, const double *inv_std, const T *gamma, const T *beta, const double *sums,
        long long n, long long columns, long long rows, long long a, long long b, long long kind, T *gx) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        long long c = i % columns, batch = i / (rows * columns), k = batch * columns + c;
        T d = x[i] - T(mean[k]), scale = gamma[c] * T(inv_std[k]);
        T g = gy[moved(i, a, b)] * slope(d * scale + beta[c], kind);
        if (sums) {
            const double *of = sums + 2 * batch * columns + c;
            double linear = of[columns] * inv_std[k] * inv_std[k] / rows;
            g -= T(of[0] / rows) + T(linear) * d;
        }
        gx[i] = scale * g;
    }
}''')


class Normalization:
    """Batch normalisation and an activation on one matrix.

    Args:
        x: C-contiguous array (batches * R, C).
        gamma, beta: arrays (C,).
        activation (str): None, relu or leaky_relu.
        eps (float): added to the variance.
        batches (int): batches with statistics of their own.
        moved (tuple of int): how the output's memory is laid out, the last two arguments of
            `lsgan.functions.gpu.activation.forward`.
    """

    def __init__(self, x, gamma, beta, activation, eps, batches, moved):
        self.x, self.gamma, self.beta, self.eps, self.batches, self.moved = x, gamma, beta, eps, batches, moved
        self.kind = KINDS[activation]

    def use(self, mean, var):
        """Take given statistics, arrays (C,)."""
        self.given, self.rows = True, len(self.x)
        self.mean = mean[None].astype(float)
        self.inv_std = 1 / cuda.cupy.sqrt(var[None].astype(float) + self.eps)

    def measure(self, running_mean, running_var, decay):
        """Compute the statistics of each batch, and let the running ones, arrays (C,) or None, follow them with memory `decay`."""
        self.given, self.rows = False, len(self.x) // self.batches
        columns = self.x.shape[1]
        threads, blocks = reduction.shape_of(self.rows, columns, self.batches)
        parts = cuda.cupy.empty((self.batches, blocks[1], 2, columns))
        self.mean, self.inv_std = cuda.cupy.empty((2, self.batches, columns))
        running = [NULL, NULL] if running_mean is None else [running_mean, running_var]
        _moments(self.x.dtype, blocks, (self.x, self.rows, columns, self.batches, numpy.float64(self.eps), numpy.float64(decay),
                                        parts, reduction.tickets(), self.mean, self.inv_std, *running), threads)

    def forward(self, y):
        """Fill y, of the size of x, with activation(gamma (x - mean) / std + beta)."""
        columns = self.x.shape[1]
        _apply(y.dtype, blocks_for(y.size), (self.x, self.mean, self.inv_std, self.gamma, self.beta, y.size, columns,
                                             self.rows * columns, *self.moved, self.kind, y))

    def backward(self, gy):
        """Return the gradients with respect to x, gamma and beta.

        Args:
            gy: array of the size of y, in its memory layout.
        """
        x, columns = self.x, self.x.shape[1]
        batches = len(self.mean)
        known = self.mean, self.inv_std, self.gamma, self.beta
        threads, blocks = reduction.shape_of(self.rows, columns, batches)
        parts = cuda.cupy.empty((batches, blocks[1], 2, columns))
        sums = cuda.cupy.empty((batches, 2, columns))
        gx, ggamma, gbeta = (cuda.cupy.empty_like(a) for a in (x, self.gamma, self.beta))
        _sums(x.dtype, blocks, (x, gy, *known, self.rows, columns, batches, *self.moved, self.kind, parts, reduction.tickets(),
                                sums, ggamma, gbeta), threads)
        _gradient(x.dtype, blocks_for(x.size), (x, gy, *known, NULL if self.given else sums, x.size, columns, self.rows,
                                                *self.moved, self.kind, gx))
        return gx, ggamma, gbeta
