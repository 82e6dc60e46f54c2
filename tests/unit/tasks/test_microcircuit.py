"""The task of the microcircuit: what learns, what hears, and refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.engine import BatchResult
from eprop.errors import InputError, ParameterError
from eprop.networks import POPULATIONS
from eprop.tasks import MicrocircuitDigits
from eprop.tasks.microcircuit import CAMERA_UNIT, corners, in_squares
from eprop.training import SampleLearner, Training
from eprop.training.cell_activity import MEASURES

pytestmark = pytest.mark.tiny
SMALL: dict[str, Any] = {"scale": 0.001, "dt": 1.0, "duration": 20.0, "window_start": 5.0}


def task(**given: Any) -> MicrocircuitDigits:
    return MicrocircuitDigits(**{**SMALL, **given})


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
    net = task(**given).build_network()
    plastic = {p.name for p in net.projections if p.rule.plastic}
    between = {f"{pre}->{post}" for pre in POPULATIONS[0::2] for post in POPULATIONS[0::2]}
    assert len(plastic & between) == pairs
    assert (plastic - between) == {
        *({"in->L4E", "in->L6E"} if given.get("learn_input", True) else ()),
        *(f"{name}->out" for name in task(**given).heard),
    }
    assert len(net.feedback_projections) == fed_back
    kept = {"in", "out"} if given.get("recurrence") == "none" else {"in", "out", *POPULATIONS}
    assert {p.pre.name for p in net.projections} - {"in"} <= kept | {"L4E", "L6E"}


def test_weights_and_rates_are_in_units_of_the_mean_weight() -> None:
    """A network with other in-degrees learns the same fraction of a weight; a neuron has the same pixels at each scale."""
    for k_scale in (0.01, 0.04):
        net = task(k_scale=k_scale, eta=2e-3).build_network()
        for name, weight in {"in->L4E": CAMERA_UNIT, "L4E->L4E": 87.81 / math.sqrt(k_scale)}.items():
            rule = net.projection(name).rule
            assert isinstance(rule, ep.EPropPlus)
            assert rule.optimizer.eta == pytest.approx(2e-3 * weight**2, rel=1e-4)
            assert (rule.optimizer.w_min, rule.optimizer.w_max) == (0.0, pytest.approx(4.0 * weight, rel=1e-4))
    adam = task(k_scale=0.01, eta=2e-3, optimizer="adam").build_network()
    assert adam.projection("L4E->L4E").rule.learning_rate == pytest.approx(2e-3 * 878.1, rel=1e-4)


def test_readouts_of_more_neurons_have_smaller_weights_and_steps() -> None:
    small, large = MicrocircuitDigits(scale=0.1), MicrocircuitDigits(scale=0.4)
    assert (small.eta_out, small.w_out) == (2e-4, 0.02)
    assert large.eta_out == pytest.approx(5e-5)
    assert large.w_out == pytest.approx(0.01)
    assert MicrocircuitDigits(scale=0.4, eta_out=1e-3).eta_out == 1e-3


def test_a_neuron_receives_the_pixels_of_its_square() -> None:
    found = task(scale=0.01, input_probability=1.0, receptive_field=5)
    sources, targets, weights = ep.Simulator(found.build_network(), threads=1).connections("in->L4E")
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


def test_the_loss_is_per_ms() -> None:
    for dt in (0.5, 1.0):
        assert task(dt=dt).window.sum() == pytest.approx(15.0)
        assert task(dt=dt).n_steps == 20.0 / dt


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recurrence": "off"}, 'MicrocircuitDigits.recurrence must be "plastic", "static" or "none"'),
        ({"readouts_hear": "L5E,L4I"}, 'readouts_hear must be "L23E", "L4E", "L5E" or "L6E", got \'L4I\''),
        ({"window_start": 20.0}, "window_start must be before the end of the sample, 20 ms, got 20"),
        ({"scale": 1e-4}, "leaves no neurons in L5I"),
        ({"scale": 2.0}, "MicrocircuitDigits.scale must be <= 1"),
        ({"feedback": "none"}, "MicrocircuitDigits.feedback must be"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        task(**given)


def test_recordings_of_other_steps_are_refused() -> None:
    found = task()
    with pytest.raises(InputError, match="2312 channels and 20 steps of 1 ms"):
        found.make_samples(found.build_network(), digits.recordings(2, 30))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"c_reg": 0.0}, {"f_target"}),
        ({"feedback": "symmetric"}, set()),
        ({"feedback": "symmetric", "readouts_hear": "L23E,L4E,L5E,L6E"}, {"w_feedback"}),
        (
            {"recurrence": "static", "learn_input": False},
            {"eta", "c_reg", "feedback", "w_feedback", "f_target", "w_max"},
        ),
        ({"rule": "eprop"}, {"kappa", "cutoff", "each_step"}),
    ],
)
def test_parameters_without_effect(given: dict[str, Any], names: set[str]) -> None:
    found = task(**given)
    always = {"beta_square"} if found.rule == "eprop" else {"beta_square", "average_gradient", "clip_norm"}
    assert {name for name in vars(found) if found.unused_reason(name)} == names | always


def test_every_population_is_observed_before_and_after() -> None:
    """Learning at a high rate changes the cells that learn, and observing changes no weight and no state."""
    found = task(scale=0.002, duration=40.0, eta=0.1, c_reg=0.0)
    data = digits.recordings(6, 40)
    seen = SampleLearner(found, ep.Simulator(found.build_network(), threads=1), data, Training(), test=data)
    plain = ep.Simulator(found.build_network(), threads=1)
    blind = SampleLearner(Unobserved(**vars(found)), plain, data, Training(), test=data)
    for learner in (seen, blind):
        while not learner.finished:
            learner.step(lambda: None)
    activity: Any = seen.summary()["activity"]
    assert activity["before"].keys() == activity["after"].keys() == set(POPULATIONS)
    assert all(each.keys() == set(MEASURES) for when in activity.values() for each in when.values())
    assert activity["before"]["L4E"]["rate"] != activity["after"]["L4E"]["rate"]
    assert "activity" not in blind.summary()
    for name, values in plain.state().items():
        assert np.array_equal(values, seen.simulator.state()[name]), name


def test_what_was_observed_first_is_kept_by_the_state() -> None:
    found = task()
    data = digits.recordings(4, 20)
    first, second = (
        SampleLearner(found, ep.Simulator(found.build_network(), threads=1), data, Training(), test=data)
        for _ in range(2)
    )
    first.step(lambda: None)
    second.set_state(first.state())
    assert second.summary()["activity"]["before"] == first.summary()["activity"]["before"]


@dataclass(frozen=True, kw_only=True)
class Unobserved(MicrocircuitDigits):
    """The same task, of which nothing is observed."""

    observed: ClassVar[tuple[str, ...]] = ()


@pytest.mark.parametrize(("rule", "rounds"), [("eprop", 20), ("eprop+", 5)])
def test_learning_lowers_the_loss_of_what_it_learns(rule: str, rounds: int) -> None:
    found = task(scale=0.005, duration=40.0, rule=rule, seed=2)
    sim = ep.Simulator(found.build_network(), threads=1)
    samples = found.make_samples(sim.network, digits.recordings(24, 40))

    def mean_loss(result: BatchResult) -> float:
        return float(result.loss.mean())

    before = mean_loss(sim.evaluate(samples))
    for _ in range(rounds):
        sim.train(samples)
    assert mean_loss(sim.evaluate(samples)) < 0.8 * before
