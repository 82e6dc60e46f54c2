"""Targets: states of networks that wait for reward, of other rules, of streams, and positions of trainings."""

from __future__ import annotations

import pathlib
import random
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

import eprop as ep
from eprop.errors import CheckpointError, DivergenceError
from eprop.files import parsing
from eprop.training import PolicyTrainer, PolicyTraining, Trainer, Training
from fuzzing.mutate import spoiled
from fuzzing.target import Target
from rollout_networks import SIZES, network, stimulus
from worlds import CorridorTask

WAITS = ep.RewardTrace(tau=40.0, cutoff=30.0)
#: Rule of the projections onto neurons, rule of those onto readouts, and precision.
RULES: dict[str, tuple[ep.Rule, ep.Rule, str]] = {
    "reward": (
        ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=10.0, kappa_reg=0.5, c_reg=0.1, reward=WAITS),
        ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=10.0), "double",
    ),
    "reward adam": (
        ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0, reward=WAITS), ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0),
        "single",
    ),
    "each step": (
        ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0, each_step=True),
        ep.EPropPlus(optimizer=ep.RMSprop(1e-3), cutoff=10.0), "single",
    ),
    "batch": (ep.EProp(optimizer=ep.Momentum(1e-3), c_reg=0.1), ep.EProp(optimizer=ep.Adam(1e-3)), "single"),
}  # fmt: skip
#: What JSON may say in place of a number.
VALUES: tuple[Any, ...] = (
    None, "x", "", -1, 0, 3, 1.5, 2**63, 10**400, [], {}, True, False, float("nan"), float("inf"), 1e308, [1, 2], [[1]], ["x"],
    {"a": 1}, 10**9,
)  # fmt: skip


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
    for pre in (rec, slow):
        net.connect(pre, out, weight=0.2, rule=onto_readouts)
    net.feedback(out, rec)
    net.feedback(out, slow, ep.Adaptive(ep.Normal(0.0, 1.0)))
    rng = np.random.default_rng(0)
    told: dict[str, Any] = {"inputs": {"in": rng.random((15, 3)) < 0.3}, "targets": {"out": [0.0, 1.0]}}
    if "reward" in name:
        told["reward"] = rng.normal(size=15)
    return ep.Simulator(net, threads=1, precision=precision), told


def simulators(folder: pathlib.Path) -> list[tuple[ep.Simulator, dict[str, Any], dict[str, np.ndarray]]]:
    found = []
    for name in RULES:
        sim, told = of_rule(name)
        for _ in range(3):
            sim.run(15.0, **told)
        found.append((sim, told, sim.state()))
    return found


def changed(good: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """A state, or a position, with one or two parts that are something else or missing."""
    bad = dict(good)
    for name in rng.sample(sorted(good), min(rng.choice((1, 1, 2)), len(good))):
        value = good[name]
        if rng.random() < 0.05:
            del bad[name]
        elif isinstance(value, np.ndarray):
            bad[name] = spoiled(value, rng)
        elif isinstance(value, dict) and value and rng.random() < 0.8:
            bad[name] = value | {rng.choice(sorted(value)): rng.choice(VALUES)}
        else:
            bad[name] = rng.choice(VALUES)
    return bad


def set_any_state(state: list[tuple[ep.Simulator, dict[str, Any], dict[str, np.ndarray]]], rng: random.Random) -> None:
    sim, told, good = rng.choice(state)
    try:
        sim.set_state(changed(good, rng))
        sim.run(15.0, **told)
        sim.state()
    except DivergenceError:
        pass
    finally:
        sim.set_state(good)


# ---------------------------------------------------------------------------------------------------------------- streams


def streams(folder: pathlib.Path) -> list[tuple[ep.Simulator, Any, dict[str, np.ndarray]]]:
    found = []
    for delays, precision in (("more", "double"), ("each its own", "single")):
        sim = ep.Simulator(network("ALIF", delays, noise=True), threads=1, precision=precision)
        side_by_side = sim.streams(2)
        go_on(sim, side_by_side)
        side_by_side.run(6, stimulus(3, 6, 2).astype(np.uint8))
        found.append((sim, side_by_side, side_by_side.state()))
    return found


def go_on(sim: ep.Simulator, side_by_side: Any) -> None:
    """A rollout in which an episode ends, learned from."""
    side_by_side.run(7, stimulus(1, 7, 2).astype(np.uint8))
    side_by_side.reset([1])
    side_by_side.step([[0], [1, 2]])
    side_by_side.replay()
    side_by_side.backward(np.ones((2, side_by_side.steps, SIZES[2])))


def set_streams(state: list[tuple[ep.Simulator, Any, dict[str, np.ndarray]]], rng: random.Random) -> None:
    sim, side_by_side, good = rng.choice(state)
    try:
        side_by_side.set_state(changed(good, rng))
        go_on(sim, side_by_side)
        side_by_side.step()
        side_by_side.state()
    except DivergenceError:
        pass
    finally:
        side_by_side.set_state(good)


# -------------------------------------------------------------------------------------------------------------- positions


def policy_trainer() -> PolicyTrainer:
    task = CorridorTask()
    training = PolicyTraining(steps=24, environments=2, rollout=4, reports=3)
    return PolicyTrainer(task, ep.Simulator(task.build_network(), threads=1), training)


def sample_trainer() -> Trainer:
    from fuzzing.run_targets import small

    config = small()
    simulator = ep.Simulator(config.task.build_network(), threads=1)
    parts = config.data.load(config.task)
    training = Training(epochs=3, batch_size=2, skip_easy=0.5, reports=9, patience=9)
    return Trainer(config.task, simulator, parts.train, training, validation=parts.validation)


def positions(folder: pathlib.Path) -> list[tuple[Any, dict[str, Any], dict[str, np.ndarray]]]:
    found = []
    for make in (policy_trainer, sample_trainer):
        trainer: Any = make()
        for _ in range(2):
            trainer._learn_some()
        found.append((trainer, trainer.position(), trainer.simulator.state()))
    return found


def set_position(state: list[tuple[Any, dict[str, Any], dict[str, np.ndarray]]], rng: random.Random) -> None:
    """What is wrong is refused, and then as a run of a folder refuses it; what is accepted is learned from to the end."""
    trainer, good, network_state = rng.choice(state)
    try:
        with (
            warnings.catch_warnings(),
            parsing("checkpoint.h5", "does not tell where the training is", CheckpointError),
        ):
            trainer.set_position(changed(good, rng))
        trainer._learn_to_the_end()
    except DivergenceError:
        pass
    finally:
        trainer.simulator.set_state(network_state)
        trainer.set_position(good)


STATE_TARGETS = (
    Target("state of a rule", simulators, set_any_state, 200),
    Target("streams", streams, set_streams, 250),
    Target("position", positions, set_position, 80),
)
