"""visualize.py export --format onnx: ONNX Runtime gives the samples of the generator, for every network of the scripts."""
import importlib
import json
import re
import sys

import chainer
import numpy as np
import onnxruntime
import pytest
from running import ROOT

import visualize
from lsgan.functions.perceptron import ACTIVATIONS
from lsgan.networks.image import UPSAMPLINGS, Generator
from lsgan.networks.onnx import to_onnx
from lsgan.npz import save_weights
from lsgan.training import flags
from lsgan.training.experiment import generate
from lsgan.training.folder import RunFolder

SHAPES = {'gaussian': {}, 'mnist': {'image_size': [28, 44]}, 'anime': {'image_channels': 3}}    # known without data


def make_run(folder, name, *arguments):
    """Make a run folder of train_NAME.py without training: its generator has random weights and statistics."""
    script = importlib.import_module(f'train_{name}')
    given = vars(script.make_parser().parse_args([*map(str, arguments)]))
    settings = {**flags.resolve(name, given, script.PRESETS), **SHAPES[name]}
    experiment, rng = script.build(settings), np.random.default_rng(0)
    generator = experiment.generator
    for parameter in generator.params():
        scale = 0.2 if parameter.ndim == 1 else 1.5 / np.sqrt(parameter[0].size)
        parameter.array[...] += rng.normal(0, scale, parameter.shape)
    for _ in range(3):      # moves the statistics of batch normalisation
        generator(experiment.latents(rng.integers(100), chainer.get_device('@numpy'), 20))
    folder.mkdir()
    (folder / 'config.json').write_text(json.dumps({'settings': settings, 'git_commit': '123456789abc'}))
    save_weights(folder / 'generator_iter_30.npz', generator)
    return folder


def assert_same_samples(run, path, n=5):
    session, folder = onnxruntime.InferenceSession(path), RunFolder(run, ROOT)
    z = folder.latents(n)
    samples, expected = session.run(None, {'latent': z})[0], folder.generate(z)
    assert samples.shape == expected.shape and samples.dtype == np.float32
    np.testing.assert_allclose(samples, expected, rtol=0, atol=1e-5 * np.ptp(expected))
    return session, samples


SMALL = '--latent', 8, '--hidden-g', 12, 8
NETWORKS = [('gaussian', *SMALL, '--activation-g', activation) for activation in ACTIVATIONS]
NETWORKS += [('mnist', '--network', kind, *SMALL, 8, '--norm', norm, '--activation-g', activation)
             for kind in ('mlp', 'conv') for norm in ('g', 'none') for activation in ACTIVATIONS]
NETWORKS += [('anime', '--size', 48, *SMALL, 8, 4, '--upsample', upsample, '--norm-g', norm, '--activation-g', activation)
             for upsample in UPSAMPLINGS for norm in ('unit', 'channel', 'none') for activation in ACTIVATIONS]


@pytest.mark.parametrize('name, arguments', [(name, arguments) for name, *arguments in NETWORKS],
                         ids=lambda value: value if isinstance(value, str) else ' '.join(map(str, value)))
def test_onnx_runtime_gives_the_samples_of_every_network(name, arguments, tmp_path):
    run = make_run(tmp_path / 'run', name, *arguments)
    assert visualize.main(['export', str(run), '--format', 'onnx']) == 0
    _, samples = assert_same_samples(run, run / 'generator.onnx')
    assert np.ptp(samples, axis=0).max() > 1e-3     # the latents matter


@pytest.mark.parametrize('name, width', [('gaussian', 256), ('anime', 64)])
def test_a_trained_generator_says_where_it_is_from_and_takes_batches_of_any_size(name, width, tmp_path, capsys):
    run, path = ROOT / 'results' / name / 'pretrained', tmp_path / 'new' / 'g.onnx'
    assert visualize.main(['export', str(run), '--format', 'onnx', '-o', str(path)]) == 0
    assert capsys.readouterr().out == f'written: {path}\n'
    for n in 1, 100:
        session, _ = assert_same_samples(run, path, n)
    (latent,), (samples,) = session.get_inputs(), session.get_outputs()
    assert (latent.name, latent.shape) == ('latent', ['batch', width])
    assert (samples.name, samples.shape[0]) == ('samples', 'batch')
    config, (file,) = json.loads((run / 'config.json').read_text()), run.glob('generator_iter_*.npz')
    assert session.get_modelmeta().custom_metadata_map == {
        'run': 'pretrained', 'updates': file.stem.removeprefix('generator_iter_'), 'git_commit': config['git_commit'],
        'latent_distribution': 'normal'}


@pytest.mark.parametrize('upsample', UPSAMPLINGS)
def test_steps_that_do_not_quite_double_are_exported(upsample):
    generator, z = Generator(8, (12, 8, 4), (28, 40), 1, upsample=upsample), np.eye(8, dtype=np.float32)
    session = onnxruntime.InferenceSession(to_onnx(generator, z, {}).SerializeToString())
    expected = generate(generator, z)
    np.testing.assert_allclose(session.run(None, {'latent': z})[0], expected, rtol=0, atol=1e-5 * np.ptp(expected))


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / 'run', 'gaussian', *SMALL)


def test_the_example_in_the_documentation_draws_samples(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert visualize.main(['export', str(run), '--format', 'onnx', '-o', 'digits.onnx']) == 0
    code, = re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'visualize.md').read_text(encoding='utf-8'), re.S)
    scope = {}
    exec(code, scope)
    assert scope['samples'].shape == (16, 2)


def test_a_generator_with_another_function_is_refused_in_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(ACTIVATIONS, 'relu', (*ACTIVATIONS['relu'][:2], chainer.functions.elu))
    assert visualize.main(['export', str(run), '--format', 'onnx']) == 2
    assert 'ELU' in capsys.readouterr().err and not (run / 'generator.onnx').exists()


def test_without_onnx_one_line_says_what_to_install(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    monkeypatch.delitem(sys.modules, 'lsgan.networks.onnx', raising=False)
    assert visualize.main(['export', str(run), '--format', 'onnx']) == 2
    out, err = capsys.readouterr()
    assert out == '' and err.count('\n') == 1 and "pip install 'lsgan[onnx]'" in err and not (run / 'generator.onnx').exists()
    assert visualize.main(['export', str(run), '-n', '5']) == 0     # the other formats do not need it
