"""Errors of trials in other processes, sent to the process that started the trials."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import dataclass


class RemoteTraceback(Exception):
    """The traceback of an error in another process, as text; the cause of the error that is raised here."""


@dataclass(frozen=True)
class Failure:
    """An error of another process.

    Attributes
    ----------
    error : Exception
    trace : str
        Traceback of the error; pickling an error loses it.
    """

    error: Exception
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """From an error that has just been caught. An error that cannot be pickled becomes a `RuntimeError` with its text."""
        trace = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            told, notes = RuntimeError(f"{type(error).__name__}: {error}"), getattr(error, "__notes__", [])
            for note in notes:
                told.add_note(note)
            error = told
        return cls(error, trace)

    def to_raise(self) -> Exception:
        """The error, to be raised in this process."""
        self.error.__cause__ = RemoteTraceback(f"\n{self.trace}")
        return self.error


@contextlib.contextmanager
def failure_of(seed: int) -> Iterator[None]:
    """Add the seed of the trial to errors."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the trial with seed {seed}")
        raise
