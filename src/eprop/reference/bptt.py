"""Backpropagation through time for the networks of `eprop.reference.eprop`: what e-prop approximates.

Exact derivatives of the loss with two conventions shared by e-prop (Bellec et al. 2020): the derivative of a spike is
the surrogate gradient ``psi``, and the reset that follows a spike is *detached*, that is, not differentiated. (The
floor ``v_min`` is not differentiated either; it must not be reached.)

The *factorisation* behind e-prop says that the gradient is ``sum_t dE/dz_t e_t``, where ``dE/dz`` is the total
derivative by the spikes, except for the way through a neuron's own adaptation, which belongs to the eligibility
``e``. It holds exactly; `eligibility_sum` evaluates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eprop.reference.eprop import Sample, Weights, delayed, eligibility
from eprop.reference.neurons import LIF, PROJECTIONS, Array, Readout


@dataclass(frozen=True)
class BPTT:
    """Gradients per projection, and ``de_dz`` [T, N], the total derivative of the loss by the spikes."""

    gradients: Weights
    de_dz: Array


def backpropagate(
    sample: Sample, weights: Mapping[str, npt.ArrayLike], neuron: LIF, readout: Readout, *, dt: float = 1.0
) -> BPTT:
    """Backpropagate the loss of a sample that `run_sample` ran with the same weights and parameters.

    With ``dy``, ``dv``, ``da``, ``dz`` for the derivatives by output, voltage, adaptation and spikes, backward in
    time::

        dy(t) = E(t) + alpha_o dy(t + 1)
        dz(t) = zeta_o W_out^T dy(t) + zeta W_rec^T dv(t + 1)
        dv(t) = psi(t) (dz(t) + da(t + 1)) + alpha dv(t + 1)
        da(t) = -beta psi(t) (dz(t) + da(t + 1)) + rho da(t + 1)
    """
    _, w_rec, w_out = (np.asarray(weights[name], dtype=float) for name in PROJECTIONS)
    (n_steps, n), n_out = sample.spikes.shape, sample.y.shape[1]
    dy, dv, de_dz = np.zeros((n_steps + 1, n_out)), np.zeros((n_steps + 1, n)), np.zeros((n_steps, n))
    da = np.zeros(n)
    for t in reversed(range(n_steps)):
        dy[t] = sample.error[t] + readout.alpha(dt) * dy[t + 1]
        de_dz[t] = w_out.T @ (readout.zeta(dt) * dy[t]) + w_rec.T @ (neuron.zeta(dt) * dv[t + 1])
        through_spike = sample.psi[t] * (de_dz[t] + da)
        dv[t] = through_spike + neuron.alpha(dt) * dv[t + 1]
        da = neuron.rho(dt) * da - neuron.beta * through_spike
    gradients = {
        "input": (neuron.zeta(dt) * dv[:-1]).T @ sample.inputs,
        "recurrent": (neuron.zeta(dt) * dv[:-1]).T @ delayed(sample.spikes),
        "readout": (readout.zeta(dt) * dy[:-1]).T @ sample.spikes,
    }
    return BPTT(gradients, de_dz)


def eligibility_sum(sample: Sample, de_dz: Array, neuron: LIF, *, dt: float = 1.0) -> Weights:
    """``sum_t dE/dz_t e_t`` for the synapses onto the neurons, input and recurrent."""
    arriving = {"input": sample.inputs, "recurrent": delayed(sample.spikes)}
    return {
        name: np.asarray(
            sum(d[:, None] * e for d, e in zip(de_dz, eligibility(spikes, sample.psi, neuron, dt), strict=True))
        )
        for name, spikes in arriving.items()
    }
