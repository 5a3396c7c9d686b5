"""Chainer's Adam and RMSprop, each parameter's update in one pass over its memory: the same bits, states and snapshots.

CPU: Numba; elsewhere, and for the variants of Adam, Chainer's own.
"""
import numpy as np
from chainer import config, optimizers

from lsgan.functions import threads
from lsgan.functions.fused import on_cpu
from lsgan.functions.jit import exact_kernel


@exact_kernel
def _adam(p, g, m, v, one_minus_beta1, one_minus_beta2, alpha_t, eps, eta):
    for i in range(p.size):
        m[i] += one_minus_beta1 * (g[i] - m[i])
        v[i] += one_minus_beta2 * (g[i] * g[i] - v[i])
        p[i] += -eta * (alpha_t / (np.sqrt(v[i]) + eps) * m[i])


@exact_kernel
def _rmsprop(p, g, ms, alpha, one_minus_alpha, lr, eps):
    for i in range(p.size):
        ms[i] = alpha * ms[i] + one_minus_alpha * g[i] * g[i]
        p[i] -= lr * g[i] / (np.sqrt(ms[i]) + eps)


def _step(kernel, arrays, numbers):
    """Whether the kernel could update the arrays, the first in place, and did."""
    if not config.fast or not on_cpu(arrays) or not all(a.flags.c_contiguous for a in arrays):
        return False
    flat = [a.reshape(-1) for a in arrays]
    numbers = [arrays[0].dtype.type(number) for number in numbers]
    threads.each(lambda part: kernel(*(a[slice(*part)] for a in flat), *numbers), threads.parts(flat[0].size, least=1 << 16))
    return True


class _AdamRule(optimizers.adam.AdamRule):

    def update_core_cpu(self, param):
        hp = self.hyperparam
        plain = not (hp.amsgrad or hp.adabound or hp.weight_decay_rate)
        if param.grad is None or not plain or not _step(
                _adam, [param.array, param.grad, self.state['m'], self.state['v']],
                [1 - hp.beta1, 1 - hp.beta2, self.alpha_t, hp.eps, hp.eta]):
            super().update_core_cpu(param)


class _RMSpropRule(optimizers.rmsprop.RMSpropRule):

    def update_core_cpu(self, param):
        hp = self.hyperparam
        if param.grad is None or hp.eps_inside_sqrt or not _step(
                _rmsprop, [param.array, param.grad, self.state['ms']], [hp.alpha, 1 - hp.alpha, hp.lr, hp.eps]):
            super().update_core_cpu(param)


class Adam(optimizers.Adam):
    """`chainer.optimizers.Adam` (Kingma & Ba 2015)."""

    def create_update_rule(self):
        return _AdamRule(self.hyperparam)


class RMSprop(optimizers.RMSprop):
    """`chainer.optimizers.RMSprop` (Tieleman & Hinton 2012)."""

    def create_update_rule(self):
        return _RMSpropRule(self.hyperparam)
