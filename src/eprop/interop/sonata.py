"""Networks and spikes to and from SONATA, the files in which large models are published (Dai et al. 2020).

::

    from eprop.interop.sonata import from_sonata, spikes_to_sonata, to_sonata

    to_sonata(sim, "circuit")  # circuit_config.json, and nodes, edges and types of each population
    spikes_to_sonata(sim.run(1000.0, {"in": events}, spikes=["rec"]), "spikes.h5")
    net = from_sonata("circuit/circuit_config.json", {"rec": ep.LIF(), "out": ep.Readout()}, dt=1.0)

Weights are mV, delays ms. The format does not say what a neuron does, only what it is called: templates are written under
NEST's names, and read with the models that are given. Needs no extra. (doi:10.1371/journal.pcbi.1007696)
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.engine import Recording, Simulator
from eprop.engine.members import members_of
from eprop.errors import DataError, InputError, NetworkError
from eprop.interop.nest_names import NEURONS, named
from eprop.interop.sonata_files import SORTINGS, Types, each, files_of, of_types, opened, write_types, written
from eprop.models import EventSource, Model, Readout
from eprop.network import Explicit, Network, Population, Projection
from eprop.parameters import Description
from eprop.rules import Rule
from eprop.training.files import output_errors, write_text

CONFIG = "circuit_config.json"


def to_sonata(simulator: Simulator, folder: str | pathlib.Path) -> pathlib.Path:
    """Write a network with its present weights.

    Parameters
    ----------
    simulator : Simulator
        Of one process.
    folder : path
        Is made if it is not there. Files of the same names are replaced.

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
    OutputError
        If a file cannot be written.
    """
    if not isinstance(simulator, Simulator):
        raise InputError(f"to_sonata takes a Simulator, got {type(simulator).__name__}")
    if simulator.comm.size > 1:
        raise InputError("to_sonata takes a simulator of one process: load the checkpoint without mpiexec")
    folder = pathlib.Path(folder)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    network = simulator.network
    nodes = [_write_nodes(folder, network, p) for p in network.populations]
    edges = [_write_edges(folder, simulator, p) for p in network.projections]
    config = {"manifest": {"$BASE_DIR": "."}, "networks": {"nodes": nodes, "edges": edges}}
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
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


def spikes_from_sonata(path: str | pathlib.Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Spikes of a file, by population: times (ms) and nodes, as `Simulator.run` takes them for sources.

    Raises
    ------
    DataError
        If it is no such file.
    """
    with opened(path, "spikes") as spikes:
        return {name: (group["timestamps"][:], group["node_ids"][:].astype(np.int64)) for name, group in spikes.items()}


def from_sonata(
    config: str | pathlib.Path, models: Mapping[str, Model], dt: float, *, seed: int = 0,
    rule: Rule | Mapping[str, Rule] | None = None, weight_scale: float = 1.0,
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
        mV for each unit of ``syn_weight``.

    Returns
    -------
    Network
        Populations and projections have the names of the files. Weights and delays are those of the edges, or of their types;
        delays are rounded to steps, one at least.

    Raises
    ------
    DataError
        If a file is missing or damaged, or says nothing of weights.
    NetworkError
        If a population has no model, or a model that does not fit its edges.
    """
    files = files_of(pathlib.Path(config))
    network = Network(dt=dt, seed=seed)
    for path, types in each(files, "nodes"):
        with opened(path, "nodes") as populations:
            for name, group in populations.items():
                kinds = set(of_types(types, group["node_type_id"][:], "model_type").values())
                model = models.get(name, EventSource() if kinds == {"virtual"} else None)
                if model is None:
                    raise NetworkError(
                        f"{path}: the population {name!r} needs a model: from_sonata(..., models={{{name!r}: ...}})"
                    )
                network.add(model, group["node_type_id"].shape[0], name)
    _check_names(models, "models", [p.name for p in network.populations])
    for path, types in each(files, "edges"):
        with opened(path, "edges") as populations:
            for name, group in populations.items():
                _connect(
                    network,
                    path,
                    name,
                    group,
                    types,
                    rule.get(name) if isinstance(rule, Mapping) else rule,
                    weight_scale,
                )
    if isinstance(rule, Mapping):
        _check_names(rule, "rule", [p.name for p in network.projections])
    return network


# -------------------------------------------------------------------------------------------------------------- write


def _write_nodes(folder: pathlib.Path, network: Network, population: Population) -> dict[str, str]:
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
        for key, values in ({} if source else _parameters(members_of(network, population))).items():
            parameters[key] = np.broadcast_to(values, (size,))
    types = write_types(folder / f"{name}_node_types.csv", row)
    return {"nodes_file": f"$BASE_DIR/{name}_nodes.h5", "node_types_file": types}


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


def _write_edges(folder: pathlib.Path, simulator: Simulator, projection: Projection) -> dict[str, str]:
    name = projection.name.replace("->", "_to_")
    sources, targets, weights = simulator.connections(projection.name)
    kind = "plastic" if projection.rule.plastic else "static"
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
    return {"edges_file": f"$BASE_DIR/{name}_edges.h5", "edge_types_file": types}


# --------------------------------------------------------------------------------------------------------------- read


def _connect(
    network: Network,
    path: str,
    name: str,
    group: Any,
    types: Types,
    rule: Rule | None,
    scale: float,
) -> None:
    ends = [(group[f"{end}_node_id"], group[f"{end}_node_id"].attrs["node_population"]) for end in ("source", "target")]
    (sources, pre), (targets, post) = ((ids[:].astype(np.int64), _text(of)) for ids, of in ends)
    if sources.size == 0:
        return
    weights, delays = (_of_edges(group, types, column) for column in ("syn_weight", "delay"))
    if np.any(np.isnan(weights)):
        raise DataError(f"{path}: neither the edges of {name!r} nor their types say what syn_weight they have")
    steps = np.maximum(np.rint(np.where(np.isnan(delays), 0.0, delays) / network.dt), 1.0)
    network.connect(
        pre,
        post,
        Explicit(sources=sources, targets=targets),
        weight=scale * weights,
        delay=steps * network.dt,
        rule=rule,
        name=name,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _of_edges(group: Any, types: Types, column: str) -> np.ndarray:
    """An attribute of each edge: its own, or that of its type, or NaN."""
    ids = group["edge_type_id"][:]
    told = of_types(types, ids, column)
    kinds, place = np.unique(ids, return_inverse=True)
    values = np.array([float(told.get(int(i), "nan")) for i in kinds])[place]
    groups, index = group["edge_group_id"][:], group["edge_group_index"][:]
    for number in np.unique(groups):
        own = group.get(f"{number}/{column}")
        if own is not None:
            here = groups == number
            values[here] = own[:][index[here]]
    return values


def _check_names(given: Mapping[str, Any], label: str, there: list[str]) -> None:
    if unknown := sorted(set(given) - set(there)):
        raise NetworkError(f"from_sonata: {label} names {unknown[0]!r}; there are: {', '.join(there)}")
