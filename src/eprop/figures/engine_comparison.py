"""Losses of event-driven and time-driven learning, step by step: a job of figure 2."""

from __future__ import annotations

import pathlib
from dataclasses import replace
from typing import Any

import numpy as np

from eprop.engine import Samples
from eprop.figures.jobs import Job
from eprop.training import RunConfig, Watcher
from eprop.training.config import parse_config
from eprop.training.engines import make_engine
from eprop.training.epoch_order import shuffled
from eprop.training.recorded_activity import uses_softmax


def comparison_job(name: str, config: RunConfig, iterations: int, cost: float = 1.0) -> Job:
    """Make a job in which both engines learn a few samples in sequence, with a constant learning rate."""
    training = config.training.replace(batch_size=1, schedule="constant")
    config = replace(config, training=training).absolute()
    return Job(name, compare, {"config": config.to_toml(), "iterations": iterations}, cost)


def compare(folder: pathlib.Path, watcher: Watcher, config: str, iterations: int) -> dict[str, Any]:
    """Losses of both engines.

    Returns
    -------
    dict
        ``event`` and ``time``: each with the losses of the ``samples``, as the engine returns them, and for each sample a
        list with the losses of its ``steps`` in the learning window.
    """
    wanted = RunConfig.make(*parse_config(config, "configuration of a figure"))
    out = {}
    for engine in ("event", "time"):
        watcher.phase(f"engine {engine}")
        execution = wanted.execution.replace(engine=engine, precision="double", threads=1)
        out[engine] = _losses(replace(wanted, execution=execution), iterations)
    return out


def _losses(config: RunConfig, iterations: int) -> dict[str, Any]:
    """Learn the first samples of a training, in the order of the training."""
    task, simulator = config.task, make_engine(config)
    softmax = uses_softmax(simulator.network)
    losses: dict[str, Any] = {"steps": [], "samples": []}
    for iteration in range(iterations):
        epoch, within = divmod(iteration, len(config.data.load(task).train))
        trials = config.data.load(task, epoch=epoch).train
        where = shuffled(task.seed, epoch, len(trials))[within]
        samples = task.make_samples(simulator.network, trials.subset([where]))
        result = simulator.train(samples)
        losses["samples"].append(float(result.loss[0]))
        losses["steps"].append(losses_of_steps(samples, result.y[0], softmax).tolist())
    return losses


def losses_of_steps(samples: Samples, y: np.ndarray, softmax: bool) -> np.ndarray:
    """Loss of each step of the learning window of the first sample, for readouts ``y`` of shape (n_steps, readouts)."""
    target, weight = np.broadcast_to(samples.target[0], y.shape), samples.window[0, :, 0]
    if softmax:
        shifted = y - y.max(axis=1, keepdims=True)
        loss = -(target * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))).sum(axis=1)
    else:
        loss = 0.5 * ((y - target) ** 2).sum(axis=1)
    return np.asarray((weight * loss)[weight > 0])
