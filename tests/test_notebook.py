"""Tests of the scripts in a Jupyter kernel: %run trains, shows one bar, saves when interrupted, and restores global state."""
import json
import os
import shlex

import pytest
from jupyter_client.manager import start_new_kernel
from running import ROOT, SHORT, assert_same_run, train

STATE = """
import json, signal, numpy, chainer
print(json.dumps([repr(signal.getsignal(signal.SIGINT)), repr(signal.getsignal(signal.SIGTERM)),
                  repr(numpy.random.get_state()), repr(sorted(vars(chainer.global_config).items())), repr(numpy.geterr()),
                  chainer.get_current_reporter() is reporter]))
"""


class Kernel:
    """A Jupyter kernel that returns the output of its cells."""

    def __init__(self, folder):
        env = {**os.environ, 'IPYTHONDIR': str(folder / 'ipython'), 'JUPYTER_RUNTIME_DIR': str(folder / 'runtime')}
        env.pop('PYTEST_CURRENT_TEST', None)        # in tests of its own, ipykernel does not capture file descriptors
        self.manager, self.client = start_new_kernel(kernel_name='python3', cwd=folder, env=env)

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
