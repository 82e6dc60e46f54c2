"""What went wrong in one of several trials, as it comes from its process to the one that has asked for it."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import dataclass


class InItsProcess(Exception):
    """The cause of an error from another process: its traceback there, as text."""


@dataclass(frozen=True)
class Failure:
    """An error of another process.

    Attributes
    ----------
    error : Exception
    trace : str
        Its traceback, which stays behind when an error is sent.
    """

    error: Exception
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """An error that has just been caught; one that cannot be sent is told as text."""
        trace = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            told, notes = RuntimeError(f"{type(error).__name__}: {error}"), getattr(error, "__notes__", [])
            for note in notes:
                told.add_note(note)
            error = told
        return cls(error, trace)

    def again(self) -> Exception:
        """The error, to be raised here."""
        self.error.__cause__ = InItsProcess(f"\n{self.trace}")
        return self.error


@contextlib.contextmanager
def failure_of(seed: int) -> Iterator[None]:
    """Let errors say in which trial they came up."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the trial with seed {seed}")
        raise
