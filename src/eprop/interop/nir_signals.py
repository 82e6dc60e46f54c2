"""Signals in a graph of NIR: the delayed and weighted spikes that reach each population, through any nodes between."""

from __future__ import annotations

import copy
import graphlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from eprop.errors import NetworkError
from eprop.files import check_budget

#: Limit of nested graphs.
DEEPEST = 50
KNOWN = ("Input", "Output", "LIF", "CubaLIF", "LI", "Linear", "Affine", "Scale", "Delay", "NIRGraph")
#: A signal is the sum of its entries: ``weight`` times the spikes of node ``source`` of population ``origin``, ``delay`` s later.
#: ``signal`` is the index of the signal among those of a node. An entry of the origin `CONSTANT` is a constant of this weight.
ENTRY = np.dtype([("signal", int), ("origin", int), ("source", int), ("delay", float), ("weight", float)])
CONSTANT = -1


class Signals:
    """The populations of a graph, and the signals between them. Nested graphs are dissolved: an edge to one leads to its inputs.

    Parameters
    ----------
    nir : module
    graph : nir.NIRGraph
    budget : int
        Bytes that the entries of a node may take.
    zeros : bool
        Keep entries of matrices that are 0.

    Attributes
    ----------
    populations : dict
        ``Input``, ``LIF``, ``CubaLIF`` and ``LI`` by name; a node of a nested graph is called ``graph.node``.
    sizes : dict of int
        Number of signals that each node gives.
    paths : dict of ndarray of `ENTRY`
        By the names of two populations; ``signal`` is the target.
    biases : dict of ndarray
        Constant currents by the name of the population.

    Raises
    ------
    NetworkError
        If a node has an unknown kind, sizes do not fit, or a synapse cannot carry a signal.
    MemoryLimitError
        If entries would exceed the budget.
    """

    def __init__(self, nir: ModuleType, graph: Any, budget: int, zeros: bool):
        self._nir, self._budget, self._zeros = nir, budget, zeros
        self._nodes: dict[str, Any] = {}
        edges = self._dissolve(graph, "", 0)
        self._before: dict[str, list[str]] = {name: [] for name in self._nodes}
        for pre, post in edges:
            self._before[post].append(pre)
        self.populations: dict[str, Any] = {}
        for kind in (nir.Input, (nir.LIF, nir.CubaLIF), nir.LI):  # the order of populations in a network
            for name, node in self._nodes.items():
                if isinstance(node, kind) and not (kind is nir.Input and self._before[name]):  # inputs of nested graphs
                    scalar = kind is not nir.Input and node.v_leak.ndim == 0
                    self.populations[name] = _spread(node, self._incoming_size(name)) if scalar else node
        self.sizes = {name: _length(name, node.output_type["output"]) for name, node in self.populations.items()}
        self._signals = {name: self._spikes(name, origin) for origin, name in enumerate(self.populations)}
        for name in self._order():
            self.sizes[name], self._signals[name] = self._through(name, self._nodes[name])
        self.paths: dict[tuple[str, str], np.ndarray] = {}
        self.biases: dict[str, np.ndarray] = {name: np.zeros(self.sizes[name]) for name in self.populations}
        for name, node in self.populations.items():
            if not isinstance(node, nir.Input):
                self._end(name)

    @property
    def loose(self) -> list[str]:
        """Nodes that change signals, but lead to no neuron or readout."""
        leads, ends = set[str](), [name for name, n in self.populations.items() if not isinstance(n, self._nir.Input)]
        for name in ends:  # grows in the loop
            new = set(self._before[name]) - leads
            leads |= new
            ends += new
        others = (self._nir.Input, self._nir.Output, self._nir.LIF, self._nir.CubaLIF, self._nir.LI)
        return sorted(name for name, node in self._nodes.items() if name not in leads and not isinstance(node, others))

    def _order(self) -> list[str]:
        """Nodes between populations, each after the nodes that lead to it."""
        before = {name: pre for name, pre in self._before.items() if name not in self.populations}
        try:
            return [name for name in graphlib.TopologicalSorter(before).static_order() if name in before]
        except graphlib.CycleError as error:
            raise NetworkError(f"{error.args[1][0]}: a signal runs in a circle without a neuron") from None

    def _spikes(self, name: str, origin: int) -> np.ndarray:
        """The signals of a population."""
        size = self.sizes[name]
        check_budget(f"{name}: {size:,} signals", ENTRY.itemsize * size, self._budget)
        out = np.zeros(size, ENTRY)
        out["signal"] = out["source"] = np.arange(size)
        out["origin"], out["weight"] = origin, 1.0
        return out

    def _arriving(self, name: str, size: int | None) -> np.ndarray:
        """Signals that lead to a node, which takes ``size`` of them; None: as many as lead there."""
        for pre in self._before[name]:
            size = self.sizes[pre] if size is None else size
            if self.sizes[pre] != size:
                raise NetworkError(f"{name}: takes {size} signals, but {self.sizes[pre]} lead to it")
        return _summed(np.concatenate([np.zeros(0, ENTRY), *(self._signals[pre] for pre in self._before[name])]))

    def _end(self, name: str) -> None:
        """Sort the signals that reach a population by their origins."""
        came, names = self._arriving(name, self.sizes[name]), list(self.populations)
        constant = came[came["origin"] == CONSTANT]
        self.biases[name] = np.bincount(constant["signal"], constant["weight"], self.sizes[name])
        for origin in np.unique(came["origin"][came["origin"] != CONSTANT]).tolist():
            if isinstance(self.populations[names[origin]], self._nir.LI):
                raise NetworkError(
                    f"{names[origin]}: the voltage of an LI leads to {name}; in this package readouts have no targets"
                )
            self.paths[names[origin], name] = came[came["origin"] == origin]

    def _through(self, name: str, node: Any) -> tuple[int, np.ndarray]:
        """Pass signals through a node that is no population."""
        if isinstance(node, (self._nir.Linear, self._nir.Affine)):
            matrix = np.asarray(node.weight, float)
            if matrix.ndim != 2:
                raise NetworkError(f"{name}: its weights must be a matrix, got shape {matrix.shape}")
            out, size = self._times(name, matrix), matrix.shape[0]
            if isinstance(node, self._nir.Affine):
                bias = np.zeros(size, ENTRY)
                bias["signal"], bias["origin"], bias["weight"] = np.arange(size), CONSTANT, node.bias
                out = np.append(out, bias)
            return size, out
        values = np.asarray(getattr(node, "scale", getattr(node, "delay", 0.0)), float)
        out = self._arriving(name, _length(name, values.shape) if values.ndim else None)
        of_each = values[out["signal"]] if values.ndim else values
        if isinstance(node, self._nir.Scale):
            out["weight"] *= of_each
        elif isinstance(node, self._nir.Delay):
            out["delay"] += of_each
        return values.size if values.ndim else max((self.sizes[pre] for pre in self._before[name]), default=0), out

    def _times(self, name: str, matrix: np.ndarray) -> np.ndarray:
        """Multiply the arriving signals by a matrix."""
        came = self._arriving(name, matrix.shape[1])
        used = np.ones(matrix.shape, bool) if self._zeros else matrix != 0.0
        targets, of_signal = np.nonzero(used.T)[1], used.sum(axis=0)
        count = of_signal[came["signal"]]
        check_budget(f"{name}: {count.sum():,} connections", 2 * ENTRY.itemsize * int(count.sum()), self._budget)
        out, signal = np.repeat(came, count), np.repeat(came["signal"], count)
        number = np.arange(out.size) - np.repeat(np.cumsum(count) - count, count)  # counts the targets of an entry
        out["signal"] = targets[(np.cumsum(of_signal) - of_signal)[signal] + number]
        out["weight"] *= matrix[out["signal"], signal]
        return _summed(out)

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
                enters[full] = [f"{full}.{k}" for k, n in node.nodes.items() if isinstance(n, self._nir.Input)]
                leaves[full] = [f"{full}.{k}" for k, n in node.nodes.items() if isinstance(n, self._nir.Output)]
            else:
                self._nodes[full] = node
                enters[full] = leaves[full] = [full]
        for ends in graph.edges:
            for end in ends:
                if prefix + end not in enters:
                    raise NetworkError(f"{prefix}{end}: an edge leads to or from this node, which does not exist")
            edges += [(a, b) for a in leaves[prefix + ends[0]] for b in enters[prefix + ends[1]]]
        return edges

    def _incoming_size(self, name: str) -> int:
        """Number of signals that lead to a node whose parameters are single numbers; it is the node's number of neurons."""
        nodes, seen = [name], {name}
        for post in nodes:  # grows in the loop
            for pre in self._before[post]:
                if (size := _given_size(pre, self._nodes[pre])) is not None:
                    return size
                nodes += {pre} - seen
                seen.add(pre)
        raise NetworkError(
            f"{name}: its parameters are single numbers, and no incoming node gives its number of neurons"
        )


def _summed(entries: np.ndarray) -> np.ndarray:
    """Add entries that differ in their weights only."""
    keys = ["signal", "origin", "source", "delay"]
    entries = entries[np.lexsort([entries[key] for key in keys])]
    first = np.append(True, entries[keys][1:] != entries[keys][:-1])[: entries.size]
    out = entries[first]
    out["weight"] = np.bincount(np.cumsum(first) - 1, entries["weight"], out.size)
    return out


def _spread(node: Any, size: int) -> Any:
    """Expand parameters that are single numbers to ``size`` values."""
    spread, shape = copy.copy(node), np.array([size])
    for key in ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in"):
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
    shape = node.output_type["output"]  # of an input or output
    return _length(name, shape) if len(shape) else None


def _length(name: str, shape: Sequence[int]) -> int:
    """Length of a signal that is a vector."""
    if len(shape) != 1:
        raise NetworkError(
            f"{name}: its signal has the shape {tuple(int(n) for n in shape)}; only vectors are supported"
        )
    return int(shape[0])
