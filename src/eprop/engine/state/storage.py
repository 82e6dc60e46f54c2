"""Arrays of fixed size that change during a run, named as in ``core/online/state.hpp``; the core owns arrays that grow.

Each array of a state is declared with its `Axis`; what a state copies and ranks join follows from that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built, Sizes
from eprop.engine.build.records import AXON_TIMES, ring_size
from eprop.engine.ranks.gathering import Axis

CACHE_LINE = 64
Allocate = Callable[..., np.ndarray]

# Arrays of a state, by what the entries of their last axis belong to.
PerNeuron = Annotated[np.ndarray, Axis.neuron]
PerSynapse = Annotated[np.ndarray, Axis.synapse]
Replicated = Annotated[np.ndarray, Axis.same]


@dataclass(slots=True)
class Synapses:
    """Arrays with one entry per synapse; arrays that no rule needs have length 0.

    Attributes
    ----------
    weight : (synapses,) in the precision of the simulator, as all others
    levels, wide_levels : int8, int16, whole numbers of levels in place of weights, see `eprop.engine.build.levels.level_type`
    trace, trace_reg : filtered eligibility; the second one only with two kappas
    trace_reward : reward trace, only if some projection has one
    own : (n_own, synapses) own components of the eligibility vector
    pending : gradient until the end of the batch, or until the next spike
    moment_1, moment_2 : of gradients, of squared gradients
    """

    weight: PerSynapse
    trace: PerSynapse
    trace_reg: PerSynapse
    trace_reward: PerSynapse
    own: PerSynapse
    pending: PerSynapse
    moment_1: PerSynapse
    moment_2: PerSynapse
    levels: np.ndarray
    wide_levels: np.ndarray

    @property
    def stored(self) -> np.ndarray:
        """The weights as they are stored, (synapses,): numbers or levels."""
        return next((part for part in (self.levels, self.wide_levels) if part.size), self.weight)


@dataclass(slots=True)
class Axons:
    """Spike history of each axon, for all its branches; without entries unless some synapse learns at spikes.

    Attributes
    ----------
    processed_until : (1,) int64, spikes of earlier steps have been processed
    times : (sources,) records of last spike, interval before it, and its position in the spike log
    z : (sources, slots, 2 n_filters) filtered spikes as of the last spike, and one step before; for pair rules the trace
    """

    processed_until: np.ndarray
    times: np.ndarray
    z: np.ndarray


@dataclass(slots=True)
class Neurons:
    """State of the nodes that receive input.

    Attributes
    ----------
    state : (state rows, neurons)
    input : (receptors, neurons + readouts)
    psi, signal : (neurons,) surrogate gradient; learning signal that arrived in this step
    rate : (2, neurons) running rate now, and one step before
    y : (readouts,)
    feedback : (readouts, neurons)
    feedback_offset : (readouts, neurons) adaptive feedback minus the weight that it follows; without it (0, 0)
    """

    state: PerNeuron
    input: np.ndarray
    psi: PerNeuron
    signal: PerNeuron
    rate: PerNeuron
    y: Replicated
    feedback: PerNeuron
    feedback_offset: PerNeuron


@dataclass(slots=True)
class History:
    """Rings of the recent past; ``width`` is the padded number of neurons, entries as in `eprop.engine.build.records`.

    Attributes
    ----------
    block_prefix : (1 or 2, entries, width) propagator from the start of the block to this step; one if updated in place
    prefix_history : (ring, entries, width) from the block's start to the step; crossing: from the step to the block's end
    block_propagators : (blocks, entries, width) propagators of whole blocks
    span_suffixes : (blocks or 1, entries or 0, width) from the start of the block to the end of its span
    steps : (ring or 1, 4, width) psi, L and F of a step, and work space
    error_prefix, error_block, error : (ring, readouts), (blocks, readouts), (past, readouts)
    error_trace_prefix, error_trace_block : (ring, readouts), (blocks, readouts) errors that wait for reward
    reward, reward_rest, reward_ahead : (reward ring,), (trace groups, reward ring), (trace groups, reward blocks)
        Reward history, see ``core/eprop_plus/rewards.hpp``; empty without reward.
    eta : (delay groups, past) learning rates with which premature gradients were subtracted
    post_trace : (ring, neurons) for pair rules: filtered spikes of earlier steps
    log_start : (past, populations + 1) positions in the spike log
    block_steps, span_blocks : steps of a block, blocks of a span (0: no spans)
    record_steps, post_span : number of steps in which spike records, and postsynaptic spikes, may still be read
    """

    block_prefix: PerNeuron
    prefix_history: PerNeuron
    block_propagators: PerNeuron
    span_suffixes: PerNeuron
    steps: PerNeuron
    error_prefix: Replicated
    error_block: Replicated
    error: Replicated
    error_trace_prefix: Replicated
    error_trace_block: Replicated
    reward: Replicated
    reward_rest: Replicated
    reward_ahead: Replicated
    eta: Replicated
    post_trace: PerNeuron
    log_start: np.ndarray
    block_steps: int
    span_blocks: int
    record_steps: int
    post_span: int


def axes_of(storage: type) -> dict[str, Axis]:
    """Axis of each array of one of these classes that is part of a state."""
    hints = get_type_hints(storage, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def arrays_of(storage: Any) -> dict[str, np.ndarray]:
    """Return the arrays of one of these classes by name."""
    values = {part.name: getattr(storage, part.name) for part in fields(storage)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def aligned(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """Allocate zeros that begin at a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + CACHE_LINE, np.uint8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + size].view(dtype).reshape(shape)


def without_memory(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """Stand for an array of this shape, to count its bytes."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def make_synapses(sizes: Sizes, weight: np.ndarray) -> Synapses:
    """Allocate synapse arrays for weights or levels; arrays that the rules do not need have length 0."""
    n, dtype = weight.size, sizes.dtype

    def stored(needed: bool) -> np.ndarray:
        return np.zeros(n if needed else 0, dtype)

    def if_of(kind: type) -> np.ndarray:
        return weight if weight.dtype == kind else np.zeros(0, kind)

    return Synapses(
        weight=if_of(dtype.type),
        trace=stored(sizes.learning.eprop_plus),
        trace_reg=stored(sizes.two_kappas),
        trace_reward=stored(sizes.reward_cutoff > 0),
        own=np.zeros((sizes.n_own, n), dtype),
        pending=stored(sizes.learning.keeps_gradients),
        moment_1=stored(sizes.learning.moments[0]),
        moment_2=stored(sizes.learning.moments[1]),
        levels=if_of(np.int8),
        wide_levels=if_of(np.int16),
    )


def make_axons(sizes: Sizes, learns: bool = True) -> Axons:
    """Allocate axons without spikes; without learning at spikes (``learns``) they have no entries."""
    n = sizes.n_sources if sizes.learning.at_spikes and learns else 0
    times = np.zeros(n, AXON_TIMES)
    times["last_spike"] = times["position"] = -1
    return Axons(np.zeros(1, np.int64), times, aligned((n, sizes.n_filter_slots, 2 * sizes.n_filters)))


def make_neurons(built: Built) -> Neurons:
    """Allocate all nodes at rest."""
    n, k = built.n_neurons, built.n_readouts
    receptors = 2 if (built.populations["inhibitory_row"] >= 0).any() else 1
    return Neurons(
        state=built.initial.copy(),
        input=aligned((receptors, n + k)),
        psi=aligned((n,)),
        signal=aligned((n,)),
        rate=aligned((2, n)),
        y=built.topology.readouts["y_start"].copy(),
        feedback=built.feedback.copy(),
        feedback_offset=np.zeros(built.topology.adaptive.shape),
    )


def make_history(sizes: Sizes, max_delay: int, learns: bool = True, allocate: Allocate = aligned) -> History:
    """Allocate empty rings for the cutoff (``learns``) and the longest delay."""
    n, k, s = sizes.n_neurons, sizes.n_readouts, sizes
    plus, pairs = s.learning.eprop_plus and learns, s.learning.pairs and learns
    width, entries, dtype, block = lib.padded(n) if plus else 0, s.n_entries, s.dtype, s.block_steps
    ring, blocks = (ring_size(max(s.cutoff, block) + 2), ring_size(s.cutoff // block + 3)) if plus else (1, 1)
    past = ring_size(max(s.cutoff if plus else 0, s.pair_cutoff if pairs else 0) + max_delay + 3)
    stored = ring if s.crosses or s.learning.each_step else 1
    if plus and s.learning.descends_each_step:  # sums over the blocks of an interval, see core/eprop_plus/bounds.hpp
        stored = ring_size(s.cutoff + block + 2)
    reward_blocks = ring_size(s.reward_cutoff // block + 3) if plus and s.reward_cutoff else 0
    reward_steps = reward_blocks * block
    waiting, n_groups = k if reward_steps else 0, len(s.trace_groups.table)
    remembered = max(s.cutoff, s.reward_cutoff, s.pair_cutoff) + max_delay
    logged = ring_size(remembered + 3) if reward_steps else past
    return History(
        block_prefix=allocate((1 if stored == 1 else 2, entries, width)),
        prefix_history=allocate((ring, entries, width), dtype),
        block_propagators=allocate((blocks, entries, width), dtype),
        span_suffixes=allocate((blocks if s.span_blocks else 1, entries if s.span_blocks else 0, width), dtype),
        steps=allocate((stored, 4, width)),
        error_prefix=allocate((ring, k)),
        error_block=allocate((blocks, k)),
        error=allocate((past, k)),
        error_trace_prefix=allocate((ring, waiting)),
        error_trace_block=allocate((blocks, waiting)),
        reward=allocate((reward_steps,)),
        reward_rest=allocate((n_groups, reward_steps)),
        reward_ahead=allocate((n_groups, reward_blocks)),
        eta=allocate((len(s.groups), past)),
        post_trace=allocate((ring_size(2 * max_delay + 2), n if pairs else 0)),
        log_start=allocate((logged, len(s.populations) + 1), np.int64),
        block_steps=block,
        span_blocks=s.span_blocks,
        record_steps=remembered,
        post_span=s.pair_cutoff + 2 * max_delay,
    )
