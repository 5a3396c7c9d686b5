"""Run train_mnist.py as a user does, on small sets of noise in MNIST's format."""
import functools
import json
import os
import shutil

import chainer
import chainer.links as L
import numpy as np
import pytest
import running
from PIL import Image
from running import ROOT, assert_one_line, assert_same_run, metrics_of, same_arrays, settings_of, write_images

from lsgan.datasets import mnist

train = functools.partial(running.train, script=ROOT / 'train_mnist.py')
SHORT = ['--epoch', '3', '--epoch-size', '6', '--log-interval', '3', '--metric-interval', '6', '--sample-interval', '6',
         '--snapshot-interval', '5', '--hidden-g', '16', '--hidden-d', '16', '--latent', '8', '--batchsize', '16',
         '--metric-samples', '300']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'noise')


@pytest.fixture(scope='module')
def run(data, tmp_path_factory):
    """An uninterrupted run of the convolutional networks, and its output."""
    folder = tmp_path_factory.mktemp('run') / 'run'
    result = train(*SHORT, '--data', data, '--gradient-norms', '-o', folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_run_writes_folder_and_prints_metrics(run):
    folder, printed = run
    assert {'config.json', 'log', 'samples', 'snapshot_iter_18', 'generator_iter_18.npz'} <= set(os.listdir(folder))
    assert sorted(os.listdir(folder / 'figures')) == ['classes.png', 'curves.png', 'samples.png']
    metrics = metrics_of(folder)
    assert {'frechet_distance', 'frechet_distance_floor', 'classes_fair', 'class_kl', 'confident', 'nearest_distance',
            'saturated'} <= metrics.keys()
    assert metrics['iteration'] == 18 and metrics['frechet_distance'] > 0
    assert metrics['classes_total'] == 1        # all noise is one digit to the judge
    for name in *metrics, 'no labels: these images are judged as if they were digits', f'visualize.py all {folder}':
        assert name in printed
    assert printed.index(' frechet_distance ') < printed.index(' class_kl ') < printed.index(' saturated ')
    log = json.loads((folder / 'log').read_text())
    assert [entry['iteration'] for entry in log] == [3, 6, 9, 12, 15, 18]
    assert ['frechet_distance' in entry for entry in log] == [False, True] * 3
    assert {'dis/real', 'dis/fake', 'gen/gradient', 'dis/gradient'} <= log[0].keys()
    with Image.open(folder / 'samples' / 'iter_00000018.png') as picture:
        assert min(picture.size) > 800      # 10 x 10 of at least 64 pixels


def test_resuming_is_exact(run, data, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--data', data, '--gradient-norms', '--iterations', 8, '-o', folder).returncode == 0
    assert train('--resume', folder, cwd=tmp_path).returncode == 0
    assert_same_run(run[0], folder, 18)


def test_resuming_needs_the_same_data(run, data, tmp_path):
    here, there, folder = tmp_path / 'here', tmp_path / 'there', tmp_path / 'run'
    shutil.copytree(data, here)
    assert train(*SHORT, '--data', here, '--gradient-norms', '--iterations', 8, '-o', folder).returncode == 0
    here.rename(there)
    assert_one_line(train('--resume', folder), str(here))
    for others in {'train': 61}, {'test': 41}:
        write_images(here, **others)
        assert_one_line(train('--resume', folder, '--data', here), 'cannot resume', 'the data are not')
        shutil.rmtree(here)
    write_images(here, side=12)
    assert_one_line(train('--resume', folder, '--data', here), '12 x 12', '28 x 28')
    shutil.rmtree(here)
    assert train('--resume', folder, '--data', there).returncode == 0
    assert_same_run(run[0], folder, 18)


def test_run_of_earlier_version_resumes(run, data, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--data', data, '--gradient-norms', '--iterations', 8, '-o', folder).returncode == 0
    for path in folder.glob('snapshot_iter_*'):
        with np.load(path) as f:
            arrays = dict(f)
        settings = json.loads(str(arrays['lsgan/settings']))
        assert settings.pop('image_size') == [28, 28] and settings.pop('stacked') is False
        with open(path, 'wb') as f:
            np.savez(f, **{**arrays, 'lsgan/settings': np.array(json.dumps(settings))})
    result = train('--resume', folder)
    assert result.returncode == 0 and not result.stderr and 'starts again' not in result.stdout
    assert_same_run(run[0], folder, 18)


@pytest.mark.parametrize('flags', [
    ['--network', 'mlp', '--norm', 'both', '--activation-g', 'sigmoid', '--activation-d', 'tanh'],
    ['--norm', 'none', '--init', 'he', '--optimizer', 'sgd', '--split-discriminator-update'],
    ['--loss', 'wgan', '--norm', 'd', '--n-critic', '2', '--latent-distribution', 'uniform'],
], ids=['mlp', 'split', 'wgan'])
def test_resuming_with_other_settings_is_exact(flags, data, tmp_path):
    flags = [*SHORT, '--data', data, '--metric-interval', '99', *flags]
    assert train(*flags, '-o', tmp_path / 'whole').returncode == 0
    assert train(*flags, '--iterations', 7, '-o', tmp_path / 'run').returncode == 0
    assert train('--resume', tmp_path / 'run').returncode == 0
    assert_same_run(tmp_path / 'whole', tmp_path / 'run', 18)


def test_evaluation_does_not_change_training(run, data, tmp_path):
    never = ['--log-interval', 100, '--metric-interval', 100, '--sample-interval', 100]
    assert train(*SHORT, '--data', data, *never, '-o', tmp_path / 'run').returncode == 0
    assert same_arrays(run[0] / 'generator_iter_18.npz', tmp_path / 'run' / 'generator_iter_18.npz')


def shapes(link):
    return {name: p.shape for name, p in link.namedparams()}


@pytest.fixture
def resolve(monkeypatch):
    """Return the settings and the networks that flags give for images of 28 x 28 pixels."""
    monkeypatch.syspath_prepend(ROOT)
    import train_mnist
    from lsgan.training import flags

    def resolve(**given):
        settings = flags.resolve('mnist', given, train_mnist.PRESETS)
        return settings, *train_mnist.networks(settings, (1, 28, 28))
    return resolve


def test_networks_follow_settings(resolve):
    for given in {'preset': 'blog'}, {'network': 'mlp'}:
        settings, generator, discriminator = resolve(**given)
        assert [shapes(generator)[f'/layers/{i}/W'] for i in range(3)] == [(500, 50), (500, 500), (784, 500)]
        assert [shapes(discriminator)[f'/layers/{i}/W'] for i in range(3)] == [(500, 784), (500, 500), (1, 500)]
        assert '/norms/0/gamma' in shapes(generator) and '/norms/0/gamma' not in shapes(discriminator)
        assert settings['latent_distribution'] == 'uniform'
    assert shapes(resolve(preset='blog', network='conv')[1])['/first/W'][0] == 128 * 7 * 7


def test_pfnet_equals_reference_implementation(resolve):
    _, generator, discriminator = resolve(preset='pfnet')
    for link, wanted in (generator, {
            '/first/W': (256 * 4 * 4, 1024), '/first_norm/gamma': (256,),
            '/steps/0/W': (256, 128, 4, 4), '/norms/0/gamma': (128,), '/steps/1/W': (128, 64, 4, 4), '/norms/1/gamma': (64,),
            '/steps/2/W': (64, 1, 4, 4)}), (discriminator, {
                '/steps/0/W': (64, 1, 4, 4), '/steps/1/W': (128, 64, 4, 4), '/norms/1/gamma': (128,),
                '/steps/2/W': (256, 128, 4, 4), '/norms/2/gamma': (256,), '/steps/3/W': (512, 256, 4, 4),
                '/norms/3/gamma': (512,), '/last/W': (1, 512)}):
        assert {name: shape for name, shape in shapes(link).items() if name.endswith(('W', 'gamma'))} == wanted
        assert {step.stride for step in link.steps} == {(2, 2)}
    z = np.zeros((1, 1024), 'f')
    sides, x = [], generator.first(z).array.reshape(1, 256, 4, 4)
    for step in generator.steps:
        x = step(x).array
        sides.append(x.shape[2:])
    assert sides == [(8, 8), (14, 14), (28, 28)]


@pytest.mark.parametrize('network', ['mlp', 'conv'])
def test_networks_have_chosen_norms_weights_and_activations(network, resolve):
    _, generator, discriminator = resolve(network=network, norm='d', init_std=[0.5, 0.02], activation_g='tanh',
                                          activation_d='sigmoid')
    assert not any('gamma' in name for name in shapes(generator))
    assert '/norms/1/gamma' in shapes(discriminator) and ('/norms/0/gamma' in shapes(discriminator)) == (network == 'mlp')
    for net, std in (generator, 0.5), (discriminator, 0.02):
        for name, p in net.namedparams():
            if name.endswith('W') and p.size > 5000:
                assert p.array.std() == pytest.approx(std, rel=0.05)
    x = np.random.default_rng(0).standard_normal((3, 1, 28, 28)).astype('f')
    with chainer.using_config('train', False):
        for name in 'tanh', 'sigmoid':
            again = resolve(network=network, norm='d', activation_g='tanh', activation_d=name)[2]
            again.copyparams(discriminator)
            assert np.array_equal(again(x).array, discriminator(x).array) == (name == 'sigmoid')
    assert not any('gamma' in name for name in shapes(resolve(network=network, norm='g')[2]))


PUBLISHED = {'scheme': 'binary', 'noise': 0, 'lr_decay': 0, 'lr_steps': [], 'clip_gradient': 0, 'average': 0,
             'latent_distribution': 'uniform', 'activation_g': 'relu', 'activation_d': 'leaky_relu', 'metric_samples': 10000}
BLOG = {'network': 'mlp', 'latent': 50, 'init': 'normal', 'init_std': [0.001, 0.001]}
CRITIC = {'optimizer': 'rmsprop', 'lr_g': 5e-5, 'lr_d': 5e-5, 'n_critic': 5, 'clip': 0.01}


@pytest.mark.parametrize('preset, loss, wanted', [
    ('blog', 'lsgan', {**PUBLISHED, **BLOG, 'optimizer': 'adam', 'lr_g': 1e-4, 'lr_d': 1e-4, 'beta1': 0.1, 'n_critic': 1}),
    ('blog', 'wgan', {**PUBLISHED, **BLOG, **CRITIC}),
    ('pfnet', 'lsgan', {**PUBLISHED, 'network': 'conv', 'latent': 1024, 'init': 'lecun', 'optimizer': 'rmsprop',
                        'lr_g': 1e-3, 'lr_d': 1e-3, 'n_critic': 1}),
    ('pfnet', 'wgan', CRITIC),
    # the best of results/mnist/losses.csv
    ('default', 'wgan', {'optimizer': 'rmsprop', 'lr_g': 5e-5, 'lr_d': 2e-4, 'n_critic': 1, 'clip': 0.03, 'latent': 16}),
    ('default', 'lsgan', {'metric_samples': 10000, 'network': 'conv'})])
def test_presets_have_published_numbers(preset, loss, wanted, resolve):
    settings = resolve(preset=preset, loss=loss)[0]
    assert {name: settings[name] for name in wanted} == wanted


def test_generator_weights_load_in_stock_chainer(data, tmp_path):
    assert train(*SHORT, '--data', data, '--network', 'mlp', '--iterations', 1, '-o', tmp_path / 'run').returncode == 0
    stock = chainer.Chain(layers=chainer.ChainList(L.Linear(8, 16), L.Linear(16, 784)),
                          norms=chainer.ChainList(L.BatchNormalization(16)))
    chainer.serializers.load_npz(tmp_path / 'run' / 'generator_iter_1.npz', stock)
    assert np.isfinite(stock.layers[1].W.array).all()


@pytest.mark.parametrize('preset, batchsize, epochs, examples', [
    ('default', 100, 20, 60_000), ('blog', 100, 1000, 50_000), ('pfnet', 64, 100, 60_000), ('stacked', 100, 8, 60_000)])
@pytest.mark.parametrize('loss', ['lsgan', 'wgan', 'gan'])
def test_presets_see_as_many_images_with_every_loss(preset, batchsize, epochs, examples, loss, data, tmp_path):
    small = [] if preset == 'blog' else ['--hidden-g', 16, 8, 4, '--hidden-d', 4, 8]
    small += ['--metric-samples', 100, '--iterations', 1]
    result = train('--preset', preset, '--loss', loss, '--data', data, *small, '-o', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    settings = settings_of(tmp_path / 'run')
    assert (settings['average'] > 0) == (preset in ('default', 'stacked'))
    in_epoch = settings['epoch_size'] * settings['n_critic'] * settings['batchsize']
    assert in_epoch == pytest.approx(examples, rel=0.005)       # updates are whole
    assert (settings['epoch'], settings['batchsize']) == (epochs, batchsize)
    assert settings['sample_interval'] % settings['epoch_size'] == 0


@pytest.fixture(scope='module')
def stacked(data, tmp_path_factory):
    """An uninterrupted run on stacked images, and its output."""
    folder = tmp_path_factory.mktemp('stacked') / 'run'
    result = train('--preset', 'stacked', *SHORT, '--data', data, '-o', folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_stacked_images_have_modes(stacked):
    folder, printed = stacked
    metrics = metrics_of(folder)
    assert settings_of(folder)['stacked'] and (metrics['modes_total'], metrics['modes_seen_real']) == (1000, 1)
    assert metrics['mode_kl_real'] == pytest.approx(np.log(1000))       # all noise is one digit to the judge
    assert metrics['modes_seen'] >= 1 and 0 <= metrics['mode_kl'] <= metrics['mode_kl_real'] + 1e-9
    for name in 'modes_seen', 'modes_seen_real', 'mode_kl', 'mode_kl_real':
        assert f' {name} ' in printed
    assert 'KL ' in printed and sorted(os.listdir(folder / 'figures')) == ['classes.png', 'curves.png', 'samples.png']
    with np.load(folder / 'generator_iter_18.npz') as f:
        assert f['steps/0/W'].shape[1] == 3     # channels of an image


def test_resuming_stacked_run_is_exact(stacked, data, tmp_path):
    folder = tmp_path / 'run'
    assert train('--preset', 'stacked', *SHORT, '--data', data, '--iterations', 8, '-o', folder).returncode == 0
    assert_one_line(train('--resume', folder, '--no-stacked'), '--stacked is on in that run')
    assert train('--resume', folder).returncode == 0
    assert_same_run(stacked[0], folder, 18)


def test_stacked_run_is_drawn_and_scored(stacked, data, tmp_path):
    folder, draw = tmp_path / 'run', functools.partial(running.train, script=ROOT / 'visualize.py')
    shutil.copytree(stacked[0], folder, ignore=shutil.ignore_patterns('figures'))
    for command in 'all', 'report':
        result = draw(command, folder)
        assert result.returncode == 0 and not result.stderr and 'left out' not in result.stdout
    scored = draw('score', folder).stdout.split()
    assert scored[scored.index('modes_seen') + 1] == f'{metrics_of(folder)["modes_seen"]:,}'
    images = mnist.load(data).train
    known = {image.tobytes() for image in images}
    for name, rows in ('real', range(2)), ('nearest', (1, 3, 5)):
        with Image.open(folder / 'figures' / f'{name}.png') as picture:
            pixels = np.asarray(picture.convert('RGB'))[40:, 6:]
        for row in rows:        # each pixel of an image is 3 x 3 pixels of the picture, with 2 pixels between images
            for x in range(10):
                cell = pixels[86 * row:86 * row + 84:3, 86 * x:86 * x + 84:3]
                assert all(np.ascontiguousarray(cell[:, :, channel]).tobytes() in known for channel in range(3))
    assert draw('export', folder, '-n', 3, '--format', 'png').returncode == 0
    with Image.open(folder / 'samples-png' / '00002.png') as picture:
        assert (picture.mode, picture.size) == ('RGB', (28, 28))


def test_other_sizes_are_measured_without_judge(tmp_path):
    data = write_images(tmp_path / 'small', side=12)
    result = train(*SHORT, '--data', data, '-o', tmp_path / 'run')
    assert result.returncode == 0 and 'no Fréchet distance and no classes: the judge needs images of 28 x 28' in result.stdout
    assert {'nearest_distance', 'saturated'} <= metrics_of(tmp_path / 'run').keys()
    assert 'confident' not in metrics_of(tmp_path / 'run')
    assert sorted(os.listdir(tmp_path / 'run' / 'figures')) == ['curves.png', 'samples.png']


def test_wrong_data_is_one_line(data, tmp_path):
    write_images(tmp_path / 'odd', side=13)
    (tmp_path / 'cut').mkdir()
    file = data / 'train-images-idx3-ubyte.gz'
    (tmp_path / 'cut' / file.name).write_bytes(file.read_bytes()[:1000])
    for flags, words in [
        (['--data', tmp_path / 'nothing'], ['nothing', 'no such file', '--data']),
        (['--data', tmp_path / 'cut'], [file.name, 'truncated']),
        (['--data', tmp_path / 'odd'], ['13 x 13', '--network mlp']),
        (['--data', data, '--hidden-d', 2, 2, 2, 2, 2], ['28 x 28', '32']),
        (['--data', data, '--judge', file], [file.name, 'npz']),
        (['--data', data, '--init', 'he', '--init-std', 1, 1], ['--init-std', '--init normal']),
        (['--data', data, '--init-std', 1], ['argument --init-std']),
        (['--stacked', 'three'], ['unrecognized arguments: three']),
    ]:
        assert_one_line(train(*SHORT[:10], *flags, '-o', tmp_path / 'run'), *words)
        assert not (tmp_path / 'run').exists()


def test_missing_data_without_network_is_one_line(tmp_path):
    nowhere = {**os.environ, 'XDG_CACHE_HOME': str(tmp_path / 'cache'), 'https_proxy': 'http://127.0.0.1:1',
               'no_proxy': '', 'NO_PROXY': ''}
    result = train(*SHORT, '-o', tmp_path / 'run', env=nowhere)
    assert_one_line(result, 'train-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz', str(tmp_path / 'cache'), '--data')
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'lsgan').touch()
    result = train(*SHORT, '-o', tmp_path / 'run', env={**nowhere, 'XDG_CACHE_HOME': str(tmp_path / 'other')})
    assert_one_line(result, str(tmp_path / 'other' / 'lsgan'), '--data')
    assert not (tmp_path / 'run').exists()


def test_help_teaches():
    text = train('--help').stdout
    for flag in '--data', '--network', '--init-std', '--norm', '--activation-g', '--split-discriminator-update', 'pfnet':
        assert flag in text
    assert text.count('(default:') > 35
