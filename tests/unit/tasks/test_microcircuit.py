"""The task of the microcircuit: what learns, what hears, squares of pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.engine import BatchResult
from eprop.networks import POPULATIONS
from eprop.tasks.microcircuit import CAMERA_UNIT, EXCITATORY, microcircuit
from eprop.tasks.receptive_fields import corners, in_squares
from eprop.training import Experiment
from eprop.training.forms import samples_of

pytestmark = pytest.mark.tiny


def task(**given: Any) -> Experiment:
    return microcircuit(**{"scale": 0.001, "dt": 1.0, "duration": 20.0, "window_start": 5.0, **given})


@pytest.mark.parametrize(("recurrence", "pairs", "fed_back"), [("plastic", 16, 4), ("static", 0, 2), ("none", 0, 2)])
def test_what_learns(recurrence: Any, pairs: int, fed_back: int) -> None:
    net = task(recurrence=recurrence).network
    plastic = {p.name for p in net.projections if p.rule.plastic}
    between = {f"{pre}->{post}" for pre in EXCITATORY for post in EXCITATORY}
    assert len(plastic & between) == pairs
    heard = ("L4E", "L6E") if recurrence == "none" else ("L23E", "L5E")
    assert plastic - between == {"in->L4E", "in->L6E", *(f"{name}->out" for name in heard)}
    assert len(net.feedback_projections) == fed_back
    kept = {"L4E", "L6E"} if recurrence == "none" else {*POPULATIONS}
    assert {p.pre.name for p in net.projections} - {"in"} <= kept


@pytest.mark.parametrize(("feedback", "kind"), [("symmetric", ep.Symmetric), ("adaptive", ep.Adaptive)])
def test_feedback_is_random_where_no_readout_hears(feedback: Any, kind: type) -> None:
    for one in task(feedback=feedback).network.feedback_projections:
        assert type(one.kind) is (kind if one.post.name in ("L23E", "L5E") else ep.RandomFeedback)


def test_weights_and_rates_are_in_units_of_the_mean_weight() -> None:
    """A network with other in-degrees learns the same fraction of a weight; a neuron has the same pixels at each scale."""
    for scale in (0.01, 0.04):
        net = task(scale=scale, eta=2e-3).network
        for name, weight in {"in->L4E": CAMERA_UNIT, "L4E->L4E": 87.81 / math.sqrt(scale)}.items():
            rule = net.projection(name).rule
            assert isinstance(rule, ep.EPropPlus)
            assert rule.optimizer.eta == pytest.approx(2e-3 * weight**2, rel=1e-4)
            assert (rule.optimizer.w_min, rule.optimizer.w_max) == (0.0, pytest.approx(4.0 * weight, rel=1e-4))
    adam = task(scale=0.01, eta=2e-3, optimizer="adam").network
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


def test_a_neuron_receives_half_of_the_pixels_of_its_square() -> None:
    sources, targets, weights = ep.Simulator(task(scale=0.01).network, threads=1).connections("in->L4E")
    for neuron in (0, 100, 218):
        y, x = np.divmod(sources[targets == neuron] % 34**2, 34)
        assert 70 <= len(y) <= 130
        assert np.ptp(y) == np.ptp(x) == 9
    assert weights.mean() == pytest.approx(0.2 * CAMERA_UNIT, rel=0.02)
    assert in_squares(np.array([[1, 2]]), 10, 2).tolist() == [[12, 13, 22, 23]]


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


def test_the_loss_is_per_ms() -> None:
    for dt in (0.5, 1.0):
        found = task(dt=dt)
        assert found.window.sum() == pytest.approx(15.0)
        assert (found.train.n_steps, found.train.dt) == (20.0 / dt, dt)


@pytest.mark.parametrize(("rule", "rounds"), [("eprop", 20), ("eprop+", 5)])
def test_learning_lowers_the_loss_of_what_it_learns(rule: Any, rounds: int) -> None:
    found = task(scale=0.005, duration=40.0, rule=rule, seed=2)
    sim = ep.Simulator(found.network, threads=1)
    samples = samples_of(sim.network, digits.recordings(24, 40), found.window)

    def mean_loss(result: BatchResult) -> float:
        return float(result.loss.mean())

    before = mean_loss(sim.evaluate(samples))
    for _ in range(rounds):
        sim.train(samples)
    assert mean_loss(sim.evaluate(samples)) < 0.8 * before
