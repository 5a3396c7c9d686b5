import io
import os
import shutil
import warnings

import cupy_on_cpu

if cupy_on_cpu.requested():     # before anything imports CuPy
    cupy_on_cpu.install()
    os.environ.update(cupy_on_cpu.environment())    # for the processes that tests start

# isort: split
from lsgan.random import Stream  # lsgan goes before chainer

# isort: split
import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import serializers
from running import SHORT, train

from lsgan.training.devices import select_device

with warnings.catch_warnings():
    warnings.simplefilter('ignore', pytest.PytestUnknownMarkWarning)    # the markers of Chainer's own tests
    import chainer.gradient_check


def pytest_report_header():
    if cupy_on_cpu.requested():
        return 'GPU: emulated by tests/cupy_on_cpu'


@pytest.fixture
def make_stream():
    """A function from a seed and a name to a random stream on the CPU."""
    return lambda seed=0, name='test': Stream(seed, name, chainer.get_device('@numpy'))


@pytest.fixture(scope='session')
def gpu():
    """The GPU, made current. Tests that use it are skipped if there is none."""
    device, why = select_device('auto')
    if device.xp is numpy:
        pytest.skip(why)
    return device


@pytest.fixture
def transfer():
    """A function that saves the state of one object as npz and loads it into another."""
    def transfer(source, target):
        file = io.BytesIO()
        serializers.save_npz(file, source)
        file.seek(0)
        serializers.load_npz(file, target)
    return transfer


@pytest.fixture
def arrays_of():
    """A function that returns copies of all parameters of a link, by name."""
    return lambda link: {name: p.array.copy() for name, p in link.namedparams()}


@pytest.fixture
def stock_perceptron():
    """`lsgan.functions.perceptron`, written with Chainer's own functions."""
    activations = {'relu': F.relu, 'leaky_relu': lambda h: F.leaky_relu(h, 0.2), 'tanh': F.tanh,
                   'sigmoid': F.sigmoid}

    def stock_perceptron(x, parameters, activation):
        h = F.linear(x, parameters[0], parameters[1])
        for W, b in zip(parameters[2::2], parameters[3::2]):
            h = F.linear(activations[activation](h), W, b)
        return h
    return stock_perceptron


@pytest.fixture(scope='session')
def whole(tmp_path_factory):
    """An uninterrupted short run of 180 updates."""
    folder = tmp_path_factory.mktemp('whole') / 'run'
    result = train(*SHORT, '-o', folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.fixture(scope='module')
def browser():
    """A browser without a window."""
    sync_api = pytest.importorskip('playwright.sync_api', reason='Playwright is not installed')
    path = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    if path is None:
        pytest.skip('Chromium is not installed')
    with sync_api.sync_playwright() as playwright:
        # its sandbox does not work for root, as whom containers run
        yield playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
