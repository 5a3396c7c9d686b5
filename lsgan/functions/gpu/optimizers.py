"""CUDA kernels that process all parameters of a network in one launch: optimizer steps, gradient norms, moving averages."""
import numpy
from chainer.backends import cuda

from lsgan.functions.gpu import reduction
from lsgan.functions.gpu.kernel import NULL, THREADS, Kernel
from lsgan.functions.gpu.layout import is_dense, laid_out_as

MOST = 80               # the most tensors in a launch, because kernel arguments may take 4 KiB
_KINDS = 4              # the most arrays that belong to a tensor
_ELEMENTS = 4096        # elements that one block processes
_TENSORS = numpy.dtype([('first', numpy.int64, MOST), ('size', numpy.int64, MOST), ('arrays', numpy.uint64, (_KINDS, MOST))])

_SOURCE = (f'constexpr long long MOST = {MOST}, KINDS = {_KINDS}, ELEMENTS = {_ELEMENTS};\n' + reduction.SOURCE + r'''
struct Tensors { long long first[MOST], size[MOST]; T *arrays[KINDS][MOST]; };   // `first` is the first block of each tensor

// Call f(tensor, element) for each element that belongs to this block.
template <class F> __device__ void for_each(const Tensors &tensors, long long count, F f) {
    long long k = count - 1;
    while (tensors.first[k] > (long long)blockIdx.x) --k;
    long long start = (blockIdx.x - tensors.first[k]) * ELEMENTS, end = min(start + ELEMENTS, tensors.size[k]);
    for (long long i = start + threadIdx.y; i < end; i += blockDim.y) f(k, i);
}
// Return the number of this step, from 1. All threads of all blocks call this once; the last block counts the step.
__device__ double step_number(double *steps, unsigned *ticket) {
    double number = *(volatile double *)steps + 1;
    if (is_last(ticket, gridDim.x) && threadIdx.y == 0) *steps = number;
    return number;
}
// Return the factor that scales gradients to a norm of at most the threshold; a threshold of 0 sets no limit.
__device__ T clipping(const T *norm, T threshold) { return threshold > T(0) ? min(T(1), threshold / *norm) : T(1); }
// Return x clipped to [-bound, bound]; a bound of 0 sets no limit. NaN stays NaN, so that a diverging run is noticed.
__device__ T within(T x, T bound) { return bound > T(0) && fabs(x) > bound ? copysign(bound, x) : x; }
''')

_adam = Kernel(_SOURCE + r'''
extern "C" __global__ void adam(Tensors tensors, long long count, double *steps, unsigned *ticket, const double *alpha,
                                double beta1, double beta2, T eps, T eta, const T *norm, T threshold, T bound) {
    __shared__ T rate;
    double t = step_number(steps, ticket);
    if (threadIdx.y == 0) rate = *alpha * sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t));
    __syncthreads();
    T scale = clipping(norm, threshold), one_minus_beta1 = 1 - beta1, one_minus_beta2 = 1 - beta2;
    for_each(tensors, count, [&](long long k, long long i) {
        T g = tensors.arrays[1][k][i] * scale, m = tensors.arrays[2][k][i], v = tensors.arrays[3][k][i];
        m += one_minus_beta1 * (g - m);
        v += one_minus_beta2 * (g * g - v);
        tensors.arrays[2][k][i] = m;
        tensors.arrays[3][k][i] = v;
        T *p = tensors.arrays[0][k] + i;
        *p = within(*p - eta * (rate * m / (sqrt(v) + eps)), bound);
    });
}''')

_rmsprop = Kernel(_SOURCE + r'''
extern "C" __global__ void rmsprop(Tensors tensors, long long count, const double *lr, double alpha, T eps, const T *norm,
                                   T threshold, T bound) {
    T scale = clipping(norm, threshold), rate = *lr, keep = alpha, rest = 1 - alpha;
    for_each(tensors, count, [&](long long k, long long i) {
        T g = tensors.arrays[1][k][i] * scale, ms = keep * tensors.arrays[2][k][i] + rest * g * g;
        tensors.arrays[2][k][i] = ms;
        T *p = tensors.arrays[0][k] + i;
        *p = within(*p - rate * g / (sqrt(ms) + eps), bound);
    });
}''')

_sgd = Kernel(_SOURCE + r'''
extern "C" __global__ void sgd(Tensors tensors, long long count, const double *lr, const T *norm, T threshold, T bound) {
    T rate = T(*lr) * clipping(norm, threshold);
    for_each(tensors, count, [&](long long k, long long i) {
        T *p = tensors.arrays[0][k] + i;
        *p = within(*p - rate * tensors.arrays[1][k][i], bound);
    });
}''')

_norm = Kernel(_SOURCE + r'''
extern "C" __global__ void gradient_norm(Tensors tensors, long long count, double *parts, unsigned *ticket, T *result) {
    __shared__ double shared[256];
    double sum = 0;
    for_each(tensors, count, [&](long long k, long long i) { double g = tensors.arrays[0][k][i]; sum += g * g; });
    sum = over_rows(sum, shared);
    if (threadIdx.y == 0) parts[blockIdx.x] = sum;
    if (!is_last(ticket, gridDim.x)) return;
    sum = 0;
    for (long long b = threadIdx.y; b < gridDim.x; b += blockDim.y) sum += __ldcg(parts + b);
    sum = over_rows(sum, shared);
    if (threadIdx.y == 0) *result = sqrt(sum);
}''')

_average = Kernel(_SOURCE + r'''
// Update the moving averages in arrays[0] with the values in arrays[1].
extern "C" __global__ void average(Tensors tensors, long long count, double *updates, unsigned *ticket, double decay) {
    double t = step_number(updates, ticket), keep = min(decay, (1 + t) / (10 + t));
    T old = keep, rest = 1 - keep;
    for_each(tensors, count, [&](long long k, long long i) {
        T *to = tensors.arrays[0][k] + i;
        *to = old * *to + rest * tensors.arrays[1][k][i];
    });
}''')

_copy = Kernel(_SOURCE + r'''
extern "C" __global__ void copy(Tensors tensors, long long count) {
    for_each(tensors, count, [&](long long k, long long i) { tensors.arrays[0][k][i] = tensors.arrays[1][k][i]; });
}''')


def _launch(kernel, lists, *arguments):
    """Launch a kernel on tensors.

    Args:
        kernel (Kernel): its first parameters are the tensors and their number.
        lists (sequence): at most four lists of arrays. Arrays at the same place of the lists have the same shape and layout.
        arguments: the kernel's other arguments.
    """
    tensors = numpy.zeros((), _TENSORS)
    count, sizes = len(lists[0]), [x.size for x in lists[0]]
    tensors['size'][:count] = sizes
    blocks = numpy.cumsum([0, *(-(-size // _ELEMENTS) for size in sizes)])
    tensors['first'][:count] = blocks[:-1]
    for i, arrays in enumerate(lists):
        tensors['arrays'][i, :count] = [x.data.ptr for x in arrays]
    kernel(lists[0][0].dtype, int(blocks[-1]), (tensors, count, *arguments), (1, THREADS))


def serves(arrays):
    """Return whether the kernels support a network's arrays: at most `MOST` of them, without gaps in memory."""
    return 0 < len(arrays) <= MOST and all(is_dense(x) or x.flags.f_contiguous for x in arrays)


class Limits:
    """The clipping of gradients and weights in an optimizer step.

    Attributes:
        norm: scalar array, the norm of all gradients, or None for no clipping of gradients.
        threshold (float): the norm that larger gradients are scaled down to.
        bound (float): weights are clipped to [-bound, bound]; 0 for no clipping of weights.
    """

    def __init__(self, norm=None, threshold=0.0, bound=0.0):
        self.norm, self.threshold, self.bound = norm, float(threshold), float(bound)

    @property
    def arguments(self):
        """The last three arguments of an optimizer's kernel."""
        return NULL if self.norm is None else self.norm, self.threshold, self.bound


def adam(lists, steps, alpha, hp, limits):
    """Take one step of Adam (Kingma & Ba 2015, algorithm 1) and count it.

    Args:
        lists: the parameters, their gradients, m and v, each a list of arrays.
        steps (lsgan.functions.gpu.scalar.Scalar): number of steps so far; the kernel adds 1.
        alpha (lsgan.functions.gpu.scalar.Scalar): the learning rate.
        hp (chainer.optimizer.Hyperparameter): hyperparameters of `chainer.optimizers.Adam`; its alpha is not read.
        limits (Limits): the clipping of gradients and weights.
    """
    _launch(_adam, lists, steps.array, reduction.tickets(), alpha.array, numpy.float64(hp.beta1), numpy.float64(hp.beta2),
            float(hp.eps), float(hp.eta), *limits.arguments)


def rmsprop(lists, lr, hp, limits):
    """Take one step of RMSprop (Tieleman & Hinton 2012).

    Args:
        lists: the parameters, their gradients and the mean squares, each a list of arrays.
        lr (lsgan.functions.gpu.scalar.Scalar): the learning rate.
        hp (chainer.optimizer.Hyperparameter): hyperparameters of `chainer.optimizers.RMSprop`; its lr is not read.
        limits (Limits): the clipping of gradients and weights.
    """
    _launch(_rmsprop, lists, lr.array, numpy.float64(hp.alpha), float(hp.eps), *limits.arguments)


def sgd(lists, lr, limits):
    """Take one step of stochastic gradient descent.

    Args:
        lists: the parameters and their gradients, each a list of arrays.
        lr (lsgan.functions.gpu.scalar.Scalar): the learning rate.
        limits (Limits): the clipping of gradients and weights.
    """
    _launch(_sgd, lists, lr.array, *limits.arguments)


def norm(grads):
    """Return the Euclidean norm over all arrays of a list, a scalar array."""
    result = cuda.cupy.empty((), grads[0].dtype)
    blocks = sum(-(-g.size // _ELEMENTS) for g in grads)
    _launch(_norm, (grads,), cuda.cupy.empty(blocks), reduction.tickets(), result)
    return result


def average(averages, values, updates, decay):
    """Update moving averages (EMA) with new values.

    Args:
        averages, values: lists of arrays.
        updates (lsgan.functions.gpu.scalar.Scalar): number of updates so far; the kernel adds 1.
        decay (float): weight of the old average. In the t-th update it is (1 + t) / (10 + t) if that is less.
    """
    _launch(_average, (averages, [laid_out_as(x, a) for x, a in zip(values, averages)]), updates.array, reduction.tickets(),
            numpy.float64(decay))


def copy(to, values):
    """Copy arrays in one launch.

    Args:
        to, values: lists of arrays. Arrays at the same place of the lists have the same shape.
    """
    _launch(_copy, (to, [laid_out_as(x, a) for x, a in zip(values, to)]))
