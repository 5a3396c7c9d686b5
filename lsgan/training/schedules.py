"""Schedules of learning rates and noise: values that depend on the number of updates done."""
from collections.abc import Callable, Sequence

from chainer import training


class Schedule(training.Extension):
    """An extension that sets an attribute of an object before each update.

    It has no state. Therefore a run that is resumed with another length follows the schedule for that length.

    Args:
        target: the object, such as an optimizer.
        attribute: name of the attribute.
        value: takes the number of updates done, and returns the value for the next update.
    """

    trigger = 1, 'iteration'

    def __init__(self, target: object, attribute: str, value: Callable[[int], float]):
        self.target, self.attribute, self.value = target, attribute, value

    def initialize(self, trainer: training.Trainer) -> None:
        self(trainer)

    def __call__(self, trainer: training.Trainer) -> None:
        setattr(self.target, self.attribute, self.value(trainer.updater.iteration))


def linear(first: float, begin: int, end: int) -> Callable[[int], float]:
    """Return a schedule that stays at `first` until update `begin` and then falls linearly to 0 at update `end`."""
    def value(t):
        if t <= begin:
            return first
        return 0.0 if t >= end else first - (t - begin) / (end - begin) * first
    return value


def geometric(first: float, last: float, updates: float) -> Callable[[int], float]:
    """Return a schedule that falls geometrically from `first` to `last` > 0 within `updates` updates, and then stays there."""
    factor = (last / first) ** (1 / updates)
    return lambda t: max(first * factor ** t, last)


def steps(first: float, changes: Sequence[tuple[float, float]]) -> Callable[[int], float]:
    """Return a piecewise constant schedule.

    Args:
        first: value before the first change.
        changes: number of updates, in increasing order, and the factor by which `first` is multiplied from there on.
    """
    def value(t):
        return first * next((factor for begin, factor in reversed(changes) if t >= begin), 1)
    return value
