"""Train the network of face features, lsgan/networks/features.npz, on drawn faces, in about three minutes on one core.

    python results/anime/features.py

lsgan/datasets/faces.py draws every face from known factors, in random colours. In each epoch every face is changed at random:
in hue, saturation, contrast, brightness, position and noise. From the changed image, the network learns to recognise hair
style, mouth and pose; the colours of background, skin, hair and eyes; and the position and size of the face.

The seed determines the weights, apart from rounding differences between processors. The log goes to result/features.
"""
import argparse
import colorsys
import pathlib
import sys
import time

import numpy
import threadpoolctl

from lsgan import functions  # lsgan goes before chainer

# isort: split
import chainer
import chainer.functions as F
from chainer import datasets, iterators, training
from chainer.training import extensions
from PIL import ImageColor

from lsgan.datasets.faces import FACTORS, SKIN, Face, draw
from lsgan.datasets.images import scaled
from lsgan.errors import InputError
from lsgan.networks.features import OUTPUTS, SIDE, WEIGHTS, FaceFeatures
from lsgan.npz import save_weights
from lsgan.training import flags, run, snapshot

BATCH, RATE, FACES, TESTED = 100, 2e-3, 20000, 1000     # images in a batch, initial learning rate, training and test drawings
STYLES, PAINTS = ('hair', 'mouth', 'pose'), ('background', 'skin', 'hair_colour', 'eyes')
SHIFT, NOISE = 6, 0.1       # largest shift in pixels, largest standard deviation of noise for images in [-1, 1]
PLACE = (0.05, 0.04, 0.15)      # largest offsets in x and y as fractions of the side, largest relative change of size
ENDS = numpy.cumsum([len(FACTORS[name]) for name in STYLES])    # where each style's logits end; colours and place follow


def paint(name, draws):
    """Draw a colour as #rrggbb: for skin, a mixture of two skin colours of drawn faces; otherwise any hue, often pale or dark.

    Args:
        name (str): a factor in `PAINTS`.
        draws (numpy.random.Generator): source of the random numbers.
    """
    if name == 'skin':
        a, b = (numpy.array(ImageColor.getrgb(colour)) for colour in draws.choice(list(SKIN.values()), 2))
        rgb = a + (b - a) * draws.random()
    else:
        rgb = 255 * numpy.array(colorsys.hsv_to_rgb(draws.random(), draws.random() ** 1.5, draws.random() ** 0.7))
    return '#{:02x}{:02x}{:02x}'.format(*rgb.astype(int))


def drawings(n, draws):
    """Draw n faces.

    Returns:
        tuple: images, uint8 (n, 3, 64, 64); the indices of their styles, int32 (n, 3); their colours in [-1, 1], float32
        (n, 4, 3); and offsets and change of size, float32 (n, 3), each divided by the largest one in `PLACE`.
    """
    images, styles, colours = [], draws.integers([len(FACTORS[name]) for name in STYLES], size=(n, len(STYLES))), []
    places = draws.uniform(-1, 1, (n, 3))
    for style, (x, y, scale) in zip(styles, places * PLACE):
        paints = {name: paint(name, draws) for name in PAINTS}
        values = {name: FACTORS[name][i] for name, i in zip(STYLES, style)}
        images.append(draw(Face(**paints, **values, x=x, y=y, scale=1 + scale), SIDE))
        colours.append([ImageColor.getrgb(colour) for colour in paints.values()])
    return (numpy.stack(images), styles.astype(numpy.int32), scaled(numpy.array(colours)), places.astype(numpy.float32))


def changed(draws):
    """Return a converter of batches that changes each image at random, and its labels accordingly."""
    def convert(batch, device=None):
        images, styles, colours, places = (numpy.stack(column) for column in zip(*batch))
        n = len(images)
        mirrored = draws.random(n) < 0.5
        images[mirrored] = images[mirrored, :, :, ::-1]
        styles[mirrored, 2] = len(FACTORS['pose']) - 1 - styles[mirrored, 2]
        places[mirrored, 0] *= -1
        padded = numpy.pad(images, [(0, 0), (0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)], 'edge')
        moves = draws.integers(-SHIFT, SHIFT + 1, (n, 2))
        x = numpy.stack([image[:, SHIFT - dy:SHIFT - dy + SIDE, SHIFT - dx:SHIFT - dx + SIDE]
                         for image, (dy, dx) in zip(padded, moves)])
        places[:, :2] += moves[:, ::-1] / SIDE / PLACE[:2]
        tint, shade = colour_changes(n, draws)
        x = tint @ scaled(x).reshape(n, 3, -1) + shade
        colours = numpy.clip(colours @ tint.swapaxes(1, 2) + shade.swapaxes(1, 2), -1, 1)
        noise = draws.standard_normal((n, 3, SIDE * SIDE), numpy.float32)
        x = numpy.clip(x + noise * draws.uniform(0, NOISE, (n, 1, 1)).astype(numpy.float32), -1, 1)
        numbers = numpy.concatenate([colours.reshape(n, -1), places], axis=1)
        return x.reshape(n, 3, SIDE, SIDE), styles, numbers.astype(numpy.float32)
    return convert


def colour_changes(n, draws):
    """Draw n affine changes of colours: matrices (n, 3, 3) and vectors (n, 3, 1), float32.

    A change rotates the hue around the grey axis by up to 0.3 rad, multiplies the saturation by 0.5 to 1.5 and the contrast by
    0.7 to 1.2, and adds -0.2 to 0.2 to all channels of images in [-1, 1].
    """
    grey = numpy.full((3, 3), 1 / 3)
    around = numpy.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3 ** 0.5
    angle, saturation, contrast = (draws.uniform(*ends, (n, 1, 1)) for ends in ((-0.3, 0.3), (0.5, 1.5), (0.7, 1.2)))
    turn = numpy.cos(angle) * (numpy.eye(3) - grey) + numpy.sin(angle) * around
    return ((contrast * (grey + saturation * turn)).astype(numpy.float32),
            draws.uniform(-0.2, 0.2, (n, 1, 1)).repeat(3, axis=1).astype(numpy.float32))


class Task(chainer.Chain):
    """The training loss: the cross entropies of the styles, plus four times the mean squared error of colours and place."""

    def __init__(self, network):
        super().__init__()
        with self.init_scope():
            self.network = network

    def forward(self, x, styles, numbers):
        *logits, rest = F.split_axis(self.network(x), ENDS, axis=1)
        entropies = [F.softmax_cross_entropy(each, styles[:, i]) for i, each in enumerate(logits)]
        error = F.mean_squared_error(rest, numbers)
        loss = sum(entropies) + 4 * error
        accuracies = {name: F.accuracy(each, styles[:, i]) for i, (name, each) in enumerate(zip(STYLES, logits))}
        chainer.report({'loss': loss, 'error': error, **accuracies}, self)
        return loss


def train(epochs, seed, faces):
    """Return a trained `FaceFeatures`. The learning rate falls linearly to 0.

    Args:
        epochs (int): epochs of training.
        seed (int): random seed.
        faces (int): number of training drawings, at least `BATCH`.
    """
    numpy.random.seed(seed)     # initial weights and the order of the images use the global state
    streams = numpy.random.default_rng(seed).spawn(4)
    model = Task(FaceFeatures())
    optimizer = functions.Adam(RATE).setup(model)
    batches = iterators.SerialIterator(datasets.TupleDataset(*drawings(faces, streams[0])), BATCH)
    updater = training.updaters.StandardUpdater(batches, optimizer, changed(streams[1]))
    trainer = training.Trainer(updater, (epochs, 'epoch'), 'result/features')
    trainer.extend(extensions.LinearShift('alpha', (RATE, 0.0), (0, epochs * faces // BATCH)))
    test = iterators.SerialIterator(datasets.TupleDataset(*drawings(TESTED, streams[2])), 250, repeat=False, shuffle=False)
    trainer.extend(extensions.Evaluator(test, model, changed(streams[3])))
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PrintReport(['epoch', 'main/loss', 'validation/main/loss', 'validation/main/error',
                                           *(f'validation/main/{name}' for name in STYLES), 'elapsed_time']))
    trainer.run(show_loop_exception_msg=False)
    return model.network


def main(args):
    if args.out.is_dir() or not args.out.parent.is_dir():
        raise InputError(f'--out {args.out}: not a file in an existing folder. Give a file name, and create its folder first')
    if args.faces < BATCH:
        raise InputError(f'--faces {args.faces}: less than one batch. Give at least {BATCH}')
    start = time.perf_counter()
    chainer.global_config.cpu_threads = 1       # rounding depends on the number of threads
    with threadpoolctl.threadpool_limits(1, 'blas'):
        network = train(args.epoch, args.seed, args.faces)
    with snapshot.replacing(args.out) as f:
        save_weights(f, network, half=True)
    print(f'{args.out}: {network.count_params():,} weights, {args.out.stat().st_size / 1000:.0f} kB, '
          f'{time.perf_counter() - start:.0f} s')
    return 0


if __name__ == '__main__':
    assert OUTPUTS == ENDS[-1] + 3 * len(PAINTS) + len(PLACE)
    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=pathlib.Path, default=WEIGHTS, metavar='FILE',
                        help='file for the weights (default: the one in the package)')
    parser.add_argument('--epoch', type=flags.positive, default=6, help='epochs (default: %(default)s)')
    parser.add_argument('--faces', type=flags.positive, default=FACES,
                        help='number of training drawings (default: %(default)s)')
    parser.add_argument('--seed', type=flags.seed, default=0, help='random seed (default: %(default)s)')
    sys.exit(run.guarded(parser.prog, lambda: main(parser.parse_args())))
