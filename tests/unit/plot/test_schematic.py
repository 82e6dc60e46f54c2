"""A schematic shows every part of any network."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.patches import ArrowStyle, Circle, FancyArrowPatch, FancyBboxPatch

import eprop as ep
from drawn import two_layers
from eprop.plot import draw_network as draw

pytestmark = pytest.mark.tiny


def test_every_population_projection_and_feedback_is_drawn() -> None:
    net = two_layers()
    ax = draw(net)
    boxes = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert len(boxes) == len(net.populations)
    assert len(arrows) == len(net.projections) + len(net.feedback_projections)
    texts = [text.get_text() for text in ax.texts]
    for p in net.populations:
        assert p.name in texts
        assert f"{p.size} {type(p.model).__name__}" in texts
    for words in ("10 per target", "3 per source", "p = 0.1"):
        assert words in texts
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "feedback of errors (symmetric, random)" in entries
    assert {"EPropPlus synapses", "Static synapses", "STDP synapses"} <= set(entries)


def test_boxes_stand_in_order_within_the_picture_and_do_not_overlap() -> None:
    net = two_layers()
    ax = draw(net)
    boxes = [patch.get_bbox() for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    for box in boxes:
        assert ax.get_xlim()[0] < box.x0 < box.x1 < ax.get_xlim()[1]
        assert ax.get_ylim()[0] < box.y0 < box.y1 < ax.get_ylim()[1]
    x = {p.name: box.x0 for p, box in zip(net.populations, boxes, strict=True)}
    assert x["input"] < x["excitatory"] == x["inhibitory"] < x["second layer"] < x["out"] == x["other"]


def test_inhibition_ends_in_a_dot() -> None:
    """By the sign of all weights of a projection, or by its receptor."""
    net = two_layers()
    arrows = [p for p in draw(net).patches if isinstance(p, FancyArrowPatch)][: len(net.projections)]
    plain = [isinstance(arrow.get_arrowstyle(), ArrowStyle.Curve) for arrow in arrows]
    assert [p.name for p, dot in zip(net.projections, plain, strict=True) if dot] == ["inhibitory->excitatory"]
    other = ep.Network()
    a, b = other.add(ep.LIF(), 2, "a"), other.add(ep.CurrentLIF(tau_syn_in=3.0), 1, "b")
    other.connect(a, b, weight=ep.Normal(1.0, 3.0), receptor="inhibitory")
    other.connect(a, b, weight=ep.Clipped(ep.Normal(), low=0.0), name="other")
    other.connect(b, a, weight=np.array([[-1.0], [-0.5]]))
    alone = ep.Network()
    alone.add(ep.LIF(), 2)
    dots = [[p for p in draw(each).patches if isinstance(p, Circle)] for each in (net, other, alone)]
    assert [len(found) for found in dots] == [1, 2, 0]
