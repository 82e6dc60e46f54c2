"""Call functions in parallel processes, by joblib."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from eprop.errors import EPropError, optional_module
from eprop.parameters import check_count


def processes(jobs: int | None, count: int) -> int:
    """Number of processes for ``count`` calls: ``jobs``, by default one per core, and at most ``count``.

    Raises
    ------
    MissingExtraError
        If joblib is not installed.
    ParameterError
        If ``jobs`` is not a whole number >= 1.
    """
    if jobs is not None:
        check_count("the number of jobs", jobs)
    return min(jobs or _joblib().cpu_count(), max(count, 1))


def side_by_side(
    calls: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]],
    jobs: int,
    threads: int | None = None,
    *,
    advice: str = "",
) -> Iterator[Any]:
    """Call functions in ``jobs`` processes, and yield their results in the order of the calls.

    Each process uses at most ``threads`` threads, by default its fraction of the cores. If the caller stops waiting, by Ctrl-C or
    an error, the processes are stopped at once.

    Raises
    ------
    EPropError
        If a process was killed; the message ends with ``advice``.
    MissingExtraError
        If joblib is not installed.
    """
    joblib, here = _joblib(), (os.getpid(), os.getcwd())
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    try:
        with _safe_path(), parallel as pool:
            yield from pool(joblib.delayed(_from)(here, function, arguments) for function, arguments in calls)
    except BrokenProcessPool as error:  # joblib's error derives from it
        what = "a parallel process was killed, perhaps for lack of memory"
        raise EPropError(f"{what}: {advice or 'take fewer at a time'}") from error


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """New processes import nothing from the current folder, which may be the run of somebody else."""
    name, before = "PYTHONSAFEPATH", os.environ.get("PYTHONSAFEPATH")
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _from(here: tuple[int, str], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function in the working folder of the caller; a reused process is in the folder of its first call."""
    caller, folder = here
    if os.getpid() == caller:
        return function(*arguments)
    os.chdir(folder)
    try:
        return function(*arguments)
    finally:
        if os.getppid() != caller:
            os._exit(1)  # the caller has ended: nobody waits for the result


def _joblib() -> Any:
    return optional_module("joblib", "trials", "running several trials in parallel")
