"""Tests of the scripts in a Jupyter kernel: %run trains, shows one bar, saves when interrupted, and restores global state.

The notebook in examples is run, too.
"""
import json
import os
import shlex

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from running import ROOT, SHORT, assert_same_run, train

STATE = """
import json, signal, numpy, chainer
print(json.dumps([repr(signal.getsignal(signal.SIGINT)), repr(signal.getsignal(signal.SIGTERM)),
                  repr(numpy.random.get_state()), repr(sorted(vars(chainer.global_config).items())), repr(numpy.geterr()),
                  chainer.get_current_reporter() is reporter]))
"""


def environment(folder):
    """The environment variables of a kernel that keeps its files in a folder."""
    env = {**os.environ, 'IPYTHONDIR': str(folder / 'ipython'), 'JUPYTER_RUNTIME_DIR': str(folder / 'runtime')}
    env.pop('PYTEST_CURRENT_TEST', None)        # in tests of its own, ipykernel does not capture file descriptors
    return env


class Kernel:
    """A Jupyter kernel that returns the output of its cells."""

    def __init__(self, folder):
        self.manager, self.client = start_new_kernel(kernel_name='python3', cwd=folder, env=environment(folder))

    def run(self, code, interrupt_at=None):
        """Run a cell and return its standard output, standard error and errors. Interrupt it when it prints `interrupt_at`."""
        streams = {'stdout': '', 'stderr': '', 'error': ''}

        def hook(message):
            content = message['content']
            if message['msg_type'] == 'stream':
                streams[content['name']] += content['text']
                if interrupt_at and interrupt_at in content['text']:
                    self.manager.interrupt_kernel()
            elif message['msg_type'] == 'error':
                streams['error'] += content['evalue']
        self.client.execute_interactive(code, output_hook=hook, timeout=120)
        return tuple(streams.values())

    def script(self, *flags, name='train_gaussian.py', **options):
        return self.run(f'%run {ROOT / name} {shlex.join(map(str, flags))}', **options)

    def state(self):
        """Return the kernel's signal handlers and the global states of NumPy and Chainer."""
        return json.loads(self.run(STATE)[0])


@pytest.fixture(scope='module')
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp('kernel'))
    kernel.run(f'import sys; sys.path.insert(0, {str(ROOT)!r}); import lsgan, chainer, numpy\n'
               'from lsgan.training import run; reporter = chainer.Reporter(); reporter.__enter__(); numpy.random.seed(7)')
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)
    kernel.manager.cleanup_resources()


def test_run_in_kernel_equals_command_line(kernel, whole, tmp_path):
    before = kernel.state()
    for name in 'one', 'two':
        out, err, error = kernel.script(*SHORT, '-o', tmp_path / name)
        assert (err, error) == ('', '') and 'after 180 updates' in out
        assert '180/180' in out and out.count('\n') < 40        # one bar that is redrawn, not a line for each log entry
        assert_same_run(whole[0], tmp_path / name)
        assert kernel.state() == before


def test_interrupt_saves_and_run_continues(kernel, whole, tmp_path):
    before = kernel.state()
    flags = *SHORT, '--epoch-size', 500
    out, err, error = kernel.script(*flags, '-o', tmp_path / 'run', interrupt_at='up/s')
    assert error == '' and 'saving' in err and 'stopped by SIGINT' in out and '%run train_gaussian.py --resume' in out
    assert kernel.state() == before and list((tmp_path / 'run').glob('snapshot_iter_*'))
    out, err, error = kernel.script('--resume', '-o', tmp_path / 'run')
    assert (err, error) == ('', '') and 'after 1,500 updates' in out
    assert train(*flags, '-o', tmp_path / 'whole').returncode == 0
    assert_same_run(tmp_path / 'whole', tmp_path / 'run', 1500)


@pytest.mark.parametrize('name', ['train_gaussian.py', 'visualize.py'])
def test_help_leaves_no_exit_behind(kernel, name):
    out, err, error = kernel.script('--help', name=name)
    assert (err, error) == ('', '') and out.startswith(f'usage: {name}')


def test_errors_are_one_line_without_a_traceback(kernel, tmp_path):
    before = kernel.state()
    for name, flags, words in [('train_gaussian.py', ['--clip', 1, '-o', tmp_path / 'run'], '--clip'),
                               ('train_mnist.py', ['--data', tmp_path / 'nothing', '-o', tmp_path / 'run'], 'nothing'),
                               ('train_anime.py', ['--images', tmp_path / 'nothing', '-o', tmp_path / 'run'], 'nothing'),
                               ('visualize.py', ['curves', tmp_path / 'run'], 'no such run folder')]:
        out, err, error = kernel.script(*flags, name=name)
        assert error == '' and len(err.strip().splitlines()) == 1 and words in err
    assert kernel.state() == before and not (tmp_path / 'run').exists()


def test_shell_command_trains(kernel, whole, tmp_path):
    out, err, error = kernel.run(f'!"{{sys.executable}}" {ROOT / "train_gaussian.py"} {shlex.join(map(str, SHORT))} '
                                 f'-o {tmp_path / "run"}')
    assert (err, error) == ('', '') and 'after 180 updates' in out
    assert_same_run(whole[0], tmp_path / 'run')


class Watched(NotebookClient):
    """Runs a notebook and counts how often it redraws a picture that it shows already."""

    redrawn = 0

    def process_message(self, msg, cell, cell_index):
        self.redrawn += msg['msg_type'] == 'update_display_data'
        return super().process_message(msg, cell, cell_index)


@pytest.mark.script
def test_the_example_runs_and_shows_pictures(tmp_path):
    notebook = nbformat.read(ROOT / 'examples' / 'lsgan.ipynb', as_version=4)
    assert not any(cell.get('outputs') for cell in notebook.cells), 'clear all outputs before committing'
    folder = tmp_path / 'examples'
    folder.mkdir()
    for name in 'train_gaussian.py', 'visualize.py', 'results':
        (tmp_path / name).symlink_to(ROOT / name)
    client = Watched(notebook, timeout=240, resources={'metadata': {'path': str(folder)}})
    client.execute(env={**environment(tmp_path), 'TMPDIR': str(tmp_path)})
    outputs = [output for cell in notebook.cells for output in cell.get('outputs', ())]
    assert client.redrawn == 20 and sum('image/png' in output.get('data', {}) for output in outputs) == 5
    text = ''.join(output['text'] for output in outputs if output.get('name') == 'stdout')
    assert all(words in text for words in ('least squares  ', 'after 100 updates', 'updates 100 to 300', 'drawn: '))
    assert not [output for output in outputs if output.get('name') == 'stderr'] and not os.listdir(folder)
