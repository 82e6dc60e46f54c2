"""How a built network lies in memory: the tables that the engine fills and the kernels read.

Every population and projection is a row of a table and a range of flat arrays, so that compiled loops have one
signature whatever the network. Numberings: *sources* are all nodes that spike (event sources, Poisson sources,
neurons), *targets* are all neurons followed by all readouts, *rows* are the axons of all projections.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Populations, one row each (int64).
POP_ROLE, POP_SRC, POP_SIZE, POP_TARGET, POP_SLOT, POP_GROUP, POP_CHANNEL = range(7)
POP_STDP = 7  # a projection with the constants of the population's postsynaptic traces, or -1
POP_COLUMNS = 8
EVENTS, POISSON, NEURON, READOUT = range(4)

# Projections, one row each (int64).
PRO_PRE, PRO_ROW, PRO_ROWS, PRO_RULE, PRO_DELAY, PRO_TO_READOUT, PRO_GROUP, PRO_LO, PRO_HI, PRO_DENSE = range(10)
PRO_CUTOFF, PRO_MIRROR = 10, 11
PRO_COLUMNS = 12
STATIC, EPROP, EPROP_PLUS, STDP = range(4)
DESCENT, ADAM, MOMENTUM, RMSPROP = range(4)

# Projections, one row each (float64).
PF_ETA, PF_MIN, PF_MAX, PF_BETA_1, PF_BETA_2, PF_EPSILON, PF_ALPHA, PF_ZETA = range(8)
# Which optimiser, one of the codes above, beside its constants; PF_BETA_1 is the decay of an only moment as well.
PF_OPTIMIZER, PF_NESTEROV = 8, 9
# STDP: rate, bounds and the decay of presynaptic traces stand in PF_ETA, PF_MIN, PF_MAX and PF_ALPHA.
PF_POST, PF_RATIO, PF_MU_PLUS, PF_MU_MINUS = range(10, 14)
PF_COLUMNS = 14

# Groups: targets that share the constants of their traces (float64).
GR_ALPHA, GR_KAPPA, GR_REG, GR_C_REG, GR_F_TARGET = range(5)
GR_COLUMNS = 5

# Counters of a run (int64).
COUNT_EVENTS, COUNT_STEPS, COUNT_SPIKES = range(3)

# Probes: what is recorded at each step (int64 rows of kind, row, index).
PROBE_STATE, PROBE_PSI, PROBE_SIGNAL, PROBE_READOUT, PROBE_ERROR, PROBE_WEIGHT, PROBE_TRACE = range(7)


class Topology(NamedTuple):
    """What stays the same after the build."""

    populations: np.ndarray  # (n_pop, POP_COLUMNS)
    rates: np.ndarray  # (n_pop,) spikes per step of Poisson sources
    projections: np.ndarray  # (n_proj, PRO_COLUMNS)
    projection_floats: np.ndarray  # (n_proj, PF_COLUMNS)
    groups: np.ndarray  # (n_groups, GR_COLUMNS)
    powers: np.ndarray  # (n_groups, 6, n) of alpha, kappa, kappa_reg, and their inverses
    indptr: np.ndarray  # (partitions, rows + 1) into the synapse arrays
    targets: np.ndarray  # (synapses,) uint32
    params: np.ndarray  # (parameter rows, neurons)
    readouts: np.ndarray  # (4, readouts): alpha, zeta, drive, population index
    bounds: np.ndarray  # (2, partitions + 1): of neurons, of readouts
    signal_groups: np.ndarray  # (n_pop,) trace group of a neuron population or -1
    pair_powers: np.ndarray  # (n_proj, n) powers of the presynaptic decay; without columns unless there is STDP


class Synapses(NamedTuple):
    """One entry per synapse; arrays that no rule needs have length 0."""

    weight: np.ndarray
    trace: np.ndarray  # e_bar
    trace_reg: np.ndarray  # e_bar_reg, only with two kappas
    pending: np.ndarray  # gradient that waits for its batch or spike; per spike only with moments
    moment_1: np.ndarray  # of gradients
    moment_2: np.ndarray  # of squared gradients


class Axons(NamedTuple):
    """One entry per row: an axon is a source together with a delay, as one projection sees it."""

    last: np.ndarray  # arrival step of the last spike, -1 if there was none
    z_bar: np.ndarray  # filtered spikes at ``last``, that spike included
    z_before: np.ndarray  # filtered spikes one step before ``last``
    steps: np.ndarray  # optimiser steps taken, only with moments


class Neurons(NamedTuple):
    """State of the nodes that take input."""

    state: np.ndarray  # (state rows, neurons)
    input: np.ndarray  # (neurons + readouts,)
    psi: np.ndarray  # (neurons,)
    signal: np.ndarray  # (neurons,) learning signal that arrived in this step
    rate: np.ndarray  # (3, neurons): f now, one step ago, and work space
    y: np.ndarray  # (readouts,)
    feedback: np.ndarray  # (readouts, neurons)


class History(NamedTuple):
    """Rings of the recent past."""

    prefix: np.ndarray  # (ring, entries, neurons): map from the start of the block to before the step
    block: np.ndarray  # (blocks, entries, neurons): map of a whole block
    readout_prefix: np.ndarray  # (ring, readouts)
    readout_block: np.ndarray  # (blocks, readouts)
    error: np.ndarray  # (ring, readouts)
    log: np.ndarray  # (capacity,) int32 source ids, a ring
    log_start: np.ndarray  # (ring, n_pop + 1) positions in the log, ever growing
    block_steps: int  # a power of two
    post_times: np.ndarray  # (neurons, capacity) steps of the last spikes of a neuron, the newest first; only with STDP
    post_trace: np.ndarray  # (ring, neurons) filtered spikes of the steps before
    post_span: int  # spikes of so many steps may still be read


class Scratch(NamedTuple):
    """Work space: no content survives a step."""

    order: np.ndarray  # (rows,) int32: rows that spike, sorted by the time of their last spike
    spare: np.ndarray  # (rows,) int32
    order_start: np.ndarray  # (n_proj + 1,)
    due: np.ndarray  # (rows,) int32
    due_start: np.ndarray  # (n_proj + 1,)
    maps: np.ndarray  # (entries, neurons)
    maps_before: np.ndarray  # (entries, neurons)
    gradient: np.ndarray  # (readouts,)
    spikes: np.ndarray  # (partitions, neurons) int32
    spike_count: np.ndarray  # (partitions, n_pop) running counts over the populations
    mark: np.ndarray  # (rows,) step in which a row last spiked
    n_sources: int
