"""What is tested for conformance. A new neuron model or pair rule is one line here."""

from __future__ import annotations

import eprop as ep
from networks import neuron_of
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

PAIR_RULES = {
    "STDP, additive": ep.STDP(rate=0.1, alpha=0.5, mu_plus=0.0, mu_minus=0.0, tau_plus=5.0, tau_minus=33.7, w_max=0.9),
    "STDP, multiplicative": ep.STDP(rate=0.1, alpha=1.05, tau_plus=16.8, tau_minus=33.7, w_max=0.9),
    "STDP, in between": ep.STDP(rate=0.1, mu_plus=0.4, mu_minus=0.7, tau_plus=5.0, tau_minus=33.7, w_max=0.9),
}


def receptor_of(model: str) -> str:
    """The receptor of all synapses onto neurons of a model with two."""
    return "inhibitory" if "inhibitory" in model else "excitatory"
