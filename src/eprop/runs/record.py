"""What a run records of its experiment: all that decides what is learned; ``config.toml`` shows it to people."""

from __future__ import annotations

import json
import math
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import tomli_w

from eprop.files import JsonObject
from eprop.network.description import PlainDescription, describe, text_of
from eprop.parameters import parameters_of
from eprop.training import Experiment, PolicyTraining, Training
from eprop.training.arguments import arguments_of
from eprop.training.system_info import package_version

#: First words of each `config.toml`.
HEADING = "# A run of eprop"
#: Settings that may grow when a run is continued.
LONGER = ("epochs", "steps")
#: Differences that a message names.
_NAMED = 12


@dataclass(frozen=True)
class RunRecord:
    """The whole description of an experiment; all values are those of JSON.

    Attributes
    ----------
    task : str
        Name of the task; empty if no function has made the experiment.
    file : str
        Python file of the task, see `eprop.training.experiment.Origin`.
    arguments : dict
        Arguments of the task's function.
    settings : dict
        Settings of the training, and the seed of the order of samples.
    description : dict
        Network with rules, optimisers, first weights and losses; window, classes, score, learner, environments. See
        `eprop.network.description`.
    data : str
        Checksum of the samples, see `Learner.fingerprint`; empty if it is not known.
    paths : list of str
        Arguments that are paths of samples: the samples count, not where they are.
    folder : str
        Absolute path of the run.
    """

    task: str = ""
    file: str = ""
    arguments: JsonObject = field(default_factory=dict)
    settings: JsonObject = field(default_factory=dict)
    description: JsonObject = field(default_factory=dict)
    data: str = ""
    paths: list[str] = field(default_factory=list)
    folder: str = ""

    @classmethod
    def of(cls, experiment: Experiment, data: str = "", described: PlainDescription | None = None) -> RunRecord:
        """The record of an experiment; ``described`` are its `described_parts`, if they are known."""
        origin, paths = experiment.origin, list[str]()
        task, file, arguments = ("", "", {}) if origin is None else (origin.task, origin.file, origin.arguments)
        if origin is not None and experiment.environments is None and experiment.learner is None:
            paths = [name for name, one in arguments_of(origin.function).items() if one.kind is Path]
        settings = {"seed": experiment.seed, **experiment.settings}
        given = (arguments, settings, (described or described_parts(experiment)).values)
        own, training, parts = (json.loads(json.dumps(dict(part))) for part in given)
        return cls(task, file, own, training, parts, data, paths)

    @property
    def command(self) -> str:
        """What ``eprop train`` takes: the name of the task, or its file; empty if it has none."""
        return "" if self.file.startswith("<") else self.file or self.task

    def arguments_at(self, folder: Path) -> JsonObject:
        """The arguments for a run that is in this folder now: paths that were moved with it, as with a whole project, follow."""
        old, new = Path(self.folder), folder.resolve()
        while old.name == new.name != "":
            old, new = old.parent, new.parent

        def found(text: str) -> str:
            path = Path(text)
            moved = new / path.relative_to(old) if path.is_relative_to(old) else path
            return str(moved) if not path.exists() and moved.exists() else text

        followed = {
            name: [found(each) for each in value] if isinstance(value, list) else found(value)
            for name in self.paths
            if (value := self.arguments.get(name)) is not None and self.folder
        }
        return {**self.arguments, **followed}

    def differences(self, other: RunRecord, *, longer: bool = False) -> list[str]:
        """Differences of another record from this one, as ``"neurons = 100, not 300"``, the other value first.

        Arguments and settings that differ are named; if there are none, what differs of network and other parts, which follow
        from them. Checksums of the data are compared if both are known. With ``longer``, the other training may last longer.
        """
        if self.task != other.task:
            return [f"task = {other.task!r}, not {self.task!r}"]
        # Settings that are arguments, too, are compared as settings.
        known = {*other.paths, *self.settings} - {"seed"}
        own, others = ({k: v for k, v in each.arguments.items() if k not in known} for each in (self, other))
        found = _differences({**own, **self.settings}, {**others, **other.settings}, repr)
        if longer:
            for name in LONGER:
                if name in found and other.settings.get(name, 0) > self.settings.get(name, math.inf):
                    del found[name]
        found = found or _differences(self.description, other.description, text_of)
        if self.data and other.data and self.data != other.data:
            found["data"] = f"other samples ({other.data}, not {self.data})"
        texts = list(found.values())
        return texts[:_NAMED] + ([f"and {len(texts) - _NAMED} more"] if len(texts) > _NAMED else [])

    def to_toml(self, experiment: Experiment, folder: str, described: PlainDescription | None = None) -> str:
        """Text of ``config.toml``, with the meaning of each value as a comment; ``described`` as in `of`."""
        lines = [f"{HEADING} {package_version()}"]
        if self.command:
            lines[0] += "; its settings are repeated by"
            lines.append(f"#     eprop train {shlex.quote(self.command)} --like {shlex.quote(folder)}")
        facts = {"task": self.task, **{name: getattr(self, name) for name in ("file", "data") if getattr(self, name)}}
        lines += ["", *_entries(facts, {})]
        docs = {} if experiment.origin is None else arguments_of(experiment.origin.function)
        meanings = {name: one.doc for name, one in docs.items()}
        lines += ["", "[arguments]", *_entries(self.arguments, meanings, "chosen by the task, see below")]
        kind = Training if experiment.environments is None else PolicyTraining
        meanings = {"seed": "order of the samples", **{name: info.doc for name, info in parameters_of(kind)}}
        lines += ["", "[training]", *_entries(self.settings, meanings)]
        lines += ["", "[experiment]", *_entries(self.description, (described or described_parts(experiment)).meanings)]
        return ("\n".join(lines) + "\n").encode(errors="replace").decode()

    @classmethod
    def of_toml(cls, text: str) -> RunRecord:
        """The record of a ``config.toml``; values that are None are left out."""
        found = tomllib.loads(text)
        parts = (found["arguments"], found["training"], found["experiment"])
        return cls(found["task"], found.get("file", ""), *parts, found.get("data", ""))


def described_parts(experiment: Experiment) -> PlainDescription:
    """Network, loss, score, environments of an experiment as plain values, and the arrays of the network."""
    out, control = describe(experiment.network), experiment.environments
    for name in ("window", "evidence", "score", "score_name", "learner"):
        value = getattr(experiment, name)
        if value is not None and not (isinstance(value, str) and not value):
            out.add(f"Experiment.{name}", value)
    if experiment.classes is not None:
        out.values["Experiment.classes"] = ", ".join(experiment.classes)
    if control is not None:
        for each in fields(control):
            if each.name not in experiment.settings:
                out.add(f"Control.{each.name}", getattr(control, each.name))
    return out


def _differences(own: Mapping[str, Any], others: Mapping[str, Any], shown: Callable[[Any], str]) -> dict[str, str]:
    """What differs by name, in words; parts of a description that differs are left out."""
    found = dict[str, str]()
    for name in dict.fromkeys([*own, *others]):
        here, there = own.get(name), others.get(name)
        if here == there or any(name.startswith(f"{known}.") for known in found):
            continue
        if (
            isinstance(here, str)
            and isinstance(there, str)
            and here.startswith("digest")
            and there.startswith("digest")
        ):
            found[name] = f"{name} has other values"
        else:
            found[name] = f"{name} = {shown(there)}, not {shown(here)}"
    return found


def _entries(values: Mapping[str, Any], meanings: Mapping[str, str], unset: str = "none") -> list[str]:
    """``key = value  # meaning`` for each value; those without a value as comments."""
    out = []
    for name, value in values.items():
        meaning = f"  # {meanings[name]}" if meanings.get(name) else ""
        out.append(
            f"# {name}: {unset}{meaning}" if value is None else f"{tomli_w.dumps({name: value}).strip()}{meaning}"
        )
    return out
