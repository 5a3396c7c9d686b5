"""Patches with which the stock Chainer 7.8.1 runs on current versions of Python, NumPy, CuPy and mpi4py.

`install` puts a finder in front of `sys.meta_path`. When the program imports one of the few Chainer modules named in
`PATCHES`, the finder's loader reads the source, replaces the listed snippets and compiles the result. It adds nothing to
NumPy, fakes no module, and does not import Chainer itself. Each snippet must occur exactly as often as listed, so that a
modified source raises an error instead of being patched in part. Replacements keep the line numbers.
"""
import importlib.machinery
import importlib.metadata
import importlib.util
import sys

CHAINER_VERSION = '7.8.1'

# module: [(old snippet, new snippet, number of occurrences of the old one), ...]
PATCHES = {
    # Python 3.12 has no numpy.distutils, setuptools 82 no pkg_resources. Chainer uses them only for warnings at start-up
    'chainer._environment_check': [
        ('import numpy.distutils.system_info\n', '\n', 1),
        ('import pkg_resources\n', '\n', 1),
        ('    _check_osx_numpy_backend()\n    _check_optional_dependencies()\n', '    pass\n\n', 1),
    ],
    # NumPy 2.0 has no np.sctypes
    'chainer.functions.array.as_strided': [
        ("np.sctypes['int']", '(np.int8, np.int16, np.int32, np.int64)', 1),
        ("np.sctypes['float']", '(np.float16, np.float32, np.float64)', 1),
    ],
    # NumPy 1.24 has no np.float
    'chainer.functions.array.resize_images': [('numpy.float)', 'numpy.float64)', 6)],
    # NumPy 2.0 does not wrap Python integers that are out of bounds, such as -1 in an array of unsigned integers
    'chainer.functions.array.pad_sequence': [
        ('y[i, l:] = self.padding', 'y[i, l:] = _wrap(self.padding, y.dtype)', 1),
        ('import numpy\n', 'import numpy; _wrap = lambda x, t: numpy.array(x).astype(t)[()] if type(x) is int else x\n', 1),
    ],
    # a bug of the release, fixed on Chainer's master branch: it passes arrays where shapes are expected
    'chainer.functions.connection.deconvolution_2d': [
        ('self._set_cover_all(x, W)', 'self._set_cover_all(x.shape, W.shape)', 1),
    ],
    # arrays of NumPy 2 have an attribute `device` of their own
    'chainer.variable': [
        ("device = getattr(array, 'device', 'CPU')",
         "device = 'CPU' if xp is numpy else getattr(array, 'device', 'CPU')", 1),
    ],
    # numpy.meshgrid of NumPy 2.0 returns a tuple, not a list
    'chainer.distributions.categorical': [
        ('mg = numpy.meshgrid(', 'mg = _list(numpy.meshgrid)(', 1),
        ('import numpy\n', 'import numpy; _list = lambda f: lambda *a, **k: list(f(*a, **k))\n', 1),
    ],
    # CuPy 14 does not support cuDNN, so Chainer must not ask users to install it
    'chainer.backends.cuda': [
        ('            not _cudnn_disabled_by_user and\n',
         '            not _cudnn_disabled_by_user and _cupy_major < 14 and\n', 1),
    ],
    # CuPy 14 warns that NCCL's library is missing, even if nobody uses NCCL
    'chainer.training.updaters.multiprocess_parallel_updater': [
        ('    from cupy.cuda import nccl\n',
         "    with __import__('warnings').catch_warnings(action='ignore'): from cupy.cuda import nccl\n", 1),
    ],
    # The addresses of MNIST and Fashion-MNIST are gone
    'chainer.dataset.download': [
        ('from chainer import utils\n', 'from chainer import utils; from lsgan.compat import mirrors\n', 1),
        ('            return cache_path\n\n',
         '            return cache_path\n    if (path := mirrors.fetch(url, _dataset_root)): return path\n', 1),
    ],
    # chainer.gradient_check imports chainer.testing, which imports pkg_resources
    'chainer.testing.helper': [('import pkg_resources\n', 'from lsgan.compat import pkg_resources\n', 1)],
    # int() of a one-dimensional array is an error in NumPy 2.4
    'chainermn.iterators.multi_node_iterator': [('int(_size)', 'int(_size[0])', 1)],
    # In CuPy 14, array(copy=False) raises if a copy is needed, and carray.cuh does not include cuda_fp16.h
    'chainermn.communicators._memory_utility': [
        ('xp.array(v, copy=False, dtype=transfer_dtype)', 'v.astype(transfer_dtype, copy=False)', 1),
        ('#include <cupy/carray.cuh>\n', '#include <cuda_fp16.h>\n', 2),
    ],
}


class pkg_resources:
    """A substitute for the parts of the module `pkg_resources` that chainer.testing uses."""

    class ResolutionError(Exception):
        pass

    class WorkingSet:
        def require(self, *requirements: str) -> None:
            from packaging.requirements import Requirement  # pytest depends on it
            for requirement in map(Requirement, requirements):
                try:
                    version = importlib.metadata.version(requirement.name)
                except importlib.metadata.PackageNotFoundError:
                    version = None
                if version is None or not requirement.specifier.contains(version, prereleases=True):
                    raise pkg_resources.ResolutionError(str(requirement))


class UnusableChainer(ImportError):
    """The installed Chainer is not the one that lsgan needs. If nobody catches this error, the program ends with one line."""

    def __init__(self, message):
        super().__init__(message)
        sys.excepthook = _excepthook


def _excepthook(kind, error, trace):
    if not issubclass(kind, UnusableChainer):
        return sys.__excepthook__(kind, error, trace)
    print(f'{sys.argv[0]}: {error}' if sys.argv[0] else error, file=sys.stderr)
    raise SystemExit(2)     # the exit status of errors that a user can fix


class _Loader(importlib.machinery.SourceFileLoader):

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        source = importlib.util.decode_source(self.get_data(path))
        for old, new, count in PATCHES[fullname]:
            if source.count(old) != count:
                raise UnusableChainer(f'lsgan needs the unmodified Chainer {CHAINER_VERSION}, but {path} differs from it. '
                                      f"Reinstall it: pip install --force-reinstall 'chainer=={CHAINER_VERSION}'")
            source = source.replace(old, new)
        return compile(source, path, 'exec', dont_inherit=True)


class _Finder:

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname == 'chainer':
            _check_version()
        if fullname not in PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def _check_version():
    try:
        version = importlib.metadata.version('chainer')
    except importlib.metadata.PackageNotFoundError:
        return          # a source tree on the path has no version, but the patches check the sources that they change
    if version != CHAINER_VERSION:
        raise UnusableChainer(f'lsgan needs Chainer {CHAINER_VERSION}, but {version} is installed. '
                              f"Install the right one: pip install 'chainer=={CHAINER_VERSION}'")


def install() -> None:
    """Make later imports of Chainer use the patches.

    An import then raises `UnusableChainer` if Chainer is not version 7.8.1, or if its source was modified.

    Raises:
        ImportError: if a module that needs a patch is already imported.
    """
    if _Finder in sys.meta_path:
        return
    late = sorted(module for module in PATCHES if module in sys.modules)
    if late:
        raise ImportError('import lsgan before chainer, which was already imported without the patches: ' + ', '.join(late))
    sys.meta_path.insert(0, _Finder)
