"""Spikes in SONATA files, and graphs of NIR: HDF5 files of which one array is exchanged.

Bytes of HDF5 files are left alone: what the HDF5 library makes of them is its own matter.
"""

from __future__ import annotations

import itertools
import pathlib
import random

import h5py
import numpy as np

import eprop as ep
from eprop.interop.nir import from_nir, to_nir
from eprop.interop.sonata import spikes_from_sonata
from fuzzing.mutate import reworded, spoiled

#: Bytes that a reader may take: enough for the sound files here.
MEMORY = 50_000_000
SPIKES = {"spikes/a/timestamps": np.array([1.0, 2.5, 4.0]), "spikes/a/node_ids": np.array([3, 0, 1], np.uint64)}


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

    net = ep.Network(seed=2, dt=0.5)
    lif = ep.LIF(tau_m=[5.0, 10.0, 20.0], t_ref=2.0)
    x, rec, out = net.add(ep.EventSource(), 3), net.add(lif, 3), net.add(ep.Readout(), 2)
    net.connect(x, rec, delay=ep.Uniform(0.5, 3.5))
    net.connect(rec, rec)
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
    for graph in (to_nir(ep.Simulator(net, threads=1), nearest=True), foreign):
        nir.write(folder / "sound.nir", graph)
        contents.append((folder / "sound.nir").read_bytes())
    return folder / "graph.nir", contents


def read_graph(state: tuple[pathlib.Path, list[bytes]], rng: random.Random) -> None:
    path, contents = state
    path.write_bytes(rng.choice(contents))
    exchange(path, rng)
    net = from_nir(path, dt=rng.choice((None, 1.0)), memory=MEMORY)
    assert all(p.size > 0 for p in net.populations)
