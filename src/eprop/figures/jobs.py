"""Jobs of a figure, in parallel processes. A result is kept under a digest of the job's arguments, and never computed twice."""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eprop.errors import DataError
from eprop.files import JsonObject, output_errors, parsing, read_text, write_text
from eprop.training import Stopped, Watcher
from eprop.training.parallel import processes, side_by_side
from eprop.training.system_info import package_version

#: In a figure's folder: the folder of the jobs. In the folder of a job: the run of a training.
JOBS, RUN = "parts", "run"
_LESS_AT_ONCE = "use fewer --threads; the same command continues, because finished parts are kept"


def digest_of(value: object) -> str:
    """Return a short digest of JSON data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Job:
    """A call of a function.

    Attributes
    ----------
    name : str
        Name of its folder.
    function : callable of (folder, watcher, ``**arguments``)
        A function of a module, because another process calls it. It returns JSON data, and may leave files in ``folder``
        (an earlier call may have left files there), such as a run in the folder ``run``. It passes ``watcher`` on to a
        training.
    arguments : dict
        JSON data. A kept result is used again for the same arguments and version of the package.
    cost : float
        Duration relative to the other jobs, for the remaining time.
    """

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
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
            After Ctrl-C: finished jobs are kept, and trainings have a checkpoint.
        """
        entries = {job.name: self._kept(job) for job in jobs}
        # Long jobs first, so that no long job runs alone at the end.
        missing = sorted((job for job in jobs if entries[job.name] is None), key=lambda job: -job.cost)
        try:
            if missing:
                entries |= self._compute(missing, threads or self.threads)
        except KeyboardInterrupt as stop:
            done = sum(self._kept(job) is not None for job in jobs)
            kept = f"{done} of {len(jobs)} parts are done and kept in {self.folder}"
            raise Stopped(f"stopped; {kept}: the same command continues", getattr(stop, "exit_code", 130)) from None
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

    def _compute(self, jobs: list[Job], threads: int | None) -> dict[str, JsonObject]:
        """Results of jobs by name, each with the seconds it took."""
        for job in jobs:
            with output_errors(self.path(job)):
                self.path(job).mkdir(parents=True, exist_ok=True)
        calls = [(_carry_out, (self.path(job), job)) for job in jobs]
        parallel = processes(threads, len(jobs))
        return dict(side_by_side(calls, parallel, advice=_LESS_AT_ONCE))

    def _kept(self, job: Job) -> JsonObject | None:
        """Return the kept result of a job; None if there is none."""
        path = self.path(job) / job.result_file
        if not path.is_file():
            return None
        with parsing(str(path), "is damaged", DataError, "delete it, and it is computed again"):
            return dict(json.loads(read_text(path)))


def _carry_out(folder: pathlib.Path, job: Job, watcher: Watcher) -> tuple[str, JsonObject]:
    """Run one job, perhaps in a separate process; write the result to disk before returning it."""
    began = time.perf_counter()
    result = job.function(folder.absolute(), watcher, **job.arguments)
    entry = {"seconds": time.perf_counter() - began, "result": result}
    write_text(folder / job.result_file, json.dumps(entry) + "\n")
    return job.name, entry
