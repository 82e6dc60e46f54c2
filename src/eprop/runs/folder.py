"""A run folder: configuration, metrics, checkpoint, summary and figures of a run, or the folder of several trials."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pathlib
import re
import shlex
from collections.abc import Iterable

from eprop.errors import CheckpointError, OutputError, ParameterError
from eprop.files import JsonObject, output_errors, parsing, read_text, write_text
from eprop.runs.record import HEADING
from eprop.training.pictures import FORMATS

#: Names of the files of a run.
FILES = ("config.toml", "metrics.jsonl", "summary.json", "checkpoint.npz")

#: Pictures that the package draws of a run; a learner of a user's own may add others.
PICTURES = (
    "learning_curve", "returns", "episode", "confusion", "pattern", "activity", "network", "weights", "constants", "rewiring",
)  # fmt: skip


class RunFolder:
    """The files of one run, or the common files of several trials.

    Attributes
    ----------
    path : pathlib.Path
    config, metrics, summary, checkpoint, figures : pathlib.Path
        Its files, and its folder of pictures; each is complete or missing. A folder of several trials has
        the ``config`` of the first trial, and ``summary`` and ``figures`` of all trials; the other files are in the folders of
        the trials.

    Raises
    ------
    CheckpointError
        If no folder can have this name.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path)
        try:
            os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:  # a name that is too long, or a folder that may not be looked into
            raise CheckpointError(f"{self.path!s:.300}: cannot be the folder of a run: {error}") from None
        self.config, self.metrics, self.summary, self.checkpoint = (self.path / name for name in FILES)
        self.figures = self.path / "figures"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def create(cls, path: str | pathlib.Path | None, stem: str, *, force: bool = False) -> RunFolder:
        """Make a folder for a new run.

        Parameters
        ----------
        path : path or None
            None makes ``runs/<stem>-001``, or the next free number.
        stem : str
        force : bool
            Remove the files of a run at ``path``. Files with other names stay.

        Raises
        ------
        OutputError
            If ``path`` is not free (with ``force``: is not a run), or cannot be written.
        """
        if path is None:
            return cls(_numbered(pathlib.Path("runs"), stem))
        run = cls(path)
        run.check_free(force=force)
        with output_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
            run._clear()
        run.tidy()
        return run

    @classmethod
    def last(cls, stem: str) -> RunFolder | None:
        """The folder ``runs/<stem>-<number>`` with the largest number; None if there is none."""
        found = {
            path.name.removeprefix(f"{stem}-"): path for path in pathlib.Path("runs").glob(f"{glob.escape(stem)}-*")
        }
        return cls(found[max(numbers, key=int)]) if (numbers := [text for text in found if text.isdecimal()]) else None

    @classmethod
    def open(cls, path: str | pathlib.Path) -> RunFolder:
        """The folder of a run that has begun.

        Raises
        ------
        CheckpointError
            If the folder is not a run that has begun.
        """
        run = cls(path)
        if not run.path.is_dir():
            raise CheckpointError(f"{run.path}: no such folder; give the folder of a run, as eprop train printed it")
        if not run.checkpoint.is_file():
            begun = [run.of_seed(seed).path for seed in run.seeds()]
            if begun:
                names = ", ".join(each.name for each in begun[:3]) + (", ..." if len(begun) > 3 else "")
                raise CheckpointError(
                    f"{run.path}: holds several trials, {names}; give the folder of one, such as {begun[0]}; the command that "
                    "began the trials continues all of them"
                )
            raise CheckpointError(
                f"{run.path}: holds no {run.checkpoint.name}; it is no folder of a run, or its run never began"
            )
        return run

    def of_seed(self, seed: int) -> RunFolder:
        """The folder of one of several trials."""
        return RunFolder(self.path / f"seed-{seed}")

    def how_to_continue(self, task: str) -> str:
        """Advice how to continue the run, or the trials, of a task; without a task only Python can."""
        if not task:
            return "the same call of ep.fit continues it"
        return f"continue with: eprop train {shlex.quote(task)} --resume {shlex.quote(str(self.path))}"

    def check_free(self, *, force: bool = False) -> None:
        """Raise `OutputError` if a new run cannot be made here."""
        with output_errors(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise OutputError(f"{self.path}: is a file; give a folder for the run")
            if (mine := [str(path.relative_to(self.path)) for path in self._files()]) and not self.is_run():
                raise OutputError(
                    f"{self.path}: holds no run, but other files of the same names: {', '.join(mine)}; choose another "
                    "folder, or move them away"
                )
            if not (force or self.never_began()) and self.path.is_dir() and any(self.path.iterdir()):
                raise OutputError(
                    f"{self.path}: is not empty; choose another folder, or replace the run in it with force=True (--force)"
                )

    def is_run(self) -> bool:
        """Whether the folder has a run or several runs of this package, by the first words of its configuration."""
        try:
            return read_text(self.config, ParameterError).startswith(HEADING)
        except ParameterError:
            return False

    def never_began(self) -> bool:
        """Whether a process was killed here before its first checkpoint: nothing was learned yet."""
        left = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        half = {path.name for path in self._half_written()}
        return bool(left) and left <= half | {self.config.name} and (half == left or self.is_run())

    def write_summary(self, summary: JsonObject) -> None:
        """Write ``summary.json``."""
        write_text(self.summary, json.dumps(summary, indent=2) + "\n")

    def note_figures(self, names: Iterable[str]) -> None:
        """Note the names of figures in the summary of a finished run; those of a user's learner are known from there only."""
        if summary := self.read_summary():
            self.write_summary({**summary, "figures": sorted({*summary.get("figures", ()), *names})})

    def read_summary(self) -> JsonObject:
        """The summary; empty if the run has not finished."""
        if not self.summary.is_file():
            return {}
        with parsing(str(self.summary), "is damaged", CheckpointError, "resume_run (--resume) writes it again"):
            return _entries(self.summary.read_bytes())

    def seeds(self) -> list[int]:
        """Seeds of the runs in a folder of several trials; empty for a run."""
        names = [path.name for path in self.path.glob("seed-*")]
        seeds = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"seed-(\d+)", name)))
        return [seed for seed in seeds if self.of_seed(seed).is_run()]

    def add_metrics(self, line: JsonObject) -> None:
        """Append a line to ``metrics.jsonl``."""
        text = json.dumps(line) + "\n"
        with output_errors(self.metrics, len(text)), self.metrics.open("a", encoding="utf-8") as file:
            file.write(text)

    def read_metrics(self) -> list[JsonObject]:
        """All lines of metrics; an incomplete last line is left out."""
        if not self.metrics.is_file():
            return []
        lines, out = self.metrics.read_bytes().splitlines(), []
        for number, line in enumerate(lines, start=1):
            try:
                out.append(_entries(line))
            except ValueError as error:
                if number < len(lines):
                    raise CheckpointError(f"{self.metrics}: line {number} is damaged ({error})") from error
        return out

    def rewind_metrics(self, samples: int) -> None:
        """Drop lines after sample number ``samples``: a resumed run writes them again."""
        with parsing(str(self.metrics), "is damaged", CheckpointError):
            kept = [line for line in self.read_metrics() if line["samples"] <= samples]
        write_text(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def tidy(self) -> None:
        """Remove incomplete files that a killed process has left."""
        for path in self._half_written():
            with output_errors(path):
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove a run that could not begin."""
        self._clear()
        with contextlib.suppress(OSError):  # other files
            self.path.rmdir()

    def _clear(self) -> None:
        """Remove the files of an earlier run, or of earlier trials, and no others."""
        for seed in self.seeds():
            self.of_seed(seed).remove()
        for path in self._files():
            path.unlink()
        with contextlib.suppress(OSError):  # not there, or other files
            self.figures.rmdir()

    def _half_written(self) -> list[pathlib.Path]:
        """Files that were not complete when their process was killed, see `eprop.files.write_bytes`."""
        return [path for name in FILES for path in self.path.glob(f".{name}.*")]

    def _files(self) -> list[pathlib.Path]:
        """All existing files of a run."""
        noted: list[object] = []
        with contextlib.suppress(CheckpointError):
            noted = list(self.read_summary().get("figures", ()))
        # A summary may come from anywhere: its names must not lead out of the folder.
        names = [*PICTURES, *(name for name in noted if isinstance(name, str) and pathlib.PurePath(name).name == name)]
        pictures = (self.figures / f"{name}.{kind}" for name in dict.fromkeys(names) for kind in FORMATS)
        return [path for path in (*(self.path / name for name in FILES), *pictures) if path.is_file()]


def _numbered(parent: pathlib.Path, stem: str) -> pathlib.Path:
    """Make the folder ``stem-001``, or with the next free number."""
    with output_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 100_000):
            path = parent / f"{stem}-{number:03d}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    raise OutputError(f"{parent}: holds too many runs named {stem}; give another folder")


def _entries(text: bytes) -> JsonObject:
    """A JSON object as a dict."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"entries with names are expected, got {found!r:.40}")
    return found
