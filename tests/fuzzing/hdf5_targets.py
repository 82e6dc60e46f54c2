"""Targets: files of SONATA and NIR."""

from __future__ import annotations

import importlib.util
import itertools
import json
import pathlib
import random
from typing import Any

import h5py
import numpy as np

import eprop as ep
from eprop.interop.nir import from_nir, to_nir
from eprop.interop.sonata import from_sonata, spikes_from_sonata
from fuzzing.mutate import damaged, reworded, spoiled
from fuzzing.target import Target
from fuzzing.targets import MEMORY

MODELS = {"v1": ep.LIF()}


def arrays_of_edges() -> dict[str, np.ndarray]:
    return {
        "source_node_id": np.array([0, 1, 1, 0]), "target_node_id": np.array([0, 1, 2, 2]),
        "edge_type_id": np.array([7, 8, 7, 8]),
        "edge_group_id": np.array([0, 1, 1, 0]), "edge_group_index": np.array([0, 1, 0, 1]), "1/syn_weight": np.array([5.0, 6.0]),
        "0/nsyns": np.array([2, 1]), "0/delay": np.array([1.0, 2.5]),
    }  # fmt: skip


def write(path: pathlib.Path, start: str, arrays: dict[str, Any], attributes: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            try:
                file[f"{start}/{name}"] = array
            except (TypeError, ValueError):  # not everything can be written
                file.create_group(f"{start}/{name}")
            if name in attributes:
                file[f"{start}/{name}"].attrs["node_population"] = attributes[name]


def exchanged(arrays: dict[str, np.ndarray], rng: random.Random) -> dict[str, Any]:
    """Arrays of which one is spoiled, a group, missing, or promises more than there is."""
    out: dict[str, Any] = dict(arrays)
    name = rng.choice(sorted(out))
    kind = rng.randrange(8)
    if kind == 0:
        del out[name]
    elif kind == 1:
        out[name] = {}
    else:
        out[name] = spoiled(out[name], rng)
    return out


ENDS = {"source_node_id": "lgn", "target_node_id": b"v1"}
TYPES = {
    "node_types.csv": "node_type_id model_type model_template\n1 virtual NULL\n2 point_neuron nest:glif\n",
    "edge_types.csv": "edge_type_id syn_weight delay\n7 0.25 1.9\n8 -3 NULL\n",
}
CONFIG = {
    "manifest": {"$BASE": ".", "$NET": "${BASE}"},
    "networks": {
        "nodes": [{"nodes_file": "$NET/nodes.h5", "node_types_file": "$NET/node_types.csv"}],
        "edges": [{"edges_file": "$NET/edges.h5", "edge_types_file": "$NET/edge_types.csv"}],
    },
}


def circuits(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, bytes]]:
    nodes = {f"{name}/node_type_id": np.array(types) for name, types in (("lgn", [1, 1]), ("v1", [2, 2, 2]))}
    write(folder / "nodes.h5", "nodes", nodes, {})
    write(folder / "edges.h5", "edges/lgn_to_v1", arrays_of_edges(), ENDS)
    for name, text in TYPES.items():
        (folder / name).write_text(text)
    (folder / "circuit_config.json").write_text(json.dumps(CONFIG))
    return folder, {path.name: path.read_bytes() for path in folder.iterdir()}


def read_circuit(state: tuple[pathlib.Path, dict[str, bytes]], rng: random.Random) -> None:
    folder, contents = state
    broken = rng.choice(sorted(contents))
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    kind = rng.randrange(3)
    if broken.endswith(".h5") and kind:
        if broken == "edges.h5":
            write(folder / broken, "edges/lgn_to_v1", exchanged(arrays_of_edges(), rng), ENDS)
        else:
            nodes = {
                "lgn/node_type_id": np.array([1, 1]),
                "v1/node_type_id": np.array([2, 2, 2]),
                "v1/node_id": np.arange(3),
            }
            write(folder / broken, "nodes", exchanged(nodes, rng), {})
    elif broken.endswith(".h5") or kind == 0:
        (folder / broken).write_bytes(damaged(contents[broken], rng))
    else:
        text = reworded(contents[broken].decode(), rng)
        (folder / broken).write_bytes(text.encode("utf-8", "surrogatepass"))
    net = from_sonata(folder / "circuit_config.json", MODELS, dt=1.0, memory=MEMORY)
    if sum(p.size for p in net.populations) < 100:
        sim = ep.Simulator(net, threads=1)
        for projection in net.projections:
            assert np.isfinite(sim.connections(projection.name)[2]).all()


def spikes(folder: pathlib.Path) -> tuple[pathlib.Path, bytes, dict[str, np.ndarray]]:
    arrays = {"a/timestamps": np.array([1.0, 2.5, 4.0]), "a/node_ids": np.array([3, 0, 1], np.uint64)}
    write(folder / "sound.h5", "spikes", arrays, {})
    return folder / "spikes.h5", (folder / "sound.h5").read_bytes(), arrays


def read_spikes(state: tuple[pathlib.Path, bytes, dict[str, np.ndarray]], rng: random.Random) -> None:
    path, content, arrays = state
    if rng.random() < 0.5:
        path.write_bytes(damaged(content, rng))
    else:
        write(path, "spikes", exchanged(arrays, rng), {})
    for times, nodes in spikes_from_sonata(path, memory=MEMORY).values():
        assert times.shape == nodes.shape
        assert np.isfinite(times).all()
        assert (nodes >= 0).all()


def graphs(folder: pathlib.Path) -> tuple[pathlib.Path, list[bytes]]:
    import nir

    simple = ep.Network(seed=2)
    x, rec, out = (
        simple.add(ep.EventSource(), 3, "in"),
        simple.add(ep.DeltaLIF(), 4, "rec"),
        simple.add(ep.Readout(), 2, "out"),
    )
    simple.connect(x, rec, delay=3.0)
    simple.connect(rec, rec)
    simple.connect(rec, out)
    simple.feedback(out, rec)
    contents = []
    for net, nearest in ((simple, False),):
        nir.write(folder / "sound.nir", to_nir(ep.Simulator(net, threads=1), nearest=nearest))
        contents.append((folder / "sound.nir").read_bytes())
    return folder / "graph.nir", contents


def many_graphs(folder: pathlib.Path) -> tuple[pathlib.Path, list[bytes]]:
    """Graphs with delays, parameters that differ, biases, scales and graphs within, without a time step as well."""
    import nir

    net = ep.Network(seed=2, dt=0.5)
    x, rec, out = (
        net.add(ep.EventSource(), 3),
        net.add(ep.LIF(tau_m=[5.0, 10.0, 20.0], t_ref=2.0), 3),
        net.add(ep.Readout(), 2),
    )
    net.connect(x, rec, delay=ep.Uniform(0.5, 3.5))
    net.connect(rec, out, delay=2.0)
    ones, two = np.ones(2), np.array([2])
    lif = nir.LIF(tau=0.01 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    inner = nir.NIRGraph(
        {"input": nir.Input({"input": two}), "scale": nir.Scale(2.0 * ones), "output": nir.Output({"output": two})},
        [("input", "scale"), ("scale", "output")],
    )
    nodes = {
        "input": nir.Input({"input": two}), "affine": nir.Affine(np.eye(2), 0.1 * ones), "inner": inner,
        "delay": nir.Delay(0.003 * ones), "lif": lif, "linear": nir.Linear(np.eye(2)),
        "li": nir.LI(0.01 * ones, ones, 0 * ones), "output": nir.Output({"output": two}),
    }  # fmt: skip
    way = ("input", "inner", "affine", "delay", "lif", "linear", "li", "output")
    edges = [*itertools.pairwise(way), ("lif", "delay")]
    contents = []
    for graph in (to_nir(ep.Simulator(net, threads=1), nearest=True), nir.NIRGraph(nodes, edges)):
        nir.write(folder / "sound.nir", graph)
        contents.append((folder / "sound.nir").read_bytes())
    return folder / "graph.nir", contents


def read_graph(state: tuple[pathlib.Path, list[bytes]], rng: random.Random) -> None:
    path, contents = state
    content = rng.choice(contents)
    path.write_bytes(damaged(content, rng) if rng.random() < 0.5 else content)
    if path.read_bytes() == content:
        with h5py.File(path, "a") as file:
            _spoil(file, rng)
    net = from_nir(path, dt=rng.choice((None, 1.0)), memory=MEMORY)
    assert all(p.size > 0 for p in net.populations)


def _spoil(file: h5py.File, rng: random.Random) -> None:
    """Exchange one array of a file."""
    names: list[str] = []

    def collect(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            names.append(name)

    file.visititems(collect)
    name = rng.choice(names)
    value = file[name][()]
    del file[name]
    kind = rng.randrange(6)
    try:
        if kind == 0:
            file.create_group(name)
        elif kind == 1 and not isinstance(value, bytes):
            file.create_dataset(name, (2**40,), np.float64, chunks=(1024,))
        elif isinstance(value, bytes):
            file[name] = reworded(value.decode(), rng).replace("\0", "")
        elif kind != 2:
            file[name] = spoiled(np.asarray(value), rng)
    except (TypeError, ValueError):
        pass  # left out


def has_nir() -> bool:
    return importlib.util.find_spec("nir") is not None


HDF5_TARGETS = (
    Target("sonata", circuits, read_circuit, 40),
    Target("sonata spikes", spikes, read_spikes, 100),
    *((Target("nir", graphs, read_graph, 20), Target("nir graphs", many_graphs, read_graph, 20)) if has_nir() else ()),
)
