"""Samples side by side are judged each by itself, whatever shared their lanes; own models and rules are what they say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.checks import stimuli_of, time_driven
from eprop.models import Eligibility
from eprop.network import ConnectionRule
from eprop.parameters import param
from networks import small_network
from refusals import refuse

pytestmark = [
    pytest.mark.tiny,
    pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def network(rule: Any = None, neuron: Any = None) -> ep.Network:
    rule = rule or ep.EProp(optimizer=ep.GradientDescent(eta=1e-3))
    connections = {"in->rec": ep.Normal(0.5, 0.2), "rec->out": 0.1}
    return small_network((3, 4, 1), connections, neuron=neuron or ep.LIF(), rule=rule, feedback=ep.Symmetric(), seed=1)


def batch(sim: Any, n: int, silent: tuple[int, ...] = ()) -> ep.Samples:
    events = np.random.default_rng(0).random((n, 20, 3)) < 0.3
    events[list(silent)] = False
    return sim.samples(n, 20, {"in": events}, {"out": np.ones((n, 1, 1))})


@pytest.mark.parametrize("bad", [0, 1])
def test_a_sample_without_finite_voltages_is_named_wherever_it_is(bad: int) -> None:
    sim = ep.Simulator(network(), threads=1)
    sim.set_weights("in->rec", -1e308)
    with pytest.raises(ep.DivergenceError, match=f"sample {bad}"):
        sim.evaluate(batch(sim, 2, silent=(1 - bad,)))


def test_what_diverged_before_is_forgotten() -> None:
    sim, fresh = (ep.Simulator(network(), threads=1) for _ in range(2))
    good = sim.weights("in->rec")
    sim.set_weights("in->rec", -1e308)
    with pytest.raises(ep.DivergenceError):
        sim.evaluate(batch(sim, 3))
    sim.set_weights("in->rec", good)
    assert sim.evaluate(batch(sim, 1)) == fresh.evaluate(batch(fresh, 1))


@dataclasses.dataclass(frozen=True)
class OwnTrace(ep.LIF):
    """LIF whose synapses filter spikes with a time constant that `update` does not know."""

    tau_e: float = param(20.0, unit="ms", above=0.0, doc="of the eligibility")

    def eligibility(self, dt: float) -> Eligibility:
        """Filtered spikes."""
        return Eligibility.leaky(float(np.exp(-dt / self.tau_e)))


def test_eligibilities_may_differ_where_nothing_else_does() -> None:
    net = network(neuron=OwnTrace(tau_e=[3.0, 10.0, 40.0, 100.0]))
    sim, stepped = ep.Simulator(net, threads=1), time_driven(net)
    before, samples = stepped.weights_of("in->rec"), batch(sim, 1)
    sim.train(samples)
    stepped.train(stimuli_of(net, samples))
    found, wanted = sim.connections("in->rec")[2] - before, stepped.weights_of("in->rec") - before
    assert np.abs(wanted).max() > 1e-5
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-16)


@dataclasses.dataclass(frozen=True)
class Twice(ConnectionRule):
    """Each source reaches each target twice."""

    def expected(self, n_pre: int, n_post: int) -> float:
        """Number of connections."""
        return 2.0 * n_pre * n_post

    def make(self, lo: int, hi: int, n_pre: int, n_post: int, same: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """All sources, twice."""
        sources = np.tile(np.repeat(np.arange(n_pre, dtype=np.int32), 2), hi - lo)
        return np.arange(hi - lo + 1) * 2 * n_pre, sources


def test_feedback_does_not_follow_repeated_connections_of_an_own_rule() -> None:
    connections = {"rec->out": {"connectivity": Twice()}}
    net = small_network((0, 2, 1), connections, rule=ep.EPropPlus(), feedback=ep.Symmetric())
    with refuse("Symmetric feedback to 'rec' follows rec->out, which must have no multapses", ep.NetworkError):
        ep.Simulator(net, threads=1)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_stdp_at_a_bound_that_is_rounded_up(precision: str) -> None:
    net = small_network((1, 1, 0), {"in->rec": 0.1}, neuron=ep.LIF(v_th=0.05), rule=ep.STDP(mu_plus=0.4, w_max=0.1))
    sim = ep.Simulator(net, threads=1, precision=precision)
    sim.run(20.0, {"in": np.ones((20, 1))})
    assert sim.connections("in->rec")[2][0] == pytest.approx(0.0697, abs=1e-4)
