"""The GANs of speed.py in PyTorch, with the same layers, losses and optimizers, and with the same work in an update."""
import math

import torch
from torch import nn


def _linear(sizes, *after):
    """Return linear layers. Each is followed by one layer from every function in `after`, which takes the number of units."""
    return [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), *(make(b) for make in after))]


def _relu(_):
    return nn.ReLU(True)


def _leaky_relu(_):
    return nn.LeakyReLU(0.2, True)


def _perceptrons(case):
    normalised = len(case.shape) == 1 and case.shape[0] > 2     # only the perceptrons for MNIST, not those for points
    after = [_relu, nn.BatchNorm1d] if normalised else [_relu]
    g = _linear([case.latent, *case.widths_g], *after) + _linear([case.widths_g[-1], *case.shape])
    d = _linear([*case.shape, *case.widths_d], _leaky_relu) + _linear([case.widths_d[-1], 1])
    return g + [nn.Tanh()] * normalised, d


def _convolutions(case):
    colours, *size = case.shape
    start = case.widths_g[0], *(side // 2 ** len(case.widths_g) for side in size)
    g = [*_linear([case.latent, math.prod(start)], nn.BatchNorm1d, _relu), nn.Unflatten(1, start)]
    for a, b in zip(case.widths_g, [*case.widths_g[1:], colours]):
        g += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.ReLU(True)]
    g[-2:] = [nn.Tanh()]
    d = []
    for a, b in zip([colours, *case.widths_d], case.widths_d):
        d += [nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.LeakyReLU(0.2, True)]
    units = case.widths_d[-1] * math.prod(side // 2 ** len(case.widths_d) for side in size)
    return g, [*d, nn.Flatten(), nn.Linear(units, 1)]


def networks(case):
    """Return the layers of the generator and of the discriminator, two lists.

    Args:
        case (speed.Case): the sizes.
    """
    return (_convolutions if case.is_image else _perceptrons)(case)


def make_update(case, real, device, tuned=False, compiled=False):
    """Return a function that runs one update and returns nothing.

    Args:
        case (speed.Case): the sizes.
        real (numpy.ndarray): the real batch, float32 (N, ...), the same in every update.
        device (torch.device): the device that computes.
        tuned (bool): whether to store images with channels last and, on a GPU, to use TF32, PyTorch's fused Adam and the
            algorithms that cuDNN finds fastest.
        compiled (bool): whether `torch.compile` compiles the losses and, on a GPU, replays them as CUDA graphs.
    """
    on_gpu, batch = device.type == 'cuda', len(real)
    if tuned and on_gpu:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    layout = {'memory_format': torch.channels_last} if tuned and case.is_image else {}
    g, d = (nn.Sequential(*layers).to(device, **layout) for layers in networks(case))
    step_g, step_d = (torch.optim.Adam(network.parameters(), 1e-4, (0.5, 0.999), fused=tuned and on_gpu or None)
                      for network in (g, d))
    normalised = any(isinstance(layer, nn.BatchNorm2d) for layer in d)
    real = torch.from_numpy(real).to(device, **layout)

    def latents():
        return torch.randn(batch, case.latent, device=device)

    def loss_of_d(real):
        with torch.no_grad():
            fake = g(latents())
        # in one forward pass, batch normalisation would mix the statistics of the two batches
        on_real, on_fake = (d(real), d(fake)) if normalised else d(torch.cat([real, fake])).chunk(2)
        return 0.5 * ((on_real - 1) ** 2).mean() + 0.5 * (on_fake ** 2).mean()

    def loss_of_g():
        return 0.5 * ((d(g(latents())) - 1) ** 2).mean()

    if compiled:
        loss_of_d, loss_of_g = (torch.compile(loss, mode='reduce-overhead') for loss in (loss_of_d, loss_of_g))

    def step(optimizer, loss):
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()       # immediately, because the next replay of a CUDA graph overwrites the gradients

    def update():
        if compiled:
            torch.compiler.cudagraph_mark_step_begin()
        step(step_d, loss_of_d(real))
        d.requires_grad_(False)
        step(step_g, loss_of_g())
        d.requires_grad_(True)
    return update
