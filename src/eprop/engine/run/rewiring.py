"""Rewiring: between mini-batches of e-prop, synapses of each target move (`eprop.Rewiring`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine.build.draws import draw_connections, draw_delays
from eprop.engine.ranks.exchange import Core
from eprop.engine.run.timing import PhaseTimer
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import of_all_ranks, synapse_order
from eprop.engine.state.wiring import Branches, Connections, Tables, placed
from eprop.network import Projection
from eprop.network.rewiring import Rewiring
from eprop.network.signs import SOURCE, sign_classes, signs_of_synapses
from eprop.parallel import Communicator
from eprop.parameters import Integers

#: Part of a training in which synapses move.
PART = 0.75


@dataclass(frozen=True)
class Moved:
    """How the synapses of a projection have moved, see `Simulator.moved`.

    Attributes
    ----------
    total, last : int
        Synapses that have moved since the build, and in the last rewiring.
    turnover : float
        Share of the present synapses that the build did not have.
    ages : (connections,) int64
        Mini-batches since a synapse was made, in the order of `Simulator.connections`.
    """

    total: int
    last: int
    turnover: float
    ages: Integers


@dataclass(frozen=True)
class _Step:
    """A rewiring that is due.

    Attributes
    ----------
    update : int
        Number of the mini-batch after which it takes place.
    moving : list of (Projection, float)
        Projections, and the share of their synapses that move.
    absent : Tables
        Candidates, and their scores.
    topology : Topology
        The network's, with the candidates as synapses.
    """

    update: int
    moving: list[tuple[Projection, float]]
    absent: Tables
    topology: Any


class Rewirer:
    """Moves the synapses of a simulator's network.

    Parameters
    ----------
    arrays : Arrays
    replicas : Communicator
        Ranks with a copy of the network each.
    timer : PhaseTimer

    Attributes
    ----------
    until : int or None
        Mini-batch after which synapses of a `Rewiring` without ``until`` stay.
    """

    def __init__(self, arrays: Arrays, replicas: Communicator, timer: PhaseTimer):
        self._arrays, self._replicas, self._timer = arrays, replicas, timer
        self._projections = [p for p in arrays.network.projections if p.rewiring is not None]
        self._watched: _Step | None = None
        self.until: int | None = None

    def begin(self) -> None:
        """Draw the candidates whose gradients the next mini-batch gives, if synapses move after it."""
        self._watched = self._drawn("gradient", self._arrays.updates + 1)

    def discard(self) -> None:
        """Forget the candidates of a mini-batch that did not end."""
        self._watched = None

    @contextmanager
    def watching(self, core: Core) -> Iterator[None]:
        """Let backward passes of ``core`` find the gradients of the candidates."""
        if self._watched is None:
            yield
            return
        core.set_absent(self._watched.topology, self._watched.absent.values)
        try:
            yield
        finally:
            core.forget_absent()

    def finish(self) -> None:
        """Move synapses after the optimiser step of a mini-batch with `begin`."""
        watched, self._watched = self._watched, None
        if watched is not None and self._replicas.size > 1:
            watched.absent.values[...] = self._replicas.sum(watched.absent.values)
        for step in (watched, self._drawn("random", self._arrays.updates)):
            if step is not None:
                self._move_all(step)

    def _move_all(self, step: _Step) -> None:
        began = time.perf_counter()
        try:
            for p, share in step.moving:
                self._move(step, p, share)
        finally:
            self._arrays.note_moved()
        self._timer.add_since("rewiring", began)

    def moved(self, p: Projection) -> Moved:
        """See `Simulator.moved`."""
        arrays, moves = self._arrays, self._arrays.moves
        if not moves:
            return Moved(0, 0, 0.0, np.full(arrays.gatherer.count(p.index), arrays.updates))
        order = synapse_order(arrays, p.index)[0]
        born = of_all_ranks(arrays, p, [moves.born[order].astype(np.int64)])[0]
        turnover = float((born > 0).mean()) if born.size else 0.0
        return Moved(int(moves.moved[p.index]), int(moves.last[p.index]), turnover, arrays.updates - born)

    def _drawn(self, grow: str, update: int) -> _Step | None:
        """The candidates of all projections that move synapses after a mini-batch."""
        shares = [(p, r.share(update, self.until)) for p in self._projections if (r := _rewiring(p)).grow == grow]
        due = [(p, share) for p, share in shares if share > 0.0 and update % _rewiring(p).every == 0]
        if not due:
            return None
        began, arrays = time.perf_counter(), self._arrays
        give = partial(self._candidates, update, {p.index: share for p, share in due})
        absent = placed(arrays.network, arrays.built, [p for p, _ in due], give, arrays.threads)
        self._timer.add_since("rewiring", began)
        return _Step(update, due, absent, topology_with(arrays, absent))

    def _candidates(self, update: int, shares: Mapping[int, float], p: Projection, first: int, stop: int) -> Connections:
        """Candidates for new synapses onto the targets ``first:stop``; random scores unless the gradient gives them."""
        network, rewiring, targets = self._arrays.network, _rewiring(p), (first, stop)
        drawn = replace(p, connectivity=rewiring.candidates_of(p, shares[p.index]))
        indptr, sources = draw_connections(network, drawn, first, stop, again=update)
        nodes = np.repeat(np.arange(first, stop), np.diff(indptr))
        groups: np.ndarray | int = 0
        rows = self._arrays.built.delay_groups[p.index]
        each = len(rows) // len(classes := sign_classes(p))
        if each > 1:
            known = self._arrays.built.groups["delay"][rows[:each]]
            groups = nearest(known, draw_delays(network, p, targets, indptr, sources, again=update))
        if len(classes) > 1:
            groups = groups + each * (self._signs(update, p, sources, nodes) < 0)
        values = np.zeros(sources.size)
        if rewiring.grow == "random":
            seed = random.derive(network.seed, random.SHUFFLE, p.index, update)
            values = random.uniform(seed, random.SHUFFLE, nodes, sources)
        return Connections(indptr, sources, groups, values)

    def _signs(self, update: int, p: Projection, sources: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Signs of candidates: those of the sources, or drawn."""
        if p.sign == SOURCE:
            return signs_of_synapses(p, sources, np.zeros(sources.size))
        seed = random.derive(self._arrays.network.seed, random.WEIGHT, p.index, update)
        return np.where(random.uniform(seed, random.WEIGHT, nodes, sources) < 0.5, 1, -1)

    def _move(self, step: _Step, p: Projection, share: float) -> None:
        arrays, rewiring, own = self._arrays, _rewiring(p), Branches.of(self._arrays.built, p)
        ends = arrays.built.populations[["target_begin", "target_end"]][p.post.index]
        shape = np.array([own.first, own.sources, own.delays, len(own.signs), *ends], np.int64)
        drop = lib.Drop.weight if rewiring.drop == "weight" else lib.Drop.zero
        moved = lib.rewire(
            arrays.built.topology, arrays.synapses, arrays.moves.born, step.topology, step.absent.values, shape,
            np.array(own.signs, np.int64), drop, share, rewiring.grow == "gradient", step.update, arrays.threads,
        )  # fmt: skip
        moved = arrays.exchange.total(moved)
        arrays.moves.moved[p.index] += moved
        arrays.moves.last[p.index] = moved


def topology_with(arrays: Arrays, tables: Tables) -> Any:
    """The topology with other connections."""
    topology = arrays.built.topology
    return type(topology)(**topology.arrays() | {"branch_start": tables.branch_start, "targets": tables.targets})


def nearest(known: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Indices of the nearest of some ascending delays."""
    after = np.clip(np.searchsorted(known, delays), 1, known.size - 1)
    return after - (delays - known[after - 1] <= known[after] - delays)


def _rewiring(p: Projection) -> Rewiring:
    assert p.rewiring is not None
    return p.rewiring
