"""Times one update of the blog's perceptrons (batch 100): lsgan, stock Chainer and PyTorch eager, in turn in one process.

    python benchmarks/gaussian.py                       a table of medians; PyTorch's row needs `pip install torch`
    python benchmarks/gaussian.py --rounds 15

Each side does the same work: draws a batch of the ring and latents twice, steps D on real and generated points in one pass,
steps G through D with D's weights frozen, both by Adam. PyTorch runs with one thread and with all, and so does stock Chainer.
"""
import argparse
import contextlib
import os
import platform
import statistics
import time

import numpy as np
import threadpoolctl

import lsgan
from lsgan import functions, losses
from lsgan.datasets.mixture import GaussianMixture, MixtureIterator, ring
from lsgan.networks.gaussian import Perceptron
from lsgan.random import Latent, Stream
from lsgan.training import run
from lsgan.training.updater import GANUpdater, frozen

BATCH, LATENT, G, D = 100, 256, (256, 128, 128, 2), (2, 128, 128, 1)


def lsgan_side():
    cpu = run.select_device('-1')
    networks = {'generator': Perceptron(G, 'relu'), 'discriminator': Perceptron(D, 'leaky_relu')}
    mixture = GaussianMixture(ring(8, 2.0), 0.04)
    return GANUpdater(
        MixtureIterator(mixture, BATCH, Stream(0, 'data', cpu), 500),
        {name: functions.Adam(1e-4, 0.5).setup(link) for name, link in networks.items()},
        losses.LeastSquares(), Latent(LATENT, 'normal', Stream(0, 'latent', cpu))).update


def stock_side():
    import chainer
    import chainer.functions as F
    import chainer.links as L

    class MLP(chainer.ChainList):
        def __init__(self, sizes, activation):
            super().__init__(*(L.Linear(a, b) for a, b in zip(sizes, sizes[1:])))
            self.activation = activation

        def forward(self, h):
            for layer in self[:-1]:
                h = self.activation(layer(h))
            return self[-1](h)

    g, d = MLP(G, F.relu), MLP(D, F.leaky_relu)
    opt_g, opt_d = (chainer.optimizers.Adam(1e-4, beta1=0.5).setup(link) for link in (g, d))
    centers = ring(8, 2.0).astype('f')

    def latents():
        return np.random.standard_normal((BATCH, LATENT)).astype('f')

    def update():
        real = centers[np.random.randint(8, size=BATCH)] + 0.04 * np.random.standard_normal((BATCH, 2)).astype('f')
        with chainer.no_backprop_mode():
            fake = g(latents())
        on_real, on_fake = F.split_axis(d(np.concatenate([real, fake.array])), 2, axis=0)
        loss = 0.5 * F.mean((on_real - 1) ** 2) + 0.5 * F.mean(on_fake ** 2)
        d.cleargrads()
        loss.backward()
        opt_d.update()
        with frozen(d):
            loss = 0.5 * F.mean((d(g(latents())) - 1) ** 2)
            g.cleargrads()
            loss.backward()
        opt_g.update()
    return update


def torch_side():
    import torch
    from torch import nn

    def mlp(sizes, activation):
        layers = [module for a, b in zip(sizes, sizes[1:]) for module in (nn.Linear(a, b), activation())]
        return nn.Sequential(*layers[:-1])

    g, d = mlp(G, nn.ReLU), mlp(D, lambda: nn.LeakyReLU(0.2))
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.999)) for net in (g, d))
    centers = torch.tensor(ring(8, 2.0), dtype=torch.float32)

    def update():
        real = centers[torch.randint(8, (BATCH,))] + 0.04 * torch.randn(BATCH, 2)
        with torch.no_grad():
            fake = g(torch.randn(BATCH, LATENT))
        on_real, on_fake = d(torch.cat([real, fake])).chunk(2)
        loss = 0.5 * ((on_real - 1) ** 2).mean() + 0.5 * (on_fake ** 2).mean()
        opt_d.zero_grad()
        loss.backward()
        opt_d.step()
        d.requires_grad_(False)
        loss = 0.5 * ((d(g(torch.randn(BATCH, LATENT))) - 1) ** 2).mean()
        opt_g.zero_grad()
        loss.backward()
        opt_g.step()
        d.requires_grad_(True)
    return update


@contextlib.contextmanager
def torch_threads(n):
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    yield
    torch.set_num_threads(before)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=9, help='rounds of each side, in turn (default: 9)')
    parser.add_argument('--updates', type=int, default=200, help='updates in a round (default: 200)')
    args = parser.parse_args()
    cores = os.cpu_count()

    def blas(threads):
        return lambda: threadpoolctl.threadpool_limits(threads, 'blas')

    stock = stock_side()
    sides = {'lsgan, 1 thread': (lsgan_side(), blas(1)),
             'stock Chainer, 1 thread': (stock, blas(1)), f'stock Chainer, {cores} threads': (stock, blas(cores))}
    try:
        eager = torch_side()
    except ImportError:
        print('PyTorch is not installed: pip install torch adds its rows')
    else:
        for threads in {1, cores}:
            sides[f'PyTorch eager, {threads} thread{"s" * (threads > 1)}'] = (eager, lambda n=threads: torch_threads(n))

    times = {name: [] for name in sides}
    for lap in range(args.rounds + 1):
        for name, (update, limits) in sides.items():
            with limits():
                start = time.perf_counter()
                for _ in range(args.updates):
                    update()
                if lap:     # the first warms up
                    times[name].append(1e3 * (time.perf_counter() - start) / args.updates)
    print(f'lsgan {lsgan.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, {cores} cores, '
          f'{args.rounds} rounds of {args.updates} updates in turn')
    print(f'{"":<28}{"ms an update":>14}{"min":>8}{"max":>8}{"time over lsgan’s":>20}')
    for name, own in times.items():
        ratio = statistics.median(b / a for a, b in zip(times['lsgan, 1 thread'], own))
        print(f'{name:<28}{statistics.median(own):>14.2f}{min(own):>8.2f}{max(own):>8.2f}{ratio:>20.2f}')


if __name__ == '__main__':
    main()
