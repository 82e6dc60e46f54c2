"""Advance neurons and readouts by one step."""

from __future__ import annotations

import numpy as np

from eprop._jit import WIDE, held, inline, inner, lowest, marks, outer
from eprop.equations.surrogate import PIECEWISE_LINEAR, piecewise_linear
from eprop.kernels.layout import EACH, READ_ALPHA, READ_DRIVE, READ_MIN, READ_ZETA, SAME, SHORT


def _unbound(state, params, j, x):
    """Stands for a neuron model's ``update`` until `bind` puts one in its place."""
    return False, 0.0


UPDATE = _unbound
# Whether the neurons have the parameters of the first of them, which are then read once and not for each one.
ALIKE = False


def step_range(lo, hi, state, params, x, psi, spikes):
    """Template: one step of neurons ``lo:hi``; returns whether any spiked.

    Reads and clears ``x`` (synaptic input), writes ``state``, ``psi`` and the marks ``spikes[j]``, 1 or 0. Nothing here
    depends on the neuron before, so that several are advanced at once wherever ``UPDATE`` is without calls.
    """
    some = np.int32(0)
    for j in range(np.uint64(lo), np.uint64(hi)):
        seen = held(params, np.int64(lo) - np.int64(j)) if ALIKE else params
        spike, psi_j = UPDATE(state, seen, j, x[j])
        x[j] = 0.0
        psi[j] = psi_j
        mark = np.int32(1) if spike else np.int32(0)
        spikes[j] = mark
        some |= mark
    return some


STEP = STEP_ALIKE = STEP_SHORT = step_range


def advance(lo, hi, state, params, x, psi, spikes, count):
    """Template: advance neurons ``lo:hi`` by one step.

    Reads and clears ``x`` (synaptic input), writes ``state`` and ``psi``, appends the neurons that spike to
    ``spikes`` from position ``count <= lo`` on, and returns the new count.
    """
    some, kind = np.int32(0), params[params.shape[0] - 1, lo] if hi > lo else EACH
    if kind == SHORT:
        some = STEP_SHORT(lo, hi, state, params, x, psi, spikes)
    elif kind == SAME:
        some = STEP_ALIKE(lo, hi, state, params, x, psi, spikes)
    else:
        some = STEP(lo, hi, state, params, x, psi, spikes)
    return collect(lo, hi, spikes, count) if some else count


ADVANCE = advance


def advance_alone(lo, hi, state, params, x, psi, spikes, count):
    """Template: `advance` as a loop of its own."""
    return ADVANCE(lo, hi, state, params, x, psi, spikes, count)


@inner
def collect(lo, hi, spikes, count):
    """Turn the marks ``spikes[lo:hi]`` into a list of the neurons that spiked, from position ``count <= lo`` on."""
    first = lo
    while first + WIDE <= hi:
        bits = marks(spikes, first)
        while bits:
            spikes[count] = first + lowest(bits)
            count += 1
            bits &= bits - 1
        first += WIDE
    for j in range(first, hi):
        if spikes[j]:
            spikes[count] = j
            count += 1
    return count


ADVANCE_TRIANGLE = ADVANCE_ANY = _unbound
KIND = 0


def advance_by_kind(lo, hi, state, params, x, psi, spikes, count):
    """Template: `advance`, with a loop of its own for the surrogate gradient that needs no call (row ``KIND``)."""
    if hi > lo and params[KIND, lo] == PIECEWISE_LINEAR:
        return ADVANCE_TRIANGLE(lo, hi, state, params, x, psi, spikes, count)
    return ADVANCE_ANY(lo, hi, state, params, x, psi, spikes, count)


@inline
def triangle(kind, u, height, width):
    """Stands for `eprop.equations.surrogate.surrogate` where all of a population is piecewise linear."""
    return piecewise_linear(u, height, width)


@outer
def integrate_readouts(lo, hi, n_neurons, readouts, x, y):
    """Leaky integration of readouts ``lo:hi``; reads and clears their input."""
    for k in range(lo, hi):
        integral = readouts[READ_ALPHA, k] * y[k] + readouts[READ_ZETA, k] * x[n_neurons + k] + readouts[READ_DRIVE, k]
        y[k] = max(integral, readouts[READ_MIN, k])
        x[n_neurons + k] = 0.0


@outer
def errors(y, offset, target, window, softmax, out):
    """Error signals of one readout population with leak potentials ``offset``; returns its loss in this step.

    Squared error: ``y - y*`` and ``0.5 sum (y - y*)^2``. Softmax: ``softmax(y) - y*`` and the cross-entropy. Outside
    the learning window all is zero, and so it is without a target, which is NaN for the whole population.
    """
    if window == 0.0 or np.isnan(target[0]):
        out[:] = 0.0
        return 0.0
    loss = 0.0
    if not softmax:
        for k in range(y.size):
            out[k] = window * (y[k] + offset[k] - target[k])
            loss += 0.5 * window * (y[k] + offset[k] - target[k]) ** 2
        return loss
    top = y[0] + offset[0]
    for k in range(1, y.size):
        top = max(top, y[k] + offset[k])
    total = 0.0
    for k in range(y.size):
        out[k] = np.exp(y[k] + offset[k] - top)
        total += out[k]
    log_total = np.log(total) + top
    for k in range(y.size):
        loss -= window * target[k] * (y[k] + offset[k] - log_total)
        out[k] = window * (out[k] / total - target[k])
    return loss
