"""e-prop (Bellec et al. 2020, Nat. Commun. 11:3625): the gradient of a sample, forward in time.

All states and traces are 0 at the start of a sample. With the eligibility ``e`` of each synapse, see `eprop.models.Eligibility`::

    e_bar(t) = kappa e_bar(t - 1) + (1 - kappa) e(t)
    g        = sum_t L(t) e_bar(t) + (c_reg / T + rate_reg) (f_mean - f_target) sum_t e(t)

and of a readout ``g = sum_t E_k(t) z_bar(t)``. ``L(t)`` has the errors that a spike of step ``t`` can have caused, see
`eprop.reference.feedback.Received`. ``f_mean`` is the mean rate in the ``T`` steps whose spikes can still cause an
error. Rates are in spikes per step.

NEST drops spikes that arrive at the first step of a sample, and a hidden synapse at which one arrives at the second
step misses the last error of the sample before. The equations here do neither; to compare, keep the first two steps of
the input silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eprop.network import Network, Population
from eprop.reference.feedback import Latency
from eprop.reference.forward import Activity, Forward
from eprop.reference.neurons import Array
from eprop.reference.synapses import Booleans, Layout
from eprop.rules import EProp


@dataclass(frozen=True)
class SampleConstants:
    """Constants of e-prop.

    Attributes
    ----------
    learns : (synapses,) bool
    kappa : (synapses,)
        Filter of the eligibility; 0 onto readouts.
    averaged : (synapses,) bool
        Whether the gradient is divided by the length of the learning window.
    gain : (synapses,)
        ``1 - kappa``; if ``kappa`` learns, of its first value.
    kappa_of_neurons, gain_of_neurons : (neurons,)
        The same filter, of the constants that learn.
    c_reg, rate_reg, f_target : (neurons,)
        Both forms of rate regularisation, and its target in spikes per step.
    """

    learns: Booleans
    kappa: Array
    gain: Array
    averaged: Booleans
    kappa_of_neurons: Array
    gain_of_neurons: Array
    c_reg: Array
    rate_reg: Array
    f_target: Array

    @classmethod
    def of(cls, network: Network, forward: Forward, first: SampleConstants | None = None) -> SampleConstants:
        """The constants of a network; ``first`` are those with the first values of constants that learn."""
        layout, synapses = forward.layout, forward.synapses
        learns, averaged = np.zeros((2, len(synapses)), bool)
        kappa, (of_neurons, c_reg, rate_reg, f_target) = np.zeros(len(synapses)), np.zeros((4, layout.n_neurons))
        for p in network.projections:
            if not isinstance(p.rule, EProp):
                continue
            part = synapses.parts[p.name]
            learns[part], averaged[part] = True, p.rule.average_gradient
            if p.post.model.role == "neuron":
                own = layout.targets[p.post.name]
                kappa[part] = _decay_of_readouts(network, forward, p.post) if p.rule.kappa is None else p.rule.kappa
                of_neurons[own] = kappa[part][0] if part.start < part.stop else 0.0
                if p.rule.c_reg is None:
                    rate_reg[own] = p.rule.rate_reg * 1000.0 / network.dt
                else:
                    c_reg[own] = p.rule.c_reg
                f_target[own] = p.rule.f_target * network.dt / 1000.0
        gains = (1.0 - kappa, 1.0 - of_neurons) if first is None else (first.gain, first.gain_of_neurons)
        return cls(learns, kappa, gains[0], averaged, of_neurons, gains[1], c_reg, rate_reg, f_target)

    def rate_terms(self, spikes: npt.ArrayLike, length: npt.ArrayLike) -> Array:
        """``(c_reg / T + rate_reg) (f_mean - f_target)`` of each neuron with its ``spikes`` in ``T = length`` steps."""
        steps = np.maximum(length, 1)
        return np.asarray((self.c_reg / steps + self.rate_reg) * (np.asarray(spikes) / steps - self.f_target))


def _decay_of_readouts(network: Network, forward: Forward, post: Population) -> float:
    """Decay of the outputs that send feedback to a population, or else of the first readouts."""
    senders = [f.pre.name for f in network.feedback_projections if f.post is post] or list(forward.readouts)
    return float(forward.readouts[senders[0]].alpha[0]) if senders else 0.0


def rates_of_steps(constants: SampleConstants, layout: Layout, latency: Latency, spikes: Booleans) -> Array:
    """Regularisation of rates in each step of a sample, (steps, neurons); 0 in steps whose spikes can cause no error."""
    of_neurons, length = spikes[:, layout.source_of_neuron], np.maximum(len(spikes) - latency.neurons, 0)
    counted = np.arange(len(spikes))[:, None] < length
    return counted * constants.rate_terms((of_neurons & counted).sum(axis=0), length)


def gradient_from_traces(
    forward: Forward, constants: SampleConstants, activity: Activity, received: Array, rates: Array
) -> Array:
    """Gradient ``sum_t L(t) e_bar(t) + rate(t) e(t)`` of each synapse, 0 where nothing learns.

    Parameters
    ----------
    forward : Forward
    constants : SampleConstants
    activity : Activity
        Since rest.
    received : (steps, neurons and readouts)
        Learning signals of neurons and errors of readouts.
    rates : (steps, neurons)
    """
    s, kappa, none = forward.synapses, constants.kappa, np.zeros(forward.layout.n_readouts)
    e_bar = g = np.zeros(len(s))
    for e, signal, rate in zip(s.eligibilities(activity.spikes, activity.psi), received, rates, strict=True):
        e_bar = kappa * e_bar + constants.gain * e
        g = g + (signal[s.target] * e_bar + np.append(rate, none)[s.target] * e)
    return np.where(constants.learns, g, 0.0)
