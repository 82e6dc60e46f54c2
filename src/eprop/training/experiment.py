"""An experiment: a network and what it learns from. A task is a function that returns one."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias

import numpy as np
import numpy.typing as npt

from eprop.data import SeriesDataset, Splits
from eprop.data.generated import Generated
from eprop.engine import Samples
from eprop.errors import DataError, InputError, ParameterError
from eprop.markup import table
from eprop.network import Network
from eprop.parameters import check_count, suggestion
from eprop.training.arguments import arguments_of, checked_arguments, for_function
from eprop.training.control import Control
from eprop.training.forms import Dataset, check_fit, dataset_of, is_data, only, targets_of
from eprop.training.settings import Training

if TYPE_CHECKING:
    from eprop.engine import Simulator
    from eprop.training.learner import Learner

Options = ParamSpec("Options")
#: Advice for an experiment that only a function can make from a seed.
WRITE_TASK = "write @ep.tasks.task above a function of seed: int = 1 that returns the experiment, and give its result"
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

    def showing(self, what: str) -> Callable[[int, int], None] | None:
        """Of (done, total): shows how far the reading of one thing is; None if nobody looks."""
        return self.show and functools.partial(self.show, what)


#: In place of the file of a task that has none.
TYPED = "<notebook>"


@dataclass(frozen=True)
class Origin:
    """The function that has made an experiment, and its arguments.

    Attributes
    ----------
    task : str
        Name of the task: of its function, with ``-`` for ``_``.
    file : str
        Its Python file; `TYPED` if it was typed into a notebook, empty for a task of the package.
    function : callable
    arguments : dict
        All arguments, defaults included.
    parts : tuple
        What the function has made: an experiment with other parts is made by no function.
    """

    task: str
    file: str
    function: Callable[..., Experiment]
    arguments: Mapping[str, Any]
    parts: tuple[Any, ...] = field(default=(), compare=False, repr=False)

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
        Training samples, see `eprop.fit`. A function is called at the beginning of each epoch, also one that reads the same file
        each time, and returns samples in one of these forms, as many each time: fresh or harder ones. It may return
        `eprop.data.Splits`, with samples for validation and test. With the attribute ``fresh_epochs = False``, it is called once.
    validation, test : as train, optional
        Samples that are evaluated during the training, and after it; never learned from. A function is called once; of `Splits`,
        the part with this name counts.
    window : array, shape (n_steps,), or callable of (n_steps), optional
        Weight of each step in loss and score; by default all steps count.
    classes : str or sequence of str, optional
        Names of the classes, by default their numbers; of a text, each letter is a name. Samples with labels
        are classes in any case.
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
        Seed of the order of samples, by default that of the network. ``fit(experiment, seed=)`` seeds everything, see
        `with_seed`.
    images : dict of (rows, columns)
        Populations, by name, whose nodes are the pixels of an image, for pictures.
    name : str
        Begin of the names of run folders.

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
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    name: str = ""
    origin: Origin | None = None

    def validate(self) -> None:
        """Check that the parts fit each other."""
        super().validate()
        if not isinstance(self.network, Network):
            raise InputError(f"Experiment.network must be a Network, got {self.network!r:.80}")
        for name in ("learner", "evidence", "score"):
            if (given := getattr(self, name)) is not None and not callable(given):
                raise InputError(f"Experiment.{name} must be a function, got {given!r:.80}")
        self._check_what_is_learned()
        seed = self.network.seed if self.seed in (None, -1) else check_count("Experiment.seed", self.seed, at_least=0)
        object.__setattr__(self, "seed", seed)
        self._check_classes()
        self._check_populations()
        for name in ("train", "validation", "test"):
            if (given := getattr(self, name)) is not None and not callable(given):
                object.__setattr__(self, name, dataset_of(self.network, given, name))
                if self.learner is None:
                    check_fit(self.network, getattr(self, name), self.window)
        self._check_origin()

    def _check_origin(self) -> None:
        """Forget the function that has made the experiment if a part is another one now."""
        if self.origin is None:
            return
        control = self.environments
        acting = () if control is None else (control.make, control.encoder, control.policy)
        names = ("network", "train", "validation", "test", "window", "classes", "evidence", "score", "learner")
        parts = (*(getattr(self, name) for name in names), *acting)
        if not self.origin.parts:
            object.__setattr__(self, "origin", replace(self.origin, parts=parts))
        elif len(parts) != len(self.origin.parts) or any(
            a is not b for a, b in zip(parts, self.origin.parts, strict=True)
        ):
            object.__setattr__(self, "origin", None)

    def _check_what_is_learned(self) -> None:
        """Raise `InputError` unless there is one thing to learn from."""
        if self.environments is None:
            if self.train is None and self.learner is None:
                raise InputError(
                    "an experiment needs something to learn from: samples (train=...), environments (environments=...), or a "
                    "learner"
                )
            return
        if not isinstance(self.environments, Control):
            raise InputError(
                f"Experiment.environments must be a Control, as in Control(make, encoder), got {self.environments!r:.80}"
            )
        unused = [name for name in ("train", "validation", "test") if getattr(self, name) is not None]
        unused += [name for name in self._changed_settings() if name != "precision"]
        if unused and self.learner is None:
            raise InputError(
                f"Experiment.{unused[0]} changes nothing: a network in environments does not learn samples"
            )

    def _check_classes(self) -> None:
        """Make a tuple of the names of the classes; `ParameterError` unless each readout has a name."""
        given: Any = self.classes
        if given is None:
            return
        if not isinstance(given, Iterable) or not all(isinstance(name, str) for name in given):
            raise ParameterError(f'Experiment.classes must be names, as in ("left", "right"), got {given!r:.80}')
        names = tuple(given)
        object.__setattr__(self, "classes", names)
        if self.evidence is None and len(names) != (size := only(self.network, "readout", "out").size):
            raise ParameterError(
                f"Experiment.classes has {len(names)} names, but the network has {size} readouts: one for each class"
            )

    def _check_populations(self) -> None:
        """Check the names in ``images``."""
        for name, (rows, columns) in self.images.items():
            if (size := self.network.population(name).size) % (rows * columns):
                raise ParameterError(f"Experiment.images: {size} nodes of {name!r} are no {rows} x {columns} pixels")

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
        if (changed := self._changed_settings()) and self.environments is None:
            parts.append(("training", ", ".join(f"{name} = {value!r}" for name, value in changed.items())))
        return parts

    def _changed_settings(self) -> dict[str, Any]:
        """Settings of the training that differ from their defaults."""
        found = {each.name: (getattr(self, each.name), each.default) for each in fields(Training)}
        return {name: value for name, (value, usual) in found.items() if value != usual}

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the training by name, of `Training`, or of `PolicyTraining`."""
        control = self.environments
        part: Any = self if control is None else control
        names = [each.name for each in fields(Training)] if control is None else control.settings_names()
        return {name: getattr(part, name) for name in names}

    def changed(self, **settings: Any) -> Experiment:
        """The same experiment with other settings of its training, such as ``epochs=3``; for ``seed`` see `with_seed`.

        Raises
        ------
        ParameterError
            If there is no such setting, or its value is wrong.
        """
        if (seed := settings.pop("seed", None)) is not None:
            return self.with_seed(seed).changed(**settings)
        control, known = self.environments, [*self.settings, "window", "seed"]
        if unknown := [name for name in settings if name not in known]:
            raise ParameterError(f"an experiment has no setting {unknown[0]}{suggestion(unknown[0], known)}")
        if "window" in settings and self.origin is not None:  # a run keeps numbers and texts only
            raise ParameterError(
                f"window belongs to the function that makes the experiment {self.name!r}: give it there"
            )
        if control is None:
            return replace(self, **settings)
        others = {name: settings.pop(name) for name in ("window",) if name in settings}
        return replace(self, environments=control.replace(**settings), **others)

    def with_seed(self, seed: int) -> Experiment:
        """The same experiment with another seed of all that is drawn: network, order of the samples, spikes of the samples.

        A task makes it anew. Without a task, the network is drawn with this seed, and so are training samples that have one
        (`Generated`, `SeriesDataset`); validation and test stay.

        Raises
        ------
        ParameterError
            If the task has no ``seed``; or without a task, if a function makes the training samples.
        NetworkError
            As from `Network.with_seed`.
        """
        check_count("Experiment.seed", seed, at_least=0)
        if self.origin is not None:
            if "seed" not in self.origin.arguments:
                raise ParameterError(f"the task {self.origin.task} has no seed: give it the parameter seed: int = 1")
            if self.origin.arguments["seed"] == seed:
                return self
            return self.origin.changed(seed=seed).changed(**self.settings)
        train = self.train
        if isinstance(train, (Generated, SeriesDataset)):
            train = replace(train, seed=seed)
        elif callable(train):
            raise ParameterError(f"a seed does not reach the function that makes the training samples: {WRITE_TASK}")
        return replace(self, network=self.network.with_seed(seed), train=train, seed=seed)

    def splits(self, stage: Stage) -> Splits:
        """Training, validation and test samples, of the first epoch."""
        train = self._called("train", stage)
        given = train if isinstance(train, Splits) else Splits(train, None, None)

        def part(name: str) -> Any:
            own = getattr(given, name) if name == "train" or getattr(self, name) is None else self._called(name, stage)
            return self._dataset(name, own, stage)

        return Splits(part("train"), part("validation"), part("test"))

    def training_samples(self, stage: Stage) -> Dataset:
        """Training samples of a later epoch."""
        found: Dataset = self._dataset("train", self._called("train", stage), stage)
        return found

    def test_samples(self, stage: Stage) -> Dataset:
        """The test samples; training samples are not read if their source has ``read_test(stage)``."""
        read = getattr(self.train, "read_test", None)
        if self.test is not None:
            given = self._called("test", stage)
        elif read is not None:
            given = read(stage)
        else:
            found = self._called("train", stage)
            given = found.test if isinstance(found, Splits) else None
        if given is None:
            raise DataError(f"{self.name or 'the experiment'} has no test samples")
        made: Dataset = self._dataset("test", given, stage)
        return made

    def needs_variances(self, test: Dataset) -> bool:
        """Whether the score of the test depends on the training samples."""
        return self.score is None and targets_of(test) is not None

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

    def _dataset(self, name: str, given: Any, stage: Stage) -> Any:
        """A part as a data set; of `Splits` their part with this name."""
        own = getattr(given, name) if isinstance(given, Splits) else given
        return None if own is None else dataset_of(self.network, own, name, stage.epoch)

    def fresh(self, count: int) -> Dataset:
        """``count`` samples that no training, validation or test uses, of samples that are made from a seed."""
        if not isinstance(self.train, Generated):
            raise ParameterError("fresh samples need samples that are made from a seed: give other recordings")
        return self.train.fresh(count)


def task(function: Callable[Options, Experiment]) -> Callable[Options, Experiment]:
    """Make a task of a function: its arguments are checked, and kept with each run.

    The function has keyword parameters with types and defaults, and returns an `Experiment`. Parameters are options of ``eprop
    train``, with the help of ``Annotated[int, Doc("recurrent neurons")]``.
    """
    module, file = function.__module__, inspect.getsourcefile(function) or ""
    # A cell of a notebook has a temporary file, if any.
    kept = os.path.isfile(file) and (module != "__main__" or hasattr(sys.modules["__main__"], "__file__"))
    return named_task("" if module.startswith("eprop.tasks.") else file if kept else TYPED, function)


def named_task(file: str, function: Callable[Options, Experiment]) -> Callable[Options, Experiment]:
    """As `task`, of a function in this `Origin.file`."""
    shown = function.__name__.replace("_", "-")
    arguments_of(function)  # refuses what no task can have

    @functools.wraps(function)
    def made(*positional: Options.args, **given: Options.kwargs) -> Experiment:
        if positional:
            raise ParameterError(f"{shown}: arguments have names, as in {function.__name__}(seed=1)")
        arguments = checked_arguments(shown, function, given)
        call: Any = function
        try:
            found = call(**for_function(function, arguments))
        except OverflowError as error:
            raise ParameterError(f"{shown}: an argument is too large: {error}") from error
        if not isinstance(found, Experiment):
            raise InputError(f"the task {shown} must return an Experiment, got {found!r:.80}")
        rule = arguments.get("rule", "")
        label = found.name or (f"{shown}-{rule}" if rule else shown)
        return replace(found, name=label, origin=Origin(shown, file, made, arguments))

    made.task_name = shown  # type: ignore[attr-defined]
    return made
