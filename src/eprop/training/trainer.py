"""Train a network on a task: epochs of shuffled trials, a schedule of the learning rates, reports at intervals."""

from __future__ import annotations

import contextlib
import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.engine import BatchResult, Samples
from eprop.errors import DataError, DivergenceError, ParameterError
from eprop.parameters import Description, param
from eprop.rules import EProp
from eprop.tasks import Task
from eprop.training.early_stopping import Best
from eprop.training.evaluation import Engine, check_task, evaluate, evaluation_progress
from eprop.training.interrupt import Interrupt
from eprop.training.loop import SAVE_SECONDS, LoopPosition, TrainingLoop, check_schedule
from eprop.training.metrics import Evaluation, Running
from eprop.training.old_names import renamed
from eprop.training.order import Easy, Order, shuffled
from eprop.training.position import Told
from eprop.training.schedule import SCHEDULES
from eprop.training.watch import Progress, Watcher

#: Intended duration of one call that learns, s; Ctrl-C takes effect between two calls.
CALL_SECONDS = 0.25
#: At the end of an epoch, a checkpoint is due if the last one is at least this old, s.
SAVE_EPOCH_SECONDS = 5.0
#: A loss above this many times the loss of silent readouts gives a warning.
UNSTABLE = 3.0

#: A function that is called after each line of metrics; the return value True ends the training.
Callback = Callable[["Trainer", dict[str, Any]], bool | None]


class UnstableWarning(UserWarning):
    """The loss is far above the loss of silent readouts."""


@dataclass(frozen=True)
class Training(Description):
    """Duration, learning rates and reports of a training."""

    epochs: int = param(1, kind=int, at_least=1, doc="passes over the training data")
    batch_size: int = param(
        32, kind=int, at_least=1, doc="samples per weight update (with eprop+: per change of the learning rates)"
    )
    schedule: str = param(
        "linear", kind=str, doc="schedule of the learning rates: constant, linear, exponential, cosine or step"
    )
    eta_final: float = param(
        0.01, at_least=0.0, at_most=1.0, doc="final learning rates, as a fraction of the initial ones"
    )
    reports: int = param(
        200,
        kind=int,
        at_least=1,
        doc="number of lines of metrics, at most one per mini-batch; each validation adds a line",
    )
    validations: int = param(
        10,
        kind=int,
        at_least=0,
        doc="number of evaluations of the validation samples, evenly spaced, the last one at the end",
    )
    validation_interval: int | None = param(
        None, kind=int, at_least=1, optional=True,
        doc="training samples between two evaluations of the validation samples; replaces validations",
    )  # fmt: skip
    patience: int = param(
        0, kind=int, at_least=0,
        doc="stop after this many validations without a lower error (or equal error and lower loss); 0: never stop",
    )  # fmt: skip
    keep_best: bool | None = param(
        None, kind=bool, optional=True,
        doc="end with the network of the lowest validation error; by default only with patience",
    )  # fmt: skip
    skip_easy: float = param(
        0.0, at_least=0.0, at_most=1.0,
        doc="from the second epoch on, pass over this fraction of the samples whose last loss was below the mean",
    )  # fmt: skip

    def validate(self) -> None:
        """Check the schedule."""
        check_schedule("Training", self.schedule, self.eta_final)

    @property
    def keeps_best(self) -> bool:
        """Whether the training ends with the network of the lowest validation error."""
        return self.patience > 0 if self.keep_best is None else self.keep_best

    def eta_factor(self, done: float) -> float:
        """Factor of the learning rates when the fraction ``done`` (0 to 1) of the training is done."""
        return SCHEDULES[self.schedule](done, self.eta_final)


@dataclass
class _Interval:
    """Sums since the last report."""

    samples: int = 0
    loss: float = 0.0
    score: float = 0.0
    spikes: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, told: Told) -> _Interval:
        """From a checkpoint."""
        whole, real = told.whole, told.real
        return cls(whole("samples"), real("loss"), real("score"), whole("spikes"), real("seconds"))


@dataclass
class _Position(LoopPosition):
    """State of a trainer, beside the state of the simulator."""

    done: int = 0
    learned: int = 0
    validation_error: float = math.nan
    interval: _Interval = field(default_factory=_Interval)


class Trainer(TrainingLoop):
    """Trains a network on a task.

    Parameters
    ----------
    task : Task
    simulator : Simulator or TimeDriven
        Of the task's network.
    trials : Trials
        Training trials.
    training : Training
    validation : Trials, optional
        Validation trials: evaluated at intervals, never learned from.
    watcher : Watcher, optional
        Gets progress and metrics; a progress bar if not given, ``Watcher()`` shows nothing.
    save : callable of (trainer), optional
        Writes a checkpoint; called at the end of epochs (of at least `SAVE_EPOCH_SECONDS`) and every few minutes.
    interrupt : Interrupt, optional
        Receives Ctrl-C; by default, one of the trainer's own. After Ctrl-C the trainer stops between two updates and raises
        `Stopped`; another `run` continues.
    renew : callable of (epoch) that returns Trials, optional
        Returns the trials of a later epoch, as many as ``trials``, for example new recordings of the same digits.
    callbacks : sequence of callables of (trainer, line), optional
        Called after each line of metrics, which is a dict; the return value True ends the training. All ranks call them, and
        they must return the same value on all ranks.

    Raises
    ------
    DataError
        If there is no trial to learn from.
    ParameterError
        If ``training`` needs validation samples (``patience``, ``keep_best``, ``validation_interval``) and there are none.

    Examples
    --------
    >>> trainer = Trainer(task, ep.Simulator(task.build_network()), trials, Training(epochs=3))
    >>> trainer.run()
    >>> evaluate(task, trainer.simulator, test).error
    """

    _at: _Position

    def __init__(
        self,
        task: Task,
        simulator: Engine,
        trials: Any,
        training: Training | None = None,
        *,
        validation: Any = None,
        watcher: Watcher | None = None,
        save: Callable[[Trainer], None] | None = None,
        interrupt: Interrupt | None = None,
        renew: Callable[[int], Any] | None = None,
        callbacks: Sequence[Callback] = (),
    ):
        if len(trials) == 0:
            raise DataError("there is no trial to learn from")
        check_task(task, simulator.network, trials)
        super().__init__(simulator, _Position(), watcher, save, interrupt, callbacks)
        self.task, self.trials, self.validation = task, trials, validation
        self.training, self._best = training or Training(), Best()
        self._check_validation()
        self._loss, self._error = Running(), Running()
        self._renew, self._trials_of = renew, 0
        self._piece = 1
        self._warned = False
        self._easy, self._share_passed = Easy.at_first(len(trials)), 0.0
        self._order: tuple[int, Order] | None = None

    @property
    def total(self) -> int:
        """Samples of all epochs."""
        return self.training.epochs * len(self.trials)

    @property
    def best_error(self) -> float:
        """Lowest error on validation samples so far; NaN before the first evaluation."""
        return self._best.error

    @property
    def done(self) -> int:
        """Samples that are done: learned, or passed over (`Training.skip_easy`)."""
        return self._at.done

    @property
    def learned(self) -> int:
        """Samples learned."""
        return self._at.learned

    @property
    def validation_error(self) -> float:
        """Last error on validation samples; NaN before the first."""
        return self._at.validation_error

    @property
    def by_batch(self) -> bool:
        """Whether weights change once per mini-batch (e-prop) rather than at every spike (e-prop+)."""
        return any(isinstance(p.rule, EProp) for p in self.simulator.network.projections)

    def position(self) -> dict[str, Any]:
        """State of the trainer as numbers and arrays; with the simulator's state, a training continues with the same bits."""
        at = self._at
        easy = {f"easy_{name}": copy.copy(value) for name, value in vars(self._easy).items()}
        return {
            "done": at.done,
            "learned": at.learned,
            "events": at.events,
            "seconds": at.seconds,
            "validation_error": None if math.isnan(at.validation_error) else at.validation_error,
            "stopped_early": at.stopped_early,
            "interval": dict(vars(at.interval)),
            **self._best.position(),
            **(easy if self.training.skip_easy else {}),
        }

    def set_position(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        position = renamed(position)
        told = Told(position)
        self._at = _Position(
            done=told.whole("done"),
            learned=told.whole("learned", told.whole("done")),  # files of eprop 0.1 have none
            events=told.whole("events"),
            seconds=told.real("seconds"),
            validation_error=told.known("validation_error"),
            stopped_early=told.flag("stopped_early"),
            interval=_Interval.of(Told(position["interval"], "interval")),
        )
        self._best = Best.of_position(position)
        if self._at.done > self.total:
            raise DataError(f"the training is at sample {self._at.done}, but has only {self.total} now")
        if self.training.skip_easy:
            shape = self._easy.losses.shape
            losses, passed = told.array("easy_losses", "f", shape), told.array("easy_passed", "b", shape)
            if passed.all():
                raise DataError(f"it does not tell which of {len(self.trials)} samples are easy")
            self._easy, self._order = Easy(losses.copy(), told.whole("easy_epoch"), passed.copy()), None

    def warm_up(self) -> None:
        """Compile all functions that the training needs; restore the state afterwards."""
        state = self.simulator.state()
        samples = self._samples(shuffled(self.task.seed, 0, len(self.trials))[: self.training.batch_size])
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for call in (self.simulator.train, self.simulator.evaluate):
                with contextlib.suppress(DivergenceError):
                    call(samples)
        self.simulator.set_state(state)

    def _stopped_midway(self) -> bool:
        return self._at.interval.samples > 0

    def _end(self) -> None:
        if self.training.keeps_best and self._best.state:
            self.simulator.set_state(self._best.state)

    def _check_validation(self) -> None:
        """Raise `ParameterError` if a parameter needs validation samples and there are none."""
        for name in ("patience", "keep_best", "validation_interval"):
            if getattr(self.training, name) and self.validation is None:
                raise ParameterError(
                    f"Training.{name} needs validation samples, and there are none: give some (Trainer(..., validation=...), "
                    "in a configuration data.validation), or leave it out"
                )

    def _save_interval(self) -> float:
        """`SAVE_EPOCH_SECONDS` at the end of an epoch, else `SAVE_SECONDS`."""
        return SAVE_EPOCH_SECONDS if self.done % len(self.trials) == 0 else SAVE_SECONDS

    # ---------------------------------------------------------------- one step

    def _learn_some(self) -> None:
        """Learn one mini-batch, or with e-prop+ as much of it as a call may take."""
        epoch, place = divmod(self.done, len(self.trials))
        self._renew_trials(epoch)
        began = time.perf_counter()
        order = self._epoch_order(epoch)
        index = order.index(place)
        batch = order.first_of_batch(index)
        stop = min(batch + order.batch_size, order.samples.size)
        if not self.by_batch:
            stop = min(stop, index + self._piece)
        # The learning rates of the batch's first sample hold for the whole batch, however many calls it takes.
        self.simulator.scale_learning_rates(self._eta_factor(self.done - place + order.begin(batch)))
        which = order.samples[index:stop]
        samples = self._samples(which)
        self._note(which, samples, self._train(samples), self.done - place + order.begin(stop))
        seconds = self._comm.share_of(
            time.perf_counter() - began
        )  # all ranks must choose the same length of the next piece
        self._at.seconds += seconds
        self._at.interval.seconds += seconds
        self._piece = int(np.clip(len(samples) * CALL_SECONDS / max(seconds, 1e-9), 1, 2 * self._piece))

    def _renew_trials(self, epoch: int) -> None:
        """Make the trials of a new epoch; this does not count as learning time."""
        if self._renew is not None and epoch != self._trials_of:
            self.trials, self._trials_of = self._renew(epoch), epoch

    def _train(self, samples: Samples) -> BatchResult:
        # Ctrl-C may interrupt a mini-batch, which the simulator then discards; it may not interrupt e-prop+ within a call.
        check = (lambda done: self._interrupt.check()) if self.by_batch else None
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # divergence raises an error
                return self.simulator.train(samples, progress=check)
        except DivergenceError as error:
            raise DivergenceError(f"after {self.done} samples, {error}") from None

    def _samples(self, where: np.ndarray) -> Samples:
        return self.task.make_samples(self.simulator.network, self.trials.subset(where))

    def _to_learn(self) -> int:
        """Estimate of the samples still to be learned; later epochs pass over the same fraction as at the last report."""
        n = len(self.trials)
        epoch, place = divmod(self.done, n)
        rest, to_come = 0, self.training.epochs - epoch
        if place:
            order = self._epoch_order(epoch)
            rest, to_come = order.samples.size - order.index(place), to_come - 1
        return rest + round(to_come * n * (1.0 - self._share_passed))

    def _epoch_order(self, epoch: int) -> Order:
        """Order of the samples of an epoch; the first call for an epoch chooses the samples to pass over."""
        if self._order is None or self._order[0] != epoch:
            n, seed, share = len(self.trials), self.task.seed, self.training.skip_easy
            if share and epoch > self._easy.epoch:
                self._easy.turn_to(epoch, share, seed)
            self._order = (epoch, Order.of(shuffled(seed, epoch, n), self._easy.passed, self.training.batch_size))
        return self._order[1]

    def _batch_start(self, done: int) -> int:
        """Position at which the present mini-batch begins."""
        epoch, place = divmod(done, len(self.trials))
        if place == 0:
            return done
        order = self._epoch_order(epoch)
        return done - place + order.begin(order.first_of_batch(order.index(place)))

    def _eta_factor(self, done: int) -> float:
        return self.training.eta_factor(done / self.total)

    # ---------------------------------------------------------------- book-keeping

    def _note(self, which: np.ndarray, samples: Samples, result: BatchResult, done: int) -> None:
        at, part = self._at, self._at.interval
        at.done = done
        at.learned += len(samples)
        self._easy.losses[which] = result.loss
        at.events += result.events
        part.samples += len(samples)
        part.loss = _added(part.loss, result.loss)
        self._loss.add(result.loss)
        if result.spikes is not None:
            part.spikes += int(np.sum(result.spikes))
        if self.by_batch:
            score = self.task.score(samples, result.y)
            part.score = _added(part.score, score)
            self._error.add(score)

    def _is_due(self, times: int) -> bool:
        """Whether a mini-batch has just ended, and with it one of ``times`` equal parts of the training."""
        batch_ended = self._batch_start(self.done) == self.done
        before = self._batch_start(self.done - 1)
        return batch_ended and self.done * times // self.total > before * times // self.total

    def _show(self) -> None:
        self.watcher.progress(self._progress())

    def _progress(self) -> Progress:
        epoch = min((self.done - 1) // len(self.trials) + 1, self.training.epochs)
        return Progress(
            self.done, self.total, self.learned, self._to_learn(), epoch, self.training.epochs, self._loss.mean,
            self._error.mean, self.validation_error, self.seconds,
        )  # fmt: skip

    def _evaluation_is_due(self) -> bool:
        """Whether to evaluate the validation samples now; with an interval, also at the end."""
        interval = self.training.validation_interval
        if interval is None:
            return self._is_due(self.training.validations)
        if self._batch_start(self.done) != self.done:
            return False
        return self.done == self.total or self.done // interval > self._batch_start(self.done - 1) // interval

    def _report_if_due(self) -> None:
        """Write a line of metrics if a report or a validation is due."""
        evaluates = self.validation is not None and self._evaluation_is_due()
        if evaluates or self._is_due(self.training.reports):
            self._report(evaluates)

    def _report(self, evaluates: bool) -> None:
        """Write one line of metrics; if it ``evaluates``, with error and loss of the validation samples."""
        part, progress = self._at.interval, self._progress()
        self._warn_if_unstable(part.loss / part.samples)
        line: dict[str, Any] = {
            "samples": self.done,
            "total": self.total,
            "learned": self.learned,
            "epoch": progress.epoch,
            "loss": part.loss / part.samples,
            "error": part.score / part.samples if self.by_batch else None,
            "eta_factor": self._eta_factor(self.done),
            "seconds": self.seconds,
            "samples_per_second": part.samples / max(part.seconds, 1e-9),
        }
        if self.by_batch:
            line["spikes_per_sample"] = part.spikes / part.samples
        if self.validation is not None and evaluates:
            watch = evaluation_progress(self.watcher.evaluating, len(self.validation), self._interrupt)
            found = evaluate(self.task, self.simulator, self.validation, watch)
            self._note_validation(found)
            line |= {"validation_error": found.error, "validation_loss": found.loss}
        self._at.interval = _Interval()
        if self.training.skip_easy:
            self._share_passed = self.training.skip_easy * self._easy.share
        self._tell(line)

    def _note_validation(self, found: Evaluation) -> None:
        """Keep the validation error; keep the best network, or end the training, according to the parameters."""
        self._at.validation_error = found.error
        if self._best.note(found):
            if self.training.keeps_best:
                self._best.state = self.simulator.state()
        elif self.training.patience and self._best.waited >= self.training.patience:
            self._at.stopped_early = self.done < self.total

    def _warn_if_unstable(self, loss: float) -> None:
        silent = self.task.silent_loss
        if silent is not None and loss > UNSTABLE * silent and not self._warned:
            self._warned = True
            warnings.warn(
                f"after {self.done} samples the loss is {loss:.4g}, {loss / silent:.1f} times the loss of readouts that do "
                "nothing: lower the learning rates (eta, eta_out)",
                UnstableWarning,
                stacklevel=2,
            )


def _added(total: float, values: np.ndarray) -> float:
    """``total`` plus all values, added one by one: the bits do not depend on how the values are divided among calls."""
    for value in values.tolist():
        total += value
    return total
