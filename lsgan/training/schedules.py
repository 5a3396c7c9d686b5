"""Values that change through a run, each a function of the number of updates done."""
from chainer import training


class Schedule(training.Extension):
    """Sets an attribute before each update.

    It has no state, so that a run that is resumed with another length follows the schedule of that length.

    Args:
        target: object that has the attribute, such as an optimizer.
        attribute (str): its name.
        value (callable): from the number of updates done to the value for the next one.
    """

    trigger = 1, 'iteration'

    def __init__(self, target, attribute, value):
        self.target, self.attribute, self.value = target, attribute, value

    def initialize(self, trainer):
        self(trainer)

    def __call__(self, trainer):
        setattr(self.target, self.attribute, self.value(trainer.updater.iteration))


def linear(first, begin, end):
    """Return a schedule that is `first` up to update `begin` and then falls linearly to 0 at update `end`."""
    def value(t):
        if t <= begin:
            return first
        return 0.0 if t >= end else first - (t - begin) / (end - begin) * first
    return value


def geometric(first, last, updates):
    """Return a schedule that falls from `first` to `last` > 0 by a constant factor for each of `updates`, and then stays."""
    factor = (last / first) ** (1 / updates)
    return lambda t: max(first * factor ** t, last)


def steps(first, changes):
    """Return a schedule that is `first` times the newest factor.

    Args:
        first (float): value before any change.
        changes (sequence of pairs): number of updates from which a factor holds, rising, and the factor.
    """
    def value(t):
        return first * next((factor for begin, factor in reversed(changes) if t >= begin), 1)
    return value
