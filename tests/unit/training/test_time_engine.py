"""``--engine time``: the reference in the place of the simulator has the same losses, and resumes from its state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.tasks import EvidenceAccumulation, PatternGeneration, Task
from eprop.training import evaluate
from eprop.training.engines import TimeDrivenEngine
from refusals import state_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

PATTERN = {
    "duration": 80.0, "neurons": 8, "inputs": 6, "input_rate": 200.0, "lead": 10.0, "w_in": 1.0, "eta": 1e-3, "eta_out": 1e-3,
}  # fmt: skip
EVIDENCE = {
    "lif": 6, "alif": 0, "group": 2, "cues": 3, "cue": 20.0, "gap": 5.0, "delay": 20.0, "recall": 20.0, "cue_rate": 200.0,
}  # fmt: skip
RULES = ("eprop", "eprop+")
tasks = pytest.mark.parametrize(
    "task",
    [
        *(PatternGeneration(**PATTERN, rule=rule, cutoff=500.0) for rule in RULES),
        *(EvidenceAccumulation(**EVIDENCE, rule=rule, feedback="random", optimizer="adam") for rule in RULES),
    ],
    ids=lambda task: f"{task.name} {task.rule}",
)


def splits_of(task: Task) -> Any:
    choice = task.data(**{**task.default_data(), "samples": 4, "test_samples": 3})
    return choice.load(task)


def learn(task: Task, engine: Any, batches: int = 5) -> np.ndarray:
    """Losses of all samples of some mini-batches."""
    dataset, losses = splits_of(task).train, []
    for k in range(batches):
        where = np.arange(3) + k
        losses.append(engine.train(task.make_samples(engine.network, dataset.subset(where % len(dataset)))).loss)
    return np.concatenate(losses)


@tasks
def test_losses_are_those_of_the_simulator(task: Task) -> None:
    network = task.build_network()
    event, time = ep.Simulator(network, threads=1), TimeDrivenEngine(network)
    np.testing.assert_allclose(learn(task, event), learn(task, time), rtol=1e-9)
    # Without a reset, the last spikes of a training arrive after its end.
    assert event.events == (time.events if task.rule == "eprop" else pytest.approx(time.events, rel=0.02))
    for projection in network.projections:
        first = ep.Simulator(network, threads=1).connections(projection.name)
        found = time.connections(projection.name)
        assert_same(found[:2], first[:2])
        assert np.any(found[2] != first[2])
    if task.rule == "eprop":  # with e-prop+ some gradients are late in the reference
        test = splits_of(task).test
        np.testing.assert_allclose(*(evaluate(task, engine, test).losses for engine in (event, time)), rtol=1e-9)


@tasks
def test_a_state_resumes(task: Task) -> None:
    network = task.build_network()
    first, second = TimeDrivenEngine(network), TimeDrivenEngine(network)
    learn(task, first, 2)
    second.set_state(first.state())
    assert_same(learn(task, second, 2), learn(task, first, 2))
    assert_same(second.state(), first.state())
    samples = task.make_samples(network, splits_of(task).test)
    assert_same(second.evaluate(samples), first.evaluate(samples))
    with pytest.raises(ep.InputError, match="belongs to another network or engine: "):
        second.set_state(ep.Simulator(network, threads=1).state())


@pytest.mark.parametrize("rule", [ep.EProp(), ep.EPropPlus(cutoff=20.0)], ids=["e-prop", "e-prop+"])
@pytest.mark.parametrize("reset", [None, True, False])
def test_evaluations_are_those_of_the_simulator(rule, reset):
    net = ep.Network(seed=3)
    x, noise, rec = net.add(ep.EventSource(), 3), net.add(ep.PoissonSource(200.0), 3), net.add(ep.LIF(), 3)
    out = net.add(ep.Readout(), 1)
    for pre, post in ((x, rec), (noise, rec), (rec, out)):
        net.connect(pre, post, weight=ep.Uniform(0.3, 1.2), rule=rule, delay=3.0)
    event, time = ep.Simulator(net, threads=1), TimeDrivenEngine(net)
    events, done = np.random.default_rng(5).random((20, 30, 3)) < 0.4, []
    samples = event.samples(20, 30, {x: events}, {out: np.ones((20, 1, 1))})
    found = time.evaluate(samples, reset=reset, progress=done.append)
    wanted = event.evaluate(samples, reset=reset)
    assert_close(found.y, wanted.y)
    assert_close(found.loss, wanted.loss)
    assert_same((found.spikes, found.events), (wanted.spikes, wanted.events))
    assert done == [1] * 20


def test_what_diverges_is_refused() -> None:
    net = state_network(eta=1e200)
    time = TimeDrivenEngine(net)
    samples = ep.Simulator(net, threads=1).samples(1, 30, {"in": np.ones((1, 30, 4))}, {"out": np.ones((1, 1, 2))})
    with np.errstate(all="ignore"), pytest.raises(ep.DivergenceError, match="time-driven"):
        [time.train(samples) for _ in range(3)]


def test_synapses_that_move_are_refused() -> None:
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 9, "in"), net.add(ep.LIF(), 3, "rec")
    net.connect(x, rec, ep.FixedIndegree(3), rule=ep.EProp(c_reg=1.0), rewiring=ep.Rewiring())
    with pytest.raises(ep.NetworkError, match="in->rec: the time-driven reference does not move synapses"):
        TimeDrivenEngine(net)
