"""The parameters of a network in one vector, so that a step of an optimizer is one kernel call."""
import operator
from collections.abc import Sequence

import chainer
import numpy as np

_ALIGNED = 16       # each array begins at a multiple of so many elements, 64 bytes in float32


def gradient_buffer(p: chainer.Parameter) -> np.ndarray | None:
    """Return the array where the gradient of a parameter is needed, or None if any array will do."""
    return getattr(p.update_rule, 'gradient', None)


class Flat:
    """Vectors that hold a network's parameters, their gradients and the states of their update rules.

    The arrays of the parameters and of the states become views of the vectors. A view for the gradient of each parameter is
    the attribute `gradient` of its update rule. Elements between the views are 0.

    Args:
        params: parameters with C-contiguous NumPy arrays of one type. They have update rules with initialised states.
        states: names of the arrays in the state of each update rule.

    Attributes:
        vectors (list of numpy.ndarray): parameters, gradients, and one vector for each state.
    """

    def __init__(self, params: Sequence[chainer.Parameter], states: Sequence[str]):
        starts = np.cumsum([0, *[-(-p.size // _ALIGNED) * _ALIGNED for p in params]])
        self.vectors = [np.zeros(starts[-1], params[0].dtype) for _ in range(2 + len(states))]
        self._parts = []
        for p, start in zip(params, starts):
            rule = p.update_rule
            array, rule.gradient, *views = [vector[start:start + p.size].reshape(p.shape) for vector in self.vectors]
            array[...] = p.array
            for name, view in zip(states, views):
                view[...] = rule.state[name]
                rule.state[name] = view
            p.array = array
            self._parts.append((p, rule, array, [*rule.state.values()]))

    def __reduce__(self):
        return type(None), ()       # a copy of the network has arrays of its own

    def holds(self, params: Sequence[chainer.Parameter]) -> bool:
        """Return whether these are still the parameters, and their arrays and states are still here."""
        return len(params) == len(self._parts) and all(
            p is own and p.update_rule is rule and p.raw_array is array and all(map(operator.is_, rule.state.values(), states))
            for p, (own, rule, array, states) in zip(params, self._parts))

    def fetch_gradients(self) -> None:
        """Copy gradients that are elsewhere."""
        for p, rule, _, _ in self._parts:
            if p._grad is not rule.gradient:
                rule.gradient[...] = p._grad
