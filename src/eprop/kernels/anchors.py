"""What an e-prop+ synapse keeps between spikes: its values, moved back.

When a spike arrives in step ``t``, the block of steps that ``t`` lies in has begun already, and the map from its start to ``t``
is known. A synapse applies it backward and keeps what its trace would have been at the start of the block: its *anchor*. From
there the next spike goes on in two strides: to the start of its own block, by a map that all synapses share whose last spikes
fell into the same block, and that holds as long as this block lasts; then to its own step, by the map that all spikes of the step
share. No map is asked for that begins at the step of a last spike. So a step touches as many maps as the cutoff has blocks, not
as many as it has steps, and makes one of them: they stay in the cache, in whatever order spikes come and whatever their delays.

Back from its own step to the start of the block a synapse need not go at all: it has just been there. What is new since is
the spike that arrives, and what that does at the start of the block is a number of the target (`kernels.jumps`).

Moved back, a trace would have collected a gradient up to ``t`` that no spike has caused. It is taken away from the weight (with
moments, from ``pending``) at once, so that the next gradient may be counted from the start of the block. `History.eta` tells with
which learning rate it was; the weight as of the last spike is had back by `see_weights`.

A component of the eligibility that is the synapse's own (M = 1) is moved back by dividing by what a block has left of it. Spikes
of the neuron itself may act on it, or neurons differ in their time constants, so this is a number of each neuron and step.
`engine.traces` decides whether it always stays away from zero. Where it may not, synapses cross the rest of their block instead
(`kernels.crossing`).

What is done to synapses is written once and bound twice, to a pack of them (`eprop._packs`) and to one: a row is done in packs as
far as they go. Maps are read as records (`kernels.records`).
"""

from __future__ import annotations

import numpy as np

from eprop._jit import PACK, inline, inner, outer
from eprop.equations.optimize import clip
from eprop.kernels.axons import filtered_spikes, last_arrival
from eprop.kernels.deliver import fetch_along, next_row, rows_ahead
from eprop.kernels.layout import (
    DECAY_KAPPA,
    DECAY_REG,
    EPROP_PLUS,
    FORWARD,
    GROW_KAPPA,
    GROW_REG,
    INVERSE,
    PF_ETA,
    PF_MAX,
    PF_MIN,
    PRO_CUTOFF,
    PRO_EACH,
    PRO_GROUP,
    PRO_KIND,
    PRO_LEADER,
    PRO_ROW,
    PRO_ROWS,
    PRO_RULE,
    PRO_STRIDE,
    PRO_TO_READOUT,
)
from eprop.kernels.optimize import decay_owed, optimize_synapse

# Bound to the constants of one `kernels.maps.MapLayout` with at most one hidden component.
D, M, BOTH = 1, 0, False
GE, GR = 1, 1
J_E, J_R, J_A, J_Q = 0, 1, 1, 1
# Which powers of the filters move spikes.
WAY = INVERSE
MOMENTS = False
# Entries that filtered spikes and the own component go through, bound to those of e, rate, gradient or own component.
FIRST, SECOND, OWN = 0, 0, 0
# Whether rows are done in packs, as far as these go; synapses whose optimiser keeps moments are done one by one.
PACKED = True


def _unbound(*arguments):
    """Stands for a bound template, or for one of the functions of `eprop._jit.Access`."""


_read = _write = _spread = _aim = _records = _column = _limit = _pass_on = _unbound
_add_e = _add_rate = _add_gradient = _add_own = _unbound
_jumps = _stride = _collect = _collect_here = _own_back = _anchor = _unbound
_anchor_pack = _anchor_one = _learn_pack = _learn_one = _settle_pack = _settle_one = _unbound


def move_spikes(n, group, filters, z_bar, i):
    """Template: both filtered spikes in column ``i``, ``n`` steps before (`WAY` `INVERSE`) or after (`FORWARD`)."""
    if D == 0:
        return 0.0, 0.0
    first = filters[group, WAY, n, 0, 0] * z_bar[0, i]
    if D == 1:
        return first, first
    first += filters[group, WAY, n, 0, 1] * z_bar[1, i]
    return first, filters[group, WAY, n, 1, 0] * z_bar[0, i] + filters[group, WAY, n, 1, 1] * z_bar[1, i]


def move_ahead_back(n, group, filters, z_ahead, index):
    """Template: both filtered spikes of the ``index``-th row that spikes, ``n`` steps before, without the spike that arrives.

    ``z_ahead`` is from the step before this one.
    """
    if D == 0:
        return 0.0, 0.0
    first = filters[group, FORWARD, 1, 0, 0] * z_ahead[0, index]
    if D == 1:
        first = filters[group, INVERSE, n, 0, 0] * first
        return first, first
    first += filters[group, FORWARD, 1, 0, 1] * z_ahead[1, index]
    second = filters[group, FORWARD, 1, 1, 0] * z_ahead[0, index] + filters[group, FORWARD, 1, 1, 1] * z_ahead[1, index]
    return (
        filters[group, INVERSE, n, 0, 0] * first + filters[group, INVERSE, n, 0, 1] * second,
        filters[group, INVERSE, n, 1, 0] * first + filters[group, INVERSE, n, 1, 1] * second,
    )


_back = _on = move_spikes
_here, _moved_back = move_ahead_back, _unbound


# ------------------------------------------ synapses from ``q`` on, a pack of them or one; ``m`` are the maps of their targets


def add_through(total, m, z_0, z_1, h):
    """Template: what filtered spikes and the own component add to ``total``, through some entries of maps."""
    if D > 0:
        total += m[FIRST] * z_0
    if D > 1:
        total += m[SECOND] * z_1
    if M > 0:
        total += m[OWN] * h
    return total


def collect(m, e, rate, z_0, z_1, h):
    """Template: the gradient that is collected from the anchor on."""
    g = _add_gradient(m[GE] * e, m, z_0, z_1, h)
    if BOTH:
        g += m[GR] * rate
    return g


def own_back(m, h, z_0, z_1):
    """Template: the own component ``h`` at the start of a block, from which ``m`` leads here."""
    if D > 0:
        h -= m[FIRST] * z_0
    if D > 1:
        h -= m[SECOND] * z_1
    return h / m[OWN]


def anchor_synapses(
    q, m, w, e, rate, h, grow_k, grow_r, eta, z_0, z_1, weight, trace, trace_reg, hidden, pending
):  # fmt: skip
    """Template: keep weights ``w`` and values as of now, to which ``m`` leads from the start of the block."""
    if M > 0:
        h = _own_back(m, h, z_0, z_1)
        _write(hidden, q, h)
    e = _add_e(e, m, -z_0, -z_1, -h) * grow_k
    _write(trace, q, e)
    if BOTH:
        rate = _add_rate(rate, m, -z_0, -z_1, -h) * grow_r
        _write(trace_reg, q, rate)
    early = _collect(m, e, rate, z_0, z_1, h)
    if MOMENTS:
        _write(weight, q, w)
        _write(pending, q, -early)
    else:
        _write(weight, q, w + eta * early)


def anchor_anew(
    q, here, records, targets, grow_k, grow_r, eta, z_0, z_1, weight, trace, trace_reg, hidden, pending
):  # fmt: skip
    """Template: `anchor_synapses` with the values that are there, as those of now."""
    e, rate, h = _read(trace, q), _spread(eta, weight), _spread(eta, weight)
    if BOTH:
        rate = _read(trace_reg, q)
    if M > 0:
        h = _read(hidden, q)
    _anchor(q, _records(records, here, _aim(targets, q)), _read(weight, q), e, rate, h, _spread(grow_k, weight),
            _spread(grow_r, weight), _spread(eta, weight), _spread(z_0, weight), _spread(z_1, weight), weight, trace, trace_reg,
            hidden, pending)  # fmt: skip


def stride(m, e, rate, h, k_n, r_n, z_0, z_1, weight):
    """Template: values go on through ``m``; returns the gradient on the way, and what becomes of them."""
    x_0, x_1, own = _spread(z_0, weight), _spread(z_1, weight), h
    g = _collect(m, e, rate, x_0, x_1, h)
    e = _add_e(_spread(k_n, weight) * e, m, x_0, x_1, h)
    if BOTH:
        rate = _add_rate(_spread(r_n, weight) * rate, m, x_0, x_1, h)
    if M > 0:
        own = _add_own(_spread(0.0, weight), m, x_0, x_1, h)
    return g, e, rate, own


def learn_synapses(
    q, across, ahead, records, jumps, targets, k_n, r_n, eta, w_min, w_max, a_0, a_1, z_0, z_1, first_step, last_step, left, r,
    floats, weight, trace, trace_reg, hidden, pending, moment_1, moment_2, x,
):  # fmt: skip
    """Template: go on from the anchor to the start of this block (``across``) and to this step, change, deliver, be anchored.

    ``a`` are the filtered spikes at the anchor, ``z`` those at the start of this block, without the spike that arrives.
    """
    eta = _spread(eta, weight)
    to, g, e, rate, h = _aim(targets, q), _spread(0.0, weight), _read(trace, q), eta, eta
    if BOTH:
        rate = _read(trace_reg, q)
    if M > 0:
        h = _read(hidden, q)
    if across:
        g, e, rate, h = _stride(_records(records, ahead, to), e, rate, h, k_n, r_n, a_0, a_1, weight)
    m = _jumps(jumps, np.uint64(0), to)
    early = _collect_here(m, e, rate, _spread(z_0, weight), _spread(z_1, weight), h)
    g += early
    early += m[J_Q]
    _write(trace, q, e + m[J_E])
    if BOTH:
        _write(trace_reg, q, rate + m[J_R])
    if M > 0:
        _write(hidden, q, h + m[J_A])
    if MOMENTS:
        g += _read(pending, q)
        w = optimize_synapse(q, np.float64(g), first_step, last_step, left, r, floats, weight, moment_1, moment_2)
        _pass_on(x, to, w)
        _write(weight, q, w)
        _write(pending, q, -early)
    else:
        w = _limit(_read(weight, q) - eta * g, _spread(w_min, weight), _spread(w_max, weight))
        _pass_on(x, to, w)
        _write(weight, q, w + eta * early)


def settle_synapses(
    q, across, ahead, due, records, targets, k_a, r_a, k_n, r_n, eta, w_min, w_max, a_0, a_1, z_0, z_1, weight, trace, trace_reg,
    hidden, pending,
):  # fmt: skip
    """Template: collect what is left to collect, to the start of the last block (``across``) and on through the maps ``due``.

    ``a`` and ``z`` as for `learn_synapses`. The part of ``due`` that carries values ends a step before that of the gradient.
    """
    eta = _spread(eta, weight)
    to, g, e, rate, h = _aim(targets, q), _spread(0.0, weight), _read(trace, q), eta, eta
    if BOTH:
        rate = _read(trace_reg, q)
    if M > 0:
        h = _read(hidden, q)
    if across:
        g, e, rate, h = _stride(_records(records, ahead, to), e, rate, h, k_a, r_a, a_0, a_1, weight)
    more, e, rate, h = _stride(_records(records, due, to), e, rate, h, k_n, r_n, z_0, z_1, weight)
    g += more
    _write(trace, q, e)
    if BOTH:
        _write(trace_reg, q, rate)
    if M > 0:
        _write(hidden, q, h)
    if MOMENTS:
        _write(pending, q, _read(pending, q) + g)
    else:
        _write(weight, q, _limit(_read(weight, q) - eta * g, _spread(w_min, weight), _spread(w_max, weight)))


# -------------------------------------------------------------------------------------------------------------------- rows


def anchor_row(p, index, i, t, eta, group, block_steps, indptr, decays, filters, arrivals, z_ahead, here, records, targets,
               weight, trace, trace_reg, hidden, pending):  # fmt: skip
    """Template: anchor a row whose traces are those of now: it spikes for the first time, or after a long silence."""
    real, n = weight.dtype.type, t & (block_steps - 1)
    back_0, back_1 = _here(n, group, filters, z_ahead, index)
    new_0, new_1 = _moved_back(n, group, filters, arrivals)
    z_0, z_1, grow_k, grow_r = (
        real(back_0 + new_0),
        real(back_1 + new_1),
        real(decays[group, GROW_KAPPA, n]),
        real(decays[group, GROW_REG, n]),
    )
    q, end = np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])
    if PACKED:
        while q + np.uint64(PACK) <= end:
            _anchor_pack(q, here, records, targets, grow_k, grow_r, real(eta), z_0, z_1, weight, trace, trace_reg, hidden,
                         pending)  # fmt: skip
            q += np.uint64(PACK)
    while q < end:
        _anchor_one(
            q, here, records, targets, grow_k, grow_r, real(eta), z_0, z_1, weight, trace, trace_reg, hidden, pending
        )
        q += np.uint64(1)


def refold_row(p, i, last, change, z_0, z_1, indptr, parts, targets, weight, trace, trace_reg, hidden):
    """Template: let the learning rate of what was taken away from the weights of a row be larger by ``change``.

    ``z`` are the filtered spikes at the anchor, before the block of step ``last``.
    """
    real = weight.dtype.type
    a, rate, h = np.uint64(last & (parts.shape[0] - 1)), real(0.0), real(0.0)
    for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
        if BOTH:
            rate = trace_reg[q]
        if M > 0:
            h = hidden[0, q]
        weight[q] += real(change) * taken_away(a, targets[q], parts, D, M, BOTH, trace[q], rate, z_0, z_1, h)


_refold_row = refold_row


def learn_rows_onward(
    k, stop, t, p, r, group, block_steps, parts, ahead, order, last, z_last, z_ahead, steps, etas, indptr, decays, filters,
    floats, records, jumps, targets, weight, trace, trace_reg, hidden, pending, moment_1, moment_2, x,
):  # fmt: skip
    """Template: rows ``order[k:stop]`` go on from their anchors to step ``t``, change, deliver, and are anchored anew.

    The first ``ahead`` rows of ``records`` (a power of two) lead from the starts of blocks to that of this one, ``jumps`` on to
    this step.
    """
    real, n_t, room = weight.dtype.type, t & (block_steps - 1), np.uint64(records.shape[1] * records.shape[2])
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    left, far = 1.0, rows_ahead(order[k], indptr, p) if k < stop else 1
    start, begin, at, k_n, r_n = t - n_t, t - n_t, np.uint64(0), real(1.0), real(1.0)
    for index in range(k, stop):
        i = np.uint64(order[index])
        before = last[index] & (block_steps - 1)
        if last[index] - before != begin:  # rows whose last spikes are in the same block follow each other
            begin = last[index] - before
            at, n = np.uint64(begin // block_steps & (ahead - 1)) * room, start - begin
            k_n, r_n = real(decays[group, DECAY_KAPPA, n]), real(decays[group, DECAY_REG, n])
        back_0, back_1 = _back(before, group, filters, z_last, index)
        here_0, here_1 = _here(n_t, group, filters, z_ahead, index)
        a_0, a_1, z_0, z_1 = real(back_0), real(back_1), real(here_0), real(here_1)
        if MOMENTS:
            left = decay_owed(steps[index], t - 1, r, floats)
        else:
            change = floats[r, PF_ETA] - etas[r, last[index] & (etas.shape[1] - 1)]
            if change != 0.0:
                _refold_row(
                    p, i, last[index], change, a_0, a_1, indptr, parts, targets, weight, trace, trace_reg, hidden
                )
        q, end, across = np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1]), begin < start
        following, beyond = next_row(index + far, stop, order, indptr, p)
        fetch_along(following, targets, weight, trace)
        if PACKED:
            while q + np.uint64(PACK) <= end:
                following += np.uint64(PACK)
                if following < beyond:
                    fetch_along(following, targets, weight, trace)
                _learn_pack(q, across, at, records, jumps, targets, k_n, r_n, eta, w_min, w_max, a_0, a_1, z_0, z_1, steps[index],
                            t - 1, left, r, floats, weight, trace, trace_reg, hidden, pending, moment_1, moment_2,
                            x)  # fmt: skip
                q += np.uint64(PACK)
        while q < end:
            _learn_one(q, across, at, records, jumps, targets, k_n, r_n, eta, w_min, w_max, a_0, a_1, z_0, z_1, steps[index],
                       t - 1, left, r, floats, weight, trace, trace_reg, hidden, pending, moment_1, moment_2, x)  # fmt: skip
            q += np.uint64(1)


def settle_rows_onward(
    k, stop, last, t, p, r, group, block_steps, parts, due, z_last, etas, indptr, decays, filters, floats, ahead, at, records,
    targets, weight, trace, trace_reg, hidden, pending,
):  # fmt: skip
    """Template: rows ``due[k:stop]``, last active in step ``last``, collect what is left to collect up to step ``t``.

    ``ahead`` and ``at`` are where the records begin that lead from the block of ``last`` to the start of that of ``t - 1``,
    and on from there.
    """
    real, before, start = weight.dtype.type, last & (block_steps - 1), (t - 1) // block_steps * block_steps
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    across, n, rest = last < start, max(start - last + before, 0), t - 1 - start
    k_a, r_a = real(decays[group, DECAY_KAPPA, n]), real(decays[group, DECAY_REG, n])
    k_n, r_n = real(decays[group, DECAY_KAPPA, rest]), real(decays[group, DECAY_REG, rest])
    far, change = (
        rows_ahead(due[k], indptr, p) if k < stop else 1,
        floats[r, PF_ETA] - etas[r, last & (etas.shape[1] - 1)],
    )
    for index in range(k, stop):
        i = due[index]
        back_0, back_1 = _back(before, group, filters, z_last, index)
        start_0, start_1 = back_0, back_1
        if across:
            start_0, start_1 = _on(start - last, group, filters, z_last, index)
        a_0, a_1, z_0, z_1 = real(back_0), real(back_1), real(start_0), real(start_1)
        if not MOMENTS and change != 0.0:
            _refold_row(p, i, last, change, a_0, a_1, indptr, parts, targets, weight, trace, trace_reg, hidden)
        q, end = np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])
        following, beyond = next_row(index + far, stop, due, indptr, p)
        fetch_along(following, targets, weight, trace)
        if PACKED:
            while q + np.uint64(PACK) <= end:
                following += np.uint64(PACK)
                if following < beyond:
                    fetch_along(following, targets, weight, trace)
                _settle_pack(q, across, ahead, at, records, targets, k_a, r_a, k_n, r_n, eta, w_min, w_max, a_0, a_1, z_0, z_1,
                             weight, trace, trace_reg, hidden, pending)  # fmt: skip
                q += np.uint64(PACK)
        while q < end:
            _settle_one(q, across, ahead, at, records, targets, k_a, r_a, k_n, r_n, eta, w_min, w_max, a_0, a_1, z_0, z_1,
                        weight, trace, trace_reg, hidden, pending)  # fmt: skip
            q += np.uint64(1)


# ------------------------------------------------------------------ for those who look on: any kind, one synapse after the other


@inline
def taken_away(a, j, parts, d, m, two, e, rate, z_0, z_1, h):
    """The gradient that a synapse collects from its anchor through row ``a`` of ``parts``, in any layout: see `collect`."""
    first = np.int64((d + m) * (1 + two))
    g = parts[a, first, j] * e
    if d > 0:
        g += parts[a, first + 1 + two, j] * z_0
    if d > 1:
        g += parts[a, first + 2 + two, j] * z_1
    if m > 0:
        g += parts[a, first + 1 + two + d, j] * h
    if two:
        g += parts[a, first + 1, j] * rate
    return g


@inner
def has_anchors(r, topology):
    """Whether the synapses of a tract are kept at their anchors."""
    row = topology.projections[r]
    plus = row[PRO_RULE] == EPROP_PLUS and row[PRO_TO_READOUT] == 0 and row[PRO_EACH] == 0
    return plus and topology.kinds[row[PRO_KIND], 2] != 0


@inner
def seen_weight(q, i, r, t, topology, synapses, axons, history):
    """Weight of synapse ``q`` in row ``i`` of tract ``r``, before step ``t``: as of the last change that a spike has brought."""
    weight = synapses.weight
    if not has_anchors(r, topology):
        return weight[q]
    s, last, position = last_arrival(i, r, t, topology, axons, history)
    if last < 0 or t - last > topology.projections[r, PRO_CUTOFF]:
        return weight[q]
    eta = history.eta[topology.projections[r, PRO_LEADER], last & (history.eta.shape[1] - 1)]
    if eta == 0.0:
        return weight[q]
    real, parts, kind = weight.dtype.type, history.parts, topology.kinds[topology.projections[r, PRO_KIND]]
    d, m, two = kind[0], kind[1], int(synapses.trace_reg.size > 0)
    z_0, z_1 = _anchored_spikes(s, position, r, last, d, topology, axons, history)
    j, a, rate, h = np.uint64(topology.targets[q]), np.uint64(last & (parts.shape[0] - 1)), real(0.0), real(0.0)
    if m > 0:
        h = synapses.hidden[0, q]
    if two:
        rate = synapses.trace_reg[q]
    g = taken_away(a, j, parts, d, m, two, synapses.trace[q], rate, real(z_0), real(z_1), h)
    floats = topology.projection_floats
    return clip(weight[q] - real(eta) * g, real(floats[r, PF_MIN]), real(floats[r, PF_MAX]))


@inner
def seen_trace(q, i, r, t, topology, synapses, axons, history):
    """Trace of a synapse as of its last spike, or of the cutoff after it; arguments as for `seen_weight`."""
    trace = synapses.trace
    if not has_anchors(r, topology):
        return trace[q]
    s, last, position = last_arrival(i, r, t, topology, axons, history)
    if last < 0 or t - last > topology.projections[r, PRO_CUTOFF]:
        return trace[q]
    real, parts, kind = trace.dtype.type, history.parts, topology.kinds[topology.projections[r, PRO_KIND]]
    d = kind[0]
    z_0, z_1 = _anchored_spikes(s, position, r, last, d, topology, axons, history)
    j, a = np.uint64(topology.targets[q]), np.uint64(last & (parts.shape[0] - 1))
    group, n = topology.projections[r, PRO_GROUP], last & (history.block_steps - 1)
    e = real(topology.decays[group, DECAY_KAPPA, n]) * trace[q]
    if d > 0:
        e += parts[a, 0, j] * real(z_0)
    if d > 1:
        e += parts[a, 1, j] * real(z_1)
    if kind[1] > 0:
        e += parts[a, d, j] * synapses.hidden[0, q]
    return e


@inner
def _anchored_spikes(s, position, r, last, d, topology, axons, history):
    """Filtered spikes at the start of the block of the last spike of source ``s``, see `last_arrival`; 0 without a filter."""
    n, group = last & (history.block_steps - 1), topology.projections[r, PRO_GROUP]
    if d == 0:
        return 0.0, 0.0
    back, z_0 = topology.filters[group, INVERSE, n], filtered_spikes(0, s, position, r, topology, axons, history)
    if d == 1:
        return back[0, 0] * z_0, 0.0
    z_1 = filtered_spikes(1, s, position, r, topology, axons, history)
    return back[0, 0] * z_0 + back[0, 1] * z_1, back[1, 0] * z_0 + back[1, 1] * z_1


@outer
def see_weights(t, topology, synapses, axons, history, out):
    """Weights that are kept otherwise as they are seen before step ``t``, into ``out``, see `seen_weight`."""
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if not has_anchors(r, topology):
            continue
        for i in range(row[PRO_ROW], row[PRO_ROW] + row[PRO_ROWS] * row[PRO_STRIDE], row[PRO_STRIDE]):
            for p in range(topology.indptr.shape[0]):
                for q in range(np.uint64(topology.indptr[p, i]), np.uint64(topology.indptr[p, i + 1])):
                    out[q] = seen_weight(q, i, r, t, topology, synapses, axons, history)
