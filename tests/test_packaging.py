"""Build and install the wheel and the source distribution without network, and train from another folder."""
import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest
from running import ROOT, SHORT, settings_of

import lsgan

pytestmark = pytest.mark.script


def run(*command, **options):
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, env=env, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """A folder with the source distribution of a copy of the repository, and the wheel that is built from it."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('built')
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, source)
    shutil.copytree(ROOT / 'lsgan', source / 'lsgan', ignore=shutil.ignore_patterns('__pycache__'))
    run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', out, source)
    return out


@pytest.mark.skipif(not shutil.which('uv'), reason='uv is not installed')
@pytest.mark.parametrize('file', ['lsgan-{}-py3-none-any.whl', 'lsgan-{}.tar.gz'], ids=['wheel', 'sdist'])
def test_installed_package_is_complete_and_trains(file, built, tmp_path):
    venv.create(tmp_path / 'env', symlinks=True)
    library, = (tmp_path / 'env').glob('lib/python*/site-packages')
    (library / 'dependencies.pth').write_text(sysconfig.get_path('purelib'))
    run('uv', 'pip', 'install', '--offline', '--no-deps', '--no-build-isolation', '--python', tmp_path / 'env',
        built / file.format(lsgan.__version__))

    def files(folder):
        return {path.relative_to(folder) for path in folder.rglob('*') if path.is_file() and path.parent.name != '__pycache__'}

    assert files(library / 'lsgan') == files(ROOT / 'lsgan')
    scripts = tmp_path / 'env' / 'bin'
    assert {path.name for path in ROOT.glob('*.py')} - {'setup.py'} <= {path.name for path in scripts.iterdir()}
    run(scripts / 'train_gaussian.py', *SHORT, '--iterations', 20, cwd=tmp_path)
    assert settings_of(tmp_path / 'result' / 'gaussian')['modes'] == 8
