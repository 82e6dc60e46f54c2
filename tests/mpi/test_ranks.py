"""Several ranks compute what one process computes, to the last bit."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.parallel import Serial, find_communicator, started_by_mpi
from eprop.runs import RunFolder, load_checkpoint
from launching import launch

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


@pytest.mark.mpi
def test_the_command_trains_on_ranks(mpiexec, tmp_path):
    """The same metrics and network as in one process, one folder, one report; replicas learn something else."""
    options = ["train", "pattern-generation", "--epochs", "3", "--no-figures", "--json", "--threads", "1"]
    settings = ("neurons=8", "inputs=20", "duration=40.0", "samples=4", "batch_size=2")
    options += [part for value in settings for part in ("--set", value)]
    found = {}
    for name, ranks, more in (("one", 1, []), ("two", 2, []), ("replicas", 2, ["--parallel", "data"])):
        done = launch(mpiexec, ranks, "-c", TRAIN, *options, *more, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
        assert found[name]["ranks"] == ranks
        assert "rank" not in done.stderr
    for name in ("test_loss", "synaptic_events", "samples_learned"):
        assert found["one"][name] == found["two"][name]
    assert found["one"]["samples_learned"] == found["replicas"]["samples_learned"] == 12
    np.testing.assert_allclose(found["one"]["test_loss"], found["replicas"]["test_loss"], rtol=1e-4)
    again = launch(mpiexec, 2, "-c", TRAIN, *options, "--out", str(tmp_path / "two"))
    assert again.returncode != 0
    assert "rank 0 of 2" in again.stderr
    assert again.stderr.count("is not empty; choose another folder") == 1


@pytest.mark.mpi
def test_replicas_learn_the_same_in_every_run(mpiexec, tmp_path):
    """To the last bit, for a given number of ranks."""
    options = ["train", "pattern-generation", "--epochs", "2", "--no-figures", "--json", "--threads", "1"]
    options += ["--parallel", "data", "--set", "neurons=8", "--set", "inputs=20", "--set", "duration=40.0"]
    options += ["--set", "samples=4", "--set", "batch_size=2"]
    learned = []
    for name in ("first", "second"):
        done = launch(mpiexec, 2, "-c", TRAIN, *options, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        state = load_checkpoint(RunFolder(tmp_path / name).checkpoint).state
        learned.append({"test_loss": json.loads(done.stdout)["test_loss"], **state})
    assert learned[0].keys() == learned[1].keys()
    for name, value in learned[0].items():
        np.testing.assert_array_equal(value, learned[1][name], err_msg=name)


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
