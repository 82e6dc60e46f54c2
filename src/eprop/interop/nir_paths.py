"""Ways through a graph of NIR from what spikes to what integrates: weights and delays, whatever nodes they are made of."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.errors import NetworkError
from eprop.files import check_budget

#: Nodes on a way, graphs within graphs, and steps on all ways together, beyond which a graph is no network that could be run.
LONGEST_WAY, DEEPEST, MOST_STEPS = 200, 50, 100_000
KNOWN = ("Input", "Output", "LIF", "LI", "Linear", "Affine", "Scale", "Delay", "NIRGraph")


@dataclass(frozen=True)
class Path:
    """A way from one population to another.

    Attributes
    ----------
    weight : ndarray, shape (targets, sources)
    delay : ndarray, shape (targets, sources)
        s; of a weight of 0 it means nothing.
    plain : bool
        Whether each signal is still that of one source, as it was emitted.
    """

    weight: np.ndarray
    delay: np.ndarray
    plain: bool = False


@dataclass
class Paths:
    """All populations of a graph, and the ways between them.

    Attributes
    ----------
    nodes : dict
        ``Input``, ``LIF`` and ``LI`` by their names; those in graphs within the graph are called ``graph.node``.
    paths : dict
        By the names of both ends, one or more ways.
    biases : dict
        Constant currents by the name of the population.
    loose : set of str
        Nodes through which signals go that reach no population any more.
    """

    nodes: dict[str, Any] = field(default_factory=dict)
    paths: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    biases: dict[str, np.ndarray] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)

    def size(self, name: str) -> int:
        """How many nodes a population has."""
        return _size(name, self.nodes[name])

    def bias(self, name: str) -> np.ndarray:
        """Constant current of each node of a population."""
        return self.biases.get(name, np.zeros(self.size(name)))


def paths_of(nir: Any, graph: Any, budget: int) -> Paths:
    """Find the populations of a graph and the ways between them; no matrix takes more than ``budget`` bytes.

    Raises
    ------
    NetworkError
        If a node is of a kind that is not known here, sizes do not fit, or a signal is none that a synapse could carry.
    MemoryLimitError
        If a matrix would take more.
    """
    walk = _Walk(nir, graph, budget)
    found = Paths()
    for kind in (nir.Input, nir.LIF, nir.LI):  # in the order in which networks are told
        for name, node in walk.nodes.items():
            if isinstance(node, kind) and not (kind is nir.Input and name in walk.reached):  # those of graphs within
                found.nodes[name] = node
    for name, node in found.nodes.items():
        size = found.size(name)
        walk.check_room(name, size, size)
        for end, path in walk.follow((name,), Path(np.eye(size), np.zeros((size, size)), plain=True), found.loose):
            if isinstance(node, nir.LI):
                raise NetworkError(f"{name}: the voltage of an LI leads to {end}; here readouts lead nowhere")
            found.paths.setdefault((name, end), []).append(path)
    for name, node in walk.nodes.items():
        if isinstance(node, nir.Affine):
            # A constant has no delay; its way is that of a single source.
            start = Path(np.asarray(node.bias, float)[:, None], np.zeros((len(node.bias), 1)))
            for end, path in walk.follow((name,), start, found.loose):
                found.biases[end] = found.bias(end) + path.weight[:, 0]
    return found


class _Walk:
    """Nodes and edges, graphs within the graph dissolved: what leads to one leads to its inputs."""

    def __init__(self, nir: Any, graph: Any, budget: int):
        self.nir, self.budget, self.steps = nir, budget, 0
        self.nodes: dict[str, Any] = {}
        edges = self._dissolve(graph, "", 0)
        self.after: dict[str, list[str]] = {name: [] for name in self.nodes}
        self.before: dict[str, list[str]] = {name: [] for name in self.nodes}
        self.reached = {post for _, post in edges}
        for pre, post in edges:
            self.after[pre].append(post)
            self.before[post].append(pre)
        for name, node in self.nodes.items():
            if isinstance(node, (nir.LIF, nir.LI)) and node.tau.ndim == 0:
                self.nodes[name] = _spread(node, self._signals(name))

    def check_room(self, name: str, targets: int, sources: int) -> None:
        """Refuse weights and delays of so many signals by so many if they will not fit."""
        check_budget(f"{name}: a matrix of {targets:,} x {sources:,}", 16 * targets * sources, self.budget)

    def _count_step(self, name: str, length: int) -> None:
        """Refuse ways without end: where they part and meet again and again, there are more of them than can be followed."""
        self.steps += 1
        if length > LONGEST_WAY or self.steps > MOST_STEPS:
            raise NetworkError(
                f"{name}: too many ways lead through here: at most {MOST_STEPS:,} steps are followed, {LONGEST_WAY} on one way"
            )

    def _dissolve(self, graph: Any, prefix: str, depth: int) -> list[tuple[str, str]]:
        if depth > DEEPEST:
            raise NetworkError(f"{prefix:.200}: graphs within graphs, more than {DEEPEST} deep")
        edges: list[tuple[str, str]] = []
        enters: dict[str, list[str]] = {}
        leaves: dict[str, list[str]] = {}
        for name, node in graph.nodes.items():
            full, kind = prefix + name, type(node).__name__
            if kind not in KNOWN:
                raise NetworkError(f"{full}: is a {kind}; known are {', '.join(KNOWN[:-1])}, and graphs of these")
            if kind == "NIRGraph":
                edges += self._dissolve(node, f"{full}.", depth + 1)
                enters[full] = [f"{full}.{k}" for k, n in node.nodes.items() if isinstance(n, self.nir.Input)]
                leaves[full] = [f"{full}.{k}" for k, n in node.nodes.items() if isinstance(n, self.nir.Output)]
            else:
                self.nodes[full] = node
                enters[full] = leaves[full] = [full]
        for ends in graph.edges:
            for end in ends:
                if prefix + end not in enters:
                    raise NetworkError(f"{prefix}{end}: an edge leads to or from this node, which is not there")
            edges += [(a, b) for a in leaves[prefix + ends[0]] for b in enters[prefix + ends[1]]]
        return edges

    def _signals(self, name: str) -> int:
        """How many signals lead to a node whose parameters are single numbers, which hold for as many neurons."""
        for size in self._sizes_before((name,)):
            return size
        raise NetworkError(
            f"{name}: its parameters are single numbers, and nothing that leads to it tells how many neurons it has"
        )

    def _sizes_before(self, way: tuple[str, ...]) -> Iterator[int]:
        """Numbers of signals of the nodes that lead to the last one of a way, or of those behind them."""
        self._count_step(way[0], len(way))
        for pre in self.before[way[-1]]:
            size = _given_size(pre, self.nodes[pre])
            if size is not None:
                yield size
            elif pre not in way:
                yield from self._sizes_before((*way, pre))

    def follow(self, way: tuple[str, ...], path: Path, loose: set[str]) -> Iterator[tuple[str, Path]]:
        """All populations that a signal reaches from the last node of a way, and how it has been changed until there.

        What is on ways that reach none but has changed the signal is added to ``loose``.
        """
        self._count_step(way[0], len(way))
        for post in self.after[way[-1]]:
            node = self.nodes[post]
            if isinstance(node, (self.nir.LIF, self.nir.LI)):
                _fits(post, path, _size(post, node))
                yield post, path
            elif post in way:
                raise NetworkError(f"{post}: a signal goes round without a neuron on its way")
            else:
                yield from self.follow((*way, post), self._through(post, node, path), loose)
        if not self.after[way[-1]]:
            loose.update(
                name for name in way[1:] if not isinstance(self.nodes[name], (self.nir.Input, self.nir.Output))
            )

    def _through(self, name: str, node: Any, path: Path) -> Path:
        """A signal after one more node."""
        if isinstance(node, (self.nir.Input, self.nir.Output)):
            return path
        if isinstance(node, (self.nir.Linear, self.nir.Affine)):
            weight = np.asarray(node.weight, float)
            self.check_room(name, weight.shape[0] if weight.ndim else 1, path.weight.shape[1])
            return _times(name, weight, path)
        if isinstance(node, self.nir.Scale):
            return Path(_each(name, node.scale, path) * path.weight, path.delay, path.plain)
        return Path(path.weight, path.delay + _each(name, node.delay, path), path.plain)


def _spread(node: Any, size: int) -> Any:
    """The same populations with a number for each of so many neurons."""
    spread, shape = copy.copy(node), np.array([size])
    for key in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        if hasattr(node, key):
            setattr(spread, key, np.full(size, getattr(node, key), float))
    spread.input_type, spread.output_type = {"input": shape}, {"output": shape}
    return spread


def _given_size(name: str, node: Any) -> int | None:
    """How many signals a node gives out, if it says so itself."""
    for key in ("weight", "scale", "delay", "tau"):
        if hasattr(node, key):
            shape = np.shape(getattr(node, key))
            return int(shape[0]) if shape else None
    return _size(name, node) if len(node.output_type["output"]) else None  # of an input or output


def _each(name: str, values: Any, path: Path) -> np.ndarray:
    """A number for each signal, or one for all."""
    array = np.asarray(values, float)
    if array.ndim > 0:
        _fits(name, path, _length(name, array.shape))
    return array[:, None] if array.ndim else array


def _times(name: str, matrix: np.ndarray, path: Path) -> Path:
    """After a matrix; a sum of signals of one source has one delay only if these have."""
    if matrix.ndim != 2:
        raise NetworkError(f"{name}: its weights must be a matrix, got shape {matrix.shape}")
    _fits(name, path, matrix.shape[1])
    if path.plain:
        return Path(matrix * np.diagonal(path.weight), np.broadcast_to(np.diagonal(path.delay), matrix.shape))
    if not path.delay.any():
        return Path(matrix @ path.weight, np.zeros((matrix.shape[0], path.weight.shape[1])))
    delay = np.zeros((matrix.shape[0], path.weight.shape[1]))
    for target, row in enumerate(matrix):
        used = (row[:, None] != 0.0) & (path.weight != 0.0)
        late = np.where(used, path.delay, -np.inf).max(axis=0)
        if np.any(used & (path.delay != late)):
            raise NetworkError(
                f"{name}: adds signals of one source that come at different times; a synapse has one delay here"
            )
        delay[target] = np.where(used.any(axis=0), late, 0.0)
    return Path(matrix @ path.weight, delay)


def _fits(name: str, path: Path, size: int) -> None:
    if path.weight.shape[0] != size:
        raise NetworkError(f"{name}: takes {size} signals, but {path.weight.shape[0]} lead to it")


def _size(name: str, node: Any) -> int:
    """How many nodes a population has."""
    return _length(name, node.output_type["output"])


def _length(name: str, shape: Any) -> int:
    """The length of a signal that is a vector."""
    if len(shape) != 1:
        raise NetworkError(f"{name}: its signal has the shape {tuple(int(n) for n in shape)}; known are vectors")
    return int(shape[0])
