"""The working arrays of a simulator: what the build made of the network, and all that changes while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eprop.engine.build import Built
from eprop.engine.compile import Loops, loops
from eprop.engine.degrees import degrees
from eprop.engine.division import use_threads
from eprop.engine.options import Options
from eprop.engine.order import count_here
from eprop.engine.ranks import Ranks
from eprop.engine.state import (
    Nodes,
    axons_of,
    history_of,
    neurons_of,
    scratch_of,
    synapses_of,
    with_room,
    with_rows_of,
    with_tables,
)
from eprop.engine.timers import PHASES, phases_of
from eprop.engine.whole import Whole
from eprop.kernels import layout as lay
from eprop.kernels.anchors import see_weights
from eprop.kernels.axons import follow_now
from eprop.kernels.layout import Scratch, Topology
from eprop.kernels.mirrors import measure_gaps, mirror_feedback
from eprop.network import Network


class Arrays:
    """Everything that the parts of a simulator share, and nothing of what they do.

    Parameters
    ----------
    network : Network
    built : Built
    threads : int
    timed : bool
        Whether phases are timed.

    Attributes
    ----------
    ranks : Ranks
    whole : Whole
    outbox : Outbox
        Own spikes of a slice, for the other ranks.
    synapses, axons, neurons, history, scratch
        Of the network as it runs on, see `eprop.kernels.layout`. All but the synapses may be replaced by others.
    counters : (2,) int64
        Steps and synaptic events since the start.
    updates : int
        Optimiser steps taken (e-prop).
    learned_steps : int
        Steps of all samples that were learned from (e-prop): where random spikes go on.
    seconds : dict
        What calls, and phases of a step, took by the wall clock.
    static_topology : Topology
        The tables with every rule static.
    degrees : (sources,) int64
        Synapses of each source, see `eprop.engine.degrees`.
    """

    def __init__(self, network: Network, built: Built, threads: int, timed: bool = False):
        self.network, self.built, self.threads, self._timed = network, built, threads, timed
        self.ranks = Ranks(built)
        self.outbox = self.ranks.outbox()
        self.whole = Whole(
            network, built, np.array([count_here(built, p.index) for p in network.projections], np.int64)
        )
        self.synapses, self.axons, self.neurons = synapses_of(built), axons_of(built), neurons_of(built)
        self.history, self.scratch = history_of(built), scratch_of(built, timed=timed)
        self._with_tables: Scratch | None = None
        self._loops: Loops | None = None
        self.static_topology = _without_learning(built)
        self.degrees = degrees(built)
        self.counters, self.updates, self.learned_steps = np.zeros(2, np.int64), 0, 0
        self.seconds = dict.fromkeys((*PHASES, "messages", "samples", "update"), 0.0)
        self.measure_gaps(list(range(len(built.topology.projections))))
        self.mirror()

    def read_clock(self, seconds: float) -> None:
        """Add the phases of a call that took ``seconds``, and set the clock back: each call has its own length of a tick."""
        if self._timed:
            for name, found in phases_of(self.scratch.clock, seconds).items():
                self.seconds[name] += found
            self.scratch.clock[:] = 0

    @property
    def t(self) -> int:
        """Steps since the start."""
        return int(self.counters[lay.COUNT_STEPS])

    @property
    def events(self) -> int:
        """Synaptic events since the start."""
        return int(self.counters[lay.COUNT_EVENTS])

    def noise_clocks(self, n_steps: int, index: np.ndarray, learn: bool) -> np.ndarray:
        """From which steps on the random spikes of samples are drawn: those learned from go on, others always ask the same."""
        return index * n_steps + (self.learned_steps if learn else 0)

    def reset(self) -> None:
        """See `Simulator.reset`."""
        self.unfold()
        self.axons = axons_of(self.built)
        self.neurons = neurons_of(self.built)._replace(feedback=self.neurons.feedback, gap=self.neurons.gap)
        self.history = history_of(self.built)
        self.scratch = scratch_of(self.built, timed=self._timed)
        self._with_tables = None
        for trace in (self.synapses.trace, self.synapses.trace_reg, self.synapses.hidden):
            trace[:] = 0.0
        if self.built.has_plus:
            self.synapses.pending[:] = 0.0
            self._restart_optimizers()
        self.counters[lay.COUNT_STEPS] = 0
        self.mirror()

    def _restart_optimizers(self) -> None:
        """Forget the moments of synapses that learn at spikes: their optimisers count the network's steps."""
        for part in self.built.topology.indptr:
            learning = slice(part[0], part[self.built.learning_rows])
            for moments in (self.synapses.moment_1, self.synapses.moment_2):
                moments[learning] = 0.0

    def keep(self, nodes: Nodes) -> None:
        """Go on with these nodes after a call: there may be more room for spikes and for rows."""
        self.history = nodes.history
        self.scratch = with_rows_of(self.scratch, nodes.scratch)
        if self._with_tables is not None:
            self._with_tables = with_rows_of(self._with_tables, nodes.scratch)

    def follow(self) -> None:
        """Let axons know all spikes that are logged, if some synapse learns from them."""
        if not self.built.learns_at_spikes:
            return
        nodes = Nodes(self.axons, self.neurons, self.history, self.scratch)
        while not follow_now(self.t, self.built.topology, *nodes[::2]):
            nodes = with_room(nodes, self.built, self.built.topology, self.t, self.outbox)
        self.keep(nodes)

    def tabled(self) -> Scratch:
        """Work space with tables of synapses, where they pay; a call must be long to be worth the way there and back."""
        if self._with_tables is None:
            self._with_tables = with_tables(self.built, self.scratch)
        return self._with_tables

    def loops(self) -> Loops:
        """Compiled loops for this network, with its threads."""
        use_threads(self.threads)
        if self._loops is None:
            b, several = self.built, self.threads > 1
            divided = several and b.topology.indptr.shape[0] > 1
            self._loops = loops(
                b.models, Options(b.kinds, b.two_kappas, b.moments_plus, b.each_step, b.has_stdp, divided, several)
            )
        return self._loops

    def topology(self, frozen: bool) -> Topology:
        """Tables for a run: with learning, with running traces but frozen weights, or without any plasticity."""
        if not self.built.learns_at_spikes:
            return self.static_topology
        if not frozen:
            return self.built.topology
        floats = self.built.topology.projection_floats.copy()
        floats[:, lay.PF_ETA] = 0.0
        return self.built.topology._replace(projection_floats=floats)

    def seen_weights(self) -> np.ndarray:
        """Weights of all synapses, as of their last changes: those of e-prop+ are kept otherwise, see `kernels.anchors`."""
        if not self.built.has_plus:
            return self.synapses.weight
        out = self.synapses.weight.copy()
        see_weights(self.t, self.built.topology, self.synapses, self.axons, self.history, out)
        return out

    def unfold(self) -> None:
        """Keep all weights as they are seen from outside, until the next spike."""
        if self.built.has_plus:
            # In place: a copy of all weights might not fit.
            see_weights(self.t, self.built.topology, self.synapses, self.axons, self.history, self.synapses.weight)
            self.history.eta[:] = 0.0

    def mirror(self, tracts: Sequence[int] | None = None) -> None:
        """Let symmetric and adaptive feedback follow the weights: all, or those of some tracts of one projection.

        Where e-prop+ learns it follows those of rows that spike, see `mirror_rows`; the others wait for their next spike.
        """
        table, neurons = self.built.topology.projections, self.neurons
        chosen = np.full(len(table), tracts is None)
        if tracts:
            ends = table[:, [lay.PRO_PRE, lay.PRO_LO]]
            chosen |= (ends == ends[tracts[0]]).all(axis=1)  # those onto the same readouts add up
        mirror_feedback(
            chosen, self.built.topology, self.synapses.weight, neurons.feedback, neurons.gap, neurons.psi.size
        )

    def measure_gaps(self, tracts: list[int]) -> None:
        """Let adaptive feedback stay as it is where weights were set from outside."""
        first, stop = (tracts[0], tracts[-1] + 1) if tracts else (0, 0)
        neurons = self.neurons
        measure_gaps(
            first, stop, self.built.topology, self.synapses.weight, neurons.feedback, neurons.gap, neurons.psi.size
        )

    def memory(self) -> dict[str, int]:
        """Bytes held by this rank, see `Simulator.memory`."""
        topology, scratch, share = self.built.topology, self.scratch, self.built.share
        synapses = sum(a.nbytes for a in self.synapses) + topology.targets.nbytes
        # Records are seen as integers and as floats, but are there once.
        sent = self.history.sent.nbytes
        maps = sum(a.nbytes for a in self.history if isinstance(a, np.ndarray)) - 2 * sent
        rows = sum(a.nbytes for a in (scratch.order, scratch.due, scratch.row_z, scratch.due_floats))
        axons = self.axons.z.nbytes + sent + rows + topology.indptr.nbytes
        rest = sum(a.nbytes for a in topology) - topology.targets.nbytes - topology.indptr.nbytes
        rest += sum(a.nbytes for a in (*self.neurons, share.bits, share.counts))
        return {"synapses": int(synapses), "maps": int(maps), "axons": int(axons), "rest": int(rest)}


def _without_learning(built: Built) -> Topology:
    """The same tables with every rule static."""
    projections, populations = built.topology.projections.copy(), built.topology.populations.copy()
    projections[:, lay.PRO_RULE] = lay.STATIC
    populations[:, [lay.POP_GROUP, lay.POP_STDP]] = -1
    nobody, none = np.full_like(built.topology.listeners, -1), np.full_like(built.topology.signal_groups, -1)
    return built.topology._replace(
        projections=projections, populations=populations, listeners=nobody, signal_groups=none
    )
