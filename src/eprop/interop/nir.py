"""Networks to and from NIR, which many simulators and neuromorphic chips read: ``pip install "eprop[nir]"``.

::

    import nir
    from eprop.interop.nir import from_nir, to_nir

    nir.write("network.nir", to_nir(sim))  # what it has learned
    net = from_nir(nir.read("network.nir"), dt=1.0)  # to go on learning

NIR describes neurons by differential equations, ``tau dv/dt = v_leak - v + r I``, times in seconds. What is said here in steps
means there:

* A spike is a current for the length of a step. With a weight of ``zeta w / (1 - alpha)`` and ``r = 1``, which some programs take
  for granted, the exact solution is this package's ``v = alpha v + zeta w``. A program that integrates by Euler's rule differs by
  the order of ``dt / tau``; one that has a step of its own must be told ``dt``, which is in the graph's metadata, in s.
* A constant current is part of ``v_leak``. Voltages are in mV and absolute, as here; platforms may start at 0 instead of ``e_l``.
* From a spike to its arrival it takes a step, which is the time that any platform takes; what a delay is longer than that is a
  ``Delay``.

What is plastic, surrogate gradients, feedback, losses: NIR has no words for learning (Pedersen et al. 2024,
doi:10.1038/s41467-024-52259-9).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from eprop.engine import Simulator
from eprop.engine.members import members_of
from eprop.errors import InputError, MissingExtraError, NetworkError
from eprop.interop.nir_paths import Path, paths_to
from eprop.models import LIF, DeltaLIF, EventSource, Neuron, Readout
from eprop.network import Explicit, Network, Population
from eprop.rules import Rule

SECOND = 1000.0  # ms


class NearestWarning(UserWarning):
    """A network in NIR is not quite the one that it was made from."""


def to_nir(simulator: Simulator, *, readouts: bool = True, nearest: bool = False) -> Any:
    """A network with its present weights as a graph of NIR.

    Parameters
    ----------
    simulator : Simulator
        Of one process.
    readouts : bool
        With readouts, whose voltages are the outputs then; without, for programs that know no ``LI``, the neurons' spikes are.
    nearest : bool
        Say what NIR has no words for by the nearest that it has, and warn: a reset that subtracts the threshold by one to the
        leak potential; no refractory time, lower bound or initial voltage.

    Returns
    -------
    nir.NIRGraph
        A node ``LIF`` or ``LI`` for each population, an ``Input`` for each of sources, all by their names; for each projection a
        ``Linear`` of its name, shape (targets, sources), its weights as said above, with a ``Delay`` before it where that is
        longer than a step; of several delays one pair for each.

    Raises
    ------
    MissingExtraError
        If NIR is not installed.
    InputError
        If it is no simulator of one process.
    NetworkError
        If NIR has no words for a neuron: without ``nearest`` for any but `DeltaLIF` without ``t_ref``, ``v_min``, ``v_init``.

    Warns
    -----
    NearestWarning
        Of what was said by the nearest.
    """
    nir = nir_module()
    if not isinstance(simulator, Simulator):
        raise InputError(f"to_nir takes a Simulator, got {type(simulator).__name__}")
    if simulator.comm.size > 1:
        raise InputError("to_nir takes a simulator of one process: load the checkpoint without mpiexec")
    network = simulator.network
    nodes = _Nodes()
    edges: list[tuple[str, str]] = []
    shown = [p for p in network.populations if readouts or p.model.role != "readout"]
    for population in shown:
        nodes[population.name] = _node(nir, network, population, nearest)
    for projection in (p for p in network.projections if p.post in shown):
        for name, delay, weight in _weights_by_delay(simulator, projection.name):
            nodes[name] = nir.Linear(weight=weight)
            edges.append((name, projection.post.name))
            if delay > 0.0:
                nodes[f"{name} delay"] = nir.Delay(delay=np.full(projection.pre.size, delay / SECOND))
                edges.append((f"{name} delay", name))
            edges.append((projection.pre.name, f"{name} delay" if delay > 0.0 else name))
    for population in _outputs(shown):
        name = f"{population.name} output"
        nodes[name] = nir.Output(output_type={"output": np.array([population.size])})
        edges.append((population.name, name))
    return nir.NIRGraph(nodes=dict(nodes), edges=edges, metadata={"dt": network.dt / SECOND})


def from_nir(graph: Any, dt: float, *, seed: int = 0, rule: Rule | None = None) -> Network:
    """A network from a graph of NIR.

    Parameters
    ----------
    graph : nir.NIRGraph
        Of ``Input``, ``Output``, ``LIF``, ``LI``, ``Linear``, ``Affine``, ``Scale``, ``Delay`` and graphs of these; its signals
        are vectors.
    dt : float
        Time step, ms.
    seed : int
        Of the network.
    rule : Rule, optional
        Plasticity of all projections; static by default. Feedback is to be added.

    Returns
    -------
    Network
        ``Input`` becomes an `EventSource`, ``LIF`` a `DeltaLIF`, ``LI`` a `Readout`, by their names (``"/"`` becomes ``"_"``).
        Biases become constant currents, and so does a ``v_leak`` above the threshold. Weights that are 0 are no connections. A
        connection takes a step and its ``Delay``, rounded to steps.

    Raises
    ------
    MissingExtraError
        If NIR is not installed.
    NetworkError
        If the graph has something that this package has not; the text names the node.
    """
    nir = nir_module()
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"from_nir takes a graph of NIR, got {type(graph).__name__}; read a file by nir.read")
    network = Network(dt=dt, seed=seed)
    found = paths_to(nir, graph)
    for name, node in found.nodes.items():
        network.add(_model(nir, name, node, found.bias(name), dt), found.size(name), _own_name(name))
    for (pre, post), parallel in found.paths.items():
        for k, path in enumerate(parallel):
            name = f"{_own_name(pre)}->{_own_name(post)}" + (f" {k}" if k else "")
            _connect(network, name, _own_name(pre), _own_name(post), path, _rise(found.nodes[post], dt), rule)
    return network


# ------------------------------------------------------------------------------------------------------------- to NIR


class _Nodes(dict[str, Any]):
    """Nodes by their names, each of which is there once."""

    def __setitem__(self, name: str, node: Any) -> None:
        if name in self:
            raise NetworkError(
                f"to_nir: two nodes would be called {name!r}; give the population or projection another name"
            )
        super().__setitem__(name, node)


def _node(nir: Any, network: Network, population: Population, nearest: bool) -> Any:
    model, size = population.model, population.size
    if model.role == "source":
        return nir.Input(input_type={"input": np.array([size])})
    _check_model(population, nearest)
    members = members_of(network, population)

    def each(value: Any) -> np.ndarray:
        return _each(members, size, value)

    shared = {
        "tau": each(lambda m: m.tau_m / SECOND),
        "r": np.ones(size),
        "v_leak": each(lambda m: m.e_l + m.tau_m / m.c_m * m.i_e),
    }
    if isinstance(model, Readout):
        return nir.LI(**shared)
    reset = each(lambda m: m.v_reset if isinstance(m, DeltaLIF) else m.e_l)
    return nir.LIF(**shared, v_threshold=each(lambda m: m.v_th), v_reset=reset)


def _each(members: list[Any], size: int, value: Any) -> np.ndarray:
    """A number of each node, of which all may have the same model."""
    values = [float(value(member)) for member in members]
    return np.array(values if len(values) == size else values * size)


def _check_model(population: Population, nearest: bool) -> None:
    """Refuse what NIR has no words for, or tell it."""
    name, kind = population.name, type(population.model)
    model: Any = population.model
    if kind not in (LIF, DeltaLIF, Readout):
        raise NetworkError(
            f"{name}: NIR has no {kind.__name__}; it has leaky neurons with a fixed threshold: LIF, DeltaLIF"
        )
    lost = []
    if kind is LIF:
        lost.append("a reset that subtracts the threshold")
    if isinstance(model, Neuron) and np.any(np.array(getattr(model, "t_ref", 0.0)) != 0.0):
        lost.append("a refractory time (t_ref)")
    if np.any(np.array(model.v_min) != -np.inf):
        lost.append("a lower bound of the voltage (v_min)")
    if model.v_init is not None:
        lost.append("an initial voltage (v_init)")
    if lost and not nearest:
        raise NetworkError(
            f"{name}: NIR has no words for {', '.join(lost)}; let it learn without (DeltaLIF resets to a voltage), or take the "
            "nearest: to_nir(..., nearest=True)"
        )
    if lost:
        warnings.warn(
            f"{name}: NIR has no words for {', '.join(lost)}: it will not behave as here", NearestWarning, stacklevel=4
        )


def _weights_by_delay(simulator: Simulator, name: str) -> Iterator[tuple[str, float, np.ndarray]]:
    """For each delay its node's name, what it is longer than a step (ms), and the weights, (targets, sources)."""
    network = simulator.network
    projection, dt = network.projection(name), network.dt
    post = members_of(network, projection.post)
    current = _each(post, projection.post.size, lambda m: m.input_scale(dt) / (1.0 - m.membrane_decay(dt)))
    sources, targets, weights = simulator.connections(name)
    steps = np.rint(simulator.delays(name) / dt).astype(np.int64)
    several = np.unique(steps)
    for step in several:
        here = steps == step
        matrix = np.zeros((projection.post.size, projection.pre.size))
        np.add.at(
            matrix, (targets[here], sources[here]), (current[targets] * weights)[here]
        )  # a connection may be repeated
        yield (name if several.size == 1 else f"{name} after {step * dt:g} ms", (step - 1) * dt, matrix)


def _outputs(populations: list[Population]) -> list[Population]:
    readouts = [p for p in populations if p.model.role == "readout"]
    return readouts or [p for p in populations if p.model.role == "neuron"]


# ----------------------------------------------------------------------------------------------------------- from NIR


def _own_name(name: str) -> str:
    return name.replace("/", "_")


def _decay(node: Any, dt: float) -> np.ndarray:
    return np.exp(-dt / (SECOND * np.asarray(node.tau, float)))


def _rise(node: Any, dt: float) -> np.ndarray:
    """By how much a current of 1 that lasts a step raises the voltage."""
    return np.asarray(node.r, float) * (1.0 - _decay(node, dt))


def _model(nir: Any, name: str, node: Any, bias: np.ndarray, dt: float) -> Any:
    """The neuron, readout or source that a node stands for."""
    if isinstance(node, nir.Input):
        return EventSource()
    tau, rest, current = (
        SECOND * np.asarray(node.tau, float),
        np.asarray(node.v_leak, float),
        np.asarray(node.r, float) * bias,
    )
    given = {"tau_m": tau, "e_l": rest}
    if isinstance(node, nir.LIF):
        threshold, reset = np.asarray(node.v_threshold, float), np.asarray(node.v_reset, float)
        # A neuron that spikes without input rests below its threshold here, and is driven.
        given |= {"v_th": threshold, "v_reset": reset, "e_l": np.where(rest < threshold, rest, reset)}
    # With c_m = 1 pF a current i_e moves the voltage in the end by tau_m i_e.
    given["i_e"] = (rest - given["e_l"] + current) / tau
    plain = {key: _plain(value) for key, value in given.items()}
    try:
        return DeltaLIF(**plain) if isinstance(node, nir.LIF) else Readout(**plain)
    except ValueError as error:
        raise NetworkError(f"{name}: {error}") from error


def _plain(values: np.ndarray) -> Any:
    """One number if all are the same."""
    return float(values[0]) if np.all(values == values[0]) else values.tolist()


def _connect(network: Network, name: str, pre: str, post: str, path: Path, rise: np.ndarray, rule: Rule | None) -> None:
    weight = rise[:, None] * path.weight
    targets, sources = np.nonzero(weight)
    if targets.size == 0:
        return
    steps = 1 + np.rint(path.delay * SECOND / network.dt)[targets, sources]
    network.connect(
        pre, post, Explicit(sources=sources, targets=targets), weight=weight[targets, sources],
        delay=_plain(steps * network.dt), rule=rule, name=name,
    )  # fmt: skip


def nir_module() -> Any:
    """The module ``nir``.

    Raises
    ------
    MissingExtraError
        If NIR is not installed.
    """
    try:
        import nir
    except ImportError as problem:
        raise MissingExtraError("nir", "nir", "A graph of NIR") from problem
    return nir
