"""Tests of the scripts that make the tables in results."""
import csv
import importlib
import shutil
import sys

import numpy
import pytest
from PIL import Image
from running import ROOT, SHORT, assert_one_line, idx, same_arrays, train, write_images

from lsgan.datasets import mnist
from lsgan.datasets.faces import FACTORS
from lsgan.networks.features import load_features
from lsgan.networks.judge import WEIGHTS, load_judge
from lsgan.training import flags
from lsgan.training.sweep import append, rows, runs

NAMES = 'sweep', 'tune'


@pytest.fixture(params=['gaussian', 'mnist', 'stacked', 'anime', 'penalties'])
def scripts(request, monkeypatch):
    """The modules of a folder in results, by name, and a function from the flags of a run to its settings."""
    folder = ROOT / 'results' / request.param
    for path in folder, ROOT:
        monkeypatch.syspath_prepend(path)
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    modules = {name: importlib.import_module(name) for name in NAMES if (folder / f'{name}.py').exists()}
    parser = importlib.import_module(modules['sweep'].SCRIPT.stem).make_parser()

    def settings(text):
        return flags.resolve(parser.experiment, vars(parser.parse_args(text.split())), parser.presets)
    yield modules, settings
    for name in NAMES:
        sys.modules.pop(name, None)


def seen(settings):
    """Return the number of real examples that D sees in a run."""
    return settings['epoch'] * settings['epoch_size'] * settings['n_critic'] * settings['batchsize']


def test_runs_of_sweeps_are_valid(scripts):
    modules, settings = scripts
    sweep = modules['sweep']
    wanted = [run for group in sweep.GROUPS.values() for run in runs(group)]
    assert len({(name, seed) for name, _, seed in wanted}) == len(wanted) > 20
    assert all(seen(settings(text)) > 0 for text in {text for _, text, _ in wanted})


def test_losses_see_as_many_real_examples(scripts):
    modules, settings = scripts
    sweep = modules['sweep']
    by_name = {name: settings(text) for group in sweep.GROUPS.values() for name, (text, _) in group.items()}
    for name, made in by_name.items():
        for loss in 'gan', 'wgan':
            other = by_name.get(name.replace('lsgan', loss) if 'lsgan' in name else f'{name} {loss}')
            if made['loss'] == 'lsgan' and other:
                assert other['loss'] == loss and seen(other) == seen(made)


def test_losses_have_as_many_trials(scripts):
    modules, settings = scripts
    if 'tune' not in modules:
        pytest.skip('nothing was tuned by a script')
    tune = modules['tune']
    trials = {loss: [settings(text) for text in tune.settings(loss)] for loss in tune.CHOICES}
    assert len({len(each) for each in trials.values()}) == 1
    for loss, each in trials.items():
        assert {made['loss'] for made in each} == {loss}
        assert len(each) >= 10
    examples = [seen(made) for each in trials.values() for made in each]
    assert max(examples) <= 1.04 * min(examples)        # epochs of the Gaussian script are whole


def test_best_trials_are_trained_longer(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'results' / 'mnist')
    sweep = importlib.import_module('sweep')
    del sys.modules['sweep']
    monkeypatch.setattr(sweep, 'HERE', tmp_path)
    append(tmp_path / 'trials.csv', [
        {'name': name, 'frechet_distance': d, 'flags': f'--loss gan --epoch 1 --metric-interval 600 --latent {latent}'}
        for name, d, latent in [('second gan 0', 'nan', 1), ('second gan 1', 7, 2), ('tune 3', 1, 3), ('second gan 2', 5, 4),
                                ('second gan 3', 6, 5)]])
    names = 'tuned gan', 'tuned gan, second', 'tuned gan, third'
    assert sweep.finalists() == {'gan': {name: f'--loss gan --latent {latent}' for name, latent in zip(names, (4, 5, 2))}}
    for name, d in zip(names, (3, 'nan', 2)):
        assert sweep.seeds(names) == {name: range(1) for name in names}
        append(tmp_path / 'losses.csv', [{'name': name, 'seed': 0, 'frechet_distance': d}])
    assert sweep.seeds(names) == {**{name: range(1) for name in names}, 'tuned gan, third': range(3)}


def test_table_has_medians_over_seeds(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'results' / 'mnist')
    table = importlib.import_module('table')
    del sys.modules['sweep'], sys.modules['table']      # those of other folders have the same names
    monkeypatch.setattr(table, 'HERE', tmp_path)
    keys = ['name', 'seed', 'frechet_distance', *table.MEDIANS]
    with open(tmp_path / 'losses.csv', 'w', newline='') as f:
        writer = csv.writer(f)
        writer.writerow(keys)
        for seed, (d, classes, seconds) in enumerate([(99, 5, 1000), (101, 9, 3000), ('nan', 0, 1500)]):
            writer.writerow(['tuned gan', seed, d, 0.5, classes, 0.25, 0.75, 0.125, 1, 3000, seconds])
        writer.writerow(['tuned wgan', 0, 2.345, 0.5, 10, 0.25, 0.75, 0.125, 1, 600, 10])
    wgan, gan = list(table.table('losses'))[2:]     # in the order of sweep.py
    assert gan == '| tuned gan | 3 | 1 | 101 (99 to inf) | 0.500 | 5 | 0.25 | 0.75 | 0.12 | 1.00 | 3,000 | 1,500 |'
    assert wgan == '| tuned wgan | 1 | 1 | 2.35 | 0.500 | 10 | 0.25 | 0.75 | 0.12 | 1.00 | 600 | 10 |'


def call(name, *args, folder=ROOT):
    return train(*args, script=folder / 'results' / name)


@pytest.fixture
def elsewhere(tmp_path):
    """A copy of the scripts that make the results of MNIST, without their tables."""
    shutil.copytree(ROOT / 'results' / 'mnist', tmp_path / 'results' / 'mnist',
                    ignore=shutil.ignore_patterns('*.csv', '*.png', '__pycache__'))
    shutil.copy(ROOT / 'train_mnist.py', tmp_path)
    return tmp_path


def test_map_shows_existing_runs(elsewhere):
    assert_one_line(call('mnist/map.py', folder=elsewhere), 'no rows', 'sweep.py')
    table, sizes = elsewhere / 'results' / 'mnist' / 'map.csv', []
    columns = [f'{key} {when}' for key in ('dis/real', 'dis/fake', 'gen/gradient') for when in ('first', 'last')]
    for scheme in 'binary', 'pearson', 'binary':
        append(table, [{'name': f'map {scheme} adam {scales}', 'frechet_distance': distance, 'classes_fair': fair,
                        **dict.fromkeys(columns, 0.5), 'saturated': saturated} for scales, distance, fair, saturated in [
            ('0.001 0.1', 'nan', 'nan', 'nan'), ('0.1 0.1', 42, 5, 0), ('0.01 0.1', 240.4, 5, 0.5),
            ('0.003 0.01', 42, 4, 0.25)]])
        result = call('mnist/map.py', folder=elsewhere)
        assert result.returncode == 0, result.stderr
        said = result.stdout.splitlines()
        assert said[0] == f'drawn: {table.with_suffix(".png")}'
        with Image.open(table.with_suffix('.png')) as picture:
            sizes.append(picture.size)
    assert sizes[0][0] < sizes[1][0] and sizes[1] == sizes[2]
    assert said[3:] == [line for targets, n in (('0, 1, 1', 2), ('-1, 1, 0', 1)) for line in (
        f'| {targets}, Adam, D ≤ 0.01, G ≤ 0.003 | 42 | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | 0.25 | 0 of {n} |',
        f'| {targets}, Adam, D 0.1 | 240 | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | 0.25 | {n} of {3 * n} |')]


def test_starving_adds_missing_rows(elsewhere):
    data = write_images(elsewhere / 'data')
    run, script = elsewhere / 'run', elsewhere / 'train_mnist.py'
    assert train('--preset', 'blog', '--data', data, '--iterations', 1, '--hidden-g', 4, 4, '--hidden-d', 4, 4,
                 '--batchsize', 4, '--metric-samples', 10, '-o', run, script=script).returncode == 0
    for _ in range(2):
        result = call('mnist/starving.py', run, '--steps', 40, folder=elsewhere)
        assert result.returncode == 0, result.stderr
    made = rows(run / 'starving.csv')
    assert [(row['loss'], row['seed'], row['step']) for row in made if row['seed'] == '0'][:4] == [
        ('LSGAN', '0', '1'), ('LSGAN', '0', '20'), ('LSGAN', '0', '40'), ('LSGAN, two steps', '0', '1')]
    assert len(made) == 4 * 3 * 3 and all(float(row['gen/gradient']) > 0 for row in made)
    assert "| norm of G's gradient, WGAN |" in result.stdout and (run / 'starving.png').exists()
    assert not list((elsewhere / 'results' / 'mnist').glob('starving.[cp]*[vg]'))
    assert_one_line(call('mnist/starving.py', elsewhere / 'data', folder=elsewhere), 'config.json')
    assert_one_line(call('mnist/starving.py', folder=elsewhere), 'no rows')
    shutil.copy(run / 'starving.csv', elsewhere / 'results' / 'mnist')
    again = call('mnist/starving.py', folder=elsewhere)
    assert again.stdout.splitlines()[:-1] == result.stdout.splitlines()[1:-1]


def test_memorisation_is_detected(tmp_path):
    data, run = write_images(tmp_path / 'data'), tmp_path / 'run'
    assert train('--preset', 'blog', '--data', data, '--iterations', 1, '--hidden-g', 4, 4, '--hidden-d', 4, 3,
                 '--init-std', 1, 1, '--batchsize', 4, '--metric-samples', 10, '-o', run,
                 script=ROOT / 'train_mnist.py').returncode == 0
    result = call('mnist/byheart.py', run)
    assert result.returncode == 0, result.stderr
    name, *told = result.stdout.splitlines()[-1].strip('| ').split(' | ')
    saved, read = numpy.load(run / 'snapshot_iter_1'), mnist.load(data)
    for images, mean in zip((read.train, read.test), told):
        h = images.reshape(len(images), -1) / 127.5 - 1
        for i in range(3):
            W, b = (saved[f'updater/model:discriminator/layers/{i}/{key}'] for key in 'Wb')
            h = (numpy.where(h > 0, h, 0.2 * h) if i else h) @ W.T + b
        assert abs(h.mean() - float(mean)) < 2e-3
    assert name == 'run' and len(set(told[:3])) == 3
    train('export', run, '-n', 2000, '-o', run / 'samples.npz', script=ROOT / 'visualize.py')
    samples = numpy.load(run / 'samples.npz')['arr_0'][..., 0]
    some = [numpy.linalg.norm(read.train - x.astype(float), axis=(1, 2)).min() for x in (*samples[:100], *read.test)]
    mean, least, of_test = (float(number.replace(',', '')) for number in told[3:])
    assert least <= min(some[:100]) + 0.5 and abs(mean / numpy.mean(some[:100]) - 1) < 0.05
    assert abs(of_test - numpy.mean(some[100:])) < 0.6       # to the judge all noise is of one class
    assert_one_line(call('mnist/byheart.py', data), 'config.json')


def test_discriminator_of_frozen_generator_converges(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'results' / 'mnist')
    starving = importlib.import_module('starving')
    monkeypatch.setattr(starving, 'BLOCK', 2)
    assert [starving.ended([5, 3, 4, 1, 0, 5][:n]) for n in range(7)] == [False] * 6 + [True]
    assert starving.ended([1, 1, 1, 1])


def test_gradients_are_compared_at_equal_losses(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'results' / 'mnist')
    made = [('LSGAN', 0, 0.5, 9), ('LSGAN', 0, 0.02, 1), ('LSGAN', 1, 0.029, 4), ('LSGAN', 1, 0.025, 2), ('LSGAN', 1, 0.03, 8),
            ('LSGAN, two steps', 2, 0.001, 7), ('GAN', 0, 0.02, 9)]
    keys = 'loss', 'seed', 'dis/loss', 'gen/gradient'
    lines = list(importlib.import_module('starving').tell_levels([dict(zip(keys, row)) for row in made]))
    assert lines[0].endswith('| LSGAN | LSGAN, two steps |') and len(lines) == 9
    assert lines[3:5] == ['| 0.03 to 0.05 | 8.0 (8.0; 1 rows) |  |', '| 0.02 to 0.03 | 2.0 (1.0, 3.0; 3 rows) |  |']
    assert lines[8] == '| 0 to 0.002 |  | 7.0 (7.0; 1 rows) |'


@pytest.fixture
def labelled(tmp_path):
    """A folder with 40 training and 40 test images of noise in 4 classes."""
    for name in 'train', 't10k':
        (tmp_path / f'{name}-images-idx3-ubyte').write_bytes(idx(numpy.random.default_rng(0).integers(0, 256, (40, 28, 28))))
        (tmp_path / f'{name}-labels-idx1-ubyte').write_bytes(idx(numpy.arange(40) % 4))
    return tmp_path


def test_distances_need_images_of_28_pixels_with_labels(labelled):
    result = call('mnist/scale.py', '--data', labelled)
    assert result.returncode == 0 and 'the first 20 training images: the floor |' in result.stdout, result.stderr
    (labelled / 't10k-labels-idx1-ubyte').unlink()
    assert_one_line(call('mnist/scale.py', '--data', labelled), 'labels')
    assert_one_line(call('mnist/scale.py', '--data', write_images(labelled / 'small', 20)), '28x28')


def test_seed_determines_judge(labelled):
    files = [labelled / f'{name}.npz' for name in ('one', 'same', 'other')]
    for file, seed in zip(files, (1, 1, 2)):
        result = train('--data', labelled, '--epoch', 1, '--seed', seed, '--out', file, cwd=labelled,
                       script=ROOT / 'results' / 'mnist' / 'judge.py')
        assert result.returncode == 0 and 'accuracy on the test images' in result.stdout, result.stderr
    assert same_arrays(*files[:2]) and not same_arrays(*files[1:])
    assert load_judge(files[0]).last.b.shape == (4,)


def test_other_judge_does_not_replace_packaged_one(labelled):
    before = WEIGHTS.read_bytes()
    try:
        result = train('--data', labelled, '--epoch', 1, cwd=labelled, script=ROOT / 'results' / 'mnist' / 'judge.py')
        assert_one_line(result, '--data', '--out')
        assert WEIGHTS.read_bytes() == before
    finally:
        WEIGHTS.write_bytes(before)


def test_seed_determines_face_features(tmp_path):
    files = [tmp_path / f'{name}.npz' for name in ('one', 'same', 'other')]
    for file, seed in zip(files, (1, 1, 2)):
        result = train('--faces', 200, '--epoch', 1, '--seed', seed, '--out', file, cwd=tmp_path,
                       script=ROOT / 'results' / 'anime' / 'features.py')
        assert result.returncode == 0 and f'{file}: 190,746 weights' in result.stdout, result.stderr
    assert same_arrays(*files[:2]) and not same_arrays(*files[1:])
    assert load_features(files[0]).look(numpy.zeros((1, 3, 64, 64))).shape == (1, 64)
    assert_one_line(train('--out', tmp_path, script=ROOT / 'results' / 'anime' / 'features.py'), '--out', str(tmp_path))
    assert_one_line(train('--faces', 50, script=ROOT / 'results' / 'anime' / 'features.py'), '--faces')


def test_metrics_detect_distortions(tmp_path):
    (tmp_path / 'set').mkdir()
    for i, noise in enumerate(numpy.random.default_rng(0).integers(256, size=(40, 8, 8, 3), dtype=numpy.uint8)):
        Image.fromarray(noise).resize((64, 64)).save(tmp_path / 'set' / f'{i}.png')
    result = call('anime/sanity.py', tmp_path / 'set', '-n', 20)
    assert result.returncode == 0, result.stderr
    made = {line.split(' | ')[0].strip('| '): line.strip('| ').split(' | ')[1:] for line in result.stdout.splitlines()[2:]}
    assert len(made) == 8 and {len(row) for row in made.values()} == {8}
    assert made['real faces'][5] == made['blocks shuffled'][5] and made['real faces'][1] != made['blocks shuffled'][1]
    assert_one_line(call('anime/sanity.py', tmp_path / 'set', '-n', 21), '40 images', '-n')


def test_factors_on_the_way_and_of_sums_by_hand(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'results' / 'anime')
    analogies = importlib.import_module('analogies')
    stays, once = analogies.along(numpy.array([
        [1, 1, 1, 1], [1, -1, -1, 1], [1, 1, 2, 1], [2, 2, 2, 2],               # three of these four stay
        [1, 1, 2, 2], [1, -1, 2, 2], [1, 2, 1, 2], [1, 3, 3, 2], [2, 2, 2, 0],  # three of these five change once
        [-1, 1, 1, 1], [0, 1, 1, -1]]))                                         # these do not count
    assert (stays, once) == (0.75, 0.6)
    a, b, c, result = numpy.array([
        [1, 2, 2, 1], [1, 2, 2, 2], [0, 2, 2, 0], [1, -1, -1, 1],       # in three a brings something, twice it is there
        [2, 2, 1, 1], [2, 2, 0, 2], [2, 2, 1, 1], [1, 1, 1, 0]]).T      # here in three c does
    brought, by_chance, kept, kept_by_chance = analogies.expected(a, b, c, result)
    assert (brought, kept) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (by_chance, kept_by_chance) == (pytest.approx(2 / 3), 0)     # each the value of the three before: 1, 1, 1; -1, 1, 0
    assert numpy.isnan(analogies.along(numpy.array([[1, 1]]))[1])


def test_measurements_become_rows_once(tmp_path):
    script, out = tmp_path / 'results' / 'search.py', tmp_path / 'run'
    (tmp_path / 'results' / 'anime').mkdir(parents=True)
    shutil.copy(ROOT / 'results' / 'search.py', script)
    small = ['--size', '32', '--hidden-g', '8', '--hidden-d', '8', '--batchsize', '8', '--metric-samples', '20',
             '--epoch', '1', '--epoch-size', '4', '--log-interval', '1', '--metric-interval', '2']
    assert train(*small, '--seed=7', f'-o{out}', script=ROOT / 'train_anime.py').returncode == 0
    for _ in range(2):
        assert call('search.py', out, folder=tmp_path).returncode == 0
    made = rows(tmp_path / 'results' / 'anime' / 'search.csv')
    assert [(row['iteration'], row['seed']) for row in made] == [('2', '7'), ('4', '7')]
    assert all(row['flags'] == ' '.join(small) and float(row['sliced_wasserstein']) > 0 for row in made)
    table = call('anime/analogies.py', out, '-n', 5)
    assert table.returncode == 0 and [line.split()[1] for line in table.stdout.splitlines()[2:]] == list(FACTORS)
    assert train(*SHORT, '--iterations', 1, '-o', tmp_path / 'points').returncode == 0
    assert_one_line(call('search.py', tmp_path / 'points', folder=tmp_path), 'train_gaussian.py')
    (tmp_path / 'points' / 'config.json').write_text('{}')
    assert_one_line(call('search.py', tmp_path / 'points', folder=tmp_path), 'config.json')
