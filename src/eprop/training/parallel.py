"""Jobs in parallel processes, by joblib: how they run, how they are watched, and how they stop."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from eprop.errors import EPropError, optional_module
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.parameters import check_count
from eprop.training.watcher import Progress, Watcher

#: Jobs in other processes stop when this file is in their folder.
STOP = ".stop"
#: Seconds between two looks at the progress of jobs in other processes.
POLL_INTERVAL = 1.0

# A function that may run in another process, and its arguments; a `Watcher` is its last argument.
Call = tuple[Callable[..., Any], tuple[Any, ...]]


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
    calls: Iterable[Call], jobs: int, threads: int | None = None, *, folder: pathlib.Path, advice: str = ""
) -> Iterator[Any]:
    """Call functions in ``jobs`` processes, and yield their results in the order of the calls.

    With one process, the functions run in this one, and get Ctrl-C themselves. With several, the first Ctrl-C or SIGTERM, the end
    of this process or an error in one of them asks all to stop: their watcher raises `Stopped`. The second Ctrl-C ends them.

    Parameters
    ----------
    calls : iterable of (function, arguments)
        Each function gets a `Watcher` as its last argument, which it must inform of its progress.
    jobs : int
    threads : int, optional
        Largest number of threads of a process; by default its fraction of the cores.
    folder : Path
        An existing folder of these calls alone.
    advice : str
        Last words of the message if a process was killed.

    Raises
    ------
    Exception
        The first error of a call, after all others have stopped.
    EPropError
        If a process was killed.
    Stopped
        If not all calls have come to their end.
    MissingExtraError
        If joblib is not installed.
    """
    caller = _Caller(os.getpid(), os.getcwd(), folder.absolute() / STOP)
    caller.stop.unlink(missing_ok=True)
    failed, stopped = None, False
    try:
        with Interrupt(ask=caller.stop.touch) if jobs > 1 else contextlib.nullcontext(Interrupt()) as interrupt:
            try:
                for result in _pool(jobs, threads, [(_call, (caller, *call)) for call in calls]):
                    if isinstance(result, _Failure):
                        failed = failed or result
                    elif result is None:
                        stopped = True
                    else:
                        yield result
            except BrokenProcessPool as error:  # joblib's error derives from it
                if not interrupt.requested:  # else Ctrl-C has ended a process at its start
                    what = "a parallel process was killed, perhaps for lack of memory"
                    raise EPropError(f"{what}: {advice or 'take fewer at a time'}") from error
            if failed is not None:
                raise failed.error from RemoteTraceback(f"\n{failed.trace}")
            if stopped or interrupt.requested:
                raise Stopped(exit_code=128 + (interrupt.signal or signal.SIGINT))
    finally:
        caller.stop.unlink(missing_ok=True)


@contextlib.contextmanager
def polled(
    watcher: Watcher, shares: Callable[[], Sequence[float]], costs: Sequence[float] | None = None, what: str = "parts"
) -> Iterator[None]:
    """Context in which a thread calls `Watcher.working` at intervals.

    Parameters
    ----------
    watcher : Watcher
    shares : callable
        Returns the progress of each part, 0 to 1.
    costs : sequence of float, optional
        Cost of each part, in any unit; equal by default.
    what : str
        Name of the parts, in the plural.
    """

    def whole(of: Sequence[float]) -> float:
        weights = costs or [1.0] * len(of)
        return sum(share * cost for share, cost in zip(of, weights, strict=True)) / (sum(weights) or 1.0)

    def poll() -> None:
        while not ended.wait(POLL_INTERVAL):
            now = shares()
            share, seconds = whole(now), time.monotonic() - began
            # Work that was done before this call took none of these seconds.
            left = seconds * (1.0 - share) / (share - first) if share > first else None
            watcher.working(sum(each >= 1.0 for each in now), len(now), share, left, what)

    began, first, ended = time.monotonic(), whole(shares()), threading.Event()
    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class RemoteTraceback(Exception):
    """The traceback of an error in another process, as text; the cause of the error that is raised here."""


@dataclass(frozen=True)
class _Failure:
    """An error of a call, and its traceback, which is lost when an error is sent to another process."""

    error: Exception
    trace: str


@dataclass(frozen=True)
class _Caller(Watcher):
    """The process that has started others; in these, the watcher that stops their work if the caller asks, or has ended."""

    pid: int
    folder: str
    stop: pathlib.Path

    def check(self) -> None:
        """Raise `Stopped` if this process must stop."""
        if self.stop.exists() or os.getppid() != self.pid:
            raise Stopped

    def phase(self, text: str) -> None:
        """See `Watcher`."""
        self.check()

    def reading(self, what: str, done: int, total: int) -> None:
        """See `Watcher`."""
        self.check()

    def progress(self, progress: Progress) -> None:
        """See `Watcher`."""
        self.check()

    def evaluating(self, done: int, total: int, unit: str = "samples") -> None:
        """See `Watcher`."""
        self.check()


def _call(caller: _Caller, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The result of a call: None if it was stopped, a `_Failure` if it failed in another process than the ``caller``."""
    if os.getpid() == caller.pid:
        return function(*arguments, Watcher())
    os.chdir(caller.folder)  # a reused process is in the folder of its first call
    for number in Interrupt.SIGNALS:  # they may reach all processes, and the caller asks these to stop
        signal.signal(number, signal.SIG_IGN)
    try:
        caller.check()
        return function(*arguments, caller)
    except KeyboardInterrupt:
        return None
    except Exception as error:
        caller.stop.touch()
        return _Failure(_sendable(error), "".join(traceback.format_exception(error)))
    finally:
        if os.getppid() != caller.pid:
            os._exit(1)  # nobody waits for the result


def _sendable(error: Exception) -> Exception:
    """The error; one that cannot be pickled becomes a `RuntimeError` with its text and its notes."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        other = RuntimeError(f"{type(error).__name__}: {error}")
        other.__notes__ = getattr(error, "__notes__", [])
        return other
    return error


def _pool(jobs: int, threads: int | None, calls: Iterable[Call]) -> Iterator[Any]:
    """Results of calls in processes. These import nothing from the current folder, which may be the run of somebody else."""
    joblib, name, before = _joblib(), "PYTHONSAFEPATH", os.environ.get("PYTHONSAFEPATH")
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    os.environ[name] = "1"
    try:
        with parallel as pool:
            yield from pool(joblib.delayed(function)(*arguments) for function, arguments in calls)
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _joblib() -> Any:
    return optional_module("joblib", "trials", "running several trials in parallel")
