"""Advance neurons and readouts by one step."""

from __future__ import annotations

import numpy as np

from eprop._jit import inner


def _unbound(state, params, j, x):
    """Stands for a neuron model's ``update`` until `bind` puts one in its place."""
    return False, 0.0


UPDATE = _unbound


def advance(lo, hi, state, params, x, psi, spikes, count):
    """Template: advance neurons ``lo:hi`` by one step.

    Reads and clears ``x`` (synaptic input), writes ``state`` and ``psi``, appends the neurons that spike to
    ``spikes`` from position ``count`` on, and returns the new count.
    """
    for j in range(np.uint64(lo), np.uint64(hi)):
        spike, psi_j = UPDATE(state, params, j, x[j])
        x[j] = 0.0
        psi[j] = psi_j
        if spike:
            spikes[count] = j
            count += 1
    return count


@inner
def integrate_readouts(lo, hi, n_neurons, readouts, x, y):
    """Leaky integration of readouts ``lo:hi``; reads and clears their input."""
    for k in range(lo, hi):
        integral = readouts[0, k] * y[k] + readouts[1, k] * x[n_neurons + k] + readouts[2, k]
        y[k] = max(integral, readouts[4, k])
        x[n_neurons + k] = 0.0


@inner
def errors(y, offset, target, window, softmax, out):
    """Error signals of one readout population; returns its loss in this step.

    Squared error: ``y - y*`` and ``0.5 sum (y - y*)^2``. Softmax: ``softmax(y) - y*`` and the cross-entropy. Outside
    the learning window all is zero.
    """
    if window == 0.0:
        out[:] = 0.0
        return 0.0
    loss = 0.0
    if not softmax:
        for k in range(y.size):
            out[k] = window * (y[k] + offset - target[k])
            loss += 0.5 * window * (y[k] + offset - target[k]) ** 2
        return loss
    top = y[0]
    for k in range(1, y.size):
        top = max(top, y[k])
    total = 0.0
    for k in range(y.size):
        out[k] = np.exp(y[k] - top)
        total += out[k]
    log_total = np.log(total) + top
    for k in range(y.size):
        loss -= window * target[k] * (y[k] - log_total)
        out[k] = window * (out[k] / total - target[k])
    return loss
