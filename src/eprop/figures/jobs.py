"""Jobs run in parallel processes. A result is kept under a digest of the job's arguments, so that nothing is computed twice."""

from __future__ import annotations

import contextlib
import hashlib
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
from eprop.training.processes import processes, side_by_side
from eprop.training.progress_poller import POLL_INTERVAL, ProgressPoller
from eprop.training.system_info import package_version
from eprop.training.watcher import Watcher

#: In a figure's folder: the folder of the jobs. In the folder of a job: the fraction of its work that is done.
JOBS, SHARE = "parts", "share.txt"
_LESS_AT_ONCE = "use fewer --threads; the same command continues, because finished parts are kept"


def digest_of(value: Any) -> str:
    """Return a short digest of JSON data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Job:
    """A call of a function.

    Attributes
    ----------
    name : str
        Name of its folder.
    function : callable of (folder, report, ``**arguments``)
        A function of a module, because another process calls it. It returns JSON data, may leave files in ``folder``
        (an earlier call may have left files there), and calls ``report`` with the fraction of its work that is done, 0 to
        1, any number of times.
    arguments : dict
        JSON data. A kept result is used again for the same arguments and version of the package.
    cost : float
        Duration relative to the other jobs, for the remaining time.
    """

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    cost: float = 1.0

    @property
    def result_file(self) -> str:
        """Name of the file with the result: it holds a digest of everything that determines the result."""
        function = f"{self.function.__module__}.{self.function.__qualname__}"
        return f"result-{digest_of([package_version(), function, self.arguments])}.json"


class JobRunner:
    """Computes the jobs of a figure and keeps their results.

    Parameters
    ----------
    folder : Path
        Folder of the figure; jobs have folders in ``parts/``.
    threads : int, optional
        Cores to use. The default is all available cores.
    watcher : Watcher, optional
        Receives the progress.
    """

    def __init__(self, folder: pathlib.Path, *, threads: int | None = None, watcher: Watcher | None = None):
        self.folder, self.threads, self.watcher = folder, threads, watcher or Watcher()
        self.computed, self.seconds = 0, 0.0

    def each(self, jobs: Sequence[Job], *, threads: int | None = None) -> list[Any]:
        """Return the results of all jobs, in order; kept results are not computed again.

        Parameters
        ----------
        jobs : sequence of Job
        threads : int, optional
            Cores to use for these jobs; 1 if the jobs measure time.

        Raises
        ------
        Stopped
            After Ctrl-C: all processes are stopped, and finished jobs are kept.
        """
        entries = {job.name: self._kept(job) for job in jobs}
        missing = [job for job in jobs if entries[job.name] is None]
        for job in missing:
            with output_errors(self.path(job)):
                self.path(job).mkdir(parents=True, exist_ok=True)
                (self.path(job) / SHARE).unlink(missing_ok=True)
        # Long jobs first, so that no long job runs alone at the end.
        longest = sorted(missing, key=lambda job: -job.cost)
        calls = [(_carry_out, (str(self.path(job).absolute()), job)) for job in longest]
        with self._reporting(missing), terminating():
            try:
                entries |= dict(
                    side_by_side(calls, processes(threads or self.threads, len(calls)), advice=_LESS_AT_ONCE)
                )
            except KeyboardInterrupt as stop:
                raise Stopped(self._describe_stop(jobs), getattr(stop, "exit_code", 130)) from None
        results = [entries[job.name] or {} for job in jobs]
        self.computed += len(missing)
        self.seconds += sum(entry["seconds"] for entry in results)
        return [entry["result"] for entry in results]

    def path(self, job: Job) -> pathlib.Path:
        """Folder of a job."""
        return self.folder / JOBS / job.name

    def clear(self) -> None:
        """Delete all jobs."""
        with output_errors(self.folder):
            if (self.folder / JOBS).is_dir():
                shutil.rmtree(self.folder / JOBS)

    def _kept(self, job: Job) -> dict[str, Any] | None:
        """Return the kept result of a job; None if there is none."""
        path = self.path(job) / job.result_file
        if not path.is_file():
            return None
        with parsing(str(path), "is damaged", DataError, "delete it, and it is computed again"):
            return dict(json.loads(read_text(path)))

    def _reporting(self, jobs: Sequence[Job]) -> contextlib.AbstractContextManager[None]:
        """Context that reports the progress of running jobs to the watcher."""
        if not jobs:
            return contextlib.nullcontext()
        return ProgressPoller(self.watcher, lambda: [self._share(job) for job in jobs], [job.cost for job in jobs])

    def _share(self, job: Job) -> float:
        """Fraction of a job that is done."""
        try:
            return float((self.path(job) / SHARE).read_text() or 0.0)
        except (OSError, ValueError):
            return float((self.path(job) / job.result_file).is_file())

    def _describe_stop(self, jobs: Sequence[Job]) -> str:
        done = sum(self._kept(job) is not None for job in jobs)
        return f"stopped; {done} of {len(jobs)} parts are done and kept in {self.folder}: the same command continues"


def _carry_out(path: str, job: Job) -> tuple[str, dict[str, Any]]:
    """Run one job, perhaps in a separate process; write the result to disk before returning it."""
    folder, began, last = pathlib.Path(path), time.perf_counter(), 0.0

    def report(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > POLL_INTERVAL / 2:
            last = time.monotonic()
            with contextlib.suppress(OSError):  # a failure to report progress must not stop the work
                (folder / SHARE).write_text(f"{share:.6f}")

    result = job.function(folder, report, **job.arguments)
    entry = {"seconds": time.perf_counter() - began, "result": result}
    write_text(folder / job.result_file, json.dumps(entry) + "\n")
    with contextlib.suppress(OSError):
        (folder / SHARE).unlink(missing_ok=True)
    return job.name, entry
