"""Composed maps of neurons: extend them by a step, and evaluate them over an interval.

``prefix[t]`` maps from the start of t's block to *before* step ``t``; ``block[b]`` maps across the whole of block
``b``. The interval ``[a, t)`` is had by dividing out the part before ``a`` in the first block, then composing with
whole blocks and with the prefix of the last. Everything here exists for equal kappas (three entries) and for two
kappas (five, in the order of `eprop.equations.maps`); ``BOTH`` chooses when a loop is bound.

The loops over neurons are written to vectorise: unsigned indices (a signed one might count from the end), no views
(each costs an atomic count), and few arrays in one loop (the compiler gives up when it would have to check many pairs
for overlap). So the three entries are done one after the other.
"""

from __future__ import annotations

import numpy as np

from eprop.equations.maps import compose, compose_both, divide, divide_both, extend_both

BOTH = False


def extend_maps(t, lo, hi, prefix, block, block_steps, psi, signal, rate, group, groups, powers):
    """Template: compose the step ``t - 1`` onto the maps of neurons ``lo:hi``.

    Reads ``psi`` of step ``t - 1`` and ``signal`` that belongs to step ``t - 2``; ``rate[1]`` is the running rate of
    step ``t - 2``. Writes the rows of ``prefix`` (before ``t``) and, at the end of a block, of ``block``.
    """
    ring, n = prefix.shape[0] - 1, (t - 1) & (block_steps - 1)
    old, now = np.uint64((t - 1) & ring), np.uint64(t & ring)
    alpha_n, kappa_n, reg_n = powers[group, 0, n], powers[group, 1, n], powers[group, 2, n]
    kappa, reg = groups[group, 1], groups[group, 2]
    c_reg, f_target = groups[group, 3], groups[group, 4]
    first, stop = np.uint64(lo), np.uint64(hi)
    if t & (block_steps - 1) == 0:
        last = np.uint64(((t - 1) // block_steps) & (block.shape[0] - 1))
        _extend(
            first,
            stop,
            old,
            last,
            prefix,
            block,
            psi,
            signal,
            rate,
            alpha_n,
            kappa_n,
            reg_n,
            kappa,
            reg,
            c_reg,
            f_target,
        )
        for c in range(prefix.shape[1]):
            for j in range(first, stop):
                prefix[now, c, j] = 0.0
    else:
        _extend(
            first,
            stop,
            old,
            now,
            prefix,
            prefix,
            psi,
            signal,
            rate,
            alpha_n,
            kappa_n,
            reg_n,
            kappa,
            reg,
            c_reg,
            f_target,
        )


def extend_rows(lo, hi, a, b, source, out, psi, signal, rate, alpha_n, kappa_n, reg_n, kappa, reg, c_reg, f_target):
    """Template: row ``b`` of ``out`` from row ``a`` of ``source``; see `eprop.equations.maps`."""
    if BOTH:
        for j in range(lo, hi):
            drift = c_reg * (rate[1, j] - f_target)
            out[b, 0, j], out[b, 1, j], out[b, 2, j], out[b, 3, j], out[b, 4, j] = extend_both(
                source[a, 0, j], source[a, 1, j], source[a, 2, j], source[a, 3, j], source[a, 4, j],
                psi[j], signal[j], drift, alpha_n, kappa_n, reg_n, kappa, reg,
            )  # fmt: skip
        return
    # `extend`, entry by entry; rate regularisation enters the learning signal.
    scale = (1.0 - reg) * c_reg
    for j in range(lo, hi):
        rate[2, j] = signal[j] + scale * (rate[1, j] - f_target)
    for j in range(lo, hi):
        out[b, 2, j] = source[a, 2, j] + rate[2, j] * source[a, 0, j]
    for j in range(lo, hi):
        out[b, 1, j] = source[a, 1, j] + rate[2, j] * kappa_n
    for j in range(lo, hi):
        out[b, 0, j] = kappa * source[a, 0, j] + psi[j] * alpha_n


_extend = extend_rows


def map_of_interval(a, t, j, prefix, block, block_steps, group, powers):
    """Template: ``(c1, c2, c3, c4, c5)`` of the map over ``[a, t)`` of neuron ``j``; c2 = c4 = 0 with equal kappas."""
    ring, blocks, before = prefix.shape[0] - 1, block.shape[0] - 1, a & (block_steps - 1)
    n = min(block_steps - before, t - a)
    inv_alpha, inv_kappa = powers[group, 3, before], powers[group, 4, before]
    c2, c4 = 0.0, 0.0
    if before + t - a < block_steps:
        e1, e2, e3, e4, e5 = _entries(prefix, t & ring, j)
    else:
        e1, e2, e3, e4, e5 = _entries(block, (a // block_steps) & blocks, j)
    s1, s2, s3, s4, s5 = _entries(prefix, a & ring, j)
    if BOTH:
        c1, c2, c3, c4, c5 = divide_both(
            e1, e2, e3, e4, e5, s1, s2, s3, s4, s5, inv_alpha, inv_kappa, powers[group, 5, before],
            powers[group, 1, n], powers[group, 2, n],
        )  # fmt: skip
    else:
        c1, c3, c5 = divide(e1, e3, e5, s1, s3, s5, inv_alpha, inv_kappa, powers[group, 1, n])
    at = a + n
    while at < t:
        m = min(block_steps, t - at)
        if m == block_steps:
            e1, e2, e3, e4, e5 = _entries(block, (at // block_steps) & blocks, j)
        else:
            e1, e2, e3, e4, e5 = _entries(prefix, t & ring, j)
        alpha_a, kappa_a, kappa_b = powers[group, 0, at - a], powers[group, 1, at - a], powers[group, 1, m]
        if BOTH:
            c1, c2, c3, c4, c5 = compose_both(
                c1, c2, c3, c4, c5, e1, e2, e3, e4, e5, alpha_a, kappa_a, powers[group, 2, at - a], kappa_b,
                powers[group, 2, m],
            )  # fmt: skip
        else:
            c1, c3, c5 = compose(c1, c3, c5, e1, e3, e5, alpha_a, kappa_a, kappa_b)
        at += m
    return c1, c2, c3, c4, c5


def entries_of(maps, row, j):
    """Template: the five entries of one map; with equal kappas three are stored."""
    if BOTH:
        return maps[row, 0, j], maps[row, 1, j], maps[row, 2, j], maps[row, 3, j], maps[row, 4, j]
    return maps[row, 0, j], 0.0, maps[row, 1, j], 0.0, maps[row, 2, j]


_entries = entries_of


def maps_of_interval(a, t, lo, hi, prefix, block, block_steps, group, powers, out):
    """Template: `map_of_interval` for all neurons ``lo:hi`` at once into ``out`` (entries, neurons), in fast loops.

    The operations on each neuron are the same, in the same order, so the numbers are too.
    """
    ring, blocks, before = prefix.shape[0] - 1, block.shape[0] - 1, a & (block_steps - 1)
    begin, stop = np.uint64(lo), np.uint64(hi)
    n = min(block_steps - before, t - a)
    inv_alpha, inv_kappa, inv_reg = powers[group, 3, before], powers[group, 4, before], powers[group, 5, before]
    kappa_n, reg_n = powers[group, 1, n], powers[group, 2, n]
    start = np.uint64(a & ring)
    if before + t - a < block_steps:
        _divide(
            begin, stop, prefix, np.uint64(t & ring), prefix, start, inv_alpha, inv_kappa, inv_reg, kappa_n, reg_n, out
        )
    else:
        end = np.uint64((a // block_steps) & blocks)
        _divide(begin, stop, block, end, prefix, start, inv_alpha, inv_kappa, inv_reg, kappa_n, reg_n, out)
    at = a + n
    while at < t:
        m = min(block_steps, t - at)
        alpha_a, kappa_a, reg_a = powers[group, 0, at - a], powers[group, 1, at - a], powers[group, 2, at - a]
        kappa_b, reg_b = powers[group, 1, m], powers[group, 2, m]
        if m == block_steps:
            row = np.uint64((at // block_steps) & blocks)
            _compose(begin, stop, out, block, row, alpha_a, kappa_a, reg_a, kappa_b, reg_b)
        else:
            _compose(begin, stop, out, prefix, np.uint64(t & ring), alpha_a, kappa_a, reg_a, kappa_b, reg_b)
        at += m


def divide_rows(lo, hi, ends, p, starts, a, inv_alpha, inv_kappa, inv_reg, kappa_n, reg_n, work):
    """Template: `divide` of row ``p`` of ``ends`` by row ``a`` of ``starts`` into ``work``."""
    if BOTH:
        for j in range(lo, hi):
            work[0, j], work[1, j], work[2, j], work[3, j], work[4, j] = divide_both(
                ends[p, 0, j], ends[p, 1, j], ends[p, 2, j], ends[p, 3, j], ends[p, 4, j],
                starts[a, 0, j], starts[a, 1, j], starts[a, 2, j], starts[a, 3, j], starts[a, 4, j],
                inv_alpha, inv_kappa, inv_reg, kappa_n, reg_n,
            )  # fmt: skip
        return
    for j in range(lo, hi):
        work[0, j] = (ends[p, 0, j] - kappa_n * starts[a, 0, j]) * inv_alpha
    for j in range(lo, hi):
        work[1, j] = (ends[p, 1, j] - starts[a, 1, j]) * inv_kappa
    for j in range(lo, hi):
        work[2, j] = (ends[p, 2, j] - starts[a, 2, j] - work[1, j] * starts[a, 0, j]) * inv_alpha


_divide = divide_rows


def compose_rows(lo, hi, work, rows, b, alpha_a, kappa_a, reg_a, kappa_b, reg_b):
    """Template: `compose` ``work`` with row ``b`` of ``rows``, in place."""
    if BOTH:
        for j in range(lo, hi):
            work[0, j], work[1, j], work[2, j], work[3, j], work[4, j] = compose_both(
                work[0, j], work[1, j], work[2, j], work[3, j], work[4, j],
                rows[b, 0, j], rows[b, 1, j], rows[b, 2, j], rows[b, 3, j], rows[b, 4, j],
                alpha_a, kappa_a, reg_a, kappa_b, reg_b,
            )  # fmt: skip
        return
    for j in range(lo, hi):
        work[2, j] = work[2, j] + rows[b, 1, j] * work[0, j] + rows[b, 2, j] * alpha_a
    for j in range(lo, hi):
        work[1, j] = work[1, j] + rows[b, 1, j] * kappa_a
    for j in range(lo, hi):
        work[0, j] = kappa_b * work[0, j] + rows[b, 0, j] * alpha_a


_compose = compose_rows
