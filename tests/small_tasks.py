"""Experiments that learn in a moment, one of each kind whose runs are stopped and continued: `KINDS`."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np

import eprop as ep
import worlds
from eprop.runs import RunFolder, load_checkpoint
from eprop.tasks import Doc, task

INPUTS, STEPS = 6, 20


def draw(rng: np.random.Generator) -> ep.data.Sample:
    """One of two classes: the active half of the inputs."""
    label = int(rng.integers(2))
    return ep.data.Sample(rng.random((STEPS, INPUTS)) < np.where(np.arange(INPUTS) // 3 == label, 0.4, 0.1), label)


def network(rule: str, neurons: int, rewired: bool, seed: int) -> ep.Network:
    """Inputs, recurrent neurons, two readouts; all weights learn."""
    learned: ep.Rule = ep.EProp(optimizer=ep.Adam(eta=1e-2))
    if rule == "eprop+":
        learned = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3), c_reg=0.05)
    net = ep.Network(seed=seed)
    x, rec = net.add(ep.EventSource(), INPUTS, "in"), net.add(ep.LIF(), neurons, "rec")
    out = net.add(ep.Readout(loss=ep.CrossEntropy()), 2, "out")
    moved: dict[str, Any] = {"rewiring": ep.Rewiring(every=1, fraction=0.5)} if rewired else {}
    net.connect(x, rec, ep.FixedIndegree(3), weight=ep.Normal(0.3, 0.3), rule=learned, **moved)
    net.connect(rec, rec, weight=ep.Normal(0.0, 0.3), rule=learned, delay=2.0)
    net.connect(rec, out, weight=ep.Glorot(), rule=learned)
    net.feedback(out, rec)
    return net


@task
def small(
    *,
    rule: Literal["eprop", "eprop+"] = "eprop",
    neurons: Annotated[int, Doc("recurrent neurons")] = 6,
    rewired: bool = False,
    fresh: bool = False,
    best: bool = False,
    epochs: Annotated[int, Doc("passes over the samples")] = 3,
    test_samples: int = 6,
    seed: int = 1,
) -> ep.Experiment:
    """Twelve samples in batches of four, validation and test."""
    source = ep.data.Generated(draw, 12, test_samples, 6, seed=seed)

    def once(stage: Any) -> Any:
        return source(stage)

    once.fresh_epochs = False  # type: ignore[attr-defined]
    return ep.Experiment(
        network(rule, neurons, rewired, seed), source if fresh else once, classes=("low", "high"), epochs=epochs, batch_size=4,
        keep_best=best, validations=epochs, precision="single",
    )  # fmt: skip


def bare(seed: int = 1, **settings: Any) -> Any:  # not "Experiment", which would make it a second task of this file
    """An experiment that no task has made."""
    samples = [draw(np.random.default_rng(k)) for k in range(18)]
    events, labels = np.array([each.inputs for each in samples]), np.array([each.target for each in samples])
    parts = [(events[part], labels[part]) for part in (slice(12), slice(12, 18))]
    return ep.Experiment(
        network("eprop", 6, False, 1), parts[0], test=parts[1], seed=seed, **{"epochs": 3, "batch_size": 4, **settings}
    )


KINDS: dict[str, Callable[[], ep.Experiment]] = {
    "eprop": small,
    "eprop+": lambda: small(rule="eprop+"),
    "rewiring": lambda: small(rewired=True),
    "keep best": lambda: small(best=True),
    "fresh epochs": lambda: small(fresh=True),
    "no function": bare,
    "reward": lambda: worlds.corridor(steps=240, environments=2, rollout=10, reports=6, episodes=3),
}


def trained(experiment: ep.Experiment, folder: pathlib.Path | None, **given: Any) -> Any:
    """`ep.fit` with one thread, without bar and pictures."""
    return ep.fit(experiment, folder=folder, **{"threads": 1, "progress": False, "formats": (), **given})


def outcome(folder: pathlib.Path) -> dict[str, Any]:
    """All that a run has learned and reported, but for times."""
    run = RunFolder(folder)
    position = load_checkpoint(run.checkpoint)
    lines = [{k: v for k, v in line.items() if "second" not in k} for line in run.read_metrics()]
    found = {k: v for k, v in position.position.items() if "seconds" not in k}
    kept = ("value", "test_loss", "mean_return", "synaptic_events", "stopped_early", "best_validation_error")
    summary = {name: run.read_summary().get(name) for name in kept}
    arrays = {k: np.asarray(v).tobytes() for k, v in position.state.items()}
    texts = {k: v.tobytes() if isinstance(v, np.ndarray) else repr(v) for k, v in found.items()}
    return {"state": arrays, "position": texts, "lines": lines, "summary": summary}
