import importlib.metadata
import importlib.util
import json

import chainer
import pytest
from chainer.backends import cuda

from lsgan.errors import InputError
from lsgan.training.devices import choose_device, select_device


@pytest.fixture
def cupy(monkeypatch):
    """CuPy for CUDA 12 seems to be installed, and Chainer to have found it usable; a device is what the test makes of it."""
    def get_device(name):
        raise RuntimeError('cudaErrorNoDevice: no CUDA-capable device is detected\nand more')

    def version(name):
        if name != 'cupy-cuda12x':
            raise importlib.metadata.PackageNotFoundError(name)
        return '14.0'
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name == 'cupy' or None)
    monkeypatch.setattr(importlib.metadata, 'version', version)
    monkeypatch.setattr(cuda, 'available', True)
    monkeypatch.setattr(chainer, 'get_device', get_device)


def test_without_cupy_the_cpu_is_chosen_and_the_extra_named(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert choose_device() == ('@numpy', "CuPy is not installed, for an NVIDIA GPU: pip install 'lsgan[cuda13]'")
    with pytest.raises(InputError, match='--device @cupy:0: CuPy is not installed.*the CPU is -1'):
        select_device('@cupy:0')


def test_without_cudas_libraries_the_extra_of_the_cupy_that_is_there_is_named(cupy, monkeypatch):
    monkeypatch.setattr(cuda, 'available', False)
    assert choose_device() == ('@numpy', "CuPy is installed but finds no CUDA libraries: pip install 'lsgan[cuda12]'")


def test_a_gpu_that_does_not_work_is_not_chosen_and_the_reason_told_in_a_line(cupy):
    name, why = choose_device()
    assert name == '@numpy' and 'no such GPU works (cudaErrorNoDevice' in why and '\n' not in why
    with pytest.raises(InputError, match='--device @cupy:0: .*cudaErrorNoDevice'):
        select_device('@cupy:0')


def test_the_cpu_can_be_selected_and_an_unknown_device_is_refused():
    assert select_device('@numpy').name == '@numpy'
    with pytest.raises(InputError, match='--device tpu: '):
        select_device('tpu')


def test_a_run_says_what_it_chose_and_keeps_it(whole):
    folder, said = whole
    name, why = choose_device()
    assert f'device {name}: {why}' in said
    assert json.loads((folder / 'config.json').read_text())['settings']['device'] == name
