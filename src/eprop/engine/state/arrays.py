"""Working arrays of a simulator: the built network, all state that changes while it runs, and the online loop of the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.engine.build.levels import round_to_nearest, store_levels, weights_of_levels
from eprop.engine.build.records import LEARN_AT_SPIKES, out_degrees
from eprop.engine.ranks.exchange import Exchange
from eprop.engine.ranks.gathering import StateGatherer
from eprop.engine.state.constants import Constants
from eprop.engine.state.storage import arrays_of, make_axons, make_history, make_neurons, make_synapses
from eprop.engine.state.wiring import Moves
from eprop.network import Network
from eprop.parameters import Floats

#: The core's loop over time of a network that learns at every spike, or does not learn.
Online = lib.OnlineDouble | lib.OnlineSingle
_ONLINE: dict[np.dtype, type[lib.OnlineDouble] | type[lib.OnlineSingle]] = {
    np.dtype(np.float64): lib.OnlineDouble,
    np.dtype(np.float32): lib.OnlineSingle,
}


class Arrays:
    """Data that the parts of a simulator share.

    Parameters
    ----------
    network : Network
    built : Built
    threads : int
    timed : bool
        Whether to time the phases.

    Attributes
    ----------
    exchange : Exchange
    gatherer : StateGatherer
    synapses, axons, neurons, history
        Of the running network, see `eprop.engine.state.storage`. `reset` replaces all of these except the synapses.
    constants : Constants
        Constants that learn.
    online : Online
        The core's loop over time on these arrays; it has the clock ``t`` (steps), ``events`` and the spike log.
    updates : int
        Optimiser steps so far (e-prop).
    learned_steps : int
        Steps of all training samples so far (e-prop): clock of the random spikes. Where synapses that learn at spikes move,
        steps in which the network has learned: clock of their moves.
    given_steps : int
        Steps of the samples for which `Simulator.gradients` drew random numbers since that clock has moved.
    weight_changes, wiring_changes : int
        Number of changes of weights between runs, and of connections, for owners of copies.
    moves : Moves
        What moved, in a network with rewiring.
    current_effects : dict
        How a current acts on the neurons of a population, by its index, once it was needed (`eprop.engine.run.core_inputs`).
    """

    def __init__(self, network: Network, built: Built, threads: int, timed: bool = False):
        self.network, self.built, self.threads, self.timed = network, built, threads, timed
        self.exchange = Exchange(built)
        self.gatherer = StateGatherer(network, built, built.synapse_counts)
        self.synapses, self.axons, self.neurons = (
            make_synapses(built, built.weight),
            make_axons(built),
            make_neurons(built),
        )
        self.history = make_history(built, built.max_delay)
        self.constants = Constants(network, built)
        self.online = self._make_online()
        self.updates = self.learned_steps = self.given_steps = self.weight_changes = self.wiring_changes = 0
        self.moves = Moves.of(network, built)
        self.current_effects: dict[int, tuple[Floats, Floats, int]] = {}
        self.measure_offsets(range(len(built.topology.groups)))
        self.tie_feedback()

    def _make_online(self) -> Online:
        built, make = self.built, _ONLINE[self.synapses.weight.dtype]
        online = make(
            built.topology, self.synapses, self.axons, self.neurons, self.history, built.learning.at_spikes, self.timed
        )
        online.collect = self.exchange.several
        return online

    def online_at_rest(self, weight: np.ndarray) -> Online:
        """Return a copy of the network at rest that does not learn, next to the running one."""
        built, neurons = self.built, make_neurons(self.built)
        neurons.feedback = self.neurons.feedback
        synapses, axons, history = (
            replace(self.synapses, weight=weight, levels=np.zeros(0, np.int8), wide_levels=np.zeros(0, np.int16)),
            make_axons(built, learns=False),
            make_history(built, built.max_delay, learns=False),
        )
        online = _ONLINE[weight.dtype](built.topology, synapses, axons, neurons, history, False, False)
        online.collect = self.exchange.several
        return online

    @property
    def t(self) -> int:
        """Steps since the start."""
        return self.online.t

    @property
    def events(self) -> int:
        """Synaptic events since the start."""
        return self.online.events

    def noise_clocks(self, n_steps: int, index: np.ndarray, learn: bool) -> np.ndarray:
        """First step of the random spikes of each sample: training samples continue, other samples always start at 0."""
        return index * n_steps + (self.learned_steps if learn else 0)

    def reset(self) -> None:
        """See `Simulator.reset`."""
        self.materialise_weights()
        feedback, offset, events = self.neurons.feedback, self.neurons.feedback_offset, self.online.events
        self.axons, self.neurons, self.history = (
            make_axons(self.built),
            make_neurons(self.built),
            make_history(self.built, self.built.max_delay),
        )
        self.neurons.feedback, self.neurons.feedback_offset = feedback, offset
        for trace in (self.synapses.trace, self.synapses.trace_reg, self.synapses.trace_reward, self.synapses.own):
            trace[...] = 0.0
        if self.built.learning.eprop_plus:
            self.synapses.pending[:] = 0.0
            self._restart_optimizers()
        self.online = self._make_online()
        self.online.events = events
        self.tie_feedback()

    def _restart_optimizers(self) -> None:
        """Clear the moments of synapses that learn at spikes, because their optimisers count the network's steps."""
        groups = self.built.groups
        learning_branches = int(groups["n_branches"][np.isin(groups["rule"], LEARN_AT_SPIKES)].sum())  # they come first
        for part in self.built.topology.branch_start:
            learning = slice(part[0], part[learning_branches])
            for moments in (self.synapses.moment_1, self.synapses.moment_2):
                moments[learning] = 0.0

    def effective_weights(self) -> np.ndarray:
        """Weights of all synapses as of their last spikes; e-prop+ stores the weights of the start of a block."""
        if self.built.learning.eprop_plus:
            return self.online.effective_weights()
        stored, built = self.synapses.stored, self.built
        if stored is self.synapses.weight:
            return stored
        return weights_of_levels(
            built.formats, self.network, built.groups, built.topology.branch_start, stored, built.dtype
        )

    def store_weights(self, weight: np.ndarray) -> None:
        """Store all weights (synapses,), rounded if the network stores levels."""
        stored, built = self.synapses.stored, self.built
        if stored is self.synapses.weight:
            stored[:] = weight
        else:
            store_levels(built.formats, self.network, built.groups, built.topology.branch_start, weight, stored)

    def materialise_weights(self) -> None:
        """Store all weights as they are seen from outside, until the next spike."""
        if self.built.learning.eprop_plus:
            self.online.materialise_weights()

    def round_weights(self) -> None:
        """Round weights of few bits to the nearest level; stored levels are so already."""
        built = self.built
        if self.synapses.stored is not self.synapses.weight:
            return
        for p in self.network.projections:
            if p.name in built.formats:
                rows, starts = built.delay_groups[p.index], built.topology.branch_start
                round_to_nearest(built.formats[p.name], built.groups, rows, starts, self.synapses.weight)

    def tie_feedback(self, groups: Sequence[int] | None = None) -> None:
        """Make symmetric and adaptive feedback follow the weights: all, or some delay groups of one projection.

        While e-prop+ learns, the core updates the feedback for branches that spike; other branches wait for their next spike.
        """
        if not self.neurons.feedback.size:
            return
        table = self.built.topology.groups
        chosen = np.full(len(table), groups is None)
        if groups:  # groups onto the same readouts add up
            first = table[groups[0]]
            chosen |= (table["source_population"] == first["source_population"]) & (
                table["target_begin"] == first["target_begin"]
            )
        self.online.tie_feedback(chosen)

    def note_moved(self) -> None:
        """Restore what follows from the connections after some have moved."""
        built = self.built
        built.topology.out_degrees[...] = out_degrees(built.populations, built.groups, built.topology.branch_start)
        self.online.follow_connections()
        self.wiring_changes += 1
        self.weight_changes += 1

    def discard_gradients(self) -> None:
        """Forget the gradients of a mini-batch."""
        self.synapses.pending[:] = 0.0
        self.constants.pending[:] = 0.0

    def measure_offsets(self, groups: Sequence[int]) -> None:
        """Keep adaptive feedback unchanged after the weights of delay groups were set."""
        if groups and self.neurons.feedback_offset.size:
            self.online.measure_offsets(groups[0], groups[-1] + 1)

    def memory(self) -> dict[str, int]:
        """Return the bytes held by this rank, see `Simulator.memory`."""
        topology, own = self.built.topology, self.built.rank_partition
        grown = self.online.bytes()
        targets = topology.targets.nbytes + topology.near_targets.nbytes
        synapses = _bytes(arrays_of(self.synapses).values()) + targets + self.moves.born.nbytes
        propagators = _bytes(arrays_of(self.history).values()) + grown["spike_log"] + grown["post_spikes"]
        axons = _bytes(arrays_of(self.axons).values()) + topology.branch_start.nbytes
        axons += grown["spike_records"] + grown["deliveries"]
        rest = _bytes(topology.arrays().values()) - targets - topology.branch_start.nbytes
        rest += _bytes((*arrays_of(self.neurons).values(), own.bits, own.counts))
        return {"synapses": synapses, "propagators": propagators, "axons": axons, "rest": rest}


def _bytes(values: Any) -> int:
    return int(sum(value.nbytes for value in values if isinstance(value, np.ndarray)))
