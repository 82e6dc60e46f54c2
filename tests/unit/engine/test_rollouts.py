"""Rollouts: forward, backward and learn are the parts of train; rollouts go on, are replayed, and refuse what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import compare
import eprop as ep
from compare import assert_same, differ
from eprop.checks import time_driven
from eprop.reference import TimeDrivenLanes
from networks import small_network, two_threads
from ranks_in_threads import on_ranks
from refusals import Refusal, refusals, refuse
from rollout_networks import (
    DELAYS,
    FEEDBACK,
    NEURONS,
    SIZES,
    TOLERANCE,
    assert_close,
    follow,
    network,
    stimulus,
    weights_of,
)

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


def samples_of(sim: ep.Simulator, n: int = 5, steps: int = 30, seed: int = 1, **more: Any) -> ep.Samples:
    targets = np.random.default_rng(seed + 100).normal(size=(n, steps, SIZES[2]))
    return sim.samples(n, steps, {"in": stimulus(seed, n, steps)}, {"out": targets}, **more)


# ------------------------------------------------------------------------------------------ the parts of train


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("feedback", FEEDBACK)
@pytest.mark.parametrize("delays", DELAYS)
def test_forward_backward_and_learn_have_the_bits_of_train(precision: str, feedback: str, delays: str) -> None:
    net = network("ALIF", delays, feedback, noise=True, average_gradient=True)
    whole, parts = (ep.Simulator(net, threads=1, precision=precision) for _ in range(2))
    for seed in range(3):
        samples = samples_of(whole, 3, seed=seed, window=np.linspace(0.0, 1.0, 30))
        wanted, result = whole.gradients(samples), whole.train(samples)
        rollout = parts.forward(samples)
        assert_same(rollout.y, result.y)
        assert_same(rollout.loss, result.loss)
        assert_same(rollout.spikes, result.spikes)
        found = rollout.backward()
        assert_same(found, wanted)
        parts.learn(found)
        for name in found:
            assert_same(parts.connections(name)[2], whole.connections(name)[2])
        assert_same(parts.feedback_weights("out", "rec"), whole.feedback_weights("out", "rec"))
    assert parts.updates == 3


def told(seed: int, n: int, steps: int) -> dict[str, Any]:
    """Signals and a modulator from outside."""
    draw = np.random.default_rng(seed)
    return {"signals": {"rec": draw.normal(size=(n, steps, SIZES[1]))}, "modulator": draw.normal(size=(n, steps))}


@pytest.mark.parametrize("delays", DELAYS)
def test_external_values_count_as_in_train(delays: str) -> None:
    sim = ep.Simulator(network("ALIF", delays), threads=1)
    plain, samples = samples_of(sim), samples_of(sim, **told(1, 5, 30))
    found = sim.forward(samples).backward()
    assert_same(found, sim.gradients(samples))
    assert differ(found["in->rec"], sim.forward(plain).backward()["in->rec"])


@pytest.mark.parametrize("partitions", [1, 3])
def test_given_errors_of_the_loss_give_its_gradient(partitions: int) -> None:
    sim = ep.Simulator(network("LIF", "more"), threads=1, partitions=partitions)
    samples = samples_of(sim)
    rollout = sim.forward(samples)
    assert_same(rollout.backward(rollout.y - samples.target), sim.gradients(samples))


def test_errors_of_a_softmax_are_those_of_its_targets() -> None:
    sim = ep.Simulator(network(loss=ep.CrossEntropy()), threads=1)
    samples = sim.samples(4, 30, {"in": stimulus(1, 4, 30)}, labels=[0, 1, 1, 0])
    rollout = sim.forward(samples)
    assert_same(rollout.backward(), sim.gradients(samples))
    share = np.exp(rollout.y) / np.exp(rollout.y).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(rollout.errors, share - samples.target, rtol=1e-12, atol=1e-15)


@two_threads
@pytest.mark.threads
def test_thread_count_does_not_change_rollouts() -> None:
    found = []
    for threads in (1, 2):
        sim = ep.Simulator(network("ALIF", "more", noise=True), threads=threads)
        first = sim.forward(samples_of(sim, 11))
        second = sim.forward(samples_of(sim, 11, 17, seed=2), after=first)
        found.append((first.y, second.y, first.backward(), second.backward()))
    assert_same(found[0], found[1])


# ------------------------------------------------------------------------------------------- rollouts that go on


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("delays", DELAYS)
def test_a_rollout_that_continues_equals_traces_that_run_on(neuron: str, delays: str) -> None:
    net = network(neuron, delays, "symmetric")
    sim, reference, rollout = ep.Simulator(net, threads=1), TimeDrivenLanes(time_driven(net), 3), None
    for seed, steps in enumerate((25, 2, 1, 40)):
        follow(reference, sim)
        events = stimulus(seed, 3, steps)
        outside = told(seed, 3, steps)
        rollout = sim.forward(sim.samples(3, steps, {"in": events}, **outside), after=rollout)
        wanted = np.stack([reference.step([np.flatnonzero(e) for e in events[:, t]]) for t in range(steps)], axis=1)
        compare.assert_close(rollout.y, wanted, TOLERANCE)
        errors = np.random.default_rng(seed).normal(size=rollout.y.shape)
        found = rollout.backward(errors)
        assert_close(found, reference.backward(errors, outside["signals"]["rec"], outside["modulator"]))
        sim.learn(found)


@pytest.mark.parametrize("neuron", NEURONS)
def test_gradients_of_parts_add_up_to_that_of_the_whole(neuron: str) -> None:
    sim = ep.Simulator(network(neuron, "each its own", c_reg=0.0), threads=1)
    events, errors = stimulus(3, 2, 60), np.random.default_rng(3).normal(size=(2, 60, 2))
    whole = sim.forward(sim.samples(2, 60, {"in": events}))
    rollout, total = None, {name: np.zeros_like(g) for name, g in whole.backward(errors).items()}
    for begin, end in ((0, 7), (7, 8), (8, 45), (45, 60)):
        rollout = sim.forward(sim.samples(2, end - begin, {"in": events[:, begin:end]}), after=rollout)
        assert_same(rollout.y, whole.y[:, begin:end])
        for name, g in rollout.backward(errors[:, begin:end]).items():
            total[name] += g
    assert_close(total, whole.backward(errors))


def test_a_rollout_can_be_continued_twice() -> None:
    sim = ep.Simulator(network("ALIF", "more"), threads=1)
    first = sim.forward(samples_of(sim))
    more = samples_of(sim, seed=2)
    one, other = (sim.forward(more, after=first) for _ in range(2))
    assert_same(one.y, other.y)
    assert_same(one.backward(), other.backward())


def test_samples_whose_episodes_end_start_again_at_rest() -> None:
    sim = ep.Simulator(network("ALIF", "more", c_reg=0.0), threads=1)
    first, more = sim.forward(samples_of(sim)), samples_of(sim, seed=2)
    y, gradient = first.y.copy(), first.backward()
    kept = sim.forward(more, after=first)
    first.reset([1, 3])
    second, fresh = sim.forward(more, after=first), sim.forward(more)
    ended = np.isin(np.arange(5), [1, 3])
    assert_same(second.y, np.where(ended[:, None, None], fresh.y, kept.y))
    errors = np.zeros_like(y)
    errors[1] = 1.0
    assert_same(second.backward(errors), fresh.backward(errors))
    assert differ(second.backward(errors), kept.backward(errors))
    assert_same(first.replay().y, y)
    assert_same(first.backward(), gradient)
    with refuse("lanes are 0..4, got 5..5"):
        first.reset(5)


def test_replay_has_the_same_draws_and_the_present_weights() -> None:
    sim, other = (ep.Simulator(network("ALIF", "more", noise=True), threads=1) for _ in range(2))
    rollout = sim.forward(samples_of(sim))
    before, gradient = rollout.y.copy(), rollout.backward()
    assert_same(rollout.replay().y, before)
    assert_same(rollout.backward(), gradient)
    sim.learn(gradient)
    other.learn(gradient)
    rollout.replay()
    assert differ(rollout.y, before)
    fresh = other.forward(samples_of(other))
    assert_same(rollout.y, fresh.y)
    assert_same(rollout.loss, fresh.loss)
    assert_same(rollout.backward(), fresh.backward())


def test_replay_of_a_rollout_that_went_on_keeps_the_traces_it_began_with() -> None:
    sim = ep.Simulator(network("ALIF", "more"), threads=1)
    second = sim.forward(samples_of(sim, seed=2), after=sim.forward(samples_of(sim)))
    y, gradient = second.y.copy(), second.backward()
    second.replay()
    assert_same(second.y, y)
    assert_same(second.backward(), gradient)


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.fixture(scope="module")
def refusing() -> Any:
    """A simulator, another one like it, a rollout and its gradient."""
    sim, other = (ep.Simulator(network(), threads=1) for _ in range(2))
    rollout = sim.forward(samples_of(sim))
    return sim, other, rollout, rollout.backward()


@refusals(
    (lambda _, __, r, ___: r.backward(np.zeros((5, 30, 1))), ep.InputError, r"errors must have shape \(5, 30, 2\)"),
    (lambda _, __, r, ___: r.backward(np.full((5, 30, 2), np.nan)), ep.InputError, "values that are not finite"),
    (lambda _, __, r, ___: r.backward(np.full((5, 30, 2), 1e308)), ep.DivergenceError, "a gradient became infinite"),
    (lambda sim, _, r, __: sim.forward(samples_of(sim, 4), after=r), ep.InputError, "has 5 samples, got 4"),
    (lambda _, other, r, __: other.forward(samples_of(other), after=r), ep.InputError, "to another simulator"),
    (lambda sim, *_: sim.forward(samples_of(sim), after=3), ep.InputError, "after must be a Rollout, got int"),
    (lambda sim, *_: sim.learn(3), ep.InputError, "learn takes gradients by projection"),
    (lambda sim, _, __, g: sim.learn({"in->rec": g["in->rec"]}), ep.InputError, "in->rec, rec->rec, rec->out"),
    (lambda sim, _, __, g: sim.learn(g | {"rec->out": np.zeros(3)}), ep.InputError, r"shape \(12,\), got \(3,\)"),
    (lambda sim, _, __, g: sim.learn(g | {"rec->out": np.full(12, np.inf)}), ep.InputError, "are not finite"),
)
def test_what_does_not_fit_a_rollout_is_refused(refusal: Refusal, refusing: Any) -> None:
    refusal.check(*refusing)
    assert refusing[0].updates == 0


@refusals(
    (lambda sim: sim.forward(sim.samples(1, 5)), ep.InputError, "give a projection the rule EProp"),
    (lambda sim: sim.lanes(2), ep.InputError, "give a projection the rule EProp"),
    (lambda sim: sim.gradients(sim.samples(1, 5)), ep.InputError, "give a projection the rule EProp"),
)
def test_a_rule_that_learns_at_spikes_has_no_rollouts_or_gradients(refusal: Refusal) -> None:
    refusal.check(ep.Simulator(small_network((2, 0, 1), {"in->out": None}, rule=ep.EPropPlus()), threads=1))


def rollouts_of(sim: ep.Simulator) -> list[np.ndarray]:
    """Everything that two rollouts and three of lanes compute, with replays, ends of episodes and learning between them."""
    out, rollout = [], None
    for k in range(2):
        rollout = sim.forward(samples_of(sim, seed=k, modulator=np.linspace(0.5, 1.5, 30)), rollout)
        gradient = rollout.backward()
        out += [rollout.y.copy(), rollout.errors.copy(), rollout.loss.copy(), rollout.spikes.copy(), *gradient.values()]
        sim.learn(gradient)
        out += [rollout.replay().y, *rollout.backward(np.ones(rollout.y.shape)).values()]
        rollout.reset([1])
    lanes, draw = sim.lanes(3, steps=2), np.random.default_rng(1)
    for _ in range(3):
        out += [lanes.step([np.flatnonzero(draw.random(SIZES[0]) < 0.3) for _ in range(3)]).copy() for _ in range(9)]
        lanes.reset([2])
        out += [lanes.run(11, draw.random((11, 3, SIZES[0])) < 0.3), lanes.spikes]
        signals = {"rec": draw.normal(size=(3, 20, SIZES[1]))}
        gradient = lanes.backward(draw.normal(size=(3, 20, SIZES[2])), signals=signals)
        sim.learn(gradient)
        out += [*gradient.values(), lanes.replay()]
    return [*out, *weights_of(sim).values()]


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("neuron", ["LIF", "DeltaALIF"])
def test_ranks_and_partitions_do_not_change_rollouts(neuron: str, delays: str, precision: str) -> None:
    net = network(neuron, delays, noise=True)
    wanted = rollouts_of(ep.Simulator(net, threads=1, precision=precision))
    division = [rollouts_of(ep.Simulator(net, threads=1, precision=precision, partitions=3))]
    for n in (2, 3):
        division += on_ranks(n, lambda comm: rollouts_of(ep.Simulator(net, threads=1, precision=precision, comm=comm)))
    for found in division:
        assert_same(found, wanted)


@two_threads
def test_threads_divide_a_single_lane() -> None:
    """With fewer lanes than threads, the neurons of each lane are divided."""
    net, found = network("ALIF", "more", noise=True), []
    for threads, partitions in ((1, 1), (2, 2)):
        sim = ep.Simulator(net, threads=threads, partitions=partitions)
        rollout = sim.forward(samples_of(sim, 1, 400))
        found.append([rollout.y, *rollout.backward().values()])
    assert_same(*found)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_data_ranks_divide_samples_and_lanes(n: int) -> None:
    """The states have the same bits; gradients are added in the order of the ranks. Of seven ranks some have no lane."""
    net = network("ALIF", "more", noise=True)
    wanted = rollouts_of(ep.Simulator(net, threads=1))
    division = on_ranks(n, lambda comm: rollouts_of(ep.Simulator(net, threads=1, comm=comm, parallel="data")))
    for found in division[1:]:
        assert_same(found, division[0])
    compare.assert_close(division[0], wanted, 1e-9)


def test_ranks_refuse_rollouts_together() -> None:
    """What one rank refuses, all refuse; a state of lanes belongs to one process."""

    def work(comm: Any) -> int:
        sim = ep.Simulator(network(), threads=1, comm=comm)
        lanes, rollout = sim.lanes(2), sim.forward(samples_of(sim))
        none = [np.zeros(0, int)] * 2
        lanes.step(none)
        calls = [
            ("refused on rank 1|out of range", lambda: lanes.step([[9 * comm.rank], []])),
            (
                "refused on rank 1|hold values",
                lambda: rollout.backward(np.full((5, 30, 2), np.nan if comm.rank else 0.0)),
            ),
            ("rank 1 got other arguments", lambda: rollout.backward(np.full((5, 30, 2), float(comm.rank)))),
            ("rank 1 got other arguments", lambda: sim.forward(samples_of(sim, seed=comm.rank))),
            ("for one process", lanes.state),
        ]
        for words, call in calls:
            with refuse(words):
                call()
        lanes.step(none)
        return lanes.steps

    assert on_ranks(2, work) == [2, 2]


def test_an_exploding_rollout_raises() -> None:
    sim = ep.Simulator(network(), threads=1)
    sim.set_weights("rec->out", 1e12)
    with pytest.raises(ep.DivergenceError, match="exploded"):
        sim.forward(samples_of(sim))


def test_lanes_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from eprop.engine.build import memory

    sim = ep.Simulator(network(), threads=1)
    samples = samples_of(sim, 200, 3000)
    monkeypatch.setattr(memory, "available_memory", lambda: 50_000_000)
    with pytest.raises(ep.MemoryLimitError, match=r"200 lanes of 3,00. steps"):
        sim.forward(samples)
    with pytest.raises(ep.MemoryLimitError, match="10,000 lanes of 2,000 steps"):
        sim.lanes(10_000, steps=2000)
    with pytest.raises(
        ep.MemoryLimitError, match=r"2 lanes of 1,000,000,000,000,000,000 steps would take 16000000000.0 GB"
    ):
        sim.lanes(2, steps=10**18)
