"""Composed maps of neurons: extend them by a step, and evaluate them over an interval.

``prefix[t]`` maps from the start of t's block to *before* step ``t``; ``block[b]`` maps across the whole of block
``b``. The interval ``[a, t)`` is the rest of the first block, then whole blocks, then the prefix of the last. The rest of
the first block is had in one of two ways:

- by dividing out the part before ``a``, where the eligibility is a filter of the spikes alone (``M = 0``);
- from ``suffix[a]``, the map from ``a`` to the end of its block, and within one block step by step, where spikes of the
  neuron itself act on it (``M > 0``): such a map need not have an inverse.

A map has these entries, in this order; ``P = D + M`` of them in each row (see `eprop.equations.maps`):

==== ======================= ==========
E    x -> e_bar              P
R    x -> e_bar_reg          P, only with two kappas
GE   e_bar -> g              1
GR   e_bar_reg -> g          1, only with two kappas
G    x -> g                  P
A    x -> a                  M rows of P
==== ======================= ==========

``eligibility`` holds for each neuron: ``c`` (P), ``u`` (M), ``A`` among the synapse's own components (M x M), ``b`` (M).

The loops over neurons are written to vectorise: unsigned indices (a signed one might count from the end), no views
(each costs an atomic count), and few arrays in one loop (the compiler gives up when it would have to check many pairs
for overlap). So the entries are done one after the other; or, for the eligibility of a single filter, which is that of
LIF, all at once in functions that promise that their arrays do not overlap (`extend_filter` and those below it).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eprop._jit import inline
from eprop.kernels.layout import (
    DECAY_KAPPA,
    DECAY_REG,
    FORWARD,
    GR_C_REG,
    GR_F_TARGET,
    GR_KAPPA,
    GR_REG,
    GROW_KAPPA,
    GROW_REG,
    INVERSE,
)

# Of the eligibilities that the loops of e-prop+ know: components that filter spikes, and that belong to a synapse.
MOST_FILTERS = 2
MOST_HIDDEN = 2

# Rows of `History.steps`.
STEP_PSI, STEP_LEARNING, STEP_DRIFT, STEP_WORK = range(4)


class MapLayout(NamedTuple):
    """Positions of a map's entries, and of a neuron's constants, for D filters, M hidden components and 1 or 2 kappas."""

    D: int
    M: int
    BOTH: bool
    P: int
    E: int
    R: int
    GE: int
    GR: int
    G: int
    A: int
    ENTRIES: int
    EL_C: int
    EL_U: int
    EL_A: int
    EL_B: int
    EL_ROWS: int

    @classmethod
    def of(cls, d: int, m: int, both: bool) -> MapLayout:
        """The layout of one kind of eligibility."""
        p, two = d + m, int(both)
        e, r = 0, p
        ge = p * (1 + two)
        g = ge + 1 + two
        a = g + p
        el_u, el_a = p, p + m
        el_b = el_a + m * m
        return cls(d, m, both, p, e, r, ge, ge + two, g, a, a + m * p, 0, el_u, el_a, el_b, el_b + m)


@inline
def row_end(hi, n, maps):
    """Where a loop over neurons up to ``hi`` of ``n`` ends: with the padded row if they are the last ones."""
    return maps.shape[2] if hi == n else hi


# Bound to the constants of one `MapLayout` each.
D, M, BOTH = 1, 0, False
P, E, R, GE, GR, G, A = 1, 0, 1, 1, 1, 2, 3
EL_C, EL_U, EL_A = 0, 1, 1


def extend_maps(
    t, lo, hi, psi, signal, rate, prefix, block, suffix, steps, block_steps, group, groups, decays, filters, eligibility
):  # fmt: skip
    """Template: compose the step ``t - 1`` onto the maps of neurons ``lo:hi``.

    Reads ``psi`` of step ``t - 1`` and ``signal`` that belongs to step ``t - 2``; ``rate[1]`` is the running rate of
    step ``t - 2``. Writes the rows of ``steps``, of ``prefix`` (before ``t``) and, at the end of a block, of ``block``
    and ``suffix``.
    """
    ring, n = prefix.shape[0] - 1, (t - 1) & (block_steps - 1)
    old, now, s = np.uint64((t - 1) & ring), np.uint64(t & ring), np.uint64((t - 1) & (steps.shape[0] - 1))
    first, stop = np.uint64(lo), np.uint64(row_end(hi, psi.size, prefix))
    _note_step(first, np.uint64(hi), s, steps, psi, signal, rate, groups[group, GR_REG], groups[group, GR_C_REG],
               groups[group, GR_F_TARGET])  # fmt: skip
    if t & (block_steps - 1) != 0:
        _extend(first, stop, n, old, prefix, now, prefix, s, steps, group, groups, decays, filters, eligibility)
        return
    last = np.uint64(((t - 1) // block_steps) & (block.shape[0] - 1))
    _extend(first, stop, n, old, prefix, last, block, s, steps, group, groups, decays, filters, eligibility)
    _identity(first, stop, now, prefix)
    if M > 0:
        for at in range(t - 1, t - 1 - block_steps, -1):
            row, s = np.uint64(at & ring), np.uint64(at & (steps.shape[0] - 1))
            _identity(first, stop, row, suffix)
            _extend_in_place(first, stop, 0, row, suffix, row, suffix, s, steps, group, groups, decays, filters,
                             eligibility)  # fmt: skip
            if at < t - 1:
                _compose(first, stop, 1, t - 1 - at, row, suffix, np.uint64((at + 1) & ring), suffix, group, decays,
                         filters)  # fmt: skip


def note_step(lo, hi, s, steps, psi, signal, rate, reg, c_reg, f_target):
    """Template: keep what a step does; with equal kappas, rate regularisation enters the learning signal."""
    for j in range(lo, hi):
        steps[s, STEP_PSI, j] = psi[j]
    if BOTH:
        for j in range(lo, hi):
            steps[s, STEP_LEARNING, j] = signal[j]
        for j in range(lo, hi):
            steps[s, STEP_DRIFT, j] = c_reg * (rate[1, j] - f_target)
        return
    scale = (1.0 - reg) * c_reg
    for j in range(lo, hi):
        steps[s, STEP_LEARNING, j] = signal[j] + scale * (rate[1, j] - f_target)


_note_step = note_step


def identity_rows(lo, hi, row, maps):
    """Template: the map of no step at all."""
    for c in range(A + M * P):
        for j in range(lo, hi):
            maps[row, c, j] = 0.0
    for m in range(M):
        for j in range(lo, hi):
            maps[row, A + m * P + D + m, j] = 1.0


_identity = identity_rows


def extend_rows(lo, hi, n, a, source, b, out, s, steps, group, groups, decays, filters, eligibility):
    """Template: row ``b`` of ``out``: ``n`` steps of row ``a`` of ``source``, then step ``s``.

    In place, where they are one row, it must be compiled to expect that.
    """
    kappa, reg = groups[group, GR_KAPPA], groups[group, GR_REG]
    kappa_n, reg_n = decays[group, DECAY_KAPPA, n], decays[group, DECAY_REG, n]
    for k in range(P):
        for j in range(lo, hi):
            out[b, G + k, j] = source[a, G + k, j] + steps[s, STEP_LEARNING, j] * source[a, E + k, j]
        if BOTH:
            for j in range(lo, hi):
                out[b, G + k, j] += steps[s, STEP_DRIFT, j] * source[a, R + k, j]
    for j in range(lo, hi):
        out[b, GE, j] = source[a, GE, j] + steps[s, STEP_LEARNING, j] * kappa_n
    if BOTH:
        for j in range(lo, hi):
            out[b, GR, j] = source[a, GR, j] + steps[s, STEP_DRIFT, j] * reg_n
    for k in range(P):
        _eligibility_row(lo, hi, k, n, a, source, s, steps, group, filters, eligibility)
        for j in range(lo, hi):
            out[b, E + k, j] = kappa * source[a, E + k, j] + steps[s, STEP_WORK, j]
        if BOTH:
            for j in range(lo, hi):
                out[b, R + k, j] = reg * source[a, R + k, j] + (1.0 - reg) * steps[s, STEP_WORK, j]
        if M == 1:
            for j in range(lo, hi):
                out[b, A + k, j] = (
                    eligibility[EL_A, j] * source[a, A + k, j] + eligibility[EL_U, j] * steps[s, STEP_WORK, j]
                )
        if M == 2:
            for j in range(lo, hi):
                a_0, a_1, e = source[a, A + k, j], source[a, A + P + k, j], steps[s, STEP_WORK, j]
                out[b, A + k, j] = (
                    eligibility[EL_A, j] * a_0 + eligibility[EL_A + 1, j] * a_1 + eligibility[EL_U, j] * e
                )
                out[b, A + P + k, j] = (
                    eligibility[EL_A + 2, j] * a_0 + eligibility[EL_A + 3, j] * a_1 + eligibility[EL_U + 1, j] * e
                )


_extend = _extend_in_place = extend_rows


def eligibility_row(lo, hi, k, n, a, source, s, steps, group, filters, eligibility):
    """Template: what component ``k`` at the start of the map contributes to ``e`` of step ``s``, into ``STEP_WORK``."""
    if k < D:
        f = filters[group, FORWARD, n, 0, k]
        for j in range(lo, hi):
            steps[s, STEP_WORK, j] = eligibility[EL_C, j] * f
        for d in range(1, D):
            f = filters[group, FORWARD, n, d, k]
            for j in range(lo, hi):
                steps[s, STEP_WORK, j] += eligibility[EL_C + d, j] * f
    else:
        for j in range(lo, hi):
            steps[s, STEP_WORK, j] = 0.0
    for m in range(M):
        for j in range(lo, hi):
            steps[s, STEP_WORK, j] += eligibility[EL_C + D + m, j] * source[a, A + m * P + k, j]
    for j in range(lo, hi):
        steps[s, STEP_WORK, j] *= steps[s, STEP_PSI, j]


_eligibility_row = eligibility_row


def maps_of_interval(
    a, t, lo, hi, prefix, block, suffix, steps, block_steps, group, groups, decays, filters, eligibility, out
):  # fmt: skip
    """Template: maps over ``[a, t)`` of neurons ``lo:hi`` into ``out[0]``."""
    ring, blocks, before = prefix.shape[0] - 1, block.shape[0] - 1, a & (block_steps - 1)
    begin, stop, here = np.uint64(lo), np.uint64(hi), np.uint64(0)
    n = min(block_steps - before, t - a)
    start, now = np.uint64(a & ring), np.uint64(t & ring)
    within = before + t - a < block_steps
    if M > 0:
        if within:
            _identity(begin, stop, here, out)
            for at in range(a, t):
                _extend_in_place(begin, stop, at - a, here, out, here, out, np.uint64(at & (steps.shape[0] - 1)), steps,
                                 group, groups, decays, filters, eligibility)  # fmt: skip
            return
        for c in range(A + M * P):
            for j in range(begin, stop):
                out[here, c, j] = suffix[start, c, j]
    elif within:
        _divide(begin, stop, before, n, now, prefix, start, prefix, group, decays, filters, out)
    else:
        end = np.uint64((a // block_steps) & blocks)
        _divide(begin, stop, before, n, end, block, start, prefix, group, decays, filters, out)
    at = a + n
    while at < t:
        m = min(block_steps, t - at)
        if m == block_steps:
            row = np.uint64((at // block_steps) & blocks)
            _compose(begin, stop, at - a, m, here, out, row, block, group, decays, filters)
        else:
            _compose(begin, stop, at - a, m, here, out, now, prefix, group, decays, filters)
        at += m


def divide_rows(lo, hi, n_a, n, p, ends, a, starts, group, decays, filters, out):
    """Template: the last ``n`` steps of row ``p`` of ``ends``, whose first ``n_a`` are row ``a`` of ``starts``."""
    kappa_n, reg_n = decays[group, DECAY_KAPPA, n], decays[group, DECAY_REG, n]
    inv_kappa, inv_reg = decays[group, GROW_KAPPA, n_a], decays[group, GROW_REG, n_a]
    if D == 1:
        f = filters[group, INVERSE, n_a, 0, 0]
        for j in range(lo, hi):
            out[0, E, j] = (ends[p, E, j] - kappa_n * starts[a, E, j]) * f
        if BOTH:
            for j in range(lo, hi):
                out[0, R, j] = (ends[p, R, j] - reg_n * starts[a, R, j]) * f
        _divide_errors(lo, hi, p, ends, a, starts, out, inv_kappa, inv_reg)
        if BOTH:
            for j in range(lo, hi):
                out[0, G, j] = (
                    ends[p, G, j] - starts[a, G, j] - out[0, GE, j] * starts[a, E, j] - out[0, GR, j] * starts[a, R, j]
                ) * f
        else:
            for j in range(lo, hi):
                out[0, G, j] = (ends[p, G, j] - starts[a, G, j] - out[0, GE, j] * starts[a, E, j]) * f
        return
    for k in range(D):
        f_0, f_1 = filters[group, INVERSE, n_a, 0, k], filters[group, INVERSE, n_a, 1, k]
        for j in range(lo, hi):
            out[0, E + k, j] = (ends[p, E, j] - kappa_n * starts[a, E, j]) * f_0 + (
                ends[p, E + 1, j] - kappa_n * starts[a, E + 1, j]
            ) * f_1
        if BOTH:
            for j in range(lo, hi):
                out[0, R + k, j] = (ends[p, R, j] - reg_n * starts[a, R, j]) * f_0 + (
                    ends[p, R + 1, j] - reg_n * starts[a, R + 1, j]
                ) * f_1
    _divide_errors(lo, hi, p, ends, a, starts, out, inv_kappa, inv_reg)
    for k in range(D):
        f_0, f_1 = filters[group, INVERSE, n_a, 0, k], filters[group, INVERSE, n_a, 1, k]
        for j in range(lo, hi):
            g_0 = ends[p, G, j] - starts[a, G, j] - out[0, GE, j] * starts[a, E, j]
            g_1 = ends[p, G + 1, j] - starts[a, G + 1, j] - out[0, GE, j] * starts[a, E + 1, j]
            if BOTH:
                g_0 -= out[0, GR, j] * starts[a, R, j]
                g_1 -= out[0, GR, j] * starts[a, R + 1, j]
            out[0, G + k, j] = g_0 * f_0 + g_1 * f_1


_divide = divide_rows


def divide_errors(lo, hi, p, ends, a, starts, out, inv_kappa, inv_reg):
    """Template: the entries from the traces to the gradient."""
    for j in range(lo, hi):
        out[0, GE, j] = (ends[p, GE, j] - starts[a, GE, j]) * inv_kappa
    if BOTH:
        for j in range(lo, hi):
            out[0, GR, j] = (ends[p, GR, j] - starts[a, GR, j]) * inv_reg


_divide_errors = divide_errors


def compose_rows(lo, hi, n_a, n_b, a, maps, b, rows, group, decays, filters):
    """Template: row ``a`` of ``maps`` (``n_a`` steps) and then row ``b`` of ``rows`` (``n_b`` steps), into the former."""
    kappa_a, reg_a = decays[group, DECAY_KAPPA, n_a], decays[group, DECAY_REG, n_a]
    kappa_b, reg_b = decays[group, DECAY_KAPPA, n_b], decays[group, DECAY_REG, n_b]
    for k in range(P):
        for j in range(lo, hi):
            maps[a, G + k, j] += rows[b, GE, j] * maps[a, E + k, j]
        if BOTH:
            for j in range(lo, hi):
                maps[a, G + k, j] += rows[b, GR, j] * maps[a, R + k, j]
        _add_through(lo, hi, k, G, n_a, a, maps, b, rows, G + k, group, filters)
    for j in range(lo, hi):
        maps[a, GE, j] += rows[b, GE, j] * kappa_a
    if BOTH:
        for j in range(lo, hi):
            maps[a, GR, j] += rows[b, GR, j] * reg_a
    for k in range(P):
        for j in range(lo, hi):
            maps[a, E + k, j] *= kappa_b
        _add_through(lo, hi, k, E, n_a, a, maps, b, rows, E + k, group, filters)
        if BOTH:
            for j in range(lo, hi):
                maps[a, R + k, j] *= reg_b
            _add_through(lo, hi, k, R, n_a, a, maps, b, rows, R + k, group, filters)
    for k in range(P):
        _compose_hidden(lo, hi, k, n_a, a, maps, b, rows, group, filters)


_compose = compose_rows


def add_through(lo, hi, k, row, n_a, a, maps, b, rows, to, group, filters):
    """Template: add to entry ``to`` what component ``k`` does by way of all components, through ``row`` of ``rows[b]``."""
    if k < D:
        for d in range(D):
            f = filters[group, FORWARD, n_a, d, k]
            for j in range(lo, hi):
                maps[a, to, j] += rows[b, row + d, j] * f
    for m in range(M):
        for j in range(lo, hi):
            maps[a, to, j] += rows[b, row + D + m, j] * maps[a, A + m * P + k, j]


_add_through = add_through


def compose_hidden(lo, hi, k, n_a, a, maps, b, rows, group, filters):
    """Template: the entries from component ``k`` to the synapse's own components."""
    if M == 1:
        for j in range(lo, hi):
            maps[a, A + k, j] *= rows[b, A + D, j]
    if M == 2:
        for j in range(lo, hi):
            a_0, a_1 = maps[a, A + k, j], maps[a, A + P + k, j]
            maps[a, A + k, j] = rows[b, A + D, j] * a_0 + rows[b, A + D + 1, j] * a_1
            maps[a, A + P + k, j] = rows[b, A + P + D, j] * a_0 + rows[b, A + P + D + 1, j] * a_1
    if k < D:
        for m in range(M):
            for d in range(D):
                f = filters[group, FORWARD, n_a, d, k]
                for j in range(lo, hi):
                    maps[a, A + m * P + k, j] += rows[b, A + m * P + d, j] * f


_compose_hidden = compose_hidden


# One filter (D = 1, M = 0): all entries in one loop. Same operations in the same order as above.


def extend_filter(lo, hi, n, a, source, b, out, s, steps, group, groups, decays, filters, eligibility):
    """Template: `extend_rows` for one filter; the two rows must be two."""
    _extend_one(lo, hi, a, source, b, out, s, steps, groups[group, GR_KAPPA], groups[group, GR_REG],
                decays[group, DECAY_KAPPA, n], decays[group, DECAY_REG, n], filters[group, FORWARD, n, 0, 0],
                eligibility)  # fmt: skip


def extend_one(lo, hi, a, source, b, out, s, steps, kappa, reg, kappa_n, reg_n, power, eligibility):
    """Template: the loop of `extend_filter`."""
    for j in range(lo, hi):
        learning, e = steps[s, STEP_LEARNING, j], source[a, E, j]
        change = (eligibility[EL_C, j] * power) * steps[s, STEP_PSI, j]
        g = source[a, G, j] + learning * e
        out[b, GE, j] = source[a, GE, j] + learning * kappa_n
        if BOTH:
            drift, rate = steps[s, STEP_DRIFT, j], source[a, R, j]
            g += drift * rate
            out[b, GR, j] = source[a, GR, j] + drift * reg_n
            out[b, R, j] = reg * rate + (1.0 - reg) * change
        out[b, G, j] = g
        out[b, E, j] = kappa * e + change


_extend_one = extend_one


def divide_filter(lo, hi, n_a, n, p, ends, a, starts, group, decays, filters, out):
    """Template: `divide_rows` for one filter."""
    _divide_one(lo, hi, p, ends, a, starts, out, decays[group, DECAY_KAPPA, n], decays[group, DECAY_REG, n],
                decays[group, GROW_KAPPA, n_a], decays[group, GROW_REG, n_a],
                filters[group, INVERSE, n_a, 0, 0])  # fmt: skip


def divide_one(lo, hi, p, ends, a, starts, out, kappa_n, reg_n, inv_kappa, inv_reg, inverse):
    """Template: the loop of `divide_filter`."""
    here = np.uint64(0)
    for j in range(lo, hi):
        start = starts[a, E, j]
        through_e = (ends[p, GE, j] - starts[a, GE, j]) * inv_kappa
        g = ends[p, G, j] - starts[a, G, j] - through_e * start
        out[here, E, j] = (ends[p, E, j] - kappa_n * start) * inverse
        out[here, GE, j] = through_e
        if BOTH:
            start = starts[a, R, j]
            through_r = (ends[p, GR, j] - starts[a, GR, j]) * inv_reg
            g -= through_r * start
            out[here, R, j] = (ends[p, R, j] - reg_n * start) * inverse
            out[here, GR, j] = through_r
        out[here, G, j] = g * inverse


_divide_one = divide_one


def compose_filter(lo, hi, n_a, n_b, a, maps, b, rows, group, decays, filters):
    """Template: `compose_rows` for one filter."""
    _compose_one(lo, hi, a, maps, b, rows, decays[group, DECAY_KAPPA, n_a], decays[group, DECAY_REG, n_a],
                 decays[group, DECAY_KAPPA, n_b], decays[group, DECAY_REG, n_b],
                 filters[group, FORWARD, n_a, 0, 0])  # fmt: skip


def compose_one(lo, hi, a, maps, b, rows, kappa_a, reg_a, kappa_b, reg_b, power):
    """Template: the loop of `compose_filter`."""
    for j in range(lo, hi):
        e = maps[a, E, j]
        g = maps[a, G, j] + rows[b, GE, j] * e
        maps[a, GE, j] += rows[b, GE, j] * kappa_a
        maps[a, E, j] = e * kappa_b + rows[b, E, j] * power
        if BOTH:
            rate = maps[a, R, j]
            g += rows[b, GR, j] * rate
            maps[a, GR, j] += rows[b, GR, j] * reg_a
            maps[a, R, j] = rate * reg_b + rows[b, R, j] * power
        maps[a, G, j] = g + rows[b, G, j] * power


_compose_one = compose_one
