"""Figures of synapses that move."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.plot import draw_rewiring
from eprop.plot.moved_synapses import SynapseCounts
from eprop.training.pictures import paired

pytestmark = pytest.mark.tiny


def test_images_add_up_and_other_sources_are_sorted() -> None:
    before, after = np.arange(24), np.arange(24)[::-1]
    figure = draw_rewiring({"in->rec": SynapseCounts(before, after, (3, 4)), "rec->rec": SynapseCounts(before, after)})
    images = [ax.images[0].get_array() for ax in figure.axes if ax.images and ax.get_title()]
    np.testing.assert_array_equal(images[0], before.reshape(2, 3, 4).sum(axis=0))
    np.testing.assert_array_equal(images[1], after.reshape(2, 3, 4).sum(axis=0))
    lines = next(ax.lines for ax in figure.axes if ax.get_title() == "rec->rec")
    for line in lines:
        np.testing.assert_array_equal(line.get_ydata(), before[::-1])


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ep.errors.ParameterError, match="at least one projection"):
        draw_rewiring({})
    with pytest.raises(ep.errors.ParameterError, match="in->rec: 10 sources are no images of 3 x 4 pixels"):
        draw_rewiring({"in->rec": SynapseCounts(np.zeros(10), np.zeros(10), (3, 4))})


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
