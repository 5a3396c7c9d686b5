#!/usr/bin/env python
"""Check that cuDNN has a plan for every convolution of every preset, image size and upsampling method, on an H100.

    python benchmarks/cudnn_plans.py
    python benchmarks/cudnn_plans.py --sizes 64 96 --presets blog

The script builds the plans for an H100 but does not run them, so it needs no GPU. It needs nvidia-cudnn-frontend and
nvidia-cudnn-cu12 or nvidia-cudnn-cu13 and, on a machine without NVIDIA's driver, a C compiler. For each preset the table shows
the number of different convolutions, how many of the plans that training needs exist, with TF32 and without, and the largest
workspace. All plans are deterministic. Convolutions without a plan are listed below the table. lsgan computes them by im2col,
and this script then ends with exit status 1.
"""
import argparse
import ctypes
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import lsgan  # noqa: F401  must be imported before chainer

# isort: split
import chainer
import numpy

import train_anime
import train_mnist
from lsgan.functions import convolution
from lsgan.functions.gpu import cudnn
from lsgan.training import flags

# Properties from NVIDIA's data sheet of the H100 SXM, in the format of the front end's `device_properties.serialize()`
H100 = {
    'deviceVer': 900, 'driverVer': 13020, 'cudaDeviceId': 0, 'deviceName': 'NVIDIA H100 80GB HBM3', 'pciDeviceId': 0x2330,
    'isTccDriver': 0, 'maxGridSize': [2147483647, 65535, 65535], 'maxBlockSize': [1024, 1024, 64], 'maxThreadsPerBlock': 1024,
    'maxThreadsPerSM': 2048, 'maxCtasPerSM': 32, 'warpSize': 32, 'multiProcessorCount': 132, 'regsPerBlock': 65536,
    'maxRegistersPerSM': 65536, 'maxSharedMemoryPerBlock': 49152, 'maxSharedMemoryPerBlockOptin': 232448,
    'reservedSharedMemoryPerBlock': 1024, 'oversizedSharedMemoryPerBlock': 0, 'smClockRateKHz': 1980000,
    'memClockRateKHz': 2619000, 'memoryBusWidth': 5120, 'l2CacheSize': 52428800, 'totalGlobalMem': 85000000000,
    'supportCoopLaunch': 1}
SIZES = range(32, 257, 16)
# The functions of NVIDIA's driver that cuDNN needs when it is loaded
DRIVER = 'int cuInit() { return 100; }\n' + '\n'.join(f'int {name}() {{ return 100; }}' for name in (
    'cuGetErrorString', 'cuGetErrorName', 'cuModuleGetFunction', 'cuModuleLoadData', 'cuModuleUnload',
    'cuTensorMapEncodeIm2col', 'cuTensorMapEncodeTiled'))


def load_driver():
    """Load NVIDIA's driver or, if there is none, a library of that name that reports no GPU."""
    try:
        ctypes.CDLL('libcuda.so.1')
    except OSError:
        with tempfile.TemporaryDirectory() as folder:
            source, library = (pathlib.Path(folder, name) for name in ('driver.c', 'libcuda.so.1'))
            source.write_text(DRIVER)
            subprocess.run([os.environ.get('CC', 'cc'), '-shared', '-fPIC', '-w', '-Wl,-soname,libcuda.so.1', '-o', library,
                            source], check=True)
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def convolutions(networks, inputs):
    """Find the convolutions in a forward pass of networks.

    Args:
        networks (sequence of chainer.Link): the networks.
        inputs (sequence of array): an input for each of them.

    Returns:
        set of tuple: geometry, channels of the small and of the big image, and whether it is a convolution rather than a
            deconvolution.
    """
    found = set()

    def record(function, arrays):
        x, W = arrays[:2]
        geometry = function.geometry(x, W)
        forward = isinstance(function, convolution._Convolution2D)
        found.add((geometry, *W.shape[:2], forward))
        return numpy.zeros((len(x), W.shape[1 - function.input_axis], *(geometry.small if forward else geometry.big)), 'f'),
    with (mock.patch.object(convolution._Convolution, 'forward', record), chainer.no_backprop_mode(),
          chainer.using_config('train', False)):
        for network, x in zip(networks, inputs):
            network(x)
    return found


def experiments(presets, sizes):
    """Yield the name, batch size, (generator, discriminator) and image shape of each combination of settings."""
    small = {'latent': 1}       # no convolution depends on the size of the latents
    for preset in presets or train_anime.PRESETS:
        for upsample in train_anime.UPSAMPLINGS:
            name = f'train_anime.py {preset} {upsample}'
            for size, channels in itertools.product(sizes, (1, 3)):
                settings = flags.resolve('anime', {'preset': preset, 'size': size, 'upsample': upsample, **small},
                                         train_anime.PRESETS)
                if size % 2 ** max(len(settings['hidden_g']), len(settings['hidden_d'])) == 0:
                    made = train_anime.build({**settings, 'image_channels': channels})
                    yield name, settings['batchsize'], (made.generator, made.discriminator), (channels, size, size)
    for preset in presets or train_mnist.PRESETS:
        if preset in train_mnist.PRESETS:
            settings = flags.resolve('mnist', {'preset': preset, 'network': 'conv', **small}, train_mnist.PRESETS)
            yield (f'train_mnist.py {preset}', settings['batchsize'], train_mnist.networks(settings, (1, 28, 28)), (1, 28, 28))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--presets', nargs='+', metavar='NAME', choices={*train_anime.PRESETS, *train_mnist.PRESETS},
                        help='presets to check (default: all)')
    parser.add_argument('--sizes', nargs='+', type=train_anime.side, default=SIZES, metavar='PIXELS',
                        help='image sizes of train_anime.py to check, in pixels (default: 32, 48, ..., 256)')
    args = parser.parse_args()
    load_driver()
    front_end = cudnn._front_end()
    if front_end is None:
        parser.error('cuDNN is not installed. Install it: pip install nvidia-cudnn-frontend nvidia-cudnn-cu13')
    device = {'device_property': front_end.create_device_properties(json.dumps(H100)), 'sm_version': 90}
    needed = {}
    for name, batch, networks, shape in experiments(args.presets, args.sizes):
        latent = numpy.zeros((1, 1), 'f')
        for found in convolutions(networks, (latent, numpy.zeros((1, *shape), 'f'))):
            # D processes real and generated images in one batch if its layers allow it
            needed.setdefault(name, set()).update((n, *found) for n in (batch, 2 * batch))

    built, missing = {}, []
    print(f'cuDNN {front_end.backend_version_string()}, front end {front_end.__version__}')
    print(f'{"":34}{"convolutions":>12}{"TF32":>12}{"float32":>12}{"MiB":>8}')
    for name, shapes in needed.items():
        counts, most = {True: 0, False: 0}, 0
        for shape, direction, tf32 in itertools.product(shapes, ('fprop', 'dgrad', 'wgrad'), counts):
            n, geometry, *channels, forward = shape
            arguments = direction, n, *channels, geometry, forward and direction == 'fprop', tf32, True
            if arguments not in built:
                try:
                    built[arguments] = cudnn.Plan(*arguments, **device).workspace
                except front_end.cudnnGraphNotSupportedError:
                    missing.append(arguments)
                    built[arguments] = None
            counts[tf32] += built[arguments] is not None
            most = max(most, built[arguments] or 0)
        columns = ''.join(f'{f"{count} of {3 * len(shapes)}":>12}' for count in counts.values())
        print(f'{name:34}{len(shapes) // 2:12}{columns}{most / 2 ** 20:8.0f}', flush=True)
    for arguments in missing:
        print('no plan:', *arguments)
    print(f'{len(built)} different plans, {len(missing)} missing')
    return bool(missing)


if __name__ == '__main__':
    sys.exit(main())
