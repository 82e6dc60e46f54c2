"""Threads, partitions and ranks: into how many parts a network is divided, and that no division changes a bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.engine.ranks import replicas
from eprop.engine.ranks.parallelism import MANY_NEURONS
from eprop.parallel.launch import available_threads
from networks import small_network, two_threads
from ranks_in_threads import on_ranks
from refusals import refuse
from rollout_networks import DELAYS, SIZES, network, samples_of, weights_of

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
SMALL = 30


def simulator(neurons: int, rule: ep.Rule, **options: Any) -> ep.Simulator:
    inputs = {"connectivity": ep.FixedOutdegree(3), "weight": 0.1}
    net = small_network((2, neurons, 1), {"in->rec": inputs}, rule=rule, feedback=ep.RandomFeedback())
    return ep.Simulator(net, **options)


@two_threads
def test_threads_divide_many_neurons_or_when_they_are_asked_to() -> None:
    """By e-prop, which has samples to divide, only those of a large network."""
    available = available_threads()
    for neurons, rule, threads, parts in (
        (SMALL, ep.EPropPlus(), None, 1), (SMALL, ep.EPropPlus(), 2, 2), (MANY_NEURONS, ep.EPropPlus(), None, available),
        (SMALL, ep.Static(), None, 1), (SMALL, ep.Static(), 2, 2), (MANY_NEURONS, ep.Static(), None, available),
        (SMALL, ep.EProp(), None, 1), (SMALL, ep.EProp(), 2, 1), (MANY_NEURONS, ep.EProp(), 1, 1),
        (MANY_NEURONS, ep.EProp(), 2, 2),
    ):  # fmt: skip
        sim = simulator(neurons, rule, threads=threads)
        assert len(sim._arrays.built.topology.branch_start) == parts, (neurons, rule, threads)
        assert sim.threads == (threads or available)


def rollouts(sim: ep.Simulator, n: int = 3) -> list[np.ndarray]:
    """Everything that two rollouts and three of lanes compute, with replays, ends of episodes and learning between them."""
    out, rollout = [], sim.lanes(5)
    for k in range(2):
        rollout.forward(samples_of(sim, seed=k, modulator=np.linspace(0.5, 1.5, 30)))
        gradient = rollout.backward()
        out += [rollout.y.copy(), rollout.errors.copy(), rollout.loss.copy(), rollout.spikes.copy(), *gradient.values()]
        rollout.learn(gradient)
        out += [rollout.replay(), *rollout.backward(np.ones(rollout.y.shape)).values()]
        rollout.reset([1])
    lanes, draw = sim.lanes(n, steps=2), np.random.default_rng(1)
    for _ in range(3):
        out += [lanes.step([np.flatnonzero(draw.random(SIZES[0]) < 0.3) for _ in range(n)]).copy() for _ in range(9)]
        lanes.reset([2])
        out += [lanes.run(11, draw.random((11, n, SIZES[0])) < 0.3), lanes.spikes]
        signals = {"rec": draw.normal(size=(n, 20, SIZES[1]))}
        gradient = lanes.backward(draw.normal(size=(n, 20, SIZES[2])), signals=signals)
        lanes.learn(gradient)
        out += [*gradient.values(), lanes.replay()]
    return [*out, *weights_of(sim).values()]


def many_lanes(sim: ep.Simulator) -> list[np.ndarray]:
    return rollouts(sim, 201)


def one_lane(sim: ep.Simulator) -> list[np.ndarray]:
    """With fewer lanes than threads, the neurons of each lane are divided."""
    rollout = sim.lanes(samples_of(sim, 1, 400))
    return [rollout.y, *rollout.backward().values()]


@two_threads
@pytest.mark.threads
@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("work", [many_lanes, one_lane])
def test_threads_divide_lanes_or_their_neurons(work: Callable[[ep.Simulator], Any], delays: str) -> None:
    net = network("ALIF", delays, noise=True)
    wanted = work(ep.Simulator(net, threads=1))
    for options in ({"partitions": 3}, {"threads": 2}, {"threads": 2, "partitions": 2}):
        assert_same(work(ep.Simulator(net, **{"threads": 1} | options)), wanted, str(options))


@two_threads
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [2, 3, 7])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_ranks_divide_samples_and_lanes(n: int, threads: int, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the five samples of a batch, or in rounds of a sample of each rank. Of seven ranks some have no sample, or no lane."""
    net = network("ALIF", "more", noise=True)

    def work(**options: Any) -> list[Any]:
        sim = ep.Simulator(net, **{"threads": threads, "precision": precision} | options)
        samples, progress = samples_of(sim), list[int]()
        out: list[Any] = [sim.lanes(samples).backward()]
        for _ in range(2):
            results = sim.train(samples, progress=progress.append), sim.evaluate(samples)
            out += [getattr(r, name) for r in results for name in ("y", "loss", "spikes", "neuron_spikes")]
            out.append(sim.events)
        assert sum(progress) == 10
        run = sim.run(20.0, record=[("rec", "v")], spikes=["rec"])
        return [*out, run, *rollouts(sim), sim.state()]

    wanted = work(threads=1)
    for room in (replicas.TERMS_BYTES, 1):
        monkeypatch.setattr(replicas, "TERMS_BYTES", room)
        for rank, found in enumerate(on_ranks(n, lambda comm: work(comm=comm))):
            assert_same(found, wanted, f"rank {rank} of {n}, {room} bytes")


def test_ranks_divide_what_each_lane_is_told() -> None:
    """Windows, of which learned constants take the mean as well, and modulators."""
    neuron = ep.LIF(v_th=ep.Learned(0.5, low=0.2, high=2.0))
    connections, rule = {"in->rec": 0.4, "rec->out": ep.Normal(0.0, 0.5)}, ep.EProp(average_gradient=True)
    net = small_network((4, 5, 2), connections, neuron=neuron, rule=rule, feedback=ep.RandomFeedback())
    rng = np.random.default_rng(1)
    inputs, targets = {"in": rng.random((3, 30, 4)) < 0.3}, {"out": rng.normal(size=(3, 30, 2))}
    window, modulator = np.arange(30) >= np.array([[5], [12], [25]]), rng.normal(size=(3, 30))

    def work(**options: Any) -> dict[str, np.ndarray]:
        sim = ep.Simulator(net, threads=1, **options)
        return sim.lanes(sim.samples(3, 30, inputs, targets, window)).backward(modulator=modulator)

    wanted = work()
    assert wanted["rec.v_th"].any()
    for found in on_ranks(2, lambda comm: work(comm=comm)):
        assert_same(found, wanted)


def test_ranks_refuse_rollouts_together() -> None:
    """What one rank refuses, all refuse."""

    def work(comm: Any) -> int:
        words = "rank 1 has another network than rank 0: .*c_reg is 1.0 there, 0.0 on rank 0"
        with refuse(words, ep.errors.NetworkError):
            ep.Simulator(network(c_reg=float(comm.rank)), threads=1, comm=comm)
        sim = ep.Simulator(network(), threads=1, comm=comm)
        lanes, rollout = sim.lanes(2), sim.lanes(samples_of(sim))
        none = [np.zeros(0, int)] * 2
        lanes.step(none)
        state = lanes.state()
        nan = np.full((5, 30, 2), np.nan if comm.rank else 0.0)
        for words, call in (
            ("refused on rank 1|lane 1: channels must lie", lambda: lanes.step([[], [9 * comm.rank]])),
            ("refused on rank 1|hold values", lambda: rollout.backward(nan)),
            ("rank 1 got other arguments", lambda: rollout.backward(np.full((5, 30, 2), float(comm.rank)))),
            ("calls .* where rank", lambda: sim.lanes(samples_of(sim)) if comm.rank else rollout.backward()),
            ("rank 1 got other arguments", lambda: rollout.forward(samples_of(sim, seed=comm.rank))),
            ("rank 1 got other arguments", lambda: lanes.set_state(state | {"y": state["y"] + comm.rank})),
        ):
            with refuse(words):
                call()
        lanes.step(none)
        return lanes.steps

    assert on_ranks(2, work) == [2, 2]
