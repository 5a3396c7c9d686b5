#!/usr/bin/env python
"""Train a GAN on MNIST or on images in its file format, and measure the samples with a classifier, the judge.

A GAN has two networks: the generator G generates images, and the discriminator D learns to tell them from real images.

    train_mnist.py                                      least squares GAN with our settings; downloads MNIST once
    train_mnist.py --preset blog -o result/blog         settings of the blog post; with --norm none, those of its code
    train_mnist.py --loss wgan -o result/wgan           another loss
    train_mnist.py --preset stacked -o result/stacked   Stacked MNIST: three digits in each image, 1,000 modes
    train_mnist.py --data DIR                           your own idx files, such as those of Fashion-MNIST or EMNIST
    train_mnist.py --resume                             continue after Ctrl-C or a crash
    visualize.py all result/mnist                       draw every picture of a run

Pictures, log, snapshots and metrics are written to the run folder, result/mnist.
"""
import argparse
import functools

from lsgan import console
from lsgan.datasets import mnist
from lsgan.datasets.images import ImageSet, StackedSet, fingerprint, to_bytes
from lsgan.errors import InputError
from lsgan.figures import images
from lsgan.networks.image import Discriminator, Generator
from lsgan.networks.mnist import PerceptronDiscriminator, PerceptronGenerator
from lsgan.training import flags, run
from lsgan.training.experiment import Experiment
from lsgan.training.judgement import Judgement

CONVOLUTIONS = {'hidden_g': [128, 64], 'hidden_d': [32, 64], 'norm': 'both'}
PERCEPTRONS = {'hidden_g': [500, 500], 'hidden_d': [500, 500], 'norm': 'g'}

PRESETS = {
    'default': {
        'about': 'our settings; results/mnist describes how they were chosen',
        'data': None, 'judge': None, 'stacked': False, 'metric_samples': 10000,
        'latent': 16, 'latent_distribution': 'normal', 'init': 'normal', 'init_std': [0.02, 0.02],
        'network': 'conv', 'hidden_g': [128, 64], 'hidden_d': [32, 64, 128, 256], 'norm': 'both',
        'activation_g': 'relu', 'activation_d': 'leaky_relu',
        'loss': 'lsgan', 'scheme': 'binary', 'split_discriminator_update': False, 'n_critic': 1, 'clip': 0.03,
        'gradient_penalty': 'none',
        'optimizer': 'adam', 'lr_g': 4e-3, 'lr_d': 5e-4, 'beta1': 0.5, 'beta2': 0.999, 'lr_decay': 0.0,
        'lr_steps': [[6, 0.5]], 'clip_gradient': 0.0, 'init_from': None,
        'gradient_norms': False, 'noise': 0.5, 'noise_end': 0.5, 'noise_share': 1.0, 'average': 0.999,
        'batchsize': 100, 'epoch': 20, 'epoch_size': 600,
        'log_interval': 100, 'metric_interval': 600, 'sample_interval': 600, 'snapshot_interval': 600, 'keep': 3,
        'tf32': True, 'deterministic': True, 'graph': True, 'tensorboard': False,
        'communicator': 'auto', 'sync_norm': False,
        'variants': {('loss', 'wgan'): {**flags.WGAN, 'lr_d': 2e-4, 'n_critic': 1, 'clip': 0.03, 'hidden_d': [32, 64, 128],
                                        'lr_decay': 0.0, 'lr_steps': []},
                     ('network', 'mlp'): {**PERCEPTRONS, 'latent': 50, 'latent_distribution': 'uniform'}},
    },
    'blog': {
        'about': 'settings of the blog post, musyoku.github.io/2017/03/06/Least-Squares-Generative-Adversarial-Networks, with '
                 'the numbers in its code; that code has no batch normalisation, as with --norm none',
        'latent': 50, 'latent_distribution': 'uniform', 'init': 'normal', 'init_std': [0.001, 0.001],
        'network': 'mlp', 'hidden_g': [500, 500], 'hidden_d': [500, 500], 'norm': 'g',
        'activation_g': 'relu', 'activation_d': 'leaky_relu', 'optimizer': 'adam', 'lr_g': 1e-4, 'lr_d': 1e-4, 'beta1': 0.1,
        'beta2': 0.999, 'lr_decay': 0.0, 'lr_steps': [], 'noise': 0.0, 'average': 0.0,
        'batchsize': 100, 'epoch': 1000, 'epoch_size': 500,
        'metric_interval': 500, 'sample_interval': 500, 'snapshot_interval': 500,
        'variants': {('loss', 'wgan'): {**flags.WGAN, 'epoch_size': 100, 'log_interval': 20},
                     ('network', 'conv'): CONVOLUTIONS},
    },
    'pfnet': {
        'about': 'settings of the Chainer reference implementation, github.com/pfnet-research/chainer-LSGAN, except that '
                 'convolutions have biases, initial weights of the first layer of G are twice as large, and batches are drawn '
                 'with replacement',
        'latent': 1024, 'latent_distribution': 'uniform', 'init': 'lecun',
        'network': 'conv', 'hidden_g': [256, 128, 64], 'hidden_d': [64, 128, 256, 512], 'norm': 'both',
        'activation_g': 'relu', 'activation_d': 'leaky_relu', 'optimizer': 'rmsprop', 'lr_g': 1e-3, 'lr_d': 1e-3,
        'lr_decay': 0.0, 'lr_steps': [], 'noise': 0.0, 'average': 0.0, 'batchsize': 64, 'epoch': 100, 'epoch_size': 938,
        'metric_interval': 1000, 'sample_interval': 938, 'snapshot_interval': 938,
        'variants': {('loss', 'wgan'): {**flags.WGAN, 'epoch_size': 188, 'log_interval': 20},
                     ('network', 'mlp'): PERCEPTRONS},
    },
    'stacked': {
        'about': 'Stacked MNIST, 26,000 samples of which show how many of its 1,000 modes G generates; results/stacked '
                 'describes how the settings were chosen',
        'stacked': True, 'metric_samples': 26000, 'latent': 64, 'lr_g': 2e-3, 'lr_d': 1e-3, 'lr_decay': 0.5, 'lr_steps': [],
        'noise': 0.2, 'noise_end': 0.2, 'epoch': 8, 'metric_interval': 1200,
    },
}


def make_parser():
    """Return the argument parser of this script."""
    parser = flags.Parser('mnist', __doc__, PRESETS)
    data = parser.add_argument_group('data')        # the first group in the help, because users look for it first
    flags.add_common(parser)
    data.add_argument('--data', type=flags.path, metavar='PATH',
                      help="folder of idx files (MNIST's file format), or one file of training images (default: MNIST, which "
                           'is downloaded into the cache)')
    data.add_argument('--judge', type=flags.path, metavar='FILE',
                      help='npz file of a classifier, written by results/mnist/judge.py, that measures the samples (default: '
                           'the classifier of digits that comes with lsgan)')
    parser.setting('--stacked', action=argparse.BooleanOptionalAction, group=data,
                   help='learn RGB images whose channels are three independently drawn images of the data, as in Stacked '
                        'MNIST; the judge reads each channel, and a mode is a combination of three classes')
    parser.setting('--metric-samples', type=flags.at_least_two, group=data, metavar='N',
                   help='number of samples for the metrics; only distances of equal numbers of samples are comparable')
    perceptron = 'with --network mlp, number of units in each hidden layer, by default 500 500'
    nets = flags.add_networks(parser, 'dimension of the latents',
                              f'number of channels before each deconvolution of G; {perceptron}',
                              f'number of channels after each convolution of D; {perceptron}')
    parser.setting('--latent-distribution', choices=['normal', 'uniform'], group=nets,
                   help='distribution of the latents: standard normal, or uniform in [-1, 1)')
    parser.setting('--network', choices=['conv', 'mlp'], group=nets,
                   help='kind of both networks: conv is convolutional, mlp is fully connected; in mlp, batch normalisation '
                        'comes after the activation')
    parser.setting('--norm', choices=['none', 'g', 'd', 'both'], group=nets,
                   help='networks that have batch normalisation')
    parser.setting('--init-std', type=flags.above_zero, nargs=2, group=nets, metavar=('G', 'D'),
                   help='with --init normal, standard deviations of the initial weights of G and of D')
    return parser


def networks(settings, shape):
    """Return a generator and a discriminator of images.

    Args:
        settings (dict): of the run.
        shape (tuple of int): channels, height and width of an image.

    Raises:
        InputError: if convolutional networks cannot have this height and width.
    """
    initial_g, initial_d = (flags.image_weights(settings['init'], std) for std in settings['init_std'])
    norm_g, norm_d = settings['norm'] in ('g', 'both'), settings['norm'] in ('d', 'both')
    latent, hidden_g, hidden_d = settings['latent'], settings['hidden_g'], settings['hidden_d']
    activation_g, activation_d = settings['activation_g'], settings['activation_d']
    if settings['network'] == 'mlp':
        return (PerceptronGenerator(latent, hidden_g, shape, activation_g, norm_g, initial_g),
                PerceptronDiscriminator(shape, hidden_d, activation_d, norm_d, initial_d))
    colours, *size = shape
    if size[0] % 2 or size[1] % 2 or min(size) < 2 ** len(hidden_d):
        raise InputError(f'images of {size[0]} x {size[1]} pixels: --network conv with {len(hidden_d)} convolutions takes '
                         f'even sides of at least {2 ** len(hidden_d)}; --network mlp takes any')
    return (Generator(latent, hidden_g, size, colours, activation_g, 'channel' if norm_g else None, initial_g),
            Discriminator(hidden_d, size, colours, activation_d, 'but first' if norm_d else None, initial_d))


def build(settings):
    """Return the experiment that the settings describe, a `lsgan.training.experiment.Experiment`.

    Images are read when they are needed. If `image_size` is missing in the settings, they are read at once to add it.
    """
    path, judge = settings['data'], settings['judge']

    @functools.cache
    def loaded():
        try:
            return mnist.load(path), None
        except InputError as error:     # cached, too, so that a failed download is not tried twice
            return None, error

    def data():
        found, error = loaded()
        if error:
            raise error
        height, width = found.train.shape[1:]
        expected = settings.setdefault('image_size', [height, width])
        if [height, width] != expected:
            raise InputError(f'{path or "MNIST"}: images of {height} x {width} pixels; this run began with images of '
                             f'{expected[0]} x {expected[1]}, which are needed')
        return found

    @functools.cache
    def judgement():
        real = data()
        test, labels = (None, real.train_labels) if real.test is None else (real.test[:, None], real.test_labels)
        return Judgement(real.train[:, None], test, labels, judge)

    def remark():
        made = judgement()
        if made.left_out:
            return f'no Fréchet distance and no classes: {made.left_out}'
        return '' if made.sure else 'no labels: these images are judged as if they were digits'

    def grid(samples, file, title):
        images.grid(file, to_bytes(samples[:100]), title)

    def classes(samples, file, title):
        images.histogram(file, *judgement().shares(samples), title)

    if 'image_size' not in settings:
        data()
    height, width = settings['image_size']
    stacked = settings['stacked']
    generator, discriminator = networks(settings, (3 if stacked else 1, height, width))
    return Experiment(
        generator=generator, discriminator=discriminator,
        latent_size=settings['latent'], latent_distribution=settings['latent_distribution'],
        data=(StackedSet if stacked else ImageSet)(lambda: data().train[:, None]),
        samples=settings['metric_samples'], shown=100,
        evaluate=lambda samples: judgement().metrics(samples), draw=grid, figures={'samples': grid, 'classes': classes},
        show={'frechet_distance': 'Fréchet', 'confident': 'confident', 'classes_fair': 'classes',
              'modes_seen': 'modes', 'mode_kl': 'KL'},
        remark=remark, fingerprint=lambda: fingerprint(*(part for part in vars(data()).values() if part is not None)),
        blas_threads=None if settings['network'] == 'mlp' else 1)       # convolutions use threads of their own


if __name__ == '__main__':
    console.leave(run.main(make_parser(), build))
