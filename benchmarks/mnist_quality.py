"""Compare the digits of train_mnist.py and of PyTorch-GAN's lsgan.py after equal times and after equal numbers of epochs.

    python benchmarks/mnist_quality.py                  20 minutes for each of the two; needs `pip install torch`
    python benchmarks/mnist_quality.py --minutes 2 4 --epochs 0.5       a shorter comparison

The same digit classifier, the judge, rates both. PyTorch-GAN's networks and settings (github.com/eriklindernoren/PyTorch-GAN,
commit e0a8f3c) are written afresh here. Images are 32x32. G is a linear layer to 128x8x8 followed by two steps of upsampling
and 3x3 convolution. D has four 3x3 convolutions of stride 2 with dropout. The optimizer is Adam with learning rate 2e-4, and
the batch size is 64. Three things differ from the original:

- The original resizes MNIST to 32x32. Here a black margin enlarges the images and is cut off before they are judged, because
  resizing there and back would blur them.
- The original shuffles the images once per epoch. Here each batch is drawn from all images, as in lsgan.
- The original draws its samples in training mode, with the statistics of a batch. Here the table shows the better of training
  mode and test mode, by Fréchet distance.

PyTorch-GAN's times count the updates only. The times of train_mnist.py include metrics and pictures.
"""
import argparse
import copy
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import tqdm

from lsgan.datasets import mnist
from lsgan.datasets.images import scaled
from lsgan.errors import InputError
from lsgan.training import flags
from lsgan.training.judgement import Judgement
from lsgan.training.run import guarded

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH, LATENT, MARGIN = 64, 100, 2
IMAGES = 60000      # in an epoch
METRICS = 'frechet_distance', 'confident', 'classes_fair'


def torch_networks():
    from torch import nn

    def norm(channels):
        return nn.BatchNorm2d(channels, 0.8)

    generator = nn.Sequential(
        nn.Linear(LATENT, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)),
        nn.Upsample(scale_factor=2), nn.Conv2d(128, 128, 3, padding=1), norm(128), nn.LeakyReLU(0.2, True),
        nn.Upsample(scale_factor=2), nn.Conv2d(128, 64, 3, padding=1), norm(64), nn.LeakyReLU(0.2, True),
        nn.Conv2d(64, 1, 3, padding=1), nn.Tanh())
    layers = []
    for a, b in zip((1, 16, 32, 64), (16, 32, 64, 128)):
        layers += [nn.Conv2d(a, b, 3, 2, 1), nn.LeakyReLU(0.2, True), nn.Dropout2d(0.25), *([norm(b)] if a > 1 else [])]
    discriminator = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 2 * 2, 1))
    for net in generator, discriminator:
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.02)
    return generator, discriminator


def torch_side(images, judgement, seconds, epochs):
    """Train PyTorch-GAN's networks and yield their quality.

    Args:
        images (numpy.ndarray): MNIST's training images, (N, 1, 28, 28) in [-1, 1].
        judgement (lsgan.training.judgement.Judgement): the judge.
        seconds (list of float): times at which to judge, in seconds.
        epochs (list of float): further times at which to judge, in epochs.

    Yields:
        tuple: epochs, seconds and metrics at each of these times.
    """
    import torch
    torch.manual_seed(0)
    watched = torch.randn(10000, LATENT)
    real = torch.from_numpy(np.pad(images, ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), constant_values=-1))
    generator, discriminator = torch_networks()
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, discriminator)]
    mse = torch.nn.MSELoss()
    valid, fake = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    marks = {('seconds', mark) for mark in seconds} | {('epochs', mark) for mark in epochs}
    spent, seen = 0.0, 0
    bar = tqdm.tqdm(total=max(seconds), desc='PyTorch-GAN', disable=None, bar_format='{l_bar}{bar}| {remaining} left')
    while marks:
        start = time.perf_counter()
        batch = real[torch.randint(len(real), (BATCH,))]
        samples = generator(torch.randn(BATCH, LATENT))
        optimizers[0].zero_grad()
        mse(discriminator(samples), valid).backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        (0.5 * (mse(discriminator(batch), valid) + mse(discriminator(samples.detach()), fake))).backward()
        optimizers[1].step()
        spent, seen = spent + time.perf_counter() - start, seen + BATCH
        bar.update(min(spent, bar.total) - bar.n)
        reached = {mark for mark in marks if mark[1] <= {'seconds': spent, 'epochs': seen / IMAGES}[mark[0]]}
        if reached:
            judged = []
            for training in True, False:
                watching = copy.deepcopy(generator).train(training)
                with torch.no_grad():
                    drawn = torch.cat([watching(z) for z in watched.split(500)]).numpy()
                judged.append(judgement.metrics(drawn[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]))
            yield seen / IMAGES, spent, min(judged, key=lambda metrics: metrics['frechet_distance'])
            marks -= reached
    bar.close()


def lsgan_side(seconds, epochs):
    """Run train_mnist.py and yield its quality like `torch_side`, from the last metrics before each of the given times."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, 'run')
        process = subprocess.Popen([sys.executable, ROOT / 'train_mnist.py', '-o', out, '--device', '-1',
                                    '--metric-interval', '300'], stdout=sys.stderr)      # stdout is for the table
        try:
            process.wait(max(seconds) + 60)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        if not (out / 'log').exists():
            raise InputError('train_mnist.py ended before its first metrics; its message above says why')
        log = json.loads((out / 'log').read_text())
        size = json.loads((out / 'config.json').read_text())['settings']['batchsize']
    for kind, marks in ('epochs', epochs), ('seconds', seconds):
        for mark in marks:
            before = [entry for entry in log if 'confident' in entry and mark >= {'seconds': entry['elapsed_time'],
                                                         'epochs': entry['iteration'] * size / IMAGES}[kind]]
            if before:
                yield before[-1]['iteration'] * size / IMAGES, before[-1]['elapsed_time'], before[-1]


def main():
    parser = flags.OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=flags.above_zero, nargs='+', default=[7, 20],
                        help='training times in minutes after which to judge (default: 7 20)')
    parser.add_argument('--epochs', type=flags.above_zero, nargs='+', default=[1, 3],
                        help='numbers of epochs after which to judge as well (default: 1 3)')

    def act():
        args = parser.parse_args()
        if importlib.util.find_spec('torch') is None:       # checked here, so as not to fail after the first half
            raise InputError('PyTorch is not installed. Install it: pip install torch')
        compare([60 * minutes for minutes in args.minutes], args.epochs)
        return 0
    return guarded(parser.prog, act)


def compare(seconds, epochs):
    """Print the table, each row as soon as it is known."""
    data = mnist.load()
    judgement = Judgement(data.train[:, None], data.test[:, None])
    print('| | epochs | minutes | Fréchet distance | confident | fair classes |\n|---|--:|--:|--:|--:|--:|')
    for name, side in [('lsgan', lsgan_side(seconds, epochs)),
                       ('PyTorch-GAN', torch_side(scaled(data.train[:, None]), judgement, seconds, epochs))]:
        for seen, spent, metrics in side:
            numbers = ' | '.join(f'{metrics[key]:.3g}' for key in METRICS)
            print(f'| {name} | {seen:.2f} | {spent / 60:.1f} | {numbers} |', flush=True)


if __name__ == '__main__':
    sys.exit(main())
