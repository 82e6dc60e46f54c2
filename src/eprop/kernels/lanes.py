"""e-prop per sample: run samples side by side, each in a lane of its own, with weights that stay constant.

Forward: a lane is a whole network without plasticity; it keeps its spikes, surrogate gradients and errors. Backward:
the adjoint pass turns these into ``G_j(t)``, the change of the sample's gradient by one more presynaptic spike at
step ``t``; it belongs to the postsynaptic neuron alone. A synapse then adds ``G`` up over its spikes.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import claim, flush_subnormals, inline, inner, kernel, prange, restore_mode
from eprop.kernels.adjoint import adjoint, learns
from eprop.kernels.counts import count_lane
from eprop.kernels.deliver import deliver_axons, deliver_branches, deliver_dense, deliver_runs
from eprop.kernels.exchange import end_step, post_spikes, unpack_step
from eprop.kernels.layout import (
    NEURON,
    POP_HI,
    POP_LO,
    POP_ROLE,
    POP_SIZE,
    POP_SLOT,
    POP_SRC,
    POP_TARGET,
    PRO_DELAY,
    PRO_LATE,
    PRO_LEADER,
    PRO_LO,
    PRO_PRE,
    PRO_ROW,
    PRO_STRIDE,
    READ_START,
    READOUT,
)
from eprop.kernels.neurons import errors, integrate_readouts
from eprop.kernels.spikes import log_received, log_source

# Of the log of a lane, which keeps a whole sample.
NO_RING = -1


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0


ADVANCE = _unbound
FORWARD = _unbound


def forward(
    lane, sample, clock, learn, seed, topology, weight, walks, initial, state, x, y, spikes, log,
    starts, psi, error, out_y, event_start, event_channels, target, window, offsets, softmax, counts, begin, stop, loss,
    outbox,
):  # fmt: skip
    """Template: steps ``begin:stop`` of one sample, from rest if ``begin`` is 0.

    Returns ``loss`` plus that of the steps, or NaN with ``starts[0, 0] = -1`` if the log was too short.

    Writes ``log``/``starts`` (sources that spiked in each step), ``psi`` (if ``learn``, of populations that learn), ``error``,
    ``out_y``, and ``counts`` (spikes of each neuron). ``x`` (steps, targets) are the inputs of ``walks.turn`` steps and of
    those that branches of their spikes reach later. With several ranks the steps must lie within one slice; spikes go to
    ``outbox`` instead of the log (`receive_lanes`).
    """
    several = outbox.starts.size > 0
    n_steps, n_neurons = out_y.shape[0], state.shape[1]
    populations, projections = topology.populations, topology.projections
    if begin == 0:
        for row in range(state.shape[0]):
            for j in range(n_neurons):
                state[row, j] = initial[row, j]
        for row in range(x.shape[0]):
            for j in range(x.shape[1]):
                x[row, j] = 0.0
        for k in range(y.size):
            y[k] = topology.readouts[READ_START, k]
        counts[:] = 0
    position = 0
    for t in range(begin, stop):
        if not several and position + populations[-1, POP_SRC] + populations[-1, POP_SIZE] > log.size:
            starts[0, 0] = -1
            return np.nan
        place = t & (walks.turn - 1)
        if place == 0 and t > 0:
            _move_to_front(walks.turn, x)
        now = x[place]
        _deliver(t, place, n_steps, topology, walks, weight, log, starts, x)
        for b in range(populations.shape[0]):
            if not several:
                starts[t, b] = position
            if populations[b, POP_ROLE] == NEURON:
                # Where nobody learns, psi is written over and over: a history of it would push weights out of the cache.
                psi_now = psi[t] if learn and learns(populations[b, POP_LO], projections) else psi[0]
                count = ADVANCE(populations[b, POP_SLOT], populations[b, POP_LO], populations[b, POP_HI], state,
                                topology.params, now, psi_now, spikes, 0)  # fmt: skip
                for k in range(count):
                    counts[spikes[k]] += 1
                if several:
                    post_spikes(lane, spikes, count, outbox)
                else:
                    shift = populations[b, POP_SRC] - populations[b, POP_TARGET]
                    for k in range(count):
                        log[position] = spikes[k] + shift
                        position += 1
            elif not several:
                position = log_source(b, sample * n_steps + t, clock + t, position, NO_RING, topology, log, seed,
                                      event_start, event_channels)  # fmt: skip
        if several:
            end_step(lane, outbox)
        else:
            starts[t, populations.shape[0]] = position
        integrate_readouts(0, y.size, n_neurons, topology.readouts, now, y)
        for k in range(y.size):
            out_y[t, k] = y[k]
        for b in range(populations.shape[0]):
            if populations[b, POP_ROLE] == READOUT:
                lo = populations[b, POP_TARGET] - n_neurons
                hi = lo + populations[b, POP_SIZE]
                loss += errors(y[lo:hi], offsets[lo:hi], target[sample, t if target.shape[1] > 1 else 0, lo:hi],
                               window[sample if window.shape[0] > 1 else 0, t], softmax[b], error[t, lo:hi])  # fmt: skip
    return loss


@inline
def _move_to_front(turn, x):
    """Inputs of the steps from ``turn`` on become the first; those before them have been used, and are zero."""
    for row in range(turn, x.shape[0]):
        for j in range(x.shape[1]):
            x[row - turn, j] = x[row, j]
            x[row, j] = 0.0


@inline
def _deliver(t, place, n_steps, topology, walks, weight, log, starts, x):
    """Add the weights of all axons whose first branches are reached in step ``t``: of all branches, each for its own step.

    The inputs of step ``t`` are row ``place`` of ``x``.
    """
    populations, projections = topology.populations, topology.projections
    for r in range(projections.shape[0]):
        emitted = t - projections[r, PRO_DELAY]
        if emitted < 0 or projections[r, PRO_LEADER] != r:
            continue
        pre, stride, reached = projections[r, PRO_PRE], projections[r, PRO_STRIDE], np.int64(1)
        first, last = starts[emitted, pre], starts[emitted, pre + 1]
        if first == last:
            continue
        source = populations[pre, POP_SRC]
        shift = projections[r, PRO_ROW] - stride * source
        while reached < stride and t + projections[r + reached, PRO_LATE] < n_steps:
            reached += 1
        if walks.as_one[r]:
            deliver_axons(place, reached, first, last, log, stride, shift, topology.indptr, walks.entries, weight, x)
            continue
        if walks.dense_at[r] < 0 and not walks.by_runs[r]:
            deliver_branches(place, r, reached, first, last, log, stride, shift, projections, topology.indptr, topology.targets,
                             weight, x)  # fmt: skip
            continue
        for d in range(reached):
            to = x[place + projections[r + d, PRO_LATE]]
            if walks.by_runs[r]:
                deliver_runs(first, last, log, stride, shift + d, walks.run_rows, walks.run_start, walks.run_target, weight,
                             to)  # fmt: skip
            else:
                deliver_dense(first, last, log, source, walks.dense, walks.dense_at[r + d], walks.dense_width[r + d], to,
                              projections[r, PRO_LO])  # fmt: skip


@kernel
def receive_lanes(
    place, lanes, begin, stop, first_sample, samples, clocks, n_steps, seed, topology, log, starts, event_start,
    event_channels, inbox,
):  # fmt: skip
    """Log the spikes of all ranks in steps ``begin:stop`` of all lanes, lane after lane, from step number ``place`` on.

    Returns the number of the step for which there was no room in the log, before it is read, or of the end.
    """
    populations, length = topology.populations, stop - begin
    most = populations[-1, POP_SRC] + populations[-1, POP_SIZE]
    for at in range(place, lanes * length):
        k, t = at // length, begin + at % length
        position = starts[k, t - 1, -1] if t > 0 else 0
        if position + most > log.shape[1]:
            return at
        sample, clock = samples[first_sample + k], clocks[first_sample + k]
        log_received(
            position, sample * n_steps + t, clock + t, unpack_step(inbox), topology, log[k], NO_RING, starts[k, t],
            seed, event_start, event_channels, inbox,
        )  # fmt: skip
    return lanes * length


@inner
def sort_by_source(log, starts, n_steps, n_sources, first, steps):
    """Spikes of a lane grouped by source: source ``i`` spiked in ``steps[first[i]:first[i + 1]]``, ascending."""
    first[:] = 0
    total = starts[n_steps - 1, -1]
    for k in range(total):
        first[log[k] + 1] += 1
    for i in range(n_sources):
        first[i + 1] += first[i]
    for t in range(n_steps - 1, -1, -1):
        for k in range(starts[t, -1] - 1, starts[t, 0] - 1, -1):
            first[log[k] + 1] -= 1
            steps[first[log[k] + 1]] = t
    # Each entry was moved to the start of its own group: shift the table back by one.
    for i in range(n_sources):
        first[i] = first[i + 1]
    first[n_sources] = total


@inner
def _all_finite(state):
    for row in range(state.shape[0]):
        for j in range(state.shape[1]):
            if not np.isfinite(state[row, j]):
                return False
    return True


def run_lanes(
    begin, lanes, threads, claimed, samples, clocks, learn, seed, topology, weight, walks, initial, feedback,
    rule_constants, lag, state, x, y, spikes, log, starts, psi, error, work, adjoint_readout, first, steps, counts, out_y,
    out_loss, out_events, degree, event_start, event_channels, target, window, offsets, softmax, outbox,
):  # fmt: skip
    """Template: samples ``samples[begin : begin + lanes]`` forward and, if ``learn``, backward.

    A thread takes the next lane when it is done with one: one sample takes longer than another. ``claimed`` (1,) counts them.
    """
    claimed[0] = 0
    for _thread in prange(threads):
        mode = flush_subnormals()
        lane = claim(claimed)
        while lane < lanes:
            index = begin + lane
            out_loss[index] = FORWARD(
                lane, samples[index], clocks[index], learn, seed, topology, weight, walks, initial,
                state[lane], x[lane], y[lane], spikes[lane], log[lane], starts[lane], psi[lane], error[lane], out_y[index],
                event_start, event_channels, target, window, offsets, softmax, counts[index], 0, out_y.shape[1], 0.0, outbox,
            )  # fmt: skip
            if not _all_finite(state[lane]):
                out_loss[index] = np.nan  # whatever the outputs are
            if learn and starts[lane, 0, 0] >= 0:
                look_back(lane, topology, rule_constants, feedback, lag, counts[index], log, starts, error, work, psi,
                          adjoint_readout, first, steps)  # fmt: skip
            if starts[lane, 0, 0] >= 0:
                out_events[index] = count_lane(topology, log[lane], starts[lane], degree)
            lane = claim(claimed)
        restore_mode(mode)


def forward_lanes(
    begin, lanes, t_begin, t_stop, samples, clocks, learn, seed, topology, weight, walks, initial,
    state, x, y, spikes, log, starts, psi, error, counts, out_y, out_loss, event_start, event_channels, target, window,
    offsets, softmax, outbox,
):  # fmt: skip
    """Template: steps ``t_begin:t_stop``, of one slice, of samples ``samples[begin : begin + lanes]`` on several ranks."""
    for lane_u in prange(lanes):
        mode = flush_subnormals()
        lane = np.int64(lane_u)
        index = begin + lane
        loss = 0.0 if t_begin == 0 else out_loss[index]
        out_loss[index] = FORWARD(
            lane, samples[index], clocks[index], learn, seed, topology, weight, walks, initial,
            state[lane], x[lane], y[lane], spikes[lane], log[lane], starts[lane], psi[lane], error[lane], out_y[index],
            event_start, event_channels, target, window, offsets, softmax, counts[index], t_begin, t_stop,
            loss, outbox,
        )  # fmt: skip
        restore_mode(mode)


def backward_lanes(
    begin, lanes, topology, rule_constants, feedback, lag, counts, log, starts, error, work, psi, adjoint_readout, first, steps
):  # fmt: skip
    """Template: samples ``begin : begin + lanes`` backward, after all their steps."""
    for lane_u in prange(lanes):
        mode = flush_subnormals()
        lane = np.int64(lane_u)
        look_back(lane, topology, rule_constants, feedback, lag, counts[begin + lane], log, starts, error, work, psi,
                  adjoint_readout, first, steps)  # fmt: skip
        restore_mode(mode)


@inner
def look_back(
    lane, topology, rule_constants, feedback, lag, counts, log, starts, error, work, psi, adjoint_readout, first, steps
):  # fmt: skip
    """The adjoint pass of one lane, and its spikes by source."""
    adjoint(topology, rule_constants, feedback, lag, counts, log[lane], starts[lane], error[lane], work, lane, psi,
            adjoint_readout[lane])  # fmt: skip
    sort_by_source(log[lane], starts[lane], psi.shape[1], first.shape[1] - 1, first[lane], steps[lane])


RUN_LANES = ACCUMULATE = _unbound


def run_waves(
    begin, stop, lanes, blocks, claimed, samples, clocks, learn, seed, topology, weight, walks, scales, gradient,
    initial, feedback, rule_constants, lag, state, x, y, spikes, log, starts, psi, error, work, adjoint_readout, first, steps,
    totals, sums, counts, out_y, out_loss, out_events, degree, event_start, event_channels, target, window, offsets, softmax,
    outbox,
):  # fmt: skip
    """Template: samples ``begin:stop`` in waves of as many lanes as there are; returns how far it came.

    It stops early, before the gradients of a wave are added, if a lane's spike log was too short.
    """
    index = begin
    while index < stop:
        width = min(lanes, stop - index)
        RUN_LANES(
            index, width, blocks, claimed, samples, clocks, learn, seed, topology, weight, walks, initial, feedback,
            rule_constants, lag, state, x, y, spikes, log, starts, psi, error, work, adjoint_readout, first, steps, counts,
            out_y, out_loss, out_events, degree, event_start, event_channels, target, window, offsets, softmax, outbox,
        )  # fmt: skip
        for lane in range(width):
            if starts[lane, 0, 0] < 0:
                return index
        if learn:
            ACCUMULATE(width, blocks, claimed, topology, walks, scales[index : index + width], log, starts, first, steps, psi,
                       adjoint_readout, totals, sums, gradient)  # fmt: skip
        index += width
    return index
