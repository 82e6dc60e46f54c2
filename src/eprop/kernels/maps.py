"""Composed maps of neurons: what they are made of, and how a step extends them.

How they are joined is in `kernels.joins`, how they are evaluated over an interval in `kernels.intervals`.
``prefix`` maps from the start of the current block to *before* this step; where entries are done one after the other, the
next one is made in a row of its own.

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
for overlap). So the entries are done one after the other (`extend_rows`); or all at once in a function that promises that its
arrays do not overlap (`extend_at_once`), where synapses are kept at anchors and nobody asks for the step itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eprop._jit import fetch, inline, inner
from eprop.kernels.joins import STEP_DRIFT, STEP_LEARNING, STEP_PSI, STEP_WORK
from eprop.kernels.layout import (
    DECAY_KAPPA,
    DECAY_REG,
    FORWARD,
    GR_C_REG,
    GR_F_TARGET,
    GR_KAPPA,
    GR_REG,
)

# Of the eligibilities that the loops of e-prop+ know: components that filter spikes, and that belong to a synapse.
MOST_FILTERS = 2
MOST_HIDDEN = 2


class Kind(NamedTuple):
    """What loops are compiled for: numbers of filters and of hidden components; whether synapses are kept at anchors."""

    filters: int
    hidden: int
    anchored: bool


class MapLayout(NamedTuple):
    """Positions of a map's entries, and of a neuron's constants, for D filters, M hidden components and 1 or 2 kappas.

    ``J_``: those of the numbers that a spike needs at an anchor, see `kernels.jumps`.
    """

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
    ANCHORS: bool
    J_E: int
    J_R: int
    J_A: int
    J_Q: int
    J_GE: int
    J_GR: int
    J_G: int
    JUMPS: int

    @classmethod
    def of(cls, kind: Kind, both: bool) -> MapLayout:
        """The layout of one kind of eligibility."""
        d, m, anchored = kind
        p, two = d + m, int(both)
        e, r = 0, p
        ge = p * (1 + two)
        g = ge + 1 + two
        a = g + p
        el_u, el_a = p, p + m
        el_b = el_a + m * m
        j_a = 1 + two
        j_ge = j_a + m + 1
        j_g = j_ge + 1 + two
        return cls(
            d, m, both, p, e, r, ge, ge + two, g, a, a + m * p, 0, el_u, el_a, el_b, el_b + m, anchored,
            0, 1, j_a, j_a + m, j_ge, j_ge + two, j_g, j_g + p,
        )  # fmt: skip


@inline
def row_end(hi, n, maps):
    """Where a loop over neurons up to ``hi`` of ``n`` ends: with the padded row if they are the last ones."""
    return maps.shape[2] if hi == n else hi


# Bound to the constants of one `MapLayout` each.
D, M, BOTH = 1, 0, False
P, E, R, GE, GR, G, A = 1, 0, 1, 1, 1, 2, 3
EL_C, EL_U, EL_A = 0, 1, 1
ANCHORS = True
# Whether a step is composed onto the maps as it is read, and nothing is kept of it, as nobody asks for it.
AT_ONCE = False


def _unbound(*arguments):
    """Stands for a bound template."""


_extend_at_once = _identity = _copy = _end_block = _end_span = _rows = _unbound


def filter_entry(group, n, d, k, filters):
    """Template: from filter ``k`` to filter ``d`` in ``n`` steps, 0 where there are not so many."""
    return filters[group, FORWARD, n, d, k] if d < D and k < D else 0.0


_filter = filter_entry


def extend_maps(
    t, lo, hi, psi, signal, rate, prefix, parts, blocks, tails, nothing, steps, block_steps, span_blocks, group, groups, decays,
    filters, eligibility,
):  # fmt: skip
    """Template: compose the step ``t - 1`` onto the maps of neurons ``lo:hi``.

    Reads ``psi`` of step ``t - 1`` and ``signal`` that belongs to step ``t - 2``; ``rate[1]`` is the running rate of
    step ``t - 2``. Writes the rows of ``steps``, of ``prefix`` (before ``t``) and ``parts``, and at the end of a block of
    ``blocks`` and ``tails``.
    """
    n, rows = (t - 1) & (block_steps - 1), 1 if AT_ONCE else prefix.shape[0]
    old, now = np.uint64((t - 1) & (rows - 1)), np.uint64(t & (rows - 1))
    first, stop, part = np.uint64(lo), np.uint64(row_end(hi, psi.size, prefix)), np.uint64(t & (parts.shape[0] - 1))
    if AT_ONCE:
        _extend_at_once(first, np.uint64(hi), _rows(prefix, now), _rows(parts, part), psi, signal, rate, groups[group, GR_KAPPA],
                        groups[group, GR_REG], groups[group, GR_C_REG], groups[group, GR_F_TARGET],
                        decays[group, DECAY_KAPPA, n], decays[group, DECAY_REG, n], _filter(group, n, 0, 0, filters),
                        _filter(group, n, 0, 1, filters), _filter(group, n, 1, 0, filters), _filter(group, n, 1, 1, filters),
                        eligibility)  # fmt: skip
        _fetch_row(first, stop, np.uint64((t + 1) & (parts.shape[0] - 1)), parts)
    else:
        s = np.uint64((t - 1) & (steps.shape[0] - 1))
        _note_step(first, np.uint64(hi), s, steps, psi, signal, rate, groups[group, GR_REG], groups[group, GR_C_REG],
                   groups[group, GR_F_TARGET])  # fmt: skip
        _extend(first, stop, n, old, prefix, now, prefix, s, steps, group, groups, decays, filters, eligibility)
        if ANCHORS:
            _copy(first, stop, now, prefix, part, parts)
    if t & (block_steps - 1) != 0:
        return
    _copy(first, stop, now, prefix, np.uint64((t // block_steps - 1) & (blocks.shape[0] - 1)), blocks)
    _identity(first, stop, now, prefix)
    if ANCHORS:
        _copy(first, stop, now, prefix, part, parts)
    else:  # maps are asked for that begin within a block
        _end_block(t, first, stop, parts, nothing, steps, block_steps, group, groups, decays, filters, eligibility)
    if span_blocks > 0 and t % (span_blocks * block_steps) == 0:
        _end_span(t, first, stop, blocks, tails, block_steps, span_blocks, group, decays, filters)


@inner
def _fetch_row(lo, hi, a, parts):
    """Have the row at hand that the next step writes: the ring has left the cache since it went round."""
    width, entries = np.uint64(parts.shape[2]), np.uint64(parts.shape[1])
    for c in range(a * entries, (a + np.uint64(1)) * entries):
        for place in range(c * width + lo, c * width + hi, np.uint64(16)):
            fetch(parts, place)


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


def extend_rows(lo, hi, n, a, source, b, out, s, steps, group, groups, decays, filters, eligibility):
    """Template: row ``b`` of ``out``: ``n`` steps of row ``a`` of ``source``, then step ``s``.

    The two rows must be two.
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


_extend = extend_rows


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


# All entries in one loop, where nobody asks for the step itself.


def extend_at_once(
    lo, hi, prefix, parts, psi, signal, rate, kappa, reg, c_reg, f_target, kappa_n, reg_n, f_00, f_01, f_10, f_11,
    eligibility,
):  # fmt: skip
    """Template: `note_step`, `extend_rows` of a map, in place, and a copy to ``parts``; both are given as their rows.

    The same operations in the same order. ``f`` are the filters of so many steps.
    """
    real, scale, one = parts[GE].dtype.type, (1.0 - reg) * c_reg, np.uint64(1)
    for j in range(lo, hi):
        off = rate[one, j] - f_target
        learning, drift = signal[j] if BOTH else signal[j] + scale * off, c_reg * off
        through = prefix[GE][j] + learning * kappa_n
        prefix[GE][j], parts[GE][j] = through, real(through)
        if BOTH:
            through = prefix[GR][j] + drift * reg_n
            prefix[GR][j], parts[GR][j] = through, real(through)
        for k in range(P):
            e, change = prefix[E + k][j], 0.0
            g = prefix[G + k][j] + learning * e
            if k < D:
                change = eligibility[EL_C, j] * (f_00 if k == 0 else f_01)
            if D > 1 and k < D:
                change += eligibility[EL_C + 1, j] * (f_10 if k == 0 else f_11)
            if M > 0:
                change += eligibility[EL_C + D, j] * prefix[A + k][j]
            change *= psi[j]
            if BOTH:
                f = prefix[R + k][j]
                g += drift * f
                f = reg * f + (1.0 - reg) * change
                prefix[R + k][j], parts[R + k][j] = f, real(f)
            if M > 0:
                own = eligibility[EL_A, j] * prefix[A + k][j] + eligibility[EL_U, j] * change
                prefix[A + k][j], parts[A + k][j] = own, real(own)
            e = kappa * e + change
            prefix[G + k][j], parts[G + k][j] = g, real(g)
            prefix[E + k][j], parts[E + k][j] = e, real(e)
