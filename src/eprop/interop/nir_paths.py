"""Paths through a graph of NIR from spiking nodes to integrating nodes: their weights and delays, through any nodes between."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.errors import NetworkError
from eprop.files import check_budget

#: Limits of nodes on a path, of nested graphs, and of steps on all paths; a graph beyond them is not a usable network.
LONGEST_WAY, DEEPEST, MOST_STEPS = 200, 50, 100_000
KNOWN = ("Input", "Output", "LIF", "LI", "Linear", "Affine", "Scale", "Delay", "NIRGraph")


@dataclass(frozen=True)
class Path:
    """A path from one population to another.

    Attributes
    ----------
    weight : ndarray, shape (targets, sources)
    delay : ndarray, shape (targets, sources)
        s; without meaning where the weight is 0.
    plain : bool
        Whether each signal still comes from one source, unchanged.
    """

    weight: np.ndarray
    delay: np.ndarray
    plain: bool = False


@dataclass
class Paths:
    """All populations of a graph, and the paths between them.

    Attributes
    ----------
    nodes : dict
        ``Input``, ``LIF`` and ``LI`` by name; a node of a nested graph is called ``graph.node``.
    paths : dict
        One or more paths, by the names of both ends.
    biases : dict
        Constant currents by the name of the population.
    loose : set of str
        Nodes whose signals reach no population.
    """

    nodes: dict[str, Any] = field(default_factory=dict)
    paths: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    biases: dict[str, np.ndarray] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)

    def size(self, name: str) -> int:
        """Number of nodes of a population."""
        return _size(name, self.nodes[name])

    def bias(self, name: str) -> np.ndarray:
        """Constant current of each node of a population."""
        return self.biases.get(name, np.zeros(self.size(name)))


def paths_of(nir: Any, graph: Any, budget: int) -> Paths:
    """Find the populations of a graph and the paths between them; no matrix takes more than ``budget`` bytes.

    Raises
    ------
    NetworkError
        If a node has an unknown kind, sizes do not fit, or a synapse cannot carry a signal.
    MemoryLimitError
        If a matrix would exceed the budget.
    """
    walk = _Walk(nir, graph, budget)
    found = Paths()
    for kind in (nir.Input, nir.LIF, nir.LI):  # the order of populations in a network
        for name, node in walk.nodes.items():
            if isinstance(node, kind) and not (kind is nir.Input and name in walk.reached):  # inputs of nested graphs
                found.nodes[name] = node
    for name, node in found.nodes.items():
        size = found.size(name)
        walk.check_room(name, size, size)
        for end, path in walk.follow((name,), Path(np.eye(size), np.zeros((size, size)), plain=True), found.loose):
            if isinstance(node, nir.LI):
                raise NetworkError(
                    f"{name}: the voltage of an LI leads to {end}; in this package readouts have no targets"
                )
            found.paths.setdefault((name, end), []).append(path)
    for name, node in walk.nodes.items():
        if isinstance(node, nir.Affine):
            # A constant has no delay; its path starts at a single source.
            start = Path(np.asarray(node.bias, float)[:, None], np.zeros((len(node.bias), 1)))
            for end, path in walk.follow((name,), start, found.loose):
                found.biases[end] = found.bias(end) + path.weight[:, 0]
    return found


class _Walk:
    """Nodes and edges, with nested graphs dissolved: an edge to a graph leads to its inputs."""

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
        """Refuse weights and delays of ``targets`` by ``sources`` signals if they do not fit into the budget."""
        check_budget(f"{name}: a matrix of {targets:,} x {sources:,}", 16 * targets * sources, self.budget)

    def _count_step(self, name: str, length: int) -> None:
        """Refuse endless paths: if paths split and join again and again, there are too many to follow."""
        self.steps += 1
        if length > LONGEST_WAY or self.steps > MOST_STEPS:
            raise NetworkError(
                f"{name}: too many paths lead through here: at most {MOST_STEPS:,} steps are followed, {LONGEST_WAY} on one path"
            )

    def _dissolve(self, graph: Any, prefix: str, depth: int) -> list[tuple[str, str]]:
        if depth > DEEPEST:
            raise NetworkError(f"{prefix:.200}: graphs are nested more than {DEEPEST} deep")
        edges: list[tuple[str, str]] = []
        enters: dict[str, list[str]] = {}
        leaves: dict[str, list[str]] = {}
        for name, node in graph.nodes.items():
            full, kind = prefix + name, type(node).__name__
            if kind not in KNOWN:
                raise NetworkError(f"{full}: is a {kind}; supported are {', '.join(KNOWN[:-1])}, and graphs of these")
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
                    raise NetworkError(f"{prefix}{end}: an edge leads to or from this node, which does not exist")
            edges += [(a, b) for a in leaves[prefix + ends[0]] for b in enters[prefix + ends[1]]]
        return edges

    def _signals(self, name: str) -> int:
        """Number of signals that lead to a node whose parameters are single numbers; it is the node's number of neurons."""
        for size in self._sizes_before((name,)):
            return size
        raise NetworkError(
            f"{name}: its parameters are single numbers, and no incoming node gives its number of neurons"
        )

    def _sizes_before(self, way: tuple[str, ...]) -> Iterator[int]:
        """Numbers of signals of the nodes that lead to the last node of a path, or of the nodes before them."""
        self._count_step(way[0], len(way))
        for pre in self.before[way[-1]]:
            size = _given_size(pre, self.nodes[pre])
            if size is not None:
                yield size
            elif pre not in way:
                yield from self._sizes_before((*way, pre))

    def follow(self, way: tuple[str, ...], path: Path, loose: set[str]) -> Iterator[tuple[str, Path]]:
        """All populations that a signal reaches from the last node of a path, and its changes on the path.

        Nodes on paths that reach no population are added to ``loose`` if they have changed the signal.
        """
        self._count_step(way[0], len(way))
        for post in self.after[way[-1]]:
            node = self.nodes[post]
            if isinstance(node, (self.nir.LIF, self.nir.LI)):
                _fits(post, path, _size(post, node))
                yield post, path
            elif post in way:
                raise NetworkError(f"{post}: a signal runs in a circle without a neuron")
            else:
                yield from self.follow((*way, post), self._through(post, node, path), loose)
        if not self.after[way[-1]]:
            loose.update(
                name for name in way[1:] if not isinstance(self.nodes[name], (self.nir.Input, self.nir.Output))
            )

    def _through(self, name: str, node: Any, path: Path) -> Path:
        """Pass a signal through one more node."""
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
    """Expand parameters that are single numbers to ``size`` values."""
    spread, shape = copy.copy(node), np.array([size])
    for key in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        if hasattr(node, key):
            setattr(spread, key, np.full(size, getattr(node, key), float))
    spread.input_type, spread.output_type = {"input": shape}, {"output": shape}
    return spread


def _given_size(name: str, node: Any) -> int | None:
    """Number of output signals of a node, if the node defines it."""
    for key in ("weight", "scale", "delay", "tau"):
        if hasattr(node, key):
            shape = np.shape(getattr(node, key))
            return int(shape[0]) if shape else None
    return _size(name, node) if len(node.output_type["output"]) else None  # for an input or output


def _each(name: str, values: Any, path: Path) -> np.ndarray:
    """A number for each signal, or one number for all."""
    array = np.asarray(values, float)
    if array.ndim > 0:
        _fits(name, path, _length(name, array.shape))
    return array[:, None] if array.ndim else array


def _times(name: str, matrix: np.ndarray, path: Path) -> Path:
    """Multiply by a matrix; a sum of signals of one source needs equal delays."""
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
                f"{name}: adds signals of one source with different delays; a synapse of this package has one delay"
            )
        delay[target] = np.where(used.any(axis=0), late, 0.0)
    return Path(matrix @ path.weight, delay)


def _fits(name: str, path: Path, size: int) -> None:
    if path.weight.shape[0] != size:
        raise NetworkError(f"{name}: takes {size} signals, but {path.weight.shape[0]} lead to it")


def _size(name: str, node: Any) -> int:
    """Number of nodes of a population."""
    return _length(name, node.output_type["output"])


def _length(name: str, shape: Any) -> int:
    """Length of a signal that is a vector."""
    if len(shape) != 1:
        raise NetworkError(
            f"{name}: its signal has the shape {tuple(int(n) for n in shape)}; only vectors are supported"
        )
    return int(shape[0])
