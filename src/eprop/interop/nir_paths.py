"""Ways through a graph of NIR from what spikes to what integrates: weights and delays, whatever nodes they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.errors import NetworkError


@dataclass(frozen=True)
class Path:
    """A way from one population to another.

    Attributes
    ----------
    weight : ndarray, shape (targets, sources)
    delay : ndarray, shape (targets, sources)
        s.
    """

    weight: np.ndarray
    delay: np.ndarray


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
    """

    nodes: dict[str, Any] = field(default_factory=dict)
    paths: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    biases: dict[str, np.ndarray] = field(default_factory=dict)

    def size(self, name: str) -> int:
        """How many nodes a population has."""
        return _size(name, self.nodes[name].output_type["output"])

    def bias(self, name: str) -> np.ndarray:
        """Constant current of each node of a population."""
        return self.biases.get(name, np.zeros(self.size(name)))


def paths_to(nir: Any, graph: Any) -> Paths:
    """Find the populations of a graph and the ways between them.

    Raises
    ------
    NetworkError
        If a node is of a kind that is not known here, or a signal is none that a synapse could carry.
    """
    nodes, edges = _flat(nir, graph)
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for pre, post in edges:
        after[pre].append(post)
    reached = {post for _, post in edges}
    found = Paths()
    for kind in (nir.Input, nir.LIF, nir.LI):  # in the order in which networks are told
        for name, node in nodes.items():
            if isinstance(node, kind) and not (
                kind is nir.Input and name in reached
            ):  # those of graphs within the graph
                found.nodes[name] = node
    for name, node in found.nodes.items():
        size = found.size(name)
        start = Path(np.eye(size), np.zeros((size, size)))
        for end, path in _follow(nir, nodes, after, (name,), start):
            if isinstance(node, nir.LI):
                raise NetworkError(f"{name}: the voltage of an LI leads to {end}; here readouts lead nowhere")
            found.paths.setdefault((name, end), []).append(path)
    for name, node in nodes.items():
        if isinstance(node, nir.Affine) and np.any(node.bias):
            _add_bias(nir, nodes, after, name, found)
    return found


def _flat(nir: Any, graph: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges, graphs within the graph dissolved: what leads to one leads to its inputs."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    enters: dict[str, list[str]] = {}
    leaves: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        full = prefix + name
        if isinstance(node, nir.NIRGraph):
            inner_nodes, inner_edges = _flat(nir, node, f"{full}.")
            nodes |= inner_nodes
            edges += inner_edges
            enters[full] = [f"{full}.{k}" for k, n in node.nodes.items() if isinstance(n, nir.Input)]
            leaves[full] = [f"{full}.{k}" for k, n in node.nodes.items() if isinstance(n, nir.Output)]
        else:
            nodes[full] = node
            enters[full] = leaves[full] = [full]
    for pre, post in graph.edges:
        edges += [(a, b) for a in leaves[prefix + pre] for b in enters[prefix + post]]
    return nodes, edges


def _follow(
    nir: Any, nodes: dict[str, Any], after: dict[str, list[str]], way: tuple[str, ...], path: Path
) -> Iterator[tuple[str, Path]]:
    """All populations that a signal reaches from the last node of a way, and how it has been changed until there."""
    for post in after[way[-1]]:
        node = nodes[post]
        if isinstance(node, (nir.LIF, nir.LI)):
            size = _size(post, node.output_type["output"])
            if path.weight.shape[0] != size:
                raise NetworkError(f"{post}: has {size} neurons, but {path.weight.shape[0]} signals lead to it")
            yield post, path
        elif post in way:
            raise NetworkError(f"{post}: a signal goes round without a neuron on its way")
        else:
            yield from _follow(nir, nodes, after, (*way, post), _through(nir, post, node, path))


def _through(nir: Any, name: str, node: Any, path: Path) -> Path:
    """A signal after one more node."""
    if isinstance(node, (nir.Input, nir.Output)):
        return path
    if isinstance(node, (nir.Linear, nir.Affine)):
        return _times(name, np.asarray(node.weight, float), path)
    if isinstance(node, nir.Scale):
        return Path(np.asarray(node.scale, float)[:, None] * path.weight, path.delay)
    if isinstance(node, nir.Delay):
        return Path(path.weight, path.delay + np.asarray(node.delay, float)[:, None])
    raise NetworkError(
        f"{name}: is a {type(node).__name__}; known are Input, Output, LIF, LI, Linear, Affine, Scale, Delay, and graphs of these"
    )


def _times(name: str, matrix: np.ndarray, path: Path) -> Path:
    """After a matrix; a sum of signals has one delay only if these have."""
    if matrix.ndim != 2:
        raise NetworkError(f"{name}: its weights must be a matrix, got shape {matrix.shape}")
    reach = path.weight != 0.0
    late = np.where(reach, path.delay, -np.inf).max(axis=0)
    early = np.where(reach, path.delay, np.inf).min(axis=0)
    if np.any((late > early) & reach.any(axis=0)):
        raise NetworkError(
            f"{name}: adds signals of one source that come at different times; one delay for each synapse is known here"
        )
    weight = matrix @ path.weight
    return Path(weight, np.broadcast_to(np.where(np.isfinite(late), late, 0.0), weight.shape))


def _add_bias(nir: Any, nodes: dict[str, Any], after: dict[str, list[str]], name: str, found: Paths) -> None:
    """What the constant signal of an affine node is at the neurons."""
    start = np.asarray(nodes[name].bias, float)[:, None]
    for end, path in _follow(nir, nodes, after, (name,), Path(start, np.zeros_like(start))):
        found.biases[end] = found.bias(end) + path.weight[:, 0]


def _size(name: str, shape: Any) -> int:
    """The length of a signal that is a vector."""
    if len(shape) != 1:
        raise NetworkError(f"{name}: its signal has the shape {tuple(int(n) for n in shape)}; known are vectors")
    return int(shape[0])
