"""Chainer's optimizers, stepping all parameters at once.

Adam and RMSprop treat every number alike, so one call of Chainer's update rule on all parameters end to end does what a call
for each does, without the overhead that dominates in small networks. States stay visible under each parameter, so snapshots
are those of Chainer's own optimizers.
"""
import copy

import chainer
from chainer import optimizers


class _AtOnce:
    """Mixed into a `GradientMethod` whose rule is elementwise; where one rule cannot serve all parameters, it does as that."""

    _flat = None

    def update(self, lossfun=None, *args, **kwds):
        parameters = list(self.target.params())
        if lossfun is not None or not self._one_rule_serves(parameters):
            return super().update(lossfun, *args, **kwds)
        if not self._is_laid_out(parameters):
            self._lay_out(parameters)
        self.reallocate_cleared_grads()
        self.check_nan_in_grads()
        self.call_hooks('pre')
        self.t += 1
        if self.is_safe_to_update():
            for parameter, gradient in zip(parameters, self._gradients):
                gradient[...] = parameter.grad
            self._flat.update_rule.t = parameters[0].update_rule.t
            self._flat.update()
            for parameter in parameters:
                parameter.update_rule.t += 1
        self.call_hooks('post')
        self.update_loss_scale()

    def _one_rule_serves(self, parameters):
        """Whether all parameters have arrays of one kind, and rules that do the same without anything of their own."""
        if not parameters or len({id(p) for p in parameters}) < len(parameters):
            return False
        first = parameters[0]
        for p in parameters:
            rule = p.update_rule
            if (p.array is None or p.dtype != first.dtype or p.device != first.device or p._loss_scale is not None
                    or rule is None or type(rule) is not type(first.update_rule) or rule.t != first.update_rule.t
                    or not rule.enabled or rule._use_fp32_update
                    or rule._hookable._pre_update_hooks or rule._hookable._post_update_hooks
                    or rule.hyperparam.parent is not self.hyperparam or len(vars(rule.hyperparam)) > 1):
                return False
        return True

    def _is_laid_out(self, parameters):
        # arrays move when a link goes to another device, states when they are loaded, and both when all is deep-copied
        return (self._flat is not None and len(parameters) == len(self._views) and self._views[0].base is self._flat.array
                and all(p.array is view for p, view in zip(parameters, self._views))
                and all(p.update_rule.state[key] is view for p, views in zip(parameters, self._state_views)
                        for key, view in views.items()))

    def _lay_out(self, parameters):
        """Moves all parameters and their states into shared arrays, of which they keep views."""
        rules = [p.update_rule for p in parameters]
        for rule, parameter in zip(rules, parameters):
            rule._init_states(parameter)
        joined, self._views = _join([p.array for p in parameters])
        for parameter, view in zip(parameters, self._views):
            parameter.array = view
        self._flat = chainer.Parameter(joined)
        self._flat.grad, self._gradients = _join([self._flat.xp.zeros_like(view) for view in self._views])
        self._flat.update_rule = copy.copy(rules[0])
        self._flat.update_rule._state = {}
        self._state_views = [{} for _ in rules]
        for key in rules[0].state:
            joined, views = _join([rule.state[key] for rule in rules])
            self._flat.update_rule._state[key] = joined
            for rule, own, view in zip(rules, self._state_views, views):
                rule.state[key] = own[key] = view


def _join(arrays):
    """One array of one dimension holding all the given ones, and views of it in their places and shapes."""
    xp = chainer.backend.get_array_module(arrays[0])
    joined = xp.concatenate([a.ravel() for a in arrays])
    views, start = [], 0
    for a in arrays:
        views.append(joined[start:start + a.size].reshape(a.shape))
        start += a.size
    return joined, views


class Adam(_AtOnce, optimizers.Adam):
    """`chainer.optimizers.Adam`, all parameters at once (Kingma & Ba 2015)."""


class RMSprop(_AtOnce, optimizers.RMSprop):
    """`chainer.optimizers.RMSprop`, all parameters at once (Tieleman & Hinton 2012)."""
