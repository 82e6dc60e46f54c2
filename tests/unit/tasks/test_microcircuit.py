"""The task of the microcircuit: what learns, what hears, and refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.engine import BatchResult
from eprop.errors import EPropError
from eprop.networks import POPULATIONS
from eprop.tasks.microcircuit import CAMERA_UNIT, EXCITATORY, corners, in_squares, microcircuit
from eprop.training import Experiment
from eprop.training.forms import samples_of

pytestmark = pytest.mark.tiny
SMALL: dict[str, Any] = {"scale": 0.001, "dt": 1.0, "duration": 20.0, "window_start": 5.0}


def task(**given: Any) -> Experiment:
    return microcircuit(**{**SMALL, **given})


@pytest.mark.parametrize(
    ("given", "pairs", "fed_back"),
    [
        ({}, 16, 4),
        ({"recurrence": "static"}, 0, 2),
        ({"recurrence": "none"}, 0, 2),
        ({"recurrence": "static", "learn_input": False}, 0, 0),
        ({"learn_input": False}, 16, 4),
    ],
)
def test_what_learns(given: dict[str, Any], pairs: int, fed_back: int) -> None:
    net = task(**given).network
    plastic = {p.name for p in net.projections if p.rule.plastic}
    between = {f"{pre}->{post}" for pre in EXCITATORY for post in EXCITATORY}
    assert len(plastic & between) == pairs
    alone = given.get("recurrence") == "none"
    assert (plastic - between) == {
        *({"in->L4E", "in->L6E"} if given.get("learn_input", True) else ()),
        *(f"{name}->out" for name in (("L4E", "L6E") if alone else ("L23E", "L5E"))),
    }
    assert len(net.feedback_projections) == fed_back
    kept = {"L4E", "L6E"} if alone else {*POPULATIONS}
    assert {p.pre.name for p in net.projections} - {"in"} <= kept


@pytest.mark.parametrize(("feedback", "kind"), [("symmetric", ep.Symmetric), ("adaptive", ep.Adaptive)])
def test_feedback_is_random_where_no_readout_hears(feedback: str, kind: type) -> None:
    net = task(feedback=feedback, w_feedback=0.4, readouts_hear=("L4E",)).network
    for one in net.feedback_projections:
        assert type(one.kind) is (kind if one.post.name == "L4E" else ep.RandomFeedback)
        assert type(one.kind) is not ep.RandomFeedback or one.kind.weight == ep.Normal(0.0, 0.4)


def test_weights_and_rates_are_in_units_of_the_mean_weight() -> None:
    """A network with other in-degrees learns the same fraction of a weight; a neuron has the same pixels at each scale."""
    for k_scale in (0.01, 0.04):
        net = task(k_scale=k_scale, eta=2e-3).network
        for name, weight in {"in->L4E": CAMERA_UNIT, "L4E->L4E": 87.81 / math.sqrt(k_scale)}.items():
            rule = net.projection(name).rule
            assert isinstance(rule, ep.EPropPlus)
            assert rule.optimizer.eta == pytest.approx(2e-3 * weight**2, rel=1e-4)
            assert (rule.optimizer.w_min, rule.optimizer.w_max) == (0.0, pytest.approx(4.0 * weight, rel=1e-4))
    adam = task(k_scale=0.01, eta=2e-3, optimizer="adam").network
    assert adam.projection("L4E->L4E").rule.learning_rate == pytest.approx(2e-3 * 878.1, rel=1e-4)


@pytest.mark.parametrize(
    ("given", "eta_out", "w_out"),
    [({}, 2e-4, 0.02), ({"scale": 0.4}, 5e-5, 0.01), ({"scale": 0.4, "eta_out": 1e-3}, 1e-3, 0.01)],
)
def test_readouts_of_more_neurons_have_smaller_weights_and_steps(
    given: dict[str, Any], eta_out: float, w_out: float
) -> None:
    readouts = microcircuit(**given).network.projection("L5E->out")
    assert readouts.rule.optimizer.eta == pytest.approx(eta_out)
    assert readouts.weight.sd == pytest.approx(w_out)


def test_a_neuron_receives_the_pixels_of_its_square() -> None:
    found = task(scale=0.01, input_probability=1.0, receptive_field=5)
    sources, targets, weights = ep.Simulator(found.network, threads=1).connections("in->L4E")
    for neuron in (0, 100, 218):
        y, x = np.divmod(sources[targets == neuron] % 34**2, 34)
        assert len(y) == 2 * 25
        assert np.ptp(y) == np.ptp(x) == 4
    assert weights.mean() == pytest.approx(0.2 * CAMERA_UNIT, rel=0.02)


@pytest.mark.parametrize("n", [1, 2, 5, 30, 150, 400, 401])
def test_squares_are_spread_evenly_in_rows(n: int) -> None:
    at = corners(n, 34, 12)
    assert at.shape == (n, 2)
    assert at.min() >= 0
    assert at.max() <= 22
    rows, lengths = np.unique(at[:, 0], return_counts=True)
    assert np.array_equal(at, at[np.argsort(at[:, 0], kind="stable")])
    assert np.ptp(lengths) <= 1
    assert rows.size == 1 or np.ptp(np.diff(rows)) <= 1
    if n >= 30:
        assert (at.min(), at.max()) == (0, 22)
    for y in rows:
        x = at[at[:, 0] == y, 1]
        assert x.size == 1 or np.ptp(np.diff(x)) <= 1
        assert abs(x.mean() - 11.0) < 0.51


def test_one_square_lies_in_the_middle() -> None:
    assert corners(1, 34, 12).tolist() == [[11, 11]]


def test_places_in_a_square() -> None:
    assert in_squares(np.array([[1, 2]]), 10, 2).tolist() == [[12, 13, 22, 23]]


def test_window_and_training() -> None:
    """The loss is per ms; recordings have the steps of a sample."""
    for dt in (0.5, 1.0):
        found = task(dt=dt, data_seed=2)
        assert found.window.sum() == pytest.approx(15.0)
        assert (found.train.n_steps, found.train.dt, found.train.data_seed) == (20.0 / dt, dt, 2)
    assert (found.epochs, found.precision) == (1, "single")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recurrence": "off"}, 'microcircuit.recurrence must be "plastic", "static" or "none"'),
        ({"readouts_hear": ("L5E", "L4I")}, 'readouts_hear must be "L23E", "L4E", "L5E" or "L6E", got \'L4I\''),
        ({"window_start": 20.0}, "window_start must be >= 0 and before the end of the sample, 20 ms, got 20"),
        ({"duration": 20.5}, "microcircuit.duration must be a multiple of dt = 1 ms, got 20.5"),
        ({"dt": 0.0}, "microcircuit.dt must be > 0 ms, got 0"),
        ({"scale": 1e-4}, "leaves no neurons in L5I"),
        ({"scale": 2.0}, "microcircuit: scale must be in (0, 1]"),
        ({"feedback": "none"}, "microcircuit.feedback must be"),
        ({"receptive_field": 35}, "microcircuit.receptive_field must be 1 to 34 pixels, got 35"),
        ({"tau_m": 5.0}, "microcircuit has no argument tau_m"),
        ({"rule": "eprop", "cutoff": 20.0}, "cutoff changes nothing: it belongs to eprop+"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EPropError) as caught:
        task(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize(("rule", "rounds"), [("eprop", 20), ("eprop+", 5)])
def test_learning_lowers_the_loss_of_what_it_learns(rule: str, rounds: int) -> None:
    found = task(scale=0.005, duration=40.0, rule=rule, seed=2)
    sim = ep.Simulator(found.network, threads=1)
    samples = samples_of(sim.network, digits.recordings(24, 40), found.window)

    def mean_loss(result: BatchResult) -> float:
        return float(result.loss.mean())

    before = mean_loss(sim.evaluate(samples))
    for _ in range(rounds):
        sim.train(samples)
    assert mean_loss(sim.evaluate(samples)) < 0.8 * before
