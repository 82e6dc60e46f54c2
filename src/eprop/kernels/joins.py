"""Join maps of neurons: one after another, and a step before one.

Loops over neurons do all entries at once, component by component of the eligibility vector: inner loops over components
have constant bounds, so the compiler unrolls them and vectorises the outer one. All promise that their arrays do not
overlap: what is written is another row than what is read.
"""

from __future__ import annotations

from eprop.kernels.layout import DECAY_KAPPA, DECAY_REG, FORWARD, GR_KAPPA, GR_REG

# Rows of `History.steps`.
STEP_PSI, STEP_LEARNING, STEP_DRIFT, STEP_WORK = range(4)

# Bound to the constants of one `kernels.maps.MapLayout`.
D, M, BOTH = 1, 0, False
P, E, R, GE, GR, G, A = 1, 0, 1, 1, 1, 2, 3
ENTRIES = 3
EL_C, EL_U, EL_A = 0, 1, 1
# Components done in one loop: of more than three the compiler would not unroll all.
FIRST, LAST = 0, 1


def _unbound(*arguments):
    """Stands for a bound template."""


# What does the others.
MORE = _unbound


def identity_rows(lo, hi, row, maps):
    """Template: the map of no step at all."""
    for c in range(ENTRIES):
        for j in range(lo, hi):
            maps[row, c, j] = 0.0
    for m in range(M):
        for j in range(lo, hi):
            maps[row, A + m * P + D + m, j] = 1.0


def copy_rows(lo, hi, a, source, b, out):
    """Template: row ``b`` of ``out`` is row ``a`` of ``source``."""
    for c in range(ENTRIES):
        for j in range(lo, hi):
            out[b, c, j] = source[a, c, j]


def copy_values(lo, hi, a, source, b, out):
    """Template: `copy_rows` of those entries that lead to traces and own components, and not to the gradient."""
    for c in range(GE):
        for j in range(lo, hi):
            out[b, c, j] = source[a, c, j]
    for c in range(A, ENTRIES):
        for j in range(lo, hi):
            out[b, c, j] = source[a, c, j]


def follow(k, j, e, rate, g, own_0, own_1, f_0, f_1, kappa_b, reg_b, b, second, c, out):
    """Template: component ``k`` of a map of neuron ``j``, then row ``b`` of ``second``: into row ``c`` of ``out``.

    ``f_0`` and ``f_1`` are how the filters of that map reach it, ``e``, ``rate``, ``g``, ``own_0`` and ``own_1`` what its entries
    have for it.
    """
    g += second[b, GE, j] * e
    if BOTH:
        g += second[b, GR, j] * rate
        rate *= reg_b
    e *= kappa_b
    if D > 0 and k < D:
        g += second[b, G, j] * f_0
        e += second[b, E, j] * f_0
        if BOTH:
            rate += second[b, R, j] * f_0
    if D > 1 and k < D:
        g += second[b, G + 1, j] * f_1
        e += second[b, E + 1, j] * f_1
        if BOTH:
            rate += second[b, R + 1, j] * f_1
    for m in range(M):
        own = own_0 if m == 0 else own_1
        g += second[b, G + D + m, j] * own
        e += second[b, E + D + m, j] * own
        if BOTH:
            rate += second[b, R + D + m, j] * own
    out[c, G + k, j] = g
    out[c, E + k, j] = e
    if BOTH:
        out[c, R + k, j] = rate
    for m in range(M):
        own = second[b, A + m * P + D, j] * own_0
        if M > 1:
            own += second[b, A + m * P + D + 1, j] * own_1
        if D > 0 and k < D:
            own += second[b, A + m * P, j] * f_0
        if D > 1 and k < D:
            own += second[b, A + m * P + 1, j] * f_1
        out[c, A + m * P + k, j] = own


_follow = follow


def compose_rows(lo, hi, n_a, n_b, a, first, b, second, c, out, group, decays, filters):
    """Template: row ``c`` of ``out``: row ``a`` of ``first`` (``n_a`` steps), then row ``b`` of ``second`` (``n_b`` steps)."""
    real = out.dtype.type
    kappa_a, reg_a = real(decays[group, DECAY_KAPPA, n_a]), real(decays[group, DECAY_REG, n_a])
    kappa_b, reg_b = real(decays[group, DECAY_KAPPA, n_b]), real(decays[group, DECAY_REG, n_b])
    f_00 = f_01 = f_10 = f_11 = rate = own_0 = own_1 = real(0.0)
    if D > 0:
        f_00 = real(filters[group, FORWARD, n_a, 0, 0])
    if D > 1:
        f_01, f_10 = real(filters[group, FORWARD, n_a, 0, 1]), real(filters[group, FORWARD, n_a, 1, 0])
        f_11 = real(filters[group, FORWARD, n_a, 1, 1])
    for j in range(lo, hi):
        if FIRST == 0:
            out[c, GE, j] = first[a, GE, j] + second[b, GE, j] * kappa_a
            if BOTH:
                out[c, GR, j] = first[a, GR, j] + second[b, GR, j] * reg_a
        for k in range(FIRST, LAST):
            f_0, f_1 = (f_00, f_10) if k == 0 else (f_01, f_11)
            if BOTH:
                rate = first[a, R + k, j]
            if M > 0:
                own_0 = first[a, A + k, j]
            if M > 1:
                own_1 = first[a, A + P + k, j]
            _follow(k, j, first[a, E + k, j], rate, first[a, G + k, j], own_0, own_1, f_0, f_1, kappa_b, reg_b, b, second, c,
                    out)  # fmt: skip
    MORE(lo, hi, n_a, n_b, a, first, b, second, c, out, group, decays, filters)


def prepend_rows(lo, hi, s, steps, n_b, b, second, c, out, group, groups, decays, filters, eligibility):
    """Template: row ``c`` of ``out``: step ``s``, then row ``b`` of ``second`` (``n_b`` steps)."""
    real = out.dtype.type
    kappa, reg = real(groups[group, GR_KAPPA]), real(groups[group, GR_REG])
    kappa_b, reg_b = real(decays[group, DECAY_KAPPA, n_b]), real(decays[group, DECAY_REG, n_b])
    new, none = real(1.0 - groups[group, GR_REG]), real(0.0)
    f_00 = f_01 = f_10 = f_11 = real(0.0)
    if D > 0:
        f_00 = real(filters[group, FORWARD, 1, 0, 0])
    if D > 1:
        f_01, f_10 = real(filters[group, FORWARD, 1, 0, 1]), real(filters[group, FORWARD, 1, 1, 0])
        f_11 = real(filters[group, FORWARD, 1, 1, 1])
    for j in range(lo, hi):
        if FIRST == 0:
            out[c, GE, j] = real(steps[s, STEP_LEARNING, j]) + second[b, GE, j] * kappa
            if BOTH:
                out[c, GR, j] = real(steps[s, STEP_DRIFT, j]) + second[b, GR, j] * reg
        for k in range(FIRST, LAST):
            f_0, f_1 = (f_00, f_10) if k == 0 else (f_01, f_11)
            change = real(eligibility[EL_C + k, j]) * real(steps[s, STEP_PSI, j])
            own_0 = own_1 = none
            if M > 0:
                own_0 = real(eligibility[EL_U, j]) * change
                if k >= D:
                    own_0 += real(eligibility[EL_A + k - D, j])
            if M > 1:
                own_1 = real(eligibility[EL_U + 1, j]) * change
                if k >= D:
                    own_1 += real(eligibility[EL_A + M + k - D, j])
            _follow(k, j, change, new * change, none, own_0, own_1, f_0, f_1, kappa_b, reg_b, b, second, c, out)
    MORE(lo, hi, s, steps, n_b, b, second, c, out, group, groups, decays, filters, eligibility)
