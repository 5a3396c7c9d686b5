"""Tests of stopping, killing and resuming: an interrupted run gives the same bits as one that was not interrupted."""
import json
import random
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from running import SHORT, arrays, assert_one_line, assert_same_run, same_arrays, settings_of, start, timeless_log, train


def test_only_newest_snapshots_are_kept(whole, tmp_path):
    folder, _ = whole
    names = sorted(p.name for p in folder.glob('snapshot_iter_*'))
    assert names == ['snapshot_iter_100', 'snapshot_iter_150', 'snapshot_iter_180']
    train(*SHORT, '--keep', 1, '-o', tmp_path / 'run')
    assert [p.name for p in (tmp_path / 'run').glob('snapshot_iter_*')] == ['snapshot_iter_180']


def test_resuming_is_exact(whole, tmp_path):
    folder = tmp_path / 'run'
    result = train(*SHORT, '--iterations', 130, '-o', folder)
    assert result.returncode == 0 and '--resume' in result.stdout
    assert max(p.name for p in (folder / 'samples').iterdir()) == 'iter_00000130.png'
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_resuming_at_any_stage_is_exact(whole, tmp_path):
    folder = tmp_path / 'run'
    for iterations in 10, 50, 75:
        new = SHORT if iterations == 10 else []
        assert train(*new, '--iterations', iterations, '-o', folder, '--resume').returncode == 0
    assert train('--resume', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_weights_files_are_reproducible(whole, tmp_path, monkeypatch):
    for seed in '1', '2':       # of the order in which sets are walked through
        monkeypatch.setenv('PYTHONHASHSEED', seed)
        assert train(*SHORT, '--iterations', 10, '-o', tmp_path / seed).returncode == 0
    one, other = ((tmp_path / seed / 'generator_iter_10.npz').read_bytes() for seed in '12')
    assert one == other


def test_resuming_from_a_named_snapshot(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    result = train('--resume', tmp_path / 'run' / 'snapshot_iter_100')
    assert result.returncode == 0 and 'updates 100 to 180' in result.stdout
    assert_same_run(whole[0], tmp_path / 'run')
    elsewhere = tmp_path / 'elsewhere'
    assert train('--resume', whole[0] / 'snapshot_iter_100', '-o', elsewhere).returncode == 0
    assert same_arrays(whole[0] / 'generator_iter_180.npz', elsewhere / 'generator_iter_180.npz')
    assert timeless_log(whole[0]) == timeless_log(elsewhere)
    assert_one_line(train('--resume', whole[0] / 'snapshot_iter_100', '-o', elsewhere), 'elsewhere', 'exists')


def test_run_of_older_version_resumes_with_a_note(whole, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(whole[0], folder)
    config = json.loads((folder / 'config.json').read_text())
    config['versions'] |= {'lsgan': '0.1.0', 'numpy': '2.0.0'}
    (folder / 'config.json').write_text(json.dumps(config))
    result = train('--resume', folder / 'snapshot_iter_150')
    note, = (line for line in result.stdout.splitlines() if 'this run began with' in line)
    assert note.startswith('note: this run began with lsgan 0.1.0, numpy 2.0.0 and goes on with lsgan ')
    assert json.loads((folder / 'config.json').read_text())['versions'] == config['versions']   # as it began
    assert_same_run(whole[0], folder)
    assert 'this run began with' not in train('--resume', whole[0], '-o', tmp_path / 'other').stdout


def test_resuming_another_folder_continues_its_newest_snapshot(whole, tmp_path):
    result = train('--resume', whole[0], '-o', tmp_path / 'run')
    assert result.returncode == 0 and '180 updates are done already' in result.stdout
    assert json.loads((tmp_path / 'run' / 'metrics.json').read_text())['iteration'] == 180
    assert (tmp_path / 'run' / 'figures' / 'scatter.png').exists()


def test_files_of_user_are_kept(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    (tmp_path / 'run' / 'logs-mine').mkdir()
    (tmp_path / 'run' / 'logs-mine' / 'note').touch()
    (tmp_path / 'run' / 'logabcd_123').mkdir()
    (tmp_path / 'run' / 'logabcd_123' / 'log.json').touch()
    assert train('--resume', tmp_path / 'run').returncode == 0
    assert (tmp_path / 'run' / 'logs-mine' / 'note').exists() and not (tmp_path / 'run' / 'logabcd_123').exists()


def test_settings_without_effect_on_results_can_change(whole, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--iterations', 60, '-o', folder).returncode == 0
    assert train('--resume', folder, '--keep', 1, '--snapshot-interval', 40).returncode == 0
    assert [p.name for p in folder.glob('snapshot_iter_*')] == ['snapshot_iter_180']
    assert json.loads((folder / 'config.json').read_text())['settings']['keep'] == 1
    assert_same_run(whole[0], folder)


@pytest.mark.parametrize('loss', [['--loss', 'wgan', '--n-critic', 2, '--optimizer', 'rmsprop'], ['--loss', 'gan'],
                                  ['--abc', -1, 1, 0, '--average', 0, '--noise', 0]])
def test_resuming_other_losses_is_exact(loss, tmp_path):
    assert train(*SHORT, *loss, '-o', tmp_path / 'whole').returncode == 0
    assert train(*SHORT, *loss, '-o', tmp_path / 'parts', '--iterations', 70).returncode == 0
    assert train('--resume', tmp_path / 'parts').returncode == 0
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


def test_evaluation_does_not_change_training(whole, tmp_path):
    rarely = ['--log-interval', 1000, '--metric-interval', 1000, '--sample-interval', 1000]
    assert train(*SHORT, *rarely, '-o', tmp_path / 'run').returncode == 0
    assert same_arrays(whole[0] / 'generator_iter_180.npz', tmp_path / 'run' / 'generator_iter_180.npz')


@pytest.mark.parametrize('number, times, status', [(signal.SIGINT, 1, 130), (signal.SIGINT, 3, 130), (signal.SIGTERM, 1, 143)],
                         ids=['int', 'passed on by others', 'term'])
def test_signal_saves_and_says_how_to_continue(whole, tmp_path, number, times, status):
    folder = tmp_path / 'run'
    process = start(*SHORT, '-o', folder)
    for line in process.stdout:
        if ' 20 of 180 updates' in line:
            for _ in range(times):
                process.send_signal(number)
                time.sleep(0.02)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == status and err.count('Stopping after this update and saving') == 1
    assert f'--resume -o {folder}' in out
    stopped_at = max(int(p.name.split('_')[-1]) for p in folder.glob('snapshot_iter_*'))
    assert 20 <= stopped_at <= 180 and (folder / 'samples' / f'iter_{stopped_at:08}.png').exists()
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_killed_run_resumes(whole, tmp_path):
    folder = tmp_path / 'run'
    moments = random.Random(0)
    kills = 0
    while kills < 20:
        process = start(*(SHORT if not (folder / 'config.json').exists() else []), '--resume', '-o', folder)
        try:
            _, err = process.communicate(timeout=moments.uniform(0.1, 2.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        else:
            assert process.returncode == 0, err
            assert_same_run(whole[0], folder)
            shutil.rmtree(folder)
        kills += 1
        for path in folder.glob('snapshot_iter_*'):
            assert arrays(path)
    assert train(*(SHORT if not (folder / 'config.json').exists() else []), '--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)
    assert not [p for p in folder.rglob('*') if p.name.startswith('.') or p.is_dir() and p.name.startswith('log')]


@pytest.mark.parametrize('damage', ['truncated', 'emptied', 'foreign', 'pickled', 'another run'])
def test_bad_snapshot_is_skipped(whole, tmp_path, damage):
    shutil.copytree(whole[0], tmp_path / 'run')
    bad = tmp_path / 'run' / 'snapshot_iter_180'
    content = bad.read_bytes()
    if damage == 'another run':
        assert train(*SHORT, '--loss', 'gan', '-o', tmp_path / 'gan').returncode == 0
        shutil.copy(tmp_path / 'gan' / 'snapshot_iter_180', bad)
    elif damage == 'foreign':
        with open(bad, 'wb') as f:
            np.savez(f, weights=np.zeros(3))
    elif damage == 'pickled':
        with open(bad, 'wb') as f:
            np.savez(f, **arrays(whole[0] / 'snapshot_iter_180'), extra=np.array([{'a': 1}], object))
    else:
        bad.write_bytes(content[:len(content) // 2] if damage == 'truncated' else b'')
    result = train('--resume', '-o', tmp_path / 'run')
    assert result.returncode == 0
    assert 'snapshot_iter_180' in result.stderr and len(result.stderr.splitlines()) == 1
    assert 'updates 150 to 180' in result.stdout
    assert_same_run(whole[0], tmp_path / 'run')
    shutil.copy(tmp_path / 'run' / 'config.json', tmp_path / 'file')
    assert_one_line(train('--resume', tmp_path / 'file'), str(tmp_path / 'file'))


def test_contradicting_settings_are_named(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    before = sorted(p.name for p in (tmp_path / 'run').rglob('*'))
    result = train('--resume', '-o', tmp_path / 'run', '--seed', 5, '--lr-g', 0.5, '--latent', 8)
    assert_one_line(result, '--seed', '5', '--lr-g', '0.5')
    assert '--latent' not in result.stderr
    assert before == sorted(p.name for p in (tmp_path / 'run').rglob('*'))


def test_full_disk_is_one_line(whole, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--iterations', 50, '-o', folder).returncode == 0
    size = (folder / 'snapshot_iter_50').stat().st_size

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    assert_one_line(train('--resume', '-o', folder, preexec_fn=small_files), str(folder))
    assert sorted(p.name for p in folder.glob('*snapshot*')) == ['snapshot_iter_50']
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


@pytest.mark.parametrize('flags, before', [([], 180), (['--iterations', 100], 100)], ids=['finished', 'stopped early'])
def test_length_can_change(flags, before, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, *flags, '-o', folder).returncode == 0
    assert_one_line(train('--resume', '-o', folder, '--epoch', 1), '--epoch 1', f'{before / 60:g} epochs')
    assert_one_line(train('--resume', '-o', folder, '--epoch', 4, '--lr-g', 0.5), '--lr-g')
    first = train('--resume', '-o', folder, '--epoch', 4, '--iterations', 200)
    assert first.returncode == 0 and f'updates {before} to 200' in first.stdout
    change = {'updates': before, 'epoch_before': 3, 'epoch': 4}
    assert 'from 3 to 4 epochs' in first.stdout and 'not the run that --epoch 4 gives' in first.stdout
    assert settings_of(folder)['epoch'] == 4 and settings_of(folder)['continued'] == [change]
    second = train('--resume', '-o', folder)
    assert second.returncode == 0 and 'updates 200 to 240' in second.stdout and 'from 3 to 4 epochs' in second.stdout
    assert settings_of(folder)['continued'] == [change]
    assert [entry['iteration'] for entry in timeless_log(folder)] == list(range(20, 241, 20))


def test_other_length_has_own_schedules(tmp_path):
    # the learning rates fall from update 120 in 3 epochs, and from 160 in 4: until 100 both are the same run
    flags = *SHORT, '--lr-decay', 1 / 3, '--noise', 0.1, '--noise-end', 0.1
    assert train(*flags, '--iterations', 100, '-o', tmp_path / 'run').returncode == 0
    assert train('--resume', tmp_path / 'run', '--epoch', 4).returncode == 0
    assert train(*flags, '--epoch', 4, '-o', tmp_path / 'long').returncode == 0
    assert_same_run(tmp_path / 'long', tmp_path / 'run', 240)


def test_resuming_continued_run_is_exact(whole, tmp_path):
    for name, stops in ('at once', [[]]), ('in parts', [['--iterations', 190], ['--iterations', 203], []]):
        shutil.copytree(whole[0], tmp_path / name)
        for flags in stops:
            assert train('--resume', tmp_path / name, '--epoch', 4, *flags).returncode == 0
    assert_same_run(tmp_path / 'at once', tmp_path / 'in parts', 240)
    assert settings_of(tmp_path / 'at once') == settings_of(tmp_path / 'in parts')


def test_length_of_snapshot_counts(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    assert train('--resume', tmp_path / 'run', '--epoch', 4, '--iterations', 190).returncode == 0
    elsewhere = tmp_path / 'elsewhere'
    assert train('--resume', tmp_path / 'run' / 'snapshot_iter_150', '-o', elsewhere).returncode == 0
    assert same_arrays(whole[0] / 'generator_iter_180.npz', elsewhere / 'generator_iter_180.npz')
    assert 'continued' not in settings_of(elsewhere)


def test_stopped_run_has_partial_log_entry(whole, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--iterations', 7, '-o', folder).returncode == 0
    entry, = timeless_log(folder)
    assert entry['iteration'] == 7 and np.isfinite(entry['gen/loss']) and (folder / 'figures' / 'curves.png').exists()
    assert train('--resume', '-o', folder, '--iterations', 33).returncode == 0
    assert [entry['iteration'] for entry in timeless_log(folder)] == [20, 33]
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_partial_log_entry_is_mean_of_its_updates(whole, tmp_path):
    logs = {}
    for n, interval in (14, 20), (14, 1), (7, 20):
        folder = tmp_path / f'{n}-{interval}'
        flags = '--log-interval', interval, '--iterations', n, '-o', folder
        assert train(*SHORT, *flags).returncode == 0
        logs[n, interval] = timeless_log(folder)
    (mean,), single = logs[14, 20], logs[14, 1]
    assert mean['dis/loss'] == pytest.approx(np.mean([entry['dis/loss'] for entry in single]), rel=1e-5)
    assert logs[7, 20][0]['dis/loss'] == pytest.approx(np.mean([entry['dis/loss'] for entry in single[:7]]), rel=1e-5)
