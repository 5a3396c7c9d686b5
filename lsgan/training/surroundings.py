"""What a run's numbers depend on beside its settings."""
import os
import pathlib
import platform
import subprocess

import chainer
import numpy

import lsgan.functions  # has the setting of the threads
from lsgan.functions.cpu import jit


def surroundings():
    """Versions, processor and git commit, a dict for config.json."""
    versions = {'python': platform.python_version(), 'lsgan': lsgan.__version__, 'chainer': chainer.__version__,
                'numpy': numpy.__version__}
    if jit.AVAILABLE:
        versions['numba'] = jit.numba.__version__
    if chainer.backends.cuda.available:
        versions['cupy'] = chainer.backends.cuda.cupy.__version__
    return {'versions': versions, 'platform': f'{platform.system()} {platform.machine()}', 'cores': os.cpu_count(),
            'threads': chainer.config.cpu_threads, 'git_commit': _git_commit()}


def _git_commit():
    """The commit of the checkout that the package is in, with -dirty where code was changed or is new; None outside of one."""
    root = pathlib.Path(lsgan.__file__).resolve().parent.parent
    if not (root / '.git').exists():
        return None

    def git(*command):
        return subprocess.run(['git', *command], cwd=root, capture_output=True, text=True)

    try:
        commit = git('rev-parse', '--short=12', 'HEAD').stdout.strip()
        changed = git('status', '--porcelain', '--', 'lsgan', ':(glob)*.py').stdout
        return f'{commit}-dirty' if commit and changed else commit or None
    except OSError:
        return None
