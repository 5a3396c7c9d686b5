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
    """Pretend that CuPy for CUDA 12 is installed and usable. Each test replaces the device."""
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


def test_missing_cupy_chooses_cpu_and_names_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert chosen() == ('@numpy', "CuPy is not installed. For an NVIDIA GPU: pip install 'lsgan[cuda13]', "
                                  'or uv run --extra cuda13')
    with pytest.raises(InputError, match='--device @cupy:0: CuPy is not installed.*auto, or -1 for the CPU'):
        select_device('@cupy:0')


def test_missing_cuda_libraries_are_named_with_extra(cupy, monkeypatch):
    monkeypatch.setattr(cuda, 'available', False)
    monkeypatch.setattr(cuda, '_resolution_error', ImportError('no libcublas\nanywhere'), raising=False)
    assert chosen() == ('@numpy', "CuPy is installed but finds no CUDA libraries (no libcublas). To install them: "
                                  "pip install 'lsgan[cuda12]', or uv run --extra cuda12")


def test_broken_gpu_is_not_chosen(cupy):
    name, why = chosen()
    assert name == '@numpy' and 'no such GPU works (cudaErrorNoDevice' in why and '\n' not in why
    with pytest.raises(InputError, match='--device @cupy:0: .*cudaErrorNoDevice'):
        select_device('@cupy:0')


def test_cpu_is_selected_and_unknown_device_refused():
    device, why = select_device('@numpy')
    assert (device.name, why) == ('@numpy', None)
    with pytest.raises(InputError, match='--device @tpu:0: '):
        select_device('@tpu:0')


def test_run_names_its_device_and_keeps_it(whole):
    folder, said = whole
    name, why = chosen()
    assert (f'Training on the CPU, because {why}' if name == '@numpy' else f'Training on {name}, {why}') in said
    assert settings_of(folder)['device'] == name


def test_missing_device_of_resumed_run_is_one_line(whole, tmp_path):
    config = json.loads((whole[0] / 'config.json').read_text())
    config['settings']['device'] = '@cupy:99'
    (tmp_path / 'config.json').write_text(json.dumps(config))
    for flags in [], ['-d', 'auto']:
        assert_one_line(train('--resume', '-o', tmp_path, *flags), '@cupy:99',
                        'a resumed run stays on the device where it began')
