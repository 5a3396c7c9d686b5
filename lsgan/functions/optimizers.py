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


class _OnePass:
    """One of Chainer's update rules, by a kernel where nothing else is to be done with a parameter.

    Chainer's bookkeeping around an update, here left out with it, takes longer than a small parameter's update itself.
    """

    def update(self, param):
        hooks = self._hookable
        if (not config.fast or not self.enabled or not self.state or param._loss_scale is not None or not self.is_plain()
                or hooks._pre_update_hooks or hooks._post_update_hooks):
            return super().update(param)
        arrays = [param.raw_array, param._grad, *(self.state[name] for name in self.states)]
        if not on_cpu(arrays) or not all(a.flags.c_contiguous for a in arrays):
            return super().update(param)
        self.t += 1
        flat = [a.reshape(-1) for a in arrays]
        numbers = [*map(flat[0].dtype.type, self.numbers())]
        threads.each(lambda part: self.kernel(*(a[slice(*part)] for a in flat), *numbers),
                     threads.parts(flat[0].size, least=1 << 16))


class _AdamRule(_OnePass, optimizers.adam.AdamRule):

    kernel, states = staticmethod(_adam), ('m', 'v')

    def is_plain(self):
        hp = self.hyperparam
        return not (hp.amsgrad or hp.adabound or hp.weight_decay_rate)

    def numbers(self):
        hp = self.hyperparam
        return 1 - hp.beta1, 1 - hp.beta2, self.alpha_t, hp.eps, hp.eta


class _RMSpropRule(_OnePass, optimizers.rmsprop.RMSpropRule):

    kernel, states = staticmethod(_rmsprop), ('ms',)

    def is_plain(self):
        return not self.hyperparam.eps_inside_sqrt

    def numbers(self):
        hp = self.hyperparam
        return hp.alpha, 1 - hp.alpha, hp.lr, hp.eps


class Adam(optimizers.Adam):
    """`chainer.optimizers.Adam` (Kingma & Ba 2015)."""

    def create_update_rule(self):
        return _AdamRule(self.hyperparam)


class RMSprop(optimizers.RMSprop):
    """`chainer.optimizers.RMSprop` (Tieleman & Hinton 2012)."""

    def create_update_rule(self):
        return _RMSpropRule(self.hyperparam)
