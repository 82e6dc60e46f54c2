"""Allocate what changes during a run: synapse traces, axons, neurons, histories, work space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eprop._jit import WIDE, record_size
from eprop.engine.rows import PAD, TABLE_FROM, aligned, dense_tables, room_for_sums, walks_of
from eprop.kernels import layout as lay
from eprop.kernels.clock import COLUMNS
from eprop.kernels.exchange import Outbox
from eprop.kernels.layout import Axons, History, Neurons, Scratch, Synapses
from eprop.kernels.records import EXTRA_ROWS
from eprop.kernels.stdp import posts_full

if TYPE_CHECKING:
    from eprop.engine.build import Built

# Room for the last spikes of each neuron to begin with; and the step of a spike that has not happened.
FIRST_POSTS = 8
NEVER = -(1 << 62)


def power_of_two(n: int) -> int:
    """Smallest power of two that is at least ``n``: rings are indexed by a mask."""
    return 1 << max(int(n) - 1, 0).bit_length()


def synapses_of(built: Built) -> Synapses:
    """Synapse arrays; only those that the rules of the network need have a length."""
    n, dtype = built.weight.size, built.weight.dtype
    none = np.zeros(0, dtype)
    return Synapses(
        weight=built.weight,
        trace=np.zeros(n, dtype) if built.has_plus else none,
        trace_reg=np.zeros(n, dtype) if built.two_kappas else none,
        hidden=np.zeros((built.n_hidden, n), dtype),
        pending=np.zeros(n, dtype) if built.has_eprop or built.moments_plus else none,
        moment_1=np.zeros(n, dtype) if built.moments[0] else none,
        moment_2=np.zeros(n, dtype) if built.moments[1] else none,
    )


def filters_of(built: Built) -> int:
    """How many filters the spikes of an axon pass."""
    return max(built.topology.arrivals.shape[1], int(built.has_stdp))


def axons_of(built: Built) -> Axons:
    """No axon has spiked yet."""
    # Two at least, with a filter: columns of one record, or none, would be contiguous, to the compiler a type of their own.
    n, filters = built.learning_rows, max(filters_of(built), 1)
    records = aligned((max(n, 2), lay.AX_FILTERED + 2 * filters))
    whole, (at, end) = records.view(np.int64), (lay.AX_FILTERED, lay.AX_FILTERED + filters)
    whole[:, lay.AX_LAST] = -1
    return Axons(
        last=whole[:, lay.AX_LAST],
        z_bar=records[:, at:end].T,
        z_before=records[:, end:].T,
        steps=whole[:, lay.AX_STEPS],
        fold=records[:, lay.AX_FOLD],
        arriving=whole[:, lay.AX_ARRIVING],
    )


def neurons_of(built: Built) -> Neurons:
    """All nodes at rest."""
    n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
    return Neurons(
        state=built.initial.copy(),
        input=aligned((n + k,)),
        psi=aligned((n,)),
        signal=aligned((n,)),
        rate=aligned((2, n)),
        y=built.topology.readouts[lay.READ_START].copy(),
        feedback=built.feedback.copy(),
        gap=np.zeros(built.topology.adaptive.shape),
    )


def history_of(built: Built, learns: bool = True) -> History:
    """Empty rings, long enough for the cutoff (``learns``) and the longest delay."""
    n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
    sources, populations = n_sources(built), built.topology.populations.shape[0]
    plus = built.has_plus and learns
    width = lay.padded(n) if plus else 0
    maps = power_of_two(max(built.cutoff, built.block_steps) + 2) if plus else 1
    blocks = power_of_two(built.cutoff // built.block_steps + 3) if plus else 1
    pairs = built.has_stdp and learns
    past = power_of_two(max(built.cutoff if plus else 0, built.stdp_cutoff if pairs else 0) + built.max_delay + 3)
    kept = maps if built.crosses or built.each_step else 1
    entries, dtype = built.map_entries, built.weight.dtype
    prefix = aligned((2, entries, width))
    prefix[0] = built.topology.nothing[0] if plus else 0.0
    return History(
        prefix=prefix,
        parts=aligned((maps, entries, width), dtype),
        blocks=aligned((blocks, entries, width), dtype),
        tails=aligned((blocks if built.span_blocks else 1, entries if built.span_blocks else 0, width), dtype),
        steps=aligned((kept, 4, width)),
        readout_prefix=np.zeros((maps, k)),
        readout_block=np.zeros((blocks, k)),
        error=np.zeros((past, k)),
        log=np.zeros(power_of_two(2 * sources + 1024), np.int32),
        log_start=np.zeros((past, populations + 1), np.int64),
        block_steps=built.block_steps,
        span_blocks=built.span_blocks,
        post_times=np.full((n if pairs else 0, FIRST_POSTS), NEVER, np.int64),
        post_trace=np.zeros((power_of_two(2 * built.max_delay + 2), n if pairs else 0)),
        post_span=built.stdp_cutoff + 2 * built.max_delay,
    )


def with_room(built: Built, history: History, t: int) -> History:
    """The same history with twice the room for what had none left in step ``t``: postsynaptic spikes, or the log."""
    none = Outbox(np.zeros((1, 0), np.int32), np.zeros((0, 0), np.int64), np.zeros(1, np.int64))
    if posts_full(t, built.topology, history, none):
        return with_longer_posts(history)
    return grown(history, t)


def with_ended_posts(history: History, t: int) -> History:
    """The same history, its searches for postsynaptic spikes certain to end: for a state from outside."""
    full = history.post_times.size and history.post_times[:, -1].max() > t - history.post_span
    return with_longer_posts(history) if full else history


def with_longer_posts(history: History) -> History:
    """Room for twice as many postsynaptic spikes per neuron."""
    older = np.full_like(history.post_times, NEVER)
    return history._replace(post_times=np.concatenate([history.post_times, older], axis=1))


def grown(history: History, t: int) -> History:
    """The same history with twice the room in the log of spikes; positions in it stay valid."""
    old, mask = history.log, history.log.size - 1
    log = np.zeros(2 * old.size, np.int32)
    ring = history.log_start.shape[0]
    newest = int(history.log_start[(t - 1) % ring, -1]) if t else 0
    positions = np.arange(max(newest - old.size, 0), newest)
    log[positions & (log.size - 1)] = old[positions & mask]
    return history._replace(log=log)


def scratch_of(built: Built, learns: bool = True, timed: bool = False) -> Scratch:
    """Work space of the streaming loop; ``timed``: with a clock of its phases."""
    topology = built.topology
    n, rows, learning = topology.params.shape[1], topology.indptr.shape[1] - 1, built.learning_rows
    partitions, projections = topology.indptr.shape[0], topology.projections.shape[0]
    plus, learns = built.has_plus and learns, built.learns_at_spikes and learns
    groups, entries, width = topology.groups.shape[0], built.map_entries, lay.padded(n) if plus else 0
    blocks, dtype = power_of_two(built.cutoff // built.block_steps + 3) if plus else 1, built.weight.dtype
    return Scratch(
        order=np.zeros(rows, np.int32),
        listed=np.zeros(rows if plus else 0, np.int32),
        places=np.zeros(built.cutoff + 4 if plus else 0, np.int64),
        order_start=np.zeros(projections + 1, np.int64),
        due=np.zeros(learning if learns else 0, np.int32),
        due_start=np.zeros(projections + 1, np.int64),
        maps=aligned((1, entries, width), dtype),
        ahead=aligned((blocks, entries, width), dtype),
        near=aligned((built.block_steps if built.crosses else 1, entries if built.crosses else 0, width), dtype),
        known=np.zeros((partitions, groups, blocks), np.bool_),
        known_in=np.full((partitions, groups), -1, np.int64),
        near_from=np.full((partitions, groups, 2), -1, np.int64),
        due_maps=aligned((1, entries, width), dtype),
        due_before=aligned((1, entries if built.crosses else 0, width), dtype),
        due_found=np.full((partitions, groups), -1, np.int64),
        jumps=aligned((1, built.jump_entries, width), dtype),
        jumped=np.full((partitions, groups), -1, np.int64),
        jump_records=aligned((1, width, record_size(built.jump_entries)), dtype),
        jumps_laid=np.full((partitions, groups), -1, np.int64),
        records=aligned((blocks + EXTRA_ROWS, width, record_size(entries)), dtype),
        laid=np.full((partitions, groups, blocks + EXTRA_ROWS), -1, np.int64),
        totals=aligned((width,)),
        z_ahead=np.zeros((topology.arrivals.shape[1], rows if plus else 0)),
        gradient=np.zeros(topology.readouts.shape[1]),
        spikes=np.zeros((partitions, n), np.int32),
        spike_count=np.zeros((partitions, topology.populations.shape[0]), np.int64),
        dense_at=np.full(projections, -1, np.int64),
        dense_width=np.zeros(projections, np.int64),
        dense_weight=aligned((0,), built.weight.dtype),
        dense_trace=aligned((0,), built.weight.dtype),
        n_sources=n_sources(built),
        clock=np.zeros((partitions + 1 if timed else 0, COLUMNS), np.int64),
    )


def n_sources(built: Built) -> int:
    """Number of nodes that can spike."""
    table = built.topology.populations
    return int(table[table[:, lay.POP_ROLE] != lay.READOUT, lay.POP_SIZE].sum())


def with_tables(built: Built, scratch: Scratch) -> Scratch:
    """The same work space with room for the tables of e-prop+ (`kernels.plastic_dense`), where they pay and are known."""
    rows = built.topology.projections
    plain = len(built.kinds) == 1 and built.kinds[0][:2] == (1, 0) and not (built.two_kappas or built.moments_plus)
    # Rows of several tracts are sorted together: there is no one table for them.
    alone = np.bincount(rows[:, lay.PRO_LEADER], minlength=len(rows)) == 1
    wanted = (rows[:, lay.PRO_RULE] == lay.EPROP_PLUS) & (rows[:, lay.PRO_TO_READOUT] == 0) & plain & alone
    at, width, size = dense_tables(built, wanted, TABLE_FROM)
    dtype = built.weight.dtype
    return scratch._replace(
        dense_at=at, dense_width=width, dense_weight=aligned((size,), dtype), dense_trace=aligned((size,), dtype)
    )


class Lanes:
    """Work space for samples side by side: one network state, spike log and history per lane."""

    def __init__(self, built: Built, lanes: int, n_steps: int, learns: bool, log_size: int, threads: int):
        n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
        sources, populations = n_sources(built), built.topology.populations.shape[0]
        dtype = built.weight.dtype
        self.shape = (lanes, n_steps, learns)
        self.state = np.zeros((lanes, built.initial.shape[0], n))
        self.walks = walks_of(built)
        # Rows of tables are padded with zeros, and so what they are added to.
        self.x, self.y = aligned((lanes, -(-(n + k) // PAD) * PAD + PAD)), np.zeros((lanes, k))
        self.spikes = np.zeros((lanes, n), np.int32)
        self.log = np.zeros((lanes, log_size), np.int32)
        self.starts = np.zeros((lanes, n_steps, populations + 1), np.int64)
        # What is summed at a time may end behind the last neuron.
        self.psi = aligned((lanes, n_steps if learns else 1, -(-(n + WIDE - 1) // PAD) * PAD), dtype)
        self.error = np.zeros((lanes, n_steps, k))
        self.work = np.zeros((lanes, 4 + 2 * built.n_components, n))
        self.adjoint_readout = np.zeros((lanes, n_steps if learns else 1, k), dtype)
        self.first = np.zeros((lanes, sources + 1), np.int64)
        self.steps = np.zeros((lanes, log_size if learns else 0), np.int32)
        # Sums of gradients: of whole rows of targets, and of synapses.
        self.totals = np.zeros((threads if learns else 0, self.psi.shape[2]), dtype)
        self.sums = aligned((threads, room_for_sums(built, self.walks, threads) if learns else 0), dtype)

    def grow(self, keep: bool = False) -> None:
        """Twice the room for spikes; those of before may be needed still (``keep``)."""
        lanes, size = self.log.shape
        before, self.log = self.log, np.zeros((lanes, 2 * size), np.int32)
        if keep:
            self.log[:, :size] = before
        self.steps = np.zeros((lanes, 2 * size if self.shape[2] else 0), np.int32)
