"""Files of SONATA and NIR from anywhere: whatever is wrong with them is told in words, with the file and the place."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import eprop as ep
from eprop.interop.nir import from_nir, to_nir
from eprop.interop.sonata import from_sonata, spikes_from_sonata, to_sonata
from fuzzing.circuits import CONFIG, circuits
from networks import small_network

pytestmark = pytest.mark.tiny

GROUP = "edges/lgn_to_v1"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return circuits(tmp_path_factory.mktemp("circuit"))[0]


@pytest.fixture
def circuit(sound: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    shutil.copytree(sound, tmp_path / "circuit")
    return tmp_path / "circuit"


def read(folder: pathlib.Path, **given: Any) -> ep.Network:
    return from_sonata(folder / "circuit_config.json", {"v1": ep.LIF()}, dt=1.0, **given)


def refused(folder: pathlib.Path, words: str, **given: Any) -> None:
    with pytest.raises(ep.DataError, match=words):
        read(folder, **given)


def test_what_is_sound_is_read(circuit: pathlib.Path) -> None:
    sim = ep.Simulator(read(circuit), threads=1)
    np.testing.assert_array_equal(sim.weights("lgn_to_v1").toarray(), [[0.5, 0.0], [0.0, 6.0], [-3.0, 5.0]])


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("edge_group_index", [0, -1, 0, 1], "edge_group_index must be whole numbers from 0 on, got -1 at 1"),
        ("edge_group_index", [0.0, 1.0, 0.5, 1.0], "edge_group_index must be whole numbers, but is of type float64"),
        ("edge_group_index", [0, 1], "edge_group_index has 2 entries, but the other lists have 4"),
        ("edge_group_index", [0, 5, 0, 1], "/edges/lgn_to_v1/1/syn_weight must be a list of numbers, one for each"),
        ("source_node_id", [0, 1, -1, 0], "source_node_id must be whole numbers from 0 on, got -1 at 2"),
        ("target_node_id", (), "is not a SONATA file with edges: .*target_node_id is missing"),
        ("target_node_id", [0, 1, 2], "target_node_id has 3 entries, but the other lists have 4"),
        ("target_node_id", [[0, 1], [2, 2]], r"target_node_id must be a list of numbers, but is of type <i8 and shape \(2, 2\)"),
        ("edge_type_id", [7, 8, 7], "edge_type_id has 3 entries"),
        ("edge_type_id", None, "edge_type_id must be a list of numbers, but is a group"),
        ("1/syn_weight", [np.inf, 1.0], "syn_weight holds a number that a double cannot hold"),
        ("1/syn_weight", [5.0], "syn_weight must be a list of numbers, one for each edge of the group: it has 1"),
        ("1/syn_weight", ["much", "more"], "syn_weight must be a list of numbers, but is of type"),
        ("0/nsyns", [1.5, 1.0], "nsyns of 'lgn_to_v1' must be whole numbers from 0 on"),
        ("0/delay", [-1.0, 1.0], "the delay of edge . of 'lgn_to_v1' is negative"),
    ],
)  # fmt: skip
def test_edges_that_are_wrong(circuit: pathlib.Path, name: str, values: Any, words: str) -> None:
    """None makes a group, and nothing no array. A weight was read from the end of its list, or that of another edge."""
    with h5py.File(circuit / "edges.h5", "a") as file:
        attributes = dict(file[f"{GROUP}/{name}"].attrs)
        del file[f"{GROUP}/{name}"]
        if values is None:
            file.create_group(f"{GROUP}/{name}")
        elif values != ():
            file[f"{GROUP}/{name}"] = values
            file[f"{GROUP}/{name}"].attrs.update(attributes)
    refused(circuit, rf"edges.h5: .*{words}")


def test_a_population_that_is_an_array(circuit: pathlib.Path) -> None:
    with h5py.File(circuit / "edges.h5", "w") as file:
        file[GROUP] = np.zeros(3)
    refused(circuit, "edges/lgn_to_v1 must be a group")
    with h5py.File(circuit / "nodes.h5", "a") as file:
        file["nodes/v1/node_id"][:] = [3, 3, 4]
    refused(circuit, "node 3 of 'v1' occurs twice")


def test_arrays_that_promise_terabytes(circuit: pathlib.Path) -> None:
    with h5py.File(circuit / "nodes.h5", "a") as file:
        del file["nodes/v1/node_type_id"]
        file.create_dataset("nodes/v1/node_type_id", (1 << 42,), np.int64, chunks=(1024,))
    refused(circuit, r"nodes.h5: /nodes/v1/node_type_id: needs 35,184,372,088,832 bytes")
    shutil.copy(circuit / "edges.h5", circuit / "nodes.h5")
    refused(circuit, "is not a SONATA file with nodes: the group is missing", memory=1000)


def test_configurations_without_end(circuit: pathlib.Path) -> None:
    path = circuit / "circuit_config.json"
    path.write_text('{"network": "circuit_config.json"}')
    refused(circuit, r"circuit_config.json: is a configuration that includes itself")
    (circuit / "other.json").write_text('{"network": "circuit_config.json"}')
    path.write_text('{"network": "./other.json"}')
    refused(circuit, "includes itself")
    doubled = {f"$V{k}": f"$V{k + 1}$V{k + 1}" for k in range(60)} | {"$V60": "x"}
    path.write_text(json.dumps(CONFIG | {"manifest": doubled}))
    refused(circuit, "with its variables a path has more than 10,000 characters")
    path.write_text(json.dumps(CONFIG | {"manifest": {f"$V{k}": "x" for k in range(200)}}))
    refused(circuit, "has 200 variables in its manifest")
    path.write_text("[" * 100_000)
    refused(circuit, r"circuit_config.json: is not a SONATA circuit configuration")
    path.unlink()
    os.mkfifo(path)
    refused(circuit, r"circuit_config.json: cannot be read: it is a named pipe")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("edge_type_id syn_weight\n7 " + "1" * 200_000 + "\n", "is not a table of types"),
        ("edge_type_id syn_weight\n" + "9" * 5000 + " 1\n", "is not a table of types"),
        ("edge_type_id syn_weight\n7 nan\n8 inf\n", "syn_weight must be a number"),
        ("edge_type_id\0 syn_weight\n7 1\n", "is not a table of types"),
        ("edge_type_id syn_weight\n7 1_0\n8 1\n", "syn_weight must be a number .'1_0' is no number"),
        ("edge_type_id syn_weight\n7 1\n7 2\n8 1\n", "types of 'lgn_to_v1': a type id occurs twice"),
        ("edge_type_id syn_weight syn_weight\n7 1 2\n", "a column occurs twice"),
        ("edge_type_id syn_weight delay\n7 1 2\n8 1\n", "the row '8 1' has 2 values for 3 columns"),
        ("edge_type_id syn_weight\n7 1 2\n8 1\n", "the row '7 1 2' has 3 values for 2 columns"),
        ("edge_type_id " + " ".join(map(str, range(50_000))) + "\n" + "7\n" * 50_000, "has 1 values for 50001 columns"),
    ],
)
def test_tables_that_are_wrong(circuit: pathlib.Path, text: str, words: str) -> None:
    (circuit / "edge_types.csv").write_text(text)
    refused(circuit, words)


def test_spikes_without_their_nodes(tmp_path: pathlib.Path) -> None:
    for times, nodes, words in (
        ([1.0, 2.0], [3], "node_ids has 1 entries, but the other lists have 2"),
        ([1.0, np.nan], [3, 4], "time 1 of 'a' is not a number"),
        ([1.0, 2.0], [3, -4], "node_ids must be whole numbers from 0 on, got -4"),
        ([1.0], [2**64 - 1], "node_ids must be whole numbers"),
        ([2**63 - 1], [1], "timestamps holds a number that a double cannot hold"),
    ):
        with h5py.File(tmp_path / "spikes.h5", "w") as file:
            file["spikes/a/timestamps"], file["spikes/a/node_ids"] = np.array(times), np.array(nodes)
        with pytest.raises(ep.DataError, match=words):
            spikes_from_sonata(tmp_path / "spikes.h5")
    with pytest.raises(ep.InputError, match="recorded_dt must be a number of ms above 0"):
        spikes_from_sonata(tmp_path / "spikes.h5", recorded_dt=-1.0)


def test_a_full_disk_names_the_size_that_is_wanted(tmp_path: pathlib.Path) -> None:
    resource = pytest.importorskip("resource")
    net = ep.Network()
    net.add(ep.LIF(), 500, "rec")
    sim, before = ep.Simulator(net, threads=1), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(ep.OutputError, match=r"rec_nodes.h5: cannot be written: .* \([\d,]+ bytes are needed\)"):
            to_sonata(sim, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ---------------------------------------------------------------------------------------------------------------- NIR


def graph() -> nir.NIRGraph:
    net = small_network((3, 4, 0), {"in->rec": {"delay": 3.0}}, neuron=ep.DeltaLIF(), seed=2)
    return to_nir(ep.Simulator(net, threads=1))


def test_files_of_graphs(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "graph.nir"
    nir.write(path, graph())
    assert [p.size for p in from_nir(path).populations] == [3, 4]
    assert [p.size for p in from_nir(str(path)).populations] == [3, 4]
    with pytest.raises(ep.DataError, match=r"graph.nir: .*needs"):
        from_nir(path, memory=100)
    with h5py.File(path, "a") as file:
        del file["node/nodes/rec/tau"]
    with pytest.raises(ep.DataError, match=r"graph.nir: is not a graph of NIR"):
        from_nir(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("node/nodes/rec/tau", (1 << 42,), float, chunks=(1024,))
    with pytest.raises(ep.DataError, match=r"graph.nir: /node/nodes/rec/tau: needs"):
        from_nir(path)
    path.write_text("text")
    with pytest.raises(ep.DataError, match=r"graph.nir: cannot be read"):
        from_nir(path)
    with pytest.raises(ep.DataError, match=r"none.nir: cannot be read: No such file"):
        from_nir(tmp_path / "none.nir")


def test_graphs_that_are_too_large() -> None:
    nodes = {"in": nir.Input({"input": np.array([10**12])}), "rec": graph().nodes["rec"]}
    with pytest.raises(ep.MemoryLimitError, match=r"in: 1,000,000,000,000 signals: needs"):
        from_nir(nir.NIRGraph(nodes, [("in", "rec")], type_check=False), dt=1.0)
    inner: Any = nir.NIRGraph(nodes, [], type_check=False)
    for _ in range(100):
        inner = nir.NIRGraph({"inner": inner}, [], type_check=False)
    with pytest.raises(ep.NetworkError, match="graphs are nested more than 50 deep"):
        from_nir(inner, dt=1.0)
