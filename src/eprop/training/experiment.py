"""An experiment: a network and what it learns from. A task is a function that returns one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from eprop.data import SeriesDataset, Splits
from eprop.data.generated import Generated
from eprop.engine import Samples
from eprop.errors import DataError, InputError, ParameterError
from eprop.markup import table
from eprop.network import Network
from eprop.parameters import suggestion
from eprop.training.arguments import arguments_of, checked_arguments, for_function
from eprop.training.control import Control
from eprop.training.forms import Dataset, dataset_of, is_data
from eprop.training.settings import Training

if TYPE_CHECKING:
    from eprop.engine import Simulator
    from eprop.training.learner import Learner

Options = ParamSpec("Options")
#: Function of (samples, readouts ``(n, n_steps, readouts)``) that returns an array with a row for each sample.
OfReadouts: TypeAlias = Callable[[Samples, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Stage:
    """Where a training is, for a function that makes its samples.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    done : float
        Fraction of the training that is done, 0 to 1.
    threads : int
        Largest number of threads.
    show : callable of (what, done, total), optional
        Shows how far the reading is.
    """

    epoch: int = 0
    done: float = 0.0
    threads: int = 1
    show: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True)
class Origin:
    """The function that has made an experiment, and its arguments.

    Attributes
    ----------
    task : str
        Name of the task for ``eprop train``: of a task of the package, or a Python file.
    function : callable
    arguments : dict
        All arguments, defaults included.
    """

    task: str
    function: Callable[..., Experiment]
    arguments: Mapping[str, Any]

    def changed(self, **arguments: Any) -> Experiment:
        """The experiment with other arguments."""
        return self.function(**{**self.arguments, **arguments})


@dataclass(frozen=True, eq=False, repr=False)
class Experiment(Training):
    """A network and what it learns from; `eprop.fit` trains it.

    Parameters
    ----------
    network : Network
        One event source and one readout population, or named ``in`` and ``out``. Samples made by `Simulator.samples` fit any
        network.
    train : BinnedDataset, SeriesDataset, Generated, Samples, (events, labels), or callable of (Stage)
        Training samples, see `eprop.fit`. A function is called at the beginning of each epoch and returns samples in one of these
        forms, as many each time: fresh or harder ones. It may return `eprop.data.Splits`, with samples for validation and test.
    validation, test : as train, optional
        Samples that are evaluated during the training, and after it; never learned from. A function is called once.
    window : array, shape (n_steps,), or callable of (n_steps), optional
        Weight of each step in loss and score; by default all steps count.
    classes : str or sequence of str, optional
        Names of the classes, by default their numbers. Samples with labels are classes in any case.
    evidence : callable of (samples, y), optional
        Evidence for each class, ``(n, classes)``, from the readouts ``(n, n_steps, readouts)``; the largest one is the answer. By
        default the softmax of the readouts (the readouts, without `CrossEntropy`), averaged over the window.
    score : callable of (samples, y), optional
        Score of each sample, shape ``(n,)``, a fraction; smaller is better. By default 1 for a wrong class, else 0; without
        labels the squared error divided by the variance of the targets.
    score_name : str, optional
    environments : Control, optional
        Environments in which the network acts and learns from reward, in place of samples.
    learner : callable of (experiment, simulator), optional
        Makes a `Learner` of one's own.
    seed : int, optional
        Seed of the order of samples, by default that of the network.
    observed : sequence of str
        Populations whose rates and irregularity the summary has, before and after the training.
    images : dict of (rows, columns)
        Populations, by name, whose nodes are the pixels of an image, for pictures.
    name : str
        Begin of the names of run folders.
    **settings
        Parameters of `eprop.training.Training`: ``epochs``, ``batch_size``, ``patience``, ``precision`` and others.

    Raises
    ------
    InputError, DataError
        If there is nothing to learn from, or samples do not fit the network.
    ParameterError
        If a setting has an invalid value.

    Examples
    --------
    >>> experiment = ep.Experiment(net, (events, labels), epochs=20)
    >>> history = ep.fit(experiment, folder="runs/first")
    """

    network: Network
    train: Any = None
    validation: Any = None
    test: Any = None
    _: KW_ONLY
    window: npt.ArrayLike | Callable[[int], np.ndarray] | None = None
    classes: Sequence[str] | None = None
    evidence: OfReadouts | None = None
    score: OfReadouts | None = None
    score_name: str = ""
    environments: Control | None = None
    learner: Callable[[Experiment, Simulator], Learner] | None = None
    seed: int = -1
    observed: Sequence[str] = ()
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    name: str = ""
    origin: Origin | None = None

    def validate(self) -> None:
        """Check that the parts fit each other."""
        super().validate()
        if not isinstance(self.network, Network):
            raise InputError(f"Experiment.network must be a Network, got {self.network!r:.80}")
        if self.train is None and self.environments is None and self.learner is None:
            raise InputError(
                "an experiment needs something to learn from: samples (train=...), environments (environments=...), or a learner"
            )
        if self.environments is not None and not isinstance(self.environments, Control):
            raise InputError(
                f"Experiment.environments must be a Control, as in Control(make, encoder), got {self.environments!r:.80}"
            )
        if self.seed == -1:
            object.__setattr__(self, "seed", self.network.seed)
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))
        for name in ("train", "validation", "test"):
            if is_data(given := getattr(self, name)):
                object.__setattr__(self, name, dataset_of(self.network, given, name))

    def __repr__(self) -> str:
        facts = "\n".join(f"  {name}: {text}" for name, text in self._facts())
        return f"Experiment {self.name or 'without a name'}\n{facts}"

    def _repr_html_(self) -> str:
        """Table of the parts, for notebooks."""
        return table("Experiment", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """The parts in words."""
        lines = repr(self.network).splitlines()
        parts = [("network", lines[0] if lines else "")]
        for name in ("train", "validation", "test", "environments", "learner"):
            if (value := getattr(self, name)) is not None:
                known = getattr(value, "name", None) or getattr(value, "__name__", None) or type(value).__name__
                size = "" if callable(value) or not hasattr(value, "__len__") else f", {len(value):,} samples"
                parts.append((name, f"{known}{size}"))
        usual = {each.name: each.default for each in fields(Training)}
        changed = [f"{key} = {getattr(self, key)!r}" for key in usual if getattr(self, key) != usual[key]]
        if changed and self.environments is None:
            parts.append(("training", ", ".join(changed)))
        return parts

    def changed(self, **settings: Any) -> Self:
        """The same experiment with other settings of its training, such as ``epochs=3``.

        Raises
        ------
        ParameterError
            If there is no such setting, or its value is wrong.
        """
        own = [each.name for each in fields(Training)] if self.environments is None else []
        acting = [] if self.environments is None else self.environments.settings_names()
        known = [*own, *acting, "seed"]
        if unknown := [name for name in settings if name not in known]:
            raise ParameterError(f"an experiment has no setting {unknown[0]}{suggestion(unknown[0], known)}")
        if acting:
            of_control = {name: settings.pop(name) for name in list(settings) if name in acting}
            settings["environments"] = self.environments and self.environments.replace(**of_control)
        return replace(self, **settings)

    def with_seed(self, seed: int) -> Experiment:
        """The same experiment with another seed.

        Raises
        ------
        ParameterError
            If no function of a ``seed`` has made the experiment.
        """
        if self.origin is None or "seed" not in self.origin.arguments:
            raise ParameterError(
                "several seeds need a function that makes the experiment from a seed: write @ep.tasks.task above a function "
                "with the parameter seed: int = 1 that returns the experiment, and give its result"
            )
        return self.origin.changed(seed=seed)

    def splits(self, stage: Stage) -> Splits:
        """Training, validation and test samples, of the first epoch."""
        train = self._called("train", stage)
        given = train if isinstance(train, Splits) else Splits(train, None, None)
        parts = {"train": given.train}
        for name, of_train in (("validation", given.validation), ("test", given.test)):
            own = self._called(name, stage)
            parts[name] = of_train if own is None else own
        made = {
            name: None if value is None else dataset_of(self.network, value, name, stage.epoch)
            for name, value in parts.items()
        }
        return Splits(made["train"], made["validation"], made["test"])

    def training_samples(self, stage: Stage) -> Dataset:
        """Training samples of a later epoch."""
        found = self._called("train", stage)
        given = found.train if isinstance(found, Splits) else found
        return dataset_of(self.network, given, "train", stage.epoch)

    def test_samples(self, stage: Stage) -> Dataset:
        """The test samples; training samples are not read if their source has ``read_test(stage)``."""
        of_source = getattr(self.train, "read_test", None)
        found = of_source(stage) if self.test is None and of_source is not None else self.splits(stage).test
        if found is None:
            raise DataError(f"{self.name or 'the experiment'} has no test samples")
        return found

    def needs_variances(self, test: Dataset) -> bool:
        """Whether the score of the test depends on the training samples."""
        return self.score is None and getattr(test, "targets", None) is not None

    @property
    def fresh_epochs(self) -> bool:
        """Whether each epoch has other training samples."""
        return isinstance(self.train, SeriesDataset) or (
            callable(self.train) and getattr(self.train, "fresh_epochs", True)
        )

    def _called(self, name: str, stage: Stage) -> Any:
        """A part; of a function its result."""
        value = getattr(self, name)
        if not callable(value):
            return value
        found = value(stage)
        if not (is_data(found) or isinstance(found, Splits)):
            raise DataError(
                f"the function of the {name} samples must return a data set, samples or a pair (events, labels), got "
                f"{type(found).__name__}"
            )
        return found

    def fresh(self, count: int) -> Dataset:
        """``count`` samples that no training, validation or test uses, of samples that are made from a seed."""
        if not isinstance(self.train, Generated):
            raise ParameterError("fresh samples need samples that are made from a seed: give other recordings")
        return self.train.fresh(count)


def task(function: Callable[Options, Experiment]) -> Callable[Options, Experiment]:
    """Make a task of a function: its arguments are checked, and kept with each run.

    The function has keyword parameters with types and defaults, and returns an `Experiment`. A parameter with ``Annotated[int,
    Doc("recurrent neurons")]`` is an option of ``eprop train``.
    """
    module, file = function.__module__, inspect.getsourcefile(function)
    packaged = module.startswith("eprop.tasks.")
    name = function.__name__.replace("_", "-") if packaged or file is None or file.startswith("<") else file
    return named_task(name, function)


def named_task(name: str, function: Callable[Options, Experiment]) -> Callable[Options, Experiment]:
    """As `task`, with the name for ``eprop train``."""
    shown = function.__name__.replace("_", "-")
    arguments_of(function)  # refuses what no task can have

    @functools.wraps(function)
    def made(*positional: Options.args, **given: Options.kwargs) -> Experiment:
        if positional:
            raise ParameterError(f"{shown}: arguments have names, as in {function.__name__}(seed=1)")
        arguments = checked_arguments(shown, function, given)
        call: Any = function
        found = call(**for_function(function, arguments))
        if not isinstance(found, Experiment):
            raise InputError(f"the task {shown} must return an Experiment, got {found!r:.80}")
        rule = arguments.get("rule", "")
        label = found.name or (f"{shown}-{rule}" if rule else shown)
        return replace(found, name=label, origin=Origin(name, made, arguments))

    made.task_name = name  # type: ignore[attr-defined]
    return made
