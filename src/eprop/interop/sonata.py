"""Networks and spikes to and from SONATA, a file format of large published models (Dai et al. 2020).

::

    from eprop.interop.sonata import from_sonata, spikes_to_sonata, to_sonata

    to_sonata(sim, "circuit")  # circuit_config.json, and nodes, edges and types of each population
    spikes_to_sonata(sim.run(1000.0, {"in": events}, spikes=["rec"]), "spikes.h5")
    net = from_sonata("circuit/circuit_config.json", {"rec": ep.LIF(), "out": ep.Readout()}, dt=1.0)

Weights are in mV, or in pA onto neurons with a current; delays are in ms. The format names the model of a neuron, but does not
define it. `to_sonata` writes templates and parameters under NEST's names, for other programs; `from_sonata` takes the models as
an argument, except for ``nest:iaf_psc_exp``, a `CurrentLIF`. Needs no extra.
(doi:10.1371/journal.pcbi.1007696)
"""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.engine import Recording, Simulator
from eprop.errors import DataError, InputError, NetworkError, ParameterError
from eprop.files import output_errors, write_text
from eprop.files.spike_file import add_spikes, written
from eprop.interop.nest_models import NEURONS, check_signs, named
from eprop.interop.sonata_files import (
    EDGES,
    Edges,
    Place,
    attribute,
    each,
    files_of,
    of_types,
    read_edges,
    read_group,
    text_of,
    write_types,
)
from eprop.models import CurrentLIF, EventSource, Model, Neuron, Readout
from eprop.models.base import EXCITATORY, INHIBITORY
from eprop.network import Explicit, FixedPoint, Network, Population, Projection
from eprop.parameters import Description, brief, is_finite_number, parameters_of
from eprop.rules import PairRule, Rule

CONFIG = "circuit_config.json"
#: NEST's default parameters of ``iaf_psc_exp``, for those that a file leaves out; V_m is E_L.
PSC_EXP = {
    "tau_m": 10.0, "tau_syn_ex": 2.0, "tau_syn_in": 2.0, "C_m": 250.0, "I_e": 0.0, "E_L": -70.0, "V_th": -55.0, "V_reset": -70.0,
    "t_ref": 2.0, "V_m": np.nan,
}  # fmt: skip
#: Arrays of nodes to read.
NODES = ("node_type_id", "node_id", "node_group_id", "node_group_index", *PSC_EXP)
#: Units of times, in ms.
UNITS = {"ms": 1.0, "s": 1000.0, "us": 0.001}


def to_sonata(simulator: Simulator, folder: str | pathlib.Path) -> pathlib.Path:
    """Write a network with its present weights.

    Parameters
    ----------
    simulator : Simulator
        Simulator of one process.
    folder : path
        Made if missing. Files of the same names are replaced after all new files are written. After an interruption the files
        of an older network remain, or ``circuit_config.json`` is missing; it never names files of two networks.
    -------
    pathlib.Path
        Path of ``circuit_config.json``. Each population has ``NAME_nodes.h5`` and ``NAME_node_types.csv``. Sources are
        ``virtual``, neurons and readouts are ``point_neuron`` with a template of NEST (or ``eprop:CLASS``) and their parameters
        as ``dynamics_params``. Each projection has ``NAME_edges.h5`` with ``syn_weight`` (mV or pA) and ``delay`` (ms),
        and ``NAME_edge_types.csv``; ``->`` in its name becomes ``_to_``. Types of weights of few bits have the columns ``bits``,
        ``scale`` and ``rounding`` of `FixedPoint`.

    Raises
    ------
    InputError
        If ``simulator`` is not a simulator of one process.
    NetworkError
        If a name is not a valid file name, two files would have the same name, or the sign of a weight does not belong to the
        receptor of its projection.
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
            nodes = [_write_nodes(aside, simulator, p) for p in network.populations]
            edges = [_write_edges(aside, simulator, p) for p in network.projections]
            config = {"manifest": {"$BASE_DIR": "."}, "networks": {"nodes": nodes, "edges": edges}}
            write_text(aside / CONFIG, json.dumps(config, indent=2) + "\n")
            _put_in_place(aside, folder)
    return folder / CONFIG


def spikes_to_sonata(recording: Recording, path: str | pathlib.Path) -> None:
    """Write the spikes of a recording in the order of time, each with the time (ms) of the end of its step.

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
            add_spikes(file, name, times, ids)


def spikes_from_sonata(
    path: str | pathlib.Path, *, recorded_dt: float | None = None, memory: int | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read spikes by population: times (ms) and nodes, in the form that `Simulator.run` takes for sources.

    Parameters
    ----------
    path : path
    recorded_dt : float, optional
        Time step of the recording (ms), if times are the ends of steps, as `spikes_to_sonata` and NEST write them. Times are
        then moved to the middle of the step, so that a run has the spikes in the steps in which they were recorded. The
        default returns the times unchanged.
    memory : int, optional
        Bytes allowed for the spikes. The default is three quarters of the free memory.

    Returns
    -------
    dict of (times, nodes)
        By the name of the population: ndarrays of equal length, float64 in ms and int64; nodes are counted from 0.

    Raises
    ------
    DataError
        If the file is not a spike file, its times are not finite or have an unknown unit, or numbers of nodes and times differ.
    """
    if recorded_dt is not None and not (is_finite_number(recorded_dt) and recorded_dt > 0.0):
        raise InputError(f"spikes_from_sonata: recorded_dt must be a number of ms above 0, got {brief(recorded_dt)}")
    late = 0.0 if recorded_dt is None else 0.5 * recorded_dt
    spikes, found = read_group(path, "spikes", ("timestamps", "node_ids"), memory), {}
    if "timestamps" in spikes:
        raise DataError(
            f"{path}: holds spikes without the name of their population, as in an older layout of the format"
        )
    for name, group in spikes.groups():
        unit = text_of(group.array("timestamps").attrs.get("units", "ms"), f"{path}: the unit of times of {name!r}")
        if unit not in UNITS:
            raise DataError(f"{path}: times of {name!r} are in {unit!r}; supported are {', '.join(UNITS)}")
        times = group.numbers("timestamps")
        if np.isnan(times).any():
            raise DataError(f"{path}: time {np.flatnonzero(np.isnan(times))[0]} of {name!r} is not a number")
        found[name] = UNITS[unit] * times - late, group.whole("node_ids", like=times)
    return found


def from_sonata(
    config: str | pathlib.Path, models: Mapping[str, Model], dt: float, *, seed: int = 0,
    rule: Rule | Mapping[str, Rule] | None = None, sign: str | None = None, weight_scale: float = 1.0, memory: int | None = None,
) -> Network:  # fmt: skip
    """Read a network.

    Parameters
    ----------
    config : path
        Path of ``circuit_config.json``.
    models : mapping of str to Model
        Model of each population. The default for populations with only ``virtual`` nodes is an `EventSource`, for those of the
        template ``nest:iaf_psc_exp`` a `CurrentLIF` with the parameters of the file, or NEST's defaults.
    dt : float
        Time step, ms.
    seed : int
        Seed of the network.
    rule : Rule, or mapping of str to Rule, optional
        Plasticity of all edges, or by the names of their populations. The default is static. Add feedback afterwards.
    sign : str, optional
        ``"fixed"``: each weight keeps its sign, see `Network.connect`.
    weight_scale : float
        mV, or pA onto neurons with a current, for each unit of ``syn_weight``; a finite number.
    memory : int, optional
        Bytes allowed for the arrays of a file. The default is three quarters of the free memory.

    Returns
    -------
    Network
        Populations and projections have the names of the files; edges of both signs onto neurons with ``tau_syn_in`` become two
        projections, ``NAME_excitatory`` and ``NAME_inhibitory``. Weights have few bits where the types have the columns of
        `to_sonata`. Weights (times ``nsyns``, the number of synapses of an edge)
        and delays come from the edges or their types; delays are rounded to steps, at least one. Node parameters in the file
        are ignored where a model is given. Lists of values are in the order of ``node_id``.

    Raises
    ------
    InputError
        If ``models`` is not a dictionary, or ``weight_scale`` not a number.
    DataError
        If a file is missing or damaged, exceeds the limits of memory or time, or gives no weights.
    NetworkError
        If a population has no model, or its model does not fit its edges.
    """
    if not isinstance(models, Mapping):
        raise InputError(
            f'from_sonata: models must be a dictionary such as {{"rec": LIF()}}, got {type(models).__name__}'
        )
    if not is_finite_number(weight_scale):
        raise InputError(
            f"from_sonata: weight_scale must be a finite number (mV or pA for each unit), got {brief(weight_scale)}"
        )
    files = files_of(pathlib.Path(config))
    network, ids = Network(dt=dt, seed=seed), dict[str, np.ndarray]()
    for path, types in each(files, "nodes"):
        for name, group in read_group(path, "nodes", NODES, memory).groups():
            ids[name] = _add(network, models, name, group, types)
    _check_given(models, "models", [p.name for p in network.populations])
    names = list[str]()
    for path, types in each(files, "edges"):
        for name, group in read_group(path, "edges", EDGES, memory).groups():
            own = {"rule": rule.get(name) if isinstance(rule, Mapping) else rule, "sign": sign}
            _connect(network, ids, name, read_edges(name, group, types), own, weight_scale)
            names.append(name)
    if isinstance(rule, Mapping):
        _check_given(rule, "rule", names)
    return network


# -------------------------------------------------------------------------------------------------------------- write


def _put_in_place(aside: pathlib.Path, folder: pathlib.Path) -> None:
    """Move finished files into place; remove the configuration first, because it defines the network."""
    (folder / CONFIG).unlink(missing_ok=True)
    for file in sorted(aside.iterdir(), key=lambda file: file.name == CONFIG):
        file.replace(folder / file.name)


def _write_nodes(folder: pathlib.Path, simulator: Simulator, population: Population) -> dict[str, Any]:
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
        for key, values in ({} if source else _parameters(simulator.models(population))).items():
            parameters[key] = np.broadcast_to(values, (size,))
    types = write_types(folder / f"{name}_node_types.csv", row)
    file = f"$BASE_DIR/{name}_nodes.h5"
    return {"nodes_file": file, "node_types_file": types, "populations": {name: {"type": row["model_type"]}}}


def _template(model: Model) -> str:
    if isinstance(model, Readout):
        return "nest:eprop_readout"
    if isinstance(model, CurrentLIF) and (model.v_reset is None or np.any(np.isfinite(model.v_min))):
        return "eprop:CurrentLIF"  # NEST's has neither a subtraction nor a lower bound
    return f"nest:{NEURONS[type(model)]}" if type(model) in NEURONS else f"eprop:{type(model).__name__}"


def _parameters(members: list[Any]) -> dict[str, np.ndarray]:
    """Parameters of each node, under NEST's names."""

    def numbers(description: Description) -> dict[str, float]:
        own = named(description)
        return {key: float(value) for key, value in own.items() if isinstance(value, (bool, int, float))}

    # NEST's iaf_psc_exp has no surrogate gradient.
    learns = hasattr(members[0], "surrogate") and not isinstance(members[0], CurrentLIF)
    rows = [numbers(m) | (numbers(m.surrogate) if learns else {}) for m in members]
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _write_edges(folder: pathlib.Path, simulator: Simulator, projection: Projection) -> dict[str, Any]:
    name = _name_of(projection)
    sources, targets, weights = simulator.connections(projection.name)
    check_signs(projection, weights)
    kind = (
        projection.rule.core
        if isinstance(projection.rule, PairRule)
        else "eprop"
        if projection.rule.plastic
        else "static"
    )
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
    if (one := simulator.formats.get(projection.name)) is not None:
        row |= {"bits": one.bits, "scale": repr(one.level), "rounding": one.rounding}
    types = write_types(folder / f"{name}_edge_types.csv", row)
    return {
        "edges_file": f"$BASE_DIR/{name}_edges.h5",
        "edge_types_file": types,
        "populations": {name: {"type": "chemical"}},
    }


def _check_names(network: Network) -> None:
    """Refuse names that are not valid file names, or would give the same file, on any file system."""
    names = [f"{p.name}_nodes" for p in network.populations]
    names += [f"{_name_of(p)}_edges" for p in network.projections]
    for k, name in enumerate(names):
        if "$" in name or name.startswith("."):
            raise NetworkError(
                f"to_sonata: {name!r} is not a valid file name here; give a name without '$' that does not start with '.'"
            )
        if name.lower() in [other.lower() for other in names[:k]]:
            raise NetworkError(f"to_sonata: two files would be called {name!r}; rename one of the two")


def _name_of(projection: Projection) -> str:
    return projection.name.replace("->", "_to_")


# --------------------------------------------------------------------------------------------------------------- read


def _add(
    network: Network, models: Mapping[str, Model], name: str, group: Place, types: list[dict[str, str]]
) -> np.ndarray:
    """Add a population; return the sorted ids of its nodes."""
    type_ids, path = group.whole("node_type_id", least=None), group.path
    kinds = set(of_types(types, name, type_ids, "model_type").values())
    model = models.get(name, EventSource() if kinds == {"virtual"} else None)
    ids = np.sort(group.whole("node_id", like=type_ids)) if "node_id" in group else np.arange(type_ids.size)
    if model is None and set(of_types(types, name, type_ids, "model_template").values()) == {"nest:iaf_psc_exp"}:
        model = _current_neuron(name, group, types, type_ids)
    if model is None:
        raise NetworkError(f"{path}: the population {name!r} needs a model: from_sonata(..., models={{{name!r}: ...}})")
    network.add(model, type_ids.size, name)
    if (twice := np.flatnonzero(ids[1:] == ids[:-1])).size:
        raise DataError(f"{path}: node {ids[twice[0]]} of {name!r} occurs twice")
    return ids


def _current_neuron(name: str, group: Place, types: list[dict[str, str]], type_ids: np.ndarray) -> CurrentLIF:
    """A population of NEST's ``iaf_psc_exp``, with the parameters of the file in the order of ``node_id``."""
    if elsewhere := set(of_types(types, name, type_ids, "dynamics_params").values()):
        raise NetworkError(
            f"{group.path}: the parameters of {name!r} are in {sorted(elsewhere)[0]!r}, which is not read: give its model, "
            f"from_sonata(..., models={{{name!r}: CurrentLIF(...)}})"
        )
    order = np.argsort(group.whole("node_id", like=type_ids)) if "node_id" in group else np.arange(type_ids.size)
    found = dict[str, np.ndarray]()
    for key, default in PSC_EXP.items():
        values = attribute(name, group, types, (key, f"dynamics_params/{key}"), type_ids, "node")[order]
        found[key] = np.where(np.isnan(values), default, values)
    if np.array_equal(found["tau_syn_ex"], found["tau_syn_in"]):
        del found["tau_syn_in"]  # one current
    found["V_m"] = np.where(np.isnan(found["V_m"]), found["E_L"], found["V_m"])
    names = {info.nest: own for own, info in parameters_of(CurrentLIF)}
    plain: dict[str, Any] = {names[key]: float(v[0]) if np.all(v == v[0]) else v for key, v in found.items() if v.size}
    try:
        return CurrentLIF(**plain)
    except ParameterError as error:
        raise NetworkError(f"{group.path}: {name!r}: {error}") from error


def _connect(
    network: Network, ids: dict[str, np.ndarray], name: str, edges: Edges, own: Mapping[str, Any], scale: float
) -> None:
    """Connect two populations; ``name`` is the name of the edges, ``own`` has their rule and sign."""
    ends = []
    for numbers, population in ((edges.sources, edges.pre), (edges.targets, edges.post)):
        if population not in ids:
            raise NetworkError(f"{edges.path}: {name!r} connects {population!r}; the populations are: {', '.join(ids)}")
        known = ids[population]
        if (lost := np.flatnonzero(~np.isin(numbers, known))).size:
            raise DataError(
                f"{edges.path}: {name!r} connects node {numbers[lost[0]]} of {population!r}, which does not exist"
            )
        ends.append(np.searchsorted(known, numbers))
    delays = network.dt * np.maximum(np.rint(np.nan_to_num(edges.delays) / network.dt), 1.0)
    weights, name = scale * edges.weights, name.replace("/", "_")
    for part, chosen in _by_receptor(network.population(edges.post), weights).items():
        network.connect(
            edges.pre, edges.post, Explicit(sources=ends[0][chosen], targets=ends[1][chosen]), weight=weights[chosen],
            delay=delays[chosen] if delays.size else None, name=name + part, precision=_scaled(edges.precision, scale), **own,
        )  # fmt: skip


def _scaled(one: FixedPoint | None, scale: float) -> FixedPoint | None:
    return None if one is None or scale == 0.0 else one.replace(scale=one.level * abs(scale))


def _by_receptor(post: Population, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Masks of the edges of each projection, by the end of its name: the sign chooses the receptor, as in NEST."""
    negative = weights < 0.0
    has_two = isinstance(post.model, Neuron) and post.model.inhibitory_row is not None
    if not (has_two and negative.any() and (weights > 0.0).any()):
        return {"": np.ones(weights.size, bool)}
    return {f"_{EXCITATORY}": ~negative, f"_{INHIBITORY}": negative}


def _check_given(given: Mapping[str, Any], label: str, there: list[str]) -> None:
    if unknown := sorted(set(given) - set(there)):
        raise NetworkError(f"from_sonata: {label} names {unknown[0]!r}; there are: {', '.join(there)}")
