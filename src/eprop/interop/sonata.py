"""Networks and spikes to and from SONATA, the files in which large models are published (Dai et al. 2020).

::

    from eprop.interop.sonata import from_sonata, spikes_to_sonata, to_sonata

    to_sonata(sim, "circuit")  # circuit_config.json, and nodes, edges and types of each population
    spikes_to_sonata(sim.run(1000.0, {"in": events}, spikes=["rec"]), "spikes.h5")
    net = from_sonata("circuit/circuit_config.json", {"rec": ep.LIF(), "out": ep.Readout()}, dt=1.0)

Weights are mV, delays ms. The format does not say what a neuron does, only what it is called: templates and parameters are
written under NEST's names, for others to read; here the models are given. Needs no extra. (doi:10.1371/journal.pcbi.1007696)
"""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.engine import Recording, Simulator
from eprop.engine.build.neurons import neurons_of
from eprop.errors import DataError, InputError, NetworkError
from eprop.files import output_errors, write_text
from eprop.files.hdf5 import hdf5_process
from eprop.interop.nest_names import NEURONS, named
from eprop.interop.sonata_edges import ARRAYS, Edges, read_edges
from eprop.interop.sonata_files import (
    SORTINGS,
    Place,
    each,
    files_of,
    of_types,
    read_group,
    text_of,
    write_types,
    written,
)
from eprop.models import EventSource, Model, Readout
from eprop.network import Explicit, Network, Population, Projection
from eprop.parameters import Description, brief, is_finite_number
from eprop.rules import STDP, Rule

CONFIG = "circuit_config.json"
#: Arrays that are read of nodes.
NODES = ("node_type_id", "node_id")
#: Units of times, in ms.
UNITS = {"ms": 1.0, "s": 1000.0, "us": 0.001}


def to_sonata(simulator: Simulator, folder: str | pathlib.Path) -> pathlib.Path:
    """Write a network with its present weights.

    Parameters
    ----------
    simulator : Simulator
        Of one process.
    folder : path
        Is made if missing. Files of the same names are replaced once all are written. After an interruption the files of an
        older network stay, or ``circuit_config.json`` is missing; it never names files of two networks.

    Returns
    -------
    pathlib.Path
        ``circuit_config.json``. For each population there are ``NAME_nodes.h5`` and ``NAME_node_types.csv``: sources are
        ``virtual``, neurons and readouts ``point_neuron`` with a template of NEST (or ``eprop:CLASS``), and have their parameters
        as ``dynamics_params``. For each projection there are ``NAME_edges.h5`` with ``syn_weight`` (mV) and ``delay`` (ms), and
        ``NAME_edge_types.csv``; ``->`` in its name becomes ``_to_``.

    Raises
    ------
    InputError
        If it is no simulator of one process.
    NetworkError
        If a name cannot be that of a file, or two names would be.
    OutputError
        If a file cannot be written.
    """
    if not isinstance(simulator, Simulator):
        raise InputError(f"to_sonata takes a Simulator, got {type(simulator).__name__}")
    if simulator.comm.size > 1:
        raise InputError("to_sonata takes a simulator of one process: load the checkpoint without mpiexec")
    folder, network = pathlib.Path(folder), simulator.network
    _check_names(network)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".sonata.", dir=folder) as name:
            aside = pathlib.Path(name)
            nodes = [_write_nodes(aside, network, p) for p in network.populations]
            edges = [_write_edges(aside, simulator, p) for p in network.projections]
            config = {"manifest": {"$BASE_DIR": "."}, "networks": {"nodes": nodes, "edges": edges}}
            write_text(aside / CONFIG, json.dumps(config, indent=2) + "\n")
            _put_in_place(aside, folder)
    return folder / CONFIG


def spikes_to_sonata(recording: Recording, path: str | pathlib.Path) -> None:
    """Write the spikes of a recording, each with the time (ms) of the end of its step, in the order of time.

    Raises
    ------
    InputError
        If no spikes were recorded.
    OutputError
        If the file cannot be written.
    """
    if not getattr(recording, "spikes", None):
        raise InputError('spikes_to_sonata takes a Recording with spikes: Simulator.run(..., spikes=["rec"])')
    with written(path) as file:
        for name, (times, ids) in recording.spikes.items():
            group = file.create_group(f"spikes/{name}")
            group.attrs.create("sorting", 2, dtype=SORTINGS)
            group.create_dataset("timestamps", data=np.asarray(times, np.float64)).attrs["units"] = "ms"
            group["node_ids"] = np.asarray(ids, np.uint64)


def spikes_from_sonata(
    path: str | pathlib.Path, *, recorded_dt: float | None = None, memory: int | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Spikes of a file, by population: times (ms) and nodes, as `Simulator.run` takes them for sources.

    Parameters
    ----------
    path : path
    recorded_dt : float, optional
        If they were recorded in steps of so many ms, and have the times of the ends of these, as those of `spikes_to_sonata` and
        of NEST: times are then moved to the middle of the step, so that a run has the spikes in the steps in which they were
        recorded. By default they are told as they are.
    memory : int, optional
        Bytes that the spikes may take; by default three quarters of the memory that is free.

    Returns
    -------
    dict of (times, nodes)
        By the name of the population: ndarrays of one length, float64 in ms and int64, counted from 0.

    Raises
    ------
    DataError
        If it is no such file, its times are in a unit that is not known or not finite, or there are not as many nodes as times.
    """
    if recorded_dt is not None and not (is_finite_number(recorded_dt) and recorded_dt > 0.0):
        raise InputError(f"spikes_from_sonata: recorded_dt must be a number of ms above 0, got {brief(recorded_dt)}")
    late = 0.0 if recorded_dt is None else 0.5 * recorded_dt
    spikes, found = read_group(path, "spikes", ("timestamps", "node_ids"), memory), {}
    if "timestamps" in spikes:
        raise DataError(f"{path}: holds spikes without the name of their population, as an older layout has them")
    for name, group in spikes.groups():
        unit = text_of(group.array("timestamps").attrs.get("units", "ms"), f"{path}: the unit of times of {name!r}")
        if unit not in UNITS:
            raise DataError(f"{path}: times of {name!r} are in {unit!r}; known are {', '.join(UNITS)}")
        times = group.numbers("timestamps")
        if np.isnan(times).any():
            raise DataError(f"{path}: time {np.flatnonzero(np.isnan(times))[0]} of {name!r} is no number")
        found[name] = UNITS[unit] * times - late, group.whole("node_ids", like=times)
    return found


def from_sonata(
    config: str | pathlib.Path, models: Mapping[str, Model], dt: float, *, seed: int = 0,
    rule: Rule | Mapping[str, Rule] | None = None, weight_scale: float = 1.0, memory: int | None = None,
) -> Network:  # fmt: skip
    """Read a network.

    Parameters
    ----------
    config : path
        ``circuit_config.json``.
    models : mapping of str to Model
        What the nodes of each population are. Populations all of whose nodes are ``virtual`` are an `EventSource` by default.
    dt : float
        Time step, ms.
    seed : int
        Of the network.
    rule : Rule, or mapping of str to Rule, optional
        Plasticity of all edges, or by the names of their populations. Static by default. Feedback is to be added.
    weight_scale : float
        mV for each unit of ``syn_weight``; a finite number.
    memory : int, optional
        Bytes that the arrays of a file may take; by default three quarters of the memory that is free.

    Returns
    -------
    Network
        Populations and projections have the names of the files. Weights (times ``nsyns``, where several synapses are one edge)
        and delays are those of the edges, or of their types; delays are rounded to steps, one at least. Parameters of nodes in
        the file are not read: a population has the model that is given, whose lists of values are in the order of ``node_id``.

    Raises
    ------
    InputError
        If ``models`` is no dictionary, or ``weight_scale`` no number.
    DataError
        If a file is missing or damaged, takes too much memory or too long to read, or says nothing of weights.
    NetworkError
        If a population has no model, or a model that does not fit its edges.
    """
    if not isinstance(models, Mapping):
        raise InputError(
            f'from_sonata: models must be a dictionary such as {{"rec": LIF()}}, got {type(models).__name__}'
        )
    if not is_finite_number(weight_scale):
        raise InputError(
            f"from_sonata: weight_scale must be a finite number, mV for each unit, got {brief(weight_scale)}"
        )
    files = files_of(pathlib.Path(config))
    network, ids = Network(dt=dt, seed=seed), dict[str, np.ndarray]()
    with hdf5_process():  # one for all files
        for path, types in each(files, "nodes"):
            for name, group in read_group(path, "nodes", NODES, memory).groups():
                ids[name] = _add(network, models, path, name, group, types)
        _check_given(models, "models", [p.name for p in network.populations])
        for path, types in each(files, "edges"):
            for name, group in read_group(path, "edges", ARRAYS, memory).groups():
                own = rule.get(name) if isinstance(rule, Mapping) else rule
                _connect(network, ids, path, name, read_edges(path, name, group, types), own, weight_scale)
    if isinstance(rule, Mapping):
        _check_given(rule, "rule", [p.name for p in network.projections])
    return network


# -------------------------------------------------------------------------------------------------------------- write


def _put_in_place(aside: pathlib.Path, folder: pathlib.Path) -> None:
    """Move finished files; without a configuration in the meantime, which is what makes a network of them."""
    (folder / CONFIG).unlink(missing_ok=True)
    for file in sorted(aside.iterdir(), key=lambda file: file.name == CONFIG):
        file.replace(folder / file.name)


def _write_nodes(folder: pathlib.Path, network: Network, population: Population) -> dict[str, Any]:
    name, size = population.name, population.size
    source = population.model.role == "source"
    row = {"node_type_id": population.index, "population": name, "model_type": "virtual" if source else "point_neuron"}
    if not source:
        row["model_template"] = _template(population.model)
    with written(folder / f"{name}_nodes.h5") as file:
        group = file.create_group(f"nodes/{name}")
        group["node_id"] = np.arange(size, dtype=np.uint64)
        group["node_type_id"] = np.full(size, population.index, np.int64)
        group["node_group_id"] = np.zeros(size, np.uint32)
        group["node_group_index"] = np.arange(size, dtype=np.uint64)
        parameters = group.create_group("0/dynamics_params")
        for key, values in ({} if source else _parameters(neurons_of(network, population))).items():
            parameters[key] = np.broadcast_to(values, (size,))
    types = write_types(folder / f"{name}_node_types.csv", row)
    file = f"$BASE_DIR/{name}_nodes.h5"
    return {"nodes_file": file, "node_types_file": types, "populations": {name: {"type": row["model_type"]}}}


def _template(model: Model) -> str:
    if isinstance(model, Readout):
        return "nest:eprop_readout"
    return f"nest:{NEURONS[type(model)]}" if type(model) in NEURONS else f"eprop:{type(model).__name__}"


def _parameters(members: list[Any]) -> dict[str, np.ndarray]:
    """Numbers of each node, under NEST's names."""

    def numbers(description: Description) -> dict[str, float]:
        own = named(description)
        return {key: float(value) for key, value in own.items() if isinstance(value, (bool, int, float))}

    rows = [numbers(m) | (numbers(m.surrogate) if hasattr(m, "surrogate") else {}) for m in members]
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _write_edges(folder: pathlib.Path, simulator: Simulator, projection: Projection) -> dict[str, Any]:
    name = _name_of(projection)
    sources, targets, weights = simulator.connections(projection.name)
    kind = "stdp" if isinstance(projection.rule, STDP) else "eprop" if projection.rule.plastic else "static"
    with written(folder / f"{name}_edges.h5") as file:
        group = file.create_group(f"edges/{name}")
        for end, ids, population in (("source", sources, projection.pre), ("target", targets, projection.post)):
            group[f"{end}_node_id"] = ids.astype(np.uint64)
            group[f"{end}_node_id"].attrs["node_population"] = population.name
        group["edge_type_id"] = np.full(sources.size, projection.index, np.int64)
        group["edge_group_id"] = np.zeros(sources.size, np.uint32)
        group["edge_group_index"] = np.arange(sources.size, dtype=np.uint64)
        group["0/syn_weight"], group["0/delay"] = weights, simulator.delays(projection.name)
    row = {"edge_type_id": projection.index, "population": name, "model_template": f"{kind}_synapse"}
    types = write_types(folder / f"{name}_edge_types.csv", row)
    return {
        "edges_file": f"$BASE_DIR/{name}_edges.h5",
        "edge_types_file": types,
        "populations": {name: {"type": "chemical"}},
    }


def _check_names(network: Network) -> None:
    """Refuse names that are none of files, or whose files would be the same, on any disk."""
    names = [f"{p.name}_nodes" for p in network.populations]
    names += [f"{_name_of(p)}_edges" for p in network.projections]
    for k, name in enumerate(names):
        if "$" in name or name.startswith("."):
            raise NetworkError(
                f"to_sonata: {name!r} cannot be a file's name here; give it one without '$', and no '.' at first"
            )
        if name.lower() in [other.lower() for other in names[:k]]:
            raise NetworkError(f"to_sonata: two files would be called {name!r}; give one of them another name")


def _name_of(projection: Projection) -> str:
    return projection.name.replace("->", "_to_")


# --------------------------------------------------------------------------------------------------------------- read


def _add(
    network: Network, models: Mapping[str, Model], path: str, name: str, group: Place, types: list[dict[str, str]]
) -> np.ndarray:
    """Add a population; returns its nodes' numbers, sorted."""
    type_ids = group.whole("node_type_id", least=None)
    kinds = set(of_types(types, name, type_ids, "model_type").values())
    model = models.get(name, EventSource() if kinds == {"virtual"} else None)
    if model is None:
        raise NetworkError(f"{path}: the population {name!r} needs a model: from_sonata(..., models={{{name!r}: ...}})")
    network.add(model, type_ids.size, name)
    if "node_id" not in group:
        return np.arange(type_ids.size)
    ids = np.sort(group.whole("node_id", like=type_ids))
    if (twice := np.flatnonzero(ids[1:] == ids[:-1])).size:
        raise DataError(f"{path}: node {ids[twice[0]]} of {name!r} is there twice")
    return ids


def _connect(
    network: Network, ids: dict[str, np.ndarray], path: str, name: str, edges: Edges, rule: Rule | None, scale: float
) -> None:
    ends = []
    for numbers, population in ((edges.sources, edges.pre), (edges.targets, edges.post)):
        if population not in ids:
            raise NetworkError(f"{path}: {name!r} connects {population!r}; there are: {', '.join(ids)}")
        known = ids[population]
        at = np.minimum(np.searchsorted(known, numbers), max(known.size - 1, 0))
        if numbers.size and (known.size == 0 or np.any(known[at] != numbers)):
            lost = numbers[known[at] != numbers][0] if known.size else numbers[0]
            raise DataError(f"{path}: {name!r} connects node {lost} of {population!r}, which is not there")
        ends.append(at)
    steps = np.maximum(np.rint(np.where(np.isnan(edges.delays), 0.0, edges.delays) / network.dt), 1.0)
    network.connect(
        edges.pre, edges.post, Explicit(sources=ends[0], targets=ends[1]), weight=scale * edges.weights,
        delay=steps * network.dt if steps.size else None, rule=rule, name=name.replace("/", "_"),
    )  # fmt: skip


def _check_given(given: Mapping[str, Any], label: str, there: list[str]) -> None:
    if unknown := sorted(set(given) - set(there)):
        raise NetworkError(f"from_sonata: {label} names {unknown[0]!r}; there are: {', '.join(there)}")
