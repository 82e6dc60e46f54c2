"""The loop of every training: learn some, show it, report and save when due, stop after a signal or when a callback says so."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eprop.errors import ParameterError
from eprop.parallel import Communicator
from eprop.tasks import check_choice
from eprop.training.interrupt import Interrupt
from eprop.training.progress_bar import shown
from eprop.training.schedule import GEOMETRIC, SCHEDULES
from eprop.training.watch import Watcher

#: A checkpoint is due after this long.
SAVE_SECONDS = 300.0


def check_schedule(label: str, schedule: str, eta_final: float) -> None:
    """Raise a `ParameterError` unless a schedule exists and can come to its end; ``label`` names the class it belongs to."""
    check_choice(f"{label}.schedule", schedule, SCHEDULES)
    if schedule in GEOMETRIC and eta_final == 0.0:
        raise ParameterError(f"{label}.eta_final must be > 0 with the schedule {schedule!r}, got 0")


@dataclass
class LoopPosition:
    """What every training remembers beside the simulator's state."""

    events: int = 0
    seconds: float = 0.0
    stopped_early: bool = False


class TrainingLoop:
    """Base of trainers: who watches, who may stop, and the loop over updates.

    A subclass gives `total`, `done` and the steps of the loop: `_learn_some`, `_show`, `_report_if_due`.

    Parameters
    ----------
    simulator : Engine
    at : LoopPosition
        The subclass may add to it.
    watcher : Watcher, optional
        Is told of progress and metrics; a progress bar if not given.
    save : callable of (trainer), optional
        Writes a checkpoint.
    interrupt : Interrupt, optional
        Where Ctrl-C is noted; an own one if not given.
    callbacks : sequence of callables of (trainer, line)
        Called after each line of metrics; when one returns True, the training ends.
    """

    def __init__(
        self,
        simulator: Any,
        at: LoopPosition,
        watcher: Watcher | None,
        save: Callable[[Any], None] | None,
        interrupt: Interrupt | None,
        callbacks: Sequence[Callable[[Any, dict[str, Any]], bool | None]],
    ):
        self.simulator, self._at, self._callbacks = simulator, at, tuple(callbacks)
        self._comm: Communicator = simulator.comm
        self._given_watcher, self._given_interrupt = watcher, interrupt
        self.watcher, self._save = watcher or Watcher(), save or (lambda trainer: None)
        self._interrupt = interrupt or Interrupt(self._comm)
        self._saved_at = time.monotonic()

    @property
    def total(self) -> int:
        """All there is to learn from."""
        raise TypeError(f"{type(self).__name__} does not define total")

    @property
    def done(self) -> int:
        """How much of `total` is done with."""
        raise TypeError(f"{type(self).__name__} does not define done")

    @property
    def finished(self) -> bool:
        """Whether all is done, or the training has been stopped early."""
        return self.stopped_early or self.done >= self.total

    @property
    def stopped_early(self) -> bool:
        """Whether something else than the end of the training has ended it."""
        return self._at.stopped_early

    @property
    def seconds(self) -> float:
        """Time spent learning, wall clock."""
        return self._at.seconds

    @property
    def events(self) -> int:
        """Synaptic events while learning."""
        return self._at.events

    def run(self) -> None:
        """Learn to the end, or until the training is stopped early.

        Raises
        ------
        Stopped
            After a signal; all is as after the last complete update, and ``position`` tells which.
        DivergenceError
            If a voltage or weight is no longer finite.
        """
        with contextlib.ExitStack() as stack:
            if self._given_watcher is None:
                self.watcher = stack.enter_context(shown(None, self._comm))
            if self._given_interrupt is None:
                self._interrupt = stack.enter_context(Interrupt(self._comm))
            self._learn_to_the_end()

    def _learn_to_the_end(self) -> None:
        if self._stopped_midway():
            self._report_if_due()
        while not self.finished:
            self._interrupt.check()
            self._learn_some()
            self._show()
            self._report_if_due()
            if self._comm.share_of(time.monotonic() - self._saved_at > self._save_interval()):
                self._save(self)
                self._saved_at = time.monotonic()
        self._end()
        self.simulator.scale_learning_rates(1.0)

    def _stopped_midway(self) -> bool:
        """Whether there is something that has been learned, but not reported."""
        raise TypeError(f"{type(self).__name__} does not define _stopped_midway()")

    def _learn_some(self) -> None:
        """One update, or a part of it."""
        raise TypeError(f"{type(self).__name__} does not define _learn_some()")

    def _show(self) -> None:
        """Tell the watcher how far the training is."""
        raise TypeError(f"{type(self).__name__} does not define _show()")

    def _report_if_due(self) -> None:
        """Give a line of metrics to `_tell`, where one is due."""
        raise TypeError(f"{type(self).__name__} does not define _report_if_due()")

    def _save_interval(self) -> float:
        """Seconds after which a checkpoint is due here."""
        return SAVE_SECONDS

    def _end(self) -> None:
        """What remains to be done when the training has come to its end."""

    def _tell(self, line: dict[str, Any]) -> None:
        """A line of metrics, to the watcher and to all callbacks."""
        self.watcher.metrics(line)
        ends = [callback(self, line) is True for callback in self._callbacks]  # each is called, whatever the others say
        if any(ends):
            self._at.stopped_early = self.done < self.total
