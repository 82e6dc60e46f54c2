"""The adjoint pass of e-prop: backward in time, from the errors of a sample to its gradient by each spike.

The gradient of a sample is linear in the presynaptic spikes, and what a spike adds to it depends on the postsynaptic
neuron and on the step of its arrival alone. With the neuron's `eprop.models.Eligibility` (``A``, ``b``, ``c``, ``u``)::

    lam(t)  = L(t) + kappa lam(t + 1)
    d(t)    = (1 - kappa) lam(t) + F + u . mu(t + 1)
    mu(t)   = A^T mu(t + 1) + psi(t) d(t) c
    G(t)    = b . mu(t)

and the constant ``F = c_reg (f_mean - f_target) / T`` of rate regularisation. For readouts ``G_t = E_t + alpha_o
G_{t+1}``. Derived from Bellec et al. 2020 by turning the sums around; exact, and not backpropagation through time,
since only the neuron's own recurrences are followed.

``topology.adjoint`` has for each neuron ``A`` (d x d, row: to, column: from), ``b``, ``c`` and ``u`` (d each).
"""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, bind, held, inline, inner
from eprop.kernels.layout import (
    EPROP,
    NEURON,
    POP_COMPONENTS,
    POP_FED,
    POP_HI,
    POP_LO,
    POP_PLAIN,
    POP_ROLE,
    POP_SRC,
    POP_TARGET,
    PRO_LO,
    PRO_RULE,
    PRO_TO_READOUT,
    READ_ALPHA,
)

# Rows of the work space of a lane; from MU on ``d`` of them, and as many for the next step.
LAM, DRIFT, SIGNAL, DRIVE, MU = range(5)
# Rows of the constants of neurons with two components; the first index of ``A`` is where to.
A_00, A_01, A_10, A_11, B_0, B_1, C_0, C_1, U_0, U_1 = range(10)


@inner
def adjoint(topology, rule_constants, feedback, lag, counts, log, starts, error, work, lane, psi, adjoint_readout):
    """Backward pass of one sample; turns ``psi[lane]`` (steps, neurons) into ``G`` in place.

    ``rule_constants`` are (kappa, c_reg, f_target) of each population, ``work`` is scratch. The steps of a neuron that
    count, for its mean rate too, are those whose spikes can still reach a readout within the sample: all but the last
    ``lag`` of its population. Populations that nothing plastic leads to are left out.
    """
    n_steps = psi.shape[1]
    populations = topology.populations
    for b in range(populations.shape[0]):
        if populations[b, POP_ROLE] != NEURON:
            continue
        lo, hi = populations[b, POP_LO], populations[b, POP_HI]
        if not learns(lo, topology.projections):
            continue
        size, plain, fed = populations[b, POP_COMPONENTS], populations[b, POP_PLAIN] != 0, populations[b, POP_FED] != 0
        alike = hi > lo and topology.params[topology.params.shape[0] - 1, lo] != 0.0
        kappa, length = rule_constants[b, 0], n_steps - lag[b]
        for row in range(work.shape[1]):
            for j in range(lo, hi):
                work[lane, row, j] = 0.0
        for j in range(lo, hi):
            work[lane, DRIFT, j] = counts[j]
        shift = populations[b, POP_TARGET] - populations[b, POP_SRC]
        for t in range(max(length, 0), n_steps):
            for k in range(starts[t, b], starts[t, b + 1]):
                if lo <= log[k] + shift < hi:  # not of another rank
                    work[lane, DRIFT, log[k] + shift] -= 1.0
            for j in range(lo, hi):
                psi[lane, t, j] = 0.0
        c_reg, f_target = rule_constants[b, 1], rule_constants[b, 2]
        for j in range(lo, hi):
            work[lane, DRIFT, j] = c_reg * (work[lane, DRIFT, j] / max(length, 1) - f_target) / max(length, 1)
        for t in range(length - 1, -1, -1):
            if topology.lag.size > 0:
                loud = _signal_of_pairs(t, lo, hi, error, feedback, topology.lag, work[lane, SIGNAL])
            else:
                loud = _signal_of(t + lag[b], lo, hi, error, feedback, work[lane, SIGNAL])
            if plain and alike:
                _leaky_step_alike(t, lo, hi, kappa, loud, topology.adjoint, work[lane, SIGNAL], work[lane, LAM],
                                  work[lane, DRIFT], work[lane, MU], psi[lane])  # fmt: skip
            elif plain:
                _leaky_step(t, lo, hi, kappa, loud, topology.adjoint, work[lane, SIGNAL], work[lane, LAM], work[lane, DRIFT],
                            work[lane, MU], psi[lane])  # fmt: skip
            elif size == 2 and alike:
                _pair_step_alike(t, lo, hi, kappa, loud, topology.adjoint, work[lane, SIGNAL], work[lane, LAM],
                                 work[lane, DRIFT], work[lane, MU], work[lane, MU + 1], psi[lane])  # fmt: skip
            elif size == 2:
                _pair_step(t, lo, hi, kappa, loud, topology.adjoint, work[lane, SIGNAL], work[lane, LAM], work[lane, DRIFT],
                           work[lane, MU], work[lane, MU + 1], psi[lane])  # fmt: skip
            else:
                _drive(kappa, lo, hi, loud, work[lane, SIGNAL], work[lane, LAM], work[lane, DRIFT], work[lane, DRIVE])
                _linear_step(t, lo, hi, size, fed, topology.adjoint, work, lane, psi)
    for k in range(error.shape[1]):
        ahead_k = 0.0
        for t in range(n_steps - 1, -1, -1):
            ahead_k = error[t, k] + topology.readouts[READ_ALPHA, k] * ahead_k
            adjoint_readout[t, k] = ahead_k


@inner
def learns(lo, projections):
    """Whether synapses onto the neurons from ``lo`` on learn: of others nobody asks for a gradient."""
    for r in range(projections.shape[0]):
        if projections[r, PRO_RULE] == EPROP and projections[r, PRO_TO_READOUT] == 0 and projections[r, PRO_LO] == lo:
            return True
    return False


@apart
def _signal_of(t, lo, hi, error, feedback, signal):
    """Learning signals of neurons ``lo:hi`` from the errors of step ``t``; returns False, and writes none, where all are zero."""
    first, stop, now = np.uint64(lo), np.uint64(hi), np.uint64(t)
    some = False
    if t < error.shape[0]:
        for k in range(np.uint64(error.shape[1])):
            some |= error[now, k] != 0.0
    if not some:
        return False
    for j in range(first, stop):
        signal[j] = 0.0
    # Five readouts at once spare the sums the way to memory and back; each is still added in its turn.
    k, n = np.uint64(0), np.uint64(error.shape[1])
    while k + np.uint64(5) <= n:
        k1, k2, k3, k4 = k + np.uint64(1), k + np.uint64(2), k + np.uint64(3), k + np.uint64(4)
        for j in range(first, stop):
            signal[j] = (
                (
                    ((signal[j] + error[now, k] * feedback[k, j]) + error[now, k1] * feedback[k1, j])
                    + error[now, k2] * feedback[k2, j]
                )
                + error[now, k3] * feedback[k3, j]
            ) + error[now, k4] * feedback[k4, j]
        k += np.uint64(5)
    while k < n:
        for j in range(first, stop):
            signal[j] += error[now, k] * feedback[k, j]
        k += np.uint64(1)
    return True


@inner
def _signal_of_pairs(t, lo, hi, error, feedback, lag, signal):
    """`_signal_of` where each pair of readout and neuron has a lag of its own; writes them in any case."""
    for j in range(lo, hi):
        signal[j] = 0.0
    for k in range(error.shape[1]):
        for j in range(lo, hi):
            at = t + lag[k, j]
            if at < error.shape[0]:
                signal[j] += error[at, k] * feedback[k, j]
    return True


@inline
def _filtered(kappa, loud, signal, lam, j):
    """``lam`` one step earlier."""
    return (signal[j] if loud else 0.0) + kappa * lam[j]


# Whether the neurons have the constants of the first of them, which are then read once and not for each.
ALIKE = False


def leaky_step(t, lo, hi, kappa, loud, constants, signal, lam, drift, mu, psi):
    """Template: one step back with one component that ``b`` and ``c`` of 1 lead to and from, and without ``u``."""
    now = np.uint64(t)
    for j in range(np.uint64(lo), np.uint64(hi)):
        seen = held(constants, np.int64(lo) - np.int64(j)) if ALIKE else constants
        filtered = _filtered(kappa, loud, signal, lam, j)
        ahead = psi[now, j] * ((1.0 - kappa) * filtered + drift[j]) + seen[0, j] * mu[j]
        lam[j], mu[j], psi[now, j] = filtered, ahead, ahead


def pair_step(t, lo, hi, kappa, loud, constants, signal, lam, drift, mu_0, mu_1, psi):
    """Template: one step back with two components; what `_linear_step` does, in one loop."""
    now = np.uint64(t)
    for j in range(np.uint64(lo), np.uint64(hi)):
        seen = held(constants, np.int64(lo) - np.int64(j)) if ALIKE else constants
        filtered, first, second = _filtered(kappa, loud, signal, lam, j), mu_0[j], mu_1[j]
        drive = ((1.0 - kappa) * filtered + drift[j]) + seen[U_0, j] * first
        drive = (drive + seen[U_1, j] * second) * psi[now, j]
        ahead_0 = (seen[C_0, j] * drive + seen[A_00, j] * first) + seen[A_10, j] * second
        ahead_1 = (seen[C_1, j] * drive + seen[A_01, j] * first) + seen[A_11, j] * second
        lam[j], mu_0[j], mu_1[j] = filtered, ahead_0, ahead_1
        psi[now, j] = seen[B_0, j] * ahead_0 + seen[B_1, j] * ahead_1


_leaky_step, _leaky_step_alike = (
    bind(leaky_step, f"leaky_step_{name}", apart=True, ALIKE=alike)
    for name, alike in (("each", False), ("alike", True))
)
_pair_step, _pair_step_alike = (
    bind(pair_step, f"pair_step_{name}", apart=True, ALIKE=alike) for name, alike in (("each", False), ("alike", True))
)


@apart
def _drive(kappa, lo, hi, loud, signal, lam, drift, drive):
    """What of the gradient the eligibility of this step is multiplied by."""
    for j in range(np.uint64(lo), np.uint64(hi)):
        filtered = _filtered(kappa, loud, signal, lam, j)
        lam[j], drive[j] = filtered, (1.0 - kappa) * filtered + drift[j]


@inner
def _linear_step(t, lo, hi, size, fed, constants, work, lane, psi):
    """One step back with ``size`` components."""
    first, stop, now, here = np.uint64(lo), np.uint64(hi), np.uint64(t), np.uint64(lane)
    b, c, u, ahead = size * size, size * size + size, size * size + 2 * size, MU + size
    if fed:
        for i in range(size):
            for j in range(first, stop):
                work[here, DRIVE, j] += constants[u + i, j] * work[here, MU + i, j]
    for j in range(first, stop):
        work[here, DRIVE, j] *= psi[here, now, j]
    for i in range(size):
        for j in range(first, stop):
            work[here, ahead + i, j] = constants[c + i, j] * work[here, DRIVE, j]
        for k in range(size):
            for j in range(first, stop):
                work[here, ahead + i, j] += constants[k * size + i, j] * work[here, MU + k, j]
    for i in range(size):
        for j in range(first, stop):
            work[here, MU + i, j] = work[here, ahead + i, j]
    for j in range(first, stop):
        work[here, DRIVE, j] = constants[b, j] * work[here, MU, j]
    for i in range(1, size):
        for j in range(first, stop):
            work[here, DRIVE, j] += constants[b + i, j] * work[here, MU + i, j]
    for j in range(first, stop):
        psi[here, now, j] = work[here, DRIVE, j]
