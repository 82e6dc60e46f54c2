"""Reads of a simulator while it runs, in another thread or from ``progress``: they wait for a whole state, or go on."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.engine.state.access import OneThread
from eprop.errors import InputError

pytestmark = [pytest.mark.tiny, pytest.mark.threads]

IN, REC, STEPS = 20, 30, 1000
#: A read that waits so long hangs.
PATIENCE = 60.0
TARGET = {"out": np.array([20.0, -20.0])}
RULES = {
    "eprop": ep.EProp(optimizer=ep.Adam(1e-2)),
    "eprop+": ep.EPropPlus(optimizer=ep.GradientDescent(1e-4), cutoff=50.0),
    "eprop+, Adam": ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=50.0),
}
READS: dict[str, Callable[[ep.Simulator], Any]] = {
    "connections": lambda sim: sim.connections("in->rec"),
    "weights": lambda sim: sim.weights("in->rec"),
    "delays": lambda sim: sim.delays("in->rec"),
    "feedback": lambda sim: sim.feedback_weights("out", "rec"),
    "parameters": lambda sim: sim.parameters("rec"),
    "moved": lambda sim: sim.moved("in->rec"),
    "memory": lambda sim: sim.memory(),
    "state": lambda sim: sim.state(),
    "phases": lambda sim: sim.phases,
    "clock": lambda sim: (sim.time, sim.events, sim.updates),
    "text": lambda sim: (repr(sim), sim._repr_html_()),
}
CHANGES: dict[str, Callable[[ep.Simulator], Any]] = {
    "run": lambda sim: sim.run(1.0),
    "set_weights": lambda sim: sim.set_weights("in->rec", 1.0),
    "set_state": lambda sim: sim.set_state({}),
    "scale_learning_rates": lambda sim: sim.scale_learning_rates(1.0),
    "plan_rewiring": lambda sim: sim.plan_rewiring(10),
    "reset": lambda sim: sim.reset(),
}


def simulator(rule: str, **options: Any) -> ep.Simulator:
    net = ep.Network(seed=3)
    x, rec = net.add(ep.PoissonSource(rate=60.0), IN, "in"), net.add(ep.ALIF(v_th=1.0), REC, "rec")
    out = net.add(ep.Readout(), 2, "out")
    delay = 1.0 if rule == "eprop" else ep.Uniform(1.0, 4.0)
    net.connect(x, rec, weight=ep.Normal(0.4, 0.3), delay=delay, rule=RULES[rule])
    net.connect(rec, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.0, 0.3), delay=delay, rule=RULES[rule])
    net.connect(rec, out, weight=ep.Normal(0.0, 0.3), rule=RULES[rule])
    net.feedback(out, rec, ep.Symmetric())
    return ep.Simulator(net, **{"threads": 1} | options)


@contextmanager
def readers(sim: ep.Simulator, read: Callable[[ep.Simulator], Any], n: int = 2) -> Iterator[list[Any]]:
    """Some threads that read without a pause; what they have read."""
    found, ends = list[Any](), threading.Event()

    def poll() -> None:
        while not ends.is_set():
            try:
                found.append(read(sim))
            except Exception as problem:
                found.append(problem)

    threads = [threading.Thread(target=poll, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        ends.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads)


def from_another_thread(call: Callable[[], Any]) -> Any:
    """The result of a call in another thread, or its error."""
    found = list[Any]()

    def work() -> None:
        try:
            found.append(call())
        except InputError as error:
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert found, "the call hangs"
    return found[0]


def recurrent(sim: ep.Simulator) -> str:
    """The recurrent weights, in a word."""
    return hashlib.sha256(sim.connections("rec->rec")[2]).hexdigest()[:16]


def learns(sim: ep.Simulator) -> None:
    sim.run(float(STEPS), targets=TARGET)


@pytest.mark.parametrize(("rule", "threads"), [("eprop+", 1), ("eprop+, Adam", 2)])
def test_weights_that_another_thread_reads_are_those_of_a_step(rule: str, threads: int) -> None:
    """Runs end although two threads read without a pause, with the weights that they have without them."""
    sim, one = simulator(rule, threads=threads), simulator(rule)
    with readers(sim, recurrent) as found:
        while len(set(found)) < 6:
            learns(sim)
    of_steps = [recurrent(one)]
    while one.time < sim.time:
        one.run(1.0, targets=TARGET)
        of_steps.append(recurrent(one))
    assert recurrent(sim) == of_steps[-1]
    assert set(found) <= set(of_steps)


def test_a_state_that_another_thread_reads_continues_with_the_same_bits() -> None:
    sim, other, within = simulator("eprop+"), simulator("eprop+"), list[dict[str, np.ndarray]]()
    with readers(sim, ep.Simulator.state) as found:
        while not within:
            learns(sim)
            within = [state for state in found if state["counters"][0] % STEPS]
    other.set_state(within[0])
    other.run(sim.time - other.time, targets=TARGET)
    assert recurrent(other) == recurrent(sim)


def samples_of(sim: ep.Simulator, n: int = 8, steps: int = 200) -> ep.engine.Samples:
    return sim.samples(n, steps, targets={"out": np.full((n, 1, 2), 20.0)})


@pytest.mark.parametrize("threads", [1, 2])
def test_a_state_read_during_a_mini_batch_is_that_before_it(threads: int) -> None:
    one, sim = simulator("eprop"), simulator("eprop", threads=threads)
    before = one.state()
    one.train(samples_of(one))
    after = one.state()
    with readers(sim, ep.Simulator.state) as found:
        sim.train(samples_of(sim, 8), progress=lambda _: found.append(sim.state()))
    assert any(state["counters"][1] == 0 for state in found)
    for state in found:
        wanted = after if state["counters"][1] else before
        for name, part in wanted.items():
            np.testing.assert_array_equal(state[name], part, err_msg=name)


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
@pytest.mark.parametrize("call", ["train", "evaluate"])
def test_progress_and_threads_that_it_waits_for_may_read_and_not_change(rule: str, call: str) -> None:
    sim, found = simulator(rule, timers=True), dict[str, list[Any]]()

    def progress(_: int) -> None:
        for name, read in READS.items():
            found[name] = [read(sim), from_another_thread(lambda read=read: read(sim))]
        for name, change in CHANGES.items():
            with pytest.raises(InputError, match=r"progress must not|another thread"):
                change(sim)
            found[name] = [from_another_thread(lambda change=change: change(sim))]

    getattr(sim, call)(samples_of(sim), progress=progress)
    assert all(not isinstance(value, InputError) for name in READS for value in found[name])
    assert all("another thread is running" in str(found[name][0]) for name in CHANGES)


def test_lanes_do_not_keep_reads_waiting() -> None:
    sim = simulator("eprop")
    lanes = sim.lanes(8)
    with readers(sim, recurrent) as found:
        for _ in range(20):
            lanes.run(100)
            lanes.learn(lanes.backward(np.ones((8, 100, 2))))
    assert len(set(found)) > 1


def test_a_stepper_waits_for_reads() -> None:
    one, sim, steps = simulator("eprop+"), simulator("eprop+"), 300
    of_steps, stepper = {recurrent(one)}, one.stepper()
    for _ in range(steps):
        stepper.step(target=TARGET["out"])
        of_steps.add(recurrent(one))
    stepper = sim.stepper()
    with readers(sim, recurrent) as found:
        for _ in range(steps):
            stepper.step(target=TARGET["out"])
    assert recurrent(sim) == recurrent(one)
    assert set(found) <= of_steps


def test_a_read_within_a_read_goes_on_while_a_change_waits() -> None:
    access, begins, has = OneThread(), threading.Event(), list[str]()

    def change() -> None:
        begins.set()
        with access:
            has.append("change")

    thread = threading.Thread(target=change, daemon=True)
    with access.reading:
        thread.start()
        begins.wait(PATIENCE)
        time.sleep(0.02)
        with access.reading:
            has.append("read")
        with pytest.raises(InputError), access:  # it would wait for itself
            pass
    thread.join(PATIENCE)
    assert has == ["read", "change"]


def test_a_read_of_another_thread_is_refused_where_ranks_divide_the_neurons() -> None:
    access = OneThread(reads_wait=False)

    def read() -> str:
        with access.reading:
            return "read"

    assert from_another_thread(read) == "read"
    with access:
        assert read() == "read"
        assert "another thread" in str(from_another_thread(read))
