"""Run Chainer's own tests on the installed Chainer with the patches of lsgan.

    git clone --branch v7.8.1 --depth 1 https://github.com/chainer/chainer
    uv run --with mock --with scipy tests/chainer_suite.py chainer
    uv run --with mock --with scipy tests/chainer_suite.py chainer functions_tests/array_tests

The first argument is the source tree of Chainer 7.8.1. Its source distribution has no tests. The other arguments are files or
folders in its tests/chainer_tests, by default those of functions, links, training and iterators. Tests that are slow, or that
need a GPU, ChainerX or iDeep, are left out. The exit status is that of pytest: 0 if all other tests pass.

The tests run in a copy, in which the expressions in `CHANGES` are replaced. These expressions are errors on NumPy 2.
"""
import argparse
import pathlib
import shutil
import sys
import tempfile

import lsgan  # noqa: F401, before pytest, which imports Chainer when it reads the settings of Chainer's tests

import pytest  # isort: skip

PARTS = 'functions_tests', 'links_tests', 'training_tests', 'iterators_tests'
LEFT_OUT = 'gpu', 'multi_gpu', 'cudnn', 'ideep', 'chainerx', 'slow'
# file: (old expression, new expression)
CHANGES = {
    # NumPy 2 does not convert -1 to an unsigned integer
    'functions_tests/array_tests/test_pad_sequence.py':
        ('self.dtype(self.pad)', 'numpy.array(self.pad).astype(self.dtype)'),
}


def copy(tree, folder):
    """Copy the tests of a source tree and their settings into a folder, and apply `CHANGES`."""
    shutil.copytree(tree / 'tests', folder / 'tests')
    if (tree / 'setup.cfg').exists():
        shutil.copy(tree / 'setup.cfg', folder)
    for name, (old, new) in CHANGES.items():
        path = folder / 'tests' / 'chainer_tests' / name
        if path.exists():
            path.write_text(path.read_text(encoding='utf-8').replace(old, new), encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('tree', type=pathlib.Path, help='source tree of Chainer 7.8.1')
    parser.add_argument('parts', nargs='*', default=PARTS, metavar='PART',
                        help=f'file or folder in tests/chainer_tests (default: {" ".join(PARTS)})')
    args = parser.parse_args()
    for part in args.parts:
        if not (args.tree / 'tests' / 'chainer_tests' / part).exists():
            parser.exit(2, f'{args.tree}: there is no tests/chainer_tests/{part}. Pass the source tree of Chainer 7.8.1\n')
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        copy(args.tree, folder)
        flags = ['-q', '-p', 'no:cacheprovider', '-m', f'not ({" or ".join(LEFT_OUT)})', '--rootdir', str(folder)]
        if (folder / 'setup.cfg').exists():
            flags += ['-c', str(folder / 'setup.cfg')]
        return pytest.main([*flags, *(str(folder / 'tests' / 'chainer_tests' / part) for part in args.parts)])


if __name__ == '__main__':
    sys.exit(main())
