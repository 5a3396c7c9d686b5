"""Times one update of each experiment's networks: lsgan, stock Chainer and PyTorch, in turn.

    python benchmarks/speed.py                  all networks on the CPU; PyTorch's rows need `pip install torch`
    python benchmarks/speed.py dcgan96 --rounds 9
    python benchmarks/speed.py dcgan96 --batchsize 256
    python benchmarks/speed.py --device 0       on a GPU; there PyTorch has TF32 and its fused Adam

Every side does the same work, on the same number of threads, in a process of its own: it draws latents, steps D on a real and
a generated batch, and steps G through D, whose weights are frozen meanwhile, both by Adam. The sides take turns, so that what
disturbs the machine disturbs all; compilation and warm-up come before. Memory is the most that a process ever held, on a GPU
the most that its memory pool did.
"""
import argparse
import importlib.util
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
import types

import numpy as np
import threadpoolctl

# batch, latent, shape of an example, widths of G and of D, updates in a round on a CPU
CASES = {
    'gaussian': (100, 256, (2,), (128, 128), (128, 128), 200),
    'mnist': (100, 50, (784,), (500, 500), (500, 500), 50),
    'dcgan28': (64, 50, (1, 28, 28), (128, 64), (64, 128), 10),
    'dcgan64': (64, 50, (3, 64, 64), (512, 256, 128, 64), (32, 64, 128, 256), 2),
    'dcgan96': (32, 50, (3, 96, 96), (512, 256, 128, 64), (32, 64, 128, 256), 2),
}
GPU_BATCH, GPU_UPDATES = {'dcgan64': 128, 'dcgan96': 128}, 50


class Repeat:
    """An iterator that yields the same batch for ever."""

    def __init__(self, batch):
        self.batch = batch

    def next(self):
        return self.batch


def peak_of_process():
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024) / 2 ** 20


def side_of(update, wait=lambda: None, peak=peak_of_process):
    """What a process has to offer: one update, waiting until the device has done all, and the most memory so far, in MiB."""
    return types.SimpleNamespace(update=update, wait=wait, peak=peak)


def chainer_side(case, batch, real, threads, device, fast):
    from lsgan import functions, losses
    from lsgan.functions.cpu import memory
    from lsgan.networks import gaussian, image, mnist
    from lsgan.random import Latent, Stream
    from lsgan.training.devices import select_device
    from lsgan.training.updater import GANUpdater
    import chainer  # isort: skip (lsgan makes it importable)
    _, latent, shape, widths_g, widths_d, _ = CASES[case]
    if len(shape) == 3:
        networks = {'generator': image.Generator(latent, widths_g, shape[1:], shape[0]),
                    'discriminator': image.Discriminator(widths_d, shape[1:], shape[0])}
    else:
        networks = {'generator': gaussian.Perceptron((latent, *widths_g, *shape), 'relu') if case == 'gaussian'
                    else mnist.PerceptronGenerator(latent, widths_g, shape),
                    'discriminator': gaussian.Perceptron((*shape, *widths_d, 1), 'leaky_relu')}
    chainer.global_config.fast, chainer.global_config.cpu_threads = fast, threads
    device, _ = select_device(device)
    for link in networks.values():
        link.to_device(device)
    if fast:        # as the scripts do
        memory.keep_freed_memory()
    if fast and case != 'mnist':        # as the scripts do; lsgan's own threads convolve
        threadpoolctl.threadpool_limits(1, 'blas')
    optimizers = {name: functions.Adam(1e-4, 0.5).setup(link) for name, link in networks.items()}
    latents = Latent(latent, 'normal', Stream(0, 'latent', device))
    update = GANUpdater({'main': Repeat(device.send(real))}, optimizers, losses.LeastSquares(), latents).update_core
    if device.xp is np:
        return side_of(update)
    pool = device.xp.get_default_memory_pool()
    return side_of(update, lambda: device.xp.cuda.get_current_stream().synchronize(), lambda: pool.total_bytes() / 2 ** 20)


def torch_side(case, batch, real, threads, device, memory_format):
    import torch
    from torch import nn
    torch.set_num_threads(threads)
    on_gpu = device != '-1'
    device = torch.device(f'cuda:{device}' if on_gpu else 'cpu')
    if on_gpu:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    _, latent, shape, widths_g, widths_d, _ = CASES[case]

    def linear(sizes, *after):
        return [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), *(make(b) for make in after))]

    def relu(_=None):
        return nn.ReLU(True)

    def leaky(_=None):
        return nn.LeakyReLU(0.2, True)

    if len(shape) == 3:
        scale = 2 ** len(widths_g)
        start = widths_g[0], shape[1] // scale, shape[2] // scale
        units = int(np.prod(start))
        g = [*linear([latent, units], nn.BatchNorm1d, relu), nn.Unflatten(1, start)]
        for a, b in zip(widths_g, [*widths_g[1:], shape[0]]):
            g += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.ReLU(True)]
        g[-2:] = [nn.Tanh()]
        d = []
        for a, b in zip([shape[0], *widths_d], widths_d):
            d += [nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), leaky()]
        d += [nn.Flatten(), nn.Linear(widths_d[-1] * start[1] * start[2], 1)]
    else:
        after = [relu] if case == 'gaussian' else [relu, nn.BatchNorm1d]
        g = linear([latent, *widths_g], *after) + linear([widths_g[-1], *shape]) + ([] if case == 'gaussian' else [nn.Tanh()])
        d = linear([*shape, *widths_d], leaky) + linear([widths_d[-1], 1])
    g, d = (nn.Sequential(*layers).to(device, memory_format=memory_format) for layers in (g, d))
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.999), fused=on_gpu) for net in (g, d))
    normalised = any(isinstance(layer, nn.BatchNorm2d) for layer in d)
    real = torch.from_numpy(real).to(device)
    if len(shape) == 3:
        real = real.contiguous(memory_format=memory_format)

    def update():
        with torch.no_grad():
            fake = g(torch.randn(batch, latent, device=device))
        on_real, on_fake = (d(real), d(fake)) if normalised else d(torch.cat([real, fake])).chunk(2)
        loss = 0.5 * ((on_real - 1) ** 2).mean() + 0.5 * (on_fake ** 2).mean()
        opt_d.zero_grad()
        loss.backward()
        opt_d.step()
        d.requires_grad_(False)
        loss = 0.5 * ((d(g(torch.randn(batch, latent, device=device))) - 1) ** 2).mean()
        opt_g.zero_grad()
        loss.backward()
        opt_g.step()
        d.requires_grad_(True)
    if not on_gpu:
        return side_of(update)
    return side_of(update, torch.cuda.synchronize, lambda: torch.cuda.max_memory_reserved() / 2 ** 20)


def torch_contiguous(*args):
    import torch
    return torch_side(*args, torch.contiguous_format)


def torch_channels_last(*args):
    import torch
    return torch_side(*args, torch.channels_last)


def fast(*args):
    return chainer_side(*args, True)


def stock(*args):
    return chainer_side(*args, False)


def work(pipe, make, case, batch, threads, device):
    """A process of one side: answers a number of updates with the seconds that they took, nothing with its peak memory."""
    real = np.random.default_rng(0).uniform(-1, 1, (batch, *CASES[case][2])).astype(np.float32)
    side = make(case, batch, real, threads, device)
    for _ in range(2):
        side.update()
    pipe.send('ready')
    while (updates := pipe.recv()) is not None:
        side.wait()
        start = time.perf_counter()
        for _ in range(updates):
            side.update()
        side.wait()
        pipe.send(time.perf_counter() - start)
    pipe.send(side.peak())


def measure(case, batch, sides, rounds, device):
    """For each side the seconds an update in each round, and its peak memory in MiB."""
    context = multiprocessing.get_context('spawn')
    pipes, processes = {}, []
    for name, (side, threads) in sides.items():
        os.environ['OMP_NUM_THREADS'] = os.environ['OPENBLAS_NUM_THREADS'] = str(threads)
        pipes[name], end = context.Pipe()
        processes.append(context.Process(target=work, args=(end, side, case, batch, threads, device)))
        processes[-1].start()
        end.close()
        pipes[name].recv()
    seconds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            usual = CASES[case][-1] * CASES[case][0] // batch if device == '-1' else GPU_UPDATES
            updates = max(1, usual // 4 if sides[name][0] is stock else usual)
            pipe.send(updates)
            seconds[name].append(pipe.recv() / updates)
    memory = {}
    for name, pipe in pipes.items():
        pipe.send(None)
        memory[name] = pipe.recv()
    for process in processes:
        process.join()
    return seconds, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('networks', nargs='*', choices=[[], *CASES], metavar='NETWORK',
                        help=f'any of {", ".join(CASES)} (default: all)')
    parser.add_argument('--rounds', type=int, default=7, help='rounds of each side, in turn (default: 7)')
    parser.add_argument('--batchsize', type=int, help='another batch size than the usual one')
    parser.add_argument('--device', default='-1', help='-1 for the CPU, 0 for the first GPU (default: -1)')
    parser.add_argument('--threads', type=int, default=os.cpu_count(), help='threads of every side (default: all cores)')
    args = parser.parse_args()
    from lsgan.errors import InputError  # not by the processes of PyTorch's sides, whose memory is measured
    from lsgan.training.devices import select_device
    try:
        select_device(args.device)
    except InputError as error:
        parser.error(error)
    sides = {'lsgan': (fast, args.threads)}
    if importlib.util.find_spec('torch'):
        sides['PyTorch'] = torch_contiguous, args.threads
        sides['PyTorch channels_last'] = torch_channels_last, args.threads
    else:
        print('PyTorch is not installed: pip install torch adds its rows')
    sides['stock Chainer'] = stock, args.threads
    if args.threads > 1 and args.device == '-1':
        sides['lsgan, 1 thread'] = fast, 1
    print(f'NumPy {np.__version__}, Python {platform.python_version()}, {args.threads} threads, {args.rounds} rounds in turn')
    print(f'{"":<34}{"ms an update":>14}{"images/s":>10}{"time over lsgan’s":>20}{"peak MiB":>10}')
    for case in args.networks or CASES:
        batch = args.batchsize or (args.device != '-1' and GPU_BATCH.get(case)) or CASES[case][0]
        of_case = {name: side for name, side in sides.items() if len(CASES[case][2]) == 3 or 'last' not in name}
        seconds, memory = measure(case, batch, of_case, args.rounds, args.device)
        for name, own in seconds.items():
            ratio = statistics.median(b / a for a, b in zip(seconds['lsgan'], own))
            median = statistics.median(own)
            title = f'{case}, batch {batch}' if name == 'lsgan' else ''
            print(f'{title:<20}{name:<22}{1e3 * median:>8.1f}{batch / median:>10.0f}{ratio:>20.2f}'
                  f'{memory[name]:>10.0f}', flush=True)


if __name__ == '__main__':
    main()
