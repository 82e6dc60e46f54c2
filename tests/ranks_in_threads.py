"""Ranks that are threads of one process: what they do together can be looked at, and runs under sanitizers without MPI."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from eprop.core import lib

SECONDS = 120


class ThreadRank:
    """The communicator of one rank, see `eprop.parallel.Communicator`; `messages` are those that it has sent."""

    def __init__(self, rank: int, barrier: threading.Barrier, table: list[Any]):
        self.rank, self.size, self._barrier, self._table = rank, len(table), barrier, table
        self.messages: list[np.ndarray] = []

    def gather(self, value: Any) -> list[Any]:
        self._table[self.rank] = value
        self._barrier.wait(SECONDS)
        values = list(self._table)
        self._barrier.wait(SECONDS)
        return values

    def broadcast(self, value: Any) -> Any:
        return self.gather(value)[0]

    def exchange(self, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.messages.append(message)
        parts = self.gather(message)
        return np.concatenate(parts), np.cumsum([0, *(part.size for part in parts[:-1])])

    def sum(self, values: np.ndarray) -> np.ndarray:
        total, *others = self.gather(np.array(values))
        for other in others:
            total = total + other
        return total

    def add_terms(self, total: np.ndarray, terms: np.ndarray, numbers: np.ndarray) -> None:
        parts = self.gather(terms.copy())
        assert [len(part) for part in parts] == numbers.tolist()
        lib.add_terms(total, np.concatenate(parts))

    def threads(self, available: int) -> int:
        return available

    def ranks_on_machine(self) -> int:
        return self.size

    def abort(self, message: str, code: int = 1) -> None:
        self._barrier.abort()
        raise AssertionError(message)


def on_ranks(ranks: int, work: Callable[[ThreadRank], Any]) -> list[Any]:
    """What ``work`` returns for each rank."""
    barrier, table = threading.Barrier(ranks), [None] * ranks

    def one(rank: int) -> Any:
        try:
            return work(ThreadRank(rank, barrier, table))
        except BaseException:
            barrier.abort()  # the others would wait
            raise

    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(one, range(ranks)))
