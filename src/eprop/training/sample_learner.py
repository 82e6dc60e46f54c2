"""Learn a task from samples: epochs of shuffled mini-batches, a schedule of the learning rates, validation at intervals."""

from __future__ import annotations

import collections
import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from eprop.data import Splits
from eprop.engine import BatchResult, Moved, Samples, Simulator
from eprop.errors import DataError, DivergenceError, InputError, ParameterError
from eprop.files import JsonObject
from eprop.models.learned import learned_of
from eprop.network import Network
from eprop.rules import EProp
from eprop.training.epoch_order import Epochs
from eprop.training.evaluation import Evaluation, check_samples, evaluate, known, mean_of
from eprop.training.experiment import Experiment, Stage
from eprop.training.forms import Dataset, fingerprint
from eprop.training.learner import Check, Learner, Show, State, Sums, below, in_turn
from eprop.training.pictures import Picture, Trained, loss_unit, pictures_of_samples, steps_of
from eprop.training.scoring import scoring_of
from eprop.training.watcher import Progress, Watcher

#: Intended duration of one call that learns, s; Ctrl-C takes effect between two calls.
CALL_SECONDS = 0.25
#: Samples over which the displayed loss and error are averaged.
RECENT = 1000
#: Attributes that are part of the state.
_STATE = ("done", "events", "seconds", "validation_error")


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
    """Learns an experiment from samples with targets.

    Parameters
    ----------
    experiment : Experiment
    simulator : Simulator
        Of the experiment's network.
    watcher : Watcher, optional
        Is told how far the reading of data is.

    Attributes
    ----------
    done : int
        Samples learned from.
    events : int
        Synaptic events while learning.
    validation_error : float
        Last error on validation samples; NaN before the first.
    best : BestNetwork
    dataset, validation, test : Dataset
        Training samples of the present epoch; validation and test samples, or None.
    scoring : Scoring

    Raises
    ------
    DataError
        If there is no sample to learn from.
    ParameterError
        If a setting needs validation samples (``patience``, ``keep_best``, ``validation_interval``) and there are none.
    """

    done = 0

    def __init__(self, experiment: Experiment, simulator: Simulator, watcher: Watcher | None = None):
        watcher = watcher or Watcher()
        self.experiment, self.simulator = experiment, simulator
        splits = in_turn(simulator.comm, lambda: self._read(watcher))
        if not splits.train:
            raise DataError("there is no sample to learn from")
        self.dataset: Dataset = splits.train
        self.validation: Dataset | None = splits.validation or None
        self.test: Dataset | None = splits.test or None
        self.scoring = scoring_of(experiment, self.dataset)
        self.score_name = self.scoring.name
        check_learns(simulator.network)
        for part in (self.dataset, self.validation, self.test):
            if part is not None:
                check_samples(self.scoring, part)
        self._check_validation()
        self.events, self.seconds = 0, 0.0
        self.validation_error, self.best, self._sums = math.nan, BestNetwork(), Sums(float)
        self._counts: dict[str, np.ndarray] = {}  # spikes of each neuron since the last line, by population
        self._rates: dict[str, tuple[float, float]] = {}  # their mean (Hz) and spread in the last line
        self._recent_loss, self._recent_error = (collections.deque[float](maxlen=RECENT) for _ in range(2))
        parts = {"train": self.dataset, "validation": self.validation, "test": self.test}
        known = (f"{name} {fingerprint(part)}" for name, part in parts.items() if part is not None)
        self._fingerprint, self._epoch_of_dataset = ", ".join(known), 0
        self._chunk = 1
        self._epochs = Epochs(len(self.dataset), experiment.epochs, experiment.batch_size, experiment.seed)
        if any(p.rewiring is not None for p in simulator.network.projections):
            batches = experiment.epochs * -(-len(self.dataset) // experiment.batch_size)
            sample = self.scoring.samples(self.dataset.subset([0])).n_steps * simulator.network.dt
            simulator.plan_rewiring(batches if self.by_batch else round(self.total * sample))

    def _read(self, watcher: Watcher) -> Splits:
        """Training, validation and test samples."""
        if callable(self.experiment.train):
            watcher.phase("reading data")
        return self.experiment.splits(Stage(threads=self.simulator.threads, show=watcher.reading))

    def _renewed(self, epoch: int) -> Dataset:
        """Training samples of a later epoch. They are not cached, so all ranks make them at the same time."""
        stage = Stage(epoch, epoch / self.experiment.epochs, self.simulator.threads)
        found = self.experiment.training_samples(stage)
        if len(found) != len(self.dataset):
            raise DataError(
                f"the training samples of epoch {epoch + 1} are {len(found):,}, those before were {len(self.dataset):,}: each "
                "epoch needs the same number"
            )
        self.simulator.comm.gather(None)  # waiting for other ranks does not count as learning
        return found

    @property
    def total(self) -> int:
        """Samples of all epochs."""
        return self._epochs.total

    @property
    def finished(self) -> bool:
        """Whether all samples are done, or the patience has ended."""
        patience = self.experiment.patience
        return self.done >= self.total or (patience > 0 and self.best.waited >= patience)

    @property
    def by_batch(self) -> bool:
        """Whether weights change once per mini-batch (e-prop) rather than at every spike (e-prop+)."""
        return any(isinstance(p.rule, EProp) for p in self.simulator.network.projections)

    def _moves(self) -> dict[str, Moved]:
        """How the synapses of each projection have moved that can move."""
        return {p.name: self.simulator.moved(p) for p in self.simulator.network.projections if p.rewiring is not None}

    def state(self) -> State:
        """See `Learner.state`."""
        return {
            **{name: getattr(self, name) for name in _STATE},
            "sums": dict(self._sums),
            **self.best.state(),
            **{f"counts/{name}": value for name, value in self._counts.items()},
            **{f"rates/{name}": list(value) for name, value in self._rates.items()},
        }

    def set_state(self, state: State) -> None:
        """See `Learner.set_state`; `DataError` if the training has fewer samples now."""
        if state["done"] > self.total:
            raise DataError(f"the training is at sample {state['done']}, but has only {self.total} now")
        for name in _STATE:
            setattr(self, name, state[name])
        self._sums, self.best = Sums(float, state["sums"]), BestNetwork.of_state(state)
        self._counts = {name: np.array(value) for name, value in below("counts", state).items()}
        self._rates = {name: (mean, sd) for name, (mean, sd) in below("rates", state).items()}

    def finish(self) -> None:
        """Restore the best network, if the training keeps it; reset the learning rates."""
        if self.experiment.keeps_best and self.best.network:
            self.simulator.set_state(self.best.network)
        self.simulator.scale_learning_rates(1.0)

    def evaluate(self, show: Show | None = None) -> Evaluation | None:
        """Evaluate the test samples."""
        return None if self.test is None else evaluate(self.scoring, self.simulator, self.test, show)

    def fingerprint(self) -> str:
        """Checksums of the training samples of the first epoch, and of those for validation and test."""
        return self._fingerprint

    def pictures(self, run: Trained) -> dict[str, Picture]:
        """Learning curve, activity in a sample before and after, confusion or pattern."""
        return pictures_of_samples(run, self.scoring)

    def example(self) -> Samples:
        """The first test sample, for pictures; without a test, the first training sample."""
        shown = self.dataset if self.test is None else self.test
        return self.scoring.samples(shown.subset([0]))

    def summary(self) -> JsonObject:
        """Data, samples, validation and synaptic events."""
        train, test, validation = self.dataset, self.test, self.validation
        moved = {
            name: {"moved": m.total, "turnover": m.turnover, "mean_age": float(m.ages.mean()) if m.ages.size else 0.0}
            for name, m in self._moves().items()
        }
        tested = {} if test is None else {"test_data": test.name, **simulated("test_simulated", test)}
        return {
            **tested,
            "validation_error": known(self.validation_error),
            "best_validation_error": known(self.best.error),
            "validation_samples": 0 if validation is None else len(validation),
            "train_data": train.name,
            **simulated("train_simulated", train),
            "loss_unit": loss_unit(self.simulator.network),
            "loss_steps": steps_of(self.example()),
            "train_samples": len(train),
            "epochs": self.experiment.epochs,
            "samples_learned": self.done,
            "train_samples_per_second": self.done / max(self.seconds, 1e-9),
            "synaptic_events": self.events,
            "ns_per_synaptic_event": 1e9 * self.seconds / max(self.events, 1),
            "rates": {name: {"mean": mean, "sd": sd} for name, (mean, sd) in self._rates.items()},
            **({"rewiring": moved} if moved else {}),
        }

    def progress(self) -> Progress:
        """See `Learner.progress`; loss and error are means over the last thousand samples.

        The error is of each sample before the weights change. It is NaN with e-prop+: the label changes the weights within the
        sample, so an error on training samples means nothing.
        """
        epoch, epochs = self._epochs.number(self.done), self.experiment.epochs
        values = {
            "loss": mean_of(self._recent_loss),
            "error": mean_of(self._recent_error),
            "validation error": self.validation_error,
        }
        return Progress(self.done, self.total, self.unit, f"epoch {epoch}/{epochs}", self.seconds, values)

    # ---------------------------------------------------------------- one step

    def step(self, check: Check) -> None:
        """Learn one mini-batch, or with e-prop+ as much of it as a call may take."""
        epoch, place = divmod(self.done, len(self.dataset))
        if self.experiment.fresh_epochs and epoch != self._epoch_of_dataset:  # this does not count as learning time
            self.dataset, self._epoch_of_dataset = self._renewed(epoch), epoch
        began = time.perf_counter()
        order, start = self._epochs.order(epoch), self.done - place
        batch = place - place % self.experiment.batch_size
        stop = min(batch + self.experiment.batch_size, order.size)
        if not self.by_batch:
            stop = min(stop, place + self._chunk)
        # The learning rates of the batch's first sample hold for the whole batch, however many calls it takes.
        share = (start + batch) / self.total
        self.simulator.scale_learning_rates(self.experiment.eta_factor(share))
        samples = self.scoring.samples(self.dataset.subset(order[place:stop]), share)
        # Ctrl-C may interrupt a mini-batch, which the simulator then discards; it may not interrupt e-prop+ within a call.
        progress = (lambda done: check()) if self.by_batch else None
        with self._placed_errors():
            result = self.simulator.train(samples, progress=progress)
        score = self.scoring.score(samples, result.y) if self.by_batch else None
        self._note(samples, result, score)
        self.done = start + stop
        # All ranks must choose the same length of the next chunk.
        seconds = self.simulator.comm.broadcast(time.perf_counter() - began)
        self.seconds += seconds
        self._sums["seconds"] += seconds
        self._chunk = int(np.clip(len(samples) * CALL_SECONDS / max(seconds, 1e-9), 1, 2 * self._chunk))

    @contextlib.contextmanager
    def _placed_errors(self) -> Iterator[None]:
        """Context in which a divergence names the sample, and no overflow warns."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # divergence raises an error
                yield
        except DivergenceError as error:
            raise DivergenceError(f"after {self.done} samples, {error}") from None

    def _note(self, samples: Samples, result: BatchResult, score: np.ndarray | None) -> None:
        self.events += result.events
        self._recent_loss.extend(result.loss)
        sums = self._sums
        sums["samples"] += len(samples)
        sums["spikes"] += 0 if result.spikes is None else int(np.sum(result.spikes))
        sums["seconds_of_network"] += 1e-3 * len(samples) * samples.n_steps * self.simulator.network.dt
        for name, counts in (result.neuron_spikes or {}).items():
            self._counts[name] = counts + self._counts.get(name, 0)
        sums["loss"] = _added(sums["loss"], result.loss)
        if score is not None:
            sums["score"] = _added(sums["score"], score)
            self._recent_error.extend(score)

    # ---------------------------------------------------------------- reports

    def report(self, check: Check) -> JsonObject | None:
        """A line of metrics if one of the reports or a validation is due; a validation adds error and loss."""
        validation = self._due_validation()
        if validation is None and not self._epochs.is_due(self.done, self.experiment.reports):
            return None
        sums = self._sums
        samples, loss = sums["samples"], sums["loss"] / sums["samples"]
        line: JsonObject = {
            "epoch": self._epochs.number(self.done),
            "loss": loss,
            "error": sums["score"] / samples if self.by_batch else None,
            "eta_factor": self.experiment.eta_factor(self.done / self.total),
            "seconds": self.seconds,
            "samples_per_second": samples / max(sums["seconds"], 1e-9),
        }
        if self.by_batch:
            line["spikes_per_sample"] = sums["spikes"] / samples
        for name, counts in self._counts.items():
            rates = counts / sums["seconds_of_network"]
            self._rates[name] = float(rates.mean()), float(rates.std())
            line[f"rate_{name}"], line[f"rate_sd_{name}"] = self._rates[name]
        for name, moved in self._moves().items():
            line[f"moved_{name}"], line[f"turnover_{name}"] = moved.total, moved.turnover
        if validation is not None:
            found = evaluate(self.scoring, self.simulator, validation, lambda done, total: check())
            line |= {"validation_error": found.error, "validation_loss": found.loss}
            self.validation_error = found.error
            if self.best.note(found) and self.experiment.keeps_best:
                self.best.network = self.simulator.state()
        self._sums, self._counts = Sums(float), {}
        return line

    def _due_validation(self) -> Dataset | None:
        """The validation samples if they are to be evaluated now; with an interval, also at the end."""
        interval = self.experiment.validation_interval
        if interval is None:
            due = self._epochs.is_due(self.done, self.experiment.validations)
        else:
            due = self._epochs.has_passed(self.done, interval)
        return self.validation if due else None

    def _check_validation(self) -> None:
        """Raise `ParameterError` if a parameter needs validation samples and there are none."""
        for name in ("patience", "keep_best", "validation_interval"):
            if getattr(self.experiment, name) and self.validation is None:
                raise ParameterError(f"{name} needs validation samples, and there are none: give some, or leave it out")


def check_learns(network: Network) -> None:
    """Refuse a network without a rule and without a constant that learns; a learning rate of 0 is deliberate."""
    if not any(p.rule.plastic for p in network.projections) and not any(
        learned_of(p.model) for p in network.populations
    ):
        raise InputError(
            "nothing learns in this network: give its projections a rule, as in net.connect(pre, post, rule=ep.EProp())"
        )


def simulated(name: str, dataset: Dataset) -> dict[str, bool]:
    """``{name: whether the recordings are simulated}``; empty for samples that are not recordings."""
    return {} if dataset.simulated is None else {name: dataset.simulated}


def _added(total: float, values: np.ndarray) -> float:
    """``total`` plus all values, added one by one: the bits do not depend on how the values are divided among calls."""
    for value in values.tolist():
        total += value
    return total
