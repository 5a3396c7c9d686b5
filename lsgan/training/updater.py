"""One step of adversarial training."""
import contextlib
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import chainer
import numpy
from chainer import backend, training
from chainer.types import NdArray

from lsgan import functions, links, random
from lsgan.functions.cpu import jit
from lsgan.functions.fused import on_gpu
from lsgan.functions.gpu import optimizers as gpu
from lsgan.functions.gpu.batches import joined as joined_on_gpu
from lsgan.functions.gpu.graph import Graph
from lsgan.functions.gpu.history import History, gathered
from lsgan.functions.gpu.scalar import Scalar
from lsgan.functions.optimizers import average
from lsgan.functions.replay import Recorded, Replayable
from lsgan.losses import Loss
from lsgan.penalties import GradientPenalty

_BATCH = 128        # of what the statistics of averaged weights are computed from


@contextlib.contextmanager
def frozen(link: chainer.Link) -> Iterator[None]:
    """Do not compute gradients for the parameters of `link` inside this context.

    Gradients with respect to its inputs are still computed.
    """
    parameters = [p for p in link.params() if p.requires_grad]
    for p in parameters:
        p._requires_grad = p.node._requires_grad = False
    try:
        yield
    finally:
        for p in parameters:
            p._requires_grad = p.node._requires_grad = True


class Average:
    """An exponential moving average (EMA) of a link's weights, held in a copy of the link.

    After t updates, the decay is the smaller of `decay` and (1 + t) / (10 + t), so the average soon forgets the start.

    Args:
        link: the link whose weights are averaged.
        decay: weight of the past at each update, 0 to 1. With 0 the copy equals the link.
        inputs: inputs of the link, of shape (N, ...) and on its device, for batch-normalisation statistics.
    """

    def __init__(self, link: chainer.Link, decay: float, inputs: NdArray):
        self.link, self.decay, self.inputs = link, decay, inputs
        self._averaged = link.copy(mode='copy')
        self._weights = list(zip(link.params(), self._averaged.params()))
        self._count: Any = None     # a Scalar, on a GPU only
        self.updates = 0
        self._settled: int | None = 0       # before the first update, the copy has the link's own statistics

    def update(self) -> None:
        own, averages = ([pair[i].array for pair in self._weights] for i in range(2))
        if on_gpu(own) and gpu.serves(own):
            self.prepare()
            gpu.average(averages, own, self._count, self.decay)
            self.count_update()
            return
        self.updates += 1
        average(averages, own, keep=min(self.decay, (1 + self.updates) / (10 + self.updates)))

    def prepare(self) -> None:
        """Bring the number of updates in device memory up to date."""
        if self._count is None:
            self._count = Scalar(self.updates)
        self._count.value = self.updates

    def count_update(self) -> None:
        """Count an update that the device has made."""
        self.updates += 1
        self._count.count()

    def averaged(self) -> chainer.Link:
        """Return the averaged link with batch-normalisation statistics recomputed from `inputs`.

        Averaging the running statistics would be wrong (Izmailov et al. 2018, section 3.2).
        """
        if self._settled != self.updates:
            norms = _norms(self._averaged)
            with chainer.using_config('train', True), chainer.no_backprop_mode():
                for i in range(0, len(self.inputs) if norms else 0, _BATCH):
                    batch = self.inputs[i:i + _BATCH]
                    for norm in norms:
                        norm.decay = i / (i + len(batch))       # makes the running mean the mean over all batches
                    self._averaged(batch)
            self._settled = self.updates
        return self._averaged

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        self.updates, self._settled = int(serializer('updates', self.updates)), None
        self._averaged.serialize(serializer['averaged'])


@functools.cache
def _is_known(kind):
    """Return whether a class is part of this package or of Chainer."""
    return kind.__module__.startswith(('lsgan.', 'chainer.'))


def _norms(network):
    """Return the links of a network that normalise over a batch."""
    return [link for link in network.links() if hasattr(link, 'avg_mean')]


class InstanceNoise:
    """Instance noise: Gaussian noise on the real and the generated examples that D sees (Sønderby et al. 2017).

    Args:
        sigma: current standard deviation; a schedule may lower it.
        end: standard deviation at or below which no noise is added.
        stream: source of the noise.
    """

    def __init__(self, sigma: float, end: float, stream: random.Stream):
        self.sigma, self.end, self.stream = sigma, end, stream
        self._scalar: Any = None    # a Scalar, on a GPU only

    @property
    def active(self) -> bool:
        """Whether noise is added."""
        return self.sigma > self.end

    def prepare(self) -> None:
        """Bring the standard deviation in device memory up to date."""
        if self._scalar is None:
            self._scalar = Scalar(self.sigma)
        self._scalar.value = self.sigma

    def __call__(self, x: NdArray | chainer.Variable) -> NdArray | chainer.Variable:
        """Return x, an array or a Variable, with noise added. Gradients pass through unchanged."""
        if not self.active:
            return x
        return _AddNoise(self).apply((x,))[0] if isinstance(x, chainer.Variable) else self.joined([x])

    def joined(self, arrays: Sequence[NdArray]) -> NdArray:
        """Return arrays with noise added, concatenated along the first axis."""
        if not self.active:
            return joined(arrays)
        if self.stream.device.xp is numpy:
            return self.stream.add_normal(arrays, self.sigma)
        self.prepare()
        return self.stream.add_normal(arrays, self._scalar)


class _AddNoise(Replayable):

    def __init__(self, noise):
        self.noise = noise

    def forward(self, inputs):
        return self.noise.joined(inputs),

    def backward(self, indexes, grad_outputs):
        return grad_outputs

    def backward_arrays(self, indexes, inputs, gy):
        return [gy]


def joined(arrays: Sequence[NdArray]) -> NdArray:
    """Return arrays of one device, concatenated along the first axis."""
    if len(arrays) == 1:
        return arrays[0]
    return joined_on_gpu(arrays) if on_gpu(arrays) else backend.get_array_module(*arrays).concatenate(arrays)


class GANUpdater(training.updaters.StandardUpdater):
    """Updater of a GAN. In one iteration, D takes `n_critic` steps, each on a new batch, and then G takes one step.

    It reports `gen/loss`, `dis/loss` and the means of D's outputs, `dis/real` and `dis/fake`, as scalars on the device. With a
    gradient penalty it also reports `dis/penalty`, without the weight; `dis/loss` does not include it. The values of D are
    those of its last step.

    Args:
        iterator: yields batches, as arrays on the device or as lists of examples.
        optimizers: the optimizers `generator` and `discriminator`, each set up with its link.
        loss: object with the methods `discriminator(real, fake)` and `generator(fake)`; see `lsgan.losses`.
        latent: source of latents.
        n_critic: steps of D for each step of G.
        noise: noise on the inputs of D, or None.
        average: moving average of the generator's weights, or None.
        split: whether each step of D is two optimizer steps: one on the loss of real data, then one on the loss of generated
            data.
        graph: whether an update is recorded once and then replayed, on a GPU as a CUDA graph. This computes the same
            numbers. On a CPU, networks with links of other packages are not replayed, nor are functions or links with hooks.
        penalty: gradient penalty, or None. It is computed where D sees the examples, after instance noise. In a split step, it
            belongs to the loss on real data. On a CPU it is never replayed.
    """

    def __init__(self, iterator: chainer.dataset.Iterator, optimizers: Mapping[str, chainer.GradientMethod], loss: Loss,
                 latent: random.Latent, n_critic: int = 1, noise: InstanceNoise | None = None, average: Average | None = None,
                 split: bool = False, graph: bool = True, penalty: GradientPenalty | None = None):
        super().__init__(iterator, optimizers)
        self.loss, self.latent, self.n_critic, self.noise, self.average = loss, latent, n_critic, noise, average
        self.split, self.graph, self.penalty = split, graph, penalty
        self._graph = None
        self._samples = Recorded(lambda z: [self.generator(z)])
        self._loss_d, self._loss_g = Recorded(self._compute_loss_d), Recorded(self._compute_loss_g)
        self._penalty = Recorded(self._compute_penalty)
        self._history = History()
        self._warm = False
        self.timed, self.seconds = 0, 0.0    # number of timed updates and their duration, without evaluation and drawing

    @property
    def generator(self) -> chainer.Link:
        return self.get_optimizer('generator').target

    @property
    def discriminator(self) -> chainer.Link:
        return self.get_optimizer('discriminator').target

    def sampler(self) -> chainer.Link:
        """Return the generator that samples are drawn from: the averaged one if there is one."""
        return self.average.averaged() if self.average else self.generator

    def update(self) -> None:
        start = time.perf_counter()
        super().update()
        if self._warm:
            self.timed += 1
            self.seconds += time.perf_counter() - start
        self._warm = True   # the first update of a process compiles and allocates

    def finish(self) -> None:
        """Wait until the device has finished all updates, and count the wait as time of the updates."""
        if self.generator.xp is not numpy:
            start = time.perf_counter()
            self.generator.xp.cuda.get_current_stream().synchronize()
            self.seconds += time.perf_counter() - start

    def update_core(self) -> None:
        if self.generator.xp is numpy:
            chainer.report(self.take_steps())
        else:
            self._update_on_gpu()

    def _update_on_gpu(self):
        key = self._graph_key() if self._graph else None
        if self.graph and (self._graph and self._graph.replays(key) or self._can_be_captured()):
            self._graph = self._graph or Graph(self._gather_reports)
            noise = self.noise if self.noise and self.noise.active else None
            optimizers = self.get_all_optimizers()
            for part in (*optimizers.values(), noise, self.average):
                if part:
                    part.prepare()
            (names, values), replayed = self._graph(key or self._graph_key())
            if replayed:
                self.get_iterator('main').count_batches(self.n_critic)
                optimizers['generator'].count_steps(1)
                optimizers['discriminator'].count_steps(self.n_critic * (1 + self.split))
                if self.average:
                    self.average.count_update()
        else:
            names, values = self._gather_reports()
        chainer.report(dict(zip(names, self._history.add(values))))

    def _graph_key(self):
        """Return what a captured update depends on and may change: addresses of parameters, hooks, settings."""
        config = chainer.config
        return (bool(self.noise and self.noise.active), self.n_critic, self.penalty and self.penalty.weight, config.fast,
                config.tf32, config.cudnn_deterministic,
                [optimizer.arrangement() for optimizer in self.get_all_optimizers().values()])

    def _can_be_captured(self):
        """Return whether everything that changes from update to update is in device memory."""
        # Ask the type, because a wrapper such as ChainerMN's optimizer passes attributes of the wrapped one on.
        return (chainer.config.fast and getattr(self.get_iterator('main'), 'on_device', False)
                and not any(getattr(norm, 'communicator', None)
                            for network in (self.generator, self.discriminator) for norm in _norms(network))
                and all(hasattr(type(optimizer), 'fits_one_launch') and optimizer.fits_one_launch()
                        for optimizer in self.get_all_optimizers().values()))

    def _gather_reports(self):
        """Take the steps of both networks. Return the names and the values to report."""
        reporter, observation = chainer.Reporter(), {}
        with reporter.scope(observation):       # optimizer hooks report, too
            reported = {**self.take_steps(), **observation}
        return list(reported), gathered(list(reported.values()))

    def take_steps(self) -> dict[str, NdArray]:
        """Take the steps of both networks. Return the values to report, a dict of scalars on the device."""
        for _ in range(self.n_critic):
            n, reported = self.step_discriminator()
        loss = self.backward_generator(n)
        self.get_optimizer('generator').update()
        if self.average:
            self.average.update()
        return {'gen/loss': loss, **reported}

    def step_discriminator(self) -> tuple[int, dict[str, NdArray]]:
        """Take one step of D on a new batch. Return the batch size and the values to report, a dict."""
        real = self.get_iterator('main').next()
        if isinstance(real, list):      # Chainer's own iterators yield lists of examples
            real = self.converter(real, self.generator.device)
        key = self._recording_key()
        with chainer.no_backprop_mode():
            fake, = self._samples((), [self.latent(len(real))], key).outputs
        reported = dict[str, NdArray]()
        join = self.noise.joined if self.noise else joined
        seen = [join([real]), join([fake])] if self.split or not self._joins() else [join([real, fake])]
        for names, inputs in zip([('real',), ('fake',)], zip(seen)) if self.split else [(('real', 'fake'), seen)]:
            with chainer.using_config('batches', len(names) // len(inputs)):    # in backward, F.forget computes layers again
                computed = self._loss_d((names,), inputs, key)
                computed.backward(self.discriminator)
            loss, *outputs = computed.outputs
            reported['dis/loss'] = reported['dis/loss'] + loss if reported else loss
            if self.penalty and 'real' in names:
                batches = seen if len(seen) == 2 else [seen[0][:len(real)], seen[0][len(real):]]
                reported['dis/penalty'] = self._add_penalty(batches)
            self.get_optimizer('discriminator').update()
            reported.update({f'dis/{name}': mean for name, mean in zip(names, functions.each_mean(outputs))})
        return len(real), reported

    def _compute_loss_d(self, names, *inputs):
        """Return D's loss and its output for each batch, from one forward pass or from one for each batch."""
        if len(inputs) < len(names):
            outputs = functions.split(self.discriminator(*inputs), len(names))
        else:
            outputs = [self.discriminator(x) for x in inputs]
        return self.loss.discriminator(**dict(zip(names, outputs))), *outputs

    def _compute_penalty(self, real, fake):
        return self.penalty(self.discriminator, real, fake)

    def _add_penalty(self, batches):
        """Add the gradients of the penalty to those of D's parameters. Return the penalty without its weight, an array."""
        computed = self._penalty((), batches, None)
        computed.backward(None)
        return computed.outputs[1]

    def backward_generator(self, n: int) -> NdArray:
        """Set the gradients of G's parameters from its loss on n new samples. Return the loss, an array."""
        noisy = bool(self.noise and self.noise.active)
        with frozen(self.discriminator):
            computed = self._loss_g((noisy,), [self.latent(n)], self._recording_key())
            computed.backward(self.generator)
        return computed.outputs[0]

    def _compute_loss_g(self, noisy, latents):
        fake = self.generator(latents)
        return [self.loss.generator(self.discriminator(self.noise(fake) if noisy else fake))]

    def _recording_key(self):
        """Return what recorded passes on the CPU depend on and may change, or None if that is not known."""
        if not self.graph or self.generator.xp is not numpy or chainer.is_debug() or chainer.get_function_hooks():
            return None
        for network in (self.generator, self.discriminator):
            for link in network.links():
                if link._n_local_link_hooks or not _is_known(type(link)):
                    return None
        return (self.loss, *vars(self.loss).values()) if _is_known(type(self.loss)) else None

    def _joins(self):
        """Return whether D can process the real and the generated batch in one forward pass.

        It can if every batch-normalisation layer keeps the statistics of the two batches separate.
        """
        norms = _norms(self.discriminator)
        # Only our batch normalisation can do it without splitting and joining at each layer.
        ours = chainer.config.fast and (jit.AVAILABLE or self.generator.xp is not numpy)
        return not norms or ours and all(isinstance(link, links.BatchNormalization) and link.communicator is None
                                    for link in norms)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        super().serialize(serializer)
        if self.average:
            self.average.serialize(serializer['average'])
        self._serialize_streams(serializer)

    def _serialize_streams(self, serializer):
        self.latent.serialize(serializer['latent'])
        if self.noise:
            self.noise.stream.serialize(serializer['noise'])
        if self.penalty:
            self.penalty.stream.serialize(serializer['penalty'])
        random.serialize_global(serializer['numpy'])    # dropout draws from it

    def serialize_randomness(self, serializer: chainer.AbstractSerializer) -> None:
        """Save or restore the states of all random streams: all that differs between the processes of a parallel run."""
        self._serialize_streams(serializer)
        self.get_iterator('main').stream.serialize(serializer['data'])
