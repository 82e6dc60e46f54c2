"""How a built network lies in memory: the tables that the engine fills and the kernels read.

Every population and projection is a row of a table and a range of flat arrays, so that compiled loops have one
signature whatever the network. Numberings: *sources* are all nodes that spike (event sources, Poisson sources,
neurons), *targets* are all neurons followed by all readouts, *rows* are the branches of their axons: a source as one
projection sees it, with one of its delays.

With several ranks each owns a range of the neurons, and its tables hold nothing else: its own neurons are its targets,
followed by all readouts, which every rank computes; the neurons among its sources are those that reach a target of its
own, and its own. Both are numbered in the order of the whole network.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Populations, one row each (int64).
POP_ROLE, POP_SRC, POP_SIZE, POP_TARGET, POP_SLOT, POP_GROUP, POP_CHANNEL, POP_KIND = range(8)
# Components of the eligibility vector (e-prop), and whether it has any but the first term of `adjoint`.
POP_COMPONENTS, POP_PLAIN, POP_FED = 8, 9, 10
POP_STDP = 11  # a tract with the constants of the population's postsynaptic traces, or -1
# Its targets here. POP_TARGET is the target that its first source would be: with it, sources and targets are translated.
POP_LO, POP_HI = 12, 13
POP_COLUMNS = 14
EVENTS, POISSON, NEURON, READOUT = range(4)

# Tracts, one row each (int64).
PRO_PRE, PRO_ROW, PRO_ROWS, PRO_RULE, PRO_DELAY, PRO_TO_READOUT, PRO_GROUP, PRO_LO, PRO_HI = range(9)
PRO_CUTOFF, PRO_MIRROR, PRO_KIND, PRO_OWNER, PRO_EACH = range(9, 14)
# Whether this rank counts its events: every rank has all readouts, one counts them.
PRO_COUNTED = 14
# The first of the tracts of a projection onto neurons, which follow each other, one for each delay; of others each leads itself.
PRO_LEADER = 15
# Source i of a tract has row PRO_ROW + PRO_STRIDE i: rows of such tracts lie source by source, so that the branches of an axon,
# where its spike arrives one step after the other, are neighbours.
PRO_STRIDE = 16
# Which of the filters of its sources the tract listens to, see `Topology.listeners`.
PRO_SLOT = 17
# By how many steps the spikes of a tract arrive later than those of its leader.
PRO_LATE = 18
PRO_COLUMNS = 19
# What feedback mirrors of a tract onto readouts.
MIRROR_WEIGHT, MIRROR_CHANGE = 1, 2
STATIC, EPROP, EPROP_PLUS, STDP = range(4)
AT_SPIKES = (EPROP_PLUS, STDP)
DESCENT, ADAM, MOMENTUM, RMSPROP = range(4)

# Records of numbers of 8 bytes, seen as integers and as floats. Of an axon: step of the last spike, steps from the one before it,
# its position in the log; from AX_Z on filters.
AX_LAST, AX_GAP, AX_AT, AX_Z = range(4)
# Of a spike: steps since the one before, from the one before that to it, until the next, 0 if there is none: these are numbers of
# four bytes. From SENT_Z on filters.
SENT_GAP, SENT_BEFORE, SENT_NEXT = range(3)
SENT_Z = 2
# So many steps are as good as never, in a number of four bytes.
LONGEST_GAP = (1 << 31) - 1
# Its filters: as of the spike before, a step before that, a step before this spike; D each.
Z_LAST, Z_BEFORE, Z_AHEAD = range(3)
Z_PARTS = 3
# Of a row with a spike in a step: when the one before arrived, steps of the optimiser; from ROW_Z on filters, those of the spike.
# Of a row that is due: steps of the optimiser; from DUE_Z on filters as of the last spike, and a step before.
ROW_LAST, ROW_STEPS, ROW_Z = range(3)
DUE_STEPS, DUE_Z = range(2)

# Tracts, one row each (float64).
PF_ETA, PF_MIN, PF_MAX, PF_BETA_1, PF_BETA_2, PF_EPSILON, PF_ZETA = range(7)
# Which optimiser, one of the codes above, beside its constants; PF_BETA_1 is the decay of an only moment as well.
PF_OPTIMIZER, PF_NESTEROV = 7, 8
# STDP: rate and bounds stand in PF_ETA, PF_MIN and PF_MAX; PF_PRE and PF_POST are the decays of its traces.
PF_PRE, PF_POST, PF_RATIO, PF_MU_PLUS, PF_MU_MINUS = range(9, 14)
# What is left of a weight after an optimiser step without a gradient.
PF_KEEP = 14
PF_COLUMNS = 15

# Groups: targets that share the constants of their traces (float64).
# The last one: what a step leaves of a synapse's own component where no spike of the neuron acts, if that is one number for all.
GR_KAPPA, GR_REG, GR_C_REG, GR_F_TARGET, GR_OWN = range(5)
GR_COLUMNS = 5
# Their decays over n steps.
DECAY_KAPPA, DECAY_REG, GROW_KAPPA, GROW_REG = range(4)
# Their filters of spikes over n steps: forward, and inverted.
FORWARD, INVERSE = range(2)

# Readouts, one column each (float64); voltages relative to the leak potential, which stands in the last row.
READ_ALPHA, READ_ZETA, READ_DRIVE, READ_MIN, READ_START, READ_GROUP, READ_LEAK = range(7)
READ_ROWS = 7

# Of a population: each neuron has parameters of its own; all have the same; and take a shortcut (`eprop.models.base.Shortcut`).
EACH, SAME, SHORT = 0.0, 1.0, 2.0

# Counters of a run (int64).
COUNT_EVENTS, COUNT_STEPS = range(2)

# Rows of maps are padded to so many neurons: loops over all neurons end with the row, and leave no remainder to do one by one.
PADDING = 16

# Probes: what is recorded at each step (int64 rows of kind, row of the state or axon, index, tract).
PROBE_STATE, PROBE_PSI, PROBE_SIGNAL, PROBE_READOUT, PROBE_ERROR, PROBE_WEIGHT, PROBE_TRACE = range(7)
PROBE_COLUMNS = 4


def padded(n: int) -> int:
    """Length of a row of maps of ``n`` neurons."""
    return -(-n // PADDING) * PADDING


class Topology(NamedTuple):
    """What stays the same after the build."""

    populations: np.ndarray  # (n_pop, POP_COLUMNS)
    rates: np.ndarray  # (sources,) spikes per step of Poisson sources
    projections: np.ndarray  # (tracts, PRO_COLUMNS)
    projection_floats: np.ndarray  # (tracts, PF_COLUMNS)
    turns: np.ndarray  # (tracts,) the order in which they add to the inputs of a step, see `engine.tables.turns_of`
    groups: np.ndarray  # (n_groups, GR_COLUMNS)
    decays: np.ndarray  # (n_groups, 4, n) powers of kappa, kappa_reg, and their inverses
    filters: np.ndarray  # (n_groups, 2, n, D, D) powers of the filter of spikes, and their inverses
    doublings: np.ndarray  # (n_groups, 1, bits, D, D) the filter to the power of 2^bit, forward only
    arrivals: np.ndarray  # (n_groups, D) what a spike adds to the filter
    listeners: np.ndarray  # (n_pop, slots, 2) who listens to a population: a trace group, or a tract of STDP; else -1
    kinds: np.ndarray  # (kinds, 3) `maps.Kind` of each kind of eligibility
    eligibility: np.ndarray  # (rows, width) what maps need of a neuron, see `kernels.maps`
    nothing: np.ndarray  # (1, entries, width) the map of no step at all
    adjoint: np.ndarray  # (rows, neurons) what the adjoint pass needs, see `kernels.adjoint`
    indptr: np.ndarray  # (partitions, rows + 1) into the synapse arrays
    targets: np.ndarray  # (synapses,) uint32
    params: np.ndarray  # (parameter rows + 1, neurons); in the last row, what can be said of its population, see EACH
    readouts: np.ndarray  # (READ_ROWS, readouts), see READ_ALPHA
    bounds: np.ndarray  # (2, partitions + 1): of neurons, of readouts
    signal_groups: np.ndarray  # (n_pop,) trace group of a neuron population or -1
    signal_delay: np.ndarray  # (readouts, neurons) steps that learning signals take; (0, 0): all take one
    lag: np.ndarray  # (readouts, neurons) steps from a spike to the error it causes; (0, 0): those of the population
    adaptive: np.ndarray  # (readouts, neurons) bool: pairs whose feedback learns like the readout weights; else (0, 0)
    pair_powers: np.ndarray  # (tracts, n) powers of the presynaptic decay; without columns unless there is STDP


class Synapses(NamedTuple):
    """One entry per synapse; arrays that no rule needs have length 0."""

    weight: np.ndarray
    trace: np.ndarray  # e_bar
    trace_reg: np.ndarray  # e_bar_reg, only with two kappas
    hidden: np.ndarray  # (M, synapses) components of the eligibility vector that are the synapse's own
    pending: np.ndarray  # gradient that waits for its batch or spike; per spike only with moments
    moment_1: np.ndarray  # of gradients
    moment_2: np.ndarray  # of squared gradients


class Axons(NamedTuple):
    """One entry per source whose spikes some synapse learns from: what its axon remembers, for all its branches."""

    followed: np.ndarray  # (1,) spikes of so many steps have been noted
    times: np.ndarray  # (sources, columns) int64, see AX_LAST; -1, 0, -1 if there was no spike
    z: np.ndarray  # the same as floats: (slots, 2 D) filters as of the last spike, and a step before; of STDP the trace


class Neurons(NamedTuple):
    """State of the nodes that take input."""

    state: np.ndarray  # (state rows, neurons)
    input: np.ndarray  # (neurons + readouts,)
    psi: np.ndarray  # (neurons,)
    signal: np.ndarray  # (neurons,) learning signal that arrived in this step
    rate: np.ndarray  # (2, neurons): f now, one step ago
    y: np.ndarray  # (readouts,)
    feedback: np.ndarray  # (readouts, neurons)
    gap: np.ndarray  # (readouts, neurons) adaptive feedback minus the weight it follows; else (0, 0)


class History(NamedTuple):
    """Rings of the recent past. ``width`` is the number of neurons, rounded up, see `padded`."""

    prefix: (
        np.ndarray
    )  # (1 or 2, entries, width): from the start of the block to before the step; 2 unless changed in place
    parts: (
        np.ndarray
    )  # (ring, entries, width): from the block's start to the step; for crossing, from the step to its end
    blocks: np.ndarray  # (blocks, entries, width): maps of whole blocks
    tails: np.ndarray  # (blocks or 1, entries, width): map from the start of the block to the end of its span
    steps: np.ndarray  # (ring or 1, 4, width): psi, L and F of a step, and work space
    readout_prefix: np.ndarray  # (ring, readouts)
    readout_block: np.ndarray  # (blocks, readouts)
    error: np.ndarray  # (ring, readouts)
    log: np.ndarray  # (capacity,) int32 source ids, a ring
    log_start: np.ndarray  # (ring, n_pop + 1) positions in the log, ever growing
    # What each spike knows of its source, as long as it may be asked, see `kernels.axons`: a ring over positions in the log;
    # without entries unless some synapse learns at spikes.
    sent: np.ndarray  # (room, columns) int32, see SENT_GAP
    sent_z: np.ndarray  # the same as floats: (slots, 3 D) filters, see Z_LAST
    sent_steps: int  # spikes of so many steps may be asked
    eta: (
        np.ndarray
    )  # (tracts, ring) learning rates with which gradients were taken away from weights, see `kernels.anchors`
    block_steps: int  # a power of two
    span_blocks: int  # blocks of a span, 0 without spans
    post_times: np.ndarray  # (neurons, capacity) steps of the last spikes of a neuron, the newest first; only with STDP
    post_trace: np.ndarray  # (ring, neurons) filtered spikes of the steps before
    post_span: int  # spikes of so many steps may still be read


class Scratch(NamedTuple):
    """Work space: no content survives a call."""

    # Of the rows with a spike that arrives in this step, see `kernels.arrivals`; there is ``room`` for so many.
    order: np.ndarray  # (room,) int32 which they are
    order_start: np.ndarray  # (tracts + 1,) where those of a tract begin
    last: np.ndarray  # (room,) step in which the spike before arrived, -1 if none did
    steps: np.ndarray  # (room,) steps that the optimiser has taken
    z_last: np.ndarray  # (D, room) filtered spikes at ``last``, that spike included; of STDP the presynaptic trace
    z_before: np.ndarray  # (D, room) filtered spikes one step before ``last``
    z_ahead: np.ndarray  # (D, room) filtered spikes one step before this one
    # Of the rows that are due, whose last spike arrived a cutoff ago, the same.
    due: np.ndarray
    due_start: np.ndarray
    due_steps: np.ndarray
    due_z: np.ndarray
    due_z_before: np.ndarray
    # All these numbers but those of rows are columns of records, see ROW_LAST and DUE_STEPS: as integers, and as floats.
    row_steps: np.ndarray
    row_z: np.ndarray
    due_numbers: np.ndarray
    due_floats: np.ndarray
    places: np.ndarray  # (cutoff + 4,): where those go whose last spike was so many steps, or blocks, after the cutoff
    maps: np.ndarray  # (1, entries, width): maps of an interval
    ahead: np.ndarray  # (blocks, entries, width): from the start of a block to the start of the current one
    near: np.ndarray  # (steps of a block or 1, entries, width): from a step of the current block to this step
    known: np.ndarray  # (partitions, groups, blocks) bool: rows of ``ahead`` that are there
    known_in: np.ndarray  # (partitions, groups): the block to which they lead
    near_from: np.ndarray  # (partitions, groups, 2): this step, and the first row of ``near`` that holds for it
    due_maps: (
        np.ndarray
    )  # (1, entries, width): over the cutoff that ends with this step, at anchors its part in this block
    due_before: np.ndarray  # (1, entries, width): the same without the last step; for crossing
    due_found: np.ndarray  # (partitions, groups): the step they hold for
    jumps: np.ndarray  # (1, numbers, width): what a spike needs to know at anchors, see `kernels.jumps`
    jumped: np.ndarray  # (partitions, groups): the step they hold for
    jump_records: np.ndarray  # (1, width, record size): the same as `kernels.records`
    jumps_laid: np.ndarray  # (partitions, groups): the step they hold for
    records: np.ndarray  # (blocks + 2, width, record size): rows of ``ahead``, and others, as `kernels.records`
    laid: np.ndarray  # (partitions, groups, blocks + 2): the block, or step, that each of them holds for
    totals: np.ndarray  # (width,): inputs while rows of tables are added
    gradient: np.ndarray  # (readouts,)
    spikes: np.ndarray  # (partitions, neurons) int32
    spike_count: np.ndarray  # (partitions, n_pop) running counts over the populations
    dense_at: np.ndarray  # (tracts,) where the table of a tract begins that stands for its synapses, or -1
    dense_width: np.ndarray  # (tracts,) entries of a row
    dense_weight: np.ndarray  # all tables
    dense_trace: np.ndarray
    n_sources: int
    clock: np.ndarray  # (partitions + 1, or 0: without a clock; COLUMNS of `kernels.clock`)


class Walks(NamedTuple):
    """How samples walk the rows of each tract: as tables of all weights, by runs of neighbouring targets, or one by one."""

    dense: np.ndarray  # all tables
    dense_at: np.ndarray  # (tracts,) where a tract's table begins, or -1
    dense_width: np.ndarray  # (tracts,) entries of a row of it
    piece: int  # synapses of neighbouring axons whose gradients a thread adds up at a time, where not spike by spike
    by_spikes: np.ndarray  # (tracts,) bool: gradients are added up spike after spike, not for all targets of a row
    by_runs: np.ndarray  # (tracts,) bool
    as_one: np.ndarray  # (tracts,) bool: the branches of an axon are walked as one row
    entries: (
        np.ndarray
    )  # (synapses or 0,) int32, of such rows: targets in the steps they are reached in, from the first step on
    turn: int  # steps for which there are inputs, before those that branches reach later are moved to the front; a power of two
    run_rows: np.ndarray  # (partitions, rows, 2) the first run of a row and the one after its last
    run_start: np.ndarray  # (runs + 1,) first synapse of each run, which ends where the next one begins
    run_target: (
        np.ndarray
    )  # (runs + 1,) int32, its target: as a table of its own it stays in the cache, ``targets`` do not
