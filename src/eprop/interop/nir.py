"""Networks to and from NIR, which many simulators and neuromorphic chips read. Needs the extra ``nir``.

::

    import nir
    from eprop.interop.nir import from_nir, to_nir

    nir.write("network.nir", to_nir(sim))  # the trained network
    net = from_nir("network.nir")  # to train further

NIR describes neurons by differential equations, ``tau dv/dt = v_leak - v + r I``, with times in seconds (Pedersen et al. 2024,
doi:10.1038/s41467-024-52259-9). Steps of ``dt`` become time as follows, with ``alpha = exp(-dt / tau)`` and the scale ``zeta``
of a neuron's input:

* A spike is a current for the length of a step. The weight is ``zeta w / (1 - alpha)`` with ``r = 1``, which some programs
  assume. The exact solution then is ``v = alpha v + zeta w``, as in this package. A program that integrates by Euler's rule
  differs by the order of ``dt / tau``, unless the graph was written for Euler's rule. A program with another step needs ``dt``,
  which is in the graph's metadata, in s.
* A `CurrentLIF` is a ``CubaLIF``, ``tau_syn di/dt = -i + w_in s``, with ``r = tau_m / c_m`` and ``w_in = 1 / (1 - alpha_syn)``: a
  spike of weight ``w`` (pA) raises the current by ``w`` within its step. Here the current rises at the end of the step; a program
  that solves the equations within the step differs by the order of ``dt / tau_syn``. With Euler's rule, the current is in mV
  per step, ``r = tau_m / dt``, and ``w_in`` includes ``zeta``.
* A constant current is part of ``v_leak``. Voltages are in mV and absolute. The metadata of a node hold the initial voltage
  (``v_init``, mV), which `from_nir` reads; other programs start at 0 or elsewhere.
* A spike arrives one step after its emission, in any program. A longer delay becomes a ``Delay`` of the difference.

NIR cannot express plasticity, surrogate gradients, feedback and losses. A `PoissonSource` becomes an input.
"""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from eprop.engine import Simulator
from eprop.engine.build.check import check_room
from eprop.engine.build.neurons import present_neurons
from eprop.errors import InputError, NetworkError, ParameterError, optional_module, warn
from eprop.files import memory_budget, parsing
from eprop.files.hdf5 import read_hdf5
from eprop.interop.nir_signals import Signals
from eprop.models import LIF, CurrentLIF, DeltaLIF, EventSource, Model, Readout
from eprop.models.base import steps as steps_of
from eprop.network import Explicit, FixedPoint, Network, Population, Projection
from eprop.parameters import brief, check_choice, is_finite_number
from eprop.rules import Rule

SECOND = 1000.0  # ms
# Key of the graph's metadata for the names of its inputs, one per line.
INPUTS = "inputs"
# Key of the metadata for the rule by which a graph is to be stepped, if it is not the exact solution.
STEP = "step"


class NearestWarning(UserWarning):
    """NIR, or this package, cannot express a part of the network; the conversion took the nearest equivalent."""


def to_nir(
    simulator: Simulator, *, readouts: bool = True, nearest: bool = False, step: str = "exact", dt: float | None = None
) -> Any:
    """Convert a network with its present weights to a graph of NIR.

    Parameters
    ----------
    simulator : Simulator
        Simulator of one process.
    readouts : bool
        If True, the outputs are the voltages of the readouts. If False, for programs without ``LI``, the outputs are the
        spikes of the neurons that connect to readouts. Without readouts, the outputs are the spikes of all neurons.
    nearest : bool
        Replace features that NIR cannot express by the nearest equivalent, and warn. A reset that subtracts the threshold
        becomes a reset to the leak potential; refractory times and lower bounds are left out.
    step : {"exact", "euler"}
        How the reader solves the equations. With ``"euler"``, for programs that take steps ``v += dt / tau (v_leak - v + r I)``,
        time constants are ``dt / (1 - exp(-dt / tau))``, so that such a step is the exact one; `from_nir` refuses this graph.
    dt : float, optional
        With ``"euler"``: step that the reader takes, ms, such as 0.1 for snnTorch's importer; one of its steps is one of the
        network. The default is the network's.

    Returns
    -------
    nir.NIRGraph
        A node ``LIF``, ``CubaLIF`` or ``LI`` for each population and an ``Input`` for each source, under their names. A
        ``Linear`` for each projection, shape (targets, sources), with weights as above, and a ``Delay`` before it if it is longer
        than a step. A projection with several delays has such a pair for each delay. The metadata of the ``Linear`` of weights of
        few bits have ``bits``, ``scale`` and ``rounding`` of `FixedPoint`; the scale is that of the matrix, so that its weights
        are whole numbers of it. They are left out if the targets have different constants.

    Raises
    ------
    MissingExtraError
        If NIR is not installed.
    InputError
        If ``simulator`` is not a simulator of one process.
    NetworkError
        If NIR cannot express a neuron, such as one with ``tau_syn_in``. Without ``nearest``, NIR expresses only `DeltaLIF` and
        `CurrentLIF` that reset to a voltage, without ``v_min`` and with a ``t_ref`` of zero steps.
    MemoryLimitError
        If the matrices do not fit into memory: NIR has only dense matrices, one for each delay.

    Warns
    -----
    NearestWarning
        For each feature that was replaced or left out.
    """
    nir = optional_module("nir", "nir", "A graph of NIR")
    if not isinstance(simulator, Simulator):
        raise InputError(f"to_nir takes a Simulator, got {type(simulator).__name__}")
    if simulator.comm.size > 1:
        raise InputError("to_nir takes a simulator of one process: load the checkpoint without mpiexec")
    network = simulator.network
    reader = _reader_step(step, dt, network.dt)
    edges: list[tuple[str, str]] = []
    shown = [p for p in network.populations if readouts or p.model.role != "readout"]
    projections = [p for p in network.projections if p.post in shown]
    needed = sum(8 * p.pre.size * p.post.size * np.unique(simulator.delays(p.name)).size for p in projections)
    reason = "it has a matrix for each delay of a projection"
    check_room("a graph of NIR", needed, reason)
    parts = [(population.name, _node(nir, simulator, population, nearest, reader)) for population in shown]
    for projection in projections:
        for name, delay, weight in _weights_by_delay(simulator, projection.name):
            parts.append((name, nir.Linear(weight=weight, metadata=_few_bits(simulator, projection, weight))))
            edges.append((name, projection.post.name))
            if delay > 0.0:
                wait = delay if reader is None else delay / network.dt * reader
                parts.append((f"{name} delay", nir.Delay(delay=np.full(projection.pre.size, wait / SECOND))))
                edges.append((f"{name} delay", name))
            edges.append((projection.pre.name, f"{name} delay" if delay > 0.0 else name))
    for population in _outputs(network, readouts):
        parts.append((f"{population.name} output", nir.Output(output_type={"output": np.array([population.size])})))
        edges.append((population.name, f"{population.name} output"))
    nodes = dict(parts)
    if len(nodes) < len(parts):
        (name, _), *_ = Counter(name for name, _ in parts).most_common(1)
        raise NetworkError(
            f"to_nir: two nodes would be called {name!r}; give the population or projection another name"
        )
    # Types are known. To infer them as `nir.read` does would add inputs to populations without incoming edges.
    sources = [p.name for p in shown if p.model.role == "source"]
    metadata = {"dt": (reader or network.dt) / SECOND, INPUTS: "\n".join(sources)} | ({STEP: step} if reader else {})
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata, type_check=False)


def from_nir(
    graph: Any, dt: float | None = None, *, seed: int = 0, rule: Rule | Mapping[str, Rule] | None = None, sign: str | None = None,
    neuron: DeltaLIF | None = None, readout: Readout | None = None, zeros: bool = False, memory: int | None = None,
) -> Network:  # fmt: skip
    """Make a network from a graph of NIR.

    Parameters
    ----------
    graph : nir.NIRGraph or path
        A graph of ``Input``, ``Output``, ``LIF``, ``CubaLIF``, ``LI``, ``Linear``, ``Affine``, ``Scale``, ``Delay`` and graphs of
        these, with vectors as signals, or its file. A node whose parameters are single numbers has as many neurons as incoming
        signals.
    dt : float, optional
        Time step, ms; a spike carries the same charge with any step. The default is the step in the graph's metadata. Without
        metadata, a spike is a current for one ``dt``.
    seed : int
    rule : Rule, or mapping of str to Rule, optional
        Plasticity of all projections, or by their names. The default is static. Add feedback afterwards.
    sign : str, optional
        ``"fixed"``: each weight keeps its sign, see `Network.connect`.
    neuron, readout : DeltaLIF, Readout, optional
        Templates with the surrogate gradient and the loss, which NIR cannot express. A `CurrentLIF` takes surrogate gradient,
        refractory time and lower bound of ``neuron``.
    zeros : bool
        Also connect where a matrix has a weight of 0.
    memory : int, optional
        Bytes allowed for the arrays of a file, and for each matrix. The default is three quarters of the free memory.

    Returns
    -------
    Network
        ``Input`` becomes an `EventSource`, ``LIF`` a `DeltaLIF`, ``CubaLIF`` a `CurrentLIF`, ``LI`` a `Readout`, under their
        names (``"/"`` becomes ``"_"``). Biases become constant currents, in a ``CubaLIF`` without their onset, and so does a
        ``v_leak`` above the threshold. All paths from one population to another become one projection; paths of equal delay
        between two nodes add up to one synapse. Each synapse has its own delay: one step plus its ``Delay``, rounded to steps.
        Weights have few bits where the metadata of `to_nir` say so.

    Raises
    ------
    MissingExtraError, InputError
        If NIR is not installed, ``graph`` is not a graph, or its time step is unknown.
    DataError, MemoryLimitError
        If the file cannot be read, or its arrays or a matrix exceed the allowed memory.
    NetworkError
        If the graph has a feature that this package does not have, or is inconsistent; the text names the node.

    Warns
    -----
    NearestWarning
        For nodes that lead to no population, such as a matrix before an output: they are left out.
    """
    nir = optional_module("nir", "nir", "A graph of NIR")
    graph = _graph_of(nir, graph, memory)
    if isinstance(graph.metadata, dict) and STEP in graph.metadata:
        raise NetworkError(
            "from_nir: the graph is for programs that step by Euler's rule; read that of to_nir(sim) without step"
        )
    written = _step_of(graph)
    if dt is None and written is None:
        raise InputError("from_nir: the graph does not give its time step; give it: from_nir(graph, dt=1.0), in ms")
    network = Network(dt=round(float(written or 0.0), 12) if dt is None else dt, seed=seed)
    with parsing("from_nir", "the graph is not a valid graph of NIR", NetworkError):
        found = Signals(nir, _without_added_inputs(nir, graph), memory_budget(memory), zeros)
    if found.loose:
        text = f"from_nir leaves out nodes that lead to no neuron or readout: {', '.join(found.loose)}"
        warn(text, NearestWarning)
    templates = neuron or DeltaLIF(), readout or Readout()
    for name, node in found.populations.items():
        network.add(_model(nir, name, node, found.biases[name], templates), found.sizes[name], _own_name(name))
    charge, formats = 1.0 if written is None else written / network.dt, _formats(nir, graph)
    for ends, entries in found.paths.items():
        entries["weight"] *= (charge * _rise(found.populations[ends[1]], network.dt))[entries["signal"]]
        one = formats.get(ends)
        if one is not None:  # all targets have the same constants
            rise = charge * float(_rise(found.populations[ends[1]], network.dt).flat[0])
            one = one.replace(scale=one.level * rise)
        _connect(network, ends, entries, zeros, {"rule": rule, "sign": sign, "precision": one})
    names = [p.name for p in network.projections]
    if isinstance(rule, Mapping) and (unknown := sorted(set(rule) - set(names))):
        raise NetworkError(f"from_nir: rule names {unknown[0]!r}; the projections are: {', '.join(names)}")
    return network


def _graph_of(nir: ModuleType, graph: Any, memory: int | None) -> Any:
    """The graph itself, or the graph of a file, after a check of the file's links and sizes."""
    if isinstance(graph, (str, pathlib.Path)):
        read_hdf5(graph, memory=memory, values=False)
        with parsing(str(graph), "is not a graph of NIR"):
            return nir.read(graph)
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"from_nir takes a graph of NIR, got {type(graph).__name__}; to read a file, give its path")
    return graph


def _step_of(graph: Any) -> float | None:
    """Time step in the metadata of a graph, ms; None if the metadata do not give it."""
    own = graph.metadata.get("dt") if isinstance(graph.metadata, dict) else None
    with parsing("from_nir", "the metadata of the graph do not give its time step", NetworkError):
        return None if own is None else SECOND * float(own)


def _formats(nir: ModuleType, graph: Any) -> dict[tuple[str, str], FixedPoint]:
    """Formats of weights of few bits in the metadata of matrices, by the populations on both sides."""
    found = dict[tuple[str, str], set[FixedPoint | None]]()
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Linear):
            continue
        before = [pre for pre, post in graph.edges if post == name]
        waits = [pre for pre in before if isinstance(graph.nodes[pre], nir.Delay)]
        before += [pre for pre, post in graph.edges if post in waits]
        for ends in ((pre, post) for pre in before for at, post in graph.edges if at == name):
            found.setdefault(ends, set()).add(_format(name, node))
    return {ends: one for ends, (one, *others) in found.items() if one is not None and not others}


def _format(name: str, node: Any) -> FixedPoint | None:
    own = node.metadata if isinstance(getattr(node, "metadata", None), dict) else {}
    if not {"bits", "scale", "rounding"} <= own.keys():
        return None
    rounding = own["rounding"]
    try:
        text = rounding.decode() if isinstance(rounding, bytes) else str(rounding)
        return FixedPoint(int(own["bits"]), float(own["scale"]), text)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{name}: its metadata are not those of weights of few bits: {error}") from error


def _without_added_inputs(nir: ModuleType, graph: Any) -> Any:
    """Remove inputs that the reader has added: reading a file adds an input to each node without incoming edges."""
    names = graph.metadata.get(INPUTS) if isinstance(graph.metadata, dict) else None
    if names is None:
        return graph
    written = (names.decode() if isinstance(names, bytes) else str(names)).split("\n")
    leads = {name: [post for pre, post in graph.edges if pre == name] for name in graph.nodes}
    added = {
        name
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Input) and name not in written and len(leads[name]) == 1
        and name.startswith(f"input_{leads[name][0]}")
    }  # fmt: skip
    nodes = {name: node for name, node in graph.nodes.items() if name not in added}
    edges = [edge for edge in graph.edges if edge[0] not in added]
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=graph.metadata, type_check=False)


# ------------------------------------------------------------------------------------------------------------- to NIR


def _reader_step(step: str, dt: float | None, own: float) -> float | None:
    """Step (ms) of a program that steps by Euler's rule; None for one that solves the equations."""
    check_choice("to_nir: step", step, ("exact", "euler"))
    if step == "exact" and dt is not None:
        raise ParameterError(
            'to_nir: dt is the step of a program with step="euler"; the exact solution holds for any step'
        )
    if dt is not None and not (is_finite_number(dt) and dt > 0.0):
        raise ParameterError(f"to_nir: dt must be a number of ms > 0, got {brief(dt)}")
    return None if step == "exact" else own if dt is None else float(dt)


def _outputs(network: Network, readouts: bool) -> list[Population]:
    """Populations whose signals are the graph's outputs, in the network's order."""
    last = [p for p in network.populations if p.model.role == "readout"]
    if last and readouts:
        return last
    neurons = [p for p in network.populations if p.model.role == "neuron"]
    read = {projection.pre.name for projection in network.projections if projection.post in last}
    return [p for p in neurons if p.name in read] or neurons


def _node(nir: ModuleType, simulator: Simulator, population: Population, nearest: bool, reader: float | None) -> Any:
    network, model, size = simulator.network, population.model, population.size
    if model.role == "source":
        return nir.Input(input_type={"input": np.array([size])})
    if type(model) not in (LIF, DeltaLIF, CurrentLIF, Readout):
        raise NetworkError(
            f"{population.name}: NIR has no {type(model).__name__}; it has leaky neurons with a fixed threshold: LIF, "
            "DeltaLIF, CurrentLIF"
        )
    if getattr(model, "tau_syn_in", None) is not None:
        raise NetworkError(
            f"{population.name}: NIR's CubaLIF has one tau_syn; train without tau_syn_in, as one current for both signs"
        )
    members = present_neurons(simulator, population)
    _tell_lost(population, members, network.dt, nearest)

    def each(value: Callable[[Any], float]) -> np.ndarray:
        return _each(members, size, value)

    def constant(left: Callable[[Any], float], tau: Callable[[Any], float]) -> np.ndarray:
        """A time constant in s: the model's, or the one whose Euler step leaves the same."""
        return each(lambda m: (tau(m) if reader is None else reader / (1.0 - left(m))) / SECOND)

    tau = constant(lambda m: m.membrane_decay(network.dt), lambda m: m.tau_m)
    v_leak = each(lambda m: m.e_l + m.tau_m / m.c_m * m.i_e)
    start = {"v_init": each(lambda m: m.e_l if m.v_init is None else m.v_init)}
    if isinstance(model, Readout):
        return nir.LI(tau=tau, r=np.ones(size), v_leak=v_leak, metadata=start)
    reset = each(lambda m: m.e_l if getattr(m, "v_reset", None) is None else m.v_reset)
    shared = {"v_leak": v_leak, "v_threshold": each(lambda m: m.v_th), "v_reset": reset, "metadata": start}
    if not isinstance(model, CurrentLIF):
        return nir.LIF(tau=tau, r=np.ones(size), **shared)
    rise = each(lambda m: 1.0 - m.current_decay(network.dt))
    tau_syn, r = constant(lambda m: m.current_decay(network.dt), lambda m: m.tau_syn), each(lambda m: m.tau_m / m.c_m)
    scale = np.ones(size)
    if reader is not None:  # snnTorch reads no other r; it is that of a current in mV per step
        r, scale = tau * SECOND / reader, each(lambda m: m.input_scale(network.dt))
    return nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, r=r, w_in=scale / rise, **shared)


def _each(members: list[Any], size: int, value: Callable[[Any], float]) -> np.ndarray:
    """Return a value for each node; all nodes may share one model."""
    values = [float(value(member)) for member in members]
    return np.array(values if len(values) == size else values * size)


def _tell_lost(population: Population, members: list[Any], dt: float, nearest: bool) -> None:
    """Refuse features of any neuron that NIR cannot express, or warn of them."""
    name, lost = population.name, []
    if getattr(population.model, "v_reset", None) is None and not isinstance(population.model, Readout):
        lost.append("a reset that subtracts the threshold")
    if any(steps_of(getattr(member, "t_ref", 0.0), dt) for member in members):
        lost.append("a refractory time (t_ref)")
    if any(member.v_min != -np.inf for member in members):
        lost.append("a lower bound of the voltage (v_min)")
    if lost and not nearest:
        raise NetworkError(
            f"{name}: NIR cannot express {', '.join(lost)}; train without (DeltaLIF resets to a voltage), or accept the "
            "nearest equivalent: to_nir(..., nearest=True)"
        )
    if lost:
        warn(
            f"{name}: NIR cannot express {', '.join(lost)}: it will behave differently there",
            NearestWarning,
        )


def _currents(simulator: Simulator, projection: Projection) -> np.ndarray:
    """Weight in NIR of a synapse of weight 1, for each target."""
    dt, post = simulator.network.dt, projection.post
    if isinstance(post.model, CurrentLIF):  # the input of a CubaLIF has a scale of its own
        return np.ones(post.size)
    members = present_neurons(simulator, post)
    return _each(members, post.size, lambda m: m.input_scale(dt) / (1.0 - m.membrane_decay(dt)))


def _few_bits(simulator: Simulator, projection: Projection, weight: np.ndarray) -> dict[str, Any]:
    """Metadata of a matrix of weights of few bits; empty if its weights are not whole numbers of one scale."""
    one, units = simulator.formats.get(projection.name), np.unique(_currents(simulator, projection))
    if one is None or units.size > 1:
        return {}
    scale = float(one.level * units[0])
    if np.abs(weight).max(initial=0.0) > (one.largest + 0.5) * scale:  # sums over repeated connections
        return {}
    return {"bits": one.bits, "scale": scale, "rounding": one.rounding}


def _weights_by_delay(simulator: Simulator, name: str) -> Iterator[tuple[str, float, np.ndarray]]:
    """For each delay: name of its node, delay beyond one step (ms), and the weights, (targets, sources)."""
    network = simulator.network
    projection, dt = network.projection(name), network.dt
    current = _currents(simulator, projection)
    sources, targets, weights = simulator.connections(name)
    steps = np.rint(simulator.delays(name) / dt).astype(np.int64)
    several = np.unique(steps)
    for step in several:
        here = steps == step
        matrix = np.zeros((projection.post.size, projection.pre.size))
        np.add.at(
            matrix, (targets[here], sources[here]), (current[targets] * weights)[here]
        )  # sum over repeated connections
        yield (name if several.size == 1 else f"{name} after {step * dt:g} ms", (step - 1) * dt, matrix)


# ----------------------------------------------------------------------------------------------------------- from NIR


def _own_name(name: str) -> str:
    return name.replace("/", "_")


def _rise(node: Any, dt: float) -> np.ndarray:
    """Increase of the voltage, or of the current of a ``CubaLIF``, by an input of 1 that lasts one step."""
    tau, scale = (node.tau_syn, node.w_in) if hasattr(node, "tau_syn") else (node.tau, node.r)
    with np.errstate(over="ignore", divide="ignore"):  # a time constant far below a step decays to 0 within it
        return np.asarray(scale, float) * (1.0 - np.exp(-dt / (SECOND * np.asarray(tau, float))))


def _model(nir: ModuleType, name: str, node: Any, bias: np.ndarray, templates: tuple[DeltaLIF, Readout]) -> Model:
    """Make the neuron, readout or source of a node."""
    if isinstance(node, nir.Input):
        return EventSource()
    with parsing(name, "its parameters are not numbers", NetworkError):
        return _integrator(nir, name, node, bias, templates)


def _integrator(nir: ModuleType, name: str, node: Any, bias: np.ndarray, templates: tuple[DeltaLIF, Readout]) -> Model:
    """Make the neuron or readout of a node."""
    has_current = isinstance(node, nir.CubaLIF)
    tau = SECOND * np.asarray(node.tau_mem if has_current else node.tau, float)
    rest, r = np.asarray(node.v_leak, float), np.asarray(node.r, float)
    c_m, current, given = np.ones(tau.size), r * bias, {"tau_m": tau, "e_l": rest}
    if has_current:
        if np.any(r <= 0.0):
            raise NetworkError(f"{name}: the resistance r of a CubaLIF must be positive")
        c_m, current = tau / r, current * np.asarray(node.w_in, float)
        given["tau_syn"] = SECOND * np.asarray(node.tau_syn, float)
    if not isinstance(node, nir.LI):
        threshold, reset = np.asarray(node.v_threshold, float), np.asarray(node.v_reset, float)
        # A neuron that spikes without input gets a resting voltage below its threshold here, and a current.
        given |= {"v_th": threshold, "v_reset": reset, "e_l": np.where(rest < threshold, rest, reset)}
    # With a capacitance c_m, a current i_e moves the steady-state voltage by tau_m i_e / c_m.
    given |= {"i_e": (rest - given["e_l"] + current) * c_m / tau, "c_m": c_m}
    start = node.metadata.get("v_init") if isinstance(node.metadata, dict) else None
    if start is not None and not np.array_equal(start, given["e_l"]):
        if np.shape(start) not in ((), (1,), (tau.size,)):
            raise NetworkError(f"{name}: v_init has the shape {np.shape(start)}, but there are {tau.size} neurons")
        given["v_init"] = np.broadcast_to(np.asarray(start, float), (tau.size,))
    plain: dict[str, Any] = {"v_init": None} | {key: _plain(value) for key, value in given.items()}
    try:
        if has_current:
            kept = {key: getattr(templates[0], key) for key in ("surrogate", "t_ref", "v_min")}
            return CurrentLIF(**kept, **plain)
        if isinstance(node, nir.LIF):
            return templates[0].replace(**plain)
        return templates[1].replace(**plain, scale_input=False)  # the weights include the scale
    except ValueError as error:
        raise NetworkError(f"{name}: {error}") from error


def _plain(values: np.ndarray) -> float | list[float]:
    """Return one number if all are the same."""
    return float(values[0]) if np.all(values == values[0]) else values.tolist()


def _connect(
    network: Network, ends: tuple[str, str], entries: np.ndarray, zeros: bool, given: Mapping[str, Any]
) -> None:
    """Connect two populations by a projection: a connection for each entry with a weight; with ``zeros``, at least one a pair.

    ``given`` has the arguments ``rule`` and ``sign`` of `from_nir`, and the precision.
    """
    entries = entries[np.lexsort((entries["delay"], entries["weight"] == 0.0, entries["source"], entries["signal"]))]
    pairs = entries[["signal", "source"]]
    first = np.append(True, pairs[1:] != pairs[:-1])[: entries.size]
    entries = entries[(entries["weight"] != 0.0) | (first & zeros)]
    steps = 1.0 + np.rint(entries["delay"] * SECOND / network.dt)
    if np.any(steps < 1.0):
        raise NetworkError(f"{ends[0]}: a Delay on the path to {ends[1]} is negative")
    pre, post = map(_own_name, ends)
    name = f"{pre}->{post}"
    network.connect(
        pre, post, Explicit(sources=entries["source"], targets=entries["signal"]), weight=entries["weight"],
        delay=_plain(steps * network.dt) if steps.size else None, name=name, sign=given["sign"], precision=given["precision"],
        rule=given["rule"].get(name) if isinstance(given["rule"], Mapping) else given["rule"],
    )  # fmt: skip
