"""Prints what the judge says of the test images, and Fréchet distances of what is wrong with images in known ways.

    python results/mnist/scale.py
"""
import numpy as np

from lsgan.datasets import mnist
from lsgan.datasets.images import scaled
from lsgan.metrics.classes import class_shares, class_statistics
from lsgan.metrics.frechet import frechet_distance
from lsgan.networks.judge import load_judge

N = 10000


def blurred(images):
    """Each pixel the mean of 2 x 2; the last row and column stay."""
    means = images.copy()
    means[..., :-1, :-1] = (images[..., :-1, :-1] + images[..., 1:, :-1] + images[..., :-1, 1:] + images[..., 1:, 1:]) / 4
    return means


def main():
    judge, data, rng = load_judge(), mnist.load(), np.random.default_rng(0)
    test, train = scaled(data.test[:, None]), scaled(data.train[:, None])
    seen, probabilities = judge.look(test)
    statistics = class_statistics(probabilities, class_shares(probabilities))
    print(f'test images: {(probabilities.argmax(axis=1) == data.test_labels).mean():.2%} read as labelled, '
          f'{statistics["confident"]:.3f} confident; {judge.count_params():,} weights')

    def noisy(sigma):
        return np.clip(test + sigma * rng.standard_normal(test.shape, np.float32), -1, 1)

    print('\n| what | Fréchet distance to the test images |\n|---|--:|')
    for name, images in [('the first 10,000 training images: the floor', train[:N]),
                         ('test images, blurred by 2 x 2', blurred(test)),
                         ('training images without the threes', train[data.train_labels != 3][:N]),
                         ('test images with Gaussian noise of 0.1 (pixels go from -1 to 1)', noisy(0.1)),
                         ('pixelwise means of two training images each', (train[:N] + train[N:2 * N]) / 2),
                         ('test images with Gaussian noise of 0.3', noisy(0.3)),
                         ('uniform noise', rng.uniform(-1, 1, test.shape).astype(np.float32))]:
        print(f'| {name} | {frechet_distance(judge.look(images)[0], seen):.3g} |')


if __name__ == '__main__':
    main()
