"""Candidates for new synapses: drawn or silent connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from eprop import random
from eprop.engine.build.connections import Connections, draw_connections, draw_delays
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import branches_at, synapse_order
from eprop.network import Projection
from eprop.network.rewiring import SILENT_RATE, is_silent
from eprop.network.signs import SOURCE, sign_classes, signs_of_synapses


class Candidates:
    """Connections that a network could make, with their scores."""

    def __init__(self, arrays: Arrays):
        self._arrays = arrays

    def drawn(self, time_: int, shares: Mapping[int, float], p: Projection, first: int, stop: int) -> Connections:
        """Candidates for new synapses onto the targets ``first:stop``; random scores unless the gradient gives them."""
        network, rewiring, targets = self._arrays.network, p.rewiring, (first, stop)
        assert rewiring is not None
        rule = p.connectivity if is_silent(p) else rewiring.candidates_of(p, shares[p.index])
        indptr, sources = draw_connections(network, replace(p, connectivity=rule), first, stop, time_)
        groups = values = np.zeros(0)
        if self._has_groups(p):
            delays = draw_delays(network, p, targets, indptr, sources, time_)
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


def nodes_of(indptr: np.ndarray, first: int) -> np.ndarray:
    """Target of each connection, of targets from ``first`` on."""
    return np.repeat(np.arange(first, first + indptr.size - 1), np.diff(indptr))


def nearest(known: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Indices of the nearest of some ascending delays."""
    after = np.clip(np.searchsorted(known, delays), 1, known.size - 1)
    return after - (delays - known[after - 1] <= known[after] - delays)
