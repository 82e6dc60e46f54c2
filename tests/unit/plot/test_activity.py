"""What a network did in a sample, step by step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import digits
import eprop as ep
from drawn import ten_steps
from eprop import plot
from eprop.engine import make_samples
from eprop.plot.records import Activity
from eprop.tasks import nmnist
from eprop.training import record_activity, scoring_of
from networks import small_network

pytestmark = pytest.mark.tiny


def sample(loss: str = "softmax", spikes: bool = True) -> Activity:
    experiment = nmnist(neurons=6, n_steps=20, loss=loss, w_in=0.5 if spikes else 0.0)
    simulator, recording = ep.Simulator(experiment.network, threads=1, precision="single"), digits.recordings(1)
    return record_activity(simulator, scoring_of(experiment, recording).samples(recording), "0")


@pytest.mark.parametrize("loss", ["softmax", "squared_error"])
def test_activity_is_recorded_and_drawn(loss: str) -> None:
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
    signal[:, quiet := after.spike_counts().argmin()] = 1.0  # only this one is taught
    taught = [dataclasses.replace(a, learning_signal=signal) for a in (before, after)]
    assert plot.telling_neuron(*taught) == quiet
    silent = [dataclasses.replace(a, spikes=(np.zeros(1), np.array([int(signal[0].argmin())]))) for a in taught]
    assert plot.telling_neuron(*silent) == quiet


def two_sources(network: ep.Network, aims: dict[str, np.ndarray]) -> ep.engine.Samples:
    """A sample of two sources of events, with a target for the second of two populations of readouts."""
    cue, spikes = np.zeros((1, 4, 2)), np.zeros((1, 4, 3))
    cue[0, 0, 1] = spikes[0, 1, 2] = spikes[0, 3, 0] = 1.0
    return make_samples(network, 1, 4, {"cue": cue, "in": spikes}, aims, window=np.ones(4))


@pytest.mark.parametrize("first", ["cue", "noise"])
def test_activity_of_several_sources_and_readouts(first: str) -> None:
    """The first source had the events of another one, or was one that takes none."""
    network = ep.Network(seed=1)
    sizes = {"cue": 2, "in": 3, "noise": 5}
    for name in sorted(sizes, key=lambda name: name != first):
        network.add(ep.PoissonSource(200.0) if name == "noise" else ep.EventSource(), sizes[name], name)
    rec = network.add(ep.LIF(), 2, "rec")
    side, out = network.add(ep.Readout(), 4, "side"), network.add(ep.Readout(loss=ep.CrossEntropy()), 2, "out")
    for name in sizes:
        network.connect(name, rec, weight=1.0)
    for readout in (side, out):
        network.connect(rec, readout, weight=1.0, rule=ep.EProp())
        network.feedback(readout, rec)
    simulator, target = ep.Simulator(network, threads=1), np.array([[[0.25, 0.75]]])
    activity = record_activity(simulator, two_sources(network, {"out": target}))
    assert activity.n_inputs == 3
    assert activity.inputs[1].tolist() == [2, 0]
    assert activity.softmax
    assert activity.target.tolist() == [[0.25, 0.75]] * 4
    assert activity.y.shape == activity.error.shape == (4, 2)
    assert activity.error.any()
    plot.draw_activity(activity, activity)
    other = record_activity(simulator, two_sources(network, {"side": np.arange(4.0)[None, None]}))
    assert not other.softmax
    assert other.target.tolist() == [[0.0, 1.0, 2.0, 3.0]] * 4
    assert other.error.any()


@pytest.mark.parametrize(
    ("readouts", "label", "softmax", "wanted"),
    [
        (1, "", False, {"readout", "target"}),
        (2, "", False, {"first readout", "target of the first readout", "other readouts"}),
        (3, "cat", True, {"readout of the sample's class, cat", "target of that class", "other readouts"}),
    ],
)
def test_the_legend_of_activity_names_what_is_there(readouts: int, label: str, softmax: bool, wanted: set) -> None:
    shown = ten_steps(readouts, softmax, label)
    figure = plot.draw_activity(shown, shown)
    j = plot.telling_neuron(shown, shown)
    always = {f"spikes of neuron $j$ = {j}", f"threshold of neuron {j}", "outside the learning window"}
    assert {text.get_text() for text in figure.legends[0].get_texts()} == wanted | always
    letters = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert letters == list("abcdefgh")[: len(figure.axes) // 2]
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert ("error $E_k$\n(mV)" in labels) is not softmax
    # The target lies on top of what it is compared with.
    compared = next(ax for ax in figure.axes if ax.get_ylabel().startswith("softmax" if softmax else "readouts"))
    assert compared.lines[-1].get_linestyle() == "--"


def test_neurons_are_counted_from_the_last_one_too() -> None:
    """Of neuron -1 the traces were drawn, but none of its spikes."""
    v = np.outer(np.arange(10.0), [1.0, 2.0])
    shown = dataclasses.replace(ten_steps(1), v=v, spikes=(np.array([3.0, 5.0]), np.array([1, 0])))
    figure = plot.draw_activity(shown, shown, neuron=-1)
    np.testing.assert_array_equal(figure.axes[4].lines[1].get_ydata(), v[:, 1])
    raster = figure.axes[2]
    assert [marks.get_offsets().tolist() for marks in raster.collections] == [[[5.0, 0.0]], [[3.0, 1.0]]]


def test_activity_without_neurons() -> None:
    """A source may go to readouts only."""
    network = small_network((3, 0, 2), {"in->out": 1.0}, rule=ep.EProp())
    samples = make_samples(network, 1, 4, {"in": np.eye(4, 3)[None]}, {"out": np.ones((1, 1, 2))}, np.ones(4))
    activity = record_activity(ep.Simulator(network, threads=1), samples)
    assert activity.v.shape == activity.threshold.shape == (4, 0)
    figure = plot.draw_activity(activity, activity)
    labels = [ax.get_ylabel().split("\n")[0] for ax in figure.axes[::2]]
    assert labels == ["input", "readouts", "error $E_k$"]
    assert not any("threshold" in text.get_text() for text in figure.legends[0].get_texts())
    with pytest.raises(ep.errors.ParameterError, match="neuron must be left out: there are no neurons; got 0"):
        plot.draw_activity(activity, activity, neuron=0)


def test_a_pattern_is_drawn_whole() -> None:
    """However far the untrained network wanders."""
    before, after = ten_steps(2, scale=5.0), ten_steps(2)
    path = plot.draw_pattern(before, after).axes[-1]
    path.figure.draw_without_rendering()
    x, y = before.y[5:].T
    (left, right), (low, high) = path.get_xlim(), path.get_ylim()
    assert left < x.min() < x.max() < right
    assert low < y.min() < y.max() < high
    assert path.get_aspect() == 1.0


@pytest.mark.parametrize("window", ["with a gap", "never open"])
def test_gaps_of_a_window_are_gaps(window: str) -> None:
    counts = np.array([0, 0, 1, 1, 0, 0, 0, 1, 1, 0.0]) if window == "with a gap" else np.zeros(10)
    before, after = (dataclasses.replace(ten_steps(2, scale=s), window=counts) for s in (5.0, 1.0))
    over_time = plot.draw_pattern(before, after).axes[0]
    for line in over_time.lines:
        shown = np.isfinite(line.get_ydata())
        assert shown.tolist() == ([True, True, False, False, False, True, True] if counts.any() else [True] * 10)
    shaded = [p for ax in plot.draw_activity(before, after).axes for p in ax.patches if p.get_zorder() == -10]
    spans = {(round(p.get_x(), 6), round(p.get_x() + p.get_width(), 6)) for p in shaded}
    assert spans == ({(0.0, 2.0), (4.0, 7.0), (9.0, 10.0)} if counts.any() else set())
