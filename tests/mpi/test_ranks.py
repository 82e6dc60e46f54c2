"""Several ranks compute what one process computes, to the last bit."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from conformance.features import in_pairs
from eprop.parallel import Serial, find_communicator, started_by_mpi
from launching import launch
from small_tasks import outcome

HERE = pathlib.Path(__file__).parent

CASES = [str(number) for number, _ in enumerate(in_pairs())]
# Ranks, threads, and which part of the cases is ordinary: more ranks than cores wait for each other for long.
DIVISIONS = [(1, 1, 50), (2, 1, 11), (2, 2, 11), (3, 1, 37), (4, 1, 50)]


def parts() -> list[Any]:
    """Each division with every n-th case, and the others in long tests."""
    found = []
    for ranks, threads, n in DIVISIONS:
        ordinary = CASES[(ranks + threads) % n :: n]
        others = [name for name in CASES if name not in ordinary]
        found.append(pytest.param(ranks, threads, ordinary, id=f"{ranks}-{threads}"))
        found.append(pytest.param(ranks, threads, others, id=f"{ranks}-{threads}, others", marks=pytest.mark.slow))
    return found


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "threads", "cases"), parts())
def test_ranks_and_threads_give_the_same_bits(mpiexec, ranks, threads, cases):
    """Any features; threads of one process that stand for ranks do all of them (`tests/conformance/test_features.py`)."""
    done = launch(mpiexec, ranks, str(HERE / "worker.py"), str(threads), *cases)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: [] for name in cases}


TRAIN = """
import os, signal, sys

sys.path.insert(0, sys.argv[1])
import eprop as ep
import small_tasks
from eprop.parallel import find_communicator
from eprop.parallel.interrupt import Stopped
from eprop.training import Watcher

comm, (kind, folder, when) = find_communicator(), sys.argv[2:]


class Stop(Watcher):
    left = 2

    def phase(self, text):
        if text == when:
            os.kill(os.getpid(), signal.SIGINT)

    def progress(self, progress):
        self.left -= 1
        if when == "learning" and self.left == 0 and comm.rank == comm.size - 1:
            os.kill(os.getpid(), signal.SIGINT)


signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    given = {"comm": comm, "progress": Stop(), "formats": ("png",)}
    history = small_tasks.trained(small_tasks.KINDS[kind](), folder, **given)
    assert len(comm.gather(str(history.lines))) == comm.size == history.summary["ranks"]
    assert len(set(map(str, comm.gather([line["samples"] for line in history.lines])))) == 1
except Stopped as stop:
    assert stop.exit_code == 130 and stop.together, stop
    print("stopped")
"""


def train(mpiexec: str, ranks: int, kind: str, folder: pathlib.Path, when: str = "-") -> str:
    done = launch(mpiexec, ranks, "-c", TRAIN, str(HERE.parent), kind, str(folder), when)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.mpi
@pytest.mark.parametrize(("kind", "when", "first"), [("eprop", "testing", 1), ("eprop+", "learning", 2)])
def test_a_run_on_ranks_has_the_bits_of_one_process_also_after_a_stop(mpiexec, tmp_path, kind, when, first):
    """The same metrics, network and pictures; one process continues what two ranks have begun, and the other way round."""
    pictures = []
    for name, runs in (("whole", [(1, "-")]), ("stopped", [(first, when), (3 - first, "-")])):
        for ranks, stop in runs:
            said = train(mpiexec, ranks, kind, tmp_path / name, when=stop)
            assert (stop == "-") == (said == "")
        assert outcome(tmp_path / name) == outcome(tmp_path / "whole"), name
        pictures.append({path.name: path.read_bytes() for path in (tmp_path / name / "figures").iterdir()})
    assert len(pictures[0]) == 5
    assert pictures[0] == pictures[1]


@pytest.mark.mpi
def test_a_folder_that_is_taken_is_refused_on_all_ranks(mpiexec, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = launch(mpiexec, 2, "-c", TRAIN, str(HERE.parent), "eprop", str(tmp_path), "-", seconds=60)
    assert done.returncode != 0
    assert "is not empty; choose another folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.tiny
def test_one_process_is_alone(monkeypatch):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert not started_by_mpi()
    assert isinstance(find_communicator(), Serial)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    assert started_by_mpi()
