"""What is tested for conformance. A new neuron model, rule or engine is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import eprop as ep
from eprop.checks import time_driven
from networks import Case, case, matrices_of, neuron_of, samples_of, stimuli, weights_of
from own_neurons import Resonator, SynapticLIF

# Threshold 0.8 mV above rest.
MODELS: dict[str, ep.Neuron] = {
    "LIF": neuron_of(tau_m=12.0, v_th=0.8),
    "LIF, refractory": neuron_of("exponential", tau_m=12.0, v_th=0.8, t_ref=3.0),
    "LIF, with a floor": neuron_of("arctan", tau_m=5.0, v_th=0.8, v_min=-0.1),
    "LIF, away from 0": neuron_of("fast_sigmoid", tau_m=40.0, v_th=-60.2, e_l=-61.0, i_e=0.01, c_m=2.0),
    "LIF, original rule": neuron_of(original=True, tau_m=20.0, v_th=0.8, t_ref=2.0),
    "ALIF": neuron_of(kind="ALIF", tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0),
    "ALIF, refractory": neuron_of("arctan", kind="ALIF", tau_m=30.0, v_th=0.8, beta=0.4, tau_adapt=9.0, t_ref=3.0),
    "ALIF, original rule": neuron_of(
        original=True, kind="ALIF", tau_m=20.0, v_th=0.8, beta=0.3, tau_adapt=200.0, t_ref=2.0
    ),
    "delta LIF": neuron_of(kind="DeltaLIF", tau_m=12.0, v_th=0.8, v_reset=-0.1),
    "delta LIF, away from 0": neuron_of(
        "fast_sigmoid", kind="DeltaLIF", tau_m=20.0, v_th=-60.2, e_l=-61.0, v_reset=-60.9, v_min=-61.2, i_e=0.01,
        t_ref=3.0, ref_input=True,
    ),
    "delta ALIF": neuron_of(kind="DeltaALIF", tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0, t_ref=2.0),
    "delta ALIF, pausing": neuron_of(
        "exponential", kind="DeltaALIF", tau_m=12.0, v_th=0.8, v_reset=0.3, beta=0.2, adaptation=0.9, tau_adapt=60.0,
        t_ref=2.0, pause_adaptation=True, ref_input=True,
    ),
    "current LIF": neuron_of(kind="CurrentLIF", tau_m=12.0, tau_syn=4.0, v_th=0.8, c_m=3.0),
    "current LIF, away from 0": neuron_of(
        "fast_sigmoid", kind="CurrentLIF", tau_m=20.0, tau_syn=20.0, v_th=-60.2, e_l=-61.0, v_reset=-60.9, v_min=-61.2,
        i_e=0.01, c_m=12.0, t_ref=3.0,
    ),
    "current LIF, subtracting": neuron_of(
        "arctan", kind="CurrentLIF", tau_m=5.0, tau_syn=8.0, v_th=0.8, c_m=5.0, v_reset=None, t_ref=2.0
    ),
    "current ALIF": neuron_of(
        kind="CurrentALIF", tau_m=12.0, tau_syn=4.0, v_th=0.8, c_m=3.0, beta=0.2, tau_adapt=60.0, t_ref=2.0
    ),
    "current ALIF, subtracting": neuron_of(
        "exponential", kind="CurrentALIF", tau_m=30.0, tau_syn=3.0, v_th=0.8, c_m=2.0, beta=0.4, tau_adapt=9.0, v_reset=None
    ),
    "current LIF, each its own": ep.CurrentLIF(tau_m=ep.Uniform(8.0, 25.0), tau_syn=ep.Uniform(2.0, 9.0), c_m=3.0, v_th=0.8),
    "current ALIF, each its own": ep.CurrentALIF(
        tau_m=ep.Uniform(8.0, 25.0), tau_syn=ep.Uniform(2.0, 9.0), c_m=ep.Uniform(2.0, 4.0), v_th=0.8, beta=ep.Uniform(0.1, 0.3),
        tau_adapt=60.0, t_ref=ep.Uniform(0.0, 3.0),
    ),
    "current LIF, two receptors": neuron_of(
        "exponential", kind="CurrentLIF", tau_m=12.0, tau_syn=3.0, tau_syn_in=7.0, v_th=0.8, c_m=3.0, t_ref=2.0
    ),
    "current LIF, inhibitory receptor": neuron_of(
        kind="CurrentLIF", tau_m=12.0, tau_syn=2.0, tau_syn_in=4.0, v_th=0.8, c_m=3.0, v_reset=None
    ),
    "current ALIF, inhibitory receptor, each its own": ep.CurrentALIF(
        tau_m=ep.Uniform(8.0, 25.0), tau_syn=ep.Uniform(2.0, 9.0), tau_syn_in=ep.Uniform(2.0, 9.0), c_m=3.0, v_th=0.8,
        beta=ep.Uniform(0.1, 0.3), tau_adapt=60.0,
    ),
    "LIF, each its own": ep.LIF(tau_m=ep.Uniform(8.0, 25.0), v_th=0.8, t_ref=ep.Uniform(0.0, 3.0)),
    "own: synaptic current": SynapticLIF(tau_m=15.0, tau_s=4.0, v_th=0.8, height=0.4, width=0.7),
    "own: resonator": Resonator(),
}  # fmt: skip

RULES = {
    "e-prop": ep.EProp(optimizer=ep.GradientDescent(1e-2), c_reg=0.2),
    "e-prop, Adam": ep.EProp(optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.8, average_gradient=True),
    "e-prop, momentum": ep.EProp(optimizer=ep.Momentum(2e-3, beta=0.8), rate_reg=1e-5),
    "e-prop, RMSprop": ep.EProp(optimizer=ep.RMSprop(1e-2, epsilon=1e-2), kappa=0.8),
    "e-prop+": ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), rate_reg=1e-4, tau_reg=40.0, cutoff=15.0),
    "e-prop+, two kappas": ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), kappa_reg=0.8, c_reg=0.05, cutoff=100.0),
    "e-prop+, Adam": ep.EPropPlus(optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=3.0),
    "e-prop+, two kappas, Adam": ep.EPropPlus(
        optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.9, kappa_reg=0.5, c_reg=0.0, cutoff=15.0
    ),
    "e-prop+, momentum": ep.EPropPlus(optimizer=ep.Momentum(1e-3, nesterov=True), c_reg=0.05, cutoff=15.0),
    "e-prop+, momentum at each step": ep.EPropPlus(
        optimizer=ep.Momentum(5e-4, beta=0.8), rate_reg=1e-4, cutoff=15.0, each_step=True
    ),
    "e-prop+, Adam at each step": ep.EPropPlus(optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=15.0, each_step=True),
    "e-prop+, reward": ep.EPropPlus(
        optimizer=ep.GradientDescent(2e-3), rate_reg=1e-4, cutoff=15.0, reward=ep.RewardTrace(tau=30.0, cutoff=40.0)
    ),
    "e-prop+, RMSprop": ep.EPropPlus(optimizer=ep.RMSprop(1e-2, epsilon=1e-2), kappa_reg=0.5, c_reg=0.0, cutoff=15.0),
}

PAIR_RULES = {
    "STDP, additive": ep.STDP(rate=0.1, alpha=0.5, mu_plus=0.0, mu_minus=0.0, tau_plus=5.0, tau_minus=33.7, w_max=0.9),
    "STDP, multiplicative": ep.STDP(rate=0.1, alpha=1.05, tau_plus=16.8, tau_minus=33.7, w_max=0.9),
    "STDP, in between": ep.STDP(rate=0.1, mu_plus=0.4, mu_minus=0.7, tau_plus=5.0, tau_minus=33.7, w_max=0.9),
}


@dataclass
class Outcome:
    """What an engine made of a case.

    Attributes
    ----------
    y : outputs
    spikes : (steps, neurons), of e-prop+ time-driven only
    weights : at the end, dense, 0 where there is no synapse
    """

    y: np.ndarray
    weights: dict[str, np.ndarray]
    spikes: np.ndarray | None = None


def by_time(c: Case) -> Outcome:
    """The reference."""
    stepped = time_driven(c.network)
    if isinstance(c.rule, ep.EPropPlus):
        run = stepped.run(c.stimulus)
        return Outcome(run.y, matrices_of(stepped), run.spikes[:, c.inputs.shape[1] :])
    given = [c.stimulus_of(*sample) for sample in stimuli(c, 4)]
    runs = stepped.train(given[:2]) + stepped.train(given[2:])
    return Outcome(np.stack([run.y for run in runs]), matrices_of(stepped))


def by_events(c: Case) -> Outcome:
    """The engine."""
    sim = ep.Simulator(c.network, threads=1)
    if isinstance(c.rule, ep.EPropPlus):
        run = sim.run(len(c.inputs) * c.network.dt, {"in": c.inputs}, {"out": c.targets}, c.window, reward=c.reward)
        return Outcome(run.y["out"], weights_of(sim))
    given = stimuli(c, 4)
    y = [sim.train(samples_of(c, sim, given[first : first + 2])).y for first in (0, 2)]
    return Outcome(np.concatenate(y), weights_of(sim))


# An engine learns all of the case's stimulus in one run of e-prop+; of e-prop two batches of two samples.
ENGINES: dict[str, Callable[[Case], Outcome]] = {"time-driven": by_time, "event-driven": by_events}


def receptor_of(model: str) -> str:
    """The receptor of all synapses onto neurons of a model with two."""
    return "inhibitory" if "inhibitory" in model else "excitatory"


def small(model: str, rule: ep.EProp | ep.EPropPlus, seed: int = 1, **changes) -> Case:
    """A small network of a model that learns by a rule."""
    options = {"steps": 40, "sizes": (4, 5, 2), "rate": 0.45, "closed": 5, "receptor": receptor_of(model)}
    return case(seed, rule, neuron=MODELS[model], **options | changes)
