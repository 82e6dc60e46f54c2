"""Candidates for new synapses: drawn, silent or given connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from eprop import random
from eprop.engine.build.draws import draw_connections, draw_delays
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import branches_at, synapse_order
from eprop.engine.state.wiring import Branches, Connections, Tables
from eprop.errors import InputError
from eprop.network import Projection
from eprop.network.rewiring import SILENT_RATE, is_silent
from eprop.network.signs import SOURCE, sign_classes, signs_of_synapses
from eprop.parameters import real_numbers
from eprop.rules import EProp


class Candidates:
    """Connections that a network could make, with their scores."""

    def __init__(self, arrays: Arrays):
        self._arrays = arrays

    def drawn(self, time_: int, shares: Mapping[int, float], p: Projection, first: int, stop: int) -> Connections:
        """Candidates for new synapses onto the targets ``first:stop``; random scores unless the gradient gives them."""
        network, rewiring, targets = self._arrays.network, p.rewiring, (first, stop)
        assert rewiring is not None
        rule = p.connectivity if is_silent(p) else rewiring.candidates_of(p, shares[p.index])
        indptr, sources = draw_connections(network, replace(p, connectivity=rule), first, stop, again=time_)
        groups = values = np.zeros(0)
        if self._has_groups(p):
            delays = draw_delays(network, p, targets, indptr, sources, again=time_)
            groups = self._groups(p, delays, sources, nodes_of(indptr, first), time_)
        if rewiring.grow == "random" or is_silent(p):
            seed = random.derive(network.seed, random.SHUFFLE, p.index, time_)
            values = random.uniform(seed, random.SHUFFLE, nodes_of(indptr, first), sources)
        return Connections(indptr, sources, groups, values)

    def _has_groups(self, p: Projection) -> bool:
        """Whether the synapses of a projection have several delays or signs."""
        return len(self._arrays.built.delay_groups[p.index]) > 1

    def _groups(
        self, p: Projection, delays: np.ndarray, sources: np.ndarray, nodes: np.ndarray, time_: int
    ) -> np.ndarray:
        """Delay groups of candidates, by the nearest known delay (steps) and by sign."""
        rows, classes = self._arrays.built.delay_groups[p.index], sign_classes(p)
        each = len(rows) // len(classes)
        known = self._arrays.built.groups["delay"][rows[:each]]
        groups = nearest(known, delays) if each > 1 else np.zeros(sources.size, np.int64)
        return groups + each * (self._signs(time_, p, sources, nodes) < 0) if len(classes) > 1 else groups

    def _signs(self, time_: int, p: Projection, sources: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Signs of candidates: those of the sources, or drawn."""
        if p.sign == SOURCE:
            return signs_of_synapses(p, sources, np.zeros(sources.size))
        seed = random.derive(self._arrays.network.seed, random.WEIGHT, p.index, time_)
        return np.where(random.uniform(seed, random.WEIGHT, nodes, sources) < 0.5, 1, -1)

    def silent(self, p: Projection, silent: Projection, time_: int) -> Connections:
        """The synapses of a projection's ``silent`` one onto this rank, as connections of it, with their gradients."""
        arrays = self._arrays
        order, sources, targets = synapse_order(arrays, silent.index)
        begin, stop = arrays.built.rank_partition.own(p.post)
        delays = arrays.built.groups["delay"][branches_at(arrays.built, order)[1]]
        groups = self._groups(p, delays, sources, targets, time_)
        gradients = arrays.synapses.weight[order].astype(np.float64) / -SILENT_RATE
        indptr = np.searchsorted(targets, np.arange(begin, stop + 1))
        return Connections(indptr, sources.astype(np.int32), groups, gradients)


@dataclass(frozen=True)
class Pairs:
    """Given connections.

    Attributes
    ----------
    sources, targets, groups : (connections,) int64
        Nodes, and delay groups counted from the first one of the projection.
    """

    sources: np.ndarray
    targets: np.ndarray
    groups: np.ndarray

    @classmethod
    def checked(cls, arrays: Arrays, p: Projection, sources: object, targets: object, delays: object) -> Pairs:
        """Connections from arguments of `Simulator.absent_gradients`.

        Raises
        ------
        InputError
        """
        if p.rule.code != EProp.code or p.post.model.role != "neuron":
            raise InputError(f"absent_gradients: {p.name} must learn by EProp, onto neurons")
        if arrays.exchange.several and p.rewiring is None and p.pre.model.role == "neuron":
            raise InputError(
                f"absent_gradients: with several ranks, {p.name} needs rewiring=, by which ranks know all sources"
            )
        if len(sign_classes(p)) > 1:
            raise InputError(
                f"absent_gradients: {p.name} keeps signs; gradients do not depend on them, so leave out sign"
            )
        ends: list[np.ndarray] = []
        for what, given, size in (("sources", sources, p.pre.size), ("targets", targets, p.post.size)):
            nodes = real_numbers(f"absent_gradients: {what}", given, InputError)
            if nodes.ndim != 1 or (
                nodes.size and (nodes.dtype.kind not in "iu" or nodes.min() < 0 or nodes.max() >= size)
            ):
                raise InputError(
                    f"absent_gradients: {what} must be a list of nodes in 0..{size - 1}, got {given!r:.60}"
                )
            ends.append(nodes.astype(np.int64))
        if ends[0].size != ends[1].size:
            raise InputError(f"absent_gradients: {ends[0].size} sources, but {ends[1].size} targets")
        known = arrays.built.groups["delay"][arrays.built.delay_groups[p.index]] * arrays.network.dt
        wanted = np.broadcast_to(
            real_numbers("delays", known[0] if delays is None else delays, InputError), ends[0].shape
        )
        groups = np.abs(wanted[:, None] - known).argmin(axis=1)
        if not np.allclose(known[groups], wanted, rtol=1e-9):
            raise InputError(f"absent_gradients: delays of {p.name} are {', '.join(f'{d:g}' for d in known[:9])} ms")
        return cls(ends[0], ends[1], groups)

    @property
    def keys(self) -> np.ndarray:
        """All numbers."""
        return np.stack([self.sources, self.targets, self.groups])

    @property
    def order(self) -> np.ndarray:
        """Order by target, then source."""
        return np.lexsort((self.groups, self.sources, self.targets))

    def give(self, p: Projection, first: int, stop: int) -> Connections:
        """Those onto some targets."""
        order = self.order
        begin, end = np.searchsorted(self.targets[order], (first, stop))
        own = order[begin:end]
        indptr = np.searchsorted(self.targets[own], np.arange(first, stop + 1))
        return Connections(indptr, self.sources[own].astype(np.int32), self.groups[own], np.zeros(own.size))

    def taken(self, arrays: Arrays, p: Projection, tables: Tables) -> np.ndarray:
        """The values of tables of these connections, in their order; 0 for connections onto targets of other ranks."""
        partition, own = arrays.built.rank_partition, Branches.of(arrays.built, p)
        first, stop = partition.own(p.post)
        here = np.flatnonzero((self.targets >= first) & (self.targets < stop))
        targets = self.targets[here] + partition.first_target(p.post)
        branches = own.at(partition.local_ids(p.pre, self.sources[here].astype(np.int32)), self.groups[here])
        parts = np.searchsorted(arrays.built.topology.bounds[0], targets, side="right")
        out = np.zeros(self.targets.size)
        out[here[np.lexsort((targets, branches, parts))]] = tables.values
        return out


def nodes_of(indptr: np.ndarray, first: int) -> np.ndarray:
    """Target of each connection, of targets from ``first`` on."""
    return np.repeat(np.arange(first, first + indptr.size - 1), np.diff(indptr))


def nearest(known: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Indices of the nearest of some ascending delays."""
    after = np.clip(np.searchsorted(known, delays), 1, known.size - 1)
    return after - (delays - known[after - 1] <= known[after] - delays)
