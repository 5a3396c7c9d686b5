"""Test whether the measures rank images as expected: print a table of real faces, spoiled faces and samples of runs.

    python results/anime/sanity.py data/faces               a folder or archive of faces
    python results/anime/sanity.py data/faces RUN RUN       with a row for the newest generator of each run folder

Each row is compared with the same real faces. The rows of real and spoiled faces all use one set of other real faces.
"""
import pathlib
import sys

import numpy as np
from PIL import Image, ImageFilter

from lsgan.datasets import files
from lsgan.datasets.images import scaled, to_bytes
from lsgan.errors import InputError
from lsgan.training import flags
from lsgan.training.folder import RunFolder
from lsgan.training.run import guarded
from lsgan.training.traits import Traits

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SIDE, BLOCKS = 64, 4        # side of the images in pixels; blocks along a side of a shuffled image
DISTANCES = {'sliced_wasserstein': 'sliced Wasserstein', 'frechet_distance': 'Fréchet', 'chroma_distance': 'chroma distance'}
VALUES = 'precision', 'recall', 'chroma', 'near_black', 'near_white'


def noisy(images):
    """Return images (N, C, H, W) with Gaussian noise; its standard deviation is 0.05 for images in [-1, 1]."""
    return to_bytes(scaled(images) + np.random.default_rng(0).normal(0, 0.05, images.shape))


def exaggerated(images):
    """Return images with each pixel's deviation from grey multiplied by 1.5."""
    x = scaled(images)
    grey = x.mean(axis=1, keepdims=True)
    return to_bytes(grey + 1.5 * (x - grey))


def blurred(images):
    """Return images blurred by a Gaussian with a standard deviation of 2 pixels."""
    pictures = (Image.fromarray(image).filter(ImageFilter.GaussianBlur(2)) for image in images.transpose(0, 2, 3, 1))
    return np.stack([np.asarray(picture) for picture in pictures]).transpose(0, 3, 1, 2)


def shuffled(images):
    """Return images cut into 4 x 4 blocks, which are shuffled differently in each image."""
    n, c, h, w = images.shape
    draws, size = np.random.default_rng(0), (h // BLOCKS, w // BLOCKS)
    blocks = images.reshape(n, c, BLOCKS, size[0], BLOCKS, size[1]).transpose(0, 2, 4, 1, 3, 5).reshape(n, -1, c, *size)
    order = draws.permuted(np.tile(np.arange(BLOCKS ** 2), (n, 1)), axis=1)
    mixed = np.take_along_axis(blocks, order[:, :, None, None, None], axis=1)
    return mixed.reshape(n, BLOCKS, BLOCKS, c, *size).transpose(0, 3, 1, 4, 2, 5).reshape(images.shape)


def halved(images):
    """Return images with the right half of each replaced by that of the next image."""
    half = images.shape[3] // 2
    return np.concatenate([images[..., :half], np.roll(images, -1, axis=0)[..., half:]], axis=3)


def few(images):
    """Return as many images as given, but only the first twentieth of them, each 20 times."""
    return images[np.arange(len(images)) % max(1, len(images) // 20)]


SPOILT = {'real faces': lambda images: images, 'with noise of 0.05': noisy, 'with exaggerated colours': exaggerated,
          'halves of two faces': halved, 'upside down': lambda images: images[:, :, ::-1], 'blurred': blurred,
          'blocks shuffled': shuffled, 'a twentieth of the faces, repeated': few}


def table(path, runs, n):
    """Yield the lines of the table.

    Args:
        path (str): folder or archive of real faces, at least 2 * n of them.
        runs (iterable of str): run folders.
        n (int): number of images in each row.

    Raises:
        InputError: if there are too few faces, or a run has other images than 64 x 64 pixels in colour.
    """
    images = files.load([path], SIDE, 'white')[0]
    if len(images) < 2 * n:
        raise InputError(f'{path}: {len(images):,} images, but {2 * n:,} are needed. Add images, or pass a smaller -n')
    order = np.random.default_rng(0).permutation(len(images))
    real, others = Traits(images[order[:n]]), images[order[n:2 * n]]
    yield '| ' + ' | '.join([f'{n:,} images each', *DISTANCES.values(), *(name.replace('_', ' ') for name in VALUES)]) + ' |'
    yield '|---|' + '--:|' * (len(DISTANCES) + len(VALUES))

    def row(name, made):
        traits = Traits(made)
        numbers = traits.distances(real) | traits.values(real)
        return f'| {name} | ' + ' | '.join(f'{numbers[key]:.3g}' for key in [*DISTANCES, *VALUES]) + ' |'
    for name, spoil in SPOILT.items():
        yield row(name, spoil(others))
    for run in runs:
        folder = RunFolder(run, ROOT)
        settings = folder.settings
        if settings['experiment'] != 'anime' or (settings['size'], settings['image_channels']) != (SIDE, 3):
            raise InputError(f'{run}: not a run of train_anime.py on colour images of 64 x 64 pixels. Give another run')
        yield row(f'samples after {folder.newest[1]:,} updates', to_bytes(folder.generate(folder.latents(n))))


def main():
    parser = flags.OneLineParser(description=__doc__.partition('\n')[0])
    parser.add_argument('images', metavar='PATH', help='folder or archive of real faces')
    parser.add_argument('runs', nargs='*', metavar='RUN',
                        help='run folder of train_anime.py on colour images of 64 x 64 pixels; adds a row')
    parser.add_argument('-n', type=flags.at_least_two, default=2000, help='number of images in each row (default: 2000)')

    def act():
        args = parser.parse_args()
        for line in table(args.images, args.runs, args.n):
            print(line, flush=True)
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
