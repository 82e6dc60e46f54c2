"""How synapses of e-prop+ are kept and done: at anchors between two spikes, and some at a time, in packs.

*Anchors.* Gradient descent puts the gradient that an anchor takes back into the weight; momentum without memory is the same rule,
but keeps it in an array of its own. The two differ where a gradient is settled, so the cutoff is longer than the run.

*Packs.* Rows of 18 synapses are two packs and two more; in ten partitions a row has two targets or fewer, and there is no pack.
Spikes are seldom enough for silences longer than the cutoff, so that rows begin, go on, are settled and come back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same, differ
from networks import PROJECTIONS, Case, all_kinds, case, neuron_of
from own_neurons import SynapticLIF

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
# Both add up the same numbers in another order, and learning carries the difference on.
TOLERANCE = 1e-11
STEPS = 330
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
    "own neuron, two filters": (SynapticLIF(tau_m=15.0, tau_s=4.0, v_th=0.8, height=0.4, width=0.7), None, None),
}
ANCHORED = ("LIF", "LIF, two kappas", "ALIF", "LIF, each its own", "own neuron, two filters")


def case_of(kind: str, optimizer: ep.rules.Optimizer, seed: int, cutoff: float, **options: Any) -> Case:
    neuron, kappa_reg, reward = KINDS[kind]
    rule = ep.EPropPlus(
        optimizer=optimizer, kappa=0.97, kappa_reg=kappa_reg, c_reg=0.05, f_target=20.0, cutoff=cutoff, reward=reward
    )
    return case(seed, rule, neuron=neuron, **options)


def simulator(kind: str, optimizer: ep.rules.Optimizer, **options: Any) -> tuple[Case, ep.Simulator]:
    """At anchors."""
    c = case_of(kind, optimizer, 7, 1000.0, steps=STEPS, rate=0.5)
    return c, ep.Simulator(c.network, threads=1, **options)


def part_of_run(c: Case, sim: ep.Simulator, first: int, stop: int, **options: Any) -> ep.engine.Recording:
    """The part ``first:stop`` of the stimulus."""
    inputs, targets = {"in": c.inputs[first:stop]}, {"out": c.targets[first:stop]}
    reward = None if c.reward is None else c.reward[first:stop]
    return sim.run(float(stop - first), inputs, targets, c.window[first:stop], reward=reward, **options)


def weights(sim) -> dict[str, np.ndarray]:
    return {name: sim.connections(name)[2] for name in PROJECTIONS.values()}


@all_kinds
@pytest.mark.parametrize("kind", ANCHORED)
def test_changes_between_spikes_give_the_weights_of_gradients_apart(kind):
    """Rates that change, runs without learning, weights that are set, a reset: the same weights as with gradients apart."""
    c, sim = simulator(kind, ep.GradientDescent(2e-3, w_min=-2.0, w_max=2.0))
    _, other = simulator(kind, ep.Momentum(2e-3, beta=0.0, w_min=-2.0, w_max=2.0))
    for first, stop, factor, change in (
        (0, 70, 1.0, None), (70, 120, 0.3, None), (120, 170, 0.3, "frozen"), (170, 230, 1.0, "set"), (230, 280, 1.0, "reset"),
        (280, STEPS, 1.0, None),
    ):  # fmt: skip
        before, shrunk = weights(sim), 0.9 * weights(other)["in->rec"]
        for each in (sim, other):
            if change == "set":
                each.set_weights("in->rec", shrunk)
            elif change == "reset":
                each.reset()
                assert_close(weights(each), before, TOLERANCE)
            each.scale_learning_rates(factor)
            part_of_run(c, each, first, stop, learn=change != "frozen")
        assert_close(weights(sim), weights(other), TOLERANCE)
        assert differ(weights(sim), before) == (change != "frozen")


# ------------------------------------------------------------------------------------------------------------------ packs

SIZES, SHORT = (16, 20, 2), 160


def packed(kind: str, seed: int, rate: float) -> Case:
    optimizer = ep.GradientDescent(3e-4, w_min=-2.0, w_max=2.0)
    return case_of(kind, optimizer, seed, 20.0, steps=SHORT, sizes=SIZES, rate=rate, density=0.9)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("kind", KINDS)
def test_packs_change_no_bit(kind, precision):
    c = packed(kind, 1, rate=0.05)
    sims = [ep.Simulator(c.network, threads=1, precision=precision, partitions=n) for n in (1, 10)]
    for first, stop in ((0, 100), (100, SHORT)):
        record = [("rec", "v"), *((p, "weight") for p in PROJECTIONS.values())]
        together, apart = (part_of_run(c, sim, first, stop, record=record) for sim in sims)
        assert_same({name: together[name] for name in record}, {name: apart[name] for name in record})
        for sim in sims:  # gradients that wait have another rate then
            sim.scale_learning_rates(0.5)
    states = [sim.state() for sim in sims]
    parts = [f"synapses/{name}" for name in ("weight", "trace", "trace_reg", "own")]
    assert_same(*({name: state[name] for name in parts} for state in states))
    before = ep.Simulator(c.network, threads=1, precision=precision).state()["synapses/weight"]
    assert (states[0]["synapses/weight"] != before).mean() > 0.3
