"""Copies of a simulator, and what comes back from a pickle: on their own, in the same state, with the same future."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import case, samples_of, small_network
from ranks_in_threads import on_ranks

pytestmark = pytest.mark.tiny

RULES = [ep.EPropPlus(optimizer=ep.GradientDescent(1e-2), cutoff=20.0), ep.EProp(optimizer=ep.Adam(1e-2))]


@pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
def test_a_simulator_that_has_run_on_goes_back_to_a_state():
    """What arrived in a step then must not be taken for what arrives in it now: rows are settled a cutoff after a spike."""
    c, cutoff = case(3, RULES[0], steps=40), round(RULES[0].cutoff)
    first, late, none = np.zeros((3, 40, 6), bool)
    first[np.arange(30, 36), np.arange(6)] = late[np.arange(30, 36) + cutoff - 40, np.arange(6)] = True
    sim, other = (ep.Simulator(c.network, threads=1) for _ in range(2))
    sim.train(samples_of(c, sim, [(first, c.targets)]))
    before = sim.state()
    sim.train(samples_of(c, sim, [(late, c.targets)]))
    for simulator in (sim, other):
        simulator.set_state(before)
        simulator.train(samples_of(c, simulator, [(none, c.targets)]))
    assert_same(other.state(), sim.state())


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_knows_the_parts_of_its_network(way):
    net = small_network((2, 3, 1), {"in->rec": 0.5, "rec->out": None}, feedback=ep.Symmetric(), seed=1)
    x, rec, out = net.populations
    projection = net.projection("in->rec")
    for other in (way(ep.Simulator(net, threads=1)), ep.Simulator(way(net), threads=1)):
        assert other.weights(projection).shape == (3, 2)
        assert other.feedback_weights(out, rec).shape == (3, 1)
        other.network.add(ep.LIF(), 2, "more")  # a network of its own
        assert len(net.populations) == 3
        assert other.run(5.0, {x: np.ones((5, 2))}, spikes=[rec]).spikes[rec][0].size > 0


def test_a_copy_has_the_same_options_and_several_ranks_have_none():
    c = case(3, RULES[0], steps=10)
    other = copy.copy(ep.Simulator(c.network, threads=1, precision="single", partitions=2, timers=True))
    assert other.precision == "single"
    assert len(other._arrays.built.topology.branch_start) == 2
    other.run(10.0, {"in": c.inputs})
    assert set(other.phases) >= {"propagators", "deliver", "advance", "readout"}
    assert sum(other.phases.values()) > 0.0

    def refused(comm):
        with pytest.raises(TypeError, match="a simulator of several ranks cannot be copied"):
            copy.copy(ep.Simulator(c.network, threads=1, comm=comm))

    on_ranks(2, refused)
