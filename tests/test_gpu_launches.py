"""Check that an update takes few launches, no wait, and no copy between host and device or into another memory layout."""
import gpu_checks
import pytest
from gpu_checks import CONFIGURATIONS, RARELY, TINY, assemble, load_script, watch

from lsgan import losses

pytestmark = [pytest.mark.gpu, pytest.mark.script, pytest.mark.usefixtures('gpu', 'counted')]
WARM_UP = 2     # number of updates that compile kernels and allocate lasting memory
SCRIPTS = 'gaussian', 'mnist', 'anime'
OPTIONS = {
    'gaussian grid': ('gaussian', ['--data', 'grid']),
    'gaussian double ring': ('gaussian', ['--data', 'double-ring', '--modes', 7]),
    'gaussian everything': ('gaussian', ['--clip-gradient', 0.1, '--gradient-norms', '--n-critic', 2, '--lr-steps', 1, 0.5]),
    'gaussian split wgan': ('gaussian', ['--loss', 'wgan', '--split-discriminator-update', '--clip-gradient', 0.1]),
    'gaussian sgd': ('gaussian', ['--optimizer', 'sgd', '--activation-g', 'sigmoid']),
    'mnist everything': ('mnist', ['--clip-gradient', 0.1, '--gradient-norms', '--n-critic', 2]),
    'mnist perceptron': ('mnist', ['--network', 'mlp', '--norm', 'both', '--split-discriminator-update']),
    'mnist of odd halves': ('mnist', ['--hidden-g', 6, 5, 4, '--norm', 'g']),
    'anime everything': ('anime', ['--mirror', '--clip-gradient', 0.1, '--gradient-norms', '--n-critic', 2]),
    'anime pixelshuffle in grey': ('anime', ['--upsample', 'pixelshuffle', '--channels', 1, '--split-discriminator-update']),
    'anime sgd': ('anime', ['--optimizer', 'sgd', '--activation-d', 'sigmoid', '--norm-d', 'none']),
    'anime resize': ('anime', ['--upsample', 'resize', '--norm-g', 'channel', '--norm-d', 'all', '--activation-g', 'tanh']),
}
CASES = {**{f'{script} {preset} {loss}': (script, ['--preset', preset, '--loss', loss])
            for script in SCRIPTS for preset in load_script(script).PRESETS for loss in losses.LOSSES}, **OPTIONS}


@pytest.fixture(scope='module')
def counted():
    """Skip the tests unless the device is emulated, because only the emulated device counts its work."""
    if gpu_checks.emulation() is None:
        pytest.skip('waits, copies and launches are counted by the emulated device only')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return gpu_checks.write_data(tmp_path_factory.mktemp('data') / 'data')


@pytest.mark.parametrize('script, given', CASES.values(), ids=CASES)
def test_update_neither_waits_nor_copies_from_host(data, tmp_path, script, given):
    trainer = assemble(script, *TINY[script], *data[script], *given, *RARELY, '-o', tmp_path / 'run')
    update, extensions = (work.synchronous() for work in watch(trainer, WARM_UP, 2))
    assert not update, f'2 updates: {update}'
    assert not extensions, f'the extensions after 2 updates: {extensions}'


@pytest.mark.parametrize('script, given', CASES.values(), ids=CASES)
def test_update_copies_only_reports(data, tmp_path, script, given):
    trainer = assemble(script, *TINY[script], *data[script], *given, *RARELY, '--no-graph', '-o', tmp_path / 'run')
    work, _ = watch(trainer, WARM_UP, 1)
    # the three images of a stack are drawn one after the other, and a layer wants them in channels that are last in memory
    assert [name for name in work.names if 'copy' in name] == ['cupy_copy__float32_float32'] * ('stacked' in given)
    assert work.within == 1     # the copy of the reported values, see `lsgan.functions.gpu.history`


@pytest.mark.parametrize('configuration', CONFIGURATIONS)
def test_update_takes_few_launches(data, tmp_path, configuration):
    most = CONFIGURATIONS[configuration][-1]
    work, _ = gpu_checks.launches(configuration, data, tmp_path / 'run')
    commonest = '\n'.join(f'{n:6} {name}' for name, n in work.names.most_common(12))
    assert work.launches <= most, (f'{work.kernels} kernels, {work.products} products, {work.within} copies in the device, '
                                   f'at most {most} in all; the commonest:\n{commonest}')
