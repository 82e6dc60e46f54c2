"""Weights before and after, of connections that both networks have, or one of them."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.tasks import nmnist
from eprop.training.pictures import paired

pytestmark = pytest.mark.tiny


def test_a_connection_that_one_of_two_networks_lacks_has_no_weight_there() -> None:
    sims = [ep.Simulator(nmnist(neurons=4, seed=seed).network, threads=1) for seed in (1, 2)]
    pairs = [{*zip(*sim.connections("in->rec")[:2], strict=True)} for sim in sims]
    found = paired(*(sim.connections("in->rec") for sim in sims))
    assert found[0].size == len(pairs[0] | pairs[1])
    for own, weights, sim in zip(pairs, found, sims, strict=True):
        assert np.count_nonzero(weights) == len(own)
        assert weights.sum() == pytest.approx(sim.connections("in->rec")[2].sum())


def test_weights_of_moved_synapses_are_compared_with_zero() -> None:
    net = ep.Network(seed=1)
    x, rec, out = net.add(ep.EventSource(), 9, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 1, "out")
    moves = ep.Rewiring(every=1, grow="random")
    net.connect(x, rec, ep.FixedIndegree(3), weight=ep.Normal(1.0, 0.1), rule=ep.EProp(c_reg=1.0), rewiring=moves)
    net.connect(rec, out)
    before, after = (ep.Simulator(net, threads=1) for _ in range(2))
    after.train(after.samples(1, 5, {"in": np.ones((1, 5, 9))}, {"out": np.ones((1, 5, 1))}))
    old, new = paired(before.connections("in->rec"), after.connections("in->rec"))
    assert old.size == 9 + 3
    assert ((old == 0.0) | (new == 0.0)).sum() == 6
    np.testing.assert_array_equal(np.sort(old[old != 0.0]), np.sort(before.connections("in->rec")[2]))
