"""Errors of the readouts in each step, and the learning signals that they become."""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, inline, inner, outer
from eprop.kernels.layout import POP_GROUP, POP_ROLE, POP_SIZE, POP_TARGET, READ_GROUP, READOUT
from eprop.kernels.neurons import errors
from eprop.kernels.plastic_readout import extend_error_sums


@inner
def gather_signals(t, lo, hi, signal, feedback, error, delay):
    """Learning signals that arrive in step ``t``: errors of earlier steps, through the feedback weights."""
    first, stop = np.uint64(lo), np.uint64(hi)
    for j in range(first, stop):
        signal[j] = 0.0
    if t == 0:
        return
    if delay.size > 0:
        _gather_delayed(t, first, stop, signal, feedback, error, delay)
        return
    row, n = np.uint64((t - 1) & (error.shape[0] - 1)), np.int64(error.shape[1])
    for k in range(0, n, 4):
        e_0, e_1 = error[row, np.uint64(k)], _error(row, k + 1, error)
        e_2, e_3 = _error(row, k + 2, error), _error(row, k + 3, error)
        if e_0 != 0.0 or e_1 != 0.0 or e_2 != 0.0 or e_3 != 0.0:
            _add_signals(first, stop, np.uint64(k), np.uint64(min(k + 1, n - 1)), np.uint64(min(k + 2, n - 1)),
                         np.uint64(min(k + 3, n - 1)), e_0, e_1, e_2, e_3, feedback, signal)  # fmt: skip


@inline
def _error(row, k, error):
    """Error of readout ``k``, 0 beyond the last one."""
    return error[row, np.uint64(k)] if k < error.shape[1] else 0.0


@apart
def _add_signals(lo, hi, a, b, c, d, e_a, e_b, e_c, e_d, feedback, signal):
    """Add the errors of four readouts: neurons are gone through less often than readout by readout, in the same order."""
    for j in range(lo, hi):
        s = signal[j] + e_a * feedback[a, j]
        s += e_b * feedback[b, j]
        s += e_c * feedback[c, j]
        signal[j] = s + e_d * feedback[d, j]


@inner
def _gather_delayed(t, lo, hi, signal, feedback, error, delay):
    """`gather_signals` where each pair of readout and neuron has a delay of its own."""
    mask = error.shape[0] - 1
    for k in range(error.shape[1]):
        for j in range(lo, hi):
            if t >= delay[k, j]:
                signal[j] += error[(t - delay[k, j]) & mask, k] * feedback[k, j]


@inline
def compare_readouts(t, s, topology, neurons, history, target, window, offsets, softmax, out_loss):
    """Errors of all readouts in step ``t``, which is step ``s`` of all samples; their sums per block; adds the losses."""
    ring = history.error.shape[0] - 1
    error = history.error[t & ring]
    populations = topology.populations
    sample, step = s // window.shape[1], s % window.shape[1]
    weight = window[sample if window.shape[0] > 1 else 0, step]
    if target.shape[1] == 1:
        step = 0
    for b in range(populations.shape[0]):
        if populations[b, POP_ROLE] != READOUT:
            continue
        lo = populations[b, POP_TARGET] - neurons.psi.size
        hi = lo + populations[b, POP_SIZE]
        out_loss[s] += errors(neurons.y[lo:hi], offsets[lo:hi], target[sample, step, lo:hi], weight, softmax[b],
                              error[lo:hi])  # fmt: skip
        if populations[b, POP_GROUP] >= 0:
            _sum_errors(t, lo, hi, topology, history, error)


@outer
def losses_of_steps(y, target, window, populations, n_neurons, softmax, offsets, error, out_loss):
    """Losses of all steps of one sample: as `compare_readouts` adds them up, from the outputs; ``error`` is work space."""
    for s in range(y.shape[0]):
        step = s if target.shape[0] > 1 else 0
        for b in range(populations.shape[0]):
            if populations[b, POP_ROLE] == READOUT:
                lo = populations[b, POP_TARGET] - n_neurons
                hi = lo + populations[b, POP_SIZE]
                out_loss[s] += errors(
                    y[s, lo:hi], offsets[lo:hi], target[step, lo:hi], window[s], softmax[b], error[lo:hi]
                )


@inline
def _sum_errors(t, lo, hi, topology, history, error):
    """Add the errors of readouts ``lo:hi`` to their sums, those of one group after the other."""
    group, first = topology.readouts[READ_GROUP], lo
    for k in range(lo + 1, hi + 1):
        if k == hi or group[k] != group[first]:
            extend_error_sums(t, first, k, error, history.readout_prefix, history.readout_block, history.block_steps,
                              np.int64(group[first]), topology.filters)  # fmt: skip
            first = k
