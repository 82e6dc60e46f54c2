"""The configuration of a run: all that is needed to repeat it, as a TOML file with a section for each part."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w

from eprop.errors import ParameterError
from eprop.parameters import Description, ParameterInfo, param, parameters_of
from eprop.tasks import Task, check_choice, suggestion, task_named
from eprop.training.trainer import Training

#: Epochs over the embedded digits, and over data given by the user.
EPOCHS_EMBEDDED, EPOCHS = 8, 1
_SECTIONS = ("task", "data", "training", "run")


@dataclass(frozen=True)
class DataChoice(Description):
    """Which recordings to learn from, and which to be judged by."""

    data: str | None = param(None, kind=str, optional=True, doc="real recordings to learn from: N-MNIST folder or zip")
    mnist: str | None = param(None, kind=str, optional=True, doc="folder with MNIST's idx files, to be simulated")
    range: str | None = param(None, kind=str, optional=True, doc='digits to learn from, by MNIST index, "start:stop"')
    test_data: tuple[str, ...] = param((), kind=(tuple, list), doc="recordings or MNIST folders to be judged by")
    samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="learn from so many samples at most")
    test_samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="test so many samples at most")
    hold: int | None = param(None, kind=int, at_least=0, optional=True, doc="samples held out, to watch the learning")
    seed: int = param(0, kind=int, at_least=0, doc="seed of the simulated camera and of splits")
    fresh: bool = param(True, kind=bool, doc="simulated digits: record them anew for every epoch")

    def validate(self) -> None:
        """One source of training data; a range that reads; names as text."""
        if self.data is not None and self.mnist is not None:
            raise ParameterError("give either data (real recordings) or mnist (digits to simulate), not both")
        if any(not isinstance(path, str) for path in self.test_data):
            raise ParameterError(f"DataChoice.test_data must be a list of paths, got {self.test_data!r}")
        object.__setattr__(self, "test_data", tuple(self.test_data))
        if self.range is not None and self.data is None and self.mnist is None:
            raise ParameterError("a range needs data or mnist; the embedded digits are sorted by class")
        self.span  # noqa: B018 - raises if it does not read

    @property
    def embedded(self) -> bool:
        """Whether the digits that come with a package are learned."""
        return self.data is None and self.mnist is None

    @property
    def span(self) -> tuple[int, int] | None:
        """``range`` as two numbers."""
        return None if self.range is None else parse_range(self.range)

    def absolute(self) -> DataChoice:
        """The same with absolute paths, so that it means the same everywhere."""
        whole = {name: _absolute(path) for name in ("data", "mnist") if (path := getattr(self, name)) is not None}
        changed: DataChoice = self.replace(test_data=tuple(map(_absolute, self.test_data)), **whole)
        return changed


@dataclass(frozen=True)
class Execution(Description):
    """How the simulation is carried out."""

    threads: int | None = param(None, kind=int, at_least=1, optional=True, doc="threads; does not change the result")
    precision: str = param("single", kind=str, doc="type of the weights and traces: single or double")

    def validate(self) -> None:
        """A precision that exists."""
        check_choice("Execution.precision", self.precision, ("single", "double"))


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on."""

    task: Task
    data: DataChoice
    training: Training
    execution: Execution

    @classmethod
    def make(
        cls, name: str, given: Mapping[str, Mapping[str, Any]] | None = None, **changes: Mapping[str, Any]
    ) -> RunConfig:
        """Configuration of a task from the sections of a file, with changes to some values.

        Where a change of the rule or loss makes other defaults suitable, values of the file that were the old defaults
        give way to the new ones.

        Raises
        ------
        ParameterError
            If a value is wrong.
        """
        kind, given = task_named(name), given or {}
        task = dict(given.get("task", {}))
        task.pop("name", None)
        wanted = {**task, **changes.get("task", {})}
        before, after = kind.suited(task), kind.suited(wanted)
        stale = {k for k, v in task.items() if k in before and v == before[k] and before[k] != after.get(k)}
        task = {k: v for k, v in wanted.items() if k not in stale or k in changes.get("task", {})}
        parts = {part: {**given.get(part, {}), **changes.get(part, {})} for part in ("data", "training", "run")}
        data = DataChoice(**parts["data"])
        training = {"epochs": EPOCHS_EMBEDDED if data.embedded else EPOCHS, **parts["training"]}
        return cls(kind(**task), data, Training(**training), Execution(**parts["run"]))

    def to_toml(self, heading: Iterable[str] = ()) -> str:
        """Text of a configuration file, with unit and meaning behind each value."""
        lines = [f"# {line}".rstrip() for line in heading]
        for section, part in self._sections().items():
            lines += ["", f"[{section}]"]
            if section == "task":
                lines.append(f'name = "{self.task.name}"')
            lines += _entries(part)
        return "\n".join(lines).lstrip("\n") + "\n"

    def _sections(self) -> dict[str, Description]:
        return {"task": self.task, "data": self.data, "training": self.training, "run": self.execution}


def read_config(path: str | pathlib.Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Name of the task and sections of a configuration file.

    Raises
    ------
    ParameterError
        If the file is missing, is no TOML, or has a section or key that is not known; the message names file and line.
    """
    path = pathlib.Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """As `read_config`, of a text; ``where`` names it in messages."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{where}: is no TOML: {error}") from error
    for section, values in table.items():
        if section not in _SECTIONS or not isinstance(values, dict):
            what = "section" if isinstance(values, dict) else "key outside of a section"
            near = suggestion(section, _SECTIONS)
            raise ParameterError(f"{where}: line {_line(text, '', section)}: unknown {what} {section!r}{near}")
    name = table.get("task", {}).get("name", "nmnist")
    for section, kind in _kinds(name).items():
        known = [*_keys(kind), *["name"] * (section == "task")]
        for key in table.get(section, {}):
            if key not in known:
                line = _line(text, section, key)
                raise ParameterError(f"{where}: line {line}: [{section}] has no key {key!r}{suggestion(key, known)}")
    return name, table


def parse_settings(task: str, settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """``["eta=0.002", "training.batch_size=64"]`` as sections; a key alone is looked for in all sections.

    Raises
    ------
    ParameterError
        If a key is not known, or known in several sections, or a value does not read.
    """
    kinds = _kinds(task)
    out: dict[str, dict[str, Any]] = {section: {} for section in kinds}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"--set takes key=value such as eta=0.002, got {setting!r}")
        section, _, name = key.strip().rpartition(".")
        homes = [s for s, kind in kinds.items() if section in ("", s) and name in _keys(kind)]
        if len(homes) != 1:
            known = [f"{s}.{n}" if section else n for s, kind in kinds.items() for n in _keys(kind)]
            choices = " or ".join(f"{s}.{name}" for s in homes)
            what = f"is ambiguous: {choices}" if homes else f"is not known{suggestion(key.strip(), known)}"
            raise ParameterError(f"--set {setting}: {key.strip()!r} {what}")
        out[homes[0]][name] = _value(text.strip())
    return out


def _value(text: str) -> Any:
    """A value as in TOML; text needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _kinds(task: str) -> dict[str, type[Description]]:
    """Sections of a configuration, and what they describe."""
    return {"task": task_named(task), "data": DataChoice, "training": Training, "run": Execution}


def _keys(kind: type[Description]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def parse_range(text: str) -> tuple[int, int]:
    """``"1000:60000"`` as two numbers.

    Raises
    ------
    ParameterError
        If it does not read, or is empty.
    """
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None:
        raise ParameterError(f'range must be "start:stop" such as "1000:60000", got {text!r}')
    start, stop = int(match[1]), int(match[2])
    if start >= stop:
        raise ParameterError(f"range must have start < stop, got {text!r}")
    return start, stop


def _entries(part: Description) -> list[str]:
    """``key = value  # unit, meaning`` for each parameter that has a value; open ones as comments."""
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
        heading = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
        if heading:
            inside = heading[1].strip("\"'")
            if section == "" and inside.split(".")[0] == key:
                return number
            continue
        if inside == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return "?"


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
