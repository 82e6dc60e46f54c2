"""One step at a time: the bits of a run, what a step refuses, and how long it takes."""

from __future__ import annotations

import signal as signals
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network
from ranks_in_threads import on_ranks
from refusals import each_of, each_row, refusals

pytestmark = pytest.mark.tiny
STEPS = 150
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(eta=5e-4), c_reg=0.01, cutoff=20.0)
RULES = {
    "plus": PLUS,
    "adam": ep.EPropPlus(optimizer=ep.Adam(eta=1e-3), cutoff=20.0),
    "reward": PLUS.replace(optimizer=ep.GradientDescent(5e-5), reward=ep.RewardTrace(tau=30.0, cutoff=40.0)),
}


def network(rule: Any = PLUS, several: bool = False, loss: Any = None) -> ep.Network:
    """Inputs and noise, neurons, readouts with a leak potential; or two of each."""
    learned = rule if isinstance(rule, ep.EPropPlus) else ep.Static()
    connections = {
        "in->rec": ep.Uniform(0.1, 0.6),
        "rec->rec": {"connectivity": ep.FixedIndegree(4), "weight": ep.Uniform(0.0, 0.3)},
        "rec->out": {"weight": ep.Uniform(-0.5, 0.5), "rule": learned, "delay": 2.0},
    }
    readout = ep.Readout(tau_m=20.0, e_l=0.2, loss=loss or ep.SquaredError())
    net = small_network(
        (6, 12, 3), connections, neuron=ep.LIF(tau_m=15.0, v_th=0.6), readout=readout, rule=rule, seed=3
    )
    net.connect(net.add(ep.PoissonSource(rate=30.0), 3, "noise"), "rec", weight=0.2)
    net.feedback("out", "rec", ep.RandomFeedback(), delay=ep.Uniform(1.0, 3.0))
    if several:
        b, value = net.add(ep.LIF(v_th=0.6), 4, "b"), net.add(ep.Readout(), 1, "value")
        net.connect(net.add(ep.EventSource(), 2, "more"), b, weight=0.5, rule=rule)
        net.connect(b, value, weight=0.3, rule=learned)
        net.feedback(value, b)
    return net


def events(steps: int = STEPS, size: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((steps, size)) < 0.1


def same_state(one: ep.Simulator, other: ep.Simulator) -> None:
    assert_same(other.state(), one.state())


def test_steps_without_anything_to_learn_from():
    """Silence, no target, frozen weights; a step of several populations."""
    net = network(several=True)
    x, more, target = events(), events(size=2, seed=5), np.random.default_rng(1).normal(size=(STEPS, 1))
    one, other = (ep.Simulator(net, threads=1) for _ in range(2))
    inputs = {"in": x, "more": more}
    run = one.run(float(STEPS), inputs, {"value": target}, learn=False, signals={"b": np.ones((STEPS, 4))})
    stepper = other.stepper(learn=False)
    for t in range(STEPS):
        channels = {"in": np.flatnonzero(x[t]), net.population("more"): np.flatnonzero(more[t]).tolist()}
        y = stepper.step(channels, target={"value": target[t]}, signal={"b": np.ones(4)})
        np.testing.assert_array_equal(y["out"], run.y["out"][t])
        np.testing.assert_array_equal(y["value"], run.y["value"][t])
    same_state(one, other)
    assert_same(one.connections("in->rec"), ep.Simulator(net, threads=1).connections("in->rec"))


@pytest.mark.parametrize("rule", RULES)
def test_errors_from_outside_are_those_of_targets(rule):
    """The errors that a target would give, told one step later, teach the same, bit by bit; readouts as well."""
    net, x = network(RULES[rule]), events()
    target = np.random.default_rng(1).normal(size=(STEPS, 3))
    one, other = (ep.Simulator(net, threads=1) for _ in range(2))
    known, told, error = one.stepper(), other.stepper(), None
    first = one.connections("rec->out")[2]
    for t in range(STEPS):
        channels = np.flatnonzero(x[t])
        reward = {"reward": np.cos(t)} if rule == "reward" else {}
        y = known.step(channels, target=target[t], **reward)
        # One readout gets its error from its target; NaN leaves it.
        part = np.array([target[t, 0], 0.0, 0.0])
        answered = told.step(channels, target=part, error=error, **reward)
        np.testing.assert_array_equal(answered, y)
        error = answered - target[t]
        error[0] = np.nan
    for name in ("in->rec", "rec->out"):
        assert_same(other.connections(name), one.connections(name))
    assert np.abs(one.connections("rec->out")[2] - first).max() > 1e-5


def fresh(*rule: Any, **options: Any) -> ep.engine.Stepper:
    return ep.Simulator(network(*rule, **options), threads=1).stepper()


WRONG = [
    ({"channels": np.array([1, 6])}, r"input 'in': channels must lie in 0\.\.5, got 1\.\.6"),
    ({"channels": [-1]}, r"input 'in': channels must lie in 0\.\.5, got -1\.\.-1"),
    ({"channels": np.ones(6, bool)}, "channels must be one list of whole numbers.*np.flatnonzero"),
    ({"channels": np.ones((1, 2), np.int64)}, "channels must be one list of whole numbers"),
    *[({"channels": given([0, 1, 0, 0, 1, 0])}, "channels must be one list of whole numbers.*np.flatnonzero")
      for given in (list, np.array, np.int32, lambda dense: {"in": np.array(dense)})],
    ({"channels": "ab"}, "channels must be one list of whole numbers"),
    ({"channels": [[0, 1], [2]]}, "channels must be one list of whole numbers"),
    ({"channels": {"x": [1]}}, "this stepper has no input 'x'; it has 'in'"),
    ({"target": np.ones(2)}, r"target of 'out' must have shape \(3,\), got \(2,\)"),
    ({"target": [1.0, np.nan, 1.0]}, "target holds values that are not finite"),
    *[({"target": given}, "target holds values that are not finite; leave it out")
      for given in (np.full(3, np.nan), [np.nan] * 3, {"out": np.full(3, np.nan)})],
    ({"target": {"x": [1.0]}}, "target: no population 'x'; there are: 'out'"),
    ({"target": np.ones(3), "signal": np.full(12, np.inf)}, "signal holds values that are not finite"),
    ({"target": np.ones(3), "signal": [1.0]}, r"signal of 'rec' must have shape \(12,\)"),
    ({"modulator": np.nan}, "modulator must be a finite number"),
    ({"modulator": "x"}, "modulator must be a finite number"),
    ({"error": np.full(3, np.inf)}, "error holds values that are infinite"),
]  # fmt: skip


@refusals(
    *each_row(WRONG, lambda given, _, stepper: stepper.step(**given)),
    (lambda *_: fresh().step(error=np.ones(3)), ep.errors.InputError, "error belongs to the step before, and this is the"),
    (lambda sim, _: sim.stepper("noise"), ep.errors.InputError, "inputs: there is no 'noise'; there are: 'in'"),
    (lambda sim, _: sim.stepper(learn="no"), ep.errors.InputError, "learn must be True or False"),
    (lambda *_: fresh(ep.EProp()), ep.errors.NetworkError, "EProp learns from whole samples"),
    *each_of([{"channels": [1]}, {"target": [1.0]}, {"signal": [1.0]}], lambda given, *_: fresh(several=True).step(**given),
             ep.errors.InputError, "by name, in a dictionary"),
    *each_of([[0.5, 0.6, 0.0], [1.5, -0.5, 0.0]], lambda target, *_: fresh(loss=ep.CrossEntropy()).step(target=target),
             ep.errors.InputError, "target must hold class probabilities"),
)  # fmt: skip
def test_a_step_that_is_refused_has_not_taken_place(refusal):
    net = network()
    one, other = (ep.Simulator(net, threads=1) for _ in range(2))
    stepper, plain = one.stepper(), other.stepper()
    stepper.step([2])
    refusal.check(one, stepper)
    plain.step([2])
    np.testing.assert_array_equal(stepper.step([1]), plain.step([1]))
    assert stepper.loss == 0.0
    same_state(one, other)


def test_several_ranks_have_no_stepper():
    def refused(comm: Any) -> str:
        with pytest.raises(ep.errors.NetworkError) as told:
            ep.Simulator(network(), threads=1, comm=comm).stepper()
        return str(told.value)

    assert on_ranks(2, refused) == ["a stepper runs on one process, this network on 2 ranks: leave out comm"] * 2


def test_progress_must_not_take_a_step():
    sim = ep.Simulator(network())
    stepper = sim.stepper()
    with pytest.raises(ep.errors.InputError, match="progress must not run or change the simulator"):
        sim.train(sim.samples(1, 5), progress=lambda _: stepper.step())


def test_outputs_are_a_view_of_readouts():
    """Also of a network without neurons."""
    net = small_network((3, 0, 2), {"in->out": 1.0})
    run = ep.Simulator(net, threads=1).run(3.0, {"in": np.eye(3)})
    stepper = ep.Simulator(net, threads=1).stepper("in", readouts=["out"])
    for t in range(3):
        y = stepper.step([t])
        np.testing.assert_array_equal(y, run.y["out"][t])
    assert stepper.step([2, 2, 0]) is y
    assert (stepper.spikes, stepper.rewarded) == (0, False)
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 1.0


def not_aligned(values):
    """An array whose numbers begin one byte behind where they should."""
    array = np.array(values)
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = array.view(np.uint8)
    return raw[1:].view(array.dtype)


WAYS = {
    "arrays": lambda channels, told: (np.array(channels), np.array(told)),
    "int32": lambda channels, told: (np.array(channels, np.int32), np.array(told)),
    "lists, several times": lambda channels, told: (channels * 2, told),
    "unsorted, uint8, float32": lambda channels, told: (np.array(channels[::-1], np.uint8), np.array(told, np.float32)),
    "not contiguous": lambda channels, told: (np.repeat(channels, 2)[::2], np.repeat(told, 2)[::2]),
    "not aligned": lambda channels, told: (not_aligned(channels), not_aligned(told)),
    "of a list": lambda channels, told: (channels, np.array(told)),
    "read only": lambda channels, told: (np.array(channels), np.broadcast_to(np.array(told), len(told))),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_to_give_arguments_are_one(way):
    """Those that the core reads as they are, and those that are converted before; each step is counted once."""
    net, target, signal, error = network(), [0.5, -1.0, 0.25], [0.5, -0.25] * 6, [1.0, 0.0, -0.5]
    one, other = (ep.Simulator(net, threads=1) for _ in range(2))
    plain, stepper = one.stepper(), other.stepper()
    for t in range(30):
        given = {"target": target, "signal": signal} | ({"error": error} if t % 3 == 2 else {})
        plain.step(np.array([t % 5, 5]), **{name: np.array(told) for name, told in given.items()}, modulator=0.5)
        named = {name: WAYS[way]([], told)[1] for name, told in given.items()}
        stepper.step(WAYS[way]([t % 5, 5], [])[0], **named, modulator=np.array(0.5), reward=0)
    same_state(one, other)
    assert one.events > 0
    assert one.time == other.time == 30.0


def test_divergence_is_found_while_steps_go_by():
    sim = ep.Simulator(network(ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e9))), threads=1)
    stepper, x = sim.stepper(), events(1000)

    def diverge() -> None:
        for t in range(1000):
            stepper.step(np.flatnonzero(x[t]), target=np.ones(3))

    with pytest.raises(ep.errors.DivergenceError, match=r"^step: a (membrane voltage|weight)"):
        diverge()


def test_ctrl_c_ends_a_loop_and_not_a_step():
    net, x = network(), events()
    one, other = (ep.Simulator(net, threads=1) for _ in range(2))
    stepper = one.stepper()

    def interrupted() -> None:
        for t in range(STEPS):
            stepper.step(np.flatnonzero(x[t]))
            if t == 40:
                signals.raise_signal(signals.SIGINT)

    # Where the tests run in the background, the signal is ignored.
    before = signals.signal(signals.SIGINT, signals.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signals.signal(signals.SIGINT, before)
    plain = other.stepper()
    for t in range(round(one.time)):
        plain.step(np.flatnonzero(x[t]))
    same_state(one, other)
