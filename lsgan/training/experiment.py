"""What a training script describes, and how it is sampled from."""
import dataclasses
from collections.abc import Callable

import chainer

from lsgan.random import Latent, Stream

_BATCH = 500        # samples that are made together


@dataclasses.dataclass
class Experiment:
    """What a script adds to the training that all share.

    Attributes:
        generator, discriminator (chainer.Link): on the CPU, initialized.
        latent_size (int), latent_distribution (str): see `lsgan.random.Latent`.
        data: what training draws from; see `lsgan.datasets.iterator.SampleIterator`.
        samples (int): how many samples the metrics are made of.
        shown (int): how many of them, from the first, the pictures show.
        evaluate (callable): from that many samples, a NumPy array (N, ...), to a dict of numbers.
        draw (callable): takes such samples, a path or file, and a title; writes a PNG.
        show (dict): the metrics that progress shows, and what it calls them.
        figures (dict): name of each picture of samples that a finished run gets, and a callable like `draw`; it raises
            `InputError` where there can be no such picture.
        blas_threads (int): threads for matrix products, or None for as many as there are.
        prepare (callable): does, before a training begins, what it needs and pictures of samples do not; returns what the run
            folder is to say of it, a dict from file name to text.
        remark (callable): returns what whoever reads the metrics has to know of the data, a line, or nothing: a str.
        fingerprint (callable): tells the data from any others, a text; a run is not resumed with others.
    """

    generator: chainer.Link
    discriminator: chainer.Link
    latent_size: int
    latent_distribution: str
    data: object
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

    def latents(self, seed, device, n, purpose='samples'):
        """The first n latents that metrics and pictures are made of, or others of another purpose, the same for the same seed:
        shape (n, latent_size)."""
        latent = Latent(self.latent_size, self.latent_distribution, Stream(seed, purpose))
        return device.send(latent.draw(n))      # drawn on the CPU, so that all devices have the same

    def sample(self, generator, seed, device, n):
        """The generator's samples of these latents: a NumPy array (n, ...)."""
        return generate(generator, self.latents(seed, device, n))


def generate(generator, z):
    """The samples of a generator in test mode from latents z, a batch at a time: a NumPy array."""
    with chainer.no_backprop_mode(), chainer.using_config('train', False):
        batches = [generator(z[i:i + _BATCH]).array for i in range(0, len(z), _BATCH)]
    return chainer.get_device('@numpy').send(generator.xp.concatenate(batches))


def tell(metrics):
    """Yields a line for each of the metrics, a dict of numbers."""
    for name, value in metrics.items():
        yield f'  {name:<28} ' + (f'{value:.4f}' if isinstance(value, float) and value < 1000 else f'{value:,.0f}')
