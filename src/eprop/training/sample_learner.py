"""Learn a task from samples: epochs of shuffled mini-batches, a schedule of the learning rates, validation at intervals."""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from eprop.data import SeriesDataset
from eprop.engine import BatchResult, Samples, Simulator
from eprop.errors import DataError, DivergenceError, ParameterError
from eprop.files import JsonObject
from eprop.parameters import Description, param
from eprop.rules import EProp
from eprop.tasks import Dataset, Task
from eprop.training.cell_activity import described, observe
from eprop.training.epoch_order import Epochs
from eprop.training.evaluation import Evaluation, check_task, evaluate, known, mean_of
from eprop.training.learner import Check, Learner, Setup, Show, State, Sums, below
from eprop.training.moved_synapses import learns_by_batch, moves, rewired, summary_of_moves
from eprop.training.schedule import SCHEDULES, check_schedule
from eprop.training.watcher import Progress

#: Intended duration of one call that learns, s; Ctrl-C takes effect between two calls.
CALL_SECONDS = 0.25
#: Samples over which the displayed loss and error are averaged.
RECENT = 1000


@dataclass(frozen=True)
class Training(Description):
    """Duration, learning rates and reports of a training from samples."""

    epochs: int = param(1, kind=int, at_least=1, doc="passes over the training data", main=True)
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
        doc="training samples between two evaluations of the validation samples; replaces validations", main=True,
    )  # fmt: skip
    patience: int = param(
        0, kind=int, at_least=0,
        doc="stop after this many validations without a lower error (or equal error and lower loss), with the best network; "
        "0: never stop", main=True,
    )  # fmt: skip
    keep_best: bool | None = param(
        None, kind=bool, optional=True,
        doc="end with the network of the lowest validation error; by default only with patience",
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
class BestNetwork:
    """The lowest error on validation samples so far, and the network with this error.

    Of two equal errors, the one with the lower loss is better.

    Attributes
    ----------
    error, loss : float
        NaN before the first evaluation.
    waited : int
        Evaluations since the best one.
    network : dict of ndarray
        State of the simulator at the best evaluation; empty unless the best network is kept.
    """

    error: float = math.nan
    loss: float = math.nan
    waited: int = 0
    network: dict[str, np.ndarray] = field(default_factory=dict)

    def note(self, found: Evaluation) -> bool:
        """Compare an evaluation with the best one; returns whether the new one is better."""
        if not math.isnan(self.error) and (found.error, found.loss) >= (self.error, self.loss):
            self.waited += 1
            return False
        self.error, self.loss, self.waited = found.error, found.loss, 0
        return True

    def state(self) -> State:
        """Entries for the state of a learner."""
        numbers = {"error": self.error, "loss": self.loss, "waited": self.waited}
        return {
            **{f"best/{name}": value for name, value in numbers.items()},
            **{f"best_network/{name}": value for name, value in self.network.items()},
        }

    @classmethod
    def of_state(cls, state: State) -> BestNetwork:
        """From the state of a learner."""
        return cls(**below("best", state), network=below("best_network", state))


class SampleLearner(Learner):
    """Learns a task from samples with targets.

    Parameters
    ----------
    task : Task
    simulator : Simulator
        Of the task's network.
    dataset : Dataset or SeriesDataset
        Training samples; the spikes of series are drawn anew in each epoch.
    training : Training, optional
    validation : Dataset, optional
        Validation samples: evaluated at intervals, never learned from.
    test : Dataset, optional
        Test samples, for `evaluate`.
    renew : callable of (epoch) that returns Dataset, optional
        Returns the samples of a later epoch, as many as in ``dataset``, for example new recordings of the same digits.

    Attributes
    ----------
    done : int
        Samples that are learned.
    events : int
        Synaptic events while learning.
    validation_error : float
        Last error on validation samples; NaN before the first.
    best : BestNetwork

    Raises
    ------
    DataError
        If there is no sample to learn from.
    ParameterError
        If ``training`` needs validation samples (``patience``, ``keep_best``, ``validation_interval``) and there are none.
    """

    settings = Training
    done = 0

    def __init__(
        self,
        task: Task,
        simulator: Simulator,
        dataset: Dataset | SeriesDataset,
        training: Training | None = None,
        *,
        validation: Dataset | None = None,
        test: Dataset | None = None,
        renew: Callable[[int], Dataset] | None = None,
    ):
        if isinstance(dataset, SeriesDataset):
            renew, dataset = dataset.drawn, dataset.drawn(0)
        if not hasattr(dataset, "subset"):
            raise DataError(
                f"dataset must be a dataset of the task, see eprop.tasks.Dataset; got {type(dataset).__name__}"
            )
        if len(dataset) == 0:
            raise DataError("there is no sample to learn from")
        check_task(task, simulator.network, dataset)
        self.task, self.simulator, self.training = task, simulator, training or Training()
        self.dataset, self.validation, self.test = dataset, validation, test
        self._check_validation()
        self.events, self.seconds = 0, 0.0
        self.validation_error, self.best, self._sums = math.nan, BestNetwork(), Sums()
        self._counts: dict[str, np.ndarray] = {}  # spikes of each neuron since the last line, by population
        self._rates: dict[str, tuple[float, float]] = {}  # their mean (Hz) and spread in the last line
        self._recent_loss, self._recent_error = (collections.deque[float](maxlen=RECENT) for _ in range(2))
        self._renew, self._epoch_of_dataset = renew, 0
        self._chunk = 1
        self._activity, self._observed = np.zeros((0, 0)), dataset if validation is None else validation
        plan = self.training
        self._epochs = Epochs(len(dataset), plan.epochs, plan.batch_size, task.seed)
        if rewired(simulator):
            batches, recordings = plan.epochs * -(-len(dataset) // plan.batch_size), plan.epochs * len(dataset)
            simulator.plan_rewiring(
                batches if learns_by_batch(simulator) else round(recordings * _time_of_sample(self))
            )

    @classmethod
    def of_run(cls, setup: Setup) -> SampleLearner:
        """See `Learner.of_run`."""
        splits, renew = setup.splits, setup.renewed if setup.data.fresh_epochs else None
        return cls(
            setup.task, setup.simulator, splits.train, setup.training, validation=splits.validation, test=splits.test,
            renew=renew,
        )  # fmt: skip

    @property
    def total(self) -> int:
        """Samples of all epochs."""
        return self._epochs.total

    @property
    def finished(self) -> bool:
        """Whether all samples are done, or the patience has ended."""
        patience = self.training.patience
        return self.done >= self.total or (patience > 0 and self.best.waited >= patience)

    @property
    def by_batch(self) -> bool:
        """Whether weights change once per mini-batch (e-prop) rather than at every spike (e-prop+)."""
        return any(isinstance(p.rule, EProp) for p in self.simulator.network.projections)

    def state(self) -> State:
        """See `Learner.state`."""
        return {
            "done": self.done,
            "events": self.events,
            "seconds": self.seconds,
            "validation_error": self.validation_error,
            "sums": dict(self._sums.values),
            "activity": self._activity,
            **self.best.state(),
            **{f"counts/{name}": value for name, value in self._counts.items()},
            **{f"rates/{name}": list(value) for name, value in self._rates.items()},
        }

    def set_state(self, state: State) -> None:
        """See `Learner.set_state`; `DataError` if the training has fewer samples now."""
        if state["done"] > self.total:
            raise DataError(f"the training is at sample {state['done']}, but has only {self.total} now")
        self.done, self.events = state["done"], state["events"]
        self.seconds, self.validation_error = state["seconds"], state["validation_error"]
        self._sums, self.best = Sums(dict(state["sums"])), BestNetwork.of_state(state)
        self._activity = state.get("activity", self._activity)
        self._counts = {name: np.array(value) for name, value in below("counts", state).items()}
        self._rates = {name: (mean, sd) for name, (mean, sd) in below("rates", state).items()}

    def finish(self) -> None:
        """Restore the best network, if the training keeps it; reset the learning rates."""
        if self.training.keeps_best and self.best.network:
            self.simulator.set_state(self.best.network)
        self.simulator.scale_learning_rates(1.0)

    def evaluate(self, show: Show | None = None) -> Evaluation:
        """Evaluate the test samples."""
        return evaluate(self.task, self.simulator, self._test_samples(), show)

    def _test_samples(self) -> Dataset:
        if self.test is None:
            raise DataError("there is no sample to test on: give some with SampleLearner(..., test=...)")
        return self.test

    def summary(self) -> JsonObject:
        """Data, samples, validation and synaptic events."""
        train, test, validation = self.dataset, self._test_samples(), self.validation
        return {
            "loss": getattr(self.task, "loss", None),
            "test_data": test.name,
            **simulated("test_simulated", test),
            "validation_error": known(self.validation_error),
            "best_validation_error": known(self.best.error),
            "validation_samples": 0 if validation is None else len(validation),
            "train_data": train.name,
            **simulated("train_simulated", train),
            "train_samples": len(train),
            "epochs": self.training.epochs,
            "samples_learned": self.done,
            "train_samples_per_second": self.done / max(self.seconds, 1e-9),
            "synaptic_events": self.events,
            "ns_per_synaptic_event": 1e9 * self.seconds / max(self.events, 1),
            "rates": {name: {"mean": mean, "sd": sd} for name, (mean, sd) in self._rates.items()},
            **summary_of_moves(self.simulator),
            **described(self.task, self._activity, observe(self.task, self.simulator, self._observed)),
        }

    def progress(self) -> Progress:
        """See `Learner.progress`; loss and error are means over the last thousand samples.

        The error is of each sample before the weights change. It is NaN with e-prop+: the label changes the weights within the
        sample, so an error on training samples means nothing.
        """
        epoch, epochs = self._epochs.number(self.done), self.training.epochs
        values = {
            "loss": mean_of(self._recent_loss),
            "error": mean_of(self._recent_error),
            "validation error": self.validation_error,
        }
        return Progress(self.done, self.total, self.unit, f"epoch {epoch}/{epochs}", self.seconds, values)

    # ---------------------------------------------------------------- one step

    def step(self, check: Check) -> None:
        """Learn one mini-batch, or with e-prop+ as much of it as a call may take."""
        if self.done == 0:
            self._activity = observe(self.task, self.simulator, self._observed)
        epoch, place = divmod(self.done, len(self.dataset))
        if self._renew is not None and epoch != self._epoch_of_dataset:  # this does not count as learning time
            self.dataset, self._epoch_of_dataset = self._renew(epoch), epoch
        began = time.perf_counter()
        order, start = self._epochs.order(epoch), self.done - place
        batch = place - place % self.training.batch_size
        stop = min(batch + self.training.batch_size, order.size)
        if not self.by_batch:
            stop = min(stop, place + self._chunk)
        # The learning rates of the batch's first sample hold for the whole batch, however many calls it takes.
        share = (start + batch) / self.total
        self.simulator.scale_learning_rates(self.training.eta_factor(share))
        task = self.task.stage(share)
        samples = task.make_samples(self.simulator.network, self.dataset.subset(order[place:stop]))
        result = self._train(samples, check)
        score = task.score(samples, result.y) if self.by_batch else None
        self._note(samples, result, score)
        self.done = start + stop
        # All ranks must choose the same length of the next chunk.
        seconds = self.simulator.comm.broadcast(time.perf_counter() - began)
        self.seconds += seconds
        self._sums.add(seconds=seconds)
        self._chunk = int(np.clip(len(samples) * CALL_SECONDS / max(seconds, 1e-9), 1, 2 * self._chunk))

    def _train(self, samples: Samples, check: Check) -> BatchResult:
        # Ctrl-C may interrupt a mini-batch, which the simulator then discards; it may not interrupt e-prop+ within a call.
        progress = (lambda done: check()) if self.by_batch else None
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # divergence raises an error
                return self.simulator.train(samples, progress=progress)
        except DivergenceError as error:
            raise DivergenceError(f"after {self.done} samples, {error}") from None

    def _note(self, samples: Samples, result: BatchResult, score: np.ndarray | None) -> None:
        self.events += result.events
        self._recent_loss.extend(result.loss)
        sums = self._sums
        sums.add(samples=len(samples), spikes=0 if result.spikes is None else int(np.sum(result.spikes)))
        sums.add(seconds_of_network=1e-3 * len(samples) * samples.n_steps * self.simulator.network.dt)
        for name, counts in (result.neuron_spikes or {}).items():
            self._counts[name] = counts + self._counts.get(name, 0)
        sums.values["loss"] = _added(sums["loss"], result.loss)
        if score is not None:
            sums.values["score"] = _added(sums["score"], score)
            self._recent_error.extend(score)

    # ---------------------------------------------------------------- reports

    def report(self, check: Check) -> JsonObject | None:
        """A line of metrics if one of the reports or a validation is due; a validation adds error and loss."""
        validation = self._due_validation()
        if validation is None and not self._epochs.is_due(self.done, self.training.reports):
            return None
        sums = self._sums
        samples, loss = sums["samples"], sums["loss"] / sums["samples"]
        line: JsonObject = {
            "epoch": self._epochs.number(self.done),
            "loss": loss,
            "error": sums["score"] / samples if self.by_batch else None,
            "eta_factor": self.training.eta_factor(self.done / self.total),
            "seconds": self.seconds,
            "samples_per_second": samples / max(sums["seconds"], 1e-9),
        }
        if self.by_batch:
            line["spikes_per_sample"] = sums["spikes"] / samples
        for name, counts in self._counts.items():
            rates = counts / sums["seconds_of_network"]
            self._rates[name] = float(rates.mean()), float(rates.std())
            line[f"rate_{name}"], line[f"rate_sd_{name}"] = self._rates[name]
        for name, moved in moves(self.simulator).items():
            line[f"moved_{name}"], line[f"turnover_{name}"] = moved.total, moved.turnover
        if validation is not None:
            found = evaluate(self.task, self.simulator, validation, lambda done, total: check())
            line |= {"validation_error": found.error, "validation_loss": found.loss}
            self.validation_error = found.error
            if self.best.note(found) and self.training.keeps_best:
                self.best.network = self.simulator.state()
        self._sums, self._counts = Sums(), {}
        return line

    def _due_validation(self) -> Dataset | None:
        """The validation samples if they are to be evaluated now; with an interval, also at the end."""
        interval = self.training.validation_interval
        if interval is None:
            due = self._epochs.is_due(self.done, self.training.validations)
        else:
            due = self._epochs.has_passed(self.done, interval)
        return self.validation if due else None

    def _check_validation(self) -> None:
        """Raise `ParameterError` if a parameter needs validation samples and there are none."""
        for name in ("patience", "keep_best", "validation_interval"):
            if getattr(self.training, name) and self.validation is None:
                raise ParameterError(
                    f"Training.{name} needs validation samples, and there are none: give some "
                    "(SampleLearner(..., validation=...), in a configuration data.validation), or leave it out"
                )


def simulated(name: str, dataset: Dataset) -> dict[str, bool]:
    """``{name: whether the recordings are simulated}``; empty for samples that are not recordings."""
    return {} if dataset.simulated is None else {name: dataset.simulated}


def _added(total: float, values: np.ndarray) -> float:
    """``total`` plus all values, added one by one: the bits do not depend on how the values are divided among calls."""
    for value in values.tolist():
        total += value
    return total


def _time_of_sample(learner: SampleLearner) -> float:
    """Duration of a sample, ms."""
    one = learner.task.make_samples(learner.simulator.network, learner.dataset.subset(slice(1)))
    return one.n_steps * learner.simulator.network.dt
