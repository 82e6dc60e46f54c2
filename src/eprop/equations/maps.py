r"""Eligibility as composed maps: how a synapse crosses any interval in a constant number of operations.

Between two presynaptic spikes the state of a synapse obeys, step by step,

.. math::
    g \mathrel{+}= L_{t-1} \bar e + F_{t-1} \bar e^{reg}, \quad
    e = \psi_t\, c \cdot x, \quad
    \bar e = \kappa \bar e + e, \quad
    \bar e^{reg} = \kappa_{reg} \bar e^{reg} + (1 - \kappa_{reg})\, e, \quad
    x = A x + u\, e,

with numbers ``psi``, ``L``, ``F`` that belong to the *postsynaptic* neuron, and its constants ``A``, ``c``, ``u``
(`eprop.models.Eligibility`; the learning signal of a step is known one step later, so each step first settles the
gradient of the step before). All of it is linear in the state, so the effect of many steps is a matrix that belongs to
the neuron: composed once, it serves every synapse. A presynaptic spike then adds ``b`` to ``x``.

The components of ``x`` that spikes of the neuron do not reach (``u`` and ``A`` lead to none of them) are the same for all
targets of an axon: filtered spikes, ``D`` of them. The ``M`` others belong to the synapse. The loops are in
`eprop.kernels.maps`; for a LIF neuron with equal kappas (D = 1, M = 0: ``x`` is ``z_bar``) they come down to

==== =================== ========================
name from -> to          step extends it by
==== =================== ========================
c1   z_bar -> e_bar      ``kappa c1 + psi alpha^n``
c3   e_bar -> g          ``c3 + L kappa^n``
c5   z_bar -> g          ``c5 + L c1``
==== =================== ========================

With equal kappas ``e_bar_reg = (1 - kappa) e_bar``, so ``F`` goes into ``L``. The recursions are those of e-prop+
(Korcsak-Gorzo et al. 2025, arXiv 2511.21674) summed in closed form.
"""

from __future__ import annotations

from eprop._jit import inline


@inline
def move_back(e, c1, z_before, inv_kappa):
    """The trace that became ``e`` under a map, at its start, where the filtered spikes were ``z_before``: LIF, equal kappas.

    Well conditioned while ``alpha`` and ``kappa`` to the number of steps are.
    """
    return (e - c1 * z_before) * inv_kappa
