"""Measure what a gradient penalty costs, and print the table of README.md.

    OMP_NUM_THREADS=1 python results/penalties/cost.py

The networks, losses and batches are those of the scripts' default presets. Each number is processor time of one thread in
milliseconds per update, the median of five rounds in which all penalties take turns. Other programs on the machine affect
processor time less than they affect elapsed time.
"""
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from lsgan import functions, losses  # lsgan goes before chainer  # noqa: E402

# isort: split
import chainer  # noqa: E402
import numpy  # noqa: E402
import threadpoolctl  # noqa: E402

from lsgan.penalties import PENALTIES, GradientPenalty  # noqa: E402
from lsgan.random import Latent, Stream  # noqa: E402
from lsgan.training import sweep  # noqa: E402
from lsgan.training.updater import GANUpdater, InstanceNoise  # noqa: E402

# title: (script, flags, shape of an example, number of updates in a round)
CASES = {'Gaussian': ('train_gaussian', '', (2,), 200),
         'MNIST': ('train_mnist', '', (1, 28, 28), 4),
         'MNIST, --norm g': ('train_mnist', '--norm g', (1, 28, 28), 4),
         'anime 64x64': ('train_anime', '--images .', (3, 64, 64), 1),
         'anime 64x64, --norm-d none': ('train_anime', '--images . --norm-d none', (3, 64, 64), 1)}
ROUNDS = 5


class Repeat:
    """An iterator that always yields the same batch."""

    def __init__(self, batch):
        self.batch = batch

    def next(self):
        return self.batch


def make_updater(script, flags, shape, kind):
    """Return the updater of a script on random examples of the given shape, with a penalty of this kind, or None."""
    sys.argv = [f'{script}.py']
    settings = sweep.settings(HERE.parent.parent / f'{script}.py', flags.split())
    settings.update(image_size=[*shape[1:]], image_channels=shape[0])      # so that no images are read
    made = __import__(script).build(settings)
    optimizers = {name: functions.Adam(settings[f'lr_{name[0]}'], settings['beta1'], settings['beta2']).setup(link)
                  for name, link in (('generator', made.generator), ('discriminator', made.discriminator))}
    real = Stream(0, 'real').uniform((settings['batchsize'], *shape))
    penalty = kind and GradientPenalty(*PENALTIES[kind], Stream(0, 'penalty'))
    return GANUpdater({'main': Repeat(real)}, optimizers, losses.LeastSquares(),
                      Latent(made.latent_size, made.latent_distribution, Stream(0, 'latent')),
                      noise=InstanceNoise(settings['noise'], 0.0, Stream(0, 'noise')), penalty=penalty)


def main():
    chainer.global_config.cpu_threads = 1
    kinds = [None, *PENALTIES]
    print('| networks |', ' | '.join(kind or 'none' for kind in kinds), '|')
    print('|---|' + '--:|' * len(kinds))
    with threadpoolctl.threadpool_limits(1):
        for title, (script, flags, shape, updates) in CASES.items():
            numpy.random.seed(0)
            updaters, seconds = [make_updater(script, flags, shape, kind) for kind in kinds], {kind: [] for kind in kinds}
            for _ in range(1 + ROUNDS):
                for kind, updater in zip(kinds, updaters):
                    start = time.process_time()
                    for _ in range(updates):
                        updater.update_core()
                    seconds[kind].append((time.process_time() - start) / updates)
            none, *others = [1e3 * statistics.median(each[1:]) for each in seconds.values()]      # the first round compiles
            cells = [f'{none:.1f}', *(f'{each:.1f} (×{each / none:.2f})' for each in others)]
            print('|', ' | '.join([title, *cells]), '|', flush=True)


if __name__ == '__main__':
    main()
