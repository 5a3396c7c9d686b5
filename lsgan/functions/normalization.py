"""Batch normalisation (Ioffe & Szegedy 2015) fused with the activation after it. CPU: Numba; GPU: CUDA kernels.

Each CPU kernel processes the rows [first, last) of arrays of shape (R, C). A row is one pixel of one image, or one example.
"""
import chainer
import chainer.functions as F
import numpy as np
from chainer.types import NdArray
from chainer.utils import type_check

from lsgan.functions.convolution import channels_last
from lsgan.functions.cpu import threads
from lsgan.functions.cpu.jit import kernel
from lsgan.functions.fused import Fused, on_cpu, on_gpu
from lsgan.functions.gpu import normalization as gpu
from lsgan.functions.perceptron import ACTIVATIONS, LEAK

# Slope of each activation for negative inputs
SLOPES = {None: 1.0, 'relu': 0.0, 'leaky_relu': LEAK}
PIECE = 1 << 18         # bytes of rows in one part; many small parts keep all threads equally busy
BLOCK = 8               # rows that are summed in the arrays' own precision before their sum is added in float64
# Number of batches, one after the other, in an input of `lsgan.links.BatchNormalization`; each has statistics of its own
chainer.global_config.batches = 1


@kernel
def _moments(x, first, last, mean, squares):
    """Compute mean and sum of squared deviations of each column, block by block (Chan et al. 1983); outputs are float64."""
    C = x.shape[1]
    s = np.empty(C, x.dtype)
    q = np.empty(C, x.dtype)
    mean[:] = 0
    squares[:] = 0
    count = 0
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        s[:] = 0
        for r in range(begin, end):
            row = x[r]
            for c in range(C):
                s[c] += row[c]
        for c in range(C):
            s[c] /= end - begin
        q[:] = 0
        for r in range(begin, end):
            row = x[r]
            for c in range(C):
                q[c] += (row[c] - s[c]) * (row[c] - s[c])
        share = (end - begin) / (count + end - begin)
        for c in range(C):
            delta = s[c] - mean[c]
            mean[c] += share * delta
            squares[c] += q[c] + delta * delta * (share * count)
        count += end - begin


@kernel
def _apply(x, mean, scale, beta, slope, first, last, y):
    """Compute y = activation(scale (x - mean) + beta)."""
    C = x.shape[1]
    zero = mean.dtype.type(0)
    for r in range(first, last):
        row, out = x[r], y[r]
        for c in range(C):
            v = (row[c] - mean[c]) * scale[c] + beta[c]
            out[c] = max(v, zero) + slope * min(v, zero)


@kernel
def _sums(x, gy, mean, scale, beta, slope, first, last, sum_g, sum_gx):
    """Sum g and g (x - mean) over each column, where g is the gradient before the activation; outputs are float64."""
    C = x.shape[1]
    s = np.empty(C, x.dtype)
    q = np.empty(C, x.dtype)
    one, zero = mean.dtype.type(1), mean.dtype.type(0)
    sum_g[:] = 0
    sum_gx[:] = 0
    for begin in range(first, last, BLOCK):
        s[:] = 0
        q[:] = 0
        for r in range(begin, min(begin + BLOCK, last)):
            row, grow = x[r], gy[r]
            for c in range(C):
                d = row[c] - mean[c]
                g = grow[c] * (one if d * scale[c] + beta[c] > zero else slope)
                s[c] += g
                q[c] += g * d
        for c in range(C):
            sum_g[c] += s[c]
            sum_gx[c] += q[c]


@kernel
def _gradient(x, gy, mean, scale, beta, slope, constant, linear, first, last, gx):
    """Compute gx = scale g - linear (x - mean) - constant, with g as in `_sums`."""
    C = x.shape[1]
    one, zero = mean.dtype.type(1), mean.dtype.type(0)
    for r in range(first, last):
        row, grow, out = x[r], gy[r], gx[r]
        for c in range(C):
            d = row[c] - mean[c]
            g = grow[c] * (one if d * scale[c] + beta[c] > zero else slope)
            out[c] = scale[c] * g - linear[c] * d - constant[c]


def _rows(x):
    """Return an array (B, C) or (B, C, H, W) as a contiguous matrix (R, C)."""
    if x.ndim == 2:
        return x if x.flags.c_contiguous else x.copy()
    last = channels_last(x)
    return last.reshape(-1, last.shape[3])


def _images(rows, shape):
    """Return the array of the given shape that `_rows` turns into these rows."""
    if len(shape) == 2:
        return rows
    N, C, H, W = shape
    return rows.reshape(N, H, W, C).transpose(0, 3, 1, 2)


class _OnCPU:
    """Batch normalisation and activation of a matrix (batches * R, C). See `lsgan.functions.gpu.normalization` for the GPU."""

    def __init__(self, x, gamma, beta, activation, eps, batches):
        self.x, self.gamma, self.beta, self.eps, self.batches = x, gamma, beta, eps, batches
        self.slope = x.dtype.type(SLOPES[activation])
        self.rows = len(x) // batches
        pieces = threads.parts(self.rows, 1 + PIECE // x[0].nbytes, 1 + PIECE // 4 // x[0].nbytes)
        # (batch, first row, last row) of each part, ordered by batch
        self.parts = [(i, i * self.rows + first, i * self.rows + last) for i in range(batches) for first, last in pieces]

    def use(self, mean, var):
        """Use the given statistics, arrays (C,)."""
        self.given = True
        self._keep(mean[None], var[None])

    def measure(self, running_mean, running_var, decay):
        """Compute the statistics of each batch and update the running statistics.

        Args:
            running_mean, running_var: arrays (C,), updated in place, or None.
            decay (float): weight of the old running statistics, from 0 to 1.
        """
        self.given = False
        R, C = self.rows, self.x.shape[1]
        mean, squares = np.empty((2, len(self.parts), C))
        threads.each(lambda i: _moments(self.x, *self.parts[i][1:], mean[i], squares[i]), range(len(self.parts)))
        mean, squares = self._by_batch(mean), self._by_batch(squares)
        count = self._by_batch(np.array([[last - first] for _, first, last in self.parts]))
        total = (count * mean).sum(axis=1) / R
        var = (squares + count * (mean - total[:, None]) ** 2).sum(axis=1) / R
        if running_mean is not None:
            for i in range(self.batches):
                running_mean *= decay
                running_mean += (1 - decay) * total[i]
                running_var *= decay
                running_var += (1 - decay) * R / max(R - 1, 1) * var[i]
        self._keep(total, var)

    def _keep(self, mean, var):
        dtype = self.x.dtype
        self.mean = mean.astype(dtype)        # one row per batch, here and in what is computed from it
        self.rounded = mean - self.mean
        self.inv_std = (1 / np.sqrt(var + self.eps)).astype(dtype)
        self.scale = self.gamma * self.inv_std

    def forward(self):
        """Return activation(gamma (x - mean) / std + beta), of the shape of x."""
        y = np.empty_like(self.x)
        threads.each(lambda part: _apply(self.x, *self._known(part[0]), *part[1:], y), self.parts)
        return y

    def _known(self, batch):
        return self.mean[batch], self.scale[batch], self.beta, self.slope

    def _by_batch(self, of_parts):
        return of_parts.reshape(self.batches, -1, of_parts.shape[1])

    def backward(self, gy):
        """Return the gradients with respect to x, gamma and beta.

        Args:
            gy: array (batches * R, C), the gradient with respect to the output.
        """
        x = self.x
        parts_g, parts_gx = np.empty((2, len(self.parts), x.shape[1]))

        def add(i):
            batch, *part = self.parts[i]
            _sums(x, gy, *self._known(batch), *part, parts_g[i], parts_gx[i])
        threads.each(add, range(len(self.parts)))
        sum_g = self._by_batch(parts_g).sum(axis=1)
        sum_gx = self._by_batch(parts_gx).sum(axis=1) - self.rounded * sum_g
        share = 0 if self.given else self.scale / self.rows
        constant = (share * sum_g).astype(x.dtype)
        linear = (share * self.inv_std ** 2 * sum_gx).astype(x.dtype)
        gx = np.empty_like(x)

        def subtract(part):
            batch, *part = part
            _gradient(x, gy, *self._known(batch), constant[batch], linear[batch], *part, gx)
        threads.each(subtract, self.parts)
        return gx, (sum_gx * self.inv_std).sum(axis=0).astype(x.dtype), sum_g.sum(axis=0).astype(x.dtype)


class _BatchNormalization(Fused):

    def __init__(self, activation, eps, running_mean, running_var, decay, batches, fixed, shape):
        self.activation, self.eps, self.decay, self.batches, self.fixed = activation, eps, decay, batches, fixed
        self.running_mean, self.running_var, self.shape = running_mean, running_var, shape

    def check_type_forward(self, in_types):
        x, gamma, beta = in_types
        type_check.expect(x.dtype.kind == 'f', gamma.dtype == x.dtype, beta.dtype == x.dtype,
                          gamma.ndim == 1, beta.ndim == 1, gamma.shape[0] == x.shape[1], beta.shape[0] == x.shape[1],
                          x.shape[0] % self.batches == 0)

    def serves(self, inputs):
        return (on_cpu(inputs) or on_gpu(inputs)) and inputs[0].ndim in (2, 4) and inputs[1].ndim == 1

    def forward(self, inputs):
        self.retain_inputs((0, 1, 2))
        x, gamma, beta = inputs
        arguments = gamma, beta, self.activation, self.eps, self.batches
        if on_gpu(inputs):
            self.matrix = gpu.Normalization(x, *arguments, self.shape)
        else:
            self.matrix = _OnCPU(_rows(x), *arguments)
        if self.fixed:
            self.matrix.use(self.running_mean, self.running_var)
        else:
            self.matrix.measure(self.running_mean, self.running_var, self.decay)
            self.running_mean = self.running_var = None     # otherwise `reference` would update them again in double backprop
        y = self.matrix.forward()
        if not on_gpu(inputs):
            y = _images(y, x.shape)
            y = y if self.shape is None else y.reshape(-1, *self.shape)
        return y,

    def backward_arrays(self, indexes, inputs, gy):
        shape = inputs[0].shape
        if on_gpu(inputs):
            gradients = self.matrix.backward(gy)
        else:
            gx, *others = self.matrix.backward(_rows(gy.reshape(shape)))
            gradients = [_images(gx, shape), *others]
        return [gradients[i] for i in indexes]

    def reference(self, x, gamma, beta):
        axis = (0, *range(2, x.ndim))
        if self.fixed:
            h = F.fixed_batch_normalization(x, gamma, beta, self.running_mean, self.running_var, self.eps, axis=axis)
        else:
            parts = F.split_axis(x, self.batches, axis=0) if self.batches > 1 else [x]
            parts = [F.batch_normalization(part, gamma, beta, eps=self.eps, running_mean=self.running_mean,
                                           running_var=self.running_var, decay=self.decay, axis=axis) for part in parts]
            h = F.concat(parts, axis=0) if self.batches > 1 else parts[0]
        h = h if self.activation is None else ACTIVATIONS[self.activation][2](h)
        return h if self.shape is None else h.reshape(-1, *self.shape)


def batch_normalization(x: NdArray | chainer.Variable, gamma: NdArray | chainer.Variable, beta: NdArray | chainer.Variable,
                        activation: str | None = None, eps: float = 2e-5, running_mean: NdArray | None = None,
                        running_var: NdArray | None = None, decay: float = 0.9, batches: int = 1,
                        shape: tuple[int, ...] | None = None) -> chainer.Variable:
    """Normalise over all axes but the second, like `chainer.functions.batch_normalization`, and apply an activation.

    Args:
        x: of shape (B, C) or (B, C, H, W).
        gamma, beta: scale and shift, of shape (C,).
        activation: relu, leaky_relu (slope 0.2) or None.
        eps: added to the variance.
        running_mean, running_var: arrays (C,), moving averages of the statistics, updated in place; or None.
        decay: weight of the old running statistics, from 0 to 1.
        batches: number of batches of equal size in x, one after the other. Each is normalised by its own statistics.
        shape: shape of each example in the result, as in `lsgan.functions.activation`.

    Returns:
        The result, of the same shape as x, or (B, *shape).

    Raises:
        chainer.utils.type_check.InvalidType: if the shapes or types do not match, or B is not a multiple of `batches`.
    """
    function = _BatchNormalization(activation, eps, running_mean, running_var, decay, batches, False, shape)
    return function.apply((x, gamma, beta))[0]


def fixed_batch_normalization(x: NdArray | chainer.Variable, gamma: NdArray | chainer.Variable,
                              beta: NdArray | chainer.Variable, mean: NdArray, var: NdArray, activation: str | None = None,
                              eps: float = 2e-5, shape: tuple[int, ...] | None = None) -> chainer.Variable:
    """Normalise by given statistics, as in test mode, and apply an activation.

    Args:
        x, gamma, beta, activation, eps, shape: as in `batch_normalization`.
        mean, var: arrays (C,), the statistics.

    Returns:
        The result, of the same shape as x, or (B, *shape).
    """
    return _BatchNormalization(activation, eps, mean, var, 0.0, 1, True, shape).apply((x, gamma, beta))[0]
