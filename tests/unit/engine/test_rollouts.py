"""Lanes that simulate samples: the parts of train; rollouts go on, are replayed, and refuse what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import compare
import eprop as ep
from compare import assert_same, differ
from networks import small_network
from refusals import Refusal, refusals, refuse
from rollout_networks import NEURONS, assert_close, network, samples_of, stimulus

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


@pytest.mark.parametrize("loss", [ep.SquaredError(), ep.CrossEntropy()], ids=["squares", "classes"])
def test_errors_are_those_of_the_loss_and_may_be_given(loss: ep.Loss) -> None:
    sim = ep.Simulator(network("LIF", "more", loss=loss), threads=1)
    samples = sim.samples(4, 30, {"in": stimulus(1, 4, 30)}, labels=[0, 1, 1, 0])
    rollout = sim.lanes(samples)
    share = np.exp(rollout.y) / np.exp(rollout.y).sum(axis=2, keepdims=True)
    compare.assert_close(rollout.errors, (share if loss.softmax else rollout.y) - samples.target, 1e-12)
    assert_same(rollout.backward(rollout.errors.copy()), rollout.backward())


@pytest.mark.parametrize("neuron", NEURONS)
def test_gradients_of_parts_add_up_to_that_of_the_whole(neuron: str) -> None:
    sim = ep.Simulator(network(neuron, "each its own", c_reg=0.0), threads=1)
    events, errors = stimulus(3, 2, 60), np.random.default_rng(3).normal(size=(2, 60, 2))
    whole = sim.lanes(sim.samples(2, 60, {"in": events}))
    rollout, total = sim.lanes(2), {name: np.zeros_like(g) for name, g in whole.backward(errors).items()}
    for begin, end in ((0, 7), (7, 8), (8, 45), (45, 60)):
        y = rollout.forward(sim.samples(2, end - begin, {"in": events[:, begin:end]}))
        assert_same(y, whole.y[:, begin:end])
        for name, g in rollout.backward(errors[:, begin:end]).items():
            total[name] += g
    assert_close(total, whole.backward(errors))


def test_samples_whose_episodes_end_start_again_at_rest() -> None:
    sim = ep.Simulator(network("ALIF", "more", c_reg=0.0), threads=1)
    (first, kept), more = (sim.lanes(samples_of(sim)) for _ in range(2)), samples_of(sim, seed=2)
    y, gradient = first.y, first.backward()
    first.reset([1, 3])
    assert_same(first.replay(), y)
    assert_same(first.backward(), gradient)
    kept.forward(more)
    first.forward(more)
    fresh, ended = sim.lanes(more), np.isin(np.arange(5), [1, 3])
    assert_same(first.y, np.where(ended[:, None, None], fresh.y, kept.y))
    errors = np.zeros_like(y)
    errors[1] = 1.0
    assert_same(first.backward(errors), fresh.backward(errors))
    assert differ(first.backward(errors), kept.backward(errors))
    with refuse("indices of lanes, 0..4, or 5 booleans"):
        first.reset(5)


def test_replay_has_the_same_draws_and_the_present_weights() -> None:
    """A rollout that went on keeps the traces that it began with."""
    sim, other = (ep.Simulator(network("ALIF", "more", noise=True), threads=1) for _ in range(2))
    rollout = sim.lanes(samples_of(sim))
    before, gradient = rollout.y, rollout.backward()
    assert_same(rollout.replay(), before)
    assert_same(rollout.backward(), gradient)
    rollout.learn(gradient)
    other.lanes(1).learn(gradient)
    rollout.replay()
    assert differ(rollout.y, before)
    fresh = other.lanes(samples_of(other))
    assert_same([rollout.y, rollout.loss, rollout.backward()], [fresh.y, fresh.loss, fresh.backward()])
    y, gradient = rollout.forward(samples_of(sim, seed=2)), rollout.backward()
    assert_same(rollout.replay(), y)
    assert_same(rollout.backward(), gradient)


def exploding() -> ep.Simulator:
    sim = ep.Simulator(network(), threads=1)
    sim.set_weights("rec->out", 1e12)
    return sim


def at_spikes() -> ep.Simulator:
    """It learns by a rule that has no rollouts and no gradients."""
    return ep.Simulator(small_network((2, 0, 1), {"in->out": None}, rule=ep.EPropPlus()), threads=1)


@pytest.fixture(scope="module")
def refusing() -> Any:
    """A simulator, lanes that have simulated samples, and their gradient."""
    sim = ep.Simulator(network(), threads=1)
    lanes = sim.lanes(samples_of(sim))
    return sim, lanes, lanes.backward()


@refusals(
    (lambda _, r, __: r.backward(np.zeros((5, 30, 1))), ep.errors.InputError, r"errors must have shape \(5, 30, 2\)"),
    (lambda _, r, __: r.backward(np.full((5, 30, 2), np.nan)), ep.errors.InputError, "values that are not finite"),
    (lambda _, r, __: r.backward(np.full((5, 30, 2), 1e308)), ep.errors.DivergenceError, "a gradient became infinite"),
    (lambda sim, r, _: r.forward(samples_of(sim, 4)), ep.errors.InputError, "there are 5 lanes, got 4 samples"),
    (lambda _, r, __: r.forward(3), ep.errors.InputError, "take Samples"),
    (lambda sim, *_: (lanes := sim.lanes(5), lanes.step(), lanes.backward()), ep.errors.InputError, "backward: give errors"),
    (lambda _, r, __: r.step(), ep.errors.InputError, "step: these lanes simulate samples"),
    (lambda sim, *_: (lanes := sim.lanes(5), lanes.step(), lanes.forward(samples_of(sim))), ep.errors.InputError,
     "forward: these lanes make steps without samples"),
    (lambda _, r, __: r.learn(3), ep.errors.InputError, "learn takes gradients by projection"),
    (lambda _, r, g: r.learn({"in->rec": g["in->rec"]}), ep.errors.InputError, "in->rec, rec->rec, rec->out"),
    (lambda _, r, g: r.learn(g | {"rec->out": np.zeros(3)}), ep.errors.InputError, r"shape \(12,\), got \(3,\)"),
    (lambda _, r, g: r.learn(g | {"rec->out": np.full(12, np.inf)}), ep.errors.InputError, "are not finite"),
    (lambda *_: (sim := exploding()).lanes(samples_of(sim)), ep.errors.DivergenceError, "forward: lane .* exploded"),
    (lambda *_: (sim := at_spikes()).lanes(sim.samples(1, 5)), ep.errors.InputError, "give a projection the rule EProp"),
    (lambda *_: at_spikes().lanes(2), ep.errors.InputError, "give a projection the rule EProp"),
)  # fmt: skip
def test_what_does_not_fit_a_rollout_is_refused(refusal: Refusal, refusing: Any) -> None:
    refusal.check(*refusing)
    assert refusing[0].updates == 0


@refusals(
    (lambda sim, samples: sim.lanes(samples), ep.errors.MemoryLimitError, r"200 lanes of 3,00. steps"),
    (lambda sim, _: sim.lanes(10_000, steps=2000), ep.errors.MemoryLimitError, "10,000 lanes of 2,000 steps"),
    (lambda sim, _: sim.lanes(2, steps=10**18), ep.errors.MemoryLimitError, "2 lanes of 1,(000,){5}000 .* take 16000000000.0 GB"),
)  # fmt: skip
def test_lanes_that_do_not_fit_into_memory_are_refused(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    sim = ep.Simulator(network(), threads=1)
    samples = samples_of(sim, 200, 3000)
    monkeypatch.setattr("eprop.engine.build.check.available_memory", lambda: 50_000_000)
    refusal.check(sim, samples)
