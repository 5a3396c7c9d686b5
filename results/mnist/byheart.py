"""Has D learnt the training images by heart? Prints what it gives them, test images, which it never saw, and samples of G.

    python results/mnist/byheart.py RUN ...             RUN: folders of train_mnist.py; of each the newest snapshot

Each number is the mean of D's outputs for 10,000 images, or all that there are.
"""
import argparse
import pathlib
import sys

from lsgan.datasets import mnist
from lsgan.datasets.images import scaled
from lsgan.errors import InputError
from lsgan.training import snapshot
from lsgan.training.experiment import generate
from lsgan.training.flags import OneLineParser
from lsgan.training.folder import RunFolder
from lsgan.training.run import guarded

ROOT, IMAGES = pathlib.Path(__file__).resolve().parent.parent.parent, 10000


def outputs(path):
    """D's mean outputs for training images, for test images, and for samples."""
    folder = RunFolder(path, ROOT)
    if folder.settings['experiment'] != 'mnist':
        raise InputError(f'{path}: a run of train_{folder.settings["experiment"]}.py; one of train_mnist.py is needed')
    data = mnist.load(folder.settings['data'])
    if data.test is None:
        raise InputError(f'{path}: trained on images that have no test images beside them')
    networks = {'generator': folder.experiment.generator, 'discriminator': folder.experiment.discriminator}
    snapshot.load_networks(path, networks)
    real = [scaled(images[:IMAGES, None]) for images in (data.train, data.test)]
    samples = generate(networks['generator'], folder.latents(IMAGES))
    return [generate(networks['discriminator'], images).mean() for images in (*real, samples)]


def main():
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=pathlib.Path, metavar='RUN', help='run folders')

    def act():
        lines = [' | '.join([path.name, *(f'{mean:.3f}' for mean in outputs(path))]) for path in parser.parse_args().runs]
        print('| run | D on training images | on test images | on samples |', '|---|--:|--:|--:|', sep='\n')
        print(*(f'| {line} |' for line in lines), sep='\n')
        return 0
    return guarded(parser.prog, act)


if __name__ == '__main__':
    sys.exit(main())
