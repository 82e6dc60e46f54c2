"""Shortcuts for neurons that are alike or never refractory, and for those that nobody teaches, change no bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.engine.build.records import Role, Sharing
from eprop.models import inline

pytestmark = pytest.mark.tiny
EACH, SAME, SHORT = Sharing.each, Sharing.same, Sharing.shortcut
MODELS = {
    "LIF": ep.LIF(tau_m=20.0, v_th=0.6, t_ref=2.0),
    "LIF, the shortcut": ep.LIF(tau_m=20.0, v_th=0.6),
    "LIF, late": ep.LIF(tau_m=20.0, v_th=0.6, delayed_reset=True),
    "LIF, the other surrogate": ep.LIF(tau_m=20.0, v_th=0.6, surrogate=ep.Arctan()),
    "ALIF": ep.ALIF(tau_m=20.0, v_th=0.6, beta=0.1, tau_adapt=50.0),
    "DeltaLIF": ep.DeltaLIF(tau_m=20.0, v_th=0.6, t_ref=3.0, ref_input=True),
}


class WithinRefractoryTime(ep.LIF):
    """It has none by its parameters, but begins in one."""

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        return {"refractory": 3.0}


@inline
def integrate(state: Any, params: Any, j: Any, x: float) -> tuple[bool, float]:
    state[0, j] = params[0, j] * state[0, j] + x
    return state[0, j] > 1.0, 0.3


class OtherRows(ep.LIF):
    """A neuron of one's own that takes parameters from `LIF`, and nothing else."""

    state_rows, parameter_rows, update = ("v",), ("alpha",), staticmethod(integrate)


def network(model: Any, first_rule: Any, rule: Any, neurons: int = 37) -> ep.Network:
    """A first population that need not learn, and a second one that does."""
    net = ep.Network(seed=2)
    x = net.add(ep.EventSource(), 30, name="in")
    first = net.add(model, neurons, name="first")
    second = net.add(model, 21, name="second")
    out = net.add(ep.Readout(tau_m=20.0), 3, name="out")
    net.connect(x, first, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=first_rule)
    net.connect(first, second, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=rule)
    net.connect(second, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, second, ep.Symmetric())
    return net


def learned(simulator: ep.Simulator) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    inputs = (rng.random((4, 40, 30)) < 0.2).astype(float)
    samples = simulator.samples(4, 40, inputs={"in": inputs}, targets={"out": rng.normal(size=(4, 40, 3))})
    before = simulator.state()["synapses/weight"]
    simulator.train(samples)
    result = simulator.train(samples)
    if result.spikes is not None:
        assert result.spikes.min() > 20
    state = simulator.state()
    assert not np.array_equal(before, state["synapses/weight"])
    return state


EPROP, PLUS = ep.EProp(c_reg=1.0), ep.EPropPlus(c_reg=1.0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rule", [EPROP, PLUS], ids=["e-prop", "e-prop+"])
@pytest.mark.parametrize("model", MODELS)
def test_parameters_that_are_read_once_change_no_bit(model, rule, threads):
    net = network(MODELS[model], ep.Static(), rule)
    once, each = (ep.Simulator(net, threads=threads) for _ in range(2))
    table = each._arrays.built.topology.populations
    neurons = table["role"] == Role.neuron
    kind = SAME if model in ("LIF", "LIF, late", "DeltaLIF") else SHORT
    assert (table["sharing"][neurons] == kind).all()
    table["sharing"] = EACH
    assert_same(learned(once), learned(each))


def test_who_is_alike():
    """A population is, if each parameter is the same for all; one that has them drawn is not. Most are never refractory."""
    net = ep.Network()
    net.add(ep.LIF(tau_m=ep.Normal(20.0, 1.0)), 5)
    net.add(ep.LIF(tau_m=10.0), 4)
    net.add(ep.ALIF(tau_m=10.0, beta=[0.1, 0.1, 0.2]), 3)
    net.add(ep.ALIF(tau_m=10.0, beta=[0.1, 0.1, 0.1]), 3)
    net.add(ep.ALIF(tau_m=10.0, t_ref=2.0), 2)
    net.add(ep.LIF(t_ref=[0.0, 0.0, 2.0]), 3)
    net.add(WithinRefractoryTime(), 1)  # models from elsewhere take no shortcut
    net.add(OtherRows(), 1)
    kinds = [EACH, SHORT, EACH, SHORT, SAME, EACH, SAME, SAME]
    assert ep.Simulator(net)._arrays.built.topology.populations["sharing"].tolist() == kinds


@pytest.mark.parametrize("threads", [1, 2])
def test_neurons_that_nobody_teaches_change_no_bit(threads):
    """Psi is kept for those that learn alone; with a learning rate of zero, it is kept for all."""
    rule = ep.EProp(optimizer=ep.GradientDescent(eta=0.01))
    still = ep.EProp(optimizer=ep.GradientDescent(eta=0.0))
    states = [
        learned(ep.Simulator(network(MODELS["LIF"], first, rule), threads=threads)) for first in (ep.Static(), still)
    ]
    for state in states:
        del state["network"]
    assert_same(*states)
