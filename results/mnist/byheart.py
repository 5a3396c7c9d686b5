"""Have D and G learnt the training images by heart? Prints, for each run:

what D gives training images, test images, which it never saw, and samples of G: means of 10,000, or all that there are;
how far samples are from the nearest training image, as `nearest_distance` in metrics.json is, the mean and the least of 2,000,
and the mean that test images of the same classes have, by the judge: those of some digits are nearer to each other.

    python results/mnist/byheart.py RUN ...             RUN: folders of train_mnist.py; of each the newest snapshot
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
    """D's mean outputs for training images, test images and samples; and distances to the nearest training image: the mean
    and the least of samples, and the mean of test images in the same classes."""
    folder = RunFolder(path, ROOT)
    if folder.settings['experiment'] != 'mnist':
        raise InputError(f'{path}: a run of train_{folder.settings["experiment"]}.py; one of train_mnist.py is needed')
    data = mnist.load(folder.settings['data'])
    if data.test is None or data.test.shape[1:] != (28, 28):
        raise InputError(f'{path}: not trained on images of 28x28 pixels that have test images beside them')
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
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN', help='run folders')

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
