"""Make 10 updates on the processes that mpiexec has started, each on its part of given batches; save the state of rank 0.

    mpiexec -n 2 python tests/parallel_updates.py FILE.npz [CASE] [DEVICE] [COMMUNICATOR]
"""
import re
import sys
import warnings

import lsgan  # noqa: F401  goes before chainer

# isort: split
import chainer
import numpy as np

from lsgan.functions import Adam
from lsgan.functions.optimizers import ClipWeights, GradientNorm, MeanGradient, RMSprop
from lsgan.links import BatchNormalization
from lsgan.losses import LeastSquares, Wasserstein
from lsgan.networks.gaussian import Perceptron
from lsgan.networks.image import Discriminator, Generator
from lsgan.penalties import GradientPenalty, r1
from lsgan.training import parallel
from lsgan.training.devices import select_device
from lsgan.training.updater import Average, GANUpdater

BATCH, UPDATES = 8, 10


class Parts:
    """The part of each array that belongs to this process. It serves as an iterator and as a source of latents."""

    on_device, stream = True, None

    def __init__(self, arrays, processes, device):
        n = BATCH // processes.size
        part = slice(processes.rank * n, (processes.rank + 1) * n)
        self.arrays = device.send(np.ascontiguousarray(arrays[:, part]))
        self.place = device.send(np.zeros((), int))

    def next(self):
        array = self.arrays.take(self.place, axis=0)        # on a GPU, a captured graph takes the next one
        self.place += 1
        return array

    def __call__(self, n):
        return self.next()

    def count_batches(self, n):
        pass


def normal(std):
    return chainer.initializers.Normal(std, rng=np.random.RandomState(5))


CASES = {
    'perceptron': lambda: (Perceptron([4, 16, 2], 'relu', normal(0.5)), Perceptron([2, 16, 1], 'relu', normal(0.5)), (2,)),
    'images': lambda: (Generator(4, [8, 6, 4, 4], (16, 16), 3, 'relu', 'channel', normal(0.2), upsample='resize'),
                       Discriminator([4, 4, 6, 8], (16, 16), 3, 'leaky_relu', 'but first', normal(0.2)),
                       (3, 16, 16)),
}


def main(path, case='perceptron', device='@numpy', communicator='auto'):
    case, *options = case.split('+')
    if communicator == 'pure_nccl':
        from stand_ins import nccl
        nccl.install()
    if 'cupy_on_cpu' in sys.modules:        # there, memory of GPUs is ordinary memory
        parallel._reads_gpu_memory = lambda: True
    processes = parallel.Parallel() if parallel.launched()[1] > 1 else parallel.Alone()
    device, _ = select_device(device, processes.local_rank)
    processes.connect({'communicator': communicator, 'sync_norm': 'sync' in options}, device)
    random = np.random.RandomState(1)
    generator, discriminator, shape = CASES[case]()
    critics = 2 if 'wgan' in options else 1
    real, latents = (random.randn(UPDATES * n, BATCH, *size).astype('f')
                     for n, size in ((critics, shape), (critics + 1, (4,))))
    optimizers = {}
    for name, link in ('generator', generator), ('discriminator', discriminator):
        link.to_device(device)
        optimizer = optimizers[name] = (RMSprop(1e-3) if 'wgan' in options else Adam(1e-3, 0.5)).setup(link)
        if processes.size > 1:
            optimizer.add_hook(MeanGradient(processes.averager))
        if 'wgan' in options:
            optimizer.add_hook(GradientNorm(name[:3]))
            optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(0.1))
    if 'wgan' in options:
        optimizers['discriminator'].add_hook(ClipWeights(0.3))
    average = Average(generator, 0.9, device.send(latents[:4].reshape(-1, 4)))
    for net in generator, discriminator:
        for link in net.links():
            if 'sync' in options and isinstance(link, BatchNormalization):
                link.communicator = processes.communicator
    loss = Wasserstein() if 'wgan' in options else LeastSquares()
    updater = GANUpdater({'main': Parts(real, processes, device)}, optimizers, loss, Parts(latents, processes, device),
                         critics, None, average, 'split' in options, 'graph' in options,
                         GradientPenalty(r1, 2.0, None) if 'penalty' in options else None)
    reported = []
    for _ in range(UPDATES):
        observation = {}
        reporter = chainer.Reporter()
        with reporter.scope(observation):
            updater.update_core()
        reported.append(processes.mean({key: float(value) for key, value in observation.items()}))
    if 'damaged' in options and processes.rank == 1:
        next(discriminator.params()).array[...] += 1e-6
    processes.require_equal_weights([generator, discriminator], UPDATES)
    if processes.rank:
        return
    state = {}
    for name, link in ('g', generator), ('d', discriminator), ('a', average.averaged()):
        serializer = chainer.serializers.DictionarySerializer()
        serializer.save(link)       # with the running statistics
        state.update({f'{name}/{key}': value for key, value in serializer.target.items()})
    if 'cupy_on_cpu' in sys.modules:
        state['graphs'] = sys.modules['cupy_on_cpu'].counts()['graphs']
    state.update({key: [entry[key] for entry in reported] for key in reported[0]})
    np.savez(path, **{key: chainer.get_device('@numpy').send(np.asarray(value) if isinstance(value, (int, list)) else value)
                      for key, value in state.items()})


def assert_equal(one, other):
    """Assert that two results are equal to float32 rounding.

    Biases before batch normalisation, and running means, which contain them, are left out. Their gradients are 0 except for
    rounding errors, which Adam turns into full steps. They do not affect the outputs.
    """
    with np.load(one) as one, np.load(other) as other:
        for key in set(one.files) - {'graphs'}:
            if not re.search('[ga]/(first|steps/[012])/b|d/steps/[123]/b|avg_mean', key):
                np.testing.assert_allclose(one[key], other[key], rtol=1e-5, atol=2e-6, err_msg=key)


if __name__ == '__main__':
    warnings.simplefilter('ignore')
    with chainer.using_config('tf32', False):
        main(*sys.argv[1:])
