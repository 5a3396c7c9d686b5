#!/usr/bin/env python
"""Train a GAN on your own images, or without any, on cartoon faces that the script draws.

A GAN has two networks: the generator G generates images, and the discriminator D learns to tell them from real images.

    train_anime.py --images PATH                        a folder, zip or tar of images in any format, at 64 x 64 pixels
    train_anime.py --images PATH PATH                   all images of several folders and archives
    train_anime.py --images PATH --channels 1           train in grey; sets of only grey images are trained in grey anyway
    train_anime.py                                      drawn faces, without any download
    train_anime.py --images PATH --preset blog          settings of the blog post for anime faces, at 96 x 96 pixels
    train_anime.py --loss wgan -o result/wgan           another loss
    train_anime.py --resume                             continue after Ctrl-C or a crash
    visualize.py all result/anime                       draw every picture of a run

The middle square of each image is used. Pictures, log, snapshots and metrics are written to the run folder, result/anime. Its
skipped.txt lists the files that cannot be used.
"""
import argparse
import functools

from lsgan import console
from lsgan.datasets import cache, faces, files
from lsgan.datasets.images import is_grey, to_bytes, to_grey
from lsgan.errors import InputError
from lsgan.figures import images
from lsgan.networks.image import UPSAMPLINGS, Discriminator, Generator
from lsgan.training import flags, run
from lsgan.training.experiment import Experiment
from lsgan.training.gallery import Gallery

NORMS_G = {'unit': 'unit', 'channel': 'channel', 'none': None}
NORMS_D = {'all': 'all', 'but-first': 'but first', 'none': None}

PRESETS = {
    'default': {
        'about': 'our settings; results/anime describes how they were chosen',
        'images': None, 'size': 64, 'channels': 'auto', 'mirror': False, 'background': 'white', 'metric_samples': 2000,
        'latent': 64, 'latent_distribution': 'normal', 'init': 'normal', 'init_std': 0.02,
        'hidden_g': [256, 128, 64, 32], 'hidden_d': [32, 64, 128, 256], 'upsample': 'resize',
        'norm_g': 'unit', 'norm_d': 'but-first', 'activation_g': 'relu', 'activation_d': 'leaky_relu',
        'loss': 'lsgan', 'scheme': 'binary', 'split_discriminator_update': False, 'n_critic': 1, 'clip': 0.01,
        'gradient_penalty': 'none',
        'optimizer': 'adam', 'lr_g': 2e-3, 'lr_d': 2.5e-4, 'beta1': 0.5, 'beta2': 0.999, 'lr_decay': 0.5,
        'lr_steps': [], 'clip_gradient': 0.0, 'init_from': None,
        'gradient_norms': False, 'noise': 0.05, 'noise_end': 0.05, 'noise_share': 1.0, 'average': 0.999,
        'batchsize': 64, 'epoch': 30, 'epoch_size': 150,
        'log_interval': 50, 'metric_interval': 300, 'sample_interval': 150, 'snapshot_interval': 150, 'keep': 3,
        'tf32': True, 'deterministic': True, 'graph': True, 'tensorboard': False,
        'communicator': 'auto', 'sync_norm': False,
        # drawn faces have settings of their own; an epoch has equally many real images with every loss
        'variants': {('images', None): {'upsample': 'deconv', 'norm_d': 'none', 'lr_g': 1e-3, 'lr_d': 5e-4,
                                        'noise': 0.3, 'noise_end': 0.03, 'epoch': 20},
                     ('loss', 'wgan'): {**flags.WGAN, 'norm_d': 'but-first', 'noise': 0.0, 'epoch_size': 30,
                                        'log_interval': 10}},
    },
    'blog': {
        'about': 'settings of the blog post, musyoku.github.io/2017/03/06/Least-Squares-Generative-Adversarial-Networks; '
                 'its 500,000 updates need a GPU, or a smaller --epoch',
        'size': 96, 'latent': 50, 'latent_distribution': 'uniform', 'init_std': 0.01, 'hidden_g': [512, 256, 128, 64],
        'upsample': 'deconv', 'norm_d': 'all', 'lr_g': 1e-4, 'lr_d': 1e-4, 'lr_decay': 0.0, 'noise': 0.0, 'average': 0.0,
        'batchsize': 128, 'epoch': 1000, 'epoch_size': 500,
        'metric_interval': 500, 'sample_interval': 500, 'snapshot_interval': 500,
        'variants': {('loss', 'wgan'): {**flags.WGAN, 'epoch_size': 100, 'log_interval': 10}, ('images', None): {}},
    },
    'cifar': {
        'about': 'settings of the Chainer reference implementation, github.com/pfnet-research/chainer-LSGAN, for 32 x 32 '
                 'pixels, except that convolutions have biases, initial weights of the first layer of G are twice as large, '
                 'and batches are drawn with replacement',
        'size': 32, 'latent': 1024, 'latent_distribution': 'uniform', 'init': 'lecun',
        'hidden_g': [256, 128, 64], 'hidden_d': [64, 128, 256, 512], 'upsample': 'deconv',
        'norm_g': 'channel', 'norm_d': 'but-first',
        'optimizer': 'rmsprop', 'lr_g': 1e-3, 'lr_d': 1e-3,
        'lr_decay': 0.0, 'noise': 0.0, 'average': 0.0, 'epoch': 100, 'epoch_size': 780,
        'metric_interval': 800, 'sample_interval': 780, 'snapshot_interval': 780,
        'variants': {('loss', 'wgan'): {**flags.WGAN, 'epoch_size': 156, 'log_interval': 10}, ('images', None): {}},
    },
}


def side(text):
    """Return the side of images, in pixels, as an int. Networks need a multiple of 16 from 32 to 256."""
    value = flags.positive(text)
    if not 32 <= value <= 256 or value % 16:
        raise argparse.ArgumentTypeError(f'{text!r} is not a multiple of 16 from 32 to 256')
    return value


def colour(text):
    """Return the text if it is a colour that Pillow knows."""
    if not files.is_colour(text):
        raise argparse.ArgumentTypeError(f'{text!r} is not a colour; pass a name, such as white, or #rrggbb')
    return text


def make_parser():
    """Return the argument parser of this script."""
    parser = flags.Parser('anime', __doc__, PRESETS)
    data = parser.add_argument_group('data')        # the first group in the help, because users look for it first
    flags.add_common(parser)
    data.add_argument('--images', type=flags.path, nargs='+', action='extend', metavar='PATH',
                      help='train on all images in these folders and their subfolders, zip files and tar archives (plain, or '
                           'compressed by gzip, bzip2 or xz); a file that several paths lead to counts once (default: 10,000 '
                           'cartoon faces, drawn once and kept in the cache)')
    parser.setting('--size', type=side, group=data, metavar='PIXELS',
                   help='side of the images in pixels, a multiple of 16 from 32 to 256; images whose shorter side is less '
                        'than a quarter of it are skipped')
    parser.setting('--channels', choices=['auto', '1', '3'], group=data,
                   help='number of channels: 1 trains in grey and converts colours to their luminance, 3 trains in RGB, and '
                        'auto chooses 1 if every image is grey, otherwise 3')
    parser.setting('--mirror', action=argparse.BooleanOptionalAction, group=data,
                   help='also train on the mirror image of each image, with left and right exchanged')
    parser.setting('--background', type=colour, group=data, metavar='COLOUR',
                   help='colour behind transparent parts of images, a name or #rrggbb')
    parser.setting('--metric-samples', type=flags.at_least_two, group=data, metavar='N',
                   help='number of samples for the metrics; distances, precision and recall use at most half as many samples '
                        'as there are images, and are comparable only for equal numbers of samples')
    nets = flags.add_networks(parser, 'dimension of the latents',
                              'number of channels before each step of G; a step doubles the side of the image',
                              'number of channels after each convolution of D; a convolution halves the side of the image')
    parser.setting('--latent-distribution', choices=['normal', 'uniform'], group=nets,
                   help='distribution of the latents: standard normal, or uniform in [-1, 1)')
    parser.setting('--upsample', choices=list(UPSAMPLINGS), group=nets,
                   help='how a step of G doubles the side: deconv by a 4x4 deconvolution, pixelshuffle by a 3x3 convolution '
                        'whose channels become pixels, resize by repeating pixels before a 3x3 convolution, which avoids '
                        'checkerboard artefacts')
    parser.setting('--norm-g', choices=list(NORMS_G), group=nets,
                   help='batch normalisation in G: after the first layer for each unit or for each channel, and after the '
                        'others for each channel; or none')
    parser.setting('--norm-d', choices=list(NORMS_D), group=nets,
                   help='convolutions of D that are followed by batch normalisation')
    parser.setting('--init-std', type=flags.above_zero, group=nets, metavar='STD',
                   help='with --init normal, standard deviation of the initial weights')
    return parser


def build(settings):
    """Return the experiment that the settings describe, a `lsgan.training.experiment.Experiment`.

    Images are read when they are needed. If `image_channels` is missing in the settings, it is added: the number of channels,
    for which --channels auto has to read the images at once.
    """
    paths, size = settings['images'], settings['size']
    for net in 'g', 'd':
        if size % 2 ** len(settings[f'hidden_{net}']):
            raise InputError(f'--hidden-{net} {" ".join(map(str, settings[f"hidden_{net}"]))}: {size} pixels cannot be halved '
                             f'{len(settings[f"hidden_{net}"])} times')
    skipped = []

    @functools.cache
    def read():
        found, left, digest = files.load(paths, size, settings['background'])
        skipped.extend(left)
        if not any((image != found[0]).any() for image in found):
            raise InputError(f'--images {" ".join(paths)}: only one image, or copies of one, so there is nothing to learn'
                             f'{told()}')
        return found, digest

    def load():
        if paths is None:
            return faces.load(size)
        found, digest = read()
        return found if channels == 3 else to_grey(found), {}, digest

    def decide():
        if paths is None:
            return 3
        if settings['channels'] != 'auto':
            return int(settings['channels'])
        found, _ = read()
        if not is_grey(found):
            return 3
        print(f'All {len(found):,} images are grey: training one channel (--channels 3 trains three)')
        return 1

    def told():
        return f'; skipped: {cache.tell_skipped(skipped)}' if skipped else ''

    if 'image_channels' not in settings:
        settings['image_channels'] = decide()
    channels = settings['image_channels']
    gallery = Gallery(load, settings['mirror'])

    def prepare():
        n, mirrored = (1 + settings['mirror']) * len(gallery.images), ', mirrored ones included' * settings['mirror']
        where = 'drawn faces' if paths is None else ' and '.join(paths)
        if n < settings['batchsize']:
            raise InputError(f'--batchsize {settings["batchsize"]}: larger than the set, {n} images of {where}{mirrored}. '
                             f'Add images, or pass --batchsize {n}{told()}')
        if paths is None:
            return {}
        in_grey = ', in grey (--channels 1)' * (settings['channels'] == '1')
        print(f'{n:,} images of {where}{mirrored}{in_grey}{told()}{", see skipped.txt" * bool(skipped)}')
        lines = (f'{name}: {reason}'.replace('\n', ' ') for name, reason in skipped)      # a name may have a line break
        return {'skipped.txt': ''.join(f'{line}\n' for line in lines)} if skipped else {}

    def grid(samples, file, title):
        images.grid(file, to_bytes(samples[:100]), title)

    weights = flags.image_weights(settings['init'], settings['init_std'])
    return Experiment(
        generator=Generator(settings['latent'], settings['hidden_g'], (size, size), channels, settings['activation_g'],
                            NORMS_G[settings['norm_g']], weights, upsample=settings['upsample']),
        discriminator=Discriminator(settings['hidden_d'], (size, size), channels, settings['activation_d'],
                                    NORMS_D[settings['norm_d']], weights),
        latent_size=settings['latent'], latent_distribution=settings['latent_distribution'],
        data=gallery, samples=settings['metric_samples'], shown=100, evaluate=gallery.metrics,
        draw=grid, figures={'samples': grid},
        show={'sliced_wasserstein': 'distance', 'diversity': 'diversity'},
        blas_threads=1,         # convolutions use threads of their own
        prepare=prepare, fingerprint=lambda: gallery.fingerprint)


if __name__ == '__main__':
    console.leave(run.main(make_parser(), build))
