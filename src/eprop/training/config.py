"""The configuration of a run, as a TOML file with a section for each part; it is sufficient to repeat the run."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import shlex
import tomllib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tomli_w

from eprop.engine import Simulator
from eprop.engine.ranks.parallelism import DIVISIONS
from eprop.errors import InputError, ParameterError, warn
from eprop.files import read_text
from eprop.network import Network
from eprop.parallel import Communicator
from eprop.parameters import Description, ParameterInfo, brief, param, parameters_of
from eprop.tasks import TASKS, Control, DataChoice, Task, check_choice, suggestion, task_named
from eprop.training.learner import Learner
from eprop.training.reward_learner import RewardLearner
from eprop.training.sample_learner import SampleLearner


class UnusedParameterWarning(UserWarning):
    """A given parameter has no effect."""


#: File formats of figures.
FORMATS = ("png", "pdf", "svg")
#: Kinds of values of parameters, for messages.
VALUE = "a number, a text, true or false, or a list of these"
_SECTIONS = ("task", "data", "training", "run")
# Values of a configuration, by section and key.
Sections = dict[str, dict[str, Any]]
#: Characters of a configuration, and dots in a line of it, of which the parser's memory is a multiple of the product.
MOST_TEXT, MOST_DOTS = 400_000, 200


@dataclass(frozen=True)
class Execution(Description):
    """Threads, precision and outputs of a run."""

    threads: int | None = param(
        None,
        kind=int,
        at_least=1,
        optional=True,
        doc="number of threads; does not change the result; by default all, and one for eprop+ with few neurons and for --seeds",
        main=True,
    )
    precision: Literal["single", "double"] = param(
        "single", kind=str, doc="type of the weights and traces: single or double"
    )
    parallel: Literal["model", "data"] = param(
        "model",
        kind=str,
        doc="division of the work among ranks: model (of neurons) or data (of samples)",
        main=True,
        metavar="model|data",
    )
    figures: tuple[str, ...] = param(
        ("png",),
        kind=(tuple, list),
        doc="formats of the figures that eprop train draws: png, pdf, svg; an empty list: no figures",
    )
    tensorboard: bool = param(
        False, kind=bool, doc="write metrics for TensorBoard to the folder tensorboard", main=True
    )

    def validate(self) -> None:
        """Check that precision, division of the work and formats exist."""
        object.__setattr__(self, "figures", tuple(self.figures))
        for kind in self.figures:
            check_choice("Execution.figures", kind, FORMATS)
        check_choice("Execution.precision", self.precision, ("single", "double"))
        check_choice("Execution.parallel", self.parallel, DIVISIONS)


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run."""

    task: Task
    data: DataChoice
    training: Any
    """Settings of the learner: a `Training`, or a `PolicyTraining` for a task that is learned from rewards."""
    execution: Execution

    @classmethod
    def make(
        cls, name: str, given: Mapping[str, Mapping[str, Any]] | None = None, **changes: Mapping[str, Any]
    ) -> RunConfig:
        """Make the configuration of a task from the sections of a file and from changes.

        If a change of rule or loss changes the suitable defaults, values of the file that equal the old defaults are replaced
        by the new defaults. This includes values of the training.

        Raises
        ------
        ParameterError
            If a value is wrong, or there is no such section.

        Warns
        -----
        UnusedParameterWarning
            If a change of the task has no effect.
        """
        kind, given = task_named(name), given or {}
        for section in (*given, *changes):
            if section not in _SECTIONS:
                raise ParameterError(
                    f"RunConfig.make: unknown section {section!r:.80}; the sections are {', '.join(_SECTIONS)}"
                )
        task = dict(given.get("task", {}))
        task.pop("name", None)
        was = dict(task)
        wanted = {**task, **changes.get("task", {})}
        still = _still_wanted(task, kind.suited(_fixed(task)), kind.suited(_fixed(wanted)))
        task = {**still, **changes.get("task", {})}
        parts = {part: {**given.get(part, {}), **changes.get(part, {})} for part in ("data", "training", "run")}
        with _placed(kind, "task", given, changes):
            made = kind(**task)
        with _placed(kind.data, "data", given, changes):
            data = kind.data(**{**made.default_data(), **parts["data"]})
        settings = learner_of(kind).settings
        suited = settings(**made.default_training(data))
        if given and changes.get("task"):
            with contextlib.suppress(ParameterError):  # a wrong value of the file may be one that is changed
                old = settings(**kind(**was).default_training(data))
                kept = _still_wanted(given.get("training", {}), vars(old), vars(suited))
                parts["training"] = {**kept, **changes.get("training", {})}
        with _placed(settings, "training", given, changes):
            training = suited.replace(**parts["training"])
        with _placed(Execution, "run", given, changes):
            execution = Execution(**parts["run"])
        for name in changes.get("task", {}):
            if (why := made.unused_reason(name)) is not None:
                warn(f"{name} changes nothing: {why}", UnusedParameterWarning)
        return cls(made, data, training, execution)

    def absolute(self) -> RunConfig:
        """The same configuration with absolute paths; it does not depend on the working folder."""
        return dataclasses.replace(self, task=self.task.absolute(), data=self.data.absolute())

    def to_toml(self, heading: Iterable[str] = ()) -> str:
        """Text of a configuration file, with unit and meaning of each value as a comment."""
        lines = [f"# {line}".rstrip() for line in heading]
        for section, part in self._sections().items():
            lines += ["", f"[{section}]"]
            if section == "task":
                lines.append(tomli_w.dumps({"name": self.task_name}).strip())
            lines += _entries(part)
        for line in lines:
            if not line.isascii() and re.search("[\ud800-\udfff]", line):
                raise ParameterError(
                    "a configuration is UTF-8 text and cannot hold a path that is not; rename the file or folder: "
                    f"{line.partition('  #')[0]!r:.200}"
                )
        return "\n".join(lines).lstrip("\n") + "\n"

    @property
    def task_name(self) -> str:
        """Name of the task for ``eprop train``: its name, or its file."""
        return self.task.origin or self.task.name

    def differences(self, other: RunConfig) -> list[str]:
        """Differences of another configuration from this one, as ``"training.epochs = 5, not 3"``.

        The first value is that of the other configuration. The number of threads does not count, because it does not change the
        result.
        """
        if not same_task(self.task_name, other.task_name):
            return [f"task.name = {other.task_name!r}, not {self.task_name!r}"]
        ours, theirs = self._values(), other._values()
        return [
            f"{name} = {theirs[name]!r}, not {value!r}"
            for name, value in ours.items()
            if theirs[name] != value and name != "run.threads"
        ]

    def _values(self) -> dict[str, Any]:
        """All values by section and key, such as ``training.epochs``."""
        return {
            f"{section}.{field.name}": getattr(part, field.name)
            for section, part in self._sections().items()
            for field in dataclasses.fields(part)
        }

    def _sections(self) -> dict[str, Description]:
        return {"task": self.task, "data": self.data, "training": self.training, "run": self.execution}


def _fixed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, each hashable: lists become text. Wrong values raise an error later."""
    return {name: value if isinstance(value, Hashable) else repr(value) for name, value in values.items()}


def learner_of(kind: type[Task]) -> type[Learner]:
    """The class that learns a task: its own ``learner``, or one of this package."""
    own: type[Learner] | None = kind.learner
    return own or (RewardLearner if issubclass(kind, Control) else SampleLearner)


def _still_wanted(values: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Values without the ``old`` defaults for which the ``new`` defaults differ."""
    return {k: v for k, v in values.items() if k not in old or v != old[k] or old[k] == new.get(k)}


def same_task(one: str, other: str) -> bool:
    """Whether two names mean the same task: equal names, or files of the same name, which may have moved."""
    if one.endswith(".py") and other.endswith(".py"):
        return pathlib.PurePath(one).name == pathlib.PurePath(other).name
    return one == other


def read_config(path: str | pathlib.Path, task: str | None = None) -> tuple[str, Sections]:
    """Name of the task and sections of a configuration file.

    Parameters
    ----------
    path : path
    task : str, optional
        Expected task, by its name or file; a configuration that names another task raises an error. The file of a task is
        executed only if it is given here.

    Returns
    -------
    str
        Name of the task.
    dict of dict
        Values by section (``task``, ``data``, ``training``, ``run``) and key, as in the file.

    Raises
    ------
    ParameterError
        If the file is missing or not TOML; has an unknown section or key; names no task or another one; or names the file of a
        task, and ``task`` is not given. The message names file and line.
    """
    return parse_config(read_text(path, ParameterError), str(path), task)


class _Parsed(Sections):
    """Sections of a configuration file, with the name and text of the file."""

    def __init__(self, table: Sections, text: str, where: str):
        super().__init__(table)
        self.text, self.where = text, where


@contextlib.contextmanager
def _placed(
    kind: type, section: str, given: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]]
) -> Iterator[None]:
    """Context that adds file and line to errors of values from the file; changed values are not from the file."""
    try:
        yield
    except ParameterError as error:
        found = re.match(r"(\w+)\.((\w+).*)", str(error), re.DOTALL)
        if not isinstance(given, _Parsed) or found is None or found[1] not in [each.__name__ for each in kind.__mro__]:
            raise
        if found[3] in changes.get(section, {}) or found[3] not in given.get(section, {}):
            raise
        raise ParameterError(f"{given.where}: line {_line(given.text, section, found[3])}: {found[2]}") from error


def named_task(text: str, where: str) -> str | None:
    """The task that a configuration names, or None. This executes no code of the task.

    Raises
    ------
    ParameterError
        If the text is not TOML, has an unknown section, or has a value of a kind that no parameter has.
    """
    name: str | None = _table(text, where).get("task", {}).get("name")
    return name


def _table(text: str, where: str) -> Sections:
    """Sections of a configuration; checks the kinds of the values."""
    _check_size(text, where)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # integers with thousands of digits raise a plain ValueError
        raise ParameterError(f"{where}: is not valid TOML: {error}") from error
    if not table:
        raise ParameterError(
            f"{where}: is empty; a configuration has sections {', '.join(f'[{s}]' for s in _SECTIONS)}"
        )
    for section, values in table.items():
        if section not in _SECTIONS or not isinstance(values, dict):
            what = "section" if isinstance(values, dict) else "key outside of a section"
            near = suggestion(section, _SECTIONS)
            raise ParameterError(f"{where}: line {_line(text, '', section)}: unknown {what} {section!r:.80}{near}")
        for key, value in values.items():
            if not _is_value(value) or (section == "task" and key == "name" and not isinstance(value, str)):
                wanted = "the name of a task" if key == "name" else VALUE
                line = _line(text, section, key)
                raise ParameterError(f"{where}: line {line}: {key} must be {wanted}, got {brief(value)}")
    return table


def _check_size(text: str, where: str) -> None:
    """Refuse what the parser would take minutes and gigabytes for: keys of thousands of parts."""
    if len(text) > MOST_TEXT:
        raise ParameterError(f"{where}: has {len(text):,} characters; a configuration has {MOST_TEXT:,} at most")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            raise ParameterError(
                f"{where}: line {number}: has more than {MOST_DOTS} dots; write a long list on several lines"
            )


def _is_value(value: Any) -> bool:
    """Whether a value has a kind that parameters have: no tables, dates, or lists of lists."""
    each = value if isinstance(value, list) else [value]
    return all(isinstance(one, (bool, int, float, str)) for one in each)


def parse_config(text: str, where: str, task: str | None = None) -> tuple[str, Sections]:
    """As `read_config`, of a text; ``where`` names it in messages."""
    table = _table(text, where)
    named: Any = table.get("task", {}).get("name")
    if named is not None and not named.endswith(".py"):
        task_named(named)  # an unknown name is the first thing to say
    if task is not None and named is not None and not same_task(named, task):
        raise ParameterError(
            f"{where}: configures the task {named!r}, not {task!r}; run it with: eprop train {named} --config {where}"
        )
    name = task or named
    if name is None:
        raise ParameterError(
            f'{where}: [task] has no name; write name = "{next(iter(TASKS))}" or the name of another task there'
        )
    if task is None and name.endswith(".py"):
        raise ParameterError(
            f"{where}: names the task {name:.200}, a Python file, and eprop executes only files that you name: read the file, "
            f"then give it, as in: eprop evaluate RUN --task {shlex.quote(name[:200])} (in Python: task={name!r:.200})"
        )
    for section, kind in sections_of(task_named(name)).items():
        known = [*_keys(kind), *["name"] * (section == "task")]
        for key in table.get(section, {}):
            if key not in known:
                line = _line(text, section, key)
                raise ParameterError(f"{where}: line {line}: [{section}] has no key {key!r:.80}{_instead(key, known)}")
    return name, _Parsed(table, text, where)


def parse_settings(task: str, settings: Iterable[str]) -> Sections:
    """``["eta=0.002", "training.batch_size=64"]`` as sections; a key without a section is searched in all sections.

    Raises
    ------
    ParameterError
        If a key is unknown, is in several sections, or has two values, or if a value is not TOML.
    """
    kinds = sections_of(task_named(task))
    out: Sections = {section: {} for section in kinds}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"--set {setting:.80}: must be key=value, such as --set eta=0.002")
        section, _, name = key.strip().rpartition(".")
        homes = [s for s, kind in kinds.items() if section in ("", s) and name in _keys(kind)]
        if len(homes) != 1:
            raise ParameterError(f"--set {setting:.80}: {_not_one(section, name, homes, kinds)}")
        values, value = out[homes[0]], _value(text.strip())
        if not _is_value(value):
            raise ParameterError(f"--set {setting:.80}: {name} must be {VALUE}")
        if name in values and values[name] != value:
            raise ParameterError(
                f"--set {name}={values[name]!s:.80} and --set {setting:.80} contradict each other: leave out one"
            )
        values[name] = value
    return out


def _not_one(section: str, name: str, homes: list[str], kinds: Mapping[str, type[Description]]) -> str:
    """Message about a key of ``--set`` that is not the key of exactly one parameter."""
    if homes:
        return f"{name!r} is ambiguous; write {' or '.join(f'{home}.{name}' for home in homes)}"
    if section in kinds:
        return f"[{section}] has no key {name!r}{_instead(name, _keys(kinds[section]))}"
    if section:
        return f"there is no section {section!r}; there are: {', '.join(kinds)}"
    listed = "; ".join(f"[{s}] {', '.join(_keys(kind))}" for s, kind in kinds.items())
    near = suggestion(name, [key for kind in kinds.values() for key in _keys(kind)])
    return f"unknown key {name!r}{near or f'; there are: {listed}'}"


def _instead(key: str, known: list[str]) -> str:
    """The most similar key, or all keys."""
    return suggestion(key, known) or f"; it has: {', '.join(known)}"


def _value(text: str) -> Any:
    """A value as in TOML; text needs no quotes, and True and False are allowed."""
    text = text.lower() if text.lower() in ("true", "false") else text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def sections_of(kind: type[Task]) -> dict[str, type[Description]]:
    """Classes of the sections of a configuration."""
    return {"task": kind, "data": kind.data, "training": learner_of(kind).settings, "run": Execution}


def _keys(kind: type[Description]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _entries(part: Description) -> list[str]:
    """``key = value  # unit; meaning`` for each parameter; parameters without a value as comments."""
    out = []
    for name, info in parameters_of(type(part)):
        value = getattr(part, name)
        meaning = _meaning(info)
        if value is None:
            out.append(f"# {name}: {meaning}")
        else:
            value = list(value) if isinstance(value, tuple) else value
            out.append(f"{tomli_w.dumps({name: value}).strip()}  # {meaning}")
    return out


def _meaning(info: ParameterInfo) -> str:
    return f"{info.unit}; {info.doc}" if info.unit else info.doc


def _line(text: str, section: str, key: str) -> int | str:
    """Number of the line where a key or section stands."""
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        heading, closed, _ = line.strip().partition("]")
        if closed and heading.startswith("["):
            inside = heading.lstrip("[").strip().strip("\"'")
            if section == "" and inside.split(".")[0] == key:
                return number
            continue
        if inside == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return "?"


def make_simulator(config: RunConfig, threads: int | None = None, comm: Communicator | None = None) -> Simulator:
    """The untrained network of a configuration, ready to run."""
    execution, network = config.execution, _network_of(config.task)
    threads = execution.threads if threads is None else threads
    return Simulator(network, threads=threads, precision=execution.precision, comm=comm, parallel=execution.parallel)


def _network_of(task: Task) -> Network:
    """The untrained network of a task; checks the result of a user's own task."""
    network = task.build_network()
    if not isinstance(network, Network):
        raise InputError(
            f"the task {task.name!r}: {type(task).__name__}.build_network must return a Network, got {network!r:.80}"
        )
    return network
