import pathlib
import sys

import chainer
import chainer.functions as F
import numpy
import pytest
from chainer import gradient_check
from running import ROOT, WORKERS, WORKERS_PRINT, python

from lsgan import compat

CHAINER = pathlib.Path(chainer.__file__).resolve().parent


def fake_chainer(folder, version, **modules):
    package, info = folder / 'chainer', folder / f'chainer-{version}.dist-info'
    package.mkdir()
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: chainer\nVersion: {version}\n')
    for name, source in {'__init__': '', **modules}.items():
        (package / f'{name}.py').write_text(source)


def refusal(statement, path):
    """What the ImportError of a statement says."""
    code = f'try:\n    {statement}\nexcept ImportError as error:\n    print(error)\nelse:\n    print("imported")'
    result = python('-c', code, path=[path])
    assert (result.returncode, result.stderr) == (0, '')
    return result.stdout


def test_import_is_silent_even_with_warnings_as_errors():
    result = python('-W', 'error', '-c', 'import lsgan')
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_chainer_after_it_imports_silently():
    result = python('-c', 'import lsgan, chainer')
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_import_does_not_load_chainer():
    result = python('-c', 'import sys, lsgan; print("chainer" in sys.modules)')
    assert result.stdout == 'False\n'


def test_install_twice_is_the_same_as_once():
    finders = list(sys.meta_path)
    compat.install()
    assert sys.meta_path == finders


@pytest.mark.parametrize('version', ['7.8.0', '7.8.1.post1', '8.0.0b1'])
def test_another_version_of_chainer_is_refused_in_one_line(tmp_path, version):
    fake_chainer(tmp_path, version)
    said = refusal('import lsgan, chainer', tmp_path)
    assert len(said.splitlines()) == 1
    assert f'lsgan needs Chainer 7.8.1, but {version} is installed' in said
    assert "pip install 'chainer==7.8.1'" in said


def test_a_script_says_nothing_else_and_other_errors_stay_as_they_are(tmp_path):
    fake_chainer(tmp_path, '7.8.0')
    for script in 'train_gaussian.py', 'visualize.py':
        result = python(ROOT / script, '--help', path=[tmp_path])
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1 and 'lsgan needs Chainer 7.8.1, but 7.8.0 is installed' in result.stderr
    caught = 'import lsgan\ntry:\n    import chainer\nexcept ImportError:\n    1 / 0'
    assert 'Traceback' in python('-c', caught, path=[tmp_path]).stderr


def test_the_right_version_is_accepted_and_patched(tmp_path):
    source = (CHAINER / '_environment_check.py').read_text()
    fake_chainer(tmp_path, '7.8.1', _environment_check=source)
    said = refusal('import lsgan, chainer._environment_check as c; print(hasattr(c, "pkg_resources"))', tmp_path)
    assert said == 'False\nimported\n'


@pytest.mark.parametrize('change', [
    lambda source: source.replace('import pkg_resources\n', 'import pkg_resources as resources\n'),
    lambda source: source + '\n\nimport pkg_resources\n',
], ids=['missing', 'twice'])
def test_a_modified_source_of_chainer_is_refused_in_one_line(tmp_path, change):
    source = change((CHAINER / '_environment_check.py').read_text())
    fake_chainer(tmp_path, '7.8.1', _environment_check=source)
    said = refusal('import lsgan, chainer._environment_check', tmp_path)
    assert len(said.splitlines()) == 1
    assert 'lsgan needs the unmodified Chainer 7.8.1' in said
    assert str(tmp_path / 'chainer' / '_environment_check.py') in said


def test_chainer_before_it_is_refused_in_one_line(tmp_path):
    fake_chainer(tmp_path, '7.8.1', _environment_check='')
    said = refusal('import chainer._environment_check; import lsgan', tmp_path)
    assert len(said.splitlines()) == 1
    assert 'import lsgan before chainer' in said


@pytest.mark.parametrize('module', compat.PATCHES)
def test_every_patch_fits_the_installed_chainer(module):
    file = CHAINER.parent.joinpath(*module.split('.')).with_suffix('.py')
    # asked one by one, since importlib would import the package first, and chainermn starts MPI
    spec = next(filter(None, (finder.find_spec(module, [str(file.parent)]) for finder in sys.meta_path)))
    assert spec.loader.get_code(module).co_filename == str(file)


@pytest.mark.parametrize('module', compat.PATCHES)
def test_patches_keep_the_line_numbers(module):
    assert all(old.count('\n') == new.count('\n') for old, new, _ in compat.PATCHES[module])


def test_numpy_gains_no_names_and_no_module_is_faked():
    code = '''if True:
        import importlib, os, sys, types
        import numpy
        before = set(dir(numpy))
        import lsgan, chainer, chainer.gradient_check
        for name in set(dir(numpy)) - before:
            assert sys.modules.get('numpy.' + name) is getattr(numpy, name), name
        for name in ('int', 'float', 'sctypes'):
            assert not hasattr(numpy, name), name
        for name in ('pkg_resources', 'numpy.distutils', 'numpy.distutils.system_info'):
            assert name not in sys.modules or os.path.exists(sys.modules[name].__spec__.origin), name
        '''
    result = python('-c', code)
    assert (result.returncode, result.stderr) == (0, '')


@pytest.mark.parametrize('method', ['forkserver', 'spawn'])
def test_worker_processes_import_chainer(tmp_path, method):
    script = tmp_path / 'workers.py'
    script.write_text(f'import lsgan\n{WORKERS}')
    result = python(script, method)
    assert (result.returncode, result.stdout, result.stderr) == (0, WORKERS_PRINT, '')


def test_as_strided_works_forward_and_backward():
    x = chainer.Variable(numpy.arange(5, dtype=numpy.float32))
    y = F.as_strided(x, (4, 2), (1, 1), 0)     # windows of two
    assert y.array.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    y.grad = numpy.ones_like(y.array)
    y.backward()
    assert x.grad.tolist() == [1, 2, 2, 2, 1]


@pytest.mark.parametrize('options, expected', [
    ({'mode': 'bilinear', 'align_corners': True}, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
    ({'mode': 'bilinear', 'align_corners': False}, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
    ({'mode': 'nearest', 'align_corners': False}, [[0, 0, 2], [0, 0, 2], [4, 4, 6]]),
])
def test_resize_images_works_forward_and_backward(options, expected):
    x = chainer.Variable(numpy.array([[[[0, 2], [4, 6]]]], numpy.float32))
    y = F.resize_images(x, (3, 3), **options)
    assert y.dtype == numpy.float32
    numpy.testing.assert_allclose(y.array[0, 0], expected, atol=1e-6)
    y.grad = numpy.ones_like(y.array)
    y.backward()
    numpy.testing.assert_allclose(x.grad.sum(), 9, rtol=1e-6)


def test_deconvolution_backward_works_where_its_input_needs_no_gradient():
    rng = numpy.random.default_rng(0)
    x, W, gy = (rng.standard_normal(shape) for shape in ((2, 3, 2, 2), (3, 2, 4, 4), (2, 2, 4, 4)))
    W = chainer.Parameter(W)
    y = F.deconvolution_2d(x, W, stride=2, pad=1)
    y.grad = gy
    y.backward()
    numerical, = gradient_check.numerical_grad(
        lambda: (F.deconvolution_2d(x, W.array, stride=2, pad=1).array,), (W.array,), (gy,))
    numpy.testing.assert_allclose(W.grad, numerical, atol=1e-8)


@pytest.mark.parametrize('dtype', ['bool', 'int8', 'uint8', 'uint16', 'uint32', 'float16', 'float32'])
@pytest.mark.parametrize('padding', [0, -1, 300])
def test_pad_sequence_wraps_integers_that_are_out_of_bounds(dtype, padding):
    y = F.pad_sequence([numpy.ones(3, dtype), numpy.ones(1, dtype)], padding=padding).array
    assert y.dtype == dtype
    assert numpy.array_equal(y, numpy.array([[1, 1, 1], [1, padding, padding]]).astype(dtype))


def test_pad_sequence_refuses_nan_in_integers_and_takes_it_in_floats():
    x = [numpy.ones(3), numpy.ones(1)]
    assert numpy.isnan(F.pad_sequence(x, padding=numpy.nan).array[1, 1:]).all()
    with pytest.raises(ValueError, match='NaN'):
        F.pad_sequence([a.astype(int) for a in x], padding=numpy.nan)


# Chainer's tests of this function accumulate what they expect in float16 on NumPy 2, so the function is tested here, too.
@pytest.mark.parametrize('reduce', ['mean', 'no'])
@pytest.mark.parametrize('twice', [False, True])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('shape', [(4, 3), (4, 3, 2), (2, 3, 2, 2)])
def test_softmax_cross_entropy_in_float16_is_that_in_float64_rounded(shape, weighted, twice, reduce):
    def loss_and_gradient(dtype):
        variable = chainer.Variable(x.astype(dtype))
        loss = F.softmax_cross_entropy(variable, t, class_weight=weights.astype(dtype) if weighted else None, reduce=reduce,
                                       enable_double_backprop=twice)
        loss.grad = numpy.ones_like(loss.array)
        loss.backward()
        assert loss.dtype == variable.grad.dtype == dtype
        return loss.array, variable.grad

    rng = numpy.random.default_rng(0)
    x, weights = (rng.uniform(0, 4, size).astype('float16') for size in (shape, 3))
    t = rng.integers(-1, 3, shape[:1] + shape[2:]).astype('int32')      # -1 is ignored
    for actual, expected in zip(loss_and_gradient('float16'), loss_and_gradient('float64')):
        numpy.testing.assert_allclose(actual, expected, rtol=5e-3, atol=5e-3)


def test_debug_print_names_the_device():
    assert '- device: CPU\n' in chainer.Variable(numpy.ones((2, 3), numpy.float32)).debug_print()


def test_categorical_log_probability_indexes_its_batch():
    p = numpy.array([[0.25, 0.75], [0.5, 0.5]], numpy.float32)
    distribution = chainer.distributions.Categorical(p=p)
    numpy.testing.assert_allclose(distribution.log_prob(numpy.array([1, 0])).array, numpy.log([0.75, 0.5]), rtol=1e-6)


def test_requirements_of_chainers_tests_are_checked_against_what_is_installed():
    working_set = compat.pkg_resources.WorkingSet()
    working_set.require('numpy>=1.20', 'chainer==7.8.1')
    for requirement in ('numpy<1.0', 'a-package-that-nobody-installs'):
        with pytest.raises(compat.pkg_resources.ResolutionError, match=requirement):
            working_set.require(requirement)
