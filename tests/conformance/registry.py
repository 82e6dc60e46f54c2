"""What is tested for conformance. A new neuron model, rule or engine is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import eprop as ep
from eprop import reference
from networks import SURROGATES, Case, case, neuron_pair, samples_of, stimuli, weights_of
from own_neurons import CurrentLIF, Resonator


def built_in(*surrogate: str, **parameters: Any) -> ep.Neuron:
    """A neuron of the package; some tests compare it with its twin in the reference."""
    return neuron_pair(*surrogate, **parameters)[0]


# Threshold 0.8 mV above rest.
MODELS: dict[str, ep.Neuron] = {
    "LIF": built_in(tau_m=12.0, v_th=0.8),
    "LIF, refractory": built_in("exponential", tau_m=12.0, v_th=0.8, t_ref=3.0),
    "LIF, with a floor": built_in("arctan", tau_m=5.0, v_th=0.8, v_min=-0.1),
    "LIF, away from 0": built_in("fast_sigmoid", tau_m=40.0, v_th=-60.2, e_l=-61.0, i_e=0.01, c_m=2.0),
    "LIF, original rule": built_in(original=True, tau_m=20.0, v_th=0.8, t_ref=2.0),
    "ALIF": built_in(kind="ALIF", tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0),
    "ALIF, refractory": built_in("arctan", kind="ALIF", tau_m=30.0, v_th=0.8, beta=0.4, tau_adapt=9.0, t_ref=3.0),
    "ALIF, original rule": built_in(
        original=True, kind="ALIF", tau_m=20.0, v_th=0.8, beta=0.3, tau_adapt=200.0, t_ref=2.0
    ),
    "delta LIF": built_in(kind="DeltaLIF", tau_m=12.0, v_th=0.8, v_reset=-0.1),
    "delta LIF, away from 0": built_in(
        "fast_sigmoid", kind="DeltaLIF", tau_m=20.0, v_th=-60.2, e_l=-61.0, v_reset=-60.9, v_min=-61.2, i_e=0.01,
        t_ref=3.0, ref_input=True,
    ),
    "delta ALIF": built_in(kind="DeltaALIF", tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0, t_ref=2.0),
    "delta ALIF, pausing": built_in(
        "exponential", kind="DeltaALIF", tau_m=12.0, v_th=0.8, v_reset=0.3, beta=0.2, adaptation=0.9, tau_adapt=60.0,
        t_ref=2.0, pause_adaptation=True, ref_input=True,
    ),
    "LIF, each its own": ep.LIF(tau_m=ep.Uniform(8.0, 25.0), v_th=0.8, t_ref=ep.Uniform(0.0, 3.0)),
    "own: synaptic current": CurrentLIF(tau_m=15.0, tau_s=4.0, v_th=0.8, height=0.4, width=0.7),
    "own: resonator": Resonator(),
}  # fmt: skip

RULES = {
    "e-prop": ep.EProp(optimizer=ep.GradientDescent(1e-2), c_reg=0.2),
    "e-prop, Adam": ep.EProp(optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.8, average_gradient=True),
    "e-prop, momentum": ep.EProp(optimizer=ep.Momentum(2e-3, beta=0.8), c_reg=0.2),
    "e-prop, RMSprop": ep.EProp(optimizer=ep.RMSprop(1e-2, epsilon=1e-2), kappa=0.8),
    "e-prop+": ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), c_reg=0.05, cutoff=15.0),
    "e-prop+, two kappas": ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), kappa_reg=0.8, c_reg=0.05, cutoff=100.0),
    "e-prop+, Adam": ep.EPropPlus(optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=3.0),
    "e-prop+, two kappas, Adam": ep.EPropPlus(
        optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.9, kappa_reg=0.5, cutoff=15.0
    ),
    "e-prop+, momentum": ep.EPropPlus(optimizer=ep.Momentum(1e-3, nesterov=True), c_reg=0.05, cutoff=15.0),
    "e-prop+, Adam at each step": ep.EPropPlus(optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=15.0, each_step=True),
    "e-prop+, reward": ep.EPropPlus(
        optimizer=ep.GradientDescent(2e-3), c_reg=0.05, cutoff=15.0, reward=ep.RewardTrace(tau=30.0, cutoff=40.0)
    ),
    "e-prop+, RMSprop": ep.EPropPlus(optimizer=ep.RMSprop(1e-2, epsilon=1e-2), kappa_reg=0.5, cutoff=15.0),
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


@dataclass
class Engine:
    """Something that runs and trains a network: `make` builds it."""

    make: Callable[[ep.Network], Any]

    def learn(self, c: Case) -> Outcome:
        """All of the case's stimulus in one run of e-prop+; of e-prop two batches of two samples."""
        sim = self.make(c.network)
        if isinstance(c.rule, ep.EPropPlus):
            run = sim.run(len(c.inputs) * c.network.dt, {"in": c.inputs}, {"out": c.targets}, c.window, reward=c.reward)
            stepped = isinstance(run, reference.TimeDrivenRun)
            y = run.y if stepped else run.y["out"]
            return Outcome(y, weights_of(sim), run.spikes[:, c.inputs.shape[1] :] if stepped else None)
        given = stimuli(c, 4)
        y = [sim.train(samples_of(c, sim, given[first : first + 2])).y for first in (0, 2)]
        return Outcome(np.concatenate(y), weights_of(sim))


def event_driven(partitions: int) -> Engine:
    return Engine(lambda net: ep.Simulator(net, threads=1, partitions=partitions))


ENGINES = {
    "time-driven": Engine(reference.TimeDriven),
    "event-driven": event_driven(1),
    "event-driven, 2 partitions": event_driven(2),
    "event-driven, 5 partitions": event_driven(5),
}


def small(model: str, rule: ep.EProp | ep.EPropPlus, seed: int = 1, **changes) -> Case:
    """A small network of a model that learns by a rule."""
    options = {"steps": 40, "sizes": (4, 5, 2), "rate": 0.45, "symmetric": False, "closed": 5} | changes
    return case(seed, rule, pair=(MODELS[model], None), **options)


__all__ = ["ENGINES", "MODELS", "RULES", "SURROGATES", "Outcome", "small"]
