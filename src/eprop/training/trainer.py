"""The loop of every training: learn, report, save, stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eprop.errors import ParameterError
from eprop.files import JsonObject
from eprop.parallel.interrupt import Interrupt
from eprop.training.learner import Learner, State
from eprop.training.progress_bar import shown
from eprop.training.watcher import Watcher

#: A checkpoint is due this long after the last one, s, but saving takes at most a fraction `SAVE_SHARE` of the time.
SAVE_SECONDS, SAVE_SHARE = 60.0, 0.02

#: A function that is called after each line of metrics; the return value True ends the training.
Callback = Callable[["Trainer", JsonObject], bool | None]


class Trainer:
    """Drives a learner to its end.

    Parameters
    ----------
    learner : Learner
        `SampleLearner`, `RewardLearner`, or a class of your own.
    watcher : Watcher, optional
        Receives progress and metrics; a progress bar if not given, ``Watcher()`` shows nothing.
    save : callable of (trainer), optional
        Writes a checkpoint; called at intervals of `SAVE_SECONDS`.
    interrupt : Interrupt, optional
        Receives Ctrl-C; by default, one of the trainer's own. After Ctrl-C the trainer stops between two updates and raises
        `Stopped`; another `run` continues.
    callbacks : sequence of callables of (trainer, line), optional
        Called after each line of metrics, which is a dict; the return value True ends the training. All ranks call them, and
        they must return the same value on all ranks.

    Raises
    ------
    ParameterError
        If ``learner`` is no learner.

    Examples
    --------
    >>> learner = SampleLearner(experiment, ep.Simulator(experiment.network))
    >>> Trainer(learner).run()
    >>> learner.evaluate().error
    """

    def __init__(
        self,
        learner: Learner,
        *,
        watcher: Watcher | None = None,
        save: Callable[[Trainer], None] | None = None,
        interrupt: Interrupt | None = None,
        callbacks: Sequence[Callback] = (),
    ):
        if not callable(getattr(learner, "step", None)):
            raise ParameterError(
                f"Trainer drives a learner, such as SampleLearner(experiment, simulator), got {type(learner).__name__}; "
                "ep.fit(simulator, (events, labels)) trains from arrays"
            )
        self.learner, self.callbacks = learner, tuple(callbacks)
        self._watcher, self._save, self._interrupt = watcher, save, interrupt
        self._ended, self._unreported = False, False
        self._due = 0.0  # when the next checkpoint is

    @property
    def simulator(self) -> Any:
        """The simulator of the learner."""
        return self.learner.simulator

    @property
    def done(self) -> int:
        """Work done, in the unit of the learner."""
        return self.learner.done

    @property
    def total(self) -> int:
        """The whole work."""
        return self.learner.total

    @property
    def finished(self) -> bool:
        """Whether the training has come to its end, or was stopped early."""
        return self._ended or self.learner.finished

    @property
    def stopped_early(self) -> bool:
        """Whether a callback or the learner ended the training before all work was done."""
        return self.finished and self.done < self.total

    def state(self) -> State:
        """State of the training; with the simulator's state, it continues with the same bits."""
        own = {"done": self.done, "total": self.total, "stopped_early": self.stopped_early}
        return {**self.learner.state(), **own, "unreported": self._unreported}

    def set_state(self, state: State) -> None:
        """Continue from a `state`."""
        self.learner.set_state(state)
        self._ended, self._unreported = state["stopped_early"], state["unreported"]

    def save(self) -> None:
        """Write a checkpoint; the longer it takes, the later the next one is due."""
        began = time.monotonic()
        if self._save is not None:
            self._save(self)
        now = time.monotonic()
        self._due = now + max(SAVE_SECONDS, (now - began) / SAVE_SHARE)

    def run(self) -> None:
        """Learn to the end, or until the training is stopped early.

        Raises
        ------
        Stopped
            After a signal, between two updates.
        DivergenceError
            If a voltage or weight is no longer finite.
        """
        with contextlib.ExitStack() as stack:
            watcher = stack.enter_context(shown(self._watcher, self.simulator.comm))
            interrupt = self._interrupt or stack.enter_context(Interrupt(self.simulator.comm))
            if self._unreported:  # a stop came between an update and its report
                self._report(watcher, interrupt)
            self._due = max(self._due, time.monotonic() + SAVE_SECONDS)
            while not self.finished:
                interrupt.check()
                self.learner.step(interrupt.check)
                self._unreported = True
                watcher.progress(self.learner.progress())
                self._report(watcher, interrupt)
                if self._save is not None and self.simulator.comm.broadcast(time.monotonic() > self._due):
                    self.save()
            self.learner.finish()

    def _report(self, watcher: Watcher, interrupt: Interrupt) -> None:
        """If a line of metrics is due, give it to the callbacks and to the watcher."""
        found, self._unreported = self.learner.report(interrupt.check), False
        if found is None:
            return
        line = {"samples": self.done, "total": self.total, **found}
        ends = [callback(self, line) for callback in self.callbacks]  # all are called
        self._ended = self._ended or any(isinstance(end, (bool, np.bool_)) and bool(end) for end in ends)
        watcher.metrics(line)
