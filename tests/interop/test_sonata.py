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


def test_spikes_are_read_back_as_they_were_written_and_cause_the_same(tmp_path: pathlib.Path):
    libsonata = pytest.importorskip("libsonata")
    run = recording()
    spikes_to_sonata(run, tmp_path / "spikes.h5")
    found = spikes_from_sonata(tmp_path / "spikes.h5")
    assert set(found) == {"in", "rec"}
    reader = libsonata.SpikeReader(str(tmp_path / "spikes.h5"))
    for name, (times, nodes) in run.spikes.items():
        assert times.size > 10
        assert_same(found[name], (times, nodes))
        assert reader[name].sorting == "by_time"
        assert sorted(reader[name].get()) == sorted(zip(nodes.tolist(), times.tolist(), strict=True))
    again = recording(**{"in": spikes_from_sonata(tmp_path / "spikes.h5", recorded_dt=1.0)["in"]})
    assert_same(again.spikes, run.spikes)


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


def pair(times: Any, nodes: Any) -> dict[str, Any]:
    return {"spikes/a/timestamps": np.array(times), "spikes/a/node_ids": np.array(nodes)}


WRONG = [
    (pair([1.0, 2.0], [3]), "spikes/a/.*node_ids has 1 entries, but the other lists have 2"),
    (pair([[1.0, 2.0]], [3, 4]), "spikes/a/.*timestamps must be a list of numbers, but is of type"),
    (pair([b"soon"], [3]), "spikes/a/.*timestamps must be a list of numbers, but is of type"),
    (pair([1.0, np.nan], [3, 4]), "spikes/a/.*time 1 is not a number"),
    (pair([1.0, np.inf], [3, 4]), "spikes/a/.*timestamps holds a number that a double cannot hold"),
    (pair([1.0, 2.0], [3.0, 4.5]), "spikes/a/.*node_ids must be whole numbers, but is of type float64"),
    (pair([1.0, 2.0], [3, -4]), "spikes/a/.*node_ids must be whole numbers from 0 on, got -4"),
    (pair([1.0], [2**64 - 1]), "spikes/a/.*node_ids must be whole numbers"),
    (pair([2**63 - 1], [1]), "spikes/a/.*timestamps holds a number that a double cannot hold"),
    ({"nodes/a": [3]}, "is not a SONATA file with spikes: the group is missing"),
    ({"spikes/a/node_ids": [3]}, "spikes/a/timestamps is missing"),
    ({"spikes/a/timestamps/group": [3]}, "spikes/a/timestamps must be a list of numbers, but is a group"),
    ({"spikes/a": [3]}, "spikes/a must be a group"),
    ({}, "is not a SONATA file with spikes"),
]


@pytest.mark.parametrize(("arrays", "words"), WRONG, ids=range(len(WRONG)))
def test_files_with_wrong_spikes_are_refused(arrays: dict[str, Any], words: str, tmp_path: pathlib.Path):
    path = tmp_path / "spikes.h5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    with pytest.raises(ep.errors.DataError, match=f"spikes.h5: {words}"):
        spikes_from_sonata(path)


def test_what_cannot_be_read_or_written(tmp_path: pathlib.Path):
    path = tmp_path / "spikes.h5"
    for given in (ep.Simulator(network(), threads=1).run(5.0), None):
        with pytest.raises(ep.errors.InputError, match=r"^spikes_to_sonata takes a Recording with spikes"):
            spikes_to_sonata(given, path)
    with pytest.raises(ep.errors.DataError, match=r"spikes.h5: the file does not exist"):
        spikes_from_sonata(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("spikes/a/timestamps", (1 << 42,), float, chunks=(1024,))
    with pytest.raises(ep.errors.DataError, match=r"spikes.h5: /spikes/a/timestamps: needs 35,184,372,088,832 bytes"):
        spikes_from_sonata(path)
    with pytest.raises(ep.errors.InputError, match="recorded_dt must be a number of ms above 0"):
        spikes_from_sonata(path, recorded_dt=-1.0)
