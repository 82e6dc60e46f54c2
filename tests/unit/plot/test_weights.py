"""Weights before and after, and the confusion matrix."""

from __future__ import annotations

import itertools
import pathlib
import warnings

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import eprop as ep
from eprop import plot
from eprop.tasks import nmnist
from eprop.training.pictures import paired


@pytest.mark.tiny
def test_weights_of_the_same_connections_are_paired() -> None:
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 3), net.add(ep.LIF(), 4, name="rec"), net.add(ep.Readout(), 2, name="out")
    net.connect(x, rec, weight=ep.Normal(0.0, 1.0), rule=ep.Static())
    net.connect(rec, out, weight=ep.Normal(0.0, 1.0), rule=ep.EProp())
    sims = [ep.Simulator(net, threads=1) for _ in range(2)]
    for p in sims[1].network.projections:
        if not isinstance(p.rule, ep.Static):
            sims[1].set_weights(p, 2.0 * sims[1].connections(p)[2])
    for sim, weights in zip(sims, paired(*(sim.connections("rec->out") for sim in sims)), strict=True):
        assert np.array_equal(weights, sim.connections("rec->out")[2])


@pytest.mark.tiny
def test_a_connection_that_one_of_two_networks_lacks_has_no_weight_there() -> None:
    sims = [ep.Simulator(nmnist(neurons=4, seed=seed).network, threads=1) for seed in (1, 2)]
    pairs = [{*zip(*sim.connections("in->rec")[:2], strict=True)} for sim in sims]
    found = paired(*(sim.connections("in->rec") for sim in sims))
    assert found[0].size == len(pairs[0] | pairs[1])
    for own, weights, sim in zip(pairs, found, sims, strict=True):
        assert np.count_nonzero(weights) == len(own)
        assert weights.sum() == pytest.approx(sim.connections("in->rec")[2].sum())


@pytest.mark.tiny
def test_weights_before_and_after(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    pairs = {name: tuple(rng.normal(size=(2, n))) for name, n in (("in->rec", 5000), ("rec->rec", 50), ("none", 0))}
    figure = plot.draw_weights(pairs)
    panels = [ax for ax in figure.axes if ax.get_title() in ("in → rec", "rec → rec", "none")]
    assert len(panels) == 3
    assert panels[0].get_ylabel() == "weight after (mV)"
    plot.save(figure, tmp_path / "weights.png")
    assert isinstance(plot.draw_weight_change(*pairs["rec->rec"]), Axes)
    given = Figure().add_subplot()
    assert plot.draw_weight_change(*pairs["rec->rec"], ax=given) is given


@pytest.mark.tiny
def test_weights_have_the_unit_of_their_projection() -> None:
    pair = (np.zeros(3), np.ones(3))
    figure = plot.draw_weights({"in->rec": pair, "rec->out": pair}, {"in->rec": "pA"})
    labels = {ax.get_title(): (ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes if "→" in ax.get_title()}
    assert labels["in → rec"] == ("weight before (pA)", "weight after (pA)")
    assert labels["rec → out"] == ("weight before (mV)", "weight after (mV)")


@pytest.mark.tiny
@pytest.mark.parametrize("many", [False, True])
def test_weights_that_are_not_finite_are_counted(many: bool, tmp_path: pathlib.Path) -> None:
    before = np.arange(5000.0 if many else 4.0)
    after = before.copy()
    after[:2] = np.nan, np.inf
    figure = plot.draw_weights({"a->b": (before, after), "c->d": (before[:2], after[:2])})
    texts = [ax.texts[0].get_text() for ax in figure.axes if ax.get_title()]
    assert texts[0].startswith(f"{before.size:,} weights, 2 not finite, sd ")
    assert texts[1] == "2 weights, 2 not finite"
    assert figure.axes[0].get_xlim()[1] == pytest.approx(1.05 * before[-1])
    plot.save(figure, tmp_path / "weights.png")


@pytest.mark.tiny
def test_weights_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(
        ep.errors.ParameterError, match=r"a->b: the numbers of weights before and after must be equal.* got 5 and 4"
    ):
        plot.draw_weights({"a->b": (np.zeros(5), np.zeros(4))})


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("matrix", "classes", "message"),
    [
        ([], None, r"a row and a column for each class, got shape \(0,\)"),
        ([[1, 2]], None, r"a row and a column for each class, got shape \(1, 2\)"),
        ([["a"]], None, "must be real numbers"),
        ([[1, 2], [3, 4]], ["a", "b", "c"], "classes must be 2 names, as many as the matrix has rows, got 3"),
    ],
)
def test_what_is_no_confusion_matrix(matrix: list, classes: list | None, message: str) -> None:
    with pytest.raises(ep.errors.ParameterError, match=message):
        plot.draw_confusion(matrix, classes)


@pytest.mark.tiny
@pytest.mark.parametrize("count", [1, 3, 4, 8, 12])
def test_many_projections_take_several_rows(count: int) -> None:
    rng = np.random.default_rng(0)
    figure = plot.draw_weights({f"a->{i}": tuple(rng.normal(size=(2, 12_000 if i == 1 else 9))) for i in range(count)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of Matplotlib, if panels collapse
        figure.draw_without_rendering()
    panels = [ax for ax in figure.axes if ax.get_title()]
    boxes = [ax.get_tightbbox() for ax in panels]
    assert len(panels) == count
    assert all(ax.get_window_extent().width > 100 for ax in panels)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.tiny
def test_a_confusion_matrix_shows_its_counts(tmp_path: pathlib.Path) -> None:
    ax = plot.draw_confusion([[9, 1], [0, 0]], ["cat", "dog"])
    assert sorted(text.get_text() for text in ax.texts) == ["1", "9"]
    assert ax.get_title() == "10.0 % of 10 samples wrong"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog"]
    plot.save(ax.figure, tmp_path / "confusion.png")
