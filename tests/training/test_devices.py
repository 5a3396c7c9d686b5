import importlib.metadata
import importlib.util
import json

import chainer
import pytest
from chainer.backends import cuda
from running import assert_one_line, settings_of, train

from lsgan.errors import InputError
from lsgan.training.devices import select_device


@pytest.fixture
def cupy(monkeypatch):
    """CuPy for CUDA 12 seems to be installed, and Chainer to have found it usable; a device is what the test makes of it."""
    def get_device(name, get=chainer.get_device):
        if name == '@numpy':
            return get(name)
        raise RuntimeError('cudaErrorNoDevice: no CUDA-capable device is detected\nand more')

    def version(name):
        if name != 'cupy-cuda12x':
            raise importlib.metadata.PackageNotFoundError(name)
        return '14.0'
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name == 'cupy' or None)
    monkeypatch.setattr(importlib.metadata, 'version', version)
    monkeypatch.setattr(cuda, 'available', True)
    monkeypatch.setattr(chainer, 'get_device', get_device)


def chosen():
    device, why = select_device('auto')
    return device.name, why


def test_without_cupy_the_cpu_is_chosen_and_the_extra_named(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert chosen() == ('@numpy', "CuPy is not installed. For an NVIDIA GPU: pip install 'lsgan[cuda13]', "
                                  'or uv run --extra cuda13')
    with pytest.raises(InputError, match='--device @cupy:0: CuPy is not installed.*auto, or -1 for the CPU'):
        select_device('@cupy:0')


def test_without_cudas_libraries_the_reason_and_the_extra_of_the_cupy_that_is_there_are_named(cupy, monkeypatch):
    monkeypatch.setattr(cuda, 'available', False)
    monkeypatch.setattr(cuda, '_resolution_error', ImportError('no libcublas\nanywhere'), raising=False)
    assert chosen() == ('@numpy', "CuPy is installed but finds no CUDA libraries (no libcublas). To install them: "
                                  "pip install 'lsgan[cuda12]', or uv run --extra cuda12")


def test_a_gpu_that_does_not_work_is_not_chosen_and_the_reason_told_in_a_line(cupy):
    name, why = chosen()
    assert name == '@numpy' and 'no such GPU works (cudaErrorNoDevice' in why and '\n' not in why
    with pytest.raises(InputError, match='--device @cupy:0: .*cudaErrorNoDevice'):
        select_device('@cupy:0')


def test_the_cpu_can_be_selected_and_an_unknown_device_is_refused():
    device, why = select_device('@numpy')
    assert (device.name, why) == ('@numpy', None)
    with pytest.raises(InputError, match='--device @tpu:0: '):
        select_device('@tpu:0')


def test_a_run_says_what_it_chose_and_keeps_it(whole):
    folder, said = whole
    name, why = chosen()
    assert (f'Training on the CPU, because {why}' if name == '@numpy' else f'Training on {name}, {why}') in said
    assert settings_of(folder)['device'] == name


def test_a_run_that_began_on_a_device_that_is_gone_says_what_can_be_done(whole, tmp_path):
    config = json.loads((whole[0] / 'config.json').read_text())
    config['settings']['device'] = '@cupy:99'
    (tmp_path / 'config.json').write_text(json.dumps(config))
    for flags in [], ['-d', 'auto']:
        assert_one_line(train('--resume', '-o', tmp_path, *flags), '@cupy:99',
                        'a resumed run stays on the device where it began')
