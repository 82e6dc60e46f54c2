"""e-prop per sample: run samples side by side, each in a lane of its own, with weights that stay constant.

Forward: a lane is a whole network without plasticity; it keeps its spikes, surrogate gradients and errors. Backward:
the adjoint pass turns these into ``G_j(t)``, the change of the sample's gradient by one more presynaptic spike at
step ``t``; it belongs to the postsynaptic neuron alone. A synapse then adds ``G`` up over its spikes.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, inner, outer, prange
from eprop.equations import rng
from eprop.equations.optimize import adam_factor, clip, momentum_step, rmsprop_step
from eprop.kernels.adjoint import adjoint
from eprop.kernels.deliver import deliver_dense, deliver_row
from eprop.kernels.layout import (
    ADAM,
    EPROP,
    EVENTS,
    MIRROR_CHANGE,
    MIRROR_WEIGHT,
    MOMENTUM,
    NEURON,
    PF_BETA_1,
    PF_BETA_2,
    PF_EPSILON,
    PF_ETA,
    PF_KEEP,
    PF_MAX,
    PF_MIN,
    PF_NESTEROV,
    PF_OPTIMIZER,
    PF_ZETA,
    POISSON,
    POP_CHANNEL,
    POP_ROLE,
    POP_SIZE,
    POP_SLOT,
    POP_SRC,
    POP_TARGET,
    PRO_DELAY,
    PRO_HI,
    PRO_LO,
    PRO_MIRROR,
    PRO_PRE,
    PRO_ROW,
    PRO_ROWS,
    PRO_RULE,
    PRO_TO_READOUT,
    READ_START,
    READOUT,
    RMSPROP,
)
from eprop.kernels.neurons import errors, integrate_readouts


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0


ADVANCE = _unbound
FORWARD = _unbound


def forward(
    lane, sample, stream, learn, seed, topology, weight, dense, dense_at, dense_width, initial, state, x, y, spikes, log,
    starts, psi, error, out_y, event_start, event_channels, target, window, offsets, softmax, counts,
):  # fmt: skip
    """Template: one sample from rest; returns its loss, or NaN with ``starts[0, 0] = -1`` if the log was too short.

    Writes ``log``/``starts`` (sources that spiked in each step), ``psi`` and ``error`` (if ``learn``), ``out_y``, and
    ``counts`` (spikes of each neuron).
    """
    n_steps, n_neurons = out_y.shape[0], state.shape[1]
    populations, projections = topology.populations, topology.projections
    indptr, targets, params = topology.indptr, topology.targets, topology.params
    for row in range(state.shape[0]):
        for j in range(n_neurons):
            state[row, j] = initial[row, j]
    x[:] = 0.0
    for k in range(y.size):
        y[k] = topology.readouts[READ_START, k]
    counts[:] = 0
    psi_now = psi[0]
    loss, position = 0.0, 0
    for t in range(n_steps):
        if position + populations[-1, POP_SRC] + populations[-1, POP_SIZE] > log.size:
            starts[0, 0] = -1
            return np.nan
        for r in range(projections.shape[0]):
            emitted = t - projections[r, PRO_DELAY]
            if emitted < 0:
                continue
            pre = projections[r, PRO_PRE]
            if dense_at[r] >= 0:
                deliver_dense(starts[emitted, pre], starts[emitted, pre + 1], log, populations[pre, POP_SRC], dense,
                              dense_at[r], dense_width[r], x, projections[r, PRO_LO])  # fmt: skip
                continue
            shift = projections[r, PRO_ROW] - populations[pre, POP_SRC]
            for at in range(starts[emitted, pre], starts[emitted, pre + 1]):
                i = log[at] + shift
                for p in range(topology.indptr.shape[0]):
                    deliver_row(indptr[p, i], indptr[p, i + 1], targets, weight, x)
        if learn:
            psi_now = psi[t]
        for b in range(populations.shape[0]):
            starts[t, b] = position
            role, source, size = populations[b, POP_ROLE], populations[b, POP_SRC], populations[b, POP_SIZE]
            if role == EVENTS:
                column = sample * n_steps + t
                channel = populations[b, POP_CHANNEL]
                for k in range(event_start[channel, column], event_start[channel, column + 1]):
                    log[position] = source + event_channels[k]
                    position += 1
            elif role == POISSON:
                at = (np.uint64(b) << np.uint64(48)) | np.uint64(stream * n_steps + t)
                for i in range(size):
                    if rng.uniform(seed, rng.POISSON, i, at) < topology.rates[source + i]:
                        log[position] = source + i
                        position += 1
            elif role == NEURON:
                lo = populations[b, POP_TARGET]
                count = ADVANCE(populations[b, POP_SLOT], lo, lo + size, state, params, x, psi_now, spikes, 0)
                for k in range(count):
                    log[position] = spikes[k] - lo + source
                    counts[spikes[k]] += 1
                    position += 1
        starts[t, populations.shape[0]] = position
        integrate_readouts(0, y.size, n_neurons, topology.readouts, x, y)
        for k in range(y.size):
            out_y[t, k] = y[k]
        for b in range(populations.shape[0]):
            if populations[b, POP_ROLE] == READOUT:
                lo = populations[b, POP_TARGET] - n_neurons
                hi = lo + populations[b, POP_SIZE]
                loss += errors(y[lo:hi], offsets[lo:hi], target[sample, t if target.shape[1] > 1 else 0, lo:hi],
                               window[sample if window.shape[0] > 1 else 0, t], softmax[b], error[t, lo:hi])  # fmt: skip
    return loss


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


def run_lanes(
    begin, lanes, samples, streams, learn, seed, topology, weight, dense, dense_at, dense_width, initial, feedback,
    rule_constants, lag, state, x, y, spikes, log, starts, psi, error, work, adjoint_readout, first, steps, counts, out_y,
    out_loss, event_start, event_channels, target, window, offsets, softmax,
):  # fmt: skip
    """Template: samples ``samples[begin : begin + lanes]`` forward and, if ``learn``, backward; one thread per lane."""
    n_sources = first.shape[1] - 1
    for lane_u in prange(lanes):
        lane = np.int64(lane_u)
        index = begin + lane
        out_loss[index] = FORWARD(
            lane, samples[index], streams[index], learn, seed, topology, weight, dense, dense_at, dense_width, initial,
            state[lane], x[lane], y[lane], spikes[lane], log[lane], starts[lane], psi[lane], error[lane], out_y[index],
            event_start, event_channels, target, window, offsets, softmax, counts[index],
        )  # fmt: skip
        if learn and starts[lane, 0, 0] >= 0:
            adjoint(topology, rule_constants, feedback, lag, counts[index], log[lane], starts[lane], error[lane], work, lane,
                    psi, adjoint_readout[lane])  # fmt: skip
            sort_by_source(log[lane], starts[lane], out_y.shape[1], n_sources, first[lane], steps[lane])


@inner
def accumulate_rows(
    block, blocks, row, rows, source, delay, zeta, lo, hi, lanes, indptr, targets, first, steps, adjoints, total, gradient
):  # fmt: skip
    """Add the gradients of each ``blocks``-th row of a projection from all lanes, in their order.

    ``total`` (targets,) is scratch.

    Per synapse the sum over spikes is formed first, then added: the same numbers whichever way it is done. All rows in one
    call, for the arrays of a call cost as much as a row.
    """
    n_steps, size, shift = adjoints.shape[1], np.int64(hi - lo), np.uint64(lo)
    # Whole vectors: what they read beyond the targets is not used.
    padded = lo + min(-(-size // 32) * 32, adjoints.shape[2] - lo)
    for i in range(block, rows, blocks):
        count = np.int64(0)
        for p in range(indptr.shape[0]):
            count += indptr[p, row + i + 1] - indptr[p, row + i]
        if count == 0:
            continue
        for lane in range(lanes):
            begin, stop = first[lane, source + i], first[lane, source + i + 1]
            while stop > begin and steps[lane, stop - 1] + delay >= n_steps:
                stop -= 1
            if begin == stop:
                continue
            if 12 * count > size:
                _sum_rows(lane, adjoints, steps, begin, stop, delay, lo, padded, total)
                for p in range(indptr.shape[0]):
                    for q in range(np.uint64(indptr[p, row + i]), np.uint64(indptr[p, row + i + 1])):
                        gradient[q] += zeta * total[np.uint64(targets[q]) - shift]
            else:
                for p in range(indptr.shape[0]):
                    for q in range(np.uint64(indptr[p, row + i]), np.uint64(indptr[p, row + i + 1])):
                        j = targets[q]
                        change = adjoints[lane, steps[lane, begin] + delay, j]
                        for k in range(begin + 1, stop):
                            change += adjoints[lane, steps[lane, k] + delay, j]
                        gradient[q] += zeta * change


@apart
def _sum_rows(lane, adjoints, steps, begin, stop, delay, lo, hi, total):
    """Sum of rows of ``G`` over the spikes, for all targets ``lo:hi``; four rows at once, added in their order."""
    size, shift, here = np.uint64(hi - lo), np.uint64(lo), np.uint64(lane)
    t = np.uint64(steps[here, begin] + delay)
    for j in range(size):
        total[j] = adjoints[here, t, j + shift]
    k = begin + 1
    while k + 4 <= stop:
        t = np.uint64(steps[here, k] + delay)
        u = np.uint64(steps[here, k + 1] + delay)
        v = np.uint64(steps[here, k + 2] + delay)
        w = np.uint64(steps[here, k + 3] + delay)
        for j in range(size):
            total[j] = (
                ((total[j] + adjoints[here, t, j + shift]) + adjoints[here, u, j + shift])
                + adjoints[here, v, j + shift]
            ) + adjoints[here, w, j + shift]
        k += 4
    while k < stop:
        t = np.uint64(steps[here, k] + delay)
        for j in range(size):
            total[j] += adjoints[here, t, j + shift]
        k += 1


def accumulate(lanes, blocks, topology, first, steps, adjoint_neuron, adjoint_readout, totals, gradient):
    """Template: gradients of all e-prop synapses; each block of rows is one thread's, so no two write one synapse."""
    for block_u in prange(blocks):
        block = np.int64(block_u)
        for r in range(topology.projections.shape[0]):
            row = topology.projections[r]
            if row[PRO_RULE] != EPROP:
                continue
            zeta = gradient.dtype.type(topology.projection_floats[r, PF_ZETA])
            source = topology.populations[row[PRO_PRE], POP_SRC]
            if row[PRO_TO_READOUT]:
                _accumulate_readout(
                    block, blocks, row[PRO_ROW], row[PRO_ROWS], source, row[PRO_DELAY], zeta, lanes, topology.indptr,
                    topology.targets, first, steps, adjoint_readout, gradient, topology.params.shape[1],
                )  # fmt: skip
            else:
                accumulate_rows(
                    block, blocks, row[PRO_ROW], row[PRO_ROWS], source, row[PRO_DELAY], zeta, row[PRO_LO], row[PRO_HI], lanes,
                    topology.indptr, topology.targets, first, steps, adjoint_neuron, totals[block], gradient,
                )  # fmt: skip


@inner
def _accumulate_readout(
    block, blocks, row, rows, source, delay, zeta, lanes, indptr, targets, first, steps, adjoints, gradient, n_neurons
):  # fmt: skip
    n_steps, shift = adjoints.shape[1], np.uint64(n_neurons)
    for i in range(block, rows, blocks):
        for lane in range(lanes):
            for k in range(first[lane, source + i], first[lane, source + i + 1]):
                if steps[lane, k] + delay >= n_steps:
                    break
                t = np.uint64(steps[lane, k] + delay)
                for p in range(indptr.shape[0]):
                    for q in range(np.uint64(indptr[p, row + i]), np.uint64(indptr[p, row + i + 1])):
                        gradient[q] += zeta * adjoints[lane, t, np.uint64(targets[q]) - shift]


@outer
def mirror_feedback(topology, weight, feedback, gap, n_neurons):
    """Feedback that follows the readout weights: symmetric feedback is the weight, and repeated connections add up.

    Adaptive feedback learns the same updates and decays alike, so that its difference ``gap`` from the weight only decays
    (Kolen and Pollack 1994).
    """
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if row[PRO_MIRROR] == MIRROR_WEIGHT:
            origin = topology.populations[row[PRO_PRE], POP_TARGET]
            for k in range(row[PRO_LO] - n_neurons, row[PRO_HI] - n_neurons):
                feedback[k, origin : origin + row[PRO_ROWS]] = 0.0
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if not row[PRO_MIRROR]:
            continue
        origin = topology.populations[row[PRO_PRE], POP_TARGET]
        for i in range(row[PRO_ROWS]):
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    k = np.int64(topology.targets[q]) - n_neurons
                    if row[PRO_MIRROR] == MIRROR_WEIGHT:
                        feedback[k, origin + i] += weight[q]
                    elif topology.adaptive[k, origin + i]:
                        feedback[k, origin + i] = weight[q] + gap[k, origin + i]


@outer
def measure_gaps(first, stop, topology, weight, feedback, gap, n_neurons):
    """Difference of adaptive feedback from the weights of tracts ``first:stop``, which it follows from now on."""
    for r in range(first, stop):
        row = topology.projections[r]
        if row[PRO_MIRROR] != MIRROR_CHANGE:
            continue
        origin = topology.populations[row[PRO_PRE], POP_TARGET]
        for i in range(row[PRO_ROWS]):
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    k = np.int64(topology.targets[q]) - n_neurons
                    if topology.adaptive[k, origin + i]:
                        gap[k, origin + i] = feedback[k, origin + i] - weight[q]


@outer
def fade_gaps(topology, gap, n_neurons):
    """What decaying weights and adaptive feedback forget in an optimiser step of e-prop, their difference forgets, too."""
    for r in range(topology.projections.shape[0]):
        row, floats = topology.projections[r], topology.projection_floats[r]
        if row[PRO_MIRROR] != MIRROR_CHANGE or row[PRO_RULE] != EPROP or floats[PF_ETA] == 0.0:
            continue
        origin = topology.populations[row[PRO_PRE], POP_TARGET]
        for i in range(row[PRO_ROWS]):
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    gap[np.int64(topology.targets[q]) - n_neurons, origin + i] *= floats[PF_KEEP]


@outer
def optimize(topology, synapses, update, scale):
    """One optimiser step of all e-prop synapses with gradient ``scale * pending``, which is cleared."""
    for r in range(topology.projections.shape[0]):
        row, floats = topology.projections[r], topology.projection_floats[r]
        if row[PRO_RULE] != EPROP:
            continue
        for p in range(topology.indptr.shape[0]):
            start, stop = topology.indptr[p, row[PRO_ROW]], topology.indptr[p, row[PRO_ROW] + row[PRO_ROWS]]
            kind, weight, pending = floats[PF_OPTIMIZER], synapses.weight, synapses.pending
            if floats[PF_KEEP] < 1.0 and floats[PF_ETA] != 0.0:
                for q in range(start, stop):
                    weight[q] *= floats[PF_KEEP]
            if kind == ADAM:
                _adam_range(
                    start, stop, floats, update, scale[r], weight, synapses.moment_1, synapses.moment_2, pending
                )
            elif kind == MOMENTUM:
                _momentum_range(start, stop, floats, scale[r], weight, synapses.moment_1, pending)
            elif kind == RMSPROP:
                _rmsprop_range(start, stop, floats, scale[r], weight, synapses.moment_2, pending)
            else:
                _descend_range(start, stop, floats, scale[r], synapses.weight, synapses.pending)


@apart
def _adam_range(start, stop, floats, update, scale, weight, m1, m2, g):
    real = weight.dtype.type
    b1, b2 = real(floats[PF_BETA_1]), real(floats[PF_BETA_2])
    factor = real(adam_factor(floats[PF_ETA], floats[PF_BETA_1], floats[PF_BETA_2], update))
    epsilon, w_min, w_max, s = real(floats[PF_EPSILON]), real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    one, none = real(1.0), real(0.0)
    for q in range(np.uint64(start), np.uint64(stop)):
        gradient = s * g[q]
        first = b1 * m1[q] + (one - b1) * gradient
        second = b2 * m2[q] + (one - b2) * gradient * gradient
        m1[q] = first
        m2[q] = second
        weight[q] = clip(weight[q] - factor * first / (np.sqrt(second) + epsilon), w_min, w_max)
        g[q] = none


@apart
def _momentum_range(start, stop, floats, scale, weight, m, g):
    real = weight.dtype.type
    eta, beta, nesterov = real(floats[PF_ETA]), real(floats[PF_BETA_1]), floats[PF_NESTEROV] != 0.0
    w_min, w_max, s = real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    for q in range(np.uint64(start), np.uint64(stop)):
        w, m[q] = momentum_step(weight[q], m[q], s * g[q], eta, beta, nesterov)
        weight[q] = clip(w, w_min, w_max)
        g[q] = real(0.0)


@apart
def _rmsprop_range(start, stop, floats, scale, weight, v, g):
    real = weight.dtype.type
    eta, beta, epsilon = real(floats[PF_ETA]), real(floats[PF_BETA_1]), real(floats[PF_EPSILON])
    w_min, w_max, s = real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    for q in range(np.uint64(start), np.uint64(stop)):
        w, v[q] = rmsprop_step(weight[q], v[q], s * g[q], eta, beta, epsilon)
        weight[q] = clip(w, w_min, w_max)
        g[q] = real(0.0)


@apart
def _descend_range(start, stop, floats, scale, weight, g):
    real = weight.dtype.type
    eta, w_min, w_max, s = real(floats[PF_ETA]), real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    for q in range(np.uint64(start), np.uint64(stop)):
        weight[q] = clip(weight[q] - eta * (s * g[q]), w_min, w_max)
        g[q] = real(0.0)


@outer
def count_arrivals(samples, n_steps, starts, channels, degree):
    """Synapses at which the events of some samples arrive: of each event the ``degree`` of its channel."""
    total = 0
    for k in range(samples.size):
        for at in range(np.uint64(starts[samples[k] * n_steps]), np.uint64(starts[(samples[k] + 1) * n_steps])):
            total += degree[np.uint32(channels[at])]
    return total


RUN_LANES = ACCUMULATE = _unbound


def run_waves(
    begin, stop, lanes, blocks, samples, streams, learn, seed, topology, weight, dense, dense_at, dense_width, gradient,
    initial, feedback, rule_constants, lag, state, x, y, spikes, log, starts, psi, error, work, adjoint_readout, first, steps,
    totals, counts, out_y, out_loss, event_start, event_channels, target, window, offsets, softmax,
):  # fmt: skip
    """Template: samples ``begin:stop`` in waves of as many lanes as there are; returns how far it came.

    It stops early, before the gradients of a wave are added, if a lane's spike log was too short.
    """
    index = begin
    while index < stop:
        width = min(lanes, stop - index)
        RUN_LANES(
            index, width, samples, streams, learn, seed, topology, weight, dense, dense_at, dense_width, initial, feedback,
            rule_constants, lag, state, x, y, spikes, log, starts, psi, error, work, adjoint_readout, first, steps, counts,
            out_y, out_loss, event_start, event_channels, target, window, offsets, softmax,
        )  # fmt: skip
        for lane in range(width):
            if starts[lane, 0, 0] < 0:
                return index
        if learn:
            ACCUMULATE(width, blocks, topology, first, steps, psi, adjoint_readout, totals, gradient)
        index += width
    return index
