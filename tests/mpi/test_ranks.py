"""Several ranks compute what one process computes, to the last bit."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.parallel import Serial, find_communicator, started_by_mpi
from eprop.training import Stopped
from launching import launch
from small_tasks import assert_same_run, fitted, stop_after

HERE = pathlib.Path(__file__).parent

STREAMS = [
    "static",
    "stdp",
    "plus",
    "plus_symmetric",
    "plus_adaptive_adam",
    "plus_two_kappas_delta",
    "plus_per_neuron",
    "plus_external",
    "plus_reward",
    "plus_current",
    "plus_receptors",
    "plus_signs",
    "plus_rewiring",
    "stdp_current",
]
SAMPLES = [
    "eprop",
    "eprop_symmetric",
    "eprop_delta",
    "eprop_per_neuron",
    "eprop_runs",
    "eprop_external",
    "eprop_current",
    "eprop_signs",
    "eprop_rewiring",
]
CASES = STREAMS + SAMPLES
# Ranks, threads, and which part of the cases is ordinary: more ranks than cores wait for each other for long.
DIVISIONS = [(1, 1, 4), (2, 1, 2), (2, 2, 2), (3, 1, 6), (4, 1, 6)]


def parts() -> list[Any]:
    """Each division with every n-th case, and the others in long tests; each case with two ranks, with one thread or two."""
    found = []
    for ranks, threads, n in DIVISIONS:
        ordinary = CASES[(ranks + threads) % n :: n]
        others = [name for name in CASES if name not in ordinary]
        found.append(pytest.param(ranks, threads, ordinary, id=f"{ranks}-{threads}"))
        found.append(pytest.param(ranks, threads, others, id=f"{ranks}-{threads}, others", marks=pytest.mark.slow))
    return found


def compare(mpiexec: str, ranks: int, threads: int, cases: list[str], **environment: str) -> None:
    done = launch(mpiexec, ranks, str(HERE / "worker.py"), str(threads), *cases, **environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: [] for name in cases}


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "threads", "cases"), parts())
def test_ranks_and_threads_give_the_same_bits(mpiexec, ranks, threads, cases):
    """Both rules, all models, delays of every kind."""
    compare(mpiexec, ranks, threads, cases)


TRAIN = "from eprop.cli import main; main()"
ARGUMENTS = {
    "neurons": 8,
    "samples": 4,
    "test_samples": 4,
    "validation": 4,
    "delay": 100.0,
    "batch_size": 2,
    "epochs": 3,
}


def trained(mpiexec: str, ranks: int, *words: str) -> dict[str, Any]:
    """The result of a command."""
    done = launch(mpiexec, ranks, "-c", TRAIN, "train", *words, "--no-figures", "--json", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "rank" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["ranks"] == ranks
    return found


@pytest.mark.mpi
def test_the_command_trains_on_ranks(mpiexec, tmp_path):
    """The same bits as in one process, also after a stop; one folder, one report; replicas learn something else."""
    words = ["delayed-cue", *(f"--{name.replace('_', '-')}={value}" for name, value in ARGUMENTS.items())]
    one = trained(mpiexec, 1, *words, "--out", str(tmp_path / "one"))
    trained(mpiexec, 2, *words, "--out", str(tmp_path / "two"))
    with pytest.raises(Stopped):
        fitted(tmp_path / "cut", ep.tasks.delayed_cue(**ARGUMENTS), callbacks=[stop_after(6)])
    trained(mpiexec, 2, "--resume", str(tmp_path / "cut"))
    for name in ("two", "cut"):
        assert_same_run(tmp_path / "one", tmp_path / name)
    replicas = [tmp_path / "first", tmp_path / "second"]
    for folder in replicas:
        found = trained(mpiexec, 2, *words, "--parallel", "data", "--out", str(folder))
        assert found["samples_learned"] == one["samples_learned"] == 12
        np.testing.assert_allclose(found["test_loss"], one["test_loss"], rtol=1e-4)
    assert_same_run(*replicas)  # to the last bit, for a given number of ranks
    again = launch(mpiexec, 2, "-c", TRAIN, "train", *words, "--out", str(tmp_path / "two"))
    assert again.returncode != 0
    assert "rank 0 of 2" in again.stderr
    assert again.stderr.count("is not empty; choose another folder") == 1


@pytest.mark.tiny
def test_one_process_is_alone(monkeypatch):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert not started_by_mpi()
    assert isinstance(find_communicator(), Serial)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    assert started_by_mpi()


@pytest.mark.tiny
def test_wrong_divisions_are_refused():
    net = ep.Network()
    net.add(ep.LIF(), 2, "rec")
    with pytest.raises(ep.errors.ParameterError, match=r'Simulator\.parallel must be "model" or "data"'):
        ep.Simulator(net, parallel="both")
    with pytest.raises(ep.errors.NetworkError, match="only EProp learns from mini-batches"):
        ep.Simulator(net, parallel="data")
