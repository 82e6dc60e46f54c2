"""Into how many parts neurons are divided, and by which loop their time goes on."""

from __future__ import annotations

import pytest

import eprop as ep
from eprop.engine.ranks.parallelism import MANY_NEURONS
from eprop.parallel.threads import available_threads
from networks import small_network, two_threads

pytestmark = pytest.mark.tiny
SMALL = 30


def simulator(neurons: int, rule: ep.EProp | ep.EPropPlus | ep.Static, **options) -> ep.Simulator:
    inputs = {"connectivity": ep.FixedOutdegree(3), "weight": 0.1}
    net = small_network((2, neurons, 1), {"in->rec": inputs}, rule=rule, feedback=ep.RandomFeedback())
    return ep.Simulator(net, **options)


def parts(sim: ep.Simulator) -> int:
    return sim._arrays.built.topology.n_partitions


@two_threads
@pytest.mark.parametrize("rule", [ep.EPropPlus(), ep.Static()], ids=["e-prop+", "static"])
def test_threads_divide_many_neurons_or_when_they_are_asked_to(rule):
    available = available_threads()
    assert parts(simulator(SMALL, rule)) == 1
    assert parts(simulator(SMALL, rule, threads=2)) == 2
    assert parts(simulator(MANY_NEURONS, rule)) == available
    assert simulator(SMALL, rule).threads == available  # for samples side by side


@two_threads
@pytest.mark.parametrize("threads", [1, 2, None])
def test_threads_divide_the_samples_of_small_networks(threads):
    assert parts(simulator(SMALL, ep.EProp(), threads=threads)) == 1


@two_threads
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_divide_one_sample_of_a_large_network(threads):
    assert parts(simulator(MANY_NEURONS, ep.EProp(), threads=threads)) == threads
