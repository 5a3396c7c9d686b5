#!/usr/bin/env python
"""Train a GAN on a mixture of Gaussians in the plane, and count the modes that it covers.

A GAN has two networks: the generator G generates points, and the discriminator D learns to tell them from real points.

    train_gaussian.py                                   least squares GAN with our tuned settings
    train_gaussian.py --preset blog -o result/blog      settings of the blog post
    train_gaussian.py --loss wgan -o result/wgan        another loss on the same data
    train_gaussian.py --resume                          continue after Ctrl-C or a crash
    visualize.py all result/gaussian                    draw every picture of a run

Pictures, log, snapshots and metrics are written to the run folder, result/gaussian.
"""

import numpy as np

from lsgan import console
from lsgan.datasets import mixture
from lsgan.figures import points
from lsgan.metrics.modes import mode_statistics
from lsgan.metrics.swd import sliced_wasserstein
from lsgan.networks.gaussian import Perceptron
from lsgan.random import Stream
from lsgan.training import flags, run
from lsgan.training.experiment import Experiment

# With several modes on a ray from the origin. Tuned by hand, see results/gaussian/layouts.md.
CLOSE_MODES = {'latent': 32, 'init_bias': 1.0, 'lr_g': 2e-3, 'lr_decay': 0.0,
               'lr_steps': [[10, 0.5], [14, 0.3], [19, 0.15]], 'average': 0.9998,
               'noise': 0.25, 'noise_end': 0.025, 'noise_share': 1.0, 'epoch': 30}

PRESETS = {
    'default': {
        'about': 'our settings, tuned on the ring of 8 modes',
        'data': 'ring', 'modes': 8, 'radius': 2.0, 'sigma': 0.04,
        'latent': 256, 'hidden_g': [128] * 4, 'hidden_d': [128] * 3, 'activation_g': 'relu', 'activation_d': 'leaky_relu',
        'init': 'he', 'init_scale': 1.0,
        'init_bias': 0.0,
        'loss': 'lsgan', 'scheme': 'binary', 'split_discriminator_update': False, 'n_critic': 1, 'clip': 0.01,
        'gradient_penalty': 'none',
        'optimizer': 'adam', 'lr_g': 1e-3, 'lr_d': 1e-3, 'beta1': 0.0, 'beta2': 0.99, 'lr_decay': 0.5,
        'lr_steps': [], 'clip_gradient': 0.0, 'init_from': None,
        'gradient_norms': False, 'noise': 2.0, 'noise_end': 0.02, 'noise_share': 0.7, 'average': 0.999,
        'batchsize': 200, 'epoch': 25, 'epoch_size': 1000,
        'log_interval': 500, 'metric_interval': 500, 'sample_interval': 1000, 'snapshot_interval': 5000, 'keep': 3,
        'tf32': True, 'deterministic': True, 'graph': True, 'tensorboard': False,
        'communicator': 'auto', 'sync_norm': False,
        # tuned with as many trials as least squares, by results/gaussian/tune.py
        'variants': {('loss', 'wgan'): {'optimizer': 'rmsprop', 'clip': 0.03, 'n_critic': 2, 'epoch_size': 500},
                     ('loss', 'gan'): {'hidden_g': [128] * 3, 'beta2': 0.999, 'noise': 0.5, 'average': 0.99},
                     ('data', 'grid'): {**CLOSE_MODES, 'modes': 5}, ('data', 'double-ring'): CLOSE_MODES},
    },
    'blog': {
        'about': 'settings of the blog post, musyoku.github.io/2017/03/06/Least-Squares-Generative-Adversarial-Networks',
        'hidden_g': [128] * 2, 'hidden_d': [128] * 2, 'init': 'normal', 'init_scale': 0.01,
        'lr_g': 1e-4, 'lr_d': 1e-4, 'beta1': 0.5, 'beta2': 0.999, 'lr_decay': 0.0, 'noise': 0.0, 'average': 0.0,
        'batchsize': 100, 'epoch': 200, 'epoch_size': 500, 'sample_interval': 2500,
        'variants': {('loss', 'wgan'): {**flags.WGAN, 'epoch': 40}, ('data', 'grid'): {'modes': 5}},
    },
    'paper': {
        'about': 'settings of the mixture experiment in arXiv:1611.04076 and in the code of its authors',
        'radius': 1.0, 'sigma': 0.01, 'hidden_g': [128] * 2, 'hidden_d': [128] * 2,
        'activation_g': 'tanh', 'activation_d': 'tanh', 'init': 'orthogonal', 'init_scale': 1.4,
        'lr_g': 1e-3, 'lr_d': 1e-4, 'beta1': 0.5, 'beta2': 0.999, 'lr_decay': 0.0, 'noise': 0.0, 'average': 0.0,
        'batchsize': 512, 'epoch': 35,
        'variants': {('loss', 'wgan'): {**flags.WGAN, 'epoch': 7}, ('data', 'grid'): {'modes': 5}},
    },
}


def make_parser():
    """Return the argument parser of this script."""
    parser = flags.Parser('gaussian', __doc__, PRESETS)
    data = parser.add_argument_group('data')        # the first group in the help, because users look for it first
    flags.add_common(parser)
    parser.setting('--data', choices=list(mixture.LAYOUTS), group=data,
                   help='layout of the modes: one ring, two rings, of which one has half the radius, or a square grid')
    parser.setting('--modes', type=flags.positive, group=data, metavar='N',
                   help='number of modes on each ring, or on each side of a grid (with --data grid, the default is 5)')
    parser.setting('--radius', type=flags.length, group=data, help='radius of the outer ring, or half the side of the grid')
    parser.setting('--sigma', type=flags.length, group=data, help='standard deviation of each mode along each axis')
    nets = flags.add_networks(parser, 'dimension of the latents, which are normal',
                              'number of units in each hidden layer of G', 'number of units in each hidden layer of D')
    parser.setting('--init-scale', type=flags.above_zero, group=nets, metavar='S',
                   help='scale of the initial weights: their standard deviation with --init normal, otherwise a factor')
    parser.setting('--init-bias', type=flags.not_negative, group=nets, metavar='S',
                   help='standard deviation of the initial biases in the first layer of each network; others start at 0')
    return parser


def build(settings):
    """Return the experiment that the settings describe, a `lsgan.training.experiment.Experiment`."""
    gaussians = mixture.GaussianMixture(mixture.LAYOUTS[settings['data']](settings['modes'], settings['radius']),
                                        settings['sigma'])
    weights = flags.INITIALIZERS[settings['init']](settings['init_scale'])
    biases = flags.INITIALIZERS['normal'](settings['init_bias']) if settings['init_bias'] else None
    real = gaussians.sample(2500, Stream(settings['seed'], 'real'))
    others = Stream(settings['seed'], 'other real')
    floor = float(np.mean([sliced_wasserstein(gaussians.sample(2500, others), real) for _ in range(10)]))

    def evaluate(samples):
        return {**mode_statistics(samples, gaussians.centers, gaussians.sigma),
                'sliced_wasserstein': sliced_wasserstein(samples, real), 'sliced_wasserstein_floor': floor}

    def picture(figure, real=None):
        return lambda samples, file, title: figure(file, samples, gaussians.centers, gaussians.sigma, title, real)

    return Experiment(
        generator=Perceptron([settings['latent'], *settings['hidden_g'], 2], settings['activation_g'], weights, biases),
        discriminator=Perceptron([2, *settings['hidden_d'], 1], settings['activation_d'], weights, biases),
        latent_size=settings['latent'], latent_distribution='normal',
        data=gaussians,
        samples=2500, shown=2500, evaluate=evaluate,
        draw=picture(points.scatter),
        figures={'scatter': picture(points.scatter, real), 'density': picture(points.density, real)},
        show={'modes_captured': 'modes', 'high_quality': 'quality'},
        blas_threads=1)     # the networks are too small to gain from more threads


if __name__ == '__main__':
    console.leave(run.main(make_parser(), build))
