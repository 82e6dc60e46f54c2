"""Work in parts: parts run in parallel processes, and each result is kept, so that nothing is computed twice."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from eprop.errors import DataError
from eprop.files import output_errors, parsing, read_text, write_text
from eprop.training.interrupt import Stopped, terminating
from eprop.training.machine import package_version
from eprop.training.progress_poller import POLL_INTERVAL, ProgressPoller
from eprop.training.trials import processes, side_by_side
from eprop.training.watch import Watcher

#: Files in the folder of a part.
RESULT, SHARE = "part.json", "share.txt"
_LESS_AT_ONCE = "use fewer --threads; the same command continues, because finished parts are kept"


@dataclass(frozen=True)
class Part:
    """A piece of work: a call of a function.

    Attributes
    ----------
    name : str
        Name of its folder.
    function : callable of (folder, tell, ``**arguments``)
        A function of a module, because another process calls it. It returns JSON data, may leave files in ``folder``
        (an earlier call that was stopped may have left files there), and calls ``tell`` with the fraction of its work
        that is done, 0 to 1, any number of times.
    arguments : dict
        JSON data. A finished part is reused for the same arguments and version of the package.
    cost : float
        Duration relative to the other parts, for the remaining time.
    """

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    cost: float = 1.0

    def key(self) -> dict[str, Any]:
        """Everything that determines the result."""
        function = f"{self.function.__module__}.{self.function.__qualname__}"
        # JSON turns tuples into lists.
        key = {"version": package_version(), "function": function, "arguments": self.arguments}
        return dict(json.loads(json.dumps(key)))


class JobRunner:
    """Computes the parts of a figure and keeps their results.

    Parameters
    ----------
    folder : Path
        Folder of the figure; parts go to ``parts/``.
    threads : int, optional
        Cores to use. The default is all available cores.
    watcher : Watcher, optional
        Receives the progress.
    """

    def __init__(self, folder: pathlib.Path, *, threads: int | None = None, watcher: Watcher | None = None):
        self.folder, self.threads, self.watcher = folder, threads, watcher or Watcher()
        self.computed, self.seconds = 0, 0.0

    def each(self, parts: Sequence[Part], *, threads: int | None = None) -> list[Any]:
        """Return the results of all parts, in order; kept results are not computed again.

        Parameters
        ----------
        parts : sequence of Part
        threads : int, optional
            Cores to use for these parts; 1 if the parts measure time.

        Raises
        ------
        Stopped
            After Ctrl-C: all processes are stopped, and finished parts are kept.
        """
        for part in parts:
            self._bring_back(part)
        found = {part.name: self._kept(part) for part in parts}
        missing = [part for part in parts if found[part.name] is None]
        for part in missing:
            self._prepare(part)
        # Long parts first, so that no long part runs alone at the end.
        longest = sorted(missing, key=lambda part: -part.cost)
        calls = [(_carry_out, (str(self._folder(part).absolute()), part)) for part in longest]
        with self._looking(missing), terminating():
            try:
                jobs = processes(threads or self.threads, len(calls))
                found |= dict(side_by_side(calls, jobs, advice=_LESS_AT_ONCE))
            except KeyboardInterrupt as stop:
                raise Stopped(self._say_stopped(parts), getattr(stop, "exit_code", 130)) from None
        self.computed += len(missing)
        entries = [found[part.name] for part in parts]
        self.seconds += sum(entry["seconds"] for entry in entries if entry)
        return [entry["result"] for entry in entries if entry]

    def _looking(self, parts: Sequence[Part]) -> contextlib.AbstractContextManager[None]:
        """Report the progress of running parts to the watcher."""
        if not parts:
            return contextlib.nullcontext()
        return ProgressPoller(
            self.watcher, lambda: [self._share(part) for part in parts], [part.cost for part in parts]
        )

    def _share(self, part: Part) -> float:
        """Fraction of a part that is done."""
        folder = self.path(part.name)
        try:
            return float((folder / SHARE).read_text() or 0.0)
        except (OSError, ValueError):
            return float((folder / RESULT).is_file())

    def path(self, part: str) -> pathlib.Path:
        """Folder of a part."""
        return self.folder / "parts" / part

    def clear(self) -> None:
        """Delete all parts."""
        with output_errors(self.folder):
            if (self.folder / "parts").is_dir():
                shutil.rmtree(self.folder / "parts")

    def _folder(self, part: Part) -> pathlib.Path:
        return self.path(part.name)

    def _prepare(self, part: Part) -> None:
        """Make the folder; keep a result of other arguments, with its files, aside until there is a new result."""
        folder = self._folder(part)
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / RESULT).is_file():
                # The files of a training also stay in place: a training with more iterations continues from them.
                copied, aside = folder.with_name(f".{folder.name}.copy"), _aside(folder)
                for old in (copied, aside):
                    if old.is_dir():
                        shutil.rmtree(old)
                shutil.copytree(folder, copied, symlinks=True)
                copied.rename(aside)  # the copy is complete only now
            for name in (RESULT, SHARE):
                (folder / name).unlink(missing_ok=True)

    def _bring_back(self, part: Part) -> None:
        """Restore the kept result of a part that was restarted with other arguments and did not finish."""
        folder = self._folder(part)
        aside = _aside(folder)
        if (folder / RESULT).is_file() or self._result(part, aside / RESULT) is None:
            return
        with output_errors(folder):
            if folder.is_dir():
                shutil.rmtree(folder)
            aside.rename(folder)

    def _kept(self, part: Part) -> dict[str, Any] | None:
        """Return the kept result of a part; None if it is missing or has other arguments."""
        return self._result(part, self._folder(part) / RESULT)

    @staticmethod
    def _result(part: Part, path: pathlib.Path) -> dict[str, Any] | None:
        if not path.is_file():
            return None
        with parsing(str(path), "is damaged", DataError, "delete it, and it is computed again"):
            entry = dict(json.loads(read_text(path)))
            return entry if entry["key"] == part.key() else None

    def _say_stopped(self, parts: Sequence[Part]) -> str:
        done = sum(self._kept(part) is not None for part in parts)
        return f"stopped; {done} of {len(parts)} parts are done and kept in {self.folder}: the same command continues"


def _aside(folder: pathlib.Path) -> pathlib.Path:
    """Path where the old folder of a part is kept while a new one is made."""
    return folder.with_name(f".{folder.name}.before")


def _carry_out(folder: str, part: Part) -> tuple[str, dict[str, Any]]:
    """Run one part, perhaps in a separate process; write the result to disk before returning it."""
    where, began = pathlib.Path(folder), time.perf_counter()
    last = 0.0

    def tell(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > POLL_INTERVAL / 2:
            last = time.monotonic()
            with contextlib.suppress(OSError):  # a failure to report progress must not stop the work
                (where / SHARE).write_text(f"{share:.6f}")

    result = part.function(where, tell, **part.arguments)
    entry = {"key": part.key(), "seconds": time.perf_counter() - began, "result": result}
    write_text(where / RESULT, json.dumps(entry) + "\n")
    shutil.rmtree(_aside(where), ignore_errors=True)
    with contextlib.suppress(OSError):
        (where / SHARE).unlink(missing_ok=True)
    return part.name, entry
