"""`TimeDriven` in the place of the simulator: the same losses on tiny tasks, in any network, in pieces, after a checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.engine import BatchResult, Samples
from eprop.errors import InputError
from eprop.reference import TimeDriven
from eprop.tasks import NMNIST, EvidenceAccumulation, PatternGeneration, Task
from eprop.training import SampleLearner, Trainer, Training, Watcher, evaluate

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


def trained(task: Task, simulator: Any, epochs: int = 3) -> tuple[SampleLearner, list[float]]:
    """A training with a constant learning rate, and the loss of each sample."""
    choice = task.data(**{**task.default_data(), "samples": 4, "test_samples": 3})
    training = Training(epochs=epochs, batch_size=3, schedule="constant")
    learner = SampleLearner(
        task, simulator, choice.load(task).train, training, renew=lambda epoch: choice.load(task, epoch=epoch).train
    )
    losses: list[float] = []
    train = learner._train

    def noted(samples: Samples, check: Any) -> BatchResult:
        result = train(samples, check)
        losses.extend(result.loss)
        return result

    learner._train = noted  # type: ignore[method-assign]
    Trainer(learner, watcher=Watcher()).run()
    return learner, losses


@tasks
def test_losses_are_those_of_the_event_driven_engine(task: Task) -> None:
    network = task.build_network()
    event, losses = trained(task, ep.Simulator(network, threads=1))
    time, wanted = trained(task, TimeDriven(network))
    np.testing.assert_allclose(losses, wanted, rtol=1e-9)
    # Without a reset, the last spikes of a training arrive after its end.
    assert event.events == (time.events if task.rule == "eprop" else pytest.approx(time.events, rel=0.02))
    for projection in network.projections:
        assert not np.array_equal(
            time.simulator.connections(projection.name)[2], TimeDriven(network).connections(projection.name)[2]
        )
    if task.rule == "eprop":  # with e-prop+ some gradients are late in the reference
        test = task.data(samples=1, test_samples=3).load(task).test
        both = [evaluate(task, trainer.simulator, test).losses for trainer in (event, time)]
        np.testing.assert_allclose(*both, rtol=1e-9)


@tasks
def test_without_targets_there_is_no_error(task: Task) -> None:
    network = task.build_network()
    event, time = ep.Simulator(network, threads=1), TimeDriven(network)
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
    first, _ = trained(task, TimeDriven(network), epochs=1)
    second = TimeDriven(network)
    second.set_state(first.simulator.state())
    samples = first._samples(np.arange(3))
    one, other = first.simulator.train(samples), second.train(samples)
    assert np.array_equal(one.loss, other.loss)
    assert all(np.array_equal(value, second.state()[name]) for name, value in first.simulator.state().items())
    assert np.array_equal(first.simulator.evaluate(samples).y, second.evaluate(samples).y)
    with pytest.raises(InputError, match=r"belongs to another network or engine: .* is missing"):
        second.set_state(ep.Simulator(network, threads=1).state())


@pytest.mark.parametrize("rule", [ep.EProp(optimizer=ep.Adam()), ep.EPropPlus()], ids=["e-prop", "e-prop+"])
def test_a_damaged_state_is_refused_and_changes_nothing(rule: ep.EProp | ep.EPropPlus) -> None:
    stepped = TimeDriven(network(rule=rule, delay=2.0))
    samples = stepped.samples(2, 20, {"in": np.ones((2, 20, 3))}, {"out": np.ones((2, 1, 1))})
    stepped.train(samples)
    state = stepped.state()
    other, weight = "belongs to another network or engine: ", state["synapses/weight"]
    cases: list[tuple[Any, str]] = [
        (None, "set_state takes a dictionary from state.., got NoneType"),
        (5, "set_state takes a dictionary from state.., got int"),
        (state | {"synapses/weight": weight[:-1]}, rf"{other}synapses/weight has shape \(\d+,\), not \(\d+,\)"),
        (state | {"counters": state["counters"] + 0.5}, "state 'counters' must be whole numbers, got float64"),
        (state | {"counters": state["counters"] - 10**6}, "damaged: its counters must lie in 0.."),
        (state | {"counters": state["counters"] + 10**17}, "damaged: its counters must lie in 0.."),
    ]
    for name, value in state.items():
        cases.append(({each: state[each] for each in state if each != name}, f"{other}{name} is missing"))
        cases.append((state | {name: value[..., None]}, f"{other}{name} has shape"))
        cases.append((state | {name: np.full(value.shape, "a")}, f"state '{name}' must be"))
        cases.append((state | {name: np.full(value.shape, 1j)}, f"state '{name}' must be"))
        cases.append((state | {name: [[1.0], [1.0, 2.0]]}, f"state '{name}' must be"))
        if value.dtype.kind == "f" and value.size:
            words = f"state '{name}' holds values that are not finite"
            cases.extend((state | {name: np.full(value.shape, bad)}, words) for bad in (np.nan, np.inf))
    for given, words in cases:
        with pytest.raises(InputError, match=words):
            stepped.set_state(given)
        assert all(np.array_equal(value, state[name]) for name, value in stepped.state().items())
    stepped.set_state(state | {"of no interest": np.zeros(3)})


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "with reward"])
@pytest.mark.parametrize("each_step", [False, True])
def test_pieces_of_a_run_make_no_difference(waits: bool, each_step: bool) -> None:
    reward = ep.RewardTrace(tau=20.0, cutoff=150.0) if waits else None
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.1, cutoff=40.0, each_step=each_step, reward=reward)
    net = network(rule=rule, weight=ep.Uniform(0.3, 0.9), delay=ep.Uniform(1.0, 4.0), back=3.0)
    rng = np.random.default_rng(2)
    x, target, told = rng.random((60, 3)) < 0.4, rng.normal(size=(60, 1)), rng.normal(size=60) if waits else None
    whole, pieces, parts = TimeDriven(net), TimeDriven(net), []
    y = whole.run(60.0, {"in": x}, {"out": target}, reward=told).y
    for a, b in ((0, 1), (1, 20), (20, 60)):
        state = pieces.state()
        pieces = TimeDriven(net)
        pieces.set_state(state)
        given = {"in": x[a:b]}, {"out": target[a:b]}
        parts.append(pieces.run(float(b - a), *given, reward=None if told is None else told[a:b]))
    assert np.array_equal(np.concatenate([part.y for part in parts]), y)
    assert all(np.array_equal(value, pieces.state()[name]) for name, value in whole.state().items())
    assert not np.array_equal(whole.weight, TimeDriven(net).weight)
    whole.reset()
    assert np.array_equal(whole.run(5.0, {"in": x[:5]}).spikes, pieces_from_rest(whole, x[:5]))


def pieces_from_rest(stepped: TimeDriven, x: np.ndarray) -> np.ndarray:
    """Spikes of a network that was never run before, with the same weights."""
    other = TimeDriven(stepped.network)
    for p in stepped.network.projections:
        other.set_weights(p.name, stepped.connections(p.name)[2])
    return other.run(float(len(x)), {"in": x}).spikes


def test_reward_is_told_sample_after_sample() -> None:
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-6), cutoff=500.0, reward=ep.RewardTrace(tau=50.0, cutoff=500.0))
    net = network(rule=rule, weight=ep.Uniform(0.3, 0.9))
    event, time = ep.Simulator(net, threads=1), TimeDriven(net)
    rng = np.random.default_rng(4)
    given = {"inputs": {"in": rng.random((3, 40, 3)) < 0.4}, "targets": {"out": rng.normal(size=(3, 1, 1))}}
    samples = event.samples(3, 40, **given, reward=rng.normal(size=(3, 40)))
    one, other = event.train(samples[:2]), time.train(samples[:2])
    np.testing.assert_allclose(one.y, other.y, rtol=1e-9, atol=1e-12)
    later = TimeDriven(net)
    later.set_state(time.state())
    wanted = event.train(samples[[2]])
    for each in (time, later):
        np.testing.assert_allclose(each.train(samples[[2]]).y, wanted.y, rtol=1e-9, atol=1e-12)
    assert not np.array_equal(event.connections("rec->out")[2], TimeDriven(net).connections("rec->out")[2])


def network(**changes: Any) -> ep.Network:
    net = ep.Network()
    x = net.add(changes.get("source", ep.EventSource()), 3, "in")
    rec = net.add(ep.LIF(), 3, "rec")
    other = net.add(ep.LIF(tau_m=changes.get("tau", 20.0)), 2, "other")
    readout = changes.get("readout", ep.Readout())
    out = net.add(readout, 1 + readout.loss.softmax, "out")
    rule, weight = changes.get("rule", ep.EProp()), changes.get("weight", ep.Glorot())
    net.connect(x, rec, rule=rule, weight=weight, delay=changes.get("delay", 1.0))
    net.connect(rec, rec, rule=rule, weight=ep.Normal(0.0, 0.3), delay=changes.get("delay", 1.0))
    net.connect(x, other, rule=changes.get("second", rule), weight=weight)
    net.connect(rec, out, rule=rule)
    net.connect(other, out, rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    net.feedback(out, other, changes.get("feedback", ep.Symmetric()), delay=changes.get("back", 1.0))
    return net


@pytest.mark.parametrize(
    "changes",
    [
        {"source": ep.PoissonSource(rate=300.0)},
        {"tau": 10.0},
        {"tau": ep.Uniform(10.0, 20.0), "readout": ep.Readout(tau_m=ep.Uniform(10.0, 20.0))},
        {"second": ep.Static()},
        {"second": ep.EProp(c_reg=1.0)},
        {"second": ep.EProp(optimizer=ep.Adam())},
        {"delay": 2.0, "back": 3.0},
        {"delay": ep.Uniform(1.0, 3.0)},
        {"feedback": ep.Adaptive()},
        {"feedback": ep.RandomFeedback()},
        {"readout": ep.Readout(v_init=0.5, i_e=0.5)},
        {"readout": ep.Readout(loss=ep.CrossEntropy())},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "rule", [ep.EProp(c_reg=0.2), ep.EPropPlus(c_reg=0.05, cutoff=500.0)], ids=["e-prop", "e-prop+"]
)
def test_any_network_learns_as_in_the_event_driven_engine(rule: ep.EProp | ep.EPropPlus, changes: dict) -> None:
    plus = isinstance(rule, ep.EPropPlus)
    if plus and isinstance(changes.get("second"), ep.EProp):
        changes = {"second": rule.replace(optimizer=ep.Adam())}
    net = network(rule=rule, weight=ep.Uniform(0.3, 1.2), **changes)
    event, time = ep.Simulator(net, threads=1), TimeDriven(net)
    rng = np.random.default_rng(3)
    inputs = {} if "source" in changes else {"in": rng.random((4, 50, 3)) < 0.3}
    targets = rng.integers(2, size=(4, 1, 1)) == [0, 1] if net.populations[-1].size == 2 else rng.normal(size=(4, 1, 1))
    samples = event.samples(4, 50, inputs, {"out": np.array(targets, float)})
    for part in (samples[:2], samples[2:]):
        found, wanted = event.train(part), time.train(part)
        np.testing.assert_allclose(found.y, wanted.y, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.loss, wanted.loss, rtol=1e-9)
        np.testing.assert_array_equal(found.spikes, wanted.spikes)
    assert found.spikes.any()
    if plus:
        return  # the last gradients come later in the reference
    for reset in (None, False, True):
        found, wanted = (each.evaluate(samples, reset=reset) for each in (event, time))
        np.testing.assert_allclose(found.y, wanted.y, rtol=1e-9, atol=1e-12)
        assert found.events == wanted.events


def test_a_sample_after_the_other_is_evaluated_as_by_the_engine() -> None:
    net = network(rule=ep.EPropPlus(cutoff=20.0), weight=ep.Uniform(0.3, 1.2), delay=3.0)
    x = np.random.default_rng(5).random((20, 30, 3)) < 0.4
    event, time = ep.Simulator(net, threads=1), TimeDriven(net)
    samples = event.samples(20, 30, {"in": x}, {"out": np.ones((20, 1, 1))})
    found = [each.evaluate(samples) for each in (event, time)]
    np.testing.assert_allclose(found[0].y, found[1].y, rtol=1e-9, atol=1e-12)
    assert not np.allclose(found[1].y, time.evaluate(samples, reset=True).y)


def test_stdp_is_refused() -> None:
    with pytest.raises(ep.NetworkError, match="pair_weights"):
        TimeDriven(network(second=ep.STDP(), rule=ep.Static()))


def test_what_diverges_is_refused() -> None:
    net = network(rule=ep.EProp(optimizer=ep.GradientDescent(eta=1e200)), weight=1.0)
    time = TimeDriven(net)
    samples = time.samples(1, 30, {"in": np.ones((1, 30, 3))}, {"out": np.ones((1, 1, 1))})
    with np.errstate(all="ignore"):
        time.train(samples)
        with pytest.raises(ep.DivergenceError, match="time-driven"):
            time.train(samples)


def test_a_bias_learns() -> None:
    net = NMNIST(neurons=3, bias=True).build_network()
    x = np.random.default_rng(1).random((1, 20, net.populations[0].size)) < 0.02
    event, time = ep.Simulator(net, threads=1), TimeDriven(net)
    samples = event.samples(1, 20, {"in": x}, labels=[3])
    np.testing.assert_allclose(event.train(samples).y, time.train(samples).y, rtol=1e-9, atol=1e-12)
    for p in net.projections:
        np.testing.assert_allclose(event.connections(p.name)[2], time.connections(p.name)[2], rtol=1e-9, atol=1e-12)
