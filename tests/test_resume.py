"""Stopping, killing and going on: the run that was interrupted is the run that never was."""
import json
import random
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from running import SHORT, arrays, assert_one_line, assert_same_run, same_arrays, start, timeless_log, train


def test_only_the_newest_snapshots_stay(whole, tmp_path):
    folder, _ = whole
    names = sorted(p.name for p in folder.glob('snapshot_iter_*'))
    assert names == ['snapshot_iter_100', 'snapshot_iter_150', 'snapshot_iter_180']
    train(*SHORT, '--keep', 1, '-o', tmp_path / 'run')
    assert [p.name for p in (tmp_path / 'run').glob('snapshot_iter_*')] == ['snapshot_iter_180']


def test_stopped_early_and_continued_is_the_run_that_never_stopped(whole, tmp_path):
    folder = tmp_path / 'run'
    result = train(*SHORT, '--iterations', 130, '-o', folder)
    assert result.returncode == 0 and '--resume' in result.stdout
    assert max(p.name for p in (folder / 'samples').iterdir()) == 'iter_00000130.png'
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_every_stage_of_a_run_resumes_exactly(whole, tmp_path):
    folder = tmp_path / 'run'
    for iterations in 10, 50, 75:
        new = SHORT if iterations == 10 else []
        assert train(*new, '--iterations', iterations, '-o', folder, '--resume').returncode == 0
    assert train('--resume', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_the_same_run_writes_the_same_file_of_weights(whole, tmp_path, monkeypatch):
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


def test_resuming_another_folder_continues_its_newest_snapshot(whole, tmp_path):
    result = train('--resume', whole[0], '-o', tmp_path / 'run')
    assert result.returncode == 0 and '180 updates are done already' in result.stdout
    assert json.loads((tmp_path / 'run' / 'metrics.json').read_text())['iteration'] == 180
    assert (tmp_path / 'run' / 'figures' / 'scatter.png').exists()


def test_what_belongs_to_the_user_stays(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'run')
    (tmp_path / 'run' / 'logs-mine').mkdir()
    (tmp_path / 'run' / 'logs-mine' / 'note').touch()
    (tmp_path / 'run' / 'logabcd_123').mkdir()
    (tmp_path / 'run' / 'logabcd_123' / 'log.json').touch()
    assert train('--resume', tmp_path / 'run').returncode == 0
    assert (tmp_path / 'run' / 'logs-mine' / 'note').exists() and not (tmp_path / 'run' / 'logabcd_123').exists()


def test_what_changes_nothing_computed_may_change_on_resuming(whole, tmp_path):
    folder = tmp_path / 'run'
    assert train(*SHORT, '--iterations', 60, '-o', folder).returncode == 0
    assert train('--resume', folder, '--keep', 1, '--snapshot-interval', 40).returncode == 0
    assert [p.name for p in folder.glob('snapshot_iter_*')] == ['snapshot_iter_180']
    assert json.loads((folder / 'config.json').read_text())['settings']['keep'] == 1
    assert_same_run(whole[0], folder)


@pytest.mark.parametrize('loss', [['--loss', 'wgan', '--n-critic', 2, '--optimizer', 'rmsprop'], ['--loss', 'gan'],
                                  ['--abc', -1, 1, 0, '--average', 0, '--noise', 0]])
def test_other_losses_resume_exactly(loss, tmp_path):
    assert train(*SHORT, *loss, '-o', tmp_path / 'whole').returncode == 0
    assert train(*SHORT, *loss, '-o', tmp_path / 'parts', '--iterations', 70).returncode == 0
    assert train('--resume', tmp_path / 'parts').returncode == 0
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


def test_watching_does_not_change_the_training(whole, tmp_path):
    rarely = ['--log-interval', 1000, '--metric-interval', 1000, '--sample-interval', 1000]
    assert train(*SHORT, *rarely, '-o', tmp_path / 'run').returncode == 0
    assert same_arrays(whole[0] / 'generator_iter_180.npz', tmp_path / 'run' / 'generator_iter_180.npz')


@pytest.mark.parametrize('number, times, status', [(signal.SIGINT, 1, 130), (signal.SIGINT, 3, 130), (signal.SIGTERM, 1, 143)],
                         ids=['int', 'passed on by others', 'term'])
def test_a_signal_saves_and_says_how_to_go_on(whole, tmp_path, number, times, status):
    folder = tmp_path / 'run'
    process = start(*SHORT, '-o', folder)
    for line in process.stdout:
        if ' 20 of 180 updates' in line:
            for _ in range(times):
                process.send_signal(number)
                time.sleep(0.02)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == status and err.count('saving') == 1
    assert f'--resume -o {folder}' in out
    stopped_at = max(int(p.name.split('_')[-1]) for p in folder.glob('snapshot_iter_*'))
    assert 20 <= stopped_at <= 180 and (folder / 'samples' / f'iter_{stopped_at:08}.png').exists()
    assert train('--resume', '-o', folder).returncode == 0
    assert_same_run(whole[0], folder)


def test_killed_at_random_moments_it_always_resumes(whole, tmp_path):
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
def test_a_bad_snapshot_is_named_and_the_one_before_used(whole, tmp_path, damage):
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


def test_a_full_disk_is_one_line_and_loses_nothing(whole, tmp_path):
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
