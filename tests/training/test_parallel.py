"""Tests of parts of parallel training in one process. See tests/test_parallel.py for several processes."""
import signal
from types import SimpleNamespace

import pytest

from lsgan.training import parallel
from lsgan.training.extensions import StopRequest


def trainer_at(iteration):
    return SimpleNamespace(updater=SimpleNamespace(iteration=iteration))


def test_late_signal_counts_after_next_update():
    class Interrupted(parallel.Alone):
        def latest(self, number):
            signal.raise_signal(signal.SIGINT)
            return number

    with StopRequest(10, Interrupted()) as stop:
        assert not stop(trainer_at(1))      # the other ranks do not know of it
        assert stop(trainer_at(2)) and stop.signal == signal.SIGINT


def test_signal_of_one_rank_stops_all():
    processes = parallel.Alone()
    with StopRequest(10, processes) as stop:
        assert not stop(trainer_at(1))
        processes.latest = lambda number: signal.SIGTERM
        assert stop(trainer_at(2)) and stop.signal == signal.SIGTERM
        assert stop(trainer_at(10))


@pytest.mark.parametrize('variables, found', [
    ({}, (0, 1)), ({'OMPI_COMM_WORLD_RANK': '1', 'OMPI_COMM_WORLD_SIZE': '4'}, (1, 4)),
    ({'PMI_RANK': '2', 'PMI_SIZE': '3'}, (2, 3)), ({'PMIX_RANK': '5', 'SLURM_STEP_NUM_TASKS': '8'}, (5, 8)),
    ({'SLURM_STEP_NUM_TASKS': '8'}, (0, 1))])
def test_launchers_are_recognised(monkeypatch, variables, found):
    for names in parallel._LAUNCHERS:
        for name in names:
            monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert parallel.launched() == found


def test_one_process_agrees_with_itself():
    processes = parallel.Alone()
    assert processes.gather(3) == [3] and processes.share(3) == processes.latest(3) == 3
    assert processes.mean({'a': 0.1}) == {'a': 0.1}
