"""Chainer's Adam, RMSprop and SGD, with the same states and snapshots, and the hooks that training adds to them.

CPU: a Numba kernel updates a parameter in one pass over its memory, with the same bits as Chainer. GPU: one CUDA launch
updates all parameters, including the clipping of gradients and weights. Variants such as AMSGrad, and optimizers with other
hooks, use Chainer's own code.
"""
from collections.abc import Callable, Sequence

import chainer
import numpy as np
from chainer import config, optimizers
from chainer.backends import cuda
from chainer.optimizer_hooks import GradientClipping
from chainer.types import NdArray

from lsgan.functions.cpu import threads
from lsgan.functions.cpu.jit import exact_kernel
from lsgan.functions.flat import Flat
from lsgan.functions.fused import on_cpu, on_gpu
from lsgan.functions.gpu import optimizers as gpu
from lsgan.functions.gpu.graph import outside_graphs
from lsgan.functions.gpu.layout import laid_out_as
from lsgan.functions.gpu.scalar import Scalar

_LEAST = 1 << 16        # elements per thread below which another thread does not pay off
_MOST = 1 << 20         # elements of a network above which copying gradients into one vector takes longer than it saves


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


@exact_kernel
def _sgd(p, g, lr):
    for i in range(p.size):
        p[i] -= lr * g[i]


@exact_kernel
def _average(average, weights, keep, share):
    for i in range(average.size):
        average[i] = average[i] * keep + share * weights[i]


def average(averages: Sequence[NdArray], weights: Sequence[NdArray], keep: float) -> None:
    """Replace each array a of `averages` by keep * a + (1 - keep) * w, with the array w of `weights`, in place."""
    for a, w in zip(averages, weights):
        if on_cpu((a, w)) and a.flags.c_contiguous and w.flags.c_contiguous:
            _average(a.reshape(-1), w.reshape(-1), a.dtype.type(keep), a.dtype.type(1 - keep))
        else:
            a *= keep
            a += (1 - keep) * w


class _OnePass:
    """One of Chainer's update rules as a single kernel on the CPU, for parameters to which nothing else is done."""

    def is_alone(self):
        """Return whether a step is only the rule, with the optimizer's own hyperparameters."""
        return self.is_bare() and self.is_plain()

    def is_bare(self):
        """Return whether the rule has no hooks and no hyperparameters of its own."""
        hooks, own = self._hookable, vars(self.hyperparam)
        return (self.enabled and not hooks._pre_update_hooks and not hooks._post_update_hooks
                and len(own) == ('_parent' in own))

    def arrays(self, param):
        """Return the arrays of the kernel as vectors: parameter, gradient and states. None if the kernel does not fit."""
        if param._loss_scale is not None or not self.is_alone() or not on_cpu((param.raw_array, param._grad)):
            return None
        self._init_states(param)
        arrays = [param.raw_array, param._grad, *[self.state[name] for name in self.states]]
        if not on_cpu(arrays) or not all(a.flags.c_contiguous for a in arrays):
            return None
        return [a.reshape(-1) for a in arrays]

    def step(self, arrays, numbers):
        """Take a step with arrays from `arrays` and numbers from `numbers`, of the arrays' type."""
        if arrays[0].size < 2 * _LEAST:
            self.kernel(*arrays, *numbers)
        else:
            threads.each(lambda part: self.kernel(*(a[slice(*part)] for a in arrays), *numbers),
                         threads.parts(arrays[0].size, least=_LEAST))


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


class _SGDRule(_OnePass, optimizers.sgd.SGDRule):

    kernel, states = staticmethod(_sgd), ()

    def is_plain(self):
        return True

    def numbers(self):
        return self.hyperparam.lr,


def gradient_norm(link: chainer.Link) -> NdArray:
    """Return the Euclidean norm of a link's whole gradient, a scalar on the link's device."""
    grads = [p.grad for p in link.params() if p.grad is not None]
    if on_gpu(grads) and gpu.serves(grads):
        return gpu.norm(grads)
    return sum(p.device.xp.vdot(p.grad, p.grad) for p in link.params() if p.grad is not None) ** 0.5


class MeanGradient:
    """Optimizer hook that replaces the gradient by its mean over all processes of a parallel run.

    All gradients of the network lie one after the other in one buffer, so that there is one exchange for each step. The hook
    must be the first one, so that other hooks see the mean.

    Args:
        averager: from an array to a callable that replaces what is in this array by the mean over all processes; see
            `lsgan.training.parallel.Parallel.averager`.
    """

    name = 'MeanGradient'
    timing = 'pre'

    def __init__(self, averager: Callable[[NdArray], Callable[[], None]]):
        self._averager = averager
        self._buffer: NdArray | None = None

    def __call__(self, optimizer: chainer.GradientMethod) -> None:
        params = [p for p in optimizer.target.params() if p.grad is not None]
        size, dtype = sum(p.grad.size for p in params), params[0].grad.dtype
        if self._buffer is None or self._buffer.size != size or self._buffer.dtype != dtype:
            self._buffer = params[0].device.xp.empty(size, dtype)
            self._average = self._averager(self._buffer)
        start, views = 0, []
        for p in params:
            views.append(_part_like(p.array, self._buffer[start:start + p.size]))
            start += p.size
        grads = [p.grad for p in params]
        if on_gpu(grads) and gpu.serves(views):
            gpu.copy(views, grads)
        else:
            for view, grad in zip(views, grads):
                view[...] = grad
        for p, view in zip(params, views):
            p.grad = view
        outside_graphs(self._average)


def _part_like(array, memory):
    """Return `memory`, a contiguous vector, as an array with the shape and, on a GPU, the memory layout of `array`."""
    if isinstance(array, cuda.ndarray) and not array.flags.c_contiguous:
        N, C, H, W = array.shape
        return memory.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return memory.reshape(array.shape)


class GradientNorm:
    """Optimizer hook that reports the `gradient_norm`, as `gen/gradient` or `dis/gradient`.

    Args:
        observed: the prefix of the reported key, gen or dis.
    """

    name = 'GradientNorm'
    timing = 'pre'

    def __init__(self, observed: str):
        self.observed = observed

    def __call__(self, optimizer: chainer.GradientMethod) -> None:
        chainer.report({f'{self.observed}/gradient': gradient_norm(optimizer.target)})


class ClipWeights:
    """Optimizer hook that clips every weight to [-bound, bound] after an update (Arjovsky et al. 2017, algorithm 1).

    Args:
        bound: the largest absolute value of a weight, above 0.
    """

    name = 'ClipWeights'
    timing = 'post'

    def __init__(self, bound: float):
        self.bound = bound

    def __call__(self, optimizer: chainer.GradientMethod) -> None:
        for p in optimizer.target.params():
            xp = p.device.xp
            xp.clip(p.array, -self.bound, self.bound, out=p.array)


class _Fast:
    """An optimizer whose step is one kernel launch on a GPU. On the CPU, it is one kernel call for a small network.

    A step skips Chainer's bookkeeping around the update of a parameter, which takes longer than a small update itself. In
    larger networks, each parameter has a kernel call of its own on the CPU.

    Subclasses define for the GPU `states`, the names of the arrays in the state of their update rule; `numbers`, which returns
    the numbers that the kernel reads from device memory; and `launch`.
    """

    def setup(self, link):
        self._scalars, self._flat = {}, None
        return super().setup(link)

    def update(self, lossfun=None, *args, **kwargs):
        if lossfun is not None or not config.fast or self._loss_scale is not None:
            super().update(lossfun, *args, **kwargs)
        elif self.target.xp is np:
            self._step_on_cpu()
        elif self.fits_one_launch():
            self._launch()
        else:
            super().update()

    def _step_on_cpu(self):
        """Do what Chainer's `update` does, but with one kernel call for all parameters, or for each one that it fits."""
        params = list(self.target.params())
        if any(p._grad is None for p in params):
            self.reallocate_cleared_grads()
        self.call_hooks('pre')
        self.t += 1
        rules = [p.update_rule for p in params]
        if self._fits_flat(params, rules):
            self._flat.fetch_gradients()
            self._step(rules, self._flat.vectors)
        else:
            arrays = [rule.arrays(p) if isinstance(rule, _OnePass) else None for p, rule in zip(params, rules)]
            for p, rule, vectors in zip(params, rules, arrays):
                if vectors is None:
                    p.update()
                else:
                    self._step([rule], vectors)
            self._flatten(params, rules, arrays)
        if any(p._grad is None for p in params):
            self.reallocate_cleared_grads()
        self.call_hooks('post')

    def _fits_flat(self, params, rules):
        """Return whether all parameters are in `self._flat`, and one kernel call can update them."""
        return (self._flat is not None and self._flat.holds(params)
                and all(rule.t == rules[0].t and rule.is_bare() and p._loss_scale is None for p, rule in zip(params, rules))
                and rules[0].is_plain())

    def _flatten(self, params, rules, arrays):
        """Move all parameters into `self._flat` for the next step, if `arrays` shows that the kernel fits each of them."""
        if (arrays and all(arrays) and len({a[0].dtype for a in arrays}) == 1 and len(set(rules)) == len(rules)
                and sum(a[0].size for a in arrays) <= _MOST and not (self._flat and self._flat.holds(params))):
            self._flat = Flat(params, self.states)

    def _step(self, rules, arrays):
        """Take a step with arrays from `arrays`, to which all these rules apply."""
        for rule in rules:
            rule.t += 1
        rules[0].step(arrays, [*map(arrays[0].dtype.type, rules[0].numbers())])

    def _launch(self):
        self.reallocate_cleared_grads()
        for hook in self._hooks()[0]:
            if isinstance(hook, MeanGradient):
                hook(self)
        self.prepare()
        params = list(self.target.params())
        grads = [laid_out_as(p.grad, p.array) for p in params]
        self.launch([[p.array for p in params], grads, *self._states(params)], self._limits(grads))
        self.count_steps(1)

    def prepare(self):
        """Update the numbers in device memory, with one launch for each number that has changed."""
        for name, value in self.numbers().items():
            if name not in self._scalars:
                self._scalars[name] = Scalar(value)
            self._scalars[name].value = value

    def count_steps(self, n):
        """Count n steps that the device has taken."""
        self.t += n
        for p in self.target.params():
            p.update_rule.t += n
        if 't' in self._scalars:
            self._scalars['t'].count(n)

    def arrangement(self):
        """Return everything that a launch depends on except the numbers in device memory.

        A captured launch can be replayed as long as this stays equal.
        """
        constants = vars(self.hyperparam).items() - self.numbers().items()
        hooks = [(hook, {name: value for name, value in vars(hook).items() if not name.startswith('_')})
                 for hooks in self._hooks() for hook in hooks]
        return [(p.array.data.ptr, p.update_rule.enabled) for p in self.target.params()], hooks, constants

    def fits_one_launch(self):
        """Return whether one launch can do everything that a step does."""
        params = list(self.target.params())
        if not config.fast or self._loss_scale is not None or any(p.array is None for p in params):
            return False
        arrays = [p.array for p in params]
        before, after = self._hooks()
        return (on_gpu(arrays) and gpu.serves(arrays)
                and all(isinstance(hook, (MeanGradient, GradientNorm, GradientClipping)) for hook in before)
                and all(isinstance(hook, ClipWeights) for hook in after)
                and all(p.update_rule.is_alone() for p in params))

    def _hooks(self):
        hookable = self._hookable
        return list(hookable._pre_update_hooks.values()), list(hookable._post_update_hooks.values())

    def _states(self, params):
        """Return for each state the list of its arrays, one per parameter and with the parameter's memory layout."""
        for p in params:
            rule = p.update_rule
            rule._init_states(p)
            for name in self.states:
                rule.state[name] = laid_out_as(rule.state[name], p.array)
        return [[p.update_rule.state[name] for p in params] for name in self.states]

    def _limits(self, grads):
        limits, (before, after) = gpu.Limits(), self._hooks()
        for hook in before:
            if isinstance(hook, GradientClipping):
                limits.norm, limits.threshold = gpu.norm(grads), float(hook.threshold)
            elif not isinstance(hook, MeanGradient):
                hook(self)
        for hook in after:
            limits.bound = float(hook.bound)
        return limits


class Adam(_Fast, optimizers.Adam):
    """`chainer.optimizers.Adam` (Kingma & Ba 2015) with fast updates."""

    states = 'm', 'v'

    def create_update_rule(self) -> chainer.UpdateRule:
        return _AdamRule(self.hyperparam)

    def numbers(self) -> dict[str, float]:
        return {'alpha': self.hyperparam.alpha, 't': self.t}

    def launch(self, lists: Sequence[Sequence[NdArray]], limits: gpu.Limits) -> None:
        gpu.adam(lists, self._scalars['t'], self._scalars['alpha'], self.hyperparam, limits)


class RMSprop(_Fast, optimizers.RMSprop):
    """`chainer.optimizers.RMSprop` (Tieleman & Hinton 2012) with fast updates."""

    states = 'ms',

    def create_update_rule(self) -> chainer.UpdateRule:
        return _RMSpropRule(self.hyperparam)

    def numbers(self) -> dict[str, float]:
        return {'lr': self.hyperparam.lr}

    def launch(self, lists: Sequence[Sequence[NdArray]], limits: gpu.Limits) -> None:
        gpu.rmsprop(lists, self._scalars['lr'], self.hyperparam, limits)


class SGD(_Fast, optimizers.SGD):
    """`chainer.optimizers.SGD`, stochastic gradient descent, with fast updates."""

    states = ()

    def create_update_rule(self) -> chainer.UpdateRule:
        return _SGDRule(self.hyperparam)

    def numbers(self) -> dict[str, float]:
        return {'lr': self.hyperparam.lr}

    def launch(self, lists: Sequence[Sequence[NdArray]], limits: gpu.Limits) -> None:
        gpu.sgd(lists, self._scalars['lr'], limits)
