"""The description of an experiment that a training script builds, and sampling from its generator."""
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import chainer
import numpy
from chainer.types import NdArray

from lsgan import console
from lsgan.random import Latent, Stream

_BATCH = 500        # samples generated at a time


@dataclasses.dataclass
class Experiment:
    """Everything that a training script adds to the training that all scripts share.

    Attributes:
        generator, discriminator (chainer.Link): the initialised networks, on the CPU.
        latent_size (int): dimension of a latent.
        latent_distribution (str): distribution of the latents, see `lsgan.random.Latent`.
        data: the data set, see `lsgan.datasets.iterator.DataSet`.
        samples (int): number of samples for the metrics.
        shown (int): number of samples in the sample pictures, the first ones of those for the metrics.
        evaluate (callable): takes `samples` samples, a NumPy array of shape (N, ...); returns the metrics, a dict of numbers.
        draw (callable): takes samples, a path or binary file, and a title; writes a PNG.
        show (dict): from the key of each metric that the progress bar shows to its short name there.
        figures (dict): from the name of each picture of samples that is drawn at the end to a callable like `draw`, which
            raises `InputError` if something is missing for the picture.
        blas_threads (int): largest number of threads for matrix products, or None for as many as there are.
        prepare (callable): takes nothing and checks the data before training; pictures of samples do not need it. It returns
            notes for the run folder, a dict from file names to texts.
        remark (callable): takes nothing; returns a line that a reader of the metrics has to know, or an empty str.
        fingerprint (callable): takes nothing; returns a str that is different for different data. A run is resumed with the
            same data only.
    """

    generator: chainer.Link
    discriminator: chainer.Link
    latent_size: int
    latent_distribution: str
    data: Any
    samples: int
    shown: int
    evaluate: Callable
    draw: Callable
    show: dict
    figures: dict
    blas_threads: int | None = None
    prepare: Callable = dict
    remark: Callable = str
    fingerprint: Callable = str

    def latents(self, seed: int, device: chainer.backend.Device, n: int, purpose: str = 'samples') -> NdArray:
        """Return the first n latents of the metrics and the pictures, or with another `purpose`, independent ones.

        Args:
            seed: random seed, which determines the latents.
            device: the device of the returned array. The latents are the same for every device.
            n: number of latents.
            purpose: name of the random stream.

        Returns:
            A float32 array of shape (n, latent_size), on the device.
        """
        latent = Latent(self.latent_size, self.latent_distribution, Stream(seed, purpose))
        return device.send(latent(n))      # drawn on the CPU, so that they do not depend on the device

    def sample(self, generator: chainer.Link, seed: int, device: chainer.backend.Device, n: int) -> numpy.ndarray:
        """Return the samples that a generator makes from the first n of these `latents`, a NumPy array of shape (n, ...)."""
        return generate(generator, self.latents(seed, device, n))


def generate(generator: chainer.Link, z: NdArray) -> numpy.ndarray:
    """Return samples of a generator in test mode. They are generated in batches, to save memory.

    A progress bar appears after two seconds.

    Args:
        generator: maps latents to samples.
        z: latents of shape (n, latent_size), on the generator's device.

    Returns:
        The samples, of shape (n, ...).
    """
    with chainer.no_backprop_mode(), chainer.using_config('train', False):
        batches = [generator(z[i:i + _BATCH]).array for i in console.progress(range(0, len(z), _BATCH))]
    return chainer.get_device('@numpy').send(generator.xp.concatenate(batches))


def number(value: float) -> str:
    """Return the text of a metric."""
    return f'{value:.4f}' if isinstance(value, float) and value < 1000 else f'{value:,.0f}'


def tell(metrics: Mapping[str, float]) -> Iterator[str]:
    """Yield a line of text for each of the metrics, a dict of numbers."""
    for name, value in metrics.items():
        yield f'  {name:<28} {number(value)}'
