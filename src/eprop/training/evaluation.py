"""Evaluate a network with frozen weights on shuffled trials."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from eprop.errors import DataError, InputError
from eprop.network import Network
from eprop.tasks import Classification, Task
from eprop.training.engines import Engine
from eprop.training.epoch_order import shuffled
from eprop.training.metrics import Evaluation

#: Samples per call of `Simulator.evaluate`; this bounds the memory. A network without resets carries its state from sample to
#: sample within a slice, so results depend on this constant.
SLICE = 512
#: Stream of `eprop.random.SHUFFLE` for evaluations; epochs have the streams 0, 1, ...
EVALUATION_STREAM = 2**32 - 1


def counted_by(show: Callable[[int, int], None] | None, total: int) -> Callable[[int], None] | None:
    """A ``progress`` for `evaluate` that adds up the samples, and calls ``show(done, total)``."""
    if show is None:
        return None
    lock, done = threading.Lock(), 0

    def progress(count: int) -> None:
        nonlocal done
        with lock:
            done += count
        show(done, total)

    return progress


def check_task(task: Task, network: Network, trials: Any) -> None:
    """Make samples of two trials and score silent readouts, to find mistakes before the training begins.

    Raises
    ------
    InputError
        If the samples do not fit the network, or the scores have a wrong shape.
    """
    samples = task.make_samples(network, trials.subset(np.arange(min(len(trials), 2))))
    with np.errstate(all="ignore"):
        scores = task.score(samples, np.zeros((len(samples), samples.n_steps, samples.target.shape[2])))
    if np.shape(scores) != (len(samples),):
        raise InputError(
            f"{type(task).__name__}.score must return an array of shape (samples,), here ({len(samples)},), got "
            f"{np.shape(scores)}"
        )


def evaluate(task: Task, simulator: Engine, trials: Any, progress: Callable[[int], None] | None = None) -> Evaluation:
    """Run trials with frozen weights and score them.

    A classification may define several views of each trial; the loss is the mean over the views.

    Trials are shuffled by the task's seed: a network without resets between samples (e-prop+) might otherwise infer the class
    from sorted trials. Results are in the order of ``trials``.

    Parameters
    ----------
    task : Task
    simulator : Simulator or TimeDrivenEngine
        Of the task's network. Its state does not change.
    trials : Trials
    progress : callable of (samples done since the last call), optional

    Returns
    -------
    Evaluation
    """
    n = len(trials)
    if n == 0:
        raise DataError("there is no trial to evaluate")
    began = time.perf_counter()
    order = shuffled(task.seed, EVALUATION_STREAM, n)
    scores, losses = np.zeros(n), np.zeros(n)
    labels, predictions = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for first in range(0, n, SLICE):
        where = order[first : first + SLICE]
        part = trials.subset(where)
        views = task.views(part) if isinstance(task, Classification) else (part,)
        seen, readouts = _share(progress, len(views)), []
        for view in views:
            samples = task.make_samples(simulator.network, view)
            result = simulator.evaluate(samples, progress=seen)
            losses[where] += result.loss / len(views)
            readouts.append(result.y)
        scores[where] = task.score(samples, *readouts)
        if isinstance(task, Classification) and samples.labels is not None:
            labels[where] = samples.labels
            predictions[where] = task.predict(samples, *readouts)
    seconds = time.perf_counter() - began
    if isinstance(task, Classification):
        return Evaluation(scores, losses, labels, predictions, len(task.classes), seconds)
    return Evaluation(scores, losses, seconds=seconds)


def _share(progress: Callable[[int], None] | None, views: int) -> Callable[[int], None] | None:
    """A ``progress`` that counts one sample for every ``views`` runs."""
    if progress is None or views == 1:
        return progress
    lock, done = threading.Lock(), 0

    def counted(count: int) -> None:
        nonlocal done
        with lock:
            before, done = done, done + count
            whole = done // views - before // views
        progress(whole)

    return counted
