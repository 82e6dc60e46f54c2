"""The time-driven engine in the place of the simulator: the same losses on tiny tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.engine import BatchResult, Samples
from eprop.errors import InputError, ParameterError
from eprop.tasks import NMNIST, EvidenceAccumulation, PatternGeneration, Task
from eprop.training import Trainer, Training, evaluate
from eprop.training.reference import ReferenceSimulator

pytestmark = pytest.mark.tiny

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


def trained(task: Task, simulator: Any, epochs: int = 3) -> tuple[Trainer, list[float]]:
    """A training with a constant learning rate, and the loss of each sample."""
    choice = task.data(**{**task.default_data(), "samples": 4, "test_samples": 3})
    training = Training(epochs=epochs, batch_size=3, schedule="constant")
    trainer = Trainer(
        task, simulator, choice.load(task).train, training, renew=lambda epoch: choice.load(task, epoch=epoch).train
    )
    losses: list[float] = []
    train = trainer._train

    def noted(samples: Samples) -> BatchResult:
        result = train(samples)
        losses.extend(result.loss)
        return result

    trainer._train = noted  # type: ignore[method-assign]
    trainer.run()
    return trainer, losses


@tasks
def test_losses_are_those_of_the_event_driven_engine(task: Task) -> None:
    network = task.build_network()
    event, losses = trained(task, ep.Simulator(network, threads=1))
    time, wanted = trained(task, ReferenceSimulator(network))
    np.testing.assert_allclose(losses, wanted, rtol=1e-9)
    # Without a reset, the last spikes of a training arrive after its end.
    assert event.events == (time.events if task.rule == "eprop" else pytest.approx(time.events, rel=0.02))
    for projection in network.projections:
        assert not np.array_equal(
            time.simulator.connections(projection.name)[2], ReferenceSimulator(network).connections(projection.name)[2]
        )
    if task.rule == "eprop":  # with e-prop+ some gradients are late in the reference
        test = task.data(samples=1, test_samples=3).load(task).test
        both = [evaluate(task, trainer.simulator, test).losses for trainer in (event, time)]
        np.testing.assert_allclose(*both, rtol=1e-9)


@tasks
def test_without_targets_there_is_no_error(task: Task) -> None:
    network = task.build_network()
    event, time = ep.Simulator(network, threads=1), ReferenceSimulator(network)
    events = np.random.default_rng(0).random((2, 60, network.populations[0].size)) < 0.2
    samples = event.samples(2, 60, inputs={network.populations[0].name: events})
    one, other = event.train(samples), time.train(samples)
    np.testing.assert_allclose(one.y, other.y, rtol=1e-9, atol=1e-12)
    assert not one.loss.any()
    assert not other.loss.any()
    for projection in network.projections:
        found, wanted = (sim.connections(projection.name)[2] for sim in (event, time))
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@tasks
def test_going_on_from_a_state(task: Task) -> None:
    network = task.build_network()
    first, _ = trained(task, ReferenceSimulator(network), epochs=1)
    second = ReferenceSimulator(network)
    second.set_state(first.simulator.state())
    samples = first._samples(np.arange(3))
    one, other = first.simulator.train(samples), second.train(samples)
    assert np.array_equal(one.loss, other.loss)
    assert all(np.array_equal(value, second.state()[name]) for name, value in first.simulator.state().items())
    assert np.array_equal(first.simulator.evaluate(samples).y, second.evaluate(samples).y)
    with pytest.raises(InputError, match="of another network or engine"):
        second.set_state(ep.Simulator(network, threads=1).state())


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "with reward"])
def test_pieces_of_a_run_make_no_difference(waits: bool) -> None:
    from eprop.reference import PlusNetwork, PlusRule, RewardTrace, simulate
    from networks import case

    c = case(1, ep.EPropPlus(), steps=60)
    rule = PlusRule(c_reg=0.1, reward=RewardTrace(0.95, 150) if waits else None)
    reward = np.random.default_rng(2).normal(size=60)
    given = (c.weights, c.feedback, c.neuron, c.readout, rule)
    whole = simulate(c.inputs, c.targets, *given, masks=c.masks, reward=reward)
    network = PlusNetwork(*given, masks=c.masks)
    parts = [network.run(c.inputs[a:b], c.targets[a:b], reward=reward[a:b]) for a, b in ((0, 1), (1, 20), (20, 60))]
    assert np.array_equal(np.concatenate([part.y for part in parts]), whole.y)
    for name, found in parts[-1].weights.items():
        assert np.array_equal(found, whole.weights[name])
    assert not np.array_equal(whole.weights["readout"], np.where(c.masks["readout"], c.weights["readout"], 0.0))


def test_reward_is_told_to_the_reference() -> None:
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-6), cutoff=500.0, reward=ep.RewardTrace(tau=50.0, cutoff=500.0))
    net = network(rule=rule, weight=ep.Uniform(0.3, 0.9))
    event, time = ep.Simulator(net, threads=1), ReferenceSimulator(net)
    rng = np.random.default_rng(4)
    given = {"inputs": {"in": rng.random((3, 40, 3)) < 0.4}, "targets": {"out": rng.normal(size=(3, 1, 1))}}
    samples = event.samples(3, 40, **given, reward=rng.normal(size=(3, 40)))
    one, other = event.train(samples[:2]), time.train(samples[:2])
    np.testing.assert_allclose(one.y, other.y, rtol=1e-9, atol=1e-12)
    later = ReferenceSimulator(net)
    later.set_state(time.state())
    wanted = event.train(samples[[2]])
    for each in (time, later):
        np.testing.assert_allclose(each.train(samples[[2]]).y, wanted.y, rtol=1e-9, atol=1e-12)
    assert not np.array_equal(event.connections("rec->out")[2], ReferenceSimulator(net).connections("rec->out")[2])


def network(**changes: Any) -> ep.Network:
    net = ep.Network()
    x = net.add(changes.get("source", ep.EventSource()), 3, "in")
    rec = net.add(ep.LIF(), 3, "rec")
    other = net.add(ep.LIF(tau_m=changes.get("tau", 20.0)), 2, "other")
    out = net.add(changes.get("readout", ep.Readout()), 1, "out")
    rule, weight = changes.get("rule", ep.EProp()), changes.get("weight", ep.Glorot())
    net.connect(x, rec, rule=rule, weight=weight, delay=changes.get("delay", 1.0))
    net.connect(x, other, rule=changes.get("second", rule), weight=weight)
    net.connect(rec, out, rule=rule)
    net.connect(other, out, rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    net.feedback(out, other, changes.get("feedback", ep.Symmetric()), delay=changes.get("back", 1.0))
    return net


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": ep.PoissonSource()}, "one population of events"),
        ({"tau": 10.0}, "differ by nothing but their adaptation"),
        ({"rule": ep.Static()}, "needs projections that learn"),
        ({"second": ep.EProp(c_reg=1.0)}, "one rule for the whole network"),
        ({"second": ep.EProp(optimizer=ep.GradientDescent())}, "one optimiser for all input synapses"),
        ({"delay": 2.0}, "delays of one step only"),
        ({"delay": ep.Uniform(1.0, 3.0)}, "delays of one step only"),
        ({"back": 3.0}, "feedback with a delay of one step only"),
        ({"feedback": ep.Adaptive()}, "symmetric and fixed feedback, not Adaptive"),
        ({"tau": ep.Uniform(10.0, 20.0)}, "neurons with the same parameters"),
        ({"readout": ep.Readout(tau_m=ep.Uniform(10.0, 20.0))}, "readouts with the same parameters"),
        ({"readout": ep.Readout(v_init=0.5)}, "begin at rest"),
        ({"readout": ep.Readout(i_e=0.5)}, "begin at rest"),
        ({"feedback": ep.RandomFeedback()}, "symmetric feedback to all neurons, or to none"),
    ],
)
def test_what_the_reference_cannot_do_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ReferenceSimulator(network(**changes))


def test_a_bias_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"--engine time: .*; use --engine event"):
        ReferenceSimulator(NMNIST(neurons=3, bias=True).build_network())
