"""Run an unmodified Chainer program on current versions of Python, NumPy and CuPy.

    python -m lsgan.compat SCRIPT [ARGUMENT ...]

SCRIPT is a Python file that imports Chainer and knows nothing of lsgan. It runs as with `python SCRIPT ARGUMENT ...`: it sees
the same sys.argv and the same modules beside it, and its output, its errors and its exit status are its own. For example:

    python -m lsgan.compat train_dcgan.py --epoch 3
    python -m lsgan.compat train_dcgan.py --help        the help of train_dcgan.py, not this one

Chainer must be version 7.8.1; its files stay unmodified. chainer.datasets.get_mnist and get_fashion_mnist download from
mirrors, because the addresses in Chainer are gone.

A program that you can edit does not need this command. Put `import lsgan` above its first import of Chainer.
"""
import builtins
import importlib.machinery
import multiprocessing
import os
import sys
import types
from collections.abc import Sequence

COMMAND = 'python -m lsgan.compat'


class _Path(str):
    """The path of the script, as the first element of `sys.argv`.

    With the start method spawn, multiprocessing sends a copy of `sys.argv` to each new process before that process imports the
    script. Unpickling an object of this class imports lsgan there, and with it the patches for Chainer.
    """


def main() -> None:
    """Run the script that the command line names, or print the help."""
    script, *arguments = sys.argv[1:] or ['']
    if script in ('-h', '--help'):
        print(__doc__.strip())
    elif not script or script.startswith('-'):
        _refuse(f'the first argument must be the path of a Python script; see {COMMAND} --help')
    else:
        run(script, arguments)


def run(script: str, arguments: Sequence[str]) -> None:
    """Run a script in the module `__main__` of this process.

    Args:
        script: path of the script.
        arguments: its arguments.
    """
    path = os.path.abspath(script)
    loader = importlib.machinery.SourceFileLoader('__main__', path)
    try:
        source = loader.get_data(path)
    except OSError as error:
        _refuse(f'{script}: {error.strerror}. Pass the path of a Python script')
    module = types.ModuleType('__main__')
    vars(module).update(__file__=path, __loader__=loader, __builtins__=builtins)
    sys.modules['__main__'] = module
    sys.argv = [_Path(script), *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    # The fork server would import the script, and with it Chainer, before anything that could install the patches.
    multiprocessing.set_forkserver_preload(['lsgan'])

    def excepthook(kind, error, trace):
        while trace and trace.tb_frame.f_globals is not vars(module):       # leave out the frames above the script
            trace = trace.tb_next
        sys.__excepthook__(kind, error.with_traceback(trace), trace)

    sys.excepthook = excepthook
    exec(loader.source_to_code(source, path), vars(module))


def _refuse(message):
    print(f'{COMMAND}: {message}', file=sys.stderr)
    sys.exit(2)
