"""What a run records of its experiment: task, arguments, settings of the training; ``config.toml`` shows it to people."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import tomli_w

from eprop.files import JsonObject
from eprop.parameters import parameters_of
from eprop.training import Experiment, PolicyTraining, Training
from eprop.training.arguments import arguments_of
from eprop.training.system_info import package_version

#: First words of each `config.toml`.
HEADING = "# A run of eprop"


@dataclass(frozen=True)
class RunRecord:
    """The task of a run, and how it was made.

    Attributes
    ----------
    task : str
        Name for ``eprop train``: of a task of the package, or a Python file; empty if no function has made the experiment.
    arguments : dict
        Arguments of the task's function; without one, the parts of the network in words.
    settings : dict
        Settings of the training, and the seed of the order of samples.
    """

    task: str = ""
    arguments: JsonObject = field(default_factory=dict)
    settings: JsonObject = field(default_factory=dict)

    @classmethod
    def of(cls, experiment: Experiment) -> RunRecord:
        """The record of an experiment; all values are those of JSON."""
        control, origin = experiment.environments, experiment.origin
        part: Any = experiment if control is None else control
        names = [each.name for each in fields(Training if control is None else PolicyTraining)]
        settings = {"seed": experiment.seed, **{name: getattr(part, name) for name in names}}
        task, arguments = ("", _parts(experiment)) if origin is None else (origin.task, origin.arguments)
        return cls(task, *(json.loads(json.dumps(dict(values))) for values in (arguments, settings)))

    def differences(self, other: RunRecord) -> list[str]:
        """Differences of another record from this one, as ``"neurons = 100, not 300"``, the other value first."""
        if self.task != other.task:
            return [f"task = {other.task!r}, not {self.task!r}"]
        pairs = ((self.arguments, other.arguments), (self.settings, other.settings))
        found = {
            name: f"{name} = {theirs.get(name)!r}, not {ours.get(name)!r}"
            for ours, theirs in pairs
            for name in (*ours, *(name for name in theirs if name not in ours))
            if ours.get(name) != theirs.get(name)
        }
        return list(found.values())

    def to_toml(self, experiment: Experiment, folder: str) -> str:
        """Text of ``config.toml``, with the meaning of each value as a comment."""
        lines = [f"{HEADING} {package_version()}"]
        if self.task:
            lines[0] += "; its settings are repeated by"
            lines.append(f"#     eprop train {shlex.quote(self.task)} --like {shlex.quote(folder)}")
        lines += ["", tomli_w.dumps({"task": self.task or "(no function)"}).strip()]
        docs = {} if experiment.origin is None else arguments_of(experiment.origin.function)
        lines += ["", "[arguments]", *_entries(self.arguments, {name: one.doc for name, one in docs.items()})]
        kind = Training if experiment.environments is None else PolicyTraining
        meanings = {"seed": "order of the samples", **{name: info.doc for name, info in parameters_of(kind)}}
        lines += ["", "[training]", *_entries(self.settings, meanings)]
        return ("\n".join(lines) + "\n").encode(errors="replace").decode()


def _parts(experiment: Experiment) -> JsonObject:
    """Populations and projections of the network, by name, in words without addresses of functions."""
    lines = re.sub(r" at 0x[0-9a-f]+", "", repr(experiment.network)).splitlines()
    return dict(line.strip().partition(": ")[::2] for line in lines)


def _entries(values: Mapping[str, Any], meanings: Mapping[str, str]) -> list[str]:
    """``key = value  # meaning`` for each value; those without a value as comments."""
    out = []
    for name, value in values.items():
        meaning = f"  # {meanings[name]}" if meanings.get(name) else ""
        out.append(f"# {name}: none{meaning}" if value is None else f"{tomli_w.dumps({name: value}).strip()}{meaning}")
    return out
