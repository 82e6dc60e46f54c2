"""Rows of e-prop+ that spike for the first time, or after a silence longer than the cutoff.

Of these nothing is to be learned at the spike: the gradient of the last interval was settled when it was due. What is left
to do is to let the traces decay, and to pass the weights on.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import PACK, inner
from eprop.kernels.deliver import deliver_row, fetch_along, fetch_row, next_row
from eprop.kernels.layout import DECAY_KAPPA, DECAY_REG, GR_KAPPA, GR_OWN, GR_REG, PF_ETA, PRO_CUTOFF, PRO_GROUP
from eprop.kernels.optimize import decay_owed, optimize_synapse
from eprop.kernels.records import HERE

# Bound to the constants of one `kernels.maps.MapLayout`.
D, M, BOTH, ANCHORS = 1, 0, False, True
EL_C, EL_U, EL_A, EL_B = 0, 1, 1, 1
MOMENTS = False
# Whether rows are done in packs, as far as these go.
TOGETHER = True
# Of no matrix: none is equal to it.
NO_POWERS = (np.nan,) * 8


def _unbound(*arguments):
    """Stands for a bound template, or for one of the functions of `eprop._jit.Access`."""


_read = _write = _spread = _cast = _aim = _column = _pass_on = _unbound
_powers = _decay_hidden = _step_hidden = _first_row = _revive_pack = _revive_one = _revive_row = _anchor_row = _unbound


def new_and_silent_rows(k, stop, r, p, t, topology, synapses, neurons, history, scratch):
    """Template: rows ``order[k:stop]``, which spike for the first time, or after a long silence."""
    cutoff, group = topology.projections[r, PRO_CUTOFF], topology.projections[r, PRO_GROUP]
    here = np.uint64((scratch.ahead.shape[0] + HERE) * scratch.records.shape[1] * scratch.records.shape[2])
    for index in range(k, stop):
        i = scratch.order[index]
        last = scratch.last[index]
        if not TOGETHER or last < 0:
            fetch_row(index + 1, scratch.order, topology.indptr, p, topology.targets, synapses.weight, synapses.trace)
        if last < 0:
            _first_row(i, p, topology.indptr, topology.targets, synapses.weight, synapses.hidden, topology.eligibility,
                       neurons.input)  # fmt: skip
        else:
            _revive_row(index, stop, scratch.order, last, t, p, topology.indptr, scratch.z_ahead, scratch.steps[index], r,
                        topology.projection_floats, cutoff, group, topology.groups, topology.decays, topology.targets,
                        synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden, synapses.pending,
                        synapses.moment_1, synapses.moment_2, neurons.psi, topology.eligibility, neurons.input)  # fmt: skip
        if ANCHORS:
            _anchor_row(p, index, i, t, topology.projection_floats[r, PF_ETA], group, history.block_steps, topology.indptr,
                        topology.decays, topology.filters, topology.arrivals, scratch.z_ahead, here, scratch.records,
                        topology.targets, synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden,
                        synapses.pending)  # fmt: skip


def first_row(i, p, indptr, targets, weight, hidden, eligibility, x):
    """Template: the first spike of a row changes nothing yet."""
    deliver_row(indptr[p, i], indptr[p, i + 1], targets, weight, x)
    if D == 0:
        for m in range(M):
            for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
                hidden[m, q] = eligibility[EL_B + m, targets[q]]


def revive_row(
    index, stop, order, last, t, p, indptr, z_ahead, steps, r, floats, cutoff, group, groups, decays, targets, weight, trace,
    trace_reg, hidden, pending, moment_1, moment_2, psi, eligibility, x,
):  # fmt: skip
    """Template: row ``order[index]`` spikes after a silence longer than the cutoff; its gradient was settled when it was due.

    Since then the traces only decayed; the step before this spike counts again (as in NEST).
    """
    n = t - last
    if n + 1 - cutoff < decays.shape[2]:
        k_n, r_n = decays[group, DECAY_KAPPA, n + 1 - cutoff], decays[group, DECAY_REG, n + 1 - cutoff]
    else:
        k_n, r_n = groups[group, GR_KAPPA] ** (n + 1 - cutoff), groups[group, GR_REG] ** (n + 1 - cutoff)
    reg, own, powers, left = groups[group, GR_REG], groups[group, GR_OWN], NO_POWERS, 1.0
    if M == 1 and own == own:
        powers = own, 0.0, 0.0, 0.0, own ** (n - cutoff), 0.0, 0.0, 0.0
    if MOMENTS:
        left = decay_owed(steps, t - 1, r, floats)
    q, end = np.uint64(indptr[p, order[index]]), np.uint64(indptr[p, order[index] + 1])
    if TOGETHER and (M == 0 or own == own):
        following, beyond = next_row(index + 1, stop, order, indptr, p)
        fetch_along(following, targets, weight, trace)
        while q + np.uint64(PACK) <= end:
            following += np.uint64(PACK)
            if following < beyond:
                fetch_along(following, targets, weight, trace)
            _revive_pack(q, index, n - cutoff, k_n, r_n, reg, powers, steps, t - 1, left, r, floats, z_ahead, targets, weight,
                         trace, trace_reg, hidden, pending, moment_1, moment_2, psi, eligibility, x)  # fmt: skip
            q += np.uint64(PACK)
    while q < end:
        powers = _revive_one(q, index, n - cutoff, k_n, r_n, reg, powers, steps, t - 1, left, r, floats, z_ahead, targets, weight,
                             trace, trace_reg, hidden, pending, moment_1, moment_2, psi, eligibility, x)  # fmt: skip
        q += np.uint64(1)


def revive_synapses(
    q, index, silent, k_n, r_n, reg, powers, first_step, last_step, left, r, floats, z_ahead, targets, weight, trace, trace_reg,
    hidden, pending, moment_1, moment_2, psi, eligibility, x,
):  # fmt: skip
    """Template: synapses from ``q`` on, a pack or one. Those with two components of their own, or moments, are done one by one.

    Returns ``powers``, see `powers_of_target`.
    """
    to, width = _aim(targets, q), eligibility.shape[1]
    e = own = _spread(0.0, z_ahead)
    for d in range(D):
        e += _column(eligibility, np.uint64((EL_C + d) * width), to, z_ahead) * _spread(z_ahead[d, index], z_ahead)
    if M > 0:
        powers = _powers(to, silent, powers, eligibility)
    if M == 1:
        own = _kept(_cast(_read(hidden, q), z_ahead) * _spread(powers[4], z_ahead), hidden, z_ahead)
        e += _column(eligibility, np.uint64((EL_C + D) * width), to, z_ahead) * own
    if M == 2:
        _decay_hidden(q, powers, hidden)
        for m in range(M):
            e += eligibility[EL_C + D + m, to[0]] * hidden[m, q]
    e *= _column(psi, np.uint64(0), to, z_ahead)
    _write(trace, q, _cast(_spread(k_n, z_ahead) * _cast(_read(trace, q), z_ahead) + e, trace))
    if BOTH:
        new = _spread(1.0 - reg, z_ahead) * e
        _write(trace_reg, q, _cast(_spread(r_n, z_ahead) * _cast(_read(trace_reg, q), z_ahead) + new, trace))
    if M == 1:
        own = _kept(own * _column(eligibility, np.uint64(EL_A * width), to, z_ahead), hidden, z_ahead)
        own = _kept(own + _column(eligibility, np.uint64(EL_U * width), to, z_ahead) * e, hidden, z_ahead)
        if D == 0:
            own += _column(eligibility, np.uint64(EL_B * width), to, z_ahead)
        _write(hidden, q, _cast(own, hidden))
    if M == 2:
        _step_hidden(q, to[0], hidden, eligibility)
        for m in range(M):
            hidden[m, q] += eligibility[EL_U + m, to[0]] * e
            if D == 0:
                hidden[m, q] += eligibility[EL_B + m, to[0]]
    if MOMENTS:
        weight[q] = optimize_synapse(q, pending[q], first_step, last_step, left, r, floats, weight, moment_1, moment_2)
        pending[q] = 0.0
    _pass_on(x, to, _read(weight, q))
    return powers


def rounded(value, values, wide):
    """Template: ``value`` as it is kept among ``values``, in the type of ``wide``."""
    return _cast(_cast(value, values), wide)


_kept = rounded


def powers_of_pack(to, n, powers, eligibility):
    """Template: `powers_of_target` for a pack: the same for all neurons."""
    return powers


def powers_of_target(to, n, powers, eligibility):
    """Template: what ``n`` steps without a spike of the target leave of a synapse's own components.

    ``powers`` is the matrix of the target before and its power, returned for the next one: most neurons of a population
    have the same.
    """
    j = to[0]
    if M == 1:
        a, power = eligibility[EL_A, j], powers[4]
        if a != powers[0]:
            power = a**n
        return a, 0.0, 0.0, 0.0, power, 0.0, 0.0, 0.0
    a, b, c, d = eligibility[EL_A, j], eligibility[EL_A + 1, j], eligibility[EL_A + 2, j], eligibility[EL_A + 3, j]
    if a != powers[0] or b != powers[1] or c != powers[2] or d != powers[3]:
        powers = (a, b, c, d) + _matrix_power(a, b, c, d, n)  # noqa: RUF005 (the compiler knows no star here)
    return powers


def decay_hidden(q, powers, hidden):
    """Template: both components of a synapse, after steps without a spike of the target."""
    h_0, h_1 = hidden[0, q], hidden[1, q]
    hidden[0, q] = powers[4] * h_0 + powers[5] * h_1
    hidden[1, q] = powers[6] * h_0 + powers[7] * h_1


@inner
def _matrix_power(a, b, c, d, n):
    """Power of a matrix of two rows, by squaring."""
    p, q, r, s = 1.0, 0.0, 0.0, 1.0
    while n > 0:
        if n & 1:
            p, q, r, s = a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s
        a, b, c, d = a * a + b * c, (a + d) * b, (a + d) * c, b * c + d * d
        n >>= 1
    return p, q, r, s


def step_hidden(q, j, hidden, eligibility):
    """Template: both components of a synapse one step later, without a spike of the target."""
    h_0, h_1 = hidden[0, q], hidden[1, q]
    hidden[0, q] = eligibility[EL_A, j] * h_0 + eligibility[EL_A + 1, j] * h_1
    hidden[1, q] = eligibility[EL_A + 2, j] * h_0 + eligibility[EL_A + 3, j] * h_1
