import pytest
from running import ROOT, assert_one_line, python

# a test as Chainer's are: of the installed Chainer, with its parameters and marks
PAD = '''
import unittest

import numpy

from chainer import functions
from chainer import testing
from chainer.testing import attr


@testing.parameterize(*testing.product({'dtype': [numpy.uint8, numpy.float32], 'pad': [0, -1]}))
class TestPadSequence(unittest.TestCase):

    def test_forward_cpu(self):
        y = functions.pad_sequence([numpy.ones(1, self.dtype)], length=2, padding=self.pad)
        testing.assert_allclose(y.data[0, 1:], self.dtype(self.pad))

    @attr.gpu
    def test_forward_gpu(self):
        raise AssertionError
'''
FAILING = 'def test_failing():\n    assert False\n'
SETTINGS = '''[tool:pytest]
filterwarnings =
    error
    ignore::chainer.warnings.PerformanceWarning
markers =
    gpu: Tests to run on GPU
    cudnn: Tests to use cuDNN
'''


@pytest.fixture
def tree(tmp_path):
    """A small source tree with the layout of Chainer's. Its package chainer must not be imported."""
    files = {'setup.cfg': SETTINGS, 'chainer/__init__.py': 'raise ImportError',
             'tests/chainer_tests/functions_tests/array_tests/test_pad_sequence.py': PAD,
             'tests/chainer_tests/links_tests/test_failing.py': FAILING}
    for name, content in files.items():
        path = tmp_path / 'tree' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / 'tree'


def test_the_suite_tests_the_patched_chainer_and_leaves_the_tree_as_it_is(tree):
    before = {path: path.stat().st_mtime_ns for path in tree.rglob('*')}
    result = python(ROOT / 'tests' / 'chainer_suite.py', tree, 'functions_tests', cwd=tree)
    assert result.returncode == 0 and '4 passed, 4 deselected' in result.stdout, result.stdout
    assert {path: path.stat().st_mtime_ns for path in tree.rglob('*')} == before


def test_a_failure_is_the_exit_status(tree):
    result = python(ROOT / 'tests' / 'chainer_suite.py', tree, 'functions_tests', 'links_tests', cwd=tree)
    assert result.returncode == 1 and '1 failed, 4 passed, 4 deselected' in result.stdout


def test_a_tree_without_tests_is_refused_in_one_line(tree, tmp_path):
    assert_one_line(python(ROOT / 'tests' / 'chainer_suite.py', tmp_path), f'{tmp_path}: there is no ', 'source tree')
    assert_one_line(python(ROOT / 'tests' / 'chainer_suite.py', tree), 'tests/chainer_tests/training_tests')
