"""A learner of a few neurons on invented digits, and a watcher that remembers what it receives."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import digits
import eprop as ep
from eprop.tasks import nmnist
from eprop.training import Interrupt, Progress, SampleLearner, Stopped, Trainer, Watcher

RULES = ("eprop", "eprop+")


def experiment(
    rule: Any = "eprop", n: int = 10, *, train: Any = None, validation: Any = None, test: Any = None, **settings: Any
) -> ep.Experiment:
    """Ten recordings, two epochs of mini-batches of four; ``settings`` are arguments of N-MNIST."""
    gentle = {"eta": 1e-6, "eta_out": 1e-5} if rule == "eprop+" else {}
    small = {"neurons": 4, "n_steps": 20, "w_in": 0.2, "w_out": 0.1, "epochs": 2, "batch_size": 4}
    made = nmnist(rule=rule, **{**small, **gentle, **settings})
    given = digits.recordings(n) if train is None else train
    return dataclasses.replace(made, train=given, validation=validation, test=test)


def learner(rule: str = "eprop", n: int = 10, *, threads: int = 1, **options: Any) -> SampleLearner:
    """The learner of an `experiment`."""
    made = experiment(rule, n, **options)
    return SampleLearner(made, ep.Simulator(made.network, threads=threads, precision=made.precision))


def weights(trained: Any) -> np.ndarray:
    """All weights of a learner or trainer."""
    return trained.simulator.state()["synapses/weight"]


class Log(Watcher):
    """Remembers lines and progress; asks the interrupt to stop after ``stop_at`` samples."""

    def __init__(self, stop_at: int | None = None, interrupt: Interrupt | None = None) -> None:
        self.lines: list[dict[str, Any]] = []
        self.seen: list[Progress] = []
        self._stop_at, self._interrupt = stop_at, interrupt

    def metrics(self, line: dict[str, Any]) -> None:
        self.lines.append(line)

    def progress(self, progress: Progress) -> None:
        self.seen.append(progress)
        if self._interrupt is not None and self._stop_at is not None and progress.done >= self._stop_at:
            self._interrupt.signal = 2

    @property
    def validated(self) -> list[int]:
        """Samples done at the lines with a validation error."""
        return [line["samples"] for line in self.lines if "validation_error" in line]


def run(learns: SampleLearner, **options: Any) -> tuple[Trainer, Log]:
    """Train to the end."""
    log = options.pop("watcher", None) or Log()
    trainer = Trainer(learns, watcher=log, **options)
    trainer.run()
    return trainer, log


def stopped(learns: SampleLearner, at: int) -> Trainer:
    """Train until a stop after ``at`` samples."""
    interrupt = Interrupt()
    trainer = Trainer(learns, watcher=Log(at, interrupt), interrupt=interrupt)
    try:
        trainer.run()
    except Stopped:
        return trainer
    raise AssertionError("the training was not stopped")


def resumed(learns: SampleLearner, before: Trainer, **options: Any) -> tuple[Trainer, Log]:
    """Continue another trainer's training with a fresh learner, to the end."""
    log = Log()
    trainer = Trainer(learns, watcher=log, **options)
    learns.simulator.set_state(before.simulator.state())
    trainer.set_state(before.state())
    trainer.run()
    return trainer, log
