"""Synapses that are done some at a time: the bits of those done one by one, and the numbers of the time-driven reference.

Rows of 18 synapses are two packs and two more; in ten partitions a row has two targets or fewer, and there is no pack. Spikes
are seldom enough for silences longer than the cutoff, so that rows begin, go on, are settled and come back.
"""

from __future__ import annotations

import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import time_driven
from networks import PROJECTIONS, case, check_run, neuron_of
from own_neurons import SynapticLIF

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
SIZES, STEPS = (16, 20, 2), 160
ALIF = neuron_of(kind="ALIF", tau_m=12.0, v_th=0.8, beta=0.3, tau_adapt=40.0)
WAITS = ep.RewardTrace(tau=50.0, cutoff=45.0)
# Neurons, kappa of rate regularisation, what waits for reward.
KINDS = {
    "LIF": (None, None, None),
    "LIF, two kappas": (None, 0.9, None),
    "LIF, reward": (None, None, WAITS),
    "ALIF, two kappas, reward": (ALIF, 0.9, WAITS),
    "ALIF": (ALIF, None, None),
    "ALIF, two kappas": (ALIF, 0.9, None),
    "LIF, each its own": (ep.LIF(tau_m=ep.Uniform(8.0, 25.0), v_th=0.8), None, None),
    "own neuron, two filters": (
        SynapticLIF(tau_m=15.0, tau_s=4.0, v_th=0.8, height=0.4, width=0.7),
        None,
        None,
    ),
}


def network(kind: str, seed: int, rate: float):
    neuron, kappa_reg, reward = KINDS[kind]
    rule = ep.EPropPlus(
        optimizer=ep.GradientDescent(3e-4, w_min=-2.0, w_max=2.0), kappa=0.97, kappa_reg=kappa_reg, c_reg=0.05,
        f_target=20.0, cutoff=20.0, reward=reward,
    )  # fmt: skip
    return case(seed, rule, steps=STEPS, sizes=SIZES, rate=rate, density=0.9, neuron=neuron)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("kind", KINDS)
def test_packs_change_no_bit(kind, precision):
    c = network(kind, 1, rate=0.05)
    sims = [ep.Simulator(c.network, threads=1, precision=precision, partitions=n) for n in (1, 10)]
    for first, stop in ((0, 100), (100, STEPS)):
        stimulus = {"in": c.inputs[first:stop]}, {"out": c.targets[first:stop]}, c.window[first:stop]
        reward = None if c.reward is None else c.reward[first:stop]
        record = [("rec", "v"), *((p, "weight") for p in PROJECTIONS.values())]
        together, apart = (sim.run(float(stop - first), *stimulus, record=record, reward=reward) for sim in sims)
        assert_same({name: together[name] for name in record}, {name: apart[name] for name in record})
        for sim in sims:  # gradients that wait have another rate then
            sim.scale_learning_rates(0.5)
    states = [sim.state() for sim in sims]
    parts = [f"synapses/{name}" for name in ("weight", "trace", "trace_reg", "own")]
    assert_same(*({name: state[name] for name in parts} for state in states))
    before = ep.Simulator(c.network, threads=1, precision=precision).state()["synapses/weight"]
    assert (states[0]["synapses/weight"] != before).mean() > 0.3


@pytest.mark.parametrize("rate", [0.02, 0.1])
@pytest.mark.parametrize("kind", list(KINDS)[:6])
def test_packs_equal_time_driven(kind, rate):
    c = network(kind, 3, rate)
    stepped = time_driven(c.network)
    wanted = stepped.run(c.stimulus, record_weights=True)
    assert wanted.spikes[:, : c.inputs.shape[1]].any()
    assert wanted.spikes[:, c.inputs.shape[1] :].any()
    check_run(stepped, wanted, c.stimulus)
