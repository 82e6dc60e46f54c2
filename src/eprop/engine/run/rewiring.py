"""Rewiring: synapses of each target move (`eprop.Rewiring`), between mini-batches or while a network runs on and learns."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine.build.connections import Branches, Connections, Synapses, draw_connections, draw_delays
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import of_all_ranks, synapse_order
from eprop.engine.state.wiring import Give, giving, placed
from eprop.errors import warn
from eprop.network import Projection
from eprop.network.rewiring import BATCHES, GROW, SILENT, TIME, Rewiring, is_silent
from eprop.network.signs import SOURCE, sign_classes, signs_of_synapses
from eprop.parallel import Communicator
from eprop.parameters import Integers

if TYPE_CHECKING:
    from eprop.engine.run.online import PhaseTimer

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
        Mini-batches since a synapse was made, or ms in which it has learned at spikes, in the order of `Simulator.connections`.
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
    time : int
        Number of the mini-batch after which it takes place, or of steps in which the network has learned.
    moving : list of (Projection, float)
        Projections, and the share of their synapses that move.
    absent : Synapses
        Candidates, and their scores.
    topology : Topology
        The network's, with the candidates as synapses.
    """

    time: int
    moving: list[tuple[Projection, float]]
    absent: Synapses
    topology: Any


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
        order = synapse_order(arrays, silent.index)
        sources, targets = order.sources, order.targets
        begin, stop = arrays.built.rank_partition.own(p.post)
        groups = self._groups(p, order.of_groups(arrays.built.groups["delay"]), sources, targets, time_)
        gradients = arrays.synapses.weight[order.where].astype(np.float64) / -silent.rule.learning_rate
        indptr = np.searchsorted(targets, np.arange(begin, stop + 1))
        return Connections(indptr, sources.astype(np.int32), groups, gradients)


def nodes_of(indptr: np.ndarray, first: int) -> np.ndarray:
    """Target of each connection, of targets from ``first`` on."""
    return np.repeat(np.arange(first, first + indptr.size - 1), np.diff(indptr))


def nearest(known: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Indices of the nearest of some ascending delays."""
    after = np.clip(np.searchsorted(known, delays), 1, known.size - 1)
    return after - (delays - known[after - 1] <= known[after] - delays)


class Rewirer:
    """Moves the synapses of a simulator's network.

    Parameters
    ----------
    arrays : Arrays
    comm : Communicator
        All ranks.
    timer : PhaseTimer

    Attributes
    ----------
    runs_on : bool
        Whether synapses move while the network runs on and learns at spikes.
    training : (float, float) or None
        First and last mini-batch, or ms, in which synapses of a `Rewiring` without ``until`` move.
    """

    def __init__(self, arrays: Arrays, comm: Communicator, timer: PhaseTimer):
        self._arrays, self._timer = arrays, timer
        rewired = [p for p in arrays.network.projections if p.rewiring is not None]
        self._projections = [p for p in rewired if not is_silent(p)]
        # Silent synapses by the index of the projection that grows from them.
        self._silent = {
            arrays.network.projection(p.name.removesuffix(SILENT)).index: p for p in rewired if is_silent(p)
        }
        self.runs_on = bool(self._projections) and arrays.built.learning.at_spikes
        self._unit = arrays.network.dt if self.runs_on else 1.0  # of time, in which intervals are given
        self._candidates = Candidates(arrays)
        self._watched: _Step | None = None
        self.training: tuple[float, float] | None = None
        for p in self._projections:
            _warn_of_few(arrays, comm, p)

    @property
    def now(self) -> float:
        """Mini-batches so far, or ms in which the network has learned at spikes."""
        return self._clock * self._unit

    @property
    def _clock(self) -> int:
        return self._arrays.learned_steps if self.runs_on else self._arrays.updates

    def _every(self, p: Projection) -> int:
        """Mini-batches or steps between two rewirings."""
        every = _rewiring(p).every or (TIME if self.runs_on else BATCHES)
        return max(round(every / self._unit), 1)

    def limit(self, n_steps: int) -> int:
        """Largest number of ``n_steps`` steps in which the network may learn at spikes before synapses move."""
        return min([n_steps, *(every - self._clock % every for every in map(self._every, self._projections))])

    def learned(self, n_steps: int) -> None:
        """Count steps in which the network has learned at spikes, no more than `limit`; move synapses if it is time."""
        self._arrays.learned_steps += n_steps
        clock = self._clock
        if not any(self._moving(grow, clock) for grow in GROW):
            return
        self._arrays.materialise_weights()
        grown = self._grown_silently(clock)
        silent = [] if grown is None else [(self._silent[p.index], 1.0) for p, _ in grown.moving]
        for step in (grown, self._drawn("random", clock), self._drawn_for(silent, clock)):
            if step is not None:
                self._move_all(step)
        self._arrays.online.begin_synapses(clock)

    def begin(self) -> None:
        """Draw the candidates whose gradients the next mini-batch gives, if synapses move after it."""
        self._watched = self._drawn("gradient", self._arrays.updates + 1)

    def discard(self) -> None:
        """Forget the candidates of a mini-batch that did not end."""
        self._watched = None

    @property
    def watched(self) -> list[np.ndarray]:
        """Gradients of the candidates in this mini-batch, if there are any."""
        return [] if self._watched is None else [self._watched.absent.values]

    @contextmanager
    def watching(self, core: Any, terms: list[np.ndarray]) -> Iterator[None]:
        """Let backward passes of ``core`` add the gradients of the candidates to their ``terms``."""
        if self._watched is None or not terms:
            yield
            return
        try:
            core.set_absent(self._watched.topology, *terms)
            yield
        finally:
            core.forget_absent()

    def finish(self) -> None:
        """Shrink weights, add noise and move synapses after the optimiser step of a mini-batch with `begin`."""
        for p in self._projections:
            if _rewiring(p).l1 > 0.0 or _rewiring(p).noise > 0.0:
                _perturb(self._arrays, p)
        watched, self._watched = self._watched, None
        for step in (watched, self._drawn("random", self._arrays.updates)):
            if step is not None:
                self._move_all(step)

    def _move_all(self, step: _Step) -> None:
        began = time.perf_counter()
        try:
            for p, share in step.moving:
                _move(self._arrays, step, p, share)
        finally:
            self._arrays.note_moved()
        self._timer.add_since("rewiring", began)

    def moved(self, p: Projection) -> Moved:
        """See `Simulator.moved`."""
        arrays, moves = self._arrays, self._arrays.moves
        if not arrays.built.rewired:
            return Moved(0, 0, 0.0, np.full(arrays.exchange.count(p.index), round(self.now)))
        order = synapse_order(arrays, p.index).where
        born = of_all_ranks(arrays, p, [moves.born[order]])[0]
        turnover = float((born > 0).mean()) if born.size else 0.0
        ages = np.rint((self._clock - born) * self._unit).astype(np.int64)
        return Moved(int(moves.moved[p.index]), int(moves.last[p.index]), turnover, ages)

    def _moving(self, grow: str, time_: int) -> list[tuple[Projection, float]]:
        """Projections that move synapses after a mini-batch or a step, and the share that moves; none if nothing learns."""
        if self._arrays.rate_factor == 0.0:
            return []
        due = [p for p in self._projections if _rewiring(p).grow == grow and time_ % self._every(p) == 0]
        shares = [(p, _rewiring(p).share(time_ * self._unit, self.training)) for p in due]
        return [(p, share) for p, share in shares if share > 0.0]

    def _drawn(self, grow: str, time_: int) -> _Step | None:
        """The candidates of all projections that move synapses after a mini-batch, or a step."""
        return self._drawn_for(self._moving(grow, time_), time_)

    def _drawn_for(self, moving: list[tuple[Projection, float]], time_: int) -> _Step | None:
        """Draw candidates for projections and the shares of their synapses that move."""
        return self._placed(
            moving, time_, partial(self._candidates.drawn, time_, {p.index: share for p, share in moving})
        )

    def _placed(self, moving: list[tuple[Projection, float]], time_: int, give: Give) -> _Step | None:
        if not moving:
            return None
        began, arrays = time.perf_counter(), self._arrays
        absent = placed(arrays.built, [p for p, _ in moving], give, arrays.threads)
        self._timer.add_since("rewiring", began)
        return _Step(time_, moving, absent, topology_with(arrays, absent))

    def _grown_silently(self, time_: int) -> _Step | None:
        """Silent synapses as candidates, with their gradients since they were made."""
        moving = self._moving("gradient", time_)
        given = {p.index: self._candidates.silent(p, self._silent[p.index], time_) for p, _ in moving}
        return self._placed(moving, time_, giving(self._arrays.built, given))


def _shape(arrays: Arrays, p: Projection) -> tuple[np.ndarray, np.ndarray]:
    """Branches and targets of a projection for the core, and the signs of its classes."""
    own, (begin, end) = (
        Branches.of(arrays.built, p),
        arrays.built.topology.populations[["target_begin", "target_end"]][p.post.index],
    )
    shape = own.first, own.sources, own.delays, len(own.signs), begin, end
    return np.array(shape, np.int64), np.array(own.signs, np.int64)


def _warn_of_few(arrays: Arrays, comm: Communicator, p: Projection) -> None:
    """Warn if the share that a target moves at first rounds to no synapse."""
    targets, rewiring = synapse_order(arrays, p.index).targets, _rewiring(p)
    most = max(comm.gather(int(np.max(np.bincount(targets), initial=0))))
    if rewiring.drop == "weight" and rewiring.fraction * most < 0.5 and most and comm.rank == 0:
        warn(
            f"{p.name}: no synapse moves, because Rewiring(fraction={rewiring.fraction:g}) of the {most} synapses of a target "
            f"rounds to none: take fraction={math.ceil(50.0 / most) / 100.0:g} or more"
        )


def _perturb(arrays: Arrays, p: Projection) -> None:
    """Shrink the weights of a projection, and add noise."""
    rewiring, ranks = _rewiring(p), arrays.built.rank_partition
    groups = arrays.built.groups[arrays.built.delay_groups[p.index]]
    seed = random.derive(arrays.network.seed, random.WEIGHT, p.index, arrays.updates)
    lib.perturb(
        arrays.core, *_shape(arrays, p), np.stack([groups["w_min"], groups["w_max"]]),
        ranks.global_ids(p.pre), ranks.own(p.post)[0], rewiring.l1, rewiring.noise, seed, arrays.threads,
    )  # fmt: skip


def _move(arrays: Arrays, step: _Step, p: Projection, share: float) -> None:
    """Move a share of the synapses of a projection."""
    rewiring = _rewiring(p)
    drop = lib.Drop.weight if rewiring.drop == "weight" or is_silent(p) else lib.Drop.zero
    by_gradient = rewiring.grow == "gradient" and not is_silent(p)
    moved = lib.rewire(
        arrays.core, step.topology, step.absent.values,
        *_shape(arrays, p), drop, share, by_gradient, step.time, arrays.threads,
    )  # fmt: skip
    moved = arrays.exchange.total(moved)
    arrays.moves.moved[p.index] += moved
    arrays.moves.last[p.index] = moved


def topology_with(arrays: Arrays, tables: Synapses) -> Any:
    """The topology with other connections."""
    topology = arrays.built.topology
    return type(topology)(**topology.arrays() | {"branch_start": tables.branch_start, "targets": tables.targets})


def _rewiring(p: Projection) -> Rewiring:
    assert p.rewiring is not None
    return p.rewiring
