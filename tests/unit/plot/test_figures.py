"""Figures are made from data alone, and leave the user's Matplotlib alone."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

import digits
import eprop as ep
from eprop import plot
from eprop.bench import EventCost
from eprop.errors import CheckpointError, OutputError
from eprop.plot.compare import draw_bars, draw_points
from eprop.plot.curves import smooth
from eprop.plot.run import weight_changes
from eprop.plot.style import decades
from eprop.tasks import NMNIST
from eprop.training import RunConfig, run_trials, start_run
from eprop.training.activity import Activity, record_activity

PNG = b"\x89PNG\r\n\x1a\n"


def lines(rule: str = "eprop", n: int = 30) -> list[dict]:
    error = np.linspace(0.9, 0.0, n)
    out = [
        {
            "samples": 10 * i + 10,
            "epoch": 1 + i // 10,
            "loss": 1000.0 / (i + 1),
            "error": error[i] if rule == "eprop" else None,
        }
        for i in range(n)
    ]
    for line in out[9::10]:
        line |= {"hold_error": 0.1, "hold_loss": 200.0}
    return out


@pytest.mark.tiny
@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_a_learning_curve_shows_what_means_something(rule: str) -> None:
    summary = {"test_error": 0.02, "test_error_sigma": 0.005, "samples_learned": 300}
    figure = plot.draw_learning_curve(lines(rule), summary)
    top, bottom = figure.axes
    labels = [text.get_text() for text in top.get_legend().get_texts()]
    learned = "training (mean of 3 reports)"
    assert labels == [learned] * (rule == "eprop") + ["held out", "test: 2.0 ± 0.5 %"]
    assert (top.get_ylabel(), bottom.get_xlabel()) == ("error (%)", "samples learned")


@pytest.mark.tiny
def test_a_learning_curve_without_errors() -> None:
    """Where training knows no error, there is the loss alone, and the test is told."""
    metrics = [{"samples": k, "learned": k, "epoch": 1, "loss": 10.0 / k, "error": None} for k in range(1, 6)]
    (only,) = plot.draw_learning_curve(metrics, {"test_error": 0.047}, "normalised error").axes
    assert only.get_title() == "normalised error in the test: 4.7 %"
    assert only.get_ylabel() == "loss of a sample"
    (only,) = plot.draw_learning_curve(metrics, unit="nats").axes
    assert only.get_ylabel() == "loss of a sample (nats)"


@pytest.mark.tiny
def test_a_legend_of_a_learning_curve_covers_no_curve() -> None:
    metrics = lines()
    for line in metrics[20:]:
        line["loss"] *= 30.0
    summary = {"test_error": 0.9, "test_error_sigma": 0.1, "samples_learned": 300, "train_samples": 100, "epochs": 3}
    figure = plot.draw_learning_curve(metrics, summary)
    figure.draw_without_rendering()
    for ax in figure.axes:
        box = ax.get_legend().get_window_extent()
        curves = [line for line in ax.lines if line.get_linestyle() != "--"]
        assert len(curves) >= 3
        assert not any(box.contains(*point) for line in curves for point in ax.transData.transform(line.get_xydata()))
        assert box.y0 >= ax.get_window_extent().y1
    assert figure.axes[0].get_ylim()[1] <= 110.0  # no room for errors that cannot be


@pytest.mark.tiny
def test_a_learning_curve_of_one_sample_is_over_iterations() -> None:
    """Where each epoch is one presentation of it, no epochs are marked."""
    summary = {"test_error": None, "train_samples": 1, "epochs": 10, "samples_learned": 10}
    metrics = [{"samples": k, "learned": k, "epoch": k, "loss": 9.0 / k, "error": 1.0 / k} for k in range(1, 11)]
    top, bottom = plot.draw_learning_curve(metrics, summary).axes
    assert bottom.get_xlabel() == "iterations"
    assert [line.get_linestyle() for ax in (top, bottom) for line in ax.lines] == ["-", "-"]
    # So few reports are shown as they are.
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["training"]
    np.testing.assert_allclose(top.lines[0].get_ydata(), [100.0 / k for k in range(1, 11)])


@pytest.mark.tiny
def test_a_learning_curve_over_what_was_learned() -> None:
    """Of samples that were passed over, none is drawn: of 100 in each epoch, but for the first, a third was learned."""
    summary = {"test_error": 0.02, "test_error_sigma": None, "samples_learned": 166, "train_samples": 100, "epochs": 3}
    metrics = lines()
    for line in metrics:
        line["learned"] = line["samples"] if line["samples"] <= 100 else 100 + (line["samples"] - 100) // 3
    top, bottom = plot.draw_learning_curve(metrics, summary).axes
    assert top.lines[0].get_xdata()[-1] == 166
    assert [line.get_xdata()[0] for line in top.lines if line.get_linestyle() == "--"] == [100, 133]
    assert [text.get_text() for text in top.get_legend().get_texts()].count("new epoch") == 1
    assert bottom.get_xlim()[1] < 180


@pytest.mark.tiny
@pytest.mark.parametrize("metrics", [[], lines(n=1), [{"samples": 5, "epoch": 1, "loss": 0.0, "error": 0.0}]])
def test_a_short_learning_curve(metrics: list, tmp_path: pathlib.Path) -> None:
    zero = {"test_error": 0.0, "test_error_sigma": 0.0, "samples_learned": 5}
    for summary in (None, {}, zero):
        plot.save(plot.draw_learning_curve(metrics, summary), tmp_path / "curve.png")


@pytest.mark.tiny
def test_an_error_of_zero_is_at_zero() -> None:
    summary = {"test_error": 0.0, "test_error_sigma": 0.0025, "samples_learned": 300}
    top = plot.draw_learning_curve(lines(), summary).axes[0]
    (diamond,) = [line for line in top.lines if line.get_marker() == "D"]
    assert (top.get_ylim()[0], diamond.get_ydata()[0]) == (0.0, 0.0)
    assert 0.0 in top.get_yticks()
    pixels = top.transData.transform([(0.0, value) for value in (0.0, 0.25, 1.0, 10.0)])[:, 1]
    assert (np.diff(pixels) > 3).all()
    positive = {**summary, "test_error": 0.02}
    assert plot.draw_learning_curve(lines()[:20], positive).axes[0].get_yscale() == "log"


@pytest.mark.tiny
def test_one_report_can_be_seen() -> None:
    top, bottom = plot.draw_learning_curve(lines(n=1)).axes
    assert "o" in [line.get_marker() for line in top.lines]
    assert "o" in [line.get_marker() for line in bottom.lines]


@pytest.mark.tiny
def test_smoothing_keeps_constants_and_length() -> None:
    np.testing.assert_allclose(smooth(np.full(20, 3.0)), 3.0)
    assert smooth(np.arange(3.0)).size == 3
    assert smooth(np.arange(1.0)).tolist() == [0.0]


def ended(error: float) -> dict:
    """Of a trial that came to its end."""
    summary = dict.fromkeys(
        ("version", "task", "rule", "loss", "score", "test_samples", "test_data", "engine", "machine", "seed", "hold_error",
         "train_seconds", "synaptic_events")
    )  # fmt: skip
    more = {"test_error_sigma": 0.01, "test_loss": 100.0, "samples_learned": 300, "train_samples": 100, "epochs": 3}
    return {**summary, **more, "test_error": error}


def times(factor: float, metrics: list[dict]) -> list[dict]:
    """Metrics with errors and losses of another trial."""
    names = {"error", "loss", "hold_error", "hold_loss"}
    return [{k: factor * v if k in names and v is not None else v for k, v in line.items()} for line in metrics]


def thin_and_mean(ax: Axes, label: str) -> tuple[list, np.ndarray]:
    """Lines of each trial, and the mean; all have the colour of the mean's label."""
    (mean,) = [line for line in ax.lines if line.get_label() == label]
    thin = [line for line in ax.lines if line.get_color() == mean.get_color() and line is not mean]
    return [line.get_xydata() for line in thin], mean.get_xydata()


LEARNED = "training (mean of 3 reports)"


@pytest.mark.tiny
def test_trials_are_drawn_as_mean_and_each_with_their_tests_beside_them() -> None:
    trials = [(times(factor, lines()), ended(error)) for factor, error in ((0.5, 0.02), (0.7, 0.04), (0.9, 0.09))]
    figure = plot.draw_trials(trials, unit="nats")
    errors, test, losses, test_losses = figure.axes
    for ax, label, name, factor in (
        (errors, LEARNED, "error", 100), (errors, "held out", "hold_error", 100), (losses, LEARNED, "loss", 1),
        (losses, "held out", "hold_loss", 1),
    ):  # fmt: skip
        thin, mean = thin_and_mean(ax, label)
        alone = [factor * line[name] for line in lines() if name in line]
        alone = smooth(np.array(alone), 3 if label == LEARNED else 1)
        for each, scale in zip((*thin, mean), (0.5, 0.7, 0.9, 0.7), strict=True):
            np.testing.assert_allclose(each[:, 1], scale * alone)
    band = errors.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((0.7 + 0.2) / 0.7 * thin_and_mean(errors, LEARNED)[1][0, 1])
    assert (errors.get_ylabel(), losses.get_ylabel()) == ("error (%)", "loss of a sample (nats)")
    dots = [dot.get_offsets()[:, 1] for ax in (test, test_losses) for dot in ax.findobj(PathCollection)]
    np.testing.assert_allclose(dots, [[2.0, 4.0, 9.0], [100.0] * 3])
    assert test.get_title() == "5.0 ± 3.6 %"
    assert test.get_ylim() == errors.get_ylim()
    assert test_losses.get_ylim() == losses.get_ylim()
    assert figure.get_suptitle() == "mean ± standard deviation of 3 trials; thin: each trial"


@pytest.mark.tiny
def test_trials_that_were_stopped_are_lines_without_a_mean() -> None:
    trials = [(lines(), ended(0.02)), (times(0.5, lines()), ended(0.04)), (times(0.1, lines())[:13], {}), ([], {})]
    figure = plot.draw_trials(trials)
    thin, mean = thin_and_mean(figure.axes[0], LEARNED)
    assert [len(each) for each in (*thin, mean)] == [30, 30, 13, 30]
    np.testing.assert_allclose(mean[:, 1], 0.75 * thin[0][:, 1])
    assert figure.get_suptitle() == "mean ± standard deviation of finished trials, 2 of 4; thin: each trial"
    # As long as none is finished, the mean is of all, as far as all of them have got.
    figure = plot.draw_trials([(lines(), {}), (times(0.5, lines())[:13], {})])
    thin, mean = thin_and_mean(figure.axes[0], LEARNED)
    assert [len(each) for each in (*thin, mean)] == [30, 13, 13]
    assert len(figure.axes) == 2  # no test
    assert figure.get_suptitle() == "mean ± standard deviation of unfinished trials, 2 of 2; thin: each trial"


@pytest.mark.tiny
def test_trials_that_pass_over_samples_have_a_mean_where_all_are() -> None:
    trials = [(lines(), ended(0.02)), ([{**line, "learned": line["samples"] * 0.8} for line in lines()], ended(0.04))]
    thin, mean = thin_and_mean(plot.draw_trials(trials).axes[0], LEARNED)
    assert (mean[0, 0], mean[-1, 0]) == (16, 240)
    first = np.interp(mean[:, 0], *thin[0].T)
    np.testing.assert_allclose(mean[:, 1], (first + thin[1][1:, 1]) / 2)


@pytest.mark.tiny
def test_trials_without_errors_in_training() -> None:
    """With e-prop+ there are held-out ones, or losses alone with the tests on a scale of their own."""
    trials = [(lines("eprop+"), ended(error)) for error in (0.02, 0.04)]
    top = plot.draw_trials(trials).axes[0]
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["held out", "new epoch"]
    alone = [([{**line, "hold_error": None, "hold_loss": None} for line in metrics], end) for metrics, end in trials]
    losses, test = plot.draw_trials(alone, "normalised error", "mV²").axes
    assert losses.get_ylabel() == "loss of a sample (mV²)"
    assert (test.get_ylabel(), test.get_title(), test.get_ylim()[0]) == ("normalised error (%)", "3.0 ± 1.4 %", 0.0)


@pytest.mark.tiny
@pytest.mark.parametrize("metrics", [lines(n=1), [{"samples": 5, "epoch": 1, "loss": 0.0, "error": 0.0}]])
def test_trials_with_a_single_report_can_be_seen(metrics: list, tmp_path: pathlib.Path) -> None:
    for trials in ([(metrics, ended(0.0))] * 2, [(metrics, {})], [(metrics, {})] * 2):
        figure = plot.draw_trials(trials)
        plot.save(figure, tmp_path / "curve.png")
        assert all("o" in [line.get_marker() for line in ax.lines] for ax in figure.axes if ax.get_ylabel())


@pytest.mark.tiny
@pytest.mark.parametrize("scores", [(0.1, 0.9), (0.945, 0.955)])
def test_nothing_covers_the_curves_of_trials(scores: tuple[float, float]) -> None:
    figure = plot.draw_trials([(times(factor, lines()), ended(factor)) for factor in scores], unit="nats")
    figure.draw_without_rendering()
    (bar,) = figure.axes[1].containers[0][2]
    assert bar.get_segments()[0][1, 1] < figure.axes[1].get_ylim()[1]  # of 50 ± 57 and 95.00 ± 0.71 %
    boxes = [ax.get_window_extent() for ax in figure.axes]
    over = [ax.get_legend().get_window_extent() for ax in figure.axes if ax.get_legend()]
    over += [figure.axes[1].title.get_window_extent(), figure._suptitle.get_window_extent()]
    assert len(over) == 4
    assert not any(a.overlaps(b) for a, b in itertools.combinations([*boxes, *over], 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in over)


@pytest.mark.tiny
def test_an_error_bar_of_points_ends_where_the_axis_does() -> None:
    ax = Figure().add_subplot()
    decades(ax)
    ax.set_ylim(1.0, 100.0)
    draw_points(ax, np.array([2.0, 3.0, 16.0]), 8.0, "C0")
    (bar,) = ax.containers[0][2]
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], [1.0, 15.0])
    assert ax.get_ylim() == (1.0, 100.0)


@pytest.mark.tiny
def test_only_weights_that_learn_are_shown() -> None:
    sims = [ep.Simulator(NMNIST(neurons=4, seed=k, edge_filters=True).build_network(), threads=1) for k in (1, 2)]
    changes = weight_changes(*sims)
    assert list(changes) == ["in->rec", "rec->rec", "rec->out", "filters->rec"]
    for name, pair in changes.items():
        for sim, weights in zip(sims, pair, strict=True):
            assert np.array_equal(weights, sim.connections(name)[2])


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


def sample(loss: str = "softmax", spikes: bool = True) -> Activity:
    task = NMNIST(neurons=6, n_steps=20, window_start=5, loss=loss, w_in=0.5 if spikes else 0.0)
    simulator = ep.Simulator(task.build_network(), threads=1, precision="single")
    return record_activity(task, simulator, digits.recordings(1))


@pytest.mark.parametrize("loss", ["softmax", "squared_error"])
def test_activity_is_recorded_and_drawn(loss: str, tmp_path: pathlib.Path) -> None:
    before, after = sample(loss, spikes=False), sample(loss)
    assert before.spike_counts().sum() == 0 < after.spike_counts().sum()
    assert after.v.shape == after.psi.shape == after.learning_signal.shape == (20, 6)
    assert after.y.shape == after.target.shape == after.error.shape == (20, 10)
    assert after.label == "0"
    np.testing.assert_allclose(after.error, after.window[:, None] * (after.output - after.target), atol=1e-6)
    assert after.inputs[0].size == digits.recordings(1).counts.sum()
    figure = plot.draw_activity(before, after)
    assert len(figure.axes) == 2 * (8 if loss == "softmax" else 7)
    assert plot.telling_neuron(before, after) == after.spike_counts().argmax()
    signal = np.zeros_like(after.learning_signal)
    signal[:, after.spike_counts().argmin()] = 1.0  # only this one is taught
    taught = [dataclasses.replace(a, learning_signal=signal) for a in (before, after)]
    assert plot.telling_neuron(*taught) == after.spike_counts().argmin()
    silent = [dataclasses.replace(a, spikes=(np.zeros(1), np.array([int(signal[0].argmin())]))) for a in taught]
    assert plot.telling_neuron(*silent) == after.spike_counts().argmin()
    path = plot.save(figure, tmp_path / "activity.png")
    assert path.read_bytes().startswith(PNG)


@pytest.mark.tiny
def test_the_figures_above_bars_stand_free() -> None:
    values = {"one": np.array([23.0, 49.0]), "two": np.array([23.0, 49.0]), "three": np.array([8.5, 11.5])}
    ax = Figure(figsize=(1.5, 2.2), layout="constrained").add_subplot()
    draw_bars(ax, values, {"one": 18.31, "two": 0.9951, "three": 2.14}, ["C0", "C1", "C2"], digits=2)
    ax.figure.draw_without_rendering()
    assert [text.get_text() for text in ax.texts] == ["36\n± 18", "36.0\n± 1.0", "10.0\n± 2.1"]
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    markers = [each for each in ax.collections if isinstance(each, PathCollection)]
    dots = np.concatenate([ax.transData.transform(each.get_offsets()) for each in markers])
    assert len(dots) == 6
    assert not any(box.padded(2.0).contains(*dot) for box in boxes for dot in dots)
    assert all(box.y1 < ax.get_tightbbox().y1 + 1 for box in boxes)


@pytest.mark.tiny
@pytest.mark.parametrize("limits", [(0.1, 3000.0), (17.0, 97.0), (2.2, 4.8), (11.0, 19.0), (61.0, 64.0)])
def test_a_logarithmic_axis_has_three_plain_numbers_at_least(limits: tuple[float, float]) -> None:
    ax = Figure().add_subplot()
    decades(ax)
    ax.set_ylim(*limits)
    ax.figure.draw_without_rendering()
    inside = [text.get_text() for text in ax.get_yticklabels() if limits[0] <= text.get_position()[1] <= limits[1]]
    assert 3 <= len(inside) <= 14
    assert all(limits[0] <= float(label.replace(",", "")) <= limits[1] for label in inside)


def costs(nest: float = np.nan) -> dict[str, list[EventCost]]:
    """Of a sweep over intervals, in narrow limits; the last one varied by more than twice its median."""
    values = [(1.0, 6.5, 0.4), (10.0, 7.5, 0.8), (100.0, 9.0, 1.0), (1000.0, 8.0, 30.0)]
    return {"interval": [EventCost("interval", x, y, span, y / 2, nest, span) for x, y, span in values]}


@pytest.mark.tiny
def test_the_cost_of_events_has_plain_numbers_and_its_spread() -> None:
    figure = plot.draw_event_cost(costs(nest=200.0))
    (ax,), (legend,) = figure.axes, figure.legends
    figure.draw_without_rendering()
    labels = [text.get_text() for axis in (ax.xaxis, ax.yaxis) for text in axis.get_ticklabels()]
    assert {"1", "10", "100", "1,000"} <= set(labels)
    assert not any("$" in label for label in labels)
    assert [text.get_text() for text in legend.get_texts()] == [
        "eprop, all of a step", "eprop, delivery alone", "NEST, all of a step",
    ]  # fmt: skip
    ours, delivery, _ = ax.containers
    spans = [bar[:, 1] for bar in ours[2][0].get_segments()]
    np.testing.assert_allclose(spans, [(6.3, 6.7), (7.1, 7.9), (8.5, 9.5), (0.8, 23.0)])
    assert not delivery[2]
    assert len(plot.draw_event_cost(costs()).axes[0].containers) == 2


def steps(readouts: int, softmax: bool = False, label: str = "", scale: float = 1.0) -> Activity:
    """Activity of ten steps, the errors of which count in the last five."""
    times, window = np.arange(1.0, 11.0), np.repeat([0.0, 1.0], 5)
    target = np.outer(np.sin(times), np.arange(1, readouts + 1))
    y, none, neurons = scale * target, (np.zeros(0), np.zeros(0, int)), np.zeros((10, 2))
    return Activity(
        times, none, none, 3, 2, neurons, neurons, neurons, y, target, window[:, None] * (y - target), window, softmax,
        neurons, label,
    )  # fmt: skip


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("readouts", "label", "softmax", "wanted"),
    [
        (1, "", False, {"readout", "target"}),
        (2, "", False, {"first readout", "target of the first readout", "other readouts"}),
        (3, "cat", True, {"readout of the sample's class, cat", "target of that class", "other readouts"}),
    ],
)
def test_the_legend_of_activity_names_what_is_there(readouts: int, label: str, softmax: bool, wanted: set) -> None:
    activity = steps(readouts, softmax, label)
    figure = plot.draw_activity(activity, activity)
    always = {"spikes of neuron $j$", "its threshold", "no error counts"}
    assert {text.get_text() for text in figure.legends[0].get_texts()} == wanted | always
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert ("error $E_k$\n(mV)" in labels) is not softmax
    # The target lies on top of what it is compared with.
    compared = figure.axes[2 * labels[::2].index("$\\pi_k$, $\\pi_k^*$" if softmax else "$y_k$\n(mV)")]
    assert compared.lines[-1].get_linestyle() == "--"


RUNS = {
    "pattern-generation": ({"duration": 40.0, "neurons": 4, "inputs": 3}, {}, "iterations", "mV²"),
    "evidence-accumulation": (
        {"lif": 4, "alif": 0, "group": 1, "cues": 1, "cue": 10.0, "gap": 5.0, "delay": 10.0, "recall": 10.0},
        {"samples": 4, "test_samples": 2},
        "samples learned",
        "nats",
    ),
}


@pytest.mark.tiny
@pytest.mark.parametrize("task", RUNS)
def test_the_learning_curve_of_a_run_knows_its_units(
    task: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, data, x, unit = RUNS[task]
    config = RunConfig.make(task, task=settings, data=data, training={"epochs": 2}, run={"threads": 1})
    start_run(config, tmp_path / "run")
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(plot.run, "save", lambda figure, path: drawn.setdefault(path.stem, figure))
    plot.draw_run(tmp_path / "run")
    bottom = drawn["learning_curve"].axes[-1]
    assert (bottom.get_xlabel(), bottom.get_ylabel()) == (x, f"loss of a sample ({unit})")


@pytest.mark.tiny
@pytest.mark.parametrize("task", RUNS)
def test_the_learning_curve_of_trials_knows_its_units(
    task: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, data, x, unit = RUNS[task]
    config = RunConfig.make(task, task=settings, data=data, training={"epochs": 2}, run={"threads": 1})
    run_trials(config, 2, tmp_path / "trials", jobs=1)
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(plot.run, "save", lambda figure, path: drawn.setdefault(path.stem, figure))
    plot.draw_run(tmp_path / "trials")
    (figure,) = drawn.values()
    bottom = [ax for ax in figure.axes if ax.get_ylabel()][-1]
    assert (bottom.get_xlabel(), bottom.get_ylabel()) == (x, f"loss of a sample ({unit})")
    for metrics in tmp_path.rglob("metrics.jsonl"):
        metrics.unlink()
    with pytest.raises(CheckpointError, match=r"trials: none of its 2 trials has reported anything yet"):
        plot.draw_run(tmp_path / "trials")


@pytest.mark.tiny
def test_a_pattern_is_drawn_whole() -> None:
    """However far the untrained network wanders."""
    before, after = steps(2, scale=5.0), steps(2)
    path = plot.draw_pattern(before, after).axes[-1]
    path.figure.draw_without_rendering()
    x, y = before.y[5:].T
    (left, right), (low, high) = path.get_xlim(), path.get_ylim()
    assert left < x.min() < x.max() < right
    assert low < y.min() < y.max() < high
    assert path.get_aspect() == 1.0


@pytest.mark.tiny
def test_the_users_settings_are_left_alone() -> None:
    import matplotlib.pyplot as plt

    before, backend, figures = dict(mpl.rcParams), mpl.get_backend(), plt.get_fignums()
    plot.draw_confusion([[1]])
    plot.draw_learning_curve(lines())
    assert dict(mpl.rcParams) == before
    assert mpl.get_backend() == backend
    assert plt.get_fignums() == figures


@pytest.mark.tiny
def test_a_figure_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OutputError, match=r"a.png: cannot be written"):
        plot.save(Figure(), tmp_path / "none" / "a.png")
