"""Helpers that start scripts on several processes with mpiexec, as a user does."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest
from running import SCRIPT

MPIEXEC = shutil.which('mpiexec', path=f'{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}')
needs_mpi = pytest.mark.skipif(MPIEXEC is None, reason='there is no mpiexec')
# tests may run as root, and with fewer cores than processes
ENVIRONMENT = {**os.environ, 'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
               'PRTE_MCA_rmaps_default_mapping_policy': ':oversubscribe', 'OMP_NUM_THREADS': '1'}


def start(n, *flags, script=SCRIPT, **variables):
    return subprocess.Popen([MPIEXEC, '-n', str(n), sys.executable, str(script), *map(str, flags)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**ENVIRONMENT, **variables})


def family(pid):
    """Return the descendants of a process, a dict from process ids to commands."""
    found = []
    for child in subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], capture_output=True, text=True).stdout.split():
        command = pathlib.Path(f'/proc/{child}/cmdline').read_bytes().decode()
        found += [(int(child), command), *family(int(child))]
    return found


def finish(process, seconds):
    """Return the result of a process. Kill it with all its descendants if it takes too many seconds."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        for pid, _ in [(process.pid, ''), *family(process.pid)]:
            os.kill(pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run(n, *flags, **options):
    return finish(start(n, *flags, **options), 300)


def own_lines(result, script='train_gaussian.py'):
    """Return the lines that the script, not the launcher, has written to standard error."""
    return [line for line in result.stderr.splitlines() if line.startswith(f'{script}: ')]
