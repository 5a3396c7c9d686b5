"""Chainer's optimizers, stepping all parameters at once.

Adam and RMSprop treat every number alike, so one call of Chainer's update rule on all parameters end to end does what a call
for each does, without the overhead that dominates in small networks. States stay visible under each parameter, so snapshots
are those of Chainer's own optimizers.
"""
import chainer
from chainer import optimizers


class _AtOnce:
    """Mixed into a `GradientMethod` whose rule is elementwise; falls back to it where parameters have rules of their own."""

    _flat = None

    def setup(self, link):
        self._flat = None
        return super().setup(link)

    def update(self, lossfun=None, *args, **kwds):
        if lossfun is not None:
            return super().update(lossfun, *args, **kwds)
        if not self._is_laid_out() and not self._lay_out():
            return super().update()
        self.reallocate_cleared_grads()
        self.check_nan_in_grads()
        self.call_hooks('pre')
        self.t += 1
        if self.is_safe_to_update():
            for parameter, gradient in zip(self._parameters, self._gradients):
                gradient[...] = parameter.grad
            self._flat.update_rule.t = self.t - 1
            self._flat.update()
            for rule in self._rules:
                rule.t += 1
        self.call_hooks('post')
        self.update_loss_scale()

    def _is_laid_out(self):
        # arrays move when a link goes to another device, states when they are loaded
        return (self._flat is not None
                and all(p.array is view for p, view in zip(self._parameters, self._views))
                and all(r.state[key] is view for r, views in zip(self._rules, self._state_views)
                        for key, view in views.items()))

    def _lay_out(self):
        """Moves all parameters and their states into shared arrays; False where one rule cannot serve them all."""
        parameters = [p for p in self.target.params() if p.array is not None]
        rules = [p.update_rule for p in parameters]
        plain = all(r is not None and r.enabled and r.t == self.t and not r._use_fp32_update
                    and not r._hookable._pre_update_hooks and not r._hookable._post_update_hooks for r in rules)
        if not parameters or not plain or len({(p.dtype, p.device) for p in parameters}) > 1:
            self._flat = None
            return False
        for rule, parameter in zip(rules, parameters):
            if rule.state is None:
                rule._state = {}
                rule.init_state(parameter)
        self._parameters, self._rules = parameters, rules
        flat, self._views = _join([p.array for p in parameters])
        for parameter, view in zip(parameters, self._views):
            parameter.array = view
        self._flat = chainer.Parameter(flat)
        self._flat.grad, self._gradients = _join([self._flat.xp.zeros_like(view) for view in self._views])
        self._flat.update_rule = self.create_update_rule()
        self._flat.update_rule._state = {}
        self._state_views = [{} for _ in rules]
        for key in rules[0].state:
            joined, views = _join([rule.state[key] for rule in rules])
            self._flat.update_rule._state[key] = joined
            for rule, own, view in zip(rules, self._state_views, views):
                rule.state[key] = own[key] = view
        return True


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
