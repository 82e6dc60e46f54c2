"""States given to `set_state`, and checkpoints of which one array is exchanged."""

from __future__ import annotations

import dataclasses
import pathlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

import eprop as ep
from eprop.errors import DivergenceError
from eprop.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eprop.runs.record import RunRecord
from eprop.tasks import nmnist
from fuzzing.mutate import damaged, spoiled
from rollout_networks import SIZES, stimulus
from rollout_networks import network as rollout_network

#: What is run, the arguments of a run, and a sound state.
State = tuple[Any, dict[str, Any], dict[str, np.ndarray]]


def changed(good: Mapping[str, np.ndarray], rng: random.Random) -> dict[str, Any]:
    """A state with one or two parts that are something else or missing."""
    bad = dict(good)
    for name in rng.sample(sorted(good), min(rng.choice((1, 1, 2)), len(good))):
        if rng.random() < 0.05:
            del bad[name]
        else:
            bad[name] = spoiled(np.asarray(good[name]), rng)
    return bad


def set_state(states: list[State], rng: random.Random) -> None:
    """A simulator runs on from a state that it accepts; one that it refuses changes nothing."""
    sim, external, good = rng.choice(states)
    try:
        sim.set_state(changed(good, rng))
        sim.run(15.0, **external)
        sim.state()
    except DivergenceError:
        pass
    finally:
        sim.set_state(good)


TRACE = ep.RewardTrace(tau=40.0, cutoff=30.0)
#: Rule of the projections onto neurons, rule of those onto readouts, and precision.
RULES: dict[str, tuple[ep.Rule, ep.Rule, str]] = {
    "reward": (
        ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=10.0, kappa_reg=0.5, c_reg=0.1, reward=TRACE),
        ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=10.0), "double",
    ),
    "reward adam": (
        ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0, reward=TRACE), ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0),
        "single",
    ),
    "each step": (
        ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0, each_step=True),
        ep.EPropPlus(optimizer=ep.RMSprop(1e-3), cutoff=10.0), "single",
    ),
    "each spike": (
        ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=10.0), ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0),
        "double",
    ),
    "batch": (ep.EProp(optimizer=ep.Momentum(1e-3), c_reg=0.1), ep.EProp(optimizer=ep.Adam(1e-3)), "single"),
}  # fmt: skip


def of_rule(name: str) -> tuple[ep.Simulator, dict[str, Any]]:
    """A small network with delays and adaptation, and what each run of 15 steps is given."""
    onto_neurons, onto_readouts, precision = RULES[name]
    net = ep.Network(seed=3)
    x, rec, slow, out = (
        net.add(ep.EventSource(), 3, "in"), net.add(ep.LIF(v_th=0.3), 3, "rec"),
        net.add(ep.ALIF(v_th=0.3), 2, "slow"), net.add(ep.Readout(), 2, "out"),
    )  # fmt: skip
    net.connect(x, rec, weight=0.4, rule=onto_neurons, delay=ep.Uniform(0.5, 3.5))
    net.connect(rec, slow, weight=0.4, rule=onto_neurons)
    net.connect(slow, rec, weight=0.2, rule=onto_neurons, delay=2.0)
    if name != "batch":
        net.connect(slow, rec, weight=0.2, rule=ep.STDP(), name="pairs")
    for pre in (rec, slow):
        net.connect(pre, out, weight=0.2, rule=onto_readouts)
    net.feedback(out, rec)
    net.feedback(out, slow, ep.Adaptive(ep.Normal(0.0, 1.0)))
    rng = np.random.default_rng(0)
    external: dict[str, Any] = {"inputs": {"in": rng.random((15, 3)) < 0.3}, "targets": {"out": [0.0, 1.0]}}
    if "reward" in name:
        external["reward"] = rng.normal(size=15)
    return ep.Simulator(net, threads=1, precision=precision), external


def rules(folder: pathlib.Path) -> list[State]:
    found = []
    for name in RULES:
        sim, external = of_rule(name)
        for _ in range(3):
            sim.run(15.0, **external)
        found.append((sim, external, sim.state()))
    return found


def lanes_of_networks(folder: pathlib.Path) -> list[tuple[ep.Simulator, Any, dict[str, np.ndarray]]]:
    found = []
    for delays, precision in (("more", "double"), ("each its own", "single")):
        sim = ep.Simulator(rollout_network("ALIF", delays, noise=True), threads=1, precision=precision)
        lanes = sim.lanes(2)
        run_on(sim, lanes)
        lanes.run(6, stimulus(3, 6, 2).astype(np.uint8))
        found.append((sim, lanes, lanes.state()))
    return found


def run_on(sim: ep.Simulator, lanes: Any) -> None:
    """A rollout in which an episode ends, learned from."""
    lanes.run(7, stimulus(1, 7, 2).astype(np.uint8))
    lanes.reset([1])
    lanes.step([[0], [1, 2]])
    lanes.replay()
    lanes.backward(np.ones((2, lanes.steps, SIZES[2])))


def set_lanes(state: list[tuple[ep.Simulator, Any, dict[str, np.ndarray]]], rng: random.Random) -> None:
    sim, lanes, good = rng.choice(state)
    try:
        lanes.set_state(changed(good, rng))
        run_on(sim, lanes)
        lanes.step()
        lanes.state()
    except DivergenceError:
        pass
    finally:
        lanes.set_state(good)


# ------------------------------------------------------------------------------------------------------------ checkpoints


def checkpoints(folder: pathlib.Path) -> tuple[pathlib.Path, Checkpoint]:
    state = rules(folder)[0][2]
    position = {"done": 3, "events": 9, "seconds": 1.0, "validation_error": None, "data": "x", "order": np.arange(3.0)}
    record = RunRecord.of(nmnist(neurons=5))
    return folder / "checkpoint.npz", Checkpoint(record, position, state, {"ptr": np.arange(4)}, "0.2.0")


def read_checkpoint(state: tuple[pathlib.Path, Checkpoint], rng: random.Random) -> None:
    """Its bytes are damaged; or an array is exchanged, and the checksums are right."""
    path, checkpoint = state
    if rng.random() < 0.5:
        save_checkpoint(path, checkpoint)
        path.write_bytes(damaged(path.read_bytes(), rng))
    else:
        try:
            save_checkpoint(path, dataclasses.replace(checkpoint, state=changed(checkpoint.state, rng)))
        except (TypeError, ValueError):  # not everything can be written
            return
    assert isinstance(load_checkpoint(path).position, dict)
