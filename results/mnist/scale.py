"""Print how well the judge reads the test images, and the Fréchet distances of images with known defects.

    python results/mnist/scale.py                       use MNIST, and download it if it is missing
    python results/mnist/scale.py --data DIR            use digits in MNIST's file format
"""
import argparse
import sys

import numpy as np
from judge import load_digits

from lsgan.datasets.images import scaled
from lsgan.metrics.classes import class_shares, class_statistics
from lsgan.metrics.frechet import frechet_distance
from lsgan.networks.judge import load_judge
from lsgan.training import flags
from lsgan.training.run import guarded


def blurred(images):
    """Return images in which each pixel is the mean of 2 x 2 pixels; the last row and column do not change.

    Args:
        images: float array of shape (N, 1, H, W).
    """
    means = images.copy()
    means[..., :-1, :-1] = (images[..., :-1, :-1] + images[..., 1:, :-1] + images[..., :-1, 1:] + images[..., 1:, 1:]) / 4
    return means


def tell(path):
    """Print all numbers for the images in folder `path`, or for MNIST if `path` is None."""
    judge, data, rng = load_judge(), load_digits(path), np.random.default_rng(0)
    test, train = scaled(data.test[:, None]), scaled(data.train[:, None])
    n = min(10000, len(train) // 2)
    seen, probabilities = judge.look(test)
    statistics = class_statistics(probabilities, class_shares(probabilities))
    print(f'test images: {(probabilities.argmax(axis=1) == data.test_labels).mean():.2%} read as labelled, '
          f'{statistics["confident"]:.3f} confident; {judge.count_params():,} weights')

    def noisy(sigma):
        return np.clip(test + sigma * rng.standard_normal(test.shape, np.float32), -1, 1)

    print('\n| what | Fréchet distance to the test images |\n|---|--:|')
    for name, images in [(f'the first {n:,} training images: the floor', train[:n]),
                         ('test images, blurred by 2 x 2', blurred(test)),
                         ('training images without the threes', train[data.train_labels != 3][:n]),
                         ('test images with Gaussian noise of 0.1 (pixels go from -1 to 1)', noisy(0.1)),
                         ('pixelwise means of two training images each', (train[:n] + train[n:2 * n]) / 2),
                         ('test images with Gaussian noise of 0.3', noisy(0.3)),
                         ('uniform noise', rng.uniform(-1, 1, test.shape).astype(np.float32))]:
        print(f'| {name} | {frechet_distance(judge.look(images)[0], seen):.3g} |')


def main():
    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=flags.path, metavar='DIR',
                        help='folder with the four idx files of images and labels (default: MNIST, downloaded if missing)')

    def act():
        tell(parser.parse_args().data)
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
