"""A short run does little besides its steps: what it costs is counted in calls of Python functions, which no machine disturbs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eprop as ep

SPIKES = {"in": (np.array([0.2, 0.3]), np.array([1, 3]))}
CALLS: dict[str, tuple[int, Callable[[ep.Simulator], Any]]] = {
    "nothing": (7, lambda sim: sim.run(1.0)),
    "times and a target": (35, lambda sim: sim.run(1.0, SPIKES, {"out": np.zeros(2)})),
    "an array and a target": (40, lambda sim: sim.run(1.0, {"in": np.eye(1, 4)}, {"out": np.zeros((1, 2))})),
    "a step": (1, lambda sim: sim.stepper().step),
}


def made() -> ep.Simulator:
    net = ep.Network(seed=1)
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 20, "rec"), net.add(ep.Readout(), 2, "out")
    for pre, post in ((x, rec), (rec, rec), (rec, out)):
        net.connect(pre, post, weight=ep.Normal(0.0, 0.3), rule=ep.EPropPlus())
    return ep.Simulator(net, threads=1)


def test_a_run_follows_more_steps_than_a_window_of_rates():
    """A stepper closes the windows of `CollapseWatch` late; a run that follows ends where it should."""
    sim = made()
    stepper = sim.stepper()
    for _ in range(1020):
        stepper.step()
    assert sim.run(5.0).times[-1] == sim.time == 1025.0


def test_a_switch_of_numpy_is_one():
    """A run with progress=False of NumPy is no long run, which `EProp` could not learn from."""
    net = ep.Network(seed=1)
    net.connect(net.add(ep.EventSource(), 4), net.add(ep.Readout(), 2), rule=ep.EProp())
    assert ep.Simulator(net, threads=1).run(2.0, progress=np.False_).loss.shape == (2,)


def count_calls(work: Callable[[], Any]) -> list[str]:
    """Names of the Python functions that work calls, once it has run before; without those of the garbage of other tests."""
    work()
    names: list[str] = []
    gc.disable()
    sys.setprofile(lambda frame, event, _: names.append(frame.f_code.co_qualname) if event == "call" else None)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return names


@pytest.mark.parametrize("given", CALLS)
def test_a_run_of_one_step_calls_few_functions(given):
    most, call = CALLS[given]
    sim = made()
    work = call(sim) if given == "a step" else lambda: call(sim)
    names = count_calls(work)
    assert len(names) <= most, names
