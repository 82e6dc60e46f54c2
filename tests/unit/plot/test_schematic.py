"""A schematic shows every part of any network."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import ArrowStyle, Circle, FancyArrowPatch, FancyBboxPatch

import eprop as ep
from eprop.errors import ParameterError
from eprop.plot import draw_network as draw

pytestmark = pytest.mark.tiny


def two_layers() -> ep.Network:
    """Excitatory and inhibitory neurons, a second layer, two readouts, feedback to both layers."""
    net = ep.Network(seed=1)
    x = net.add(ep.EventSource(), 20, "input")
    exc, inh = net.add(ep.LIF(), 80, "excitatory"), net.add(ep.ALIF(), 20, "inhibitory")
    top = net.add(ep.LIF(), 30, "second layer")
    out, other = net.add(ep.Readout(), 2, "out"), net.add(ep.Readout(), 1, "other")
    rule = ep.EPropPlus()
    net.connect(x, exc, weight=ep.Uniform(0.0, 0.2), rule=rule)
    net.connect(x, inh, ep.Bernoulli(0.1), weight=0.1)
    net.connect(exc, exc, ep.FixedIndegree(10), weight=0.1, rule=rule)
    net.connect(exc, inh, weight=0.1)
    net.connect(inh, exc, weight=-0.4)
    net.connect(exc, top, ep.FixedOutdegree(3), rule=ep.STDP())
    net.connect(top, out, rule=rule)
    net.connect(exc, other, rule=rule)
    net.feedback(out, top)
    net.feedback(out, exc, ep.RandomFeedback())
    return net


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


def test_boxes_do_not_overlap_and_lie_within_the_picture() -> None:
    ax = draw(two_layers())
    boxes = [p.get_bbox() for p in ax.patches if isinstance(p, FancyBboxPatch)]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])
        assert ax.get_xlim()[0] < one.x0 < one.x1 < ax.get_xlim()[1]
        assert ax.get_ylim()[0] < one.y0 < one.y1 < ax.get_ylim()[1]


def test_readouts_are_right_of_all_neurons_and_sources_left() -> None:
    net = two_layers()
    x = {
        p.name: patch.get_bbox().x0
        for p, patch in zip(
            net.populations, (p for p in draw(net).patches if isinstance(p, FancyBboxPatch)), strict=True
        )
    }
    assert x["input"] < x["excitatory"] == x["inhibitory"] < x["second layer"] < x["out"] == x["other"]


def test_inhibition_ends_in_a_dot() -> None:
    net = two_layers()
    ax = draw(net)
    assert len([p for p in ax.patches if isinstance(p, Circle)]) == 1
    arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)][: len(net.projections)]
    plain = [
        p.name for p, a in zip(net.projections, arrows, strict=True) if isinstance(a.get_arrowstyle(), ArrowStyle.Curve)
    ]
    assert plain == ["inhibitory->excitatory"]


def test_the_receptor_decides_whether_a_line_ends_in_a_dot() -> None:
    net = ep.Network()
    a, b = net.add(ep.LIF(), 2, "a"), net.add(ep.CurrentLIF(tau_syn_in=3.0), 1, "b")
    net.connect(a, b, weight=ep.Normal(1.0, 3.0), receptor="inhibitory")
    net.connect(a, b, weight=ep.Clipped(ep.Normal(), low=0.0), name="other")
    assert len([p for p in draw(net).patches if isinstance(p, Circle)]) == 1


def test_given_weights_and_a_network_of_one_population_are_drawn() -> None:
    net = ep.Network()
    a, b = net.add(ep.LIF(), 2, "a"), net.add(ep.LIF(), 1, "b")
    net.connect(a, b, weight=np.array([[-1.0, -0.5]]))
    assert len(draw(net).patches) == 4
    alone = ep.Network()
    alone.add(ep.LIF(), 2)
    assert len(draw(alone).patches) == 1


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ParameterError, match="has no population yet"):
        draw(ep.Network())
    with pytest.raises(ParameterError, match=r"give simulator\.network"):
        draw(ep.Simulator(two_layers(), threads=1))  # type: ignore[arg-type]
