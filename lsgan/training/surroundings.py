"""The software and hardware that a run's numbers depend on, besides its settings."""
import os
import pathlib
import platform
import subprocess
from typing import Any

import chainer
import numpy

import lsgan.functions  # sets chainer.config.cpu_threads
from lsgan.functions.cpu import jit


def surroundings() -> dict[str, Any]:
    """Return library versions, platform, cores, threads and git commit, a dict for config.json."""
    versions = {'python': platform.python_version(), 'lsgan': lsgan.__version__, 'chainer': chainer.__version__,
                'numpy': numpy.__version__}
    if jit.AVAILABLE:
        versions['numba'] = jit.numba.__version__
    if chainer.backends.cuda.available:
        versions['cupy'] = chainer.backends.cuda.cupy.__version__
    return {'versions': versions, 'platform': f'{platform.system()} {platform.machine()}', 'cores': os.cpu_count(),
            'threads': chainer.config.cpu_threads, 'git_commit': _git_commit()}


def _git_commit():
    """Return the commit of the git checkout that holds the package, with -dirty if code has changed; None without one."""
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
