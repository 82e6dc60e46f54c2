"""Allocate what changes during a run: synapse traces, axons, neurons, histories, work space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eprop._jit import record_size
from eprop.engine.rows import TABLE_FROM, aligned, dense_tables, latest, room_for_sums, row_width, walks_of
from eprop.kernels import layout as lay
from eprop.kernels.arrivals import rows_arriving
from eprop.kernels.axons import has_room
from eprop.kernels.clock import COLUMNS
from eprop.kernels.exchange import Outbox
from eprop.kernels.layout import Axons, History, Neurons, Scratch, Synapses, Topology
from eprop.kernels.records import EXTRA_ROWS
from eprop.kernels.stdp import posts_full

if TYPE_CHECKING:
    from eprop.engine.build import Built

# Room to begin with: for spikes that may be asked,
FIRST_SENT = 1024
# for rows with a spike in a step,
FIRST_ROWS = 1024
# and for the last spikes of each neuron; and the step of a spike that has not happened.
FIRST_POSTS = 8
NEVER = -(1 << 62)


class Nodes(NamedTuple):
    """What changes as a network runs on, beside its synapses."""

    axons: Axons
    neurons: Neurons
    history: History
    scratch: Scratch


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
    """How many numbers a filter of spikes has, one at least."""
    return max(built.topology.arrivals.shape[1], 1)


def slots_of(built: Built) -> int:
    """How many filters the spikes of an axon pass."""
    return built.topology.listeners.shape[1]


def axons_of(built: Built, learns: bool = True) -> Axons:
    """No axon has spiked yet; without learning at spikes (``learns``) nobody will ask."""
    n, slots, rows = (
        n_sources(built) if built.learns_at_spikes and learns else 0,
        slots_of(built),
        2 * filters_of(built),
    )
    # What belongs to one axon lies side by side: sources spike here and there.
    records = aligned((n, lay.AX_Z + slots * rows))
    times = records.view(np.int64)
    times[:, [lay.AX_LAST, lay.AX_AT]] = -1
    return Axons(followed=np.zeros(1, np.int64), times=times, z=records)


def sent_of(built: Built, size: int, learns: bool) -> dict[str, Any]:
    """Room for what so many spikes (a power of two) know of their sources, by the names of `History`."""
    n, slots, rows = size if built.learns_at_spikes and learns else 0, slots_of(built), lay.Z_PARTS * filters_of(built)
    records = aligned((n, lay.SENT_Z + slots * rows))
    return {"sent": records.view(np.int32), "sent_z": records}


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
    prefix = aligned((1 if kept == 1 else 2, entries, width))
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
        **sent_of(built, FIRST_SENT, learns),
        sent_steps=sent_steps(built),
        eta=np.zeros((built.topology.projections.shape[0], past)),
        block_steps=built.block_steps,
        span_blocks=built.span_blocks,
        post_times=np.full((n if pairs else 0, FIRST_POSTS), NEVER, np.int64),
        post_trace=np.zeros((power_of_two(2 * built.max_delay + 2), n if pairs else 0)),
        post_span=built.stdp_cutoff + 2 * built.max_delay,
    )


def with_room(nodes: Nodes, built: Built, topology: Topology, t: int, outbox: Outbox) -> Nodes:
    """The same nodes with more room for what had none left in step ``t``: spikes of steps before, rows, or spikes of this one."""
    followed, history = int(nodes.axons.followed[0]), nodes.history
    if len(history.sent) and not has_room(followed, history.sent_steps, len(history.sent), history.log_start):
        return nodes._replace(history=with_more_sent(built, history, followed))
    rows = rows_arriving(t, topology.projections, history.log_start)
    if rows > nodes.scratch.order.size:
        return nodes._replace(scratch=nodes.scratch._replace(**rows_of_step(built, 2 * rows)))
    if posts_full(t, topology, history, outbox):
        return nodes._replace(history=with_longer_posts(history))
    return nodes._replace(history=grown(history, t))


def sent_steps(built: Built) -> int:
    """Of so many steps back a spike is asked for the last time: when it may be due over the longest delay."""
    return max(built.cutoff, built.stdp_cutoff) + built.max_delay


def with_more_sent(built: Built, history: History, followed: int) -> History:
    """Twice the room for what spikes know, of which those of the last steps before ``followed`` may still be asked."""
    old, ring = len(history.sent), history.log_start.shape[0]
    new, positions = sent_of(built, 2 * old, learns=True), np.arange(0)
    if followed > 0:
        oldest = max(followed - history.sent_steps, 0)
        first, stop = history.log_start[oldest % ring, 0], history.log_start[(followed - 1) % ring, -1]
        positions = np.arange(max(first, stop - old), stop)
    for name, values in new.items():
        values[positions & (2 * old - 1)] = getattr(history, name)[positions & (old - 1)]
    return history._replace(**new)


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


# Of work space what there is for each row with a spike in a step.
ROWS = (
    "order", "last", "steps", "z_last", "z_before", "z_ahead", "due", "due_steps", "due_z", "due_z_before", "row_steps", "row_z",
    "due_numbers", "due_floats",
)  # fmt: skip


def columns(record: np.ndarray, first: int, rows: int) -> np.ndarray:
    """Numbers of records, from column ``first`` on, as an array (rows, records)."""
    return record[:, first : first + rows].T


def rows_of_step(built: Built, size: int, learns: bool = True) -> dict[str, Any]:
    """Room for so many rows with a spike in a step, by the names of `Scratch`."""
    # Two at least, or columns of one record would be contiguous, to the compiler a type of their own.
    filters, learning = filters_of(built), max(size, 2) if built.learns_at_spikes and learns else 2
    rows, due = aligned((learning, lay.ROW_Z + 3 * filters)), aligned((learning, lay.DUE_Z + 2 * filters))
    whole = rows.view(np.int64)
    return {
        "order": np.zeros(size, np.int32),
        "last": whole[:, lay.ROW_LAST],
        "steps": whole[:, lay.ROW_STEPS],
        "z_last": columns(rows, lay.ROW_Z, filters),
        "z_before": columns(rows, lay.ROW_Z + filters, filters),
        "z_ahead": columns(rows, lay.ROW_Z + 2 * filters, filters),
        "due": np.zeros(learning, np.int32),
        "due_steps": due.view(np.int64)[:, lay.DUE_STEPS],
        "due_z": columns(due, lay.DUE_Z, filters),
        "due_z_before": columns(due, lay.DUE_Z + filters, filters),
        "row_steps": whole,
        "row_z": rows,
        "due_numbers": due.view(np.int64),
        "due_floats": due,
    }


def with_rows_of(scratch: Scratch, other: Scratch) -> Scratch:
    """Work space with the room for rows of another one."""
    return scratch._replace(**{name: getattr(other, name) for name in ROWS})


def scratch_of(built: Built, learns: bool = True, timed: bool = False) -> Scratch:
    """Work space of the streaming loop; ``timed``: with a clock of its phases."""
    topology = built.topology
    n, rows = topology.params.shape[1], topology.indptr.shape[1] - 1
    partitions, projections = topology.indptr.shape[0], topology.projections.shape[0]
    plus = built.has_plus and learns
    groups, entries, width = topology.groups.shape[0], built.map_entries, lay.padded(n) if plus else 0
    blocks, dtype = power_of_two(built.cutoff // built.block_steps + 3) if plus else 1, built.weight.dtype
    return Scratch(
        **rows_of_step(built, min(rows + 2, FIRST_ROWS), learns),
        places=np.zeros(built.cutoff + 4 if plus else 0, np.int64),
        order_start=np.zeros(projections + 1, np.int64),
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
    # Rows of all delays are sorted together: there is no one table for them.
    alone = np.bincount(rows[:, lay.PRO_LEADER], minlength=len(rows)) == 1
    wanted = (rows[:, lay.PRO_RULE] == lay.EPROP_PLUS) & (rows[:, lay.PRO_TO_READOUT] == 0) & plain & alone
    at, width, size = dense_tables(built, wanted, TABLE_FROM)
    dtype = built.weight.dtype
    return scratch._replace(
        dense_at=at, dense_width=width, dense_weight=aligned((size,), dtype), dense_trace=aligned((size,), dtype)
    )


def input_shape(built: Built, n_steps: int) -> tuple[int, int]:
    """Of a lane: inputs of some steps (`Walks.turn`), and of as many more as some branch of an axon lies behind the first."""
    late = latest(built, n_steps)
    return (1 << late.bit_length()) + late, row_width(built)


def history_shape(built: Built, n_steps: int, learns: bool) -> tuple[int, int]:
    """Of a lane: what neurons keep of each step for the pass backwards, by the same entries as inputs.

    There are `WIDE` more behind the last neuron, for what is summed at a time may end there.
    """
    return n_steps if learns else 1, row_width(built)


def lane_bytes(built: Built, n_steps: int, learns: bool) -> int:
    """Bytes of a lane of `Lanes`, but for its log of spikes; what each thread has for sums of gradients is not of a lane."""
    n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
    history, itemsize = history_shape(built, n_steps, learns), built.weight.itemsize
    state = 8 * n * (built.initial.shape[0] + 4 + 2 * built.n_components) + 4 * n + 8 * n_sources(built)
    steps = n_steps * 8 * (k + built.topology.populations.shape[0] + 1) + history[0] * itemsize * (k + history[1])
    return state + steps + 8 * int(np.prod(input_shape(built, n_steps)))


class Lanes:
    """Work space for samples side by side: one network state, spike log and history per lane."""

    def __init__(self, built: Built, lanes: int, n_steps: int, learns: bool, log_size: int, threads: int):
        n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
        sources, populations = n_sources(built), built.topology.populations.shape[0]
        dtype = built.weight.dtype
        self.shape = (lanes, n_steps, learns)
        self.state = np.zeros((lanes, built.initial.shape[0], n))
        self.walks = walks_of(built, n_steps, threads)
        self.x = aligned((lanes, *input_shape(built, n_steps)))
        self.y = np.zeros((lanes, k))
        self.spikes = np.zeros((lanes, n), np.int32)
        self.log = np.zeros((lanes, log_size), np.int32)
        self.starts = np.zeros((lanes, n_steps, populations + 1), np.int64)
        self.psi = aligned((lanes, *history_shape(built, n_steps, learns)), dtype)
        self.error = np.zeros((lanes, n_steps, k))
        self.work = np.zeros((lanes, 4 + 2 * built.n_components, n))
        self.adjoint_readout = np.zeros((lanes, n_steps if learns else 1, k), dtype)
        self.first = np.zeros((lanes, sources + 1), np.int64)
        self.steps = np.zeros((lanes, log_size if learns else 0), np.int32)
        # Sums of gradients: of whole rows of targets, and of synapses.
        self.totals = np.zeros((threads if learns else 0, self.psi.shape[2]), dtype)
        self.sums = aligned((threads, room_for_sums(built, self.walks, n_steps, threads) if learns else 0), dtype)

    def grow(self, keep: bool = False) -> None:
        """Twice the room for spikes; those of before may be needed still (``keep``)."""
        lanes, size = self.log.shape
        before, self.log = self.log, np.zeros((lanes, 2 * size), np.int32)
        if keep:
            self.log[:, :size] = before
        self.steps = np.zeros((lanes, 2 * size if self.shape[2] else 0), np.int32)
