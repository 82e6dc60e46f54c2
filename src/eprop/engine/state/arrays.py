"""Working arrays of a simulator: the built network, the network of the core, and the loop that runs it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.levels import round_to_nearest, store_levels, weights_of_levels
from eprop.engine.build.records import NETWORKS, ONLINE, Online, out_degrees
from eprop.engine.ranks.exchange import Exchange
from eprop.engine.state.access import OneThread
from eprop.engine.state.constants import Constants
from eprop.network import Network
from eprop.parameters import Floats


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
    access : OneThread
        Who may use these arrays.
    constants : Constants
        Constants that learn.
    core : lib.NetworkDouble or lib.NetworkSingle
        The network of the core, which both loops over time borrow: weights, what learning keeps for each synapse, and feedback.
    synapses, moves : lib.SynapsesDouble or lib.SynapsesSingle, lib.Moves
        Its arrays with one entry per synapse, and what rewiring has moved.
    online : Online
        The core's loop over time, with the clock ``t`` (steps), ``events`` and the spike log.
    neurons : lib.NeuronsDouble or lib.NeuronsSingle
        Its arrays of nodes that receive input.
    updates : int
        Optimiser steps so far (e-prop).
    learned_steps : int
        Steps of all training samples so far (e-prop): clock of the random spikes. Where synapses that learn at spikes move,
        steps in which the network has learned: clock of their moves.
    rate_factor : float
        Factor of all learning rates, see `Simulator.scale_learning_rates`.
    weight_changes, wiring_changes : int
        Number of changes of weights between runs, and of connections, for owners of copies.
    current_effects : dict
        How a current acts on the neurons of a population, by its index, once it was needed (`eprop.engine.run.samples`).
    """

    def __init__(self, network: Network, built: Built, threads: int, timed: bool = False):
        self.network, self.built, self.threads = network, built, threads
        self.exchange = Exchange(built)
        self.access = OneThread(reads_wait=not self.exchange.several)
        sizes = built.in_core(built.weight.size, built.max_delay)
        self.core = NETWORKS[built.dtype](built.topology, sizes, built.weight, built.feedback)
        self.constants = Constants(network, built, self.core.constants)
        self.online: Online = ONLINE[built.dtype](self.core, timed, self.access)
        self.online.collect = self.exchange.several
        self.synapses, self.moves, self.neurons = self.core.synapses, self.core.moves, self.online.neurons
        self.updates = self.learned_steps = self.weight_changes = self.wiring_changes = 0
        self.rate_factor = 1.0
        self.current_effects: dict[int, tuple[Floats, Floats, int]] = {}
        self.measure_offsets(range(len(built.topology.groups)))
        self.tie_feedback()

    @property
    def stores_levels(self) -> bool:
        """Whether `Built.weight` has levels in place of weights."""
        return self.built.weight.dtype != self.built.dtype

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
        self.online.reset()
        self.tie_feedback()

    def effective_weights(self) -> np.ndarray:
        """Weights of all synapses as of their last spikes; e-prop+ stores the weights of the start of a block."""
        if self.built.learning.eprop_plus:
            return self.online.effective_weights()
        built = self.built
        if not self.stores_levels:
            return built.weight
        starts = built.topology.branch_start
        return weights_of_levels(built.formats, self.network, built.groups, starts, built.weight, built.dtype)

    def store_weights(self, weight: np.ndarray) -> None:
        """Store all weights (synapses,), rounded to levels."""
        built = self.built
        store_levels(built.formats, self.network, built.groups, built.topology.branch_start, weight, built.weight)

    def materialise_weights(self) -> None:
        """Store all weights as they are seen from outside, until the next spike."""
        if self.built.learning.eprop_plus:
            self.online.materialise_weights()

    def round_weights(self) -> None:
        """Round weights of few bits to the nearest level; stored levels are so already."""
        built = self.built
        if self.stores_levels:
            return
        for p in self.network.projections:
            if p.name in built.formats:
                rows, starts = built.delay_groups[p.index], built.topology.branch_start
                round_to_nearest(built.formats[p.name], built.groups, rows, starts, built.weight)

    def tie_feedback(self, groups: Sequence[int] | None = None) -> None:
        """Make symmetric and adaptive feedback follow the weights: all, or some delay groups of one projection.

        While e-prop+ learns, the core updates the feedback for branches that spike; other branches wait for their next spike.
        """
        if groups is None or groups:
            self.core.tie_feedback(-1 if groups is None else groups[0])

    def note_moved(self) -> None:
        """Restore what follows from the connections after some have moved."""
        built = self.built
        built.topology.out_degrees[...] = out_degrees(
            built.topology.populations, built.groups, built.topology.branch_start
        )
        self.online.follow_connections()
        self.wiring_changes += 1
        self.weight_changes += 1

    def discard_gradients(self) -> None:
        """Forget the gradients of a mini-batch."""
        self.synapses.pending[:] = 0.0
        self.core.constants.products[:] = 0.0

    def measure_offsets(self, groups: Sequence[int]) -> None:
        """Keep adaptive feedback unchanged after the weights of delay groups were set."""
        if groups:
            self.core.measure_offsets(groups[0], groups[-1] + 1)

    def memory(self) -> dict[str, int]:
        """Return the bytes held by this rank, see `Simulator.memory`."""
        topology, own, held = self.built.topology, self.built.rank_partition, self.online.bytes()
        targets = topology.targets.nbytes + topology.near_targets.nbytes
        starts = topology.branch_start.nbytes
        parts = {
            "synapses": held["synapses"] + targets + self.moves.born.nbytes,
            "propagators": sum(held[part] for part in ("history", "work", "log", "spike_log", "post_spikes")),
            "axons": held["axons"] + starts + held["spike_records"] + held["deliveries"],
        }
        return parts | {"rest": sum(held.values()) - sum(parts.values()) + own.bits.nbytes + own.counts.nbytes}
