"""Ctrl-C at each point of a mini-batch at which Python handles signals: the update has happened as a whole, or not at all.

The interpreter handles signals when a function begins, when a call returns, and when a loop goes round.
"""

from __future__ import annotations

import dis
import functools
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.models import Loss
from eprop.rules import Optimizer

#: How the names of the instructions begin after which signals are handled.
POINTS = ("RESUME", "JUMP_BACKWARD", "CALL")


@dataclass(frozen=True)
class Descent(Optimizer):
    """Gradient descent in Python."""

    def step(self, weights, gradients, moments, n):
        return weights - self.eta * gradients


@dataclass(frozen=True)
class Squares(Loss):
    """The squared error in Python."""

    def compare(self, y, target):
        return y - target, 0.5 * ((y - target) ** 2).sum(axis=-1)


@functools.cache
def names(code: CodeType) -> dict[int, str]:
    return {found.offset: found.opname for found in dis.get_instructions(code)}


class Points:
    """Counts the points that some work passes, and sends SIGINT at one of them."""

    def __init__(self, at: int):
        self.at, self.passed = at, 0
        self._last: dict[int, str] = {}
        self._known = set[tuple[object, ...]]()

    def interrupts(self, work: Callable[[], object]) -> bool:
        """Whether the work was interrupted."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            work()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if self.passed >= self.at or "eprop" not in frame.f_globals.get("__name__", ""):
            return None
        frame.f_trace_opcodes = True
        last = "" if event == "call" else self._last.get(id(frame), "")
        self._last[id(frame)] = names(frame.f_code).get(frame.f_lasti, "")
        if event == "opcode" and last.startswith(POINTS) and self._is_new(frame):
            self.passed += 1
            if self.passed == self.at:
                signal.raise_signal(signal.SIGINT)
        return self._trace

    def _is_new(self, frame: FrameType | None) -> bool:
        """Whether the work has not been here before, by the same way."""
        way: list[object] = []
        while frame is not None and frame.f_code is not test_an_update_is_whole.__code__:
            way += [frame.f_code, frame.f_lasti]
            frame = frame.f_back
        here = tuple(way)
        new = here not in self._known
        self._known.add(here)
        return new


def simulator(
    optimizer: Optimizer | None = None,
    rewiring: ep.Rewiring | None = None,
    loss: Loss | None = None,
    learned: bool = False,
) -> ep.Simulator:
    """A small network with e-prop that has learned once."""
    rule = ep.EProp(optimizer=optimizer or ep.Adam(1e-2), c_reg=1e-3, clip_norm=0.01)
    net = ep.Network(seed=3)
    x = net.add(ep.PoissonSource(50.0), 6, "noise")
    tau_m = ep.Learned(20.0, low=5.0, high=50.0, eta=0.1) if learned else 20.0
    rec = net.add(ep.LIF(v_th=0.5, tau_m=tau_m), 5, "rec")
    out = net.add(ep.Readout(loss=loss or ep.SquaredError()), 2, "out")
    net.connect(x, rec, ep.FixedIndegree(3), weight=ep.Normal(0.5, 0.1), rule=rule, rewiring=rewiring)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    sim = ep.Simulator(net, threads=1)
    sim.train(samples(sim))
    return sim


def samples(sim: ep.Simulator) -> ep.engine.Samples:
    return sim.samples(2, 30, targets={"out": np.full((2, 1, 2), 1.0)})


def train(sim: ep.Simulator) -> Callable[[], object]:
    return functools.partial(sim.train, samples(sim))


def learn(sim: ep.Simulator) -> Callable[[], object]:
    return functools.partial(
        sim.lanes(1).learn, {name: np.full_like(sim.connections(name)[2], 0.1) for name in ("noise->rec", "rec->out")}
    )


def gradients(sim: ep.Simulator) -> Callable[[], object]:
    return lambda: sim.lanes(samples(sim)).backward()


CASES: dict[str, tuple[dict[str, Any], Callable[[ep.Simulator], Callable[[], object]]]] = {
    "train": ({}, train),
    "rewiring, an optimiser in Python, a constant": (
        {"rewiring": ep.Rewiring(every=1), "optimizer": Descent(1e-2), "learned": True},
        train,
    ),
    "a random rewiring, a loss in Python": (
        {"rewiring": ep.Rewiring(every=1, grow="random"), "loss": Squares()},
        train,
    ),
    "learn": ({}, learn),
    "gradients": ({"rewiring": ep.Rewiring(every=1)}, gradients),
}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals need the main thread")
@pytest.mark.parametrize("case", [pytest.param(name, marks=[pytest.mark.slow] * ("Python" in name)) for name in CASES])
def test_an_update_is_whole(case):
    options, begin = CASES[case]
    sim = simulator(**options)
    work, states = begin(sim), [sim.state()]
    for _ in range(2):
        work()
        states.append(sim.state())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    faults, passed = [], 1
    try:
        while passed:
            sim.set_state(states[0])
            points = Points(passed)
            interrupted = points.interrupts(work)
            if points.passed < passed:
                break
            found = sim.state()
            done = [k for k in (0, 1) if same(found, states[k])]
            work()
            if not (interrupted and done and same(sim.state(), states[done[0] + 1])):
                faults.append((passed, interrupted, [n for n in found if not np.array_equal(found[n], states[0][n])]))
            passed += 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert passed > 50
    assert not faults
