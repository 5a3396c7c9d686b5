"""Trains the network of face features, lsgan/networks/features.npz, on drawn faces: about three minutes of one core.

    python results/anime/features.py

Every face is drawn by lsgan/datasets/faces.py from known factors, in random colours, and changed at random each time it is
seen: hue, saturation, contrast, brightness, position, noise. The network learns to tell the style of the hair, the mouth and
the pose, the colours of background, skin, hair and eyes as they are after the change, and where the face lies and how large it
is. The seed determines the weights, up to how a processor's own kernels round. The log goes to result/features.
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

BATCH, RATE, FACES, TESTED = 100, 2e-3, 20000, 1000     # images, of Adam at first, drawings for training and testing
STYLES, PAINTS = ('hair', 'mouth', 'pose'), ('background', 'skin', 'hair_colour', 'eyes')
SHIFT, NOISE = 6, 0.1       # pixels either way, largest standard deviation of noise in [-1, 1]
PLACE = (0.05, 0.04, 0.15)      # largest offsets in parts of the side, and largest change of size
ENDS = numpy.cumsum([len(FACTORS[name]) for name in STYLES])    # of each style's logits; the colours and the place follow


def paint(name, draws):
    """Draw a colour as #rrggbb: of skin between two that drawn faces have, otherwise any hue, often pale or dark."""
    if name == 'skin':
        a, b = (numpy.array(ImageColor.getrgb(colour)) for colour in draws.choice(list(SKIN.values()), 2))
        rgb = a + (b - a) * draws.random()
    else:
        rgb = 255 * numpy.array(colorsys.hsv_to_rgb(draws.random(), draws.random() ** 1.5, draws.random() ** 0.7))
    return '#{:02x}{:02x}{:02x}'.format(*rgb.astype(int))


def drawings(n, draws):
    """Draw n faces.

    Returns:
        tuple: uint8 images (n, 3, 64, 64); int32 numbers of the styles (n, 3); float32 (n, 4, 3), the colours in [-1, 1]; and
        float32 (n, 3), offsets and change of size, each in parts of the largest.
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
    """Return a converter of batches that changes each image at random, and what is to be told of it accordingly."""
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
    """Draw n changes of colours: matrices (n, 3, 3) and vectors (n, 3, 1), float32.

    Each turns the hue by up to 0.3 rad around the grey axis, multiplies the saturation by 0.5 to 1.5 and the contrast by 0.7
    to 1.2, and adds -0.2 to 0.2, of the range [-1, 1], to the brightness.
    """
    grey = numpy.full((3, 3), 1 / 3)
    around = numpy.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3 ** 0.5
    angle, saturation, contrast = (draws.uniform(*ends, (n, 1, 1)) for ends in ((-0.3, 0.3), (0.5, 1.5), (0.7, 1.2)))
    turn = numpy.cos(angle) * (numpy.eye(3) - grey) + numpy.sin(angle) * around
    return ((contrast * (grey + saturation * turn)).astype(numpy.float32),
            draws.uniform(-0.2, 0.2, (n, 1, 1)).repeat(3, axis=1).astype(numpy.float32))


class Task(chainer.Chain):
    """The training loss: the cross entropies of the styles, and four times the mean squared error of the other factors."""

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
    """Return a `FaceFeatures` trained for that many epochs, with a learning rate that falls to 0."""
    numpy.random.seed(seed)     # initial weights and the order of the images draw from it
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
        raise InputError(f'--out {args.out}: give the name of a file in a folder that exists')
    if args.faces < BATCH:
        raise InputError(f'--faces {args.faces}: at least {BATCH} are needed, one batch')
    start = time.perf_counter()
    chainer.global_config.cpu_threads = 1       # sums over threads are rounded differently for each number of them
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
    parser.add_argument('--out', type=pathlib.Path, default=WEIGHTS, metavar='FILE', help='default: the one in the package')
    parser.add_argument('--epoch', type=flags.positive, default=6, help='passes over the drawings (default: %(default)s)')
    parser.add_argument('--faces', type=flags.positive, default=FACES, help='drawings (default: %(default)s)')
    parser.add_argument('--seed', type=flags.seed, default=0, help='default: %(default)s')
    sys.exit(run.guarded(parser.prog, lambda: main(parser.parse_args())))
