"""A run folder: configuration, metrics, checkpoint, summary and figures of a run, or the folder of several trials."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from eprop.errors import CheckpointError, OutputError, ParameterError
from eprop.files import (
    check_budget,
    memory_budget,
    output_errors,
    parsing,
    read_bytes,
    read_text,
    refuse_links,
    told,
    write_text,
)
from eprop.files.reading import MOST_TEXT, PER_BYTE_OF_JSON
from eprop.training.checkpoint import is_checkpoint
from eprop.training.config import FORMATS, RunConfig, named_task, parse_config
from eprop.training.lock import LOCK, refuse_locked
from eprop.training.old_names import renamed
from eprop.training.pictures import PICTURES

CONFIG, METRICS, SUMMARY, CHECKPOINT, TRIALS, FIGURES, TENSORBOARD, REPORT = (
    "config.toml",
    "metrics.jsonl",
    "summary.json",
    "checkpoint.h5",
    "trials.json",
    "figures",
    "tensorboard",
    "report.html",
)
#: Largest file of metrics that is read, bytes; a run of 100,000 epochs writes a tenth of this.
MOST_METRICS = 1_000_000_000
#: Largest number of different names in the lines of metrics; a trainer writes a dozen.
MOST_NAMES = 100


class RunFolder:
    """The files of one run, or the common files of several trials.

    Attributes
    ----------
    path : pathlib.Path
    config, metrics, summary, checkpoint, trials, figures, tensorboard, report : pathlib.Path
        Its files; each is complete or missing. A run has no ``trials``. A folder of several trials has ``trials``, the ``config``
        of the first trial, and ``summary`` and ``figures`` of all trials; the other files are in the folders of the trials.

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
            raise CheckpointError(f"{self.path!s:.300}: cannot be the folder of a run: {told(error)}") from None
        self.config = self.path / CONFIG
        self.metrics = self.path / METRICS
        self.summary = self.path / SUMMARY
        self.checkpoint = self.path / CHECKPOINT
        self.trials = self.path / TRIALS
        self.figures = self.path / FIGURES
        self.tensorboard = self.path / TENSORBOARD
        self.report = self.path / REPORT

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
            Remove a run at ``path``. Files with other names stay.

        Raises
        ------
        OutputError
            If ``path`` is not free (with ``force``: is not a run), or cannot be written.
        """
        if path is None:
            return cls._numbered(pathlib.Path("runs"), stem)
        run = cls(path)
        run.check_free(force=force)
        with output_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
            run._clear()
        return run

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
            if begun := run._begun():
                raise CheckpointError(
                    f"{run.path}: holds several trials, {run._listed(begun)}; give the folder of one, such as {begun[0]}"
                )
            raise CheckpointError(
                f"{run.path}: holds no {CHECKPOINT}; it is no folder of a run, or its run never began"
            )
        return run

    def refuse_links(self) -> None:
        """Raise `OutputError` if a file of the run, or of one of its trials, is a link out of its folder."""
        refuse_links(self.path, self._places())
        for folder in self.path.glob("seed-*"):
            refuse_links(self.path, [folder, *RunFolder(folder)._places()])

    def _places(self) -> Iterator[pathlib.Path]:
        """Paths of all files of a run, existing or not."""
        yield from (self.config, self.metrics, self.summary, self.checkpoint, self.trials, self.figures, self.report)
        yield from (self.tensorboard, self.path / LOCK, *self._pictures())

    def of_seed(self, seed: int) -> RunFolder:
        """The folder of one of several trials."""
        return RunFolder(self.path / f"seed-{seed}")

    def _begun(self) -> list[pathlib.Path]:
        """Folders of trials that have begun, in the order of their seeds; empty for a run."""
        return sorted(
            (found.parent for found in self.path.glob(f"seed-*/{CHECKPOINT}")), key=lambda path: (len(path.name), path)
        )

    def _listed(self, begun: list[pathlib.Path]) -> str:
        """Names of the first trials, and whether they can be resumed together."""
        names = ", ".join(path.name for path in begun[:3]) + (", ..." if len(begun) > 3 else "")
        if self.trials.is_file():
            return names
        return f"{names}, but no {TRIALS} (earlier versions wrote none): each is a run by itself"

    def check_free(self, *, force: bool = False) -> None:
        """Raise `OutputError` if a new run cannot be made here."""
        refuse_locked(self.path)
        self.refuse_links()
        with output_errors(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise OutputError(f"{self.path}: is a file; give a folder for the run")
            if (mine := [path.relative_to(self.path) for path in self._files()]) and not self._is_run():
                raise OutputError(
                    f"{self.path}: holds no run, but other files of the same names: {', '.join(map(str, mine))}; choose another "
                    "folder, or move them away"
                )
            if not force and self.path.is_dir() and any(path.name != LOCK for path in self.path.iterdir()):
                begun = (self.checkpoint.is_file() or self.trials.is_file()) and not self.summary.is_file()
                go_on = f"go on with what was stopped in it with --resume {self.path}, " if begun else ""
                raise OutputError(
                    f"{self.path}: is not empty; choose another folder, {go_on}or replace the run in it with --force"
                )

    def _is_run(self) -> bool:
        """Whether the folder is a run of this package: it has a checkpoint, or a configuration that can be read."""
        if is_checkpoint(self.checkpoint):
            return True
        if not self.config.is_file():
            return False
        try:
            text, where = read_text(self.config, ParameterError), str(self.config)
            named = named_task(text, where)
            if named is None or named.endswith(".py"):  # the file of a task is not executed to decide this
                return named is not None
            RunConfig.make(*parse_config(text, where))
        except ParameterError:
            return False
        return True

    def write_config(self, text: str) -> None:
        """Write ``config.toml``."""
        write_text(self.config, text)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``."""
        write_text(self.summary, json.dumps(summary, indent=2) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """The summary; empty if the run has not finished."""
        if not self.summary.is_file():
            return {}
        with parsing(str(self.summary), "is damaged", CheckpointError, "--resume writes it anew"):
            return renamed(_entries(read_bytes(self.summary, MOST_TEXT, CheckpointError)))

    def write_trials(self, seeds: list[int]) -> None:
        """Write ``trials.json``: the seeds of all trials, including trials that have not begun."""
        write_text(self.trials, json.dumps({"seeds": seeds}) + "\n")

    def read_trials(self) -> list[int]:
        """Seeds of all trials; empty for a run."""
        if not self.trials.is_file():
            return []
        what, advice = "does not say which seeds the trials have", "begin anew in another folder"
        with parsing(str(self.trials), what, CheckpointError, advice):
            seeds = _entries(read_bytes(self.trials, MOST_TEXT, CheckpointError))["seeds"]
            if not isinstance(seeds, list) or not all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds):
                raise ValueError(f"seeds must be a list of whole numbers from 0 on, got {seeds!r:.80}")
        return seeds

    def add_metrics(self, line: dict[str, Any]) -> None:
        """Append a line to ``metrics.jsonl``."""
        text = json.dumps(line) + "\n"
        with output_errors(self.metrics, len(text)), self.metrics.open("a", encoding="utf-8") as file:
            file.write(text)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics; an incomplete last line is left out."""
        if not self.metrics.is_file():
            return []
        content = read_bytes(self.metrics, MOST_METRICS, CheckpointError)
        check_budget(str(self.metrics), PER_BYTE_OF_JSON * len(content), memory_budget())
        lines = content.splitlines()
        out, names = list[dict[str, Any]](), set[str]()
        for number, line in enumerate(lines, start=1):
            try:
                with parsing(str(self.metrics), f"line {number} is damaged", CheckpointError):
                    out.append(renamed(_entries(line)))
            except CheckpointError:
                if number < len(lines):
                    raise
            # A table of them has a column for each.
            names.update(out[-1] if out else ())
            if len(names) > MOST_NAMES:
                raise CheckpointError(f"{self.metrics}: line {number} is damaged (more than {MOST_NAMES} names in all)")
        return out

    def share(self) -> float:
        """Progress of a run, 0 to 1, from its last line of metrics."""
        if self.summary.is_file():
            return 1.0
        try:
            last = _entries(read_bytes(self.metrics, MOST_METRICS).splitlines()[-1])
            return min(float(last["samples"] / last["total"]), 1.0)
        except (OSError, ValueError, IndexError, KeyError, TypeError, ArithmeticError, RecursionError):
            return 0.0  # not begun, an incomplete line, an earlier version, or damaged

    def tidy(self) -> None:
        """Take away what a process that was killed has left half written."""
        for name in (CHECKPOINT, METRICS, SUMMARY):
            for path in self.path.glob(f".{name}.*"):
                with output_errors(path):
                    path.unlink(missing_ok=True)

    def rewind_metrics(self, samples: int) -> None:
        """Drop lines behind sample number ``samples``: a resumed run writes them again."""
        kept = []
        for number, line in enumerate(self.read_metrics(), start=1):
            if not isinstance(at := line.get("samples"), int):
                raise CheckpointError(
                    f"{self.metrics}: line {number} is damaged (it has no number of samples); delete it"
                )
            if at <= samples:
                kept.append(line)
        write_text(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    @classmethod
    def _numbered(cls, parent: pathlib.Path, stem: str) -> RunFolder:
        with output_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
            for number in range(1, 100_000):
                path = parent / f"{stem}-{number:03d}"
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        raise OutputError(f"{parent}: holds too many runs named {stem}; give another folder")

    def remove(self) -> None:
        """Remove a run that could not begin."""
        self._clear()
        with contextlib.suppress(OSError):  # files of others
            self.path.rmdir()

    def _clear(self) -> None:
        """Remove the files of an earlier run, or of earlier trials, and no others."""
        for seed in self.read_trials():
            self.of_seed(seed).remove()
        for path in self._files():
            path.unlink()
        for folder in (self.figures, self.tensorboard):
            with contextlib.suppress(OSError):  # not there, or files of others
                folder.rmdir()

    def clear_tensorboard(self) -> None:
        """Remove the files for TensorBoard."""
        for path in self._events():
            with output_errors(path):
                path.unlink()

    def _events(self) -> list[pathlib.Path]:
        return sorted(self.tensorboard.glob("events.out.tfevents.*"))

    def _files(self) -> list[pathlib.Path]:
        """All existing files with names of a run's files."""
        parts = (self.config, self.metrics, self.summary, self.checkpoint, self.trials, self.report)
        return [path for path in (*parts, *self._pictures(), *self._events()) if path.is_file()]

    def _pictures(self) -> list[pathlib.Path]:
        """All files that `eprop.plot.draw_run` may write."""
        return [self.figures / f"{name}.{kind}" for name in PICTURES for kind in FORMATS]


def _entries(text: bytes) -> dict[str, Any]:
    """A JSON object as a dict."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"entries with names are expected, not {text[:40].decode(errors='replace')}")
    return found
