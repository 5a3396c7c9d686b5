"""What a run's numbers depend on beside its settings."""
import os
import pathlib
import platform
import subprocess

import chainer
import numpy

import lsgan


def surroundings():
    """Versions, processor and git commit, a dict for config.json."""
    versions = {'python': platform.python_version(), 'lsgan': lsgan.__version__, 'chainer': chainer.__version__,
                'numpy': numpy.__version__}
    if chainer.backends.cuda.available:
        versions['cupy'] = chainer.backends.cuda.cupy.__version__
    return {'versions': versions, 'platform': f'{platform.system()} {platform.machine()}', 'cores': os.cpu_count(),
            'git_commit': _git_commit()}


def _git_commit():
    """The commit of the checkout that the package is in, with -dirty where Python files were changed; None outside of one."""
    root = pathlib.Path(lsgan.__file__).resolve().parent.parent
    if not (root / '.git').exists():
        return None

    def git(*command):
        return subprocess.run(['git', *command], cwd=root, capture_output=True, text=True)

    try:
        commit = git('rev-parse', '--short=12', 'HEAD').stdout.strip()
        return f'{commit}-dirty' if commit and git('diff', '--quiet', 'HEAD', '--', '*.py').returncode else commit or None
    except OSError:
        return None
