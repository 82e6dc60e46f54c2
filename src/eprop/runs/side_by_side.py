"""Calls in parallel processes, by joblib: how they run, and how they stop."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from eprop.errors import EPropError, optional_module
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.parameters import check_count
from eprop.training.watcher import Progress, Watcher

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


def side_by_side(calls: Iterable[Call], jobs: int, threads: int | None = None, *, advice: str = "") -> Iterator[Any]:
    """Call functions in ``jobs`` processes, and yield their results as they come.

    With one process, the functions run in this one, and get Ctrl-C themselves. With several, the first Ctrl-C or SIGTERM or an
    error in one of them stops all as Ctrl-C does. The second Ctrl-C ends them.

    Parameters
    ----------
    calls : iterable of (function, arguments)
        Each function gets a `Watcher` as its last argument, which it must inform of its progress.
    jobs : int
    threads : int, optional
        Largest number of threads of a process; by default its fraction of the cores.
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
    if jobs == 1:
        for function, arguments in calls:
            yield function(*arguments, Watcher())
        return
    failed, stopped, ends, ended = None, False, threading.Event(), threading.Event()

    def stop() -> None:
        ends.set()
        threading.Thread(target=_stop_workers, args=(ended,), daemon=True).start()

    due = ((_call, (os.getpid(), os.getcwd(), time.monotonic(), *call)) for call in calls if not ends.is_set())
    with Interrupt(ask=stop) as interrupt:
        try:
            for result in _pool(jobs, threads, due):
                if isinstance(result, _Failure):
                    failed = failed or result
                    stop()
                elif result is None:
                    stopped = True
                else:
                    yield result
        except BrokenProcessPool as error:  # joblib's error derives from it
            if not ends.is_set():  # else a process was stopped at its start
                what = "a parallel process was killed, perhaps for lack of memory"
                raise EPropError(f"{what}: {advice or 'take fewer at a time'}") from error
        finally:
            ended.set()
        if failed is not None:
            raise failed.error from RemoteTraceback(f"\n{failed.trace}")
        if stopped or interrupt.requested:
            raise Stopped(exit_code=128 + (interrupt.signal or signal.SIGINT))


class RemoteTraceback(Exception):
    """The traceback of an error in another process, as text; the cause of the error that is raised here."""


@dataclass(frozen=True)
class _Failure:
    """An error of a call, and its traceback, which is lost when an error is sent to another process."""

    error: Exception
    trace: str


@dataclass(frozen=True)
class _StopWithCaller(Watcher):
    """Stops the work of its process when asked to, and ends it if the process that has started it is gone.

    The second SIGTERM has no other effect than the first one: the caller repeats it.
    """

    caller: int
    interrupt: Interrupt

    def phase(self, text: str) -> None:
        """See `Watcher`."""
        self.interrupt.check()

    def reading(self, what: str, done: int, total: int) -> None:
        """See `Watcher`."""
        self.interrupt.check()

    def progress(self, progress: Progress) -> None:
        """See `Watcher`."""
        if os.getppid() != self.caller:
            os._exit(1)  # the last checkpoint stays


def _stop_workers(ended: threading.Event) -> None:
    """Send SIGTERM to the processes of joblib, again and again: one that is just being started may miss it."""
    while True:
        for process in multiprocessing.active_children():
            if type(process).__module__.startswith("joblib."):  # no process that the caller has started
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGTERM)
        if ended.wait(1.0):
            return


def _call(caller: int, folder: str, sent: float, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The result of a call in a process of its own: None if it was stopped, a `_Failure` if it failed."""
    os.chdir(folder)  # a reused process is in the folder of its first call
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all processes; the caller sends SIGTERM
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _remember_stop)  # also between calls: the end of an idle process would break the pool
    try:
        with Interrupt() as interrupt:
            return None if _last_stop > sent else function(*arguments, _StopWithCaller(caller, interrupt))
    except KeyboardInterrupt:
        return None
    except Exception as error:
        return _Failure(_sendable(error), "".join(traceback.format_exception(error)))


#: When this process has received SIGTERM between two calls; the next call may have been sent before.
_last_stop = 0.0


def _remember_stop(number: int, frame: types.FrameType | None) -> None:
    global _last_stop
    _last_stop = time.monotonic()


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
        # A call is sent when a process is free: none waits in a queue that could not be stopped.
        parallel = joblib.Parallel(jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
    os.environ[name] = "1"
    try:
        yield from parallel(joblib.delayed(function)(*arguments) for function, arguments in calls)
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _joblib() -> Any:
    return optional_module("joblib", "trials", "running several trials in parallel")
