"""Spike files of SONATA hold what was recorded, as another program reads them and as this one does."""

from __future__ import annotations

import pathlib
from typing import Any

import h5py
import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.interop.sonata import spikes_from_sonata, spikes_to_sonata
from networks import small_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


def network() -> ep.Network:
    return small_network((4, 5, 1), {"in->rec": {"weight": 0.6}}, neuron=ep.LIF(v_th=0.3), seed=2)


def events() -> np.ndarray:
    return np.random.default_rng(3).random((80, 4)) < 0.3


def recording(**given: Any) -> ep.engine.Recording:
    return ep.Simulator(network(), threads=1).run(80.0, {"in": events()} | given, learn=False, spikes=["in", "rec"])


def test_spikes_are_read_back_as_they_were_written(tmp_path: pathlib.Path):
    libsonata = pytest.importorskip("libsonata")
    run = recording()
    spikes_to_sonata(run, tmp_path / "spikes.h5")
    found = spikes_from_sonata(tmp_path / "spikes.h5")
    assert set(found) == {"in", "rec"}
    reader = libsonata.SpikeReader(str(tmp_path / "spikes.h5"))
    for name in found:
        times, nodes = run.spikes[name]
        assert times.size > 10
        np.testing.assert_array_equal(found[name][0], times)
        np.testing.assert_array_equal(found[name][1], nodes)
        population = reader[name]
        assert population.sorting == "by_time"
        theirs = population.get()
        assert sorted(theirs) == sorted(zip(nodes.tolist(), times.tolist(), strict=True))


def test_spikes_played_back_are_those_that_were_recorded(tmp_path: pathlib.Path):
    """In the same steps, and so is what they cause."""
    run = recording()
    spikes_to_sonata(run, tmp_path / "spikes.h5")
    again = recording(**{"in": spikes_from_sonata(tmp_path / "spikes.h5", recorded_dt=1.0)["in"]})
    assert run.spikes["rec"][0].size > 10
    for name in run.spikes:
        assert_same(again.spikes[name], run.spikes[name])


def test_spikes_of_others_are_read_in_their_units(tmp_path: pathlib.Path):
    """In seconds, or in units that are not known, or without the names of populations."""
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/a/timestamps"], file["spikes/a/node_ids"] = np.array([0.25]), np.array([3])
        file["spikes/a/timestamps"].attrs["units"] = "s"
    assert spikes_from_sonata(tmp_path / "spikes.h5")["a"][0] == [250.0]
    with h5py.File(tmp_path / "spikes.h5", "a") as file:
        file["spikes/a/timestamps"].attrs["units"] = "steps"
    with pytest.raises(ep.errors.DataError, match="times are in 'steps'; supported are ms, s, us"):
        spikes_from_sonata(tmp_path / "spikes.h5")
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/timestamps"], file["spikes/gids"] = np.array([0.25]), np.array([3])
    with pytest.raises(ep.errors.DataError, match="without the name of their population"):
        spikes_from_sonata(tmp_path / "spikes.h5")


def test_spikes_that_were_not_recorded(tmp_path: pathlib.Path):
    for given in (ep.Simulator(network(), threads=1).run(5.0), None):
        with pytest.raises(ep.errors.InputError, match=r"^spikes_to_sonata takes a Recording with spikes"):
            spikes_to_sonata(given, tmp_path / "spikes.h5")
    assert not (tmp_path / "spikes.h5").exists()


def test_spikes_that_are_wrong(tmp_path: pathlib.Path):
    for times, nodes, words in (
        ([1.0, 2.0], [3], "node_ids has 1 entries, but the other lists have 2"),
        ([[1.0, 2.0]], [3, 4], "timestamps must be a list of numbers, but is of type"),
        ([b"soon"], [3], "timestamps must be a list of numbers, but is of type"),
        ([1.0, np.nan], [3, 4], "time 1 is not a number"),
        ([1.0, np.inf], [3, 4], "timestamps holds a number that a double cannot hold"),
        ([1.0, 2.0], [3.0, 4.5], "node_ids must be whole numbers, but is of type float64"),
        ([1.0, 2.0], [3, -4], "node_ids must be whole numbers from 0 on, got -4"),
        ([1.0], [2**64 - 1], "node_ids must be whole numbers"),
        ([2**63 - 1], [1], "timestamps holds a number that a double cannot hold"),
    ):
        with h5py.File(tmp_path / "spikes.h5", "w") as file:
            file["spikes/a/timestamps"], file["spikes/a/node_ids"] = np.array(times), np.array(nodes)
        with pytest.raises(ep.errors.DataError, match=f"spikes.h5: spikes/a/.*{words}"):
            spikes_from_sonata(tmp_path / "spikes.h5")
    with pytest.raises(ep.errors.InputError, match="recorded_dt must be a number of ms above 0"):
        spikes_from_sonata(tmp_path / "spikes.h5", recorded_dt=-1.0)


def test_files_without_spikes(tmp_path: pathlib.Path):
    path = tmp_path / "spikes.h5"
    with pytest.raises(ep.errors.DataError, match=r"spikes.h5: the file does not exist"):
        spikes_from_sonata(path)
    for made, words in (
        ("nodes/a", "is not a SONATA file with spikes: the group is missing"),
        ("spikes/a/node_ids", "spikes/a/timestamps is missing"),
        ("spikes/a/timestamps/group", "spikes/a/timestamps must be a list of numbers, but is a group"),
        ("spikes/a", "spikes/a must be a group"),
    ):
        with h5py.File(path, "w") as file:
            file[made] = np.array([3])
        with pytest.raises(ep.errors.DataError, match=words):
            spikes_from_sonata(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("spikes/a/timestamps", (1 << 42,), float, chunks=(1024,))
    with pytest.raises(ep.errors.DataError, match=r"spikes.h5: /spikes/a/timestamps: needs 35,184,372,088,832 bytes"):
        spikes_from_sonata(path)
