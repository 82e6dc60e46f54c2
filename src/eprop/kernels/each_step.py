"""e-prop+ synapses whose optimiser takes a step at every time step, with that step's part of the gradient.

Such an optimiser is not linear in the gradient of an interval, so the steps are replayed, one by one, when a spike
arrives (NEST: ``optimize_each_step``). An event then costs as much as the interval is long; that is the price of it.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inner
from eprop.kernels.joins import STEP_DRIFT, STEP_LEARNING, STEP_PSI
from eprop.kernels.layout import FORWARD, GR_KAPPA, GR_REG, PRO_CUTOFF, PRO_GROUP
from eprop.kernels.optimize import decay_owed, optimize_synapse

# Bound to the constants of one `kernels.maps.MapLayout`.
D, M, BOTH = 1, 0, False
EL_C, EL_U, EL_A, EL_B = 0, 1, 1, 1


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0.0


_first_row = _revive_row = _unbound


def replay_synapse(
    q, j, z_0, z_1, first, stop, taken, r, group, groups, filters, steps, floats, weight, trace, trace_reg, hidden,
    moment_1, moment_2, eligibility, ends,
):  # fmt: skip
    """Template: steps ``first .. stop - 1`` of one synapse; with ``ends``, its trace takes nothing in the last of them."""
    kappa, reg = groups[group, GR_KAPPA], groups[group, GR_REG]
    e_bar, e_reg = np.float64(trace[q]), 0.0
    if BOTH:
        e_reg = np.float64(trace_reg[q])
    h_0, h_1 = 0.0, 0.0
    if M > 0:
        h_0 = np.float64(hidden[0, q])
    if M > 1:
        h_1 = np.float64(hidden[1, q])
    for u in range(first, stop):
        row = u & (steps.shape[0] - 1)
        g = steps[row, STEP_LEARNING, j] * e_bar
        if BOTH:
            g += steps[row, STEP_DRIFT, j] * e_reg
        left = decay_owed(taken, u, r, floats)
        weight[q] = optimize_synapse(q, g, taken, u, left, r, floats, weight, moment_1, moment_2)
        taken = u
        if ends and u == stop - 1:
            break
        e = 0.0
        if D > 0:
            e += eligibility[EL_C, j] * z_0
        if D > 1:
            e += eligibility[EL_C + 1, j] * z_1
        if M > 0:
            e += eligibility[EL_C + D, j] * h_0
        if M > 1:
            e += eligibility[EL_C + D + 1, j] * h_1
        e *= steps[row, STEP_PSI, j]
        e_bar = kappa * e_bar + e
        if BOTH:
            e_reg = reg * e_reg + (1.0 - reg) * e
        if D == 1:
            z_0 *= filters[group, FORWARD, 1, 0, 0]
        if D == 2:
            z_0, z_1 = (
                filters[group, FORWARD, 1, 0, 0] * z_0 + filters[group, FORWARD, 1, 0, 1] * z_1,
                filters[group, FORWARD, 1, 1, 0] * z_0 + filters[group, FORWARD, 1, 1, 1] * z_1,
            )
        if M == 1:
            h_0 = eligibility[EL_A, j] * h_0 + eligibility[EL_U, j] * e
        if M == 2:
            h_0, h_1 = (
                eligibility[EL_A, j] * h_0 + eligibility[EL_A + 1, j] * h_1 + eligibility[EL_U, j] * e,
                eligibility[EL_A + 2, j] * h_0 + eligibility[EL_A + 3, j] * h_1 + eligibility[EL_U + 1, j] * e,
            )
    trace[q] = e_bar
    if BOTH:
        trace_reg[q] = e_reg
    if M > 0:
        hidden[0, q] = h_0
    if M > 1:
        hidden[1, q] = h_1


_replay = replay_synapse


def replay_row(r, p, i, first, stop, z_bar, steps, index, topology, synapses, history, ends):
    """Template: steps ``first .. stop - 1`` of row ``i``, the ``index``-th that is listed, within partition ``p``."""
    group = topology.projections[r, PRO_GROUP]
    z_0, z_1 = 0.0, 0.0
    if D > 0:
        z_0 = z_bar[0, index]
    if D > 1:
        z_1 = z_bar[1, index]
    for q in range(np.uint64(topology.indptr[p, i]), np.uint64(topology.indptr[p, i + 1])):
        j = topology.targets[q]
        _replay(q, j, z_0, z_1, first, stop, steps[index], r, group, topology.groups, topology.filters, history.steps,
                topology.projection_floats, synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden,
                synapses.moment_1, synapses.moment_2, topology.eligibility, ends)  # fmt: skip


_replay_row = replay_row


def deliver_each(r, p, t, topology, synapses, neurons, history, scratch):
    """Template: all spikes of tract ``r`` that arrive in step ``t`` within partition ``p``."""
    indptr, targets, x = topology.indptr, topology.targets, neurons.input
    group, cutoff = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
        i = scratch.order[index]
        last = scratch.last[index]
        if last < 0:
            _first_row(i, p, indptr, targets, synapses.weight, synapses.hidden, topology.eligibility, x)
            continue
        if t - last > cutoff:
            _revive_row(index, scratch.order_start[r + 1], scratch.order, last, t, p, indptr, scratch.z_ahead,
                        scratch.steps[index], r, topology.projection_floats, cutoff, group, topology.groups, topology.decays,
                        targets, synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden, synapses.pending,
                        synapses.moment_1, synapses.moment_2, neurons.psi, topology.eligibility, x)  # fmt: skip
            continue
        # Of a full interval the last step adds nothing to the traces, but the step before an arrival does.
        _replay_row(r, p, i, last, t, scratch.z_last, scratch.steps, index, topology, synapses, history, False)
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            if D == 0:
                for m in range(M):
                    synapses.hidden[m, q] += topology.eligibility[EL_B + m, targets[q]]
            x[targets[q]] += synapses.weight[q]


def settle_each(r, p, t, topology, synapses, history, scratch):
    """Template: take the steps of rows whose last spike arrived ``cutoff`` steps ago; there are no more."""
    last = t - topology.projections[r, PRO_CUTOFF]
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        i = scratch.due[index]
        _replay_row(r, p, i, last, t, scratch.due_z, scratch.due_steps, index, topology, synapses, history, True)


@inner
def replay_readout(r, p, i, first, t, z_bar, z_before, steps, index, topology, synapses, history, n_neurons):
    """Steps ``first .. t - 1`` of a row onto readouts, the ``index``-th listed: step ``u`` takes the error of ``u - 1``."""
    group = topology.projections[r, PRO_GROUP]
    alpha, error = topology.filters[group, FORWARD, 1, 0, 0], history.error
    for q in range(np.uint64(topology.indptr[p, i]), np.uint64(topology.indptr[p, i + 1])):
        k = np.int64(topology.targets[q]) - n_neurons
        z, taken = z_before[0, index], steps[index]
        for u in range(first, t):
            g = error[(u - 1) & (error.shape[0] - 1), k] * z if u > 0 else 0.0
            left = decay_owed(taken, u, r, topology.projection_floats)
            synapses.weight[q] = optimize_synapse(q, g, taken, u, left, r, topology.projection_floats, synapses.weight,
                                                  synapses.moment_1, synapses.moment_2)  # fmt: skip
            taken = u
            z = z_bar[0, index] if u == first else alpha * z


@inner
def deliver_readout_each(r, p, t, topology, synapses, neurons, history, scratch):
    """`deliver_each` onto readouts."""
    indptr, cutoff = topology.indptr, topology.projections[r, PRO_CUTOFF]
    for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
        i = scratch.order[index]
        last = scratch.last[index]
        if last >= 0 and t - last <= cutoff:
            replay_readout(r, p, i, last, t, scratch.z_last, scratch.z_before, scratch.steps, index, topology, synapses, history,
                           neurons.psi.size)  # fmt: skip
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            neurons.input[topology.targets[q]] += synapses.weight[q]


@inner
def settle_readout_each(r, p, t, topology, synapses, neurons, history, scratch):
    """`settle_each` onto readouts."""
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        replay_readout(r, p, scratch.due[index], t - topology.projections[r, PRO_CUTOFF], t, scratch.due_z, scratch.due_z_before,
                       scratch.due_steps, index, topology, synapses, history, neurons.psi.size)  # fmt: skip
