"""Every picture in one table: limits are finite, axes have labels, nothing covers anything; what is no picture is refused."""

from __future__ import annotations

import itertools
import pathlib
import warnings
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

import eprop as ep
from drawn import constants, ended, line_of, lines, moved, spikes, ten_steps, times, two_layers
from eprop import plot
from eprop.data.audio import Cochlea, MelSpikes
from eprop.encoders import DeltaCode, RateCode
from eprop.errors import InputError, OutputError, ParameterError
from eprop.plot.charts import draw_points
from eprop.plot.moved_synapses import SynapseCounts
from refusals import refusals

pytestmark = pytest.mark.tiny

RNG = np.random.default_rng(0)
TONE = 0.1 * np.sin(2.0 * np.pi * 500.0 * np.arange(1600) / 8000)
TESTED = {"test_error": 0.02, "test_error_sigma": 0.005, "samples_learned": 300, "train_samples": 100, "epochs": 3}
BAD = np.where(np.arange(5000) < 2, np.nan, np.arange(5000.0))
TRIALS = [(times(factor, lines()), ended(factor)) for factor in (0.1, 0.9)]
RETURNS = [line_of(10 * k, **{"return": None if k % 3 else 2.0 * k, "rate": 5.0}) for k in range(1, 12)]
LAST = {"mean_return": 30.0, "std_return": 4.0, "environment_steps": 110}
NONE = {"validation_error": None, "validation_loss": None}


def weights(count: int) -> Figure:
    return plot.draw_weights({f"a->{i}": tuple(RNG.normal(size=(2, 12_000 if i == 1 else 9))) for i in range(count)})


def axes(draw: Callable[[Axes], object]) -> Figure:
    """A figure of a small chart."""
    figure = Figure(figsize=(1.5, 2.2), layout="constrained")
    draw(figure.add_subplot())
    figure.axes[0].set(xlabel="x", ylabel="y")
    return figure


BARS = {"one": np.array([23.0, 49.0]), "two": np.array([23.0, 49.0]), "three": np.array([8.5, 11.5])}
PICTURES: dict[str, Callable[[], Figure]] = {
    "activity": lambda: plot.draw_activity(ten_steps(2, scale=5.0), ten_steps(2)),
    "activity, softmax": lambda: plot.draw_activity(*[ten_steps(3, True, "cat")] * 2),
    "pattern": lambda: plot.draw_pattern(ten_steps(2, scale=5.0), ten_steps(2)),
    "bars": lambda: axes(lambda ax: plot.draw_bars(ax, BARS, {"one": 18.31, "two": 0.99, "three": 2.14}, "rgb", digits=2)),
    "bars below zero": lambda: axes(lambda ax: plot.draw_bars(ax, {"a": -BARS["three"]}, {"a": 0.5}, ["k"])),
    "points": lambda: axes(lambda ax: draw_points(ax, BARS["one"], 8.0, "C0")),
    "constants": lambda: plot.draw_constants(constants(), {"rec.tau_adapt": "ms", "rec.v_th": "mV"}),
    "equal constants": lambda: plot.draw_constants({"out.i_e": (np.zeros(3), np.zeros(3))}, {"out.i_e": "pA"}),
    "encoding": lambda: plot.draw_encoding(DeltaCode(), 5.0 + np.sin(np.linspace(0.0, 6.0, 40)), n_steps=10, dt=1.0),
    "learning curve": lambda: plot.draw_learning_curve(lines(), TESTED),
    "learning curve, steep": lambda: plot.draw_learning_curve(lines(), TESTED | {"test_error": 0.9, "test_error_sigma": 0.1}),
    "learning curve, e-prop+": lambda: plot.draw_learning_curve(lines("eprop+"), TESTED),
    "learning curve, one report": lambda: plot.draw_learning_curve(lines(n=1)),
    "learning curve, no error": lambda: plot.draw_learning_curve([line_of(5, error=0.0, loss=0.0)]),
    "learning curve, no report": lambda: plot.draw_learning_curve([]),
    "trials": lambda: plot.draw_trials(TRIALS, unit="nats"),
    "trials, alike": lambda: plot.draw_trials([(lines(), ended(0.945)), (lines(), ended(0.955))], unit="nats"),
    "trials, one report": lambda: plot.draw_trials([(lines(n=1), ended(0.0))] * 2),
    "trials, losses alone": lambda: plot.draw_trials([([{**x, **NONE} for x in lines("eprop+")], end) for _, end in TRIALS]),
    "returns": lambda: plot.draw_returns(RETURNS, LAST, "points"),
    "returns of trials": lambda: plot.draw_returns_of_trials([(RETURNS, LAST), (RETURNS[:7], {})], "points"),
    "rewiring": lambda: plot.draw_rewiring(moved()),
    "network": lambda: plot.draw_network(two_layers()).figure,
    "cochleagram": lambda: plot.cochleagram(Cochlea(places=20), TONE, 8000, seed=2, title="a tone"),
    "mel spikes": lambda: plot.cochleagram(MelSpikes(bands=10), TONE, 8000, seed=2),
    "spikes": lambda: plot.draw_spikes(*spikes(), duration=10.0),
    **{f"weights of {count}": lambda count=count: weights(count) for count in (1, 3, 4, 8, 12)},
    "weights, not finite": lambda: plot.draw_weights({"a->b": (np.arange(5000.0), BAD), "c->d": (BAD[:2], BAD[:2])}),
    "confusion": lambda: plot.draw_confusion([[9, 1], [0, 0]], ["cat", "dog"]).figure,
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_has_limits_and_labels_and_nothing_covers_anything(name: str) -> None:
    figure = PICTURES[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of Matplotlib, if panels collapse
        figure.draw_without_rendering()
    for ax in (ax for ax in figure.axes if ax.axison):
        assert np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all()
        beside = [other for other in figure.axes if ax.get_shared_y_axes().joined(ax, other)]
        assert any(each.get_xlabel() or each.get_ylabel() or each.get_title() for each in (ax, *beside))
    titles = [text for text in (*(ax.title for ax in figure.axes), figure._suptitle) if text and text.get_text()]
    legends = [legend for ax in figure.axes if (legend := ax.get_legend())] + figure.legends
    boxes = [each.get_window_extent() for each in (*titles, *legends)]
    assert all(box.x0 >= -1.0 and box.x1 <= figure.bbox.x1 + 1.0 for box in boxes)
    panels = [ax.get_window_extent() for ax in figure.axes]
    outside = [box for box in boxes if not any(_within(box, panel) for panel in panels)]
    assert not [pair for pair in itertools.combinations([*panels, *outside], 2) if _overlap(*pair)]


def _within(box: Bbox, panel: Bbox) -> bool:
    """A legend may lie in its panel, where Matplotlib looks for a free place."""
    return panel.x0 <= box.x0 < box.x1 <= panel.x1 and panel.y0 <= box.y0 < box.y1 <= panel.y1


def _overlap(a: Bbox, b: Bbox) -> bool:
    """More than the edges of two boxes touch."""
    return a.overlaps(b) and (min(a.x1, b.x1) - max(a.x0, b.x0)) * (min(a.y1, b.y1) - max(a.y0, b.y0)) > 1.0


@refusals(
    (lambda folder: plot.draw_constants({}), ParameterError, "at least one constant"),
    (lambda folder: plot.draw_rewiring({}), ParameterError, "at least one projection"),
    (lambda folder: plot.draw_rewiring({"in->rec": SynapseCounts(np.zeros(10), np.zeros(10), (3, 4))}), ParameterError,
     "in->rec: 10 sources are no images of 3 x 4 pixels"),
    (lambda folder: plot.draw_network(ep.Network()), ParameterError, "has no population yet"),
    (lambda folder: plot.draw_network(ep.Simulator(two_layers(), threads=1)), ParameterError, r"give simulator\.network"),
    (lambda folder: plot.raster(spikes()[0], {"e": 10}), InputError, "no size of i"),
    (lambda folder: plot.raster(*spikes(), share=0.0), InputError, r"share must be in \(0, 1\]"),
    (lambda folder: plot.rates(*spikes(), reference=[1.0]), InputError, "reference must have 2 rates"),
    (lambda folder: plot.draw_weights({"a->b": (np.zeros(5), np.zeros(4))}), ParameterError, "a->b: .* got 5 and 4"),
    (lambda folder: plot.draw_confusion([]), ParameterError, r"got shape \(0,\)"),
    (lambda folder: plot.draw_confusion([[1, 2]]), ParameterError, r"got shape \(1, 2\)"),
    (lambda folder: plot.draw_confusion([["a"]]), ParameterError, "must be real numbers"),
    (lambda folder: plot.draw_confusion([[1, 2], [3, 4]], ["a", "b", "c"]), ParameterError, "classes must be 2 names.* got 3"),
    (lambda folder: plot.draw_returns_of_trials([([], {})]), ParameterError, "none of 1 trials has reported a return"),
    (lambda folder: plot.draw_trials([([], {}), ([], {})]), ParameterError, "none of 2 trials has reported anything"),
    *((lambda folder, wrong=wrong: plot.draw_activity(*[ten_steps(1)] * 2, neuron=wrong), ParameterError,
       f"neuron must be a whole number from -2 to 1; got {wrong}") for wrong in (2, -3, 0.5, True)),
    (lambda folder: plot.save(Figure(), folder / "none" / "a.png"), OutputError, r"a.png: cannot be written"),
)  # fmt: skip
def test_what_is_no_picture_is_refused(refusal, tmp_path: pathlib.Path) -> None:
    refusal.check(tmp_path)


def test_the_users_settings_are_left_alone_and_do_not_count(tmp_path: pathlib.Path) -> None:
    """Such as a matplotlibrc of the working folder, which may ask for LaTeX."""
    import matplotlib.pyplot as plt

    def drawn(name: str) -> bytes:
        return plot.save(plot.draw_spikes(*spikes(), duration=10.0), tmp_path / name).read_bytes()

    plain = drawn("plain.png")
    with mpl.rc_context({"text.usetex": True, "lines.linewidth": 9.0, "savefig.facecolor": "red"}):
        before, backend, figures = dict(mpl.rcParams), mpl.get_backend(), plt.get_fignums()
        assert drawn("same.png") == plain
        assert (dict(mpl.rcParams), mpl.get_backend(), plt.get_fignums()) == (before, backend, figures)


# ----------------------------------------------------------------------------------------------- what small pictures show


def test_each_constant_has_a_panel_with_its_values() -> None:
    by_log, linear = PICTURES["constants"]().axes
    assert (by_log.get_xlabel(), by_log.get_xscale()) == ("rec.tau_adapt (ms)", "log")
    assert (linear.get_xlabel(), linear.get_xscale()) == ("rec.v_th (mV)", "linear")
    assert sum(bar.get_height() for bar in by_log.containers[0]) == 40


@pytest.mark.parametrize("code", [RateCode(rate=400.0), DeltaCode()])
def test_an_encoding_shows_value_decoded_value_and_spikes(code: RateCode | DeltaCode) -> None:
    curve = 5.0 + np.sin(np.linspace(0.0, 6.0, 40))
    fitted = code.fit(curve) if isinstance(code, RateCode) else code
    above, below = plot.draw_encoding(fitted, curve, n_steps=10, dt=1.0).axes
    assert [patch.get_label() for patch in above.patches] == ["decoded", "value"]
    decoded, value = (patch.get_data().values for patch in above.patches)
    np.testing.assert_array_equal(value, curve)
    assert np.abs(decoded - curve).mean() < 0.3
    assert len(below.lines[0].get_xdata()) == fitted.encode_series(curve[None, :, None], 10).sum()


def test_images_of_moved_synapses_add_up_and_other_sources_are_sorted() -> None:
    figure, counts = PICTURES["rewiring"](), moved()["in->rec"]
    images = [ax.images[0].get_array() for ax in figure.axes if ax.images and ax.get_title()]
    for image, given in zip(images, (counts.before, counts.after), strict=True):
        np.testing.assert_array_equal(image, given.reshape(2, 3, 4).sum(axis=0))
    for line in next(ax.lines for ax in figure.axes if ax.get_title() == "rec->rec"):
        np.testing.assert_array_equal(line.get_ydata(), np.arange(24)[::-1])


@pytest.mark.parametrize(
    ("ear", "names"), [(Cochlea(places=20), ["+10 dB", "-15 dB"]), (MelSpikes(bands=10), ["level", "rise"])]
)
def test_a_cochleagram_shows_every_spike_at_its_place(ear: Cochlea | MelSpikes, names: list[str]) -> None:
    events = ear.events(TONE, 8000, seed=2)
    wave, marks = plot.cochleagram(ear, TONE, 8000, seed=2, title="a tone").axes
    assert (wave.get_title(), [line.get_label() for line in marks.lines]) == ("a tone", names)
    drawn = np.concatenate([line.get_xydata() for line in marks.lines])
    order = np.argsort(events.y, kind="stable")
    np.testing.assert_allclose(drawn, np.stack([events.t / 1000.0, events.x], axis=1)[order])
    assert [label.get_text() for label in marks.get_yticklabels()][-3:] == ["500", "1000", "2000"]


def test_raster_and_rates_show_populations_in_the_window_that_was_asked_for() -> None:
    ax = plot.raster(*spikes(), stop=10.0)
    first, second = (line.get_xydata().tolist() for line in ax.lines)
    assert (first, second) == ([[1.0, 0.0], [5.0, 3.0], [9.0, 9.0]], [[2.0, 11.0]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["e", "i"]
    assert [len(line.get_xydata()) for line in plot.raster(*spikes(), share=0.4, ax=ax).lines[2:]] == [2, 1]
    found = {
        line.get_label(): line.get_ydata() for line in plot.rates(*spikes(), stop=10.0, reference=[30.0, 20.0]).lines
    }
    np.testing.assert_allclose([found["mean"], found["reference"]], [[30.0, 25.0], [30.0, 20.0]])
    steps = np.arange(1.0, 2001.0)
    left, right = plot.draw_spikes({"e": (steps, steps.astype(int) % 10)}, {"e": 10}, start=400.0, duration=1200.0).axes
    drawn = left.lines[0].get_xdata()
    assert left.get_xlim() == (400.0, 1600.0)
    assert (drawn.min(), drawn.max(), drawn.size) == (401.0, 1600.0, 1200)
    np.testing.assert_allclose([line.get_ydata() for line in right.lines if line.get_label() == "mean"], [[100.0]])


def test_weights_name_their_unit_and_count_what_is_not_finite() -> None:
    pair = (np.arange(4.0), np.array([np.nan, np.inf, 2.0, 3.0]))
    figure = plot.draw_weights({"in->rec": pair, "rec->out": (pair[0][:2], pair[1][:2])}, {"in->rec": "pA"})
    first, second = (ax for ax in figure.axes if ax.get_title())
    assert (first.get_title(), first.get_xlabel(), first.get_ylabel()) == (
        "in → rec", "weight before (pA)", "weight after (pA)",
    )  # fmt: skip
    assert first.texts[0].get_text().startswith("4 weights, 2 not finite, sd ")
    assert second.texts[0].get_text() == "2 weights, 2 not finite"
    assert second.get_ylabel() == "weight after (mV)"
    assert first.get_xlim()[1] == pytest.approx(1.05 * 3.0)
    given = Figure().add_subplot()
    assert plot.draw_weight_change(*pair, ax=given) is given
    assert isinstance(plot.draw_weight_change(*pair), Axes)


def test_a_confusion_matrix_shows_its_counts() -> None:
    ax = plot.draw_confusion([[9, 1], [0, 0]], ["cat", "dog"])
    assert sorted(text.get_text() for text in ax.texts) == ["1", "9"]
    assert ax.get_title() == "10.0 % of 10 samples wrong"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog"]
