"""Shortcuts for neurons that nobody teaches change no bit; models from elsewhere take no shortcut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same, differ
from networks import small_network, two_threads

pytestmark = pytest.mark.tiny
LIF = ep.LIF(tau_m=20.0, v_th=0.6, t_ref=2.0)


def network(first_rule: Any, rule: Any) -> ep.Network:
    """A first population that need not learn, and a second one that does."""
    net = ep.Network(seed=2)
    x, out = net.add(ep.EventSource(), 30, "in"), net.add(ep.Readout(tau_m=20.0), 3, "out")
    first, second = net.add(LIF, 37, "first"), net.add(LIF, 21, "second")
    net.connect(x, first, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=first_rule)
    net.connect(first, second, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=rule)
    net.connect(second, out, weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, second, ep.Symmetric())
    return net


def learned(simulator: ep.Simulator) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    given = {"in": rng.random((4, 40, 30)) < 0.2}, {"out": rng.normal(size=(4, 40, 3))}
    samples, before = simulator.samples(4, 40, *given), simulator.state()["synapses/weight"]
    for _ in range(2):
        result = simulator.train(samples)
    assert result.spikes.min() > 20
    state = simulator.state()
    assert differ(state["synapses/weight"], before)
    return {name: values for name, values in state.items() if name != "network"}


@two_threads
def test_neurons_that_nobody_teaches_change_no_bit():
    """Psi is kept for those that learn alone; with a learning rate of zero, it is kept for all."""
    rule, still = (ep.EProp(optimizer=ep.GradientDescent(eta=eta)) for eta in (0.01, 0.0))
    for threads in (1, 2):
        first, other = (ep.Simulator(network(each, rule), threads=threads) for each in (ep.Static(), still))
        assert_same(learned(first), learned(other))


class WithinRefractoryTime(ep.LIF):
    """It has none by its parameters, but begins in one."""

    def initial(self, dt, nodes, seed):
        return {"refractory": 4.0}


def test_models_from_elsewhere_take_no_shortcut():
    spikes = []
    for neuron in (ep.LIF(tau_m=1e-3), WithinRefractoryTime(tau_m=1e-3)):
        net = small_network((1, 1, 0), {"in->rec": 2.0}, neuron=neuron)
        spikes.append(ep.Simulator(net).run(8.0, {"in": np.ones((8, 1))}, spikes=["rec"]).spikes["rec"][0])
    assert spikes[0].tolist() == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert spikes[1].tolist() == [
        4.0,
        5.0,
        6.0,
        7.0,
        8.0,
    ]  # as if a spike had been emitted in the step before the first
