"""Backpropagation through time for any network: what e-prop approximates.

Two conventions are shared with e-prop (Bellec et al. 2020): the derivative of a spike is the surrogate gradient, and what
a neuron's `eprop.models.Eligibility` leaves out, such as the reset after a spike, is not differentiated.

The *factorisation* behind e-prop says that the gradient is ``sum_t dE/dz(t) e(t)``, with the total derivative of the
loss by the spikes, except for the way through the neuron's own state, which belongs to the eligibility ``e``. It holds
exactly. e-prop puts the learning signal in place of the total derivative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eprop.errors import InputError
from eprop.network import Projection
from eprop.reference.forward import Activity
from eprop.reference.neurons import Array
from eprop.reference.stimulus import Stimulus
from eprop.reference.time_driven import TimeDriven

#: Kinds of weights: onto neurons from sources, onto neurons from neurons, onto readouts.
INPUT, RECURRENT, READOUT = KINDS = ("input", "recurrent", "readout")


@dataclass(frozen=True)
class Backpropagated:
    """Gradients of the loss of a sample, in the order of the connections, projection by projection.

    Attributes
    ----------
    gradient : (synapses,) of backpropagation
    factorised : (synapses,) ``sum_t dE/dz(t) e(t)``, equal to it up to rounding
    eprop : (synapses,) of e-prop without rate regularisation and without the factor ``1 - kappa`` of its filter; ``kappa`` is the
        decay of the readouts, as by default, whatever the rules of the network say
    de_dz : (steps, neurons)
    """

    gradient: Array
    factorised: Array
    eprop: Array
    de_dz: Array


@dataclass(frozen=True, eq=False)
class GradientAngle:
    """Between the gradients of a mini-batch; ``each`` between those of its samples.

    Attributes
    ----------
    cosine : float
        1: one direction, 0: unrelated; NaN if a gradient is zero.
    size : float
        Length of e-prop's gradient in units of backpropagation's.
    each : ndarray, shape (samples,)
        Degrees.
    """

    cosine: float
    size: float
    each: Array

    @property
    def degrees(self) -> float:
        """The angle."""
        return math.degrees(math.acos(self.cosine))

    @classmethod
    def between(cls, eprop: Array, bptt: Array) -> GradientAngle:
        """Of gradients of shape (samples, weights)."""
        each = np.degrees(np.arccos([_cosine(a, b) for a, b in zip(eprop, bptt, strict=True)]))
        a, b = eprop.sum(axis=0), bptt.sum(axis=0)
        length = float(np.linalg.norm(b))
        return cls(_cosine(a, b), float(np.linalg.norm(a)) / length if length > 0.0 else math.nan, each)


def gradient_angles(stepped: TimeDriven, stimuli: Sequence[Stimulus]) -> dict[str, GradientAngle]:
    """Angles between e-prop's gradient of the loss and backpropagation's, with the present weights, from rest.

    Without rate regularisation, which both rules would have in common, and with the decay of the readouts for ``kappa``.

    Parameters
    ----------
    stepped : TimeDriven
    stimuli : sequence of Stimulus

    Returns
    -------
    dict
        Of each of `KINDS` that the network has weights of.
    """
    found = [backpropagate(stepped, stimulus) for stimulus in stimuli]
    eprop, bptt = (np.stack([getattr(f, name) for f in found]) for name in ("eprop", "gradient"))
    kinds = kinds_of_weights(stepped)
    return {
        kind: GradientAngle.between(eprop[:, kinds == kind], bptt[:, kinds == kind]) for kind in KINDS if kind in kinds
    }


def kinds_of_weights(stepped: TimeDriven) -> np.ndarray:
    """One of `KINDS` for each synapse."""
    out = np.empty(len(stepped.synapses), object)
    for p in stepped.network.projections:
        out[stepped.synapses.parts[p.name]] = kind_of(p)
    return out


def kind_of(projection: Projection) -> str:
    """Kind of a projection's weights."""
    if projection.post.model.role == "readout":
        return READOUT
    return INPUT if projection.pre.model.role == "source" else RECURRENT


def _cosine(a: Array, b: Array) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / size, -1.0, 1.0)) if size > 0.0 else math.nan


def backpropagate(stepped: TimeDriven, stimulus: Stimulus, error: Array | None = None) -> Backpropagated:
    """Run one sample from rest and backpropagate its loss, with the present weights.

    Parameters
    ----------
    stepped : TimeDriven
    stimulus : Stimulus
    error : (steps, readouts), optional
        Derivative of a loss with respect to the outputs, in place of that of the targets.

    Raises
    ------
    InputError
        If the sample has signals or a modulator: those are derivatives of no loss.
    """
    if stimulus.signals or stimulus.modulator is not None:
        raise InputError("backpropagate takes samples without signals and modulator: they are derivatives of no loss")
    run, s = stepped.predict(stimulus), stepped.synapses
    dy = _filtered_errors(run.error if error is None else error, stepped.forward.readout_decay)
    reach, de_dz = _backward(stepped, run, dy)
    gradient = np.zeros(len(s))
    for t in range(stimulus.steps):
        gradient += np.where(s.arriving(run.spikes, t), reach[t, s.input], 0.0)
    sums = [_sum_of_eligibilities(stepped, run, signal) for signal in (de_dz, _direct_derivative(stepped, dy))]
    factorised, eprop = (np.where(s.onto_readout, gradient, part) for part in sums)
    return Backpropagated(gradient, factorised, eprop, de_dz)


def _filtered_errors(error: Array, alpha: Array) -> Array:
    """Derivative of the loss by the outputs, through all later outputs: ``dy(t) = E(t) + alpha_o dy(t + 1)``."""
    out = np.zeros((error.shape[0] + 1, error.shape[1]))
    for t in range(error.shape[0] - 1, -1, -1):
        out[t] = error[t] + alpha * out[t + 1]
    return out[:-1]


def _backward(stepped: TimeDriven, run: Activity, dy: Array) -> tuple[Array, Array]:
    """Derivative of the loss by the input of each target (steps, inputs), and by the spikes of each neuron.

    With ``mu`` for the derivative by the hidden state after step ``t``, which obeys backward in time::

        dz(t) = sum_i w_i arrival . mu(t + d_i) + spike . mu(t + 1)
        mu(t) = decay^T mu(t + 1) + psi(t) dz(t) output
    """
    s, (n_steps, n), c = stepped.synapses, run.v.shape, stepped.forward.eligibility
    mu = np.zeros((n, c.arrival.shape[1]))
    targets = len(c.arrival)  # after their inputs follow those of the inhibitory receptors
    reach, de_dz = np.zeros((n_steps, 2 * targets)), np.zeros((n_steps, n))
    reach[:, n:targets] = dy * c.arrival[n:, 0]
    for t in range(n_steps - 1, -1, -1):
        at = t + s.delay
        through = np.where(at < n_steps, stepped.weight * reach[np.minimum(at, n_steps - 1), s.input], 0.0)
        of_sources = np.bincount(s.source, through, minlength=stepped.forward.layout.n_sources)
        de_dz[t] = of_sources[stepped.forward.layout.source_of_neuron]
        own = (c.spike[:n] * mu).sum(axis=1)
        mu = np.einsum("jab,ja->jb", c.decay[:n], mu) + (run.psi[t] * (de_dz[t] + own))[:, None] * c.output[:n]
        reach[t, :n] = (c.arrival[:n] * mu).sum(axis=1)
        reach[t, targets : targets + n] = (c.arrival_in[:n] * mu).sum(axis=1)
    return reach, de_dz


def _direct_derivative(stepped: TimeDriven, dy: Array) -> Array:
    """The learning signals of e-prop, each summed over what it still does: ``sum_k B_jk zeta dy_k(t + latency)``."""
    latency, feedback = stepped.latency.pairs, stepped.feedback.now(stepped.weight)
    n_steps, scale = len(dy), stepped.forward.eligibility.arrival[stepped.forward.layout.n_neurons :, 0]
    out = np.zeros((n_steps, latency.shape[1]))
    for t in range(n_steps):
        at = t + latency
        then = np.take_along_axis(dy, np.minimum(at, n_steps - 1).T, 0).T
        out[t] = (np.where(at < n_steps, then, 0.0) * scale[:, None] * feedback).sum(axis=0)
    return out


def _sum_of_eligibilities(stepped: TimeDriven, run: Activity, signal: Array) -> Array:
    """``sum_t signal_j(t) e_ji(t)`` of every synapse onto a neuron, 0 onto readouts."""
    s, none = stepped.synapses, np.zeros(stepped.forward.layout.n_readouts)
    parts = (
        np.append(of_neurons, none)[s.target] * e
        for e, of_neurons in zip(s.eligibilities(run.spikes, run.psi), signal, strict=True)
    )
    return np.asarray(sum(parts, np.zeros(len(s))))
