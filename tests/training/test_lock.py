"""Tests of the locks of run folders and of the tables of sweeps."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from running import ROOT, SCRIPT, SHORT, assert_one_line, assert_same_run, start, train

from lsgan.errors import InputError
from lsgan.training import lock
from lsgan.training.sweep import sweep

HOLD = """
import pathlib, sys
from lsgan.training import lock
with lock.held(pathlib.Path(sys.argv[1]), 'it', 'wait'):
    print('held', flush=True)
    input()
"""
TAKE_TURNS = """
import pathlib, sys, time
from lsgan.errors import InputError
from lsgan.training import lock
path, turns = pathlib.Path(sys.argv[1]), 0
while turns < 20:
    try:
        with lock.held(path, 'it', 'wait'):
            (path.parent / 'inside').mkdir()
            (path.parent / 'inside').rmdir()
            turns += 1
    except InputError:
        time.sleep(0.001)
"""


def hold(path):
    """Start a process that holds a lock file until it is killed or reads a line."""
    process = subprocess.Popen([sys.executable, '-c', HOLD, path], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == 'held\n'
    return process


def test_second_process_is_told_who_holds_lock(tmp_path):
    path = tmp_path / 'new' / 'folder' / '.lock'
    process = hold(path)
    with pytest.raises(InputError) as caught, lock.held(path, 'the folder', 'wait'):
        pass
    assert str(caught.value) == f'the folder: in use by process {process.pid} on host {socket.gethostname()}; wait'
    process.communicate('\n')
    assert not (tmp_path / 'new').exists()      # nothing was written to it
    with lock.held(path, 'the folder', 'wait'):
        assert path.read_text() == f'process {os.getpid()} on host {socket.gethostname()}\n'
        (path.parent / 'kept').touch()
    assert [p.name for p in path.parent.iterdir()] == ['kept']


def test_killed_process_releases_lock(tmp_path):
    process = hold(tmp_path / '.lock')
    process.kill()
    process.communicate()
    assert (tmp_path / '.lock').exists()
    with lock.held(tmp_path / '.lock', 'the folder', 'wait'):
        pass
    assert not (tmp_path / '.lock').exists()


def test_many_processes_take_turns(tmp_path):
    path = tmp_path / 'run' / '.lock'
    processes = [subprocess.Popen([sys.executable, '-c', TAKE_TURNS, path], cwd=ROOT, stderr=subprocess.PIPE)
                 for _ in range(4)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == b'' and process.returncode == 0


@pytest.mark.parametrize('flags', [SHORT, ['--resume']], ids=['new', 'resumed'])
def test_second_run_in_folder_is_refused(flags, whole, tmp_path):
    folder = tmp_path / 'run'
    if flags == ['--resume']:
        assert train(*SHORT, '--iterations', 20, '-o', folder).returncode == 0
    first = start(*flags, '-o', folder)
    while not (folder / lock.NAME).exists() or not (folder / lock.NAME).read_text():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)       # or it might end before the others begin
    for second in [*SHORT, '-o', folder], ['--resume', '-o', folder], ['--resume', folder]:
        assert_one_line(train(*second), str(folder), f'process {first.pid}', socket.gethostname())
    if flags == ['--resume']:
        assert train('score', folder, script=ROOT / 'visualize.py').returncode == 0
    first.send_signal(signal.SIGCONT)
    assert first.communicate(timeout=120)[1] == '' and first.returncode == 0
    assert_same_run(whole[0], folder)
    assert not (folder / lock.NAME).exists()


def test_refused_flags_leave_nothing(tmp_path):
    assert_one_line(train('--clip', 1, '-o', tmp_path / 'a' / 'b'), '--clip')
    assert not (tmp_path / 'a').exists()


def test_second_sweep_of_table_is_refused(tmp_path, capsys):
    script, table = shutil.copy(SCRIPT, tmp_path / SCRIPT.name), tmp_path / 'runs.csv'
    process = hold(tmp_path / '.runs.csv.lock')
    with pytest.raises(InputError, match=f'runs.csv: in use by process {process.pid} on host'):
        sweep(pathlib.Path(script), table, [('plain', ' '.join(SHORT), 0)], ())
    assert sweep(pathlib.Path(script), table, [('plain', ' '.join(SHORT), 0)], (), dry=True) == 0     # only reads
    process.communicate('\n')
    assert not (tmp_path / 'result').exists() and not table.exists()


REPLACE = """
import sys
from lsgan.training.snapshot import replacing
for i in range(200):
    with replacing(sys.argv[1]) as file:
        file.write(sys.argv[2].encode() * 1000)
"""


def test_several_processes_can_write_one_picture(tmp_path):
    path = tmp_path / 'picture.png'
    processes = [subprocess.Popen([sys.executable, '-c', REPLACE, path, letter], cwd=ROOT, stderr=subprocess.PIPE)
                 for letter in 'abc']
    for process in processes:
        assert process.communicate(timeout=60)[1] == b''
    assert path.read_bytes() in [letter * 1000 for letter in (b'a', b'b', b'c')] and [*tmp_path.iterdir()] == [path]
