"""What an e-prop+ synapse keeps between spikes: its values, moved back.

When a spike arrives in step ``t``, the block of steps that ``t`` lies in has begun already, and the map from its start to ``t``
is known. A synapse applies it backward and keeps what its trace would have been at the start of the block: its *anchor*. The next
spike then needs one map, from there to its own step, which all synapses share whose last spikes fell into the same block;
no map is asked for that begins at the step of a last spike. So a step touches as many maps as the cutoff has blocks, not as
many as it has steps: they stay in the cache, in whatever order spikes come and whatever delays they have.

Moved back, a trace would have collected a gradient up to ``t`` that no spike has caused. It is taken away from the weight (with
moments, from ``pending``) at once, so that the next gradient may be counted from the start of the block. `axons.fold` tells with
which learning rate it was; the weight as of the last spike is had back by `see_weights`.

A component of the eligibility that is the synapse's own (M = 1) is moved back by dividing by what a block has left of it. Spikes
of the neuron itself may act on it, or neurons differ in their time constants, so this is a number of each neuron and step.
`engine.traces` decides whether it always stays away from zero. Where it may not, synapses cross the rest of their block instead
(`kernels.crossing`).
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inner, outer
from eprop.equations.optimize import clip
from eprop.kernels.deliver import fetch_row
from eprop.kernels.layout import (
    DECAY_KAPPA,
    DECAY_REG,
    EPROP_PLUS,
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
    PRO_ROW,
    PRO_ROWS,
    PRO_RULE,
    PRO_TO_READOUT,
)
from eprop.kernels.optimize import decay_owed, optimize_synapse

# Bound to the constants of one `kernels.maps.MapLayout` with at most one hidden component.
D, M, BOTH = 1, 0, False
E, R, GE, GR, G, A = 0, 1, 1, 1, 2, 3
EL_B = 1
MOMENTS = False


def move_back(n, group, filters, z_bar, i):
    """Template: both filtered spikes of row ``i``, ``n`` steps before."""
    if D == 0:
        return 0.0, 0.0
    first = filters[group, INVERSE, n, 0, 0] * z_bar[0, i]
    if D == 1:
        return first, first
    first += filters[group, INVERSE, n, 0, 1] * z_bar[1, i]
    return first, filters[group, INVERSE, n, 1, 0] * z_bar[0, i] + filters[group, INVERSE, n, 1, 1] * z_bar[1, i]


def move_arrived(n, group, filters, arrivals, z_ahead, i):
    """Template: `move_back` of a row whose spike arrives now: ``z_ahead`` is from the step before."""
    if D == 0:
        return 0.0, 0.0
    first = filters[group, 0, 1, 0, 0] * z_ahead[0, i]
    if D == 1:
        first = filters[group, INVERSE, n, 0, 0] * (first + arrivals[group, 0])
        return first, first
    first += filters[group, 0, 1, 0, 1] * z_ahead[1, i]
    second = filters[group, 0, 1, 1, 0] * z_ahead[0, i] + filters[group, 0, 1, 1, 1] * z_ahead[1, i]
    first, second = first + arrivals[group, 0], second + arrivals[group, 1]
    return (
        filters[group, INVERSE, n, 0, 0] * first + filters[group, INVERSE, n, 0, 1] * second,
        filters[group, INVERSE, n, 1, 0] * first + filters[group, INVERSE, n, 1, 1] * second,
    )


def add_through(total, j, a, entry, maps, z_0, z_1, h):
    """Template: what filtered spikes and the own component add to ``total``, through entries of row ``a`` of ``maps``."""
    if D > 0:
        total += maps[a, entry, j] * z_0
    if D > 1:
        total += maps[a, entry + 1, j] * z_1
    if M > 0:
        total += maps[a, entry + D, j] * h
    return total


_add = add_through


def collect(j, a, maps, e, rate, z_0, z_1, h):
    """Template: the gradient that a synapse collects from its anchor on, through row ``a`` of ``maps``."""
    g = _add(maps[a, GE, j] * e, j, a, G, maps, z_0, z_1, h)
    if BOTH:
        g += maps[a, GR, j] * rate
    return g


def own_back(j, a, maps, h, z_0, z_1):
    """Template: the own component ``h`` at the start of a block, of which ``maps[a]`` leads here."""
    if D > 0:
        h -= maps[a, A, j] * z_0
    if D > 1:
        h -= maps[a, A + 1, j] * z_1
    return h / maps[a, A + D, j]


_collect, _own_back = collect, own_back


def anchor_synapse(
    q, j, a, parts, w, e, rate, h, grow_k, grow_r, eta, z_0, z_1, weight, trace, trace_reg, hidden, pending
):
    """Template: keep a synapse with weight ``w`` and values as of now, to which ``parts[a]`` leads from its block's start."""
    if M > 0:
        h = _own_back(j, a, parts, h, z_0, z_1)
        hidden[0, q] = h
    e = _add(e, j, a, E, parts, -z_0, -z_1, -h) * grow_k
    trace[q] = e
    if BOTH:
        rate = _add(rate, j, a, R, parts, -z_0, -z_1, -h) * grow_r
        trace_reg[q] = rate
    early = _collect(j, a, parts, e, rate, z_0, z_1, h)
    if MOMENTS:
        weight[q] = w
        pending[q] = -early
    else:
        weight[q] = w + eta * early


_anchor = anchor_synapse


def anchor_row(p, i, t, eta, group, block_steps, indptr, decays, filters, arrivals, z_ahead, parts, targets, weight, trace,
               trace_reg, hidden, pending):  # fmt: skip
    """Template: anchor a row whose traces are those of now: it spikes for the first time, or after a long silence."""
    real = weight.dtype.type
    n, a, rate, h = t & (block_steps - 1), np.uint64(t & (parts.shape[0] - 1)), real(0.0), real(0.0)
    back_0, back_1 = _arrived(n, group, filters, arrivals, z_ahead, i)
    z_0, z_1, grow_k, grow_r = (
        real(back_0),
        real(back_1),
        real(decays[group, GROW_KAPPA, n]),
        real(decays[group, GROW_REG, n]),
    )
    for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
        if BOTH:
            rate = trace_reg[q]
        if M > 0:
            h = hidden[0, q]
        _anchor(q, targets[q], a, parts, weight[q], trace[q], rate, h, grow_k, grow_r, real(eta), z_0, z_1, weight, trace,
                trace_reg, hidden, pending)  # fmt: skip


def refold_row(
    p, i, last, change, group, block_steps, indptr, filters, z_bar, parts, targets, weight, trace, trace_reg, hidden
):
    """Template: let the learning rate of what was taken away from the weights of a row be larger by ``change``."""
    real = weight.dtype.type
    n, a, rate, h = last & (block_steps - 1), np.uint64(last & (parts.shape[0] - 1)), real(0.0), real(0.0)
    back_0, back_1 = _back(n, group, filters, z_bar, i)
    z_0, z_1 = real(back_0), real(back_1)
    for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
        if BOTH:
            rate = trace_reg[q]
        if M > 0:
            h = hidden[0, q]
        weight[q] += real(change) * _collect(targets[q], a, parts, trace[q], rate, z_0, z_1, h)


_back, _arrived = move_back, move_arrived
_refold_row = refold_row


def learn_rows_onward(
    k, stop, t, p, r, group, maps, within, block_steps, parts, order, last, z_bar, z_ahead, steps, fold, indptr, decays, filters,
    arrivals, floats, targets, eligibility, weight, trace, trace_reg, hidden, pending, moment_1, moment_2, x,
):  # fmt: skip
    """Template: rows ``order[k:stop]`` go on from their anchors to step ``t``, change, deliver, and are anchored anew.

    ``maps`` lead here from the start of a block, row by row; or (``within``) from the start of this one, all in row ``t``.
    """
    real, n_t, ring = weight.dtype.type, t & (block_steps - 1), maps.shape[0] - 1
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    grow_k, grow_r = real(decays[group, GROW_KAPPA, n_t]), real(decays[group, GROW_REG, n_t])
    here, rate, h, left = np.uint64(t & (parts.shape[0] - 1)), real(0.0), real(0.0), 1.0
    for index in range(k, stop):
        i = order[index]
        fetch_row(index + 1, order, indptr, p, targets, weight, trace)
        before = last[i] & (block_steps - 1)
        n, b = t - last[i] + before, np.uint64((t if within else last[i] // block_steps) & ring)
        k_n, r_n = real(decays[group, DECAY_KAPPA, n]), real(decays[group, DECAY_REG, n])
        back_0, back_1 = _back(before, group, filters, z_bar, i)
        now_0, now_1 = _arrived(n_t, group, filters, arrivals, z_ahead, i)
        z_0, z_1, y_0, y_1 = real(back_0), real(back_1), real(now_0), real(now_1)
        if MOMENTS:
            left = decay_owed(steps[i], t - 1, r, floats)
        elif fold[i] != floats[r, PF_ETA]:
            _refold_row(p, i, last[i], floats[r, PF_ETA] - fold[i], group, block_steps, indptr, filters, z_bar, parts, targets,
                        weight, trace, trace_reg, hidden)  # fmt: skip
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j, e = targets[q], trace[q]
            if BOTH:
                rate = trace_reg[q]
            if M > 0:
                h = hidden[0, q]
            g = _collect(j, b, maps, e, rate, z_0, z_1, h)
            e = _add(k_n * e, j, b, E, maps, z_0, z_1, h)
            if BOTH:
                rate = _add(r_n * rate, j, b, R, maps, z_0, z_1, h)
            if M > 0:
                h = _add(real(0.0), j, b, A, maps, z_0, z_1, h)
                if D == 0:
                    h += real(eligibility[EL_B, j])
            if MOMENTS:
                g += pending[q]
                w = optimize_synapse(q, np.float64(g), steps[i], t - 1, left, r, floats, weight, moment_1, moment_2)
            else:
                w = clip(weight[q] - eta * g, w_min, w_max)
            x[j] += w
            _anchor(
                q,
                j,
                here,
                parts,
                w,
                e,
                rate,
                h,
                grow_k,
                grow_r,
                eta,
                y_0,
                y_1,
                weight,
                trace,
                trace_reg,
                hidden,
                pending,
            )


def settle_rows_onward(
    k, stop, last, n, p, r, group, block_steps, parts, due, z_bar, fold, indptr, decays, filters, floats, targets, maps, before,
    weight, trace, trace_reg, hidden, pending,
):  # fmt: skip
    """Template: rows ``due[k:stop]``, last active in step ``last``, collect what is left to collect up to the cutoff.

    ``maps`` lead from the start of the block of ``last`` over ``n + 1`` steps, ``before`` over ``n``, after which traces stay.
    """
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    k_n, r_n = real(decays[group, DECAY_KAPPA, n]), real(decays[group, DECAY_REG, n])
    here, rate, h = np.uint64(0), real(0.0), real(0.0)
    for index in range(k, stop):
        i = due[index]
        fetch_row(index + 1, due, indptr, p, targets, weight, trace)
        back_0, back_1 = _back(last & (block_steps - 1), group, filters, z_bar, i)
        z_0, z_1 = real(back_0), real(back_1)
        if not MOMENTS and fold[i] != floats[r, PF_ETA]:
            _refold_row(p, i, last, floats[r, PF_ETA] - fold[i], group, block_steps, indptr, filters, z_bar, parts, targets,
                        weight, trace, trace_reg, hidden)  # fmt: skip
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j, e = targets[q], trace[q]
            if M > 0:
                h = hidden[0, q]
                hidden[0, q] = _add(real(0.0), j, here, A, before, z_0, z_1, h)
            if BOTH:
                rate = trace_reg[q]
                trace_reg[q] = _add(r_n * rate, j, here, R, before, z_0, z_1, h)
            trace[q] = _add(k_n * e, j, here, E, before, z_0, z_1, h)
            g = _collect(j, here, maps, e, rate, z_0, z_1, h)
            if MOMENTS:
                pending[q] += g
            else:
                weight[q] = clip(weight[q] - eta * g, w_min, w_max)


# ------------------------------------------------------------------ for those who look on: any kind, one synapse after the other


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
    last, eta = axons.last[i], axons.fold[i]
    if eta == 0.0 or last < 0 or t - last > topology.projections[r, PRO_CUTOFF]:
        return weight[q]
    real, parts, kind, two = weight.dtype.type, history.parts, topology.kinds[topology.projections[r, PRO_KIND]], 0
    d, m = kind[0], kind[1]
    z_0, z_1 = _anchored_spikes(i, r, last, d, topology, axons, history)
    if synapses.trace_reg.size > 0:
        two = 1
    j, a, first = np.uint64(topology.targets[q]), np.uint64(last & (parts.shape[0] - 1)), np.int64((d + m) * (1 + two))
    g = parts[a, first, j] * synapses.trace[q]
    if d > 0:
        g += parts[a, first + 1 + two, j] * real(z_0)
    if d > 1:
        g += parts[a, first + 2 + two, j] * real(z_1)
    if m > 0:
        g += parts[a, first + 1 + two + d, j] * synapses.hidden[0, q]
    if two:
        g += parts[a, first + 1, j] * synapses.trace_reg[q]
    floats = topology.projection_floats
    return clip(weight[q] - real(eta) * g, real(floats[r, PF_MIN]), real(floats[r, PF_MAX]))


@inner
def seen_trace(q, i, r, t, topology, synapses, axons, history):
    """Trace of a synapse as of its last spike, or of the cutoff after it; arguments as for `seen_weight`."""
    trace = synapses.trace
    if not has_anchors(r, topology):
        return trace[q]
    last = axons.last[i]
    if last < 0 or t - last > topology.projections[r, PRO_CUTOFF]:
        return trace[q]
    real, parts, kind = trace.dtype.type, history.parts, topology.kinds[topology.projections[r, PRO_KIND]]
    d = kind[0]
    z_0, z_1 = _anchored_spikes(i, r, last, d, topology, axons, history)
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
def _anchored_spikes(i, r, last, d, topology, axons, history):
    """Filtered spikes of a row at the start of the block of its last spike; 0 where there is no filter."""
    n, group, z_bar = last & (history.block_steps - 1), topology.projections[r, PRO_GROUP], axons.z_bar
    if d == 0:
        return 0.0, 0.0
    back = topology.filters[group, INVERSE, n]
    if d == 1:
        return back[0, 0] * z_bar[0, i], 0.0
    return back[0, 0] * z_bar[0, i] + back[0, 1] * z_bar[1, i], back[1, 0] * z_bar[0, i] + back[1, 1] * z_bar[1, i]


@outer
def see_weights(t, topology, synapses, axons, history, out):
    """Weights that are kept otherwise as they are seen before step ``t``, into ``out``, see `seen_weight`."""
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if not has_anchors(r, topology):
            continue
        for i in range(row[PRO_ROW], row[PRO_ROW] + row[PRO_ROWS]):
            for p in range(topology.indptr.shape[0]):
                for q in range(np.uint64(topology.indptr[p, i]), np.uint64(topology.indptr[p, i + 1])):
                    out[q] = seen_weight(q, i, r, t, topology, synapses, axons, history)
