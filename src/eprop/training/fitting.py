"""`fit`: train a network of one's own on samples of one's own, by the loop of the command line, and keep the history."""

from __future__ import annotations

import importlib
import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from eprop.data import BinnedDataset, SeriesDataset, from_arrays
from eprop.data.events import items_of
from eprop.engine import Samples, Simulator
from eprop.errors import DataError, InputError, ParameterError, warn
from eprop.files import JsonObject
from eprop.markup import table
from eprop.models import CrossEntropy
from eprop.models.learned import learned_of
from eprop.network import Network
from eprop.parallel.interrupt import Stopped
from eprop.parameters import real_numbers
from eprop.tasks import Classification, Regression, Task
from eprop.tasks.arrays import only, samples_of_dataset
from eprop.training.evaluation import Evaluation, check_task, evaluate, slices
from eprop.training.sample_learner import SampleLearner, Training
from eprop.training.trainer import Callback, Trainer
from eprop.training.watcher import Watcher

#: Samples in a form that `fit` takes.
Data: TypeAlias = "BinnedDataset | SeriesDataset | Samples | tuple[Any, Any]"


@dataclass(frozen=True, eq=False)
class SampleSet:
    """`Samples` as the data of a task."""

    samples: Samples
    name: str = "samples"
    simulated: bool | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, indices: Any) -> SampleSet:
        """The samples at ``indices``."""
        return SampleSet(self.samples[indices])


@dataclass(frozen=True, eq=False)
class GivenTask(Task):
    """A task that consists of a network and samples; the score is the fraction of wrong classes, or the normalised error."""

    name: ClassVar[str] = "fit"

    weights: np.ndarray | None = None

    def make_samples(self, network: Network, dataset: Any) -> Samples:
        """The samples themselves, or those of a data set."""
        if isinstance(dataset, SampleSet):
            return dataset.samples
        return samples_of_dataset(network, dataset, self.weights)

    def answers(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """What the readouts ``y`` (n, n_steps, readouts) say of each sample; see `History.predict`."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class GivenCurves(GivenTask, Regression):
    """Readouts follow targets.

    The score is the squared error divided by the variance of the training targets, ``1 - R2``, averaged over the outputs. If
    targets hold during whole samples, the mean of a readout over the window is the answer.
    """

    variances: np.ndarray = field(default_factory=lambda: np.ones(1))
    held: bool = True

    def answers(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Means of the readouts over the window, (n, readouts), if the training targets are ``held``, else their curves."""
        return _window_means(samples, y) if self.held else y

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """See `Task.score`."""
        if samples.target.shape[1] == 1:
            error = (_window_means(samples, y) - samples.target[:, 0]) ** 2
        else:
            window = np.broadcast_to(samples.window_of_readouts, y.shape)
            error = (window * (y - np.broadcast_to(samples.target, y.shape)) ** 2).sum(axis=1) / window.sum(axis=1)
        return np.asarray(np.nanmean(error / self.variances, axis=1))


def _window_means(samples: Samples, y: np.ndarray) -> np.ndarray:
    """Mean of each readout over the window, (n, readouts)."""
    window = np.broadcast_to(samples.window_of_readouts, y.shape)
    return np.asarray((window * y).sum(axis=1) / window.sum(axis=1))


@dataclass(frozen=True, eq=False)
class GivenClasses(GivenTask, Classification):
    """Each readout is a class; the prediction is the largest mean over the window, of the softmax with `CrossEntropy`."""

    n_classes: int = 2
    softmax: bool = True

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """The numbers of the classes."""
        return tuple(map(str, range(self.n_classes)))

    def answers(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Class of each sample, (n,)."""
        return self.predict(samples, y)

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """See `Classification.evidence`."""
        if self.softmax:
            y = np.exp(y - y.max(axis=2, keepdims=True))
            y = y / y.sum(axis=2, keepdims=True)
        window = np.broadcast_to(samples.window[:, :, 0], y.shape[:2])
        return np.asarray(np.einsum("ntk,nt->nk", y, window))


@dataclass(eq=False, repr=False)
class History:
    """What a training has reported, and the means to test its network.

    ``history["loss"]`` is an array with an entry for each report, NaN where a value is missing; there is a report at the end of
    each epoch.

    Attributes
    ----------
    lines : list of dict
        The reports: samples, epoch, loss, error, validation_loss, validation_error, eta_factor, seconds and others.
    task : Task
        Defines the score.
    simulator : Simulator
        The trained network.
    stopped_early : bool
        Whether a callback or the patience ended the training before the last epoch.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    task: GivenTask
    simulator: Simulator
    lines: list[JsonObject] = field(default_factory=list)
    stopped_early: bool = False
    interrupted: bool = False

    def __call__(self, trainer: Trainer, line: JsonObject) -> None:
        """Note a report; a callback of the trainer."""
        self.lines.append(line)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, name: str) -> np.ndarray:
        if not any(name in line for line in self.lines):
            known = sorted({key for line in self.lines for key in line})
            raise KeyError(f"no report has {name!r}; they have: {', '.join(known) or 'nothing yet'}")
        return np.array([math.nan if line.get(name) is None else line[name] for line in self.lines], float)

    @property
    def accuracy(self) -> np.ndarray:
        """Fraction of correct classes while learning, before each mini-batch was learned; NaN with e-prop+."""
        return self._accuracy("error")

    @property
    def validation_accuracy(self) -> np.ndarray:
        """Fraction of correct classes of the validation samples."""
        return self._accuracy("validation_error")

    def _accuracy(self, name: str) -> np.ndarray:
        if not isinstance(self.task, Classification):
            raise TypeError(f"a regression has no accuracy: take history[{name!r}], the normalised error")
        return 1.0 - self[name]

    def evaluate(self, data: Data) -> Evaluation:
        """Test the network with frozen weights: error, its uncertainty, and the confusion matrix.

        Parameters
        ----------
        data : BinnedDataset, SeriesDataset, Samples or (events, labels)
            As of `fit`.
        """
        dataset = dataset_of(self.simulator.network, data, "data")
        check_class_0(dataset, self.task, "data")
        return evaluate(self.task, self.simulator, dataset)

    def predict(self, data: Data | Any) -> np.ndarray:
        """Answers of the network, with frozen weights: those that `evaluate` scores.

        Parameters
        ----------
        data : BinnedDataset, SeriesDataset, Samples, (events, labels), or events alone
            As of `fit`; labels and targets do not matter. Events alone are an array, a list or a generator.

        Returns
        -------
        ndarray
            Classes, shape ``(samples,)``. Of a regression the readouts, mV: their means over the window, ``(samples, outputs)``,
            or, if it was trained on curves, the curves ``(samples, steps, outputs)``.
        """
        network, found = self.simulator.network, []
        dataset = dataset_of(
            network,
            data if isinstance(data, (BinnedDataset, SeriesDataset, Samples, tuple)) else unlabelled(data),
            "data",
        )
        order = list(slices(self.task, len(dataset)))
        for where in order:
            samples = self.task.make_samples(network, dataset.subset(where))
            found.append(self.task.answers(samples, self.simulator.evaluate(samples).y))
        return np.concatenate(found)[np.argsort(np.concatenate(order))]

    def plot(self) -> Any:
        """Draw error and loss over the learned samples; returns a Matplotlib figure."""
        plot: Any = importlib.import_module("eprop.plot")  # figures are built on trainings
        last = self.lines[-1] if self.lines else {}
        epochs = {"epochs": last.get("epoch", 1)}
        return plot.draw_learning_curve(self.lines, epochs, self.task.score_name)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {text}" for name, text in self._facts())
        return f"History({facts})"

    def _repr_html_(self) -> str:
        """Table of the last report, for notebooks."""
        return table("Training", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """The last report in words."""
        if not self.lines:
            return [("reports", "none")]
        end = ", interrupted" if self.interrupted else ", stopped early" if self.stopped_early else ""
        facts = [("epochs", f"{self.lines[-1]['epoch']}{end}")]
        for name in ("loss", "error", "validation_loss", "validation_error"):
            if any(line.get(name) is not None for line in self.lines):
                known = self[name][~np.isnan(self[name])][-1]
                shown = f"{100.0 * known:.1f} %" if "error" in name else f"{known:.4g}"
                facts.append((name.replace("_", " "), shown))
        rates = {
            name.removeprefix("rate_sd_"): sd for name, sd in self.lines[-1].items() if name.startswith("rate_sd_")
        }
        for name, sd in rates.items():
            facts.append((f"rate of {name}", f"{self.lines[-1][f'rate_{name}']:.1f} ± {sd:.1f} Hz"))
        return facts


def fit(
    simulator: Simulator,
    train: Data,
    validation: Data | None = None,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    window: npt.ArrayLike | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    seed: int | None = None,
    **settings: Any,
) -> History:
    """Train a network: shuffled mini-batches, validation after each epoch, early stopping, a progress bar with the time left.

    Parameters
    ----------
    simulator : Simulator
        Its network has one event source and one readout population, or names them ``in`` and ``out``. Samples made by
        `Simulator.samples` fit any network.
    train : BinnedDataset, SeriesDataset, Samples or (events, labels)
        Training samples: a data set such as `eprop.data.from_arrays` makes; or series of numbers (`eprop.data.from_series`),
        whose spikes are drawn anew in each epoch; or the result of `Simulator.samples`; or a pair of events in a form of
        `from_arrays` and labels, which may be one-hot rows. Other numbers in place of labels are the targets of a network whose
        readouts are not classes: ``(samples, outputs)`` or ``(samples, steps, outputs)``.
    validation : BinnedDataset, SeriesDataset, Samples or (events, labels), optional
        Samples that are evaluated after each epoch and never learned from.
    epochs : int
        Passes over the training samples.
    batch_size : int
        Samples of an update; with `EPropPlus`, which learns at every spike, of a change of the learning rates.
    window : array, shape (n_steps,), optional
        Weight of each step in loss and answer, as of `Simulator.samples`; by default all steps count.
    callbacks : sequence of callables of (trainer, line), optional
        Called after each report, a dict of numbers; the return value True ends the training.
    progress : bool
        Whether to show the bar.
    seed : int, optional
        Seed of the order of samples; by default that of the network.
    **settings
        Further parameters of `eprop.training.Training`, such as ``patience``, ``schedule``, ``eta_final`` or ``keep_best``.

    Returns
    -------
    History
        `History.plot` draws it, `History.evaluate` tests the network.

    Raises
    ------
    InputError, DataError
        If samples do not fit the network.
    ParameterError
        If a setting has an invalid value, or needs validation samples.
    DivergenceError
        If a voltage or weight is no longer finite.

    Notes
    -----
    Ctrl-C ends the training between two updates: the history so far is returned (`History.interrupted`), and the network keeps
    what it has learned. A second Ctrl-C has its usual effect.

    Examples
    --------
    >>> history = ep.fit(sim, train, validation, epochs=20, patience=3)
    >>> history.plot()
    >>> history.evaluate(test).error
    """
    if isinstance(simulator, Network):
        raise InputError("fit takes a Simulator, got a Network: ep.fit(ep.Simulator(network), ...)")
    network = simulator.network
    learned = dataset_of(network, train, "train")
    task = task_of(network, learned, window, network.seed if seed is None else seed)
    check_class_0(learned, task, "train", chance=1.0)
    validating = None if validation is None else dataset_of(network, validation, "validation")
    if validating is None and (missing := [k for k in ("patience", "keep_best") if settings.get(k)]):
        raise ParameterError(f"{missing[0]} needs validation samples: ep.fit(simulator, train, validation)")
    if validating is not None:
        check_class_0(validating, task, "validation")
        check_task(task, network, validating)
    training = Training(
        **{"epochs": epochs, "batch_size": batch_size, "reports": epochs, "validations": epochs, **settings}
    )
    history = History(task, simulator)
    samples = train if isinstance(train, SeriesDataset) else learned
    learner = SampleLearner(task, simulator, samples, training, validation=validating)
    check_learns(network)
    trainer = Trainer(learner, watcher=None if progress else Watcher(), callbacks=[history, *callbacks])
    try:
        trainer.run()
    except Stopped as stop:
        if stop.exit_code != 128 + signal.SIGINT:  # another signal asks the program to end
            raise
        history.interrupted = True
        simulator.scale_learning_rates(1.0)
        warn(
            f"stopped by Ctrl-C after {trainer.done:,} of {trainer.total:,} samples; the network keeps what it has learned"
        )
    history.stopped_early = trainer.stopped_early
    return history


def dataset_of(network: Network, data: Data, label: str) -> BinnedDataset | SampleSet:
    """Samples in any form as the data of a task; ``label`` names them in messages.

    Raises
    ------
    DataError
        If they have none of the forms.
    """
    if isinstance(data, Samples):
        return SampleSet(data)
    if isinstance(data, SeriesDataset):
        data = data.drawn()
    if isinstance(data, BinnedDataset):
        if data.targets is not None and data.targets.shape[2] != (size := only(network, "readout", "out").size):
            raise DataError(
                f"{label}: the targets have {data.targets.shape[2]} outputs, but the network has {size} readouts; the curve of "
                "one output is targets[:, :, None]"
            )
        return data
    pair: Any = data
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise DataError(
            f"{label} must be a data set (eprop.data.from_arrays), samples (Simulator.samples) or a pair (events, labels), got "
            f"{type(data).__name__}"
        )
    events, given = pair
    readout = only(network, "readout", "out")
    given = real_numbers(f"{label}: labels or targets", given, DataError)
    if _is_one_hot(given, readout.size):
        given = np.argmax(given, axis=1)
    if readout.size == 1 and given.ndim == 2:
        given = given[:, :, None]  # a curve for each sample, or a number
    kind = "labels" if given.ndim == 1 and readout.size > 1 else "targets"
    aims: dict[str, Any] = {kind: given}
    return from_arrays(events, **aims, dt=network.dt, name=label)


def unlabelled(events: Any) -> tuple[Any, np.ndarray]:
    """Events with labels that nobody reads."""
    events = events if isinstance(events, np.ndarray) else list(items_of(events))
    return events, np.zeros(len(events), np.int64)


def check_class_0(dataset: BinnedDataset | SampleSet, task: Task, label: str, chance: float = 1e-3) -> None:
    """Refuse labels that are all classes but the first: they were counted from 1.

    Parameters
    ----------
    chance : float
        Largest probability that samples of equally frequent classes lack class 0, for which the lack is no chance.
    """
    if not isinstance(dataset, BinnedDataset) or not isinstance(task, GivenClasses) or task.n_classes < 3:
        return
    lacking = (1.0 - 1.0 / task.n_classes) ** len(dataset)
    if lacking <= chance and np.array_equal(np.unique(dataset.labels), np.arange(1, task.n_classes)):
        raise InputError(
            f"{label}: labels are 1..{task.n_classes - 1} and never 0, but the network has {task.n_classes} readouts: class 0 is "
            f"the first. Take labels - 1 and a network of {task.n_classes - 1} readouts; samples that shall lack the class are "
            "taken from Simulator.samples(...)"
        )


def check_learns(network: Network) -> None:
    """Refuse a network without a rule and without a constant that learns; a learning rate of 0 is deliberate."""
    if not any(p.rule.plastic for p in network.projections) and not any(
        learned_of(p.model) for p in network.populations
    ):
        raise InputError(
            "nothing learns in this network: give its projections a rule, as in net.connect(pre, post, rule=ep.EProp())"
        )


def _is_one_hot(given: np.ndarray, n_classes: int) -> bool:
    """Whether each row has a single 1 and otherwise zeros: targets that are the classes."""
    if n_classes == 1 or given.ndim != 2 or given.shape[1] != n_classes:
        return False
    return bool(np.all((given == 0) | (given == 1)) and np.all(given.sum(axis=1) == 1))


def task_of(network: Network, dataset: BinnedDataset | SampleSet, window: npt.ArrayLike | None, seed: int) -> GivenTask:
    """The task of a network and its samples: classes if the samples have labels, else curves."""
    weights = None if window is None else real_numbers("window", window, DataError).astype(float)
    if isinstance(dataset, BinnedDataset):
        labelled = dataset.targets is None
    else:
        labelled = dataset.samples.labels is not None
        if window is not None:
            raise InputError(
                "window belongs to a data set; samples bring their own: Simulator.samples(..., window=...)"
            )
    if not labelled:
        targets = np.asarray(dataset.targets if isinstance(dataset, BinnedDataset) else dataset.samples.target)
        variances = np.var(targets, axis=(0, 1))
        return GivenCurves(
            weights=weights, seed=seed, variances=np.where(variances > 0.0, variances, 1.0), held=targets.shape[1] == 1
        )
    readout = only(network, "readout", "out")
    softmax = isinstance(readout.model.loss, CrossEntropy)
    return GivenClasses(weights=weights, seed=seed, n_classes=readout.size, softmax=softmax)
