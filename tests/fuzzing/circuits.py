"""SONATA and NIR: HDF5 files of which one array is exchanged, and the texts around them.

Bytes of HDF5 files are left alone: what the HDF5 library makes of them is its own matter.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import random

import h5py
import numpy as np

import eprop as ep
from eprop.interop.nir import from_nir, to_nir
from eprop.interop.sonata import from_sonata, spikes_from_sonata
from fuzzing.mutate import damaged, reworded, spoiled

#: Bytes that a reader may take: enough for the sound files here.
MEMORY = 50_000_000
MODELS = {"v1": ep.LIF()}
NODES = {
    "nodes/lgn/node_type_id": np.array([1, 1]), "nodes/v1/node_type_id": np.array([2, 2, 2]), "nodes/v1/node_id": np.arange(3),
}  # fmt: skip
EDGES = {
    f"edges/lgn_to_v1/{name}": np.array(values)
    for name, values in {
        "source_node_id": [0, 1, 1, 0], "target_node_id": [0, 1, 2, 2], "edge_type_id": [7, 8, 7, 8],
        "edge_group_id": [0, 1, 1, 0], "edge_group_index": [0, 1, 0, 1], "1/syn_weight": [5.0, 6.0], "0/nsyns": [2, 1],
        "0/delay": [1.0, 2.5],
    }.items()
}  # fmt: skip
SPIKES = {"spikes/a/timestamps": np.array([1.0, 2.5, 4.0]), "spikes/a/node_ids": np.array([3, 0, 1], np.uint64)}
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


def write(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> pathlib.Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def exchange(path: pathlib.Path, rng: random.Random) -> None:
    """Exchange one array of a file for another, for a group, for nothing, or for one that promises terabytes."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        name = rng.choice(names)
        value, attributes = file[name][()], dict(file[name].attrs)
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
                file[name].attrs.update(attributes)
        except (TypeError, ValueError):  # not everything can be written
            pass


def circuits(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, bytes]]:
    write(folder / "nodes.h5", NODES)
    with h5py.File(write(folder / "edges.h5", EDGES), "a") as file:
        for end, population in (("source", "lgn"), ("target", b"v1")):
            file[f"edges/lgn_to_v1/{end}_node_id"].attrs["node_population"] = population
    for name, text in TYPES.items():
        (folder / name).write_text(text)
    (folder / "circuit_config.json").write_text(json.dumps(CONFIG))
    return folder, {path.name: path.read_bytes() for path in folder.iterdir()}


def read_circuit(state: tuple[pathlib.Path, dict[str, bytes]], rng: random.Random) -> None:
    folder, contents = state
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    name = rng.choice(sorted(contents))
    if name.endswith(".h5"):
        exchange(folder / name, rng)
    else:
        text = reworded(contents[name].decode(), rng).encode("utf-8", "surrogatepass")
        (folder / name).write_bytes(text if rng.random() < 0.7 else damaged(text, rng))
    net = from_sonata(folder / "circuit_config.json", MODELS, dt=1.0, memory=MEMORY)
    if sum(p.size for p in net.populations) < 100:
        sim = ep.Simulator(net, threads=1)
        for projection in net.projections:
            assert np.isfinite(sim.connections(projection.name)[2]).all()


def spikes(folder: pathlib.Path) -> pathlib.Path:
    return folder / "spikes.h5"


def read_spikes(path: pathlib.Path, rng: random.Random) -> None:
    exchange(write(path, SPIKES), rng)
    for times, nodes in spikes_from_sonata(path, memory=MEMORY).values():
        assert times.shape == nodes.shape
        assert np.isfinite(times).all()
        assert (nodes >= 0).all()


def graphs(folder: pathlib.Path) -> tuple[pathlib.Path, list[bytes]]:
    """Graphs with delays, parameters that differ, biases, scales and graphs within, without a time step as well."""
    import nir

    simple = ep.Network(seed=2)
    x, rec, out = simple.add(ep.EventSource(), 3), simple.add(ep.DeltaLIF(), 4), simple.add(ep.Readout(), 2)
    simple.connect(x, rec, delay=3.0)
    simple.connect(rec, rec)
    simple.connect(rec, out)
    net = ep.Network(seed=2, dt=0.5)
    lif = ep.LIF(tau_m=[5.0, 10.0, 20.0], t_ref=2.0)
    x, rec, out = net.add(ep.EventSource(), 3), net.add(lif, 3), net.add(ep.Readout(), 2)
    net.connect(x, rec, delay=ep.Uniform(0.5, 3.5))
    net.connect(rec, out, delay=2.0)
    ones, two = np.ones(2), np.array([2])
    inner = nir.NIRGraph(
        {"input": nir.Input({"input": two}), "scale": nir.Scale(2.0 * ones), "output": nir.Output({"output": two})},
        [("input", "scale"), ("scale", "output")],
    )
    nodes = {
        "input": nir.Input({"input": two}), "affine": nir.Affine(np.eye(2), 0.1 * ones), "inner": inner,
        "delay": nir.Delay(0.003 * ones),
        "lif": nir.LIF(tau=0.01 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones),
        "linear": nir.Linear(np.eye(2)), "li": nir.LI(0.01 * ones, ones, 0 * ones), "output": nir.Output({"output": two}),
    }  # fmt: skip
    way = ("input", "inner", "affine", "delay", "lif", "linear", "li", "output")
    foreign = nir.NIRGraph(nodes, [*itertools.pairwise(way), ("lif", "delay")])
    contents = []
    for graph in (*(to_nir(ep.Simulator(n, threads=1), nearest=n is net) for n in (simple, net)), foreign):
        nir.write(folder / "sound.nir", graph)
        contents.append((folder / "sound.nir").read_bytes())
    return folder / "graph.nir", contents


def read_graph(state: tuple[pathlib.Path, list[bytes]], rng: random.Random) -> None:
    path, contents = state
    path.write_bytes(rng.choice(contents))
    exchange(path, rng)
    net = from_nir(path, dt=rng.choice((None, 1.0)), memory=MEMORY)
    assert all(p.size > 0 for p in net.populations)
