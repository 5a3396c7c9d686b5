"""Estimate how many GPUs speed up training, from the sizes of gradients and published bandwidths.

    python benchmarks/scaling_limit.py                          the tables of docs/parallel.md
    python benchmarks/scaling_limit.py --rate 100 --launch 2    with other rates of a GPU

An update with b images on one GPU is assumed to take a time for each kernel and a time for its floating point operations:

    update(b) = kernels * launch + b * operations of an image / rate

A ring all-reduce averages the gradients. Among n GPUs it takes 2 (n - 1) steps, each of which sends an n-th of the gradient:

    exchange(n) = start + 2 (n - 1) * step + 2 (n - 1) / n * bytes / bandwidth

An update has one exchange for each network, during which no GPU computes. With a batch of B images, strong scaling speeds up
training by update(B) / (update(B / n) + exchanges). Weak scaling has the efficiency update(B) / (update(B) + exchanges).
"""
import argparse
import dataclasses
import sys

import numpy as np
from scaling import build
from speed import positive

# name in the table: experiment, preset, and kernels of an update, which docs/gpu.md counts; for faces, those of 32x32
NETWORKS = {'Gaussian, `default`': ('gaussian', 'default', 84), 'MNIST, `default`': ('mnist', 'default', 138),
            'faces 64x64, `default`': ('anime', 'default', 155), 'faces 96x96, `blog`': ('anime', 'blog', 155)}
# bytes/s in each direction: NVLink 4 of an H100, 16 lanes of PCIe 5.0, and one port of 100 GbE for each machine
BANDWIDTHS = {'NVLink': 450e9, 'PCIe': 64e9, 'network': 12.5e9}
# NCCL's protocols Simple and LL: seconds to start, the fraction of the bandwidth, and seconds of a step by NVLink, PCIe and
# network; from NCCL's tuning model, src/graph/tuning.cc
PROTOCOLS = [(8.4e-6, 1.0, {'NVLink': 3.4e-6, 'PCIe': 5.7e-6, 'network': 14e-6}),
             (6.6e-6, 0.25, {'NVLink': 0.6e-6, 'PCIe': 1.0e-6, 'network': 2.7e-6})]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """GPUs in one or several machines: the number of machines, of GPUs in each, and the link between these."""

    machines: int
    gpus: int
    link: str

    def exchange(self, size, n):
        """Return the seconds of an all-reduce of `size` bytes among n of the GPUs, in as few machines as possible."""
        machines = -(-n // self.gpus)
        across, steps = 2 * (machines - 1), 2 * (n - 1)
        bandwidth = BANDWIDTHS['network' if across else self.link]
        return min(start + across * step['network'] + (steps - across) * step[self.link]
                   + steps / n * size / (fraction * bandwidth) for start, fraction, step in PROTOCOLS)


CLUSTERS = {'8 GPUs, NVLink': Cluster(1, 8, 'NVLink'), '8 GPUs, PCIe': Cluster(1, 8, 'PCIe'),
            '16 machines, 100 GbE': Cluster(16, 1, 'PCIe'), '16 machines of 8 GPUs, NVLink, 100 GbE': Cluster(16, 8, 'NVLink')}


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair of networks: batch size, parameters of G and D, operations of an update for each image, and kernels."""

    batch: int
    parameters: tuple
    operations: int
    kernels: int

    def update(self, images, rate, launch):
        """Return the seconds of an update on one GPU, with operations/s and seconds for each kernel."""
        return self.kernels * launch + images * self.operations / rate

    def exchanges(self, cluster, n):
        """Return the seconds of both networks' exchanges among n GPUs of a cluster."""
        return sum(cluster.exchange(4 * parameters, n) for parameters in self.parameters)


def products(link, x):
    """Return the number of products in the forward pass of a link for one example, and what it returns for x."""
    import chainer

    class Count(chainer.LinkHook):
        name, total = 'Count', sum(p.size for p in link.params() if p.ndim == 2)       # fully connected layers

        def forward_postprocess(self, args):
            weights = getattr(args.link, 'W', None)
            if weights is not None and weights.ndim == 4:
                small = args.args[0] if isinstance(args.link, chainer.links.Deconvolution2D) else args.out
                self.total += weights.size * int(np.prod(small.shape[2:]))

    with Count() as count, chainer.no_backprop_mode(), chainer.using_config('train', False):
        y = link(x)
    return count.total, y


def case(experiment, preset, kernels):
    """Return the `Case` of a training script's preset."""
    settings, made = build(experiment, preset)
    g, images = products(made.generator, np.zeros((1, made.latent_size), np.float32))
    d, _ = products(made.discriminator, images)
    # A gradient with respect to weights or inputs takes as many operations as a forward pass. G runs forward in both steps and
    # has both gradients in one. D runs forward three times, has both gradients in its own step, and that of its inputs in G's.
    return Case(settings['batchsize'], (made.generator.count_params(), made.discriminator.count_params()),
                2 * ((2 + 2) * g + (3 + 2 * 2 + 1) * d), kernels)


def limit(case, cluster, rate, launch):
    """Return the cells of a row of the second table.

    These are the time of the exchanges among all GPUs of the cluster, the speed-up by strong scaling to all GPUs, the largest
    number of GPUs (a power of two) with half of the ideal speed-up by strong scaling, the efficiency of weak scaling to all
    GPUs, and how many images each GPU needs for an efficiency of 80%.
    """
    def speed_up(n):
        return alone / (case.update(case.batch / n, rate, launch) + case.exchanges(cluster, n))

    alone, n = case.update(case.batch, rate, launch), cluster.machines * cluster.gpus
    exchanges = case.exchanges(cluster, n)
    ends = max((m for m in (2 ** i for i in range(1, n.bit_length())) if speed_up(m) >= m / 2), default=1)
    least = max(1, np.ceil((4 * exchanges - case.update(0, rate, launch)) * rate / case.operations))
    strong = f'{speed_up(n):.1f}' if n <= case.batch else 'batch too small'
    return f'{1e3 * exchanges:.2f}', strong, f'{ends}', f'{alone / (alone + exchanges):.0%}', f'{least:,.0f}'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rate', type=positive, default=50, metavar='TFLOPS',
                        help='10^12 operations/s of a GPU in these networks (default: 50, an assumption)')
    parser.add_argument('--launch', type=positive, default=3, metavar='MICROSECONDS',
                        help='shortest time of a kernel in a CUDA graph (default: 3, an assumption)')
    args = parser.parse_args()
    assumed = args.rate * 1e12, args.launch * 1e-6
    cases = {name: case(*sizes) for name, sizes in NETWORKS.items()}
    print('| networks | batch | parameters of G | of D | MB exchanged | GFLOP an image | assumed ms an update |')
    print('|---|--:|--:|--:|--:|--:|--:|')
    for name, c in cases.items():
        g, d = c.parameters
        print(f'| {name} | {c.batch} | {g:,} | {d:,} | {4 * (g + d) / 1e6:.2f} | {c.operations / 1e9:.4f} '
              f'| {1e3 * c.update(c.batch, *assumed):.2f} |')
    print('\n| networks | on | ms of exchanges | strong: speed-up | GPUs at 50% | weak: efficiency | images each for 80% |')
    print('|---|---|--:|--:|--:|--:|--:|')
    for name, c in cases.items():
        for where, cluster in CLUSTERS.items():
            print(f'| {name} | {where} | {" | ".join(limit(c, cluster, *assumed))} |')


if __name__ == '__main__':
    sys.exit(main())
