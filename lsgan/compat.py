"""Makes the stock Chainer 7.8.1 import and run on today's Python, NumPy, CuPy and mpi4py.

`install` puts one finder in front of `sys.meta_path`. When one of the few Chainer modules named in `PATCHES` is imported, its
source is read, the listed snippets are replaced and the result is compiled. Nothing is added to NumPy, no module is faked, and
Chainer itself is not imported until the program does so. Each snippet must occur exactly as often as listed, so a source that
differs fails instead of being half patched; a replacement keeps the line numbers.
"""
import importlib.machinery
import importlib.metadata
import importlib.util
import sys

CHAINER_VERSION = '7.8.1'

# module: [(old, new, how often old occurs), ...]
PATCHES = {
    # numpy.distutils left with Python 3.12, pkg_resources with setuptools 82; both only served warnings at start-up
    'chainer._environment_check': [
        ('import numpy.distutils.system_info\n', '\n', 1),
        ('import pkg_resources\n', '\n', 1),
        ('    _check_osx_numpy_backend()\n    _check_optional_dependencies()\n', '    pass\n\n', 1),
    ],
    # np.sctypes left with NumPy 2.0
    'chainer.functions.array.as_strided': [
        ("np.sctypes['int']", '(np.int8, np.int16, np.int32, np.int64)', 1),
        ("np.sctypes['float']", '(np.float16, np.float32, np.float64)', 1),
    ],
    # np.float left with NumPy 1.24
    'chainer.functions.array.resize_images': [('numpy.float)', 'numpy.float64)', 6)],
    # a bug of the release, mended on Chainer's master: arrays passed where shapes are meant
    'chainer.functions.connection.deconvolution_2d': [
        ('self._set_cover_all(x, W)', 'self._set_cover_all(x.shape, W.shape)', 1),
    ],
    # NumPy 2 arrays have a .device of their own
    'chainer.variable': [
        ("device = getattr(array, 'device', 'CPU')",
         "device = 'CPU' if xp is numpy else getattr(array, 'device', 'CPU')", 1),
    ],
    # numpy.meshgrid returns a tuple since NumPy 2.0
    'chainer.distributions.categorical': [
        ('mg = numpy.meshgrid(', 'mg = _list(numpy.meshgrid)(', 1),
        ('import numpy\n', 'import numpy; _list = lambda f: lambda *a, **k: list(f(*a, **k))\n', 1),
    ],
    # cuDNN left CuPy with 14, so that there is nothing to install for it
    'chainer.backends.cuda': [
        ('            not _cudnn_disabled_by_user and\n',
         '            not _cudnn_disabled_by_user and _cupy_major < 14 and\n', 1),
    ],
    # CuPy 14 warns where a module that nobody asked for finds no library
    'chainer.training.updaters.multiprocess_parallel_updater': [
        ('    from cupy.cuda import nccl\n',
         "    with __import__('warnings').catch_warnings(action='ignore'): from cupy.cuda import nccl\n", 1),
    ],
    # chainer.gradient_check imports chainer.testing, which imports pkg_resources
    'chainer.testing.helper': [('import pkg_resources\n', 'from lsgan.compat import pkg_resources\n', 1)],
    # NumPy 2.4: int() of an array of one dimension is an error
    'chainermn.iterators.multi_node_iterator': [('int(_size)', 'int(_size[0])', 1)],
    # CuPy 14: array(copy=False) may raise, and its carray.cuh no longer includes cuda_fp16.h
    'chainermn.communicators._memory_utility': [
        ('xp.array(v, copy=False, dtype=transfer_dtype)', 'v.astype(transfer_dtype, copy=False)', 1),
        ('#include <cupy/carray.cuh>\n', '#include <cuda_fp16.h>\n', 2),
    ],
}


class pkg_resources:
    """The part of the module of that name that chainer.testing uses."""

    class ResolutionError(Exception):
        pass

    class WorkingSet:
        def require(self, *requirements):
            from packaging.requirements import Requirement  # comes with pytest
            for requirement in map(Requirement, requirements):
                try:
                    version = importlib.metadata.version(requirement.name)
                except importlib.metadata.PackageNotFoundError:
                    version = None
                if version is None or not requirement.specifier.contains(version, prereleases=True):
                    raise pkg_resources.ResolutionError(str(requirement))


class UnusableChainer(ImportError):
    """The Chainer that is installed is not the one that lsgan needs; a program that does not catch it ends in one line."""

    def __init__(self, message):
        super().__init__(message)
        sys.excepthook = _excepthook


def _excepthook(kind, error, trace):
    if not issubclass(kind, UnusableChainer):
        return sys.__excepthook__(kind, error, trace)
    print(f'{sys.argv[0]}: {error}' if sys.argv[0] else error, file=sys.stderr)
    raise SystemExit(2)     # the status of what a user can mend


class _Loader(importlib.machinery.SourceFileLoader):

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        source = importlib.util.decode_source(self.get_data(path))
        for old, new, count in PATCHES[fullname]:
            if source.count(old) != count:
                raise UnusableChainer(f'lsgan needs the unmodified Chainer {CHAINER_VERSION}, and {path} is not it: '
                                      f"reinstall with pip install --force-reinstall 'chainer=={CHAINER_VERSION}'")
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
        return          # a bare source tree on the path: the patches check what they replace
    if version != CHAINER_VERSION:
        raise UnusableChainer(f'lsgan needs Chainer {CHAINER_VERSION}, and {version} is installed: '
                              f"pip install 'chainer=={CHAINER_VERSION}'")


def install():
    """Makes `import chainer` work from here on.

    Raises ImportError where Chainer was imported before. Importing it raises `UnusableChainer` where it is another version
    than 7.8.1 or was changed.
    """
    if _Finder in sys.meta_path:
        return
    late = sorted(module for module in PATCHES if module in sys.modules)
    if late:
        raise ImportError('import lsgan before chainer: ' + ', '.join(late) + ' already loaded unpatched')
    sys.meta_path.insert(0, _Finder)
