"""What is tested for conformance. A new neuron model, rule or engine is one line here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import eprop as ep
from networks import (
    LEARNING,
    PROJECTIONS,
    SURROGATES,
    Case,
    case,
    neuron_pair,
    run_engine_plus,
    run_engine_samples,
    run_reference_plus,
    run_reference_samples,
    stimuli,
)

# Each model twice: for the engine, and for the time-driven reference. Threshold 0.8 mV above rest.
ALL_MODELS = {
    "LIF": neuron_pair(tau_m=12.0, v_th=0.8),
    "LIF, refractory": neuron_pair("exponential", tau_m=12.0, v_th=0.8, t_ref=3.0),
    "LIF, with a floor": neuron_pair("arctan", tau_m=5.0, v_th=0.8, v_min=-0.1),
    "LIF, away from 0": neuron_pair("fast_sigmoid", tau_m=40.0, v_th=-60.2, e_l=-61.0, i_e=0.01, c_m=2.0),
    "LIF, original rule": neuron_pair(original=True, tau_m=20.0, v_th=0.8, t_ref=2.0),
    "ALIF": neuron_pair(kind="ALIF", tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0),
    "ALIF, refractory": neuron_pair("arctan", kind="ALIF", tau_m=30.0, v_th=0.8, beta=0.4, tau_adapt=9.0, t_ref=3.0),
    "ALIF, original rule": neuron_pair(
        original=True, kind="ALIF", tau_m=20.0, v_th=0.8, beta=0.3, tau_adapt=200.0, t_ref=2.0
    ),
    "delta LIF": neuron_pair(kind="DeltaLIF", tau_m=12.0, v_th=0.8, v_reset=-0.1),
    "delta LIF, away from 0": neuron_pair(
        "fast_sigmoid", kind="DeltaLIF", tau_m=20.0, v_th=-60.2, e_l=-61.0, v_reset=-60.9, v_min=-61.2, i_e=0.01,
        t_ref=3.0, ref_input=True,
    ),
    "delta ALIF": neuron_pair(kind="DeltaALIF", tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0, t_ref=2.0),
    "delta ALIF, pausing": neuron_pair(
        "exponential", kind="DeltaALIF", tau_m=12.0, v_th=0.8, v_reset=0.3, beta=0.2, adaptation=0.9, tau_adapt=60.0,
        t_ref=2.0, pause_adaptation=True, ref_input=True,
    ),
}  # fmt: skip
MODELS = {name: pair for name, pair in ALL_MODELS.items() if type(pair[0]).__name__ in LEARNING}

RULES = {
    "e-prop": ep.EProp(optimizer=ep.GradientDescent(1e-2), c_reg=0.2),
    "e-prop, Adam": ep.EProp(optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.8, average_gradient=True),
    "e-prop+": ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), c_reg=0.05, cutoff=15.0),
    "e-prop+, two kappas": ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), kappa_reg=0.8, c_reg=0.05, cutoff=100.0),
    "e-prop+, Adam": ep.EPropPlus(optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=3.0),
    "e-prop+, two kappas, Adam": ep.EPropPlus(
        optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.9, kappa_reg=0.5, cutoff=15.0
    ),
}


@dataclass
class Outcome:
    """What an engine made of a case: outputs, and the weights at the end (dense, 0 where there is no synapse)."""

    y: np.ndarray
    weights: dict[str, np.ndarray]


class TimeDriven:
    """The reference: every trace of every synapse, every step."""

    def learn(self, c: Case) -> Outcome:
        if isinstance(c.rule, ep.EPropPlus):
            run = run_reference_plus(c)
            return Outcome(run.y, run.weights)
        samples, weights = run_reference_samples(c, stimuli(c, 4), 2)
        return Outcome(np.stack([sample.y for sample in samples]), weights[-1])


@dataclass
class EventDriven:
    """The engine, in so many partitions."""

    partitions: int

    def learn(self, c: Case) -> Outcome:
        if isinstance(c.rule, ep.EPropPlus):
            _, _, y, history = run_engine_plus(c, partitions=self.partitions)
            return Outcome(y, {name: self.dense(c, name, history[name][-1]) for name in PROJECTIONS})
        _, results, weights = run_engine_samples(c, stimuli(c, 4), 2, partitions=self.partitions)
        y = np.concatenate([result.y for result in results])[:, 1:]
        return Outcome(y, weights[-1])

    @staticmethod
    def dense(c: Case, name: str, weights: np.ndarray) -> np.ndarray:
        out = np.zeros(c.masks[name].shape)
        out[np.nonzero(c.masks[name])] = weights
        return out


ENGINES = {
    "time-driven": TimeDriven(),
    "event-driven": EventDriven(1),
    "event-driven, 2 partitions": EventDriven(2),
    "event-driven, 5 partitions": EventDriven(5),
}


def small(model: str, rule: ep.EProp | ep.EPropPlus, seed: int = 1, **changes) -> Case:
    """A small network of a model that learns by a rule."""
    options = {"steps": 40, "sizes": (4, 5, 2), "rate": 0.45, "symmetric": False, "closed": 5} | changes
    return case(seed, rule, pair=MODELS[model], **options)


__all__ = ["ALL_MODELS", "ENGINES", "MODELS", "RULES", "SURROGATES", "Outcome", "small"]
