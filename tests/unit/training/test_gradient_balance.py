"""The two parts of a gradient are those of the time-driven reference, and add up."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import stimuli_of, time_driven
from eprop.training import gradient_balance
from networks import small_network

pytestmark = pytest.mark.tiny


def network(rule: ep.EProp | ep.EPropPlus) -> ep.Network:
    connections = {"in->rec": ep.Normal(0.0, 0.8), "rec->rec": ep.Normal(0.0, 0.3), "rec->out": None}
    return small_network((8, 6, 2), connections, rule=rule, feedback=ep.RandomFeedback(), dt=1.0, seed=3)


def some(sim: ep.Simulator, n: int = 3) -> ep.engine.Samples:
    rng = np.random.default_rng(5)
    return sim.samples(n, 80, {"in": rng.random((n, 80, 8)) < 0.1}, {"out": rng.normal(size=(n, 80, 2))})


@pytest.mark.parametrize("average", [False, True])
def test_parts_of_e_prop_are_gradients_with_and_without_regularisation(average: bool) -> None:
    rule = ep.EProp(c_reg=3.0, average_gradient=average)
    sim = ep.Simulator(network(rule), threads=1)
    before = sim.state()
    found = gradient_balance(sim, some(sim))
    assert list(found) == ["in->rec", "rec->rec"]
    both = sim.gradients(some(sim))["rec->rec"]
    alone = ep.Simulator(network(rule.replace(c_reg=0.0)), threads=1).gradients(some(sim))["rec->rec"]
    assert found["rec->rec"].learning == pytest.approx(np.sqrt(np.mean(alone**2)), rel=1e-12)
    assert found["rec->rec"].regularising == pytest.approx(np.sqrt(np.mean((both - alone) ** 2)), rel=1e-9)
    assert found["rec->rec"].regularising > 0.0
    after = sim.state()
    assert_same(after, before)


def test_parts_of_e_prop_plus_are_those_of_the_reference() -> None:
    eta = 1e-9
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=eta), c_reg=0.5)
    sim = ep.Simulator(network(rule), threads=1)
    found = gradient_balance(sim, some(sim, 1))["in->rec"]
    parts = []
    for c_reg in (0.0, 0.5):
        slow = time_driven(network(rule.replace(c_reg=c_reg)))
        first = slow.weights_of("in->rec")
        slow.train(stimuli_of(slow.network, some(sim, 1)))
        parts.append((first - slow.weights_of("in->rec")) / eta)
    learning, regularising = parts[0], parts[1] - parts[0]
    assert found.learning == pytest.approx(np.sqrt(np.mean(learning**2)), rel=1e-4)
    assert found.regularising == pytest.approx(np.sqrt(np.mean(regularising**2)), rel=1e-4)
    cosine = learning @ regularising / np.linalg.norm(learning) / np.linalg.norm(regularising)
    assert found.cosine == pytest.approx(cosine, abs=1e-3)


def test_without_regularisation_there_is_no_second_part() -> None:
    sim = ep.Simulator(network(ep.EProp()), threads=1)
    found = gradient_balance(sim, some(sim))["in->rec"]
    assert (found.regularising, found.ratio) == (0.0, 0.0)
    assert str(found).startswith("learning ")


def test_a_network_that_does_not_learn_is_refused() -> None:
    net = ep.Network()
    net.add(ep.LIF(), 2, "rec")
    sim = ep.Simulator(net, threads=1)
    with pytest.raises(ep.errors.InputError, match="no projection onto neurons learns"):
        gradient_balance(sim, sim.samples(1, 10))
