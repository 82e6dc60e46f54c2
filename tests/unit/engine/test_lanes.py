"""Lanes side by side: steps, ends of episodes at any step, rollouts, replays, states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same, differ
from eprop.engine.run import lanes as module
from refusals import Refusal, each_of, refusals, refuse
from rollout_networks import DELAYS, NEURONS, SIZES, assert_close, check_lanes, network, stimulus

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
N, ROLLOUTS, STEPS = 4, 4, 24


def channels(seed: int, n: int = N) -> list[np.ndarray]:
    return [np.flatnonzero(e) for e in stimulus(seed, n, 1)[:, 0]]


def ended(seed: int, n: int = N) -> list[int]:
    """Lanes whose episodes end after a step; often none, now and then several, two steps in a row as well."""
    draw = np.random.default_rng(1000 + seed)
    return [s for s in range(n) if draw.random() < 0.07]


def stepped(lanes: Any, seeds: Any) -> list[np.ndarray]:
    """Outputs of steps; the episodes of some lanes end after each."""
    y = []
    for seed in seeds:
        y.append(lanes.step(channels(seed, lanes.n)).copy())
        lanes.reset(ended(seed, lanes.n))
    return y


def errors_like(y: list[np.ndarray], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(y[0]), len(y), y[0].shape[1]))


def play(lanes: Any, first: int, rollouts: int = ROLLOUTS, replays: int = 0) -> list[Any]:
    """Rollouts with ends of episodes at random steps, and all that comes out."""
    found: list[Any] = []
    for number in range(first, first + rollouts):
        y = stepped(lanes, range(number * STEPS, (number + 1) * STEPS))
        errors = errors_like(y, number)
        for _ in range(replays):
            lanes.learn(lanes.backward(errors))
            found.append(lanes.replay())
        gradient = lanes.backward(errors)
        lanes.learn(gradient)
        found += [np.stack(y), gradient]
    return found


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("delays", DELAYS)
def test_lanes_equal_traces_that_run_on(neuron: str, delays: str) -> None:
    net = network(neuron, delays, "symmetric", average_gradient=True)
    assert check_lanes(net, N, (STEPS, STEPS, 1, STEPS), channels, ended, external=True) > 10


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("delays", DELAYS)
def test_lanes_without_ends_are_rollouts_of_samples_that_go_on(neuron: str, delays: str) -> None:
    """So that rollouts, too, equal traces that run on."""
    one, other = (ep.Simulator(network(neuron, delays, "symmetric"), threads=1) for _ in range(2))
    lanes, rollout = one.lanes(N), other.lanes(N)
    for seed, steps in enumerate((25, 2, 1, 40)):
        events, draw = stimulus(seed, N, steps), np.random.default_rng(seed)
        told = {"signals": {"rec": draw.normal(size=(N, steps, SIZES[1]))}, "modulator": draw.normal(size=(N, steps))}
        y = np.stack([lanes.step(np.ascontiguousarray(events[:, t])).copy() for t in range(steps)], axis=1)
        rollout.forward(other.samples(N, steps, {"in": events}, **told))
        assert_same([y, lanes.spikes], [rollout.y, rollout.spikes])
        errors = draw.normal(size=y.shape)
        gradient = lanes.backward(errors, **told)
        assert_same(rollout.backward(errors), gradient)
        lanes.learn(gradient)
        rollout.learn(gradient)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_replay_gives_what_the_present_weights_would_have_given(precision: str) -> None:
    net = network("ALIF", "more", noise=True)
    sim, other = (ep.Simulator(net, threads=1, precision=precision) for _ in range(2))
    lanes, fresh = sim.lanes(N), other.lanes(N)
    y = stepped(lanes, range(STEPS))
    assert_same(lanes.replay(), np.stack(y, axis=1))
    errors = errors_like(y, 0)
    gradient = lanes.backward(errors)
    assert_same(gradient, lanes.backward(errors))
    lanes.learn(gradient)
    fresh.learn(gradient)
    wanted = stepped(fresh, range(STEPS))
    assert differ(wanted, y)
    assert_same(lanes.replay(), np.stack(wanted, axis=1))
    assert_same(lanes.backward(errors), fresh.backward(errors))
    assert_same(play(lanes, 1, 2), play(fresh, 1, 2))


@pytest.mark.parametrize("cut", ["within a rollout", "after a rollout", "after a replay", "before any step"])
def test_a_state_resumes_with_the_same_bits(cut: str) -> None:
    net = network("ALIF", "each its own", noise=True)
    sim = ep.Simulator(net, threads=1, partitions=1)
    lanes = sim.lanes(N)
    if cut != "before any step":
        play(lanes, 0, 2, replays=int(cut == "after a replay"))
    if cut == "within a rollout":
        stepped(lanes, range(90, 95))
    other = ep.Simulator(net, threads=1, partitions=3)
    again = other.lanes(N, steps=3)
    again.set_state(lanes.state())
    other.set_state(sim.state())
    assert again.steps == lanes.steps
    if cut == "within a rollout":
        errors = np.random.default_rng(0).normal(size=(N, lanes.steps, SIZES[2]))
        assert_same(again.backward(errors), lanes.backward(errors))
        assert_same(again.replay(), lanes.replay())
    assert_same(play(lanes, 5, 2), play(again, 5, 2))
    assert_same(again.state(), lanes.state())


def test_a_reset_lane_is_one_at_rest() -> None:
    """Whenever it is reset: before any step, twice, or between two rollouts."""
    sim = ep.Simulator(network("DeltaALIF", "more"), threads=1)
    fresh = sim.lanes(N)
    wanted = [fresh.step(channels(t)).copy() for t in range(STEPS)]
    errors = errors_like(wanted, 1)
    gradient = fresh.backward(errors)
    lanes = sim.lanes(N)
    for between in (False, True):
        lanes.reset(range(N))
        for t in range(50, 57):
            lanes.step(channels(t))
        if between:
            lanes.backward(np.zeros((N, 7, SIZES[2])))
        lanes.reset(np.ones(N, bool))
        lanes.reset(range(N))
        if not between:
            lanes.backward(np.zeros((N, 7, SIZES[2])))
        assert_same([lanes.step(channels(t)).copy() for t in range(STEPS)], wanted[:STEPS])
        assert_close(lanes.backward(errors), gradient)


def test_lanes_that_do_not_learn_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS_UNLEARNED", 16)
    sim = ep.Simulator(network("ALIF", "more"), threads=1)
    learning, running = sim.lanes(N), sim.lanes(N, steps=4, learn=False)
    assert_same(stepped(learning, range(100)), stepped(running, range(100)))
    assert running._core.rows < 200 < learning._core.rows


def test_lanes_see_weights_that_are_set() -> None:
    """From the next step on, as if they had been so from the beginning: nothing arrives in the first step."""
    sim, other, unchanged = (ep.Simulator(network(), threads=1) for _ in range(3))
    other.set_weights("in->rec", 0.9)
    lanes, wanted, before = (one.lanes(N) for one in (sim, other, unchanged))
    for t in range(6):
        y = [one.step(channels(t)).copy() for one in (lanes, wanted, before)]
        assert_same(y[0], y[1])
        if t == 0:
            sim.set_weights("in->rec", 0.9)
    assert differ(y[0], y[2])


def test_lanes_see_the_weights_of_a_state_that_is_set() -> None:
    """With delays, the weights of spikes in flight as well."""
    sim, other = (ep.Simulator(network(delays="more"), threads=1) for _ in range(2))
    lanes, wanted = sim.lanes(N), other.lanes(N)
    for t in range(STEPS):
        assert_same(*(one.step(channels(t)).copy() for one in (lanes, wanted)))
        if t == STEPS // 2:
            other.set_weights("in->rec", 0.9)
            sim.set_state(other.state())


def test_several_steps_at_once_have_the_bits_of_one_after_the_other() -> None:
    net = network("ALIF", "more", noise=True)
    one, many = (ep.Simulator(net, threads=1).lanes(N, steps=4) for _ in range(2))
    events = stimulus(1, 40, N)
    for begin, end in ((0, 7), (7, 8), (8, 40)):
        wanted = np.stack([one.step(now).copy() for now in events[begin:end]], axis=1)
        given = events[begin:end] if begin else events[begin:end].astype(float)
        assert_same(many.run(end - begin, given), wanted)
        for lanes in (one, many):
            lanes.reset([1])
    errors = np.random.default_rng(0).normal(size=(N, 40, SIZES[2]))
    assert_same(one.backward(errors), many.backward(errors))
    assert_same(many.run(2), np.stack([one.step().copy() for _ in range(2)], axis=1))
    with refuse(r"must have shape \(2, 4, 5\), got \(3, 4, 5\)"):
        many.run(2, events[:3])
    with refuse("input 'in' must hold only zeros and ones"):
        many.run(2, np.full((2, N, 5), 2, np.uint8))


def two_sources() -> ep.Simulator:
    net, rule = ep.Network(seed=1), ep.EProp()
    rec, out = net.add(ep.LIF(v_th=0.5), 3, "rec"), net.add(ep.Readout(), 1, "out")
    for name in ("a", "b"):
        net.connect(net.add(ep.EventSource(), 4, name), rec, weight=ep.Normal(0.5, 0.3), rule=rule)
    net.connect(rec, out, weight=ep.Normal(0.5, 0.3), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    return ep.Simulator(net, threads=1)


def test_all_ways_to_give_channels_are_one() -> None:
    events = stimulus(3, N, 30)[:, :, :4]
    lists = [[np.flatnonzero(e) for e in events[:, t]] for t in range(30)]
    found = []
    for given in (
        lambda t: lists[t],
        lambda t: np.ascontiguousarray(events[:, t]),
        lambda t: events[:, t].astype(np.uint8),
        lambda t: events[:, t].astype(float),
        lambda t: tuple(c[::-1].astype(np.int32) for c in lists[t]),
        lambda t: [c.astype(np.int32) for c in lists[t]],
        lambda t: [c.tolist() for c in lists[t]],
    ):
        lanes = two_sources().lanes(N)
        found.append([lanes.step({"a": given(t), "b": given((t + 7) % 30)}).copy() for t in range(30)])
        found[-1].append(lanes.step().copy())
    for other in found[1:]:
        assert_same(other, found[0])
    assert np.ptp(found[0]) > 0.0


def exploding() -> ep.Simulator:
    sim = ep.Simulator(network(), threads=1)
    sim.set_weights("rec->out", 1e12)
    return sim


NONE = [np.zeros(0, int)] * 2


@refusals(
    (lambda lanes: lanes.step(NONE), ep.errors.InputError, "by the names of the event sources"),
    (lambda lanes: lanes.step({"c": NONE}), ep.errors.InputError, "no event source named 'c'"),
    (lambda lanes: lanes.step({"a": [np.array([0]), np.array([4])]}), ep.errors.InputError, "lane 1: channels must lie"),
    (lambda lanes: lanes.step({"b": [np.array([1, 1]), np.array([3])]}), ep.errors.InputError, "lane 0: a channel has two"),
    (lambda lanes: lanes.step({"a": NONE[:1]}), ep.errors.InputError, "for each of 2 lanes"),
    (lambda lanes: lanes.step({"a": "ab"}), ep.errors.InputError, "for each of 2 lanes"),
    (lambda lanes: lanes.step({"a": [np.array([0.5]), np.array([1])]}), ep.errors.InputError, "a list of whole numbers"),
    (lambda lanes: lanes.step({"a": np.zeros((2, 3))}), ep.errors.InputError, r"must have shape \(2, 4\), got \(2, 3\)"),
    (lambda lanes: lanes.step({"a": np.full((2, 4), 2.0)}), ep.errors.InputError, "must hold only zeros and ones"),
    (lambda lanes: lanes.step({"a": np.full((2, 4), 2, np.uint8)}), ep.errors.InputError, "must hold only zeros and ones"),
    (lambda lanes: lanes.run(0), ep.errors.InputError, "number of steps must be a whole number >= 1"),
    (lambda lanes: lanes.reset([-1, 5]), ep.errors.InputError, "indices of lanes, 0..1, or 2 booleans"),
    (lambda lanes: lanes.reset([0.5]), ep.errors.InputError, "indices of lanes, 0..1, or 2 booleans"),
    (lambda lanes: lanes.replay(), ep.errors.InputError, "no step since the last rollout"),
    (lambda lanes: lanes.backward(np.zeros((2, 0, 1))), ep.errors.InputError, "no step since the last rollout"),
    (lambda _: two_sources().lanes(0), ep.errors.InputError, "number of lanes must be a whole number >= 1"),
    (lambda _: two_sources().lanes(2**62), ep.errors.InputError, "number of lanes must be at most 1,000,000,000,000,000,000"),
    (lambda _: two_sources().lanes(2**40), ep.errors.MemoryLimitError, "1,099,511,627,776 lanes would take"),
    (lambda _: two_sources().lanes(1, 10**30), ep.errors.InputError, "number of steps must be at most"),
    (lambda lanes: lanes.run(10**30), ep.errors.InputError, "number of steps must be at most"),
    (lambda lanes: lanes.run(2**33), ep.errors.MemoryLimitError, "2 lanes of 8,589,934,592 steps would take"),
    (lambda _: two_sources().lanes(2, learn="no"), ep.errors.InputError, "learn must be True or False"),
    *each_of([lambda lanes: lanes.replay(), lambda lanes: lanes.backward(np.zeros((2, 1, 1)))],
             lambda call, _: call(two_sources().lanes(2, learn=False)), ep.errors.InputError, "made with learn=False"),
    *each_of([lambda lanes: lanes.run(50, np.ones((50, 2, 5))), lambda lanes: [lanes.step(np.ones((2, 5))) for _ in range(50)]],
             lambda call, _: call(exploding().lanes(2)), ep.errors.DivergenceError, "step: lane .* exploded"),
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_has_happened(refusal: Refusal) -> None:
    lanes = two_sources().lanes(2)
    refusal.check(lanes)
    assert lanes.steps == 0
    lanes.step()
    with refuse(r"errors must have shape \(2, 1, 1\)"):
        lanes.backward(np.zeros((2, 2, 1)))


DAMAGES = [
    *((f"spikes/{name}", change, words) for name, change, words in (
        ("sources", lambda values: values + 99, "nodes that do not exist"),
        ("sources", lambda values: values - 99, "nodes that do not exist"),
        ("sources", lambda values: np.sort(values)[::-1], "in the wrong order"),
        ("counts", lambda values: values - 1, "does not tell the spikes|in the wrong order"),
        ("counts", lambda values: np.where(np.arange(values.size) < values.size - 1, values, 2**63 - 1), "does not tell"))),
    ("counters", lambda values: values - 10**6, "its counters must be"),
    ("counters", lambda values: values + 2**40, "cuts has"),  # room would be made for as many
    *((name, lambda values: values[:-1], "damaged") for name in (
        "counters", "neurons", "psi", "traces", "spikes/counts", "spikes/sources")),
    *((name, lambda values: values[..., :-1], "has another shape") for name in ("neurons", "y", "psi", "traces")),
    ("lanes", lambda _: [N, 2**50, 0], "does not tell the spikes of all steps"),
    ("lanes", lambda _: [N, STEPS, 2], "'lanes' must hold"),
    ("lanes", lambda _: [N, 1.5, 0], "'lanes' must be whole numbers"),
    ("counters", lambda values: values + 0.5, "whole numbers"),
    ("neurons", lambda values: values * np.nan, "not finite"),
    ("psi", lambda values: values + 0j, "must be real numbers"),
    ("y", lambda values: values[:, None], "damaged: y has another number of axes"),
    ("traces", lambda _: 0.0, "damaged: traces has another number of axes"),
    ("cuts", lambda values: values + 10**6, "at the latest after step"),
]  # fmt: skip


def test_states_refuse_what_does_not_fit() -> None:
    sim = ep.Simulator(network("ALIF", "more"), threads=1)
    lanes = sim.lanes(N)
    play(lanes, 0, 2)
    before = lanes.state()
    for taker, state, words in (
        (sim.lanes(3), before, "the state has 4 lanes, but there are 3"),
        (ep.Simulator(network("LIF", "more"), threads=1).lanes(N), before, "rec is ALIF there, LIF here"),
        (lanes, 3, "this one lacks .*psi.*spikes/counts"),
        (lanes, {name: value for name, value in before.items() if name != "cuts"}, "this one lacks cuts"),
        *((lanes, before | {name: np.array(made(before[name]))}, words) for name, made, words in DAMAGES),
    ):
        with refuse(words):
            taker.set_state(state)
    assert_same(lanes.state(), before)


class InterruptedOnce:
    """A rollout of the core whose first replay is interrupted before its end."""

    def __init__(self, core: Any):
        self._core, self._whole = core, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def forward(self, request: Any) -> None:
        self._core.forward(request)
        if not self._whole:
            self._whole = True
            raise KeyboardInterrupt


def test_an_interrupted_replay_is_done_again_before_anything_else() -> None:
    sim = ep.Simulator(network("ALIF", "more", noise=True), threads=1)
    lanes, rollout = sim.lanes(N), sim.lanes(sim.samples(N, STEPS, {"in": stimulus(1, N, STEPS)}))
    y = stepped(lanes, range(STEPS))
    errors = errors_like(y, 1)
    wanted = lanes.backward(errors), rollout.backward(errors)
    for one in (lanes, rollout):
        one._core = InterruptedOnce(one._core)
        with pytest.raises(KeyboardInterrupt):
            one.replay()
    refused = [
        lambda: lanes.step(), lambda: lanes.reset([0]), lambda: lanes.backward(errors), lanes.state,
        rollout.backward, lambda: rollout.forward(sim.samples(N, 3)),
    ]  # fmt: skip
    for call in refused:
        with refuse("was interrupted"):
            call()
    assert_same(lanes.replay(), np.stack(y, axis=1))
    assert_same(lanes.backward(errors), wanted[0])
    rollout.replay()
    assert_same(rollout.backward(errors), wanted[1])
