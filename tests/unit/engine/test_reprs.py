"""What a notebook shows of simulators and results."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.training import Evaluation
from networks import small_network

pytestmark = pytest.mark.tiny


@pytest.fixture
def simulator() -> ep.Simulator:
    return ep.Simulator(small_network((3, 4, 2), {"in->rec": 2.0, "rec->out": None}, seed=1), threads=1)


def test_a_simulator_shows_nodes_and_synapses(simulator: ep.Simulator) -> None:
    shown = simulator._repr_html_()
    assert "20 synapses" in shown
    for cell in (">rec<", ">LIF<", ">in-&gt;rec<", ">12<", ">8<"):
        assert cell in shown


def test_a_recording_shows_all_that_was_recorded(simulator: ep.Simulator) -> None:
    recording = simulator.run(10.0, {"in": np.ones((10, 3))}, record=[("rec", "v")], spikes=["rec"])
    shown, count = recording._repr_html_(), recording.spikes["rec"][0].size
    assert count > 0
    for part in (
        "10 steps, to 10 ms",
        "y[&#x27;out&#x27;]",
        f"{count} spikes",
        "of 4 nodes",
        "&#x27;v&#x27;]",
        "10 x 4",
    ):
        assert part in shown
    assert repr(recording) == (
        f"Recording(10 steps to 10 ms; y['out'] (10, 2); {count} spikes of 'rec'; ('rec', 'v') (10, 4))"
    )
    assert repr(simulator) == "Simulator(3 in, 4 rec, 2 out; 20 synapses, double precision, at 10 ms)"


def test_samples_and_their_results_show_sizes_and_means(simulator: ep.Simulator) -> None:
    samples = simulator.samples(2, 5, {"in": np.ones((2, 5, 3))}, labels=[0, 1], window=np.arange(5) >= 3)
    assert "0: 1, 1: 1" in samples._repr_html_()
    assert repr(samples) == "Samples(2 samples of 5 steps; 30 events; target (2, 1, 2); 2 steps in the window; labels)"
    result = simulator.evaluate(samples)
    loss = result.loss.mean()
    assert f"{loss:.4g}" in result._repr_html_()
    assert repr(result).startswith(f"BatchResult(2 samples; loss {loss:g} on average; y (2, 5, 2)")
    assert repr(result).endswith(f"{result.events:,} synaptic events)")


def test_an_evaluation_shows_its_error_and_the_confusion_matrix() -> None:
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    evaluation = Evaluation((labels != predictions).astype(float), np.full(4, 0.5), labels, predictions, 2)
    assert repr(evaluation) == "Evaluation(4 samples: error 25.0 ± 20.0 %, loss 0.5)"
    assert "true class" in evaluation._repr_html_()
    assert "<table>" not in repr(Evaluation(np.ones(2), np.ones(2)))
