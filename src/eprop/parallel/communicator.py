"""What the engine asks of a communicator, and the one for a single process."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Communicator(Protocol):
    """The ranks that simulate one network together.

    Every method but `abort` is collective: all ranks call it, in the same order.

    Attributes
    ----------
    rank, size : int
        This process, and how many there are.
    """

    rank: int
    size: int

    def exchange(self, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give bytes to all ranks: ``(bytes, where those of each rank begin (size,))``, which hold until the next exchange."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order, on every rank."""
        ...

    def share_of(self, value: Any) -> Any:
        """The value of rank 0, on every rank."""
        ...

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum of one array per rank, added in the order of the ranks, on every rank."""
        ...

    def threads(self, available: int) -> int:
        """Threads for this rank, of those ``available`` to it, so that the ranks of a machine do not share cores."""
        ...

    def neighbours(self) -> int:
        """Ranks on the machine of this one, itself included: they share its memory."""
        ...

    def abort(self, message: str, code: int = 1) -> None:
        """End all ranks, at once."""
        ...


class Serial:
    """One process on its own."""

    rank, size = 0, 1

    def exchange(self, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The message itself."""
        return message, np.zeros(1, np.int64)

    def gather(self, value: Any) -> list[Any]:
        """The value itself."""
        return [value]

    def share_of(self, value: Any) -> Any:
        """The value itself."""
        return value

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The array itself."""
        return values

    def threads(self, available: int) -> int:
        """All of them."""
        return available

    def neighbours(self) -> int:
        """Itself."""
        return 1

    def abort(self, message: str, code: int = 1) -> None:
        """Leave the program."""
        raise SystemExit(message)
