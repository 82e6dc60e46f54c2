"""The communicator that the engine uses, and the one for a single process."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from eprop.core import lib

T = TypeVar("T")


class Communicator(Protocol):
    """The ranks that simulate one network together, or its samples.

    Every method but `abort` is collective: all ranks call it, in the same order.

    Attributes
    ----------
    rank, size : int
        Number of this process, and number of processes.
    """

    rank: int
    size: int

    def exchange(self, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Send bytes to all ranks.

        Parameters
        ----------
        message : ndarray of uint8, shape (n,)

        Returns
        -------
        received : ndarray of uint8
            The messages of all ranks; valid until the next exchange.
        begin : ndarray of int64, shape (size,)
            Offset of the message of each rank.
        """
        ...

    def gather(self, value: T) -> list[T]:
        """Values of all ranks in rank order, on every rank (allgather)."""
        ...

    def broadcast(self, value: T) -> T:
        """Value of rank 0, on every rank (broadcast)."""
        ...

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum of one array per rank in rank order, on every rank (allreduce with a fixed order)."""
        ...

    def add_terms(self, total: np.ndarray, terms: np.ndarray, numbers: np.ndarray) -> None:
        """Add the terms of all ranks to an array, in the order of ranks and terms, as one process would add them all.

        Parameters
        ----------
        total : ndarray of float64 or float32, shape (n,)
            The same on all ranks, before and after.
        terms : ndarray of the same type, shape (terms of this rank, n)
        numbers : ndarray of int64, shape (size,)
            How many terms each rank has.
        """
        ...

    def threads(self, available: int) -> int:
        """Number of threads for this rank, at most ``available``, such that the ranks of a machine do not share cores."""
        ...

    def ranks_on_machine(self) -> int:
        """Number of ranks on this machine, which share its memory."""
        ...

    def abort(self, message: str, code: int = 1) -> None:
        """End all ranks with a message."""
        ...


class Serial:
    """A single process."""

    rank, size = 0, 1

    def exchange(self, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The message itself."""
        return message, np.zeros(1, np.int64)

    def gather(self, value: T) -> list[T]:
        """The value itself."""
        return [value]

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The array itself."""
        return values

    def add_terms(self, total: np.ndarray, terms: np.ndarray, numbers: np.ndarray) -> None:
        """Add its own terms."""
        lib.add_terms(total, terms)

    def threads(self, available: int) -> int:
        """All available threads."""
        return available

    def ranks_on_machine(self) -> int:
        """One."""
        return 1

    def abort(self, message: str, code: int = 1) -> None:
        """Exit with the message."""
        raise SystemExit(message)
