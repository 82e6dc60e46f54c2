r"""Eligibility of a LIF neuron as composed maps: how a synapse crosses any interval in a constant number of operations.

Between two presynaptic spikes the state of a synapse obeys, step by step,

.. math::
    g \mathrel{+}= L_{t-1} \bar e + F_{t-1} \bar e^{reg}, \quad
    \bar e = \kappa \bar e + \psi_t \bar z, \quad
    \bar e^{reg} = \kappa_{reg} \bar e^{reg} + (1 - \kappa_{reg}) \psi_t \bar z, \quad
    \bar z_{t+1} = \alpha \bar z_t,

with numbers ``psi``, ``L``, ``F`` that belong to the *postsynaptic* neuron. (The learning signal of a step is known
one step later, so each step first settles the gradient of the step before.) The effect of many steps is again such a
map, with the non-trivial entries

==== =================== ========================
name from -> to          step extends it by
==== =================== ========================
c1   z_bar -> e_bar      ``kappa c1 + psi alpha^n``
c2   z_bar -> e_bar_reg  ``kappa_reg c2 + (1 - kappa_reg) psi alpha^n``
c3   e_bar -> g          ``c3 + L kappa^n``
c4   e_bar_reg -> g      ``c4 + F kappa_reg^n``
c5   z_bar -> g          ``c5 + L c1 + F c2``
==== =================== ========================

With equal kappas ``e_bar_reg = (1 - kappa) e_bar``: then ``F`` goes into ``L`` and c2, c4 vanish. The recursions are
those of e-prop+ (Korcsak-Gorzo et al. 2025, arXiv 2511.21674) summed in closed form.
"""

from __future__ import annotations

from eprop._jit import inline


@inline
def extend(c1, c3, c5, psi, learning, alpha_n, kappa_n, kappa):
    """Map of ``n + 1`` steps from the map of ``n``, equal kappas."""
    return kappa * c1 + psi * alpha_n, c3 + learning * kappa_n, c5 + learning * c1


@inline
def compose(a1, a3, a5, b1, b3, b5, alpha_a, kappa_a, kappa_b):
    """Map ``a`` and then map ``b``, equal kappas; ``alpha_a`` is ``alpha`` to the number of steps of ``a``."""
    return kappa_b * a1 + b1 * alpha_a, a3 + b3 * kappa_a, a5 + b3 * a1 + b5 * alpha_a


@inline
def divide(p1, p3, p5, a1, a3, a5, inv_alpha_a, inv_kappa_a, kappa_b):
    """Map ``b`` from the map ``p`` of ``a`` and then ``b``; well conditioned while ``alpha_a``, ``kappa_a`` are."""
    c3 = (p3 - a3) * inv_kappa_a
    return (p1 - kappa_b * a1) * inv_alpha_a, c3, (p5 - a5 - c3 * a1) * inv_alpha_a


@inline
def extend_both(c1, c2, c3, c4, c5, psi, learning, rate, alpha_n, kappa_n, reg_n, kappa, reg):
    """`extend` with two kappas: ``reg`` is ``kappa_reg``, ``rate`` is ``F``."""
    drive = psi * alpha_n
    return (
        kappa * c1 + drive,
        reg * c2 + (1.0 - reg) * drive,
        c3 + learning * kappa_n,
        c4 + rate * reg_n,
        c5 + learning * c1 + rate * c2,
    )


@inline
def compose_both(a1, a2, a3, a4, a5, b1, b2, b3, b4, b5, alpha_a, kappa_a, reg_a, kappa_b, reg_b):
    """`compose` with two kappas."""
    return (
        kappa_b * a1 + b1 * alpha_a,
        reg_b * a2 + b2 * alpha_a,
        a3 + b3 * kappa_a,
        a4 + b4 * reg_a,
        a5 + b3 * a1 + b4 * a2 + b5 * alpha_a,
    )


@inline
def divide_both(p1, p2, p3, p4, p5, a1, a2, a3, a4, a5, inv_alpha_a, inv_kappa_a, inv_reg_a, kappa_b, reg_b):
    """`divide` with two kappas."""
    c3 = (p3 - a3) * inv_kappa_a
    c4 = (p4 - a4) * inv_reg_a
    return (
        (p1 - kappa_b * a1) * inv_alpha_a,
        (p2 - reg_b * a2) * inv_alpha_a,
        c3,
        c4,
        (p5 - a5 - c3 * a1 - c4 * a2) * inv_alpha_a,
    )
