"""How spikes of a step reach the synapses of a branch: in one order, whoever adds them, many at a time or one by one."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network, two_threads

pytestmark = pytest.mark.tiny


# They spike never, and their voltage is the input of the step. Synapses of the first are kept at the starts of blocks.
NEURONS = {
    "blocks": ep.LIF(tau_m=1e-3, v_th=1e30),
    "single steps": ep.ALIF(tau_m=1e-3, v_th=1e30, beta=0.1, tau_adapt=3.0),
}


def weights_that_tell(n: int) -> np.ndarray:
    """Of so different sizes that each order of addition gives another sum."""
    rng = np.random.default_rng(n)
    return rng.normal(size=n) * 10.0 ** rng.uniform(-6.0, 6.0, n)


RULES = {"e-prop+": ep.EPropPlus(ep.GradientDescent(0.0), c_reg=0.0, cutoff=12.0), "STDP": ep.STDP(rate=0.0, w_max=1e30),
         "static": ep.Static()}  # fmt: skip


@two_threads
@pytest.mark.threads
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize(("sources", "share"), [(3, 0.2), (40, 0.05), (40, 0.5), (2000, 0.6)])
def test_no_division_changes_the_order_of_spikes_in_a_step(sources, share, neuron, rule):
    """Few are sorted one by one, many by counting, very many by several threads; each order gives another sum."""
    steps, weight = 60, np.abs(weights_that_tell(sources))
    connections = {"in->rec": {"weight": np.tile(weight, (5, 1)), "delay": 2.0}, "rec->out": {"rule": RULES["e-prop+"]}}
    net = small_network((sources, 5, 1), connections, neuron=NEURONS[neuron], rule=RULES[rule], seed=1)
    net.feedback("out", "rec", ep.RandomFeedback())
    given = np.random.default_rng(sources).random((steps, sources)) < share * np.linspace(0.1, 1.0, sources)
    given[30:50] &= np.arange(sources) % 3 == 0  # silences longer than the cutoff
    arrive = np.vstack([np.zeros((2, sources)), given[:-2]]) @ weight
    found = []
    for threads, partitions in ((1, 1), (1, 3), (2, 2), (3, 5)):
        sim = ep.Simulator(net, threads=threads, partitions=partitions)
        found.append(sim.run(float(steps), {"in": given}, record=[("rec", "v")])["rec", "v"])
        assert_same(found[-1], found[0])
    np.testing.assert_allclose(found[0], np.tile(arrive[:, None], 5), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize(
    "rule",
    [
        ep.Static(),
        ep.STDP(rate=0.01, w_max=1.0),
        ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3), cutoff=8.0),
        ep.EPropPlus(optimizer=ep.Adam(eta=1e-3), kappa_reg=0.5, c_reg=0.0, cutoff=8.0),
    ],
    ids=["static", "STDP", "e-prop+", "e-prop+, Adam"],
)
@pytest.mark.parametrize("neurons", [1, 7, 8, 9, 15, 16, 17, 33])
def test_a_branch_of_any_length_does_what_its_synapses_do(neurons, rule, precision):
    """Many at a time, or, where each neuron is a partition, one by one; one branch has a target several times."""
    rng = np.random.default_rng(neurons)
    net = small_network((6, neurons, 2), {"in->rec": ep.Uniform(0.0, 0.6)}, neuron=ep.LIF(v_th=0.6), rule=rule, seed=1)
    net.connect("in", "rec", ep.FixedIndegree(9, multapses=True), weight=0.05, rule=rule, delay=2.0, name="again")
    if isinstance(rule, ep.EPropPlus):
        net.connect("rec", "out", weight=ep.Normal(0.0, 0.3), rule=rule)
        net.feedback("out", "rec", ep.RandomFeedback())
    given = rng.random((60, 6)) < [0.02, 0.1, 0.3, 0.3, 0.5, 0.9]
    states = []
    for partitions in (1, neurons):
        sim = ep.Simulator(net, threads=1, precision=precision, partitions=partitions)
        sim.run(60.0, {"in": given}, {"out": np.sin(np.arange(120.0)).reshape(60, 2)})
        states.append(sim.state())
    assert_same(states[1], states[0])
    assert isinstance(rule, ep.Static) or np.unique(states[0]["synapses/weight"]).size > 2 * neurons
