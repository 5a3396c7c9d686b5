"""Train the judge of generated digits, lsgan/networks/judge.npz, in about five minutes on one core.

    python results/mnist/judge.py                       train on MNIST, and download it if it is missing
    python results/mnist/judge.py --data data/fashion --out fashion.npz     train on other 28x28 images in MNIST's file format

The seed determines the weights, apart from rounding differences between processors. The test images are evaluated after each
epoch, but nothing is chosen by them. The log goes to result/judge.
"""
import argparse
import pathlib
import sys
import time

import numpy
import threadpoolctl

from lsgan import functions  # lsgan goes before chainer

# isort: split
import chainer
import chainer.links as L
from chainer import datasets, iterators, training
from chainer.training import extensions

from lsgan.datasets import mnist
from lsgan.datasets.images import scaled
from lsgan.errors import InputError
from lsgan.metrics.classes import class_shares
from lsgan.metrics.frechet import frechet_distance
from lsgan.networks.judge import WEIGHTS, Judge
from lsgan.npz import save_weights
from lsgan.training import flags, run, snapshot

BATCH, RATE, SHIFT = 100, 2e-3, 2       # images in a batch, initial learning rate, largest shift in pixels


def shifted(example):
    """Return an image, shifted at random and padded with the background (0), and its label.

    Args:
        example (tuple): uint8 image of shape (28, 28), and its label.
    """
    image, label = example
    dy, dx = numpy.random.randint(2 * SHIFT + 1, size=2)
    return scaled(numpy.pad(image, SHIFT)[None, dy:dy + image.shape[0], dx:dx + image.shape[1]]), label


def train(data, epochs, seed):
    """Return a `Judge` trained on `data.train` for `epochs` epochs, with a learning rate that falls linearly to 0.

    Args:
        data: training and test images with labels, see `load_digits`.
        epochs (int): length of training.
        seed (int): random seed.
    """
    numpy.random.seed(seed)     # initial weights, image order, shifts and dropout use this stream
    judge = Judge(int(data.train_labels.max()) + 1)
    model = L.Classifier(judge)
    optimizer = functions.Adam(RATE).setup(model)
    examples = datasets.TupleDataset(data.train, data.train_labels.astype(numpy.int32))
    batches = iterators.SerialIterator(datasets.TransformDataset(examples, shifted), BATCH)
    trainer = training.Trainer(training.updaters.StandardUpdater(batches, optimizer), (epochs, 'epoch'), 'result/judge')
    trainer.extend(extensions.LinearShift('alpha', (RATE, 0.0), (0, epochs * len(examples) // BATCH)))
    test = datasets.TupleDataset(scaled(data.test[:, None]), data.test_labels.astype(numpy.int32))
    trainer.extend(extensions.Evaluator(iterators.SerialIterator(test, 500, repeat=False, shuffle=False), model))
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PrintReport(['epoch', 'main/loss', 'validation/main/loss', 'validation/main/accuracy',
                                           'elapsed_time']))
    trainer.run(show_loop_exception_msg=False)
    return judge


def load_digits(path):
    """Return training and test images of 28x28 pixels with their labels, from a folder, or MNIST if `path` is None.

    Raises:
        InputError: if the folder lacks labels or test images, or if the images have another size.
    """
    data = mnist.load(path)
    if data.train_labels is None or data.test_labels is None or data.train.shape[1:] != (28, 28):
        raise InputError(f'{path}: the folder needs training and test images of 28x28 pixels, and the labels of both')
    return data


def main(args):
    if args.out is None:
        if args.data is not None:       # the judge in the package must remain one of MNIST
            raise InputError('--data: also give the file for the judge of these images, such as --out judge.npz')
        args.out = WEIGHTS
    if args.out.is_dir() or not args.out.parent.is_dir():
        raise InputError(f'{args.out}: not a file name in an existing folder; create the folder or give another file')
    data = load_digits(args.data)
    start = time.perf_counter()
    chainer.global_config.cpu_threads = 1       # the rounding of sums depends on the number of threads
    with threadpoolctl.threadpool_limits(1, 'blas'):
        judge = train(data, args.epoch, args.seed)
        seconds = time.perf_counter() - start
        features, probabilities = judge.look(scaled(data.test[:, None]))
        floor = frechet_distance(judge.look(scaled(data.train[:len(data.test), None]))[0], features)
    with snapshot.replacing(args.out) as f:
        save_weights(f, judge)
    print(f'{args.out}: {judge.count_params():,} weights, {args.out.stat().st_size / 1000:.0f} kB, {seconds:.0f} s')
    print(f'accuracy on the test images: {(probabilities.argmax(axis=1) == data.test_labels).mean():.2%}')
    print('shares of the classes there:', *(f'{share:.3f}' for share in class_shares(probabilities)))
    print(f'Fréchet distance of the features of the test images to as many training images: {floor:.3f}')
    return 0


if __name__ == '__main__':
    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', metavar='DIR',
                        help='folder with the four idx files of images and labels (default: MNIST, downloaded if missing)')
    parser.add_argument('--out', type=pathlib.Path, metavar='FILE',
                        help='file for the weights; required with --data (default: the judge in the package)')
    parser.add_argument('--epoch', type=flags.positive, default=15,
                        help='number of epochs (default: %(default)s)')
    parser.add_argument('--seed', type=flags.seed, default=0, help='random seed (default: %(default)s)')
    sys.exit(run.guarded(parser.prog, lambda: main(parser.parse_args())))
