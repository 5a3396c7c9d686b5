"""Have D and G memorised the training images? Print one table row for each run.

    python results/mnist/byheart.py RUN ...             RUN: run folders of train_mnist.py; the newest snapshot of each is used

The first three numbers are D's mean output on training images, on test images (which it never saw) and on samples of G. They
use 10,000 images, or all if there are fewer. The last three are distances to the nearest training image, as
`nearest_distance` in metrics.json: the mean and the smallest distance of 2,000 samples, and the mean distance of test images
of the same classes. The judge assigns the classes. They matter because images of some digits are nearer to each other.
"""
import argparse
import pathlib
import sys

import numpy

from lsgan.datasets import mnist
from lsgan.datasets.images import scaled, to_bytes
from lsgan.errors import InputError
from lsgan.metrics.nearest import nearest
from lsgan.networks.judge import load_judge
from lsgan.training import snapshot
from lsgan.training.experiment import generate
from lsgan.training.flags import OneLineParser
from lsgan.training.folder import RunFolder
from lsgan.training.run import guarded

ROOT, IMAGES, SEARCHED = pathlib.Path(__file__).resolve().parent.parent.parent, 10000, 2000


def learnt(path):
    """Return two lists: D's mean outputs, and distances to the nearest training image.

    Args:
        path (pathlib.Path): run folder of train_mnist.py.

    Returns:
        tuple: D's mean outputs on training images, test images and samples; then the mean and the smallest distance of
        samples, and the mean distance of test images of the same classes, in grey levels (0 to 255) of all pixels together.

    Raises:
        InputError: if the run is not of train_mnist.py, or not on images of 28x28 pixels with test images.
    """
    folder = RunFolder(path, ROOT)
    if folder.settings['experiment'] != 'mnist':
        raise InputError(f'{path}: this is a run of train_{folder.settings["experiment"]}.py; give a run of train_mnist.py')
    data = mnist.load(folder.settings['data'])
    if data.test is None or data.test.shape[1:] != (28, 28):
        raise InputError(f'{path}: this run was not trained on images of 28x28 pixels with test images; give one that was')
    networks = {'generator': folder.experiment.generator, 'discriminator': folder.experiment.discriminator}
    snapshot.load_networks(path, networks)
    real = [scaled(images[:IMAGES, None]) for images in (data.train, data.test)]
    samples = generate(networks['generator'], folder.latents(IMAGES))
    given = [generate(networks['discriminator'], images).mean() for images in (*real, samples)]

    judge = load_judge()

    def look(images):
        some = images[:SEARCHED]
        return judge.look(some)[1].argmax(axis=1), nearest(to_bytes(some), data.train[:, None])[1]

    (classes, far), (of_test, test_far) = look(samples), look(real[1])
    means = {c: test_far[of_test == c].mean() for c in set(of_test)}
    return given, [far.mean(), far.min(), numpy.mean([means.get(c, numpy.nan) for c in classes])]


def main():
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN', help='one or more run folders of train_mnist.py')

    def act():
        lines = []
        for path in parser.parse_args().runs:
            given, far = learnt(path)
            lines.append(' | '.join([path.name, *(f'{mean:.3f}' for mean in given), *(f'{value:,.0f}' for value in far)]))
        print('| run | D on training images | test images | samples | nearest to samples, mean | least | to test images |',
              '|---|--:|--:|--:|--:|--:|--:|', sep='\n')
        print(*(f'| {line} |' for line in lines), sep='\n')
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
