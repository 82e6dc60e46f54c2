"""Composed maps of neurons: extend them by a step, and evaluate them over an interval.

``prefix[t]`` maps from the start of t's block to *before* step ``t``; ``block[b]`` maps across the whole of block
``b``. The interval ``[a, t)`` is had by dividing out the part before ``a`` in the first block, then composing with
whole blocks and with the prefix of the last. Everything here exists for equal kappas (three entries) and for two
kappas (five, in the order of `eprop.equations.maps`); ``BOTH`` chooses when a loop is bound.
"""

from __future__ import annotations

from eprop._jit import kernel
from eprop.equations.maps import compose, compose_both, divide, divide_both, extend, extend_both

BOTH = False


def extend_maps(t, lo, hi, prefix, block, block_steps, psi, signal, rate, group, powers):
    """Template: compose the step ``t - 1`` onto the maps of neurons ``lo:hi``.

    Reads ``psi`` of step ``t - 1`` and ``signal`` that belongs to step ``t - 2``; ``rate[1]`` is the running rate of
    step ``t - 2``. Writes the rows of ``prefix`` (before ``t``) and, at the end of a block, of ``block``.
    """
    n = (t - 1) % block_steps
    old = prefix[(t - 1) & (prefix.shape[0] - 1)]
    ends = t % block_steps == 0
    new = block[((t - 1) // block_steps) & (block.shape[0] - 1)] if ends else prefix[t & (prefix.shape[0] - 1)]
    alpha_n, kappa_n, reg_n = powers[0, n], powers[1, n], powers[2, n]
    kappa, reg = group[1], group[2]
    c_reg, f_target = group[3], group[4]
    if BOTH:
        for j in range(lo, hi):
            drift = c_reg * (rate[1, j] - f_target)
            new[0, j], new[1, j], new[2, j], new[3, j], new[4, j] = extend_both(
                old[0, j], old[1, j], old[2, j], old[3, j], old[4, j],
                psi[j], signal[j], drift, alpha_n, kappa_n, reg_n, kappa, reg,
            )  # fmt: skip
    else:
        o1, o3, o5, n1, n3, n5 = old[0], old[1], old[2], new[0], new[1], new[2]
        scale = (1.0 - reg) * c_reg
        rate_before = rate[1]
        for j in range(lo, hi):
            learning = signal[j] + scale * (rate_before[j] - f_target)
            c1, c3, c5 = o1[j], o3[j], o5[j]
            n1[j], n3[j], n5[j] = extend(c1, c3, c5, psi[j], learning, alpha_n, kappa_n, kappa)
    if ends:
        prefix[t & (prefix.shape[0] - 1)][:, lo:hi] = 0.0


def map_of_interval(a, t, j, prefix, block, block_steps, powers):
    """Template: ``(c1, c2, c3, c4, c5)`` of the map over ``[a, t)`` of neuron ``j``; c2 = c4 = 0 with equal kappas."""
    ring, blocks = prefix.shape[0] - 1, block.shape[0] - 1
    first, before = a // block_steps, a % block_steps
    start = prefix[a & ring]
    same = t < (first + 1) * block_steps
    end = prefix[t & ring] if same else block[first & blocks]
    n = (t - a) if same else block_steps - before
    inv_alpha, inv_kappa = 1.0 / powers[0, before], 1.0 / powers[1, before]
    if BOTH:
        c1, c2, c3, c4, c5 = divide_both(
            end[0, j], end[1, j], end[2, j], end[3, j], end[4, j],
            start[0, j], start[1, j], start[2, j], start[3, j], start[4, j],
            inv_alpha, inv_kappa, 1.0 / powers[2, before], powers[1, n], powers[2, n],
        )  # fmt: skip
        at = a + n
        while at < t:
            b = at // block_steps
            whole = (b + 1) * block_steps <= t
            row = block[b & blocks] if whole else prefix[t & ring]
            m = block_steps if whole else t - at
            c1, c2, c3, c4, c5 = compose_both(
                c1, c2, c3, c4, c5, row[0, j], row[1, j], row[2, j], row[3, j], row[4, j],
                powers[0, at - a], powers[1, at - a], powers[2, at - a], powers[1, m], powers[2, m],
            )  # fmt: skip
            at += m
        return c1, c2, c3, c4, c5
    else:
        c1, c3, c5 = divide(
            end[0, j], end[1, j], end[2, j], start[0, j], start[1, j], start[2, j], inv_alpha, inv_kappa, powers[1, n]
        )
        at = a + n
        while at < t:
            b = at // block_steps
            whole = (b + 1) * block_steps <= t
            row = block[b & blocks] if whole else prefix[t & ring]
            m = block_steps if whole else t - at
            c1, c3, c5 = compose(
                c1, c3, c5, row[0, j], row[1, j], row[2, j], powers[0, at - a], powers[1, at - a], powers[1, m]
            )
            at += m
        return c1, 0.0, c3, 0.0, c5


def maps_of_interval(a, t, lo, hi, prefix, block, block_steps, powers, work, out):
    """Template: `map_of_interval` for all neurons ``lo:hi`` at once, in loops that vectorise.

    The operations on each neuron are the same, in the same order, so the numbers are too. ``work`` is scratch;
    the result goes to ``out`` (entries, neurons), cast to its type.
    """
    ring, blocks = prefix.shape[0] - 1, block.shape[0] - 1
    first, before = a // block_steps, a % block_steps
    start = prefix[a & ring]
    same = t < (first + 1) * block_steps
    end = prefix[t & ring] if same else block[first & blocks]
    n = (t - a) if same else block_steps - before
    inv_alpha, inv_kappa, inv_reg = 1.0 / powers[0, before], 1.0 / powers[1, before], 1.0 / powers[2, before]
    if BOTH:
        for j in range(lo, hi):
            work[0, j], work[1, j], work[2, j], work[3, j], work[4, j] = divide_both(
                end[0, j], end[1, j], end[2, j], end[3, j], end[4, j],
                start[0, j], start[1, j], start[2, j], start[3, j], start[4, j],
                inv_alpha, inv_kappa, inv_reg, powers[1, n], powers[2, n],
            )  # fmt: skip
    else:
        _divide_rows(lo, hi, end[0], end[1], end[2], start[0], start[1], start[2],
                     inv_alpha, inv_kappa, powers[1, n], work[0], work[1], work[2])  # fmt: skip
    at = a + n
    while at < t:
        b = at // block_steps
        whole = (b + 1) * block_steps <= t
        row = block[b & blocks] if whole else prefix[t & ring]
        m = block_steps if whole else t - at
        if BOTH:
            for j in range(lo, hi):
                work[0, j], work[1, j], work[2, j], work[3, j], work[4, j] = compose_both(
                    work[0, j], work[1, j], work[2, j], work[3, j], work[4, j],
                    row[0, j], row[1, j], row[2, j], row[3, j], row[4, j],
                    powers[0, at - a], powers[1, at - a], powers[2, at - a], powers[1, m], powers[2, m],
                )  # fmt: skip
        else:
            _compose_rows(lo, hi, work[0], work[1], work[2], row[0], row[1], row[2],
                          powers[0, at - a], powers[1, at - a], powers[1, m])  # fmt: skip
        at += m
    for c in range(work.shape[0]):
        _cast_row(lo, hi, work[c], out[c])


@kernel
def _divide_rows(lo, hi, p1, p3, p5, a1, a3, a5, inv_alpha, inv_kappa, kappa_n, w1, w3, w5):
    for j in range(lo, hi):
        w1[j], w3[j], w5[j] = divide(p1[j], p3[j], p5[j], a1[j], a3[j], a5[j], inv_alpha, inv_kappa, kappa_n)


@kernel
def _compose_rows(lo, hi, w1, w3, w5, b1, b3, b5, alpha_a, kappa_a, kappa_b):
    for j in range(lo, hi):
        w1[j], w3[j], w5[j] = compose(w1[j], w3[j], w5[j], b1[j], b3[j], b5[j], alpha_a, kappa_a, kappa_b)


@kernel
def _cast_row(lo, hi, source, out):
    for j in range(lo, hi):
        out[j] = source[j]
