"""Graphs of NIR from anywhere: whatever is wrong with them is told in words, with the file and the place."""

from __future__ import annotations

import pathlib
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import eprop as ep
from eprop.interop.nir import from_nir, to_nir
from networks import small_network

pytestmark = pytest.mark.tiny


def graph() -> nir.NIRGraph:
    net = small_network((3, 4, 0), {"in->rec": {"delay": 3.0}}, neuron=ep.DeltaLIF(), seed=2)
    return to_nir(ep.Simulator(net, threads=1))


def test_files_of_graphs(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "graph.nir"
    nir.write(path, graph())
    assert [p.size for p in from_nir(path).populations] == [3, 4]
    assert [p.size for p in from_nir(str(path)).populations] == [3, 4]
    with pytest.raises(ep.errors.DataError, match=r"graph.nir: .*needs"):
        from_nir(path, memory=100)
    with h5py.File(path, "a") as file:
        del file["node/nodes/rec/tau"]
    with pytest.raises(ep.errors.DataError, match=r"graph.nir: is not a graph of NIR"):
        from_nir(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("node/nodes/rec/tau", (1 << 42,), float, chunks=(1024,))
    with pytest.raises(ep.errors.DataError, match=r"graph.nir: /node/nodes/rec/tau: needs"):
        from_nir(path)
    path.write_text("text")
    with pytest.raises(ep.errors.DataError, match=r"graph.nir: cannot be read"):
        from_nir(path)
    with pytest.raises(ep.errors.DataError, match=r"none.nir: cannot be read: No such file"):
        from_nir(tmp_path / "none.nir")


def test_graphs_that_are_too_large() -> None:
    nodes = {"in": nir.Input({"input": np.array([10**12])}), "rec": graph().nodes["rec"]}
    with pytest.raises(ep.errors.MemoryLimitError, match=r"in: 1,000,000,000,000 signals: needs"):
        from_nir(nir.NIRGraph(nodes, [("in", "rec")], type_check=False), dt=1.0)
    inner: Any = nir.NIRGraph(nodes, [], type_check=False)
    for _ in range(100):
        inner = nir.NIRGraph({"inner": inner}, [], type_check=False)
    with pytest.raises(ep.errors.NetworkError, match="graphs are nested more than 50 deep"):
        from_nir(inner, dt=1.0)
