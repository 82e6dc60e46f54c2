"""Backpropagation through time for any network: what e-prop approximates.

Two conventions are shared with e-prop (Bellec et al. 2020): the derivative of a spike is the surrogate gradient, and what
a neuron's `eprop.models.Eligibility` leaves out, such as the reset after a spike, is not differentiated.

The *factorisation* behind e-prop says that the gradient is ``sum_t dE/dz(t) e(t)``, with the total derivative of the
loss by the spikes, except for the way through the neuron's own state, which belongs to the eligibility ``e``. It holds
exactly. e-prop puts the learning signal in place of the total derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.engine import Samples
from eprop.engine.state.synapse_order import all_synapses
from eprop.errors import InputError
from eprop.reference.forward import Activity
from eprop.reference.learning_signals import error_latencies
from eprop.reference.synapses import Synapses
from eprop.reference.time_driven import TimeDriven


@dataclass
class Backpropagated:
    """Gradients of the loss of a sample.

    Attributes
    ----------
    gradient : (synapses,) of backpropagation, in the order of `Simulator.connections`, projection by projection
    factorised : (synapses,) ``sum_t dE/dz(t) e(t)``, equal to it up to rounding
    eprop : (synapses,) of e-prop without rate regularisation and without the factor ``1 - kappa`` of its filter; ``kappa`` is the
        decay of the readouts, as by default, whatever the rules of the network say
    de_dz : (steps, neurons)
    """

    gradient: np.ndarray
    factorised: np.ndarray
    eprop: np.ndarray
    de_dz: np.ndarray

    def angle(self, where: np.ndarray | slice = slice(None)) -> float:
        """Angle between the gradients of e-prop and of backpropagation, degrees; 90 is unrelated."""
        a, b = self.eprop[where], self.gradient[where]
        size = np.linalg.norm(a) * np.linalg.norm(b)
        return float(np.degrees(np.arccos(np.clip(a @ b / size, -1.0, 1.0)))) if size > 0 else float("nan")


def backpropagate(network: TimeDriven, samples: Samples, index: int = 0) -> Backpropagated:
    """Run one sample from rest and backpropagate its loss, with the present weights.

    Raises
    ------
    InputError
        If the sample has signals or a modulator: those are derivatives of no loss.
    """
    if samples.signals or len(samples.modulator):
        raise InputError("backpropagate takes samples without signals and modulator: they are derivatives of no loss")
    state, s = network.forward.run(samples, index), network.synapses
    n_steps, n = state.v.shape
    dy = _filtered_errors(state.error, network.built.topology.readouts["alpha"])
    reach, de_dz = _backward(network, state, dy)
    gradient = np.zeros(s.source.size)
    for t in range(n_steps):
        gradient += np.where(s.arriving(state.spikes, t), reach[t, s.target], 0.0)
    learning = _direct_derivative(network, n_steps, n, dy)
    sums = [_sum_of_eligibilities(network, state, signal) for signal in (de_dz, learning)]
    order = all_synapses(network.simulator._arrays)
    factorised, eprop = (np.where(s.onto_readout, gradient, part)[order] for part in sums)
    return Backpropagated(gradient[order], factorised, eprop, de_dz)


def _filtered_errors(error: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Derivative of the loss by the outputs, through all later outputs: ``dy(t) = E(t) + alpha_o dy(t + 1)``."""
    out = np.zeros((error.shape[0] + 1, error.shape[1]))
    for t in range(error.shape[0] - 1, -1, -1):
        out[t] = error[t] + alpha * out[t + 1]
    return out[:-1]


def _backward(network: TimeDriven, state: Activity, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the loss by the input of each target (steps, targets), and by the spikes of each neuron."""
    s, (n_steps, n) = network.synapses, state.v.shape
    decay, arrival, output, spike = network.eligibility_of_targets
    mu = np.zeros((arrival.shape[0], arrival.shape[1]))
    reach, de_dz = np.zeros((n_steps, arrival.shape[0])), np.zeros((n_steps, n))
    reach[:, n:] = dy * arrival[n:, 0]
    for t in range(n_steps - 1, -1, -1):
        de_dz[t] = _by_source(network, s, reach, t, n)
        own = (spike[:n] * mu[:n]).sum(axis=1)
        mu[:n] = np.einsum("jab,ja->jb", decay[:n], mu[:n]) + (state.psi[t] * (de_dz[t] + own))[:, None] * output[:n]
        reach[t, :n] = (arrival[:n] * mu[:n]).sum(axis=1)
    return reach, de_dz


def _by_source(network: TimeDriven, s: Synapses, reach: np.ndarray, t: int, n: int) -> np.ndarray:
    """What a spike emitted in step ``t`` does to the loss through its synapses, for each neuron."""
    at = t + s.delay
    within = at < reach.shape[0]
    through = np.where(within, network.weight * reach[np.minimum(at, reach.shape[0] - 1), s.target], 0.0)
    by_source = np.bincount(s.source, through, minlength=int(s.source.max(initial=0)) + 1)
    out = np.zeros(n)
    sources, neurons = network.sources_of_neurons
    known = sources < by_source.size
    out[neurons[known]] = by_source[sources[known]]
    return out


def _direct_derivative(network: TimeDriven, n_steps: int, n: int, dy: np.ndarray) -> np.ndarray:
    """The learning signals of e-prop, each summed over what it still does: ``sum_k B_jk zeta dy_k(t + latency)``."""
    latency, feedback = error_latencies(network.built), network.updates.feedback()
    scale = network.built.topology.readouts["zeta"]
    out = np.zeros((n_steps, n))
    for t in range(n_steps):
        at = t + latency
        then = np.take_along_axis(dy, np.minimum(at, n_steps - 1).T, 0).T
        out[t] = (np.where(at < n_steps, then, 0.0) * scale[:, None] * feedback).sum(axis=0)
    return out


def _sum_of_eligibilities(network: TimeDriven, state: Activity, signal: np.ndarray) -> np.ndarray:
    """``sum_t signal_j(t) e_ji(t)`` of every synapse onto a neuron."""
    s, total = network.synapses, np.zeros(network.synapses.source.size)
    onto_neurons = np.flatnonzero(~s.onto_readout)
    for e, of_neurons in zip(s.eligibilities(state.spikes, state.psi), signal, strict=True):
        total[onto_neurons] += of_neurons[s.target[onto_neurons]] * e[onto_neurons]
    return total
