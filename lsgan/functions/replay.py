"""Functions that Chainer computes once and that are then replayed on the CPU without its graph of Variables.

Chainer checks the inputs of each function, wraps arrays in Variables and builds a graph for the backward pass. In a small
network, this takes longer than the arithmetic.
"""
import collections
import functools
import threading
from collections.abc import Mapping, Sequence

import chainer
import numpy
from chainer.types import NdArray

from lsgan.functions.flat import gradient_buffer

_MOST = 8       # recordings of a function
_local = threading.local()


class Replayable(chainer.FunctionNode):
    """A function that a `Recorded` function may consist of.

    Everything that `forward` keeps for the backward pass must be an attribute of the object. Subclasses define
    `backward_arrays`.

    Attributes:
        buffers: for positions of inputs, contiguous arrays into which `backward_arrays` may write the gradients.
    """

    buffers: Mapping[int, NdArray] = {}

    def apply(self, inputs: Sequence[NdArray | chainer.Variable]) -> tuple[chainer.Variable, ...]:
        recorder = getattr(_local, 'recorder', None)
        if recorder is None:
            return super().apply(inputs)
        state = vars(self).copy()
        outputs = super().apply(inputs)
        recorder.add(type(self), state, inputs, outputs)
        return outputs

    def backward_arrays(self, indexes: Sequence[int], inputs: Sequence[NdArray],
                        *gy: NdArray | None) -> Sequence[NdArray | None]:
        """Return the gradients with respect to some of the inputs.

        Args:
            indexes: positions of the inputs whose gradients are needed.
            inputs: all inputs.
            gy: the gradient with respect to each output, or None where it is zero.

        Returns:
            One gradient for each index.
        """
        raise NotImplementedError


class _Recorder:
    """The calls of replayable functions while a function runs. Arrays and parameters are numbered."""

    def __init__(self, arrays):
        self.calls, self.parameters, self.complete = [], {}, True
        self._numbers, self._kept = {}, []
        self.inputs = [self._number(x) for x in arrays]

    def _number(self, array):
        self._kept.append(array)        # as long as the array exists, no other one has the same id
        return self._numbers.setdefault(id(array), len(self._numbers))

    def add(self, function, state, inputs, outputs):
        numbers = []
        for x in inputs:
            array = x.array if isinstance(x, chainer.Variable) else x
            if isinstance(x, chainer.Parameter) and id(array) not in self._numbers:
                self.parameters[self._number(array)] = x
            self.complete = self.complete and id(array) in self._numbers
            numbers.append(self._number(array))
        # an array that was known before would be given the sum of two gradients
        self.complete = self.complete and not any(id(y.array) in self._numbers for y in outputs)
        self.calls.append((function, state, numbers, [self._number(y.array) for y in outputs]))

    def recording(self, outputs):
        """Return the `_Recording`, or None if the outputs also depend on something else than replayable functions."""
        if not self.complete or any(id(y.array) not in self._numbers for y in outputs):
            return None
        return _Recording(self, [self._number(y.array) for y in outputs])


class _Recording:
    """The calls that lead from a function's inputs to its outputs."""

    def __init__(self, recorder, outputs):
        self.inputs, self.outputs, self.parameters = recorder.inputs, outputs, recorder.parameters
        self.size = len(recorder._numbers)
        self.trained = {number: p for number, p in self.parameters.items() if p.requires_grad}
        self.link, self.calls, needed = None, [], set(self.trained)
        for function, state, inputs, made in recorder.calls:
            indexes = tuple(i for i, number in enumerate(inputs) if number in needed)
            if indexes:
                needed.update(made)
            self.calls.append((function, state, inputs, made, indexes))

    def prepare(self, link):
        """Prepare for backward passes to the parameters of a link."""
        self.link, trained = link, {id(p) for p in self.trained.values()}
        self.others = [p for p in link.params() if id(p) not in trained]
        # functions write gradients to where optimizers need them, except the parts of a sum of gradients
        used = collections.Counter(number for _, _, inputs, _, _ in self.calls for number in inputs)
        for _, state, inputs, _, indexes in self.calls:
            buffers = {i: gradient_buffer(self.trained[inputs[i]]) for i in indexes
                       if inputs[i] in self.trained and used[inputs[i]] == 1}
            state['buffers'] = {i: buffer for i, buffer in buffers.items() if buffer is not None}


class _Replay:
    """One call of a recorded function. `outputs` are its results, arrays."""

    def __init__(self, recording, arrays):
        self._recording = recording
        values = [None] * recording.size
        for number, p in recording.parameters.items():
            values[number] = p.array
        for number, array in zip(recording.inputs, arrays):
            values[number] = array
        self._nodes = []
        for function, state, inputs, made, _ in recording.calls:
            node = function.__new__(function)
            vars(node).update(state)
            known = tuple([values[number] for number in inputs])
            for number, y in zip(made, node.forward(known)):
                values[number] = y
            self._nodes.append((node, known))
        self.outputs = [values[number] for number in recording.outputs]

    def backward(self, link):
        recording = self._recording
        if recording.link is not link:
            recording.prepare(link)
        for p in recording.others:
            p.cleargrad()
        gradients = [None] * recording.size
        gradients[recording.outputs[0]] = numpy.ones((), self.outputs[0].dtype)
        for (node, known), (_, _, inputs, made, indexes) in zip(reversed(self._nodes), reversed(recording.calls)):
            gy = [gradients[number] for number in made]
            if not indexes or all(g is None for g in gy):
                continue
            for i, g in zip(indexes, node.backward_arrays(indexes, known, *gy)):
                number = inputs[i]
                gradients[number] = g if gradients[number] is None else gradients[number] + g
        for number, p in recording.trained.items():
            p._set_grad_without_check(gradients[number])


class _Call:
    """One call of a function by Chainer. `outputs` are its results, arrays."""

    def __init__(self, variables):
        self._variables = variables
        self.outputs = [y.array for y in variables]

    def backward(self, link):
        loss = self._variables[0]
        if link is not None:
            link.cleargrads()
        if loss.xp is not numpy:        # Chainer would fill a new array on the GPU each time
            loss.grad = _one_on_gpu(loss.device, loss.dtype)
        loss.backward()


@functools.cache
def _one_on_gpu(device, dtype):
    return device.xp.ones((), dtype)


class Recorded:
    """A function that is computed by Chainer the first time, and then replayed from what it did, with the same bits.

    A function can be replayed if all its results come from its inputs and from parameters by `Replayable` functions. Other
    functions are computed by Chainer every time, as are all functions on a GPU.

    Args:
        function (callable): takes arguments that select what to compute, and then arrays; returns a sequence of Variables.
    """

    def __init__(self, function):
        self.function, self._recordings = function, {}

    def __call__(self, selected, arrays, key=()):
        """Compute the function.

        Args:
            selected (tuple): the first arguments, hashable.
            arrays (sequence of array): the other arguments.
            key: all else on which the function depends and that can change, hashable, or None if that is not known and the
                function must not be replayed.

        Returns:
            object with `outputs`, a list of arrays, and `backward(link)`, which sets the gradients of a link's parameters from
            the first output, a scalar. Only these parameters require gradients. With None instead of a link, a function that
            is not replayed adds to the gradients that are there.
        """
        if key is None:
            return _Call(self.function(*selected, *arrays))
        config = chainer.config
        key = (key, selected, config.train, config.fast, config.enable_backprop, *[(x.shape, x.dtype.char) for x in arrays])
        recording = self._recordings.get(key)
        if recording:
            return _Replay(recording, arrays)
        if key in self._recordings:
            return _Call(self.function(*selected, *arrays))
        _local.recorder = recorder = _Recorder(arrays)
        try:
            variables = self.function(*selected, *arrays)
        finally:
            _local.recorder = None
        if len(self._recordings) == _MOST:      # something changes all the time
            self._recordings.clear()
        self._recordings[key] = recorder.recording(variables)
        return _Call(variables)
