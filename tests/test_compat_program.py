import signal

import pytest
from running import WORKERS, WORKERS_PRINT, assert_one_line, python

# what a program may ask about itself, each on a line of its own
ABOUT = '''"""A program."""
import os, pickle, sys

class Thing:
    pass

assert type(pickle.loads(pickle.dumps(Thing()))) is Thing and sys.modules['__main__'].Thing is Thing
for about in sys.argv, sys.path[0], __name__, __file__, __doc__, __spec__, __package__, type(__loader__), type(__builtins__):
    print(about)
'''


def run(*arguments, **options):
    return python('-m', 'lsgan.compat', *arguments, **options)


@pytest.fixture
def script(tmp_path):
    """A function that writes a program into a folder of its own and returns its path."""
    (tmp_path / 'program').mkdir()

    def write(source):
        path = tmp_path / 'program' / 'script.py'
        path.write_text(source)
        return path
    return write


def outcome(result):
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize('how', ['absolute', 'relative', 'link'])
def test_a_program_sees_what_it_sees_without_the_command(script, tmp_path, how):
    path = script(ABOUT)
    if how == 'relative':
        path = 'program/script.py'
    elif how == 'link':
        path = tmp_path / 'link.py'
        path.symlink_to(tmp_path / 'program' / 'script.py')
    arguments = [path, '-g', '0', '--help', 'a b']
    result = run(*arguments, cwd=tmp_path)
    assert outcome(result) == outcome(python(*arguments, cwd=tmp_path))
    assert result.returncode == 0 and "'-g', '0', '--help', 'a b']" in result.stdout


def test_a_program_imports_chainer_and_the_modules_beside_it(script, tmp_path):
    path = script('import net\nimport chainer\nprint(net.LAYERS, chainer.__version__)')
    path.with_name('net.py').write_text('import chainer.functions as F\nLAYERS = 3')
    assert outcome(run(path, cwd=tmp_path)) == (0, '3 7.8.1\n', '')


@pytest.mark.parametrize('source', [
    'def f():\n    raise ValueError("why")\n\nf()',
    'try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError("why") from error',
    'import missing_module',
    'x = = 1',
    'raise SystemExit',
    'raise SystemExit(5)',
    'raise SystemExit("why")',
    'import signal\nsignal.raise_signal(signal.SIGINT)',
    'import atexit\natexit.register(print, "at the end", __name__)\nprint("first")',
    'import sys\nsys.excepthook = lambda *_: print("mine")\n1 / 0',
    'import warnings\nwarnings.warn("careful")',
])
def test_output_errors_and_exit_status_are_those_of_the_program(script, source):
    path = script(source)
    assert outcome(run(path)) == outcome(python(path))


def test_ctrl_c_ends_a_program_as_usual(script):
    assert run(script('import signal\nsignal.raise_signal(signal.SIGINT)')).returncode == -signal.SIGINT


@pytest.mark.parametrize('method', ['forkserver', 'spawn'])
def test_worker_processes_of_a_program_import_chainer(script, method):
    assert outcome(run(script(WORKERS), method)) == (0, WORKERS_PRINT, '')


@pytest.mark.parametrize('arguments', [[], ['-x'], ['--epoch', '3'], ['missing.py'], ['missing/train.py', '--help'], ['.']])
def test_what_is_not_a_script_is_refused_in_one_line(tmp_path, arguments):
    assert_one_line(run(*arguments, cwd=tmp_path), 'python -m lsgan.compat: ', 'Python script')


@pytest.mark.parametrize('flag', ['-h', '--help'])
def test_help_shows_how_to_use_it(flag):
    status, out, err = outcome(run(flag))
    assert (status, err) == (0, '')
    assert 'python -m lsgan.compat SCRIPT [ARGUMENT ...]' in out and 'python -m lsgan.compat train_dcgan.py' in out
