"""Ranks by MPI; the only module that imports mpi4py."""

from __future__ import annotations

import os
import sys
import time
import traceback
from types import TracebackType

import numpy as np
from mpi4py import MPI

from eprop.core import lib
from eprop.parallel.communicator import T

# Bytes of a message that fit into the first of two exchanges; it grows with the longest message so far.
FIRST_ROOM = 512
HEADER = 8
# Ranks other than 0 wait this long before they end all: if rank 0 has the same error, it alone reports it.
COURTESY_SECONDS = 1.0
# A launcher that ends all ranks may not forward output that it has not yet read.
FORWARDING_SECONDS = 0.1


class Mpi:
    """All ranks of ``MPI_COMM_WORLD``, or of another communicator.

    Once there is one, an uncaught exception ends all ranks, with its traceback and the number of its rank; the others would wait
    for this one forever. If a rank is killed, the launcher ends the others.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
    """

    def __init__(self, comm: MPI.Comm | None = None):
        self._comm = MPI.COMM_WORLD if comm is None else comm
        self.rank, self.size = int(self._comm.Get_rank()), int(self._comm.Get_size())
        self._make_buffers(FIRST_ROOM)
        sys.excepthook = self._fail

    def exchange(self, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Send bytes to all ranks, in one collective call unless a message is longer than any before.

        The first call carries the length and the first part of each message; a second call carries the rest, if there is any. The
        result is the receive buffer, valid until the next exchange.
        """
        room, size = self._room, message.size
        self._length[0] = size
        if size <= room:
            self._send[HEADER : HEADER + size] = message
        else:
            self._send[HEADER:] = message[:room]
        self._comm.Allgather(self._send, self._receive)
        if np.max(self._sizes) > room:
            return self._exchange_rest(message)
        return self._receive, self._begin

    def _exchange_rest(self, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exchange the rest of long messages, join all messages, and enlarge the buffers."""
        room, sizes = self._room, self._sizes.copy()
        counts = np.maximum(sizes - room, 0)
        starts = np.concatenate([[0], np.cumsum(counts)])
        rest = np.empty(starts[-1], np.uint8)
        self._comm.Allgatherv(np.ascontiguousarray(message[room:]), [rest, (counts, starts[:-1])])
        parts = []
        for begin, size, start, count in zip(self._begin, sizes, starts, counts, strict=False):
            parts += [self._receive[begin : begin + min(size, room)], rest[start : start + count]]
        out = np.concatenate(parts)
        self._make_buffers(int(np.max(sizes)) * 5 // 4)
        return out, np.cumsum([0, *sizes[:-1]])

    def _make_buffers(self, room: int) -> None:
        """Allocate buffers for messages of ``room`` bytes, with views of their lengths."""
        width = -(-(HEADER + room) // 8) * 8
        self._room = width - HEADER
        self._send, self._receive = np.zeros(width, np.uint8), np.zeros(width * self.size, np.uint8)
        self._length = self._send[:HEADER].view(np.int64)
        self._sizes = self._receive.reshape(self.size, width)[:, :HEADER].view(np.int64)[:, 0]
        self._begin = np.arange(self.size, dtype=np.int64) * width + HEADER

    def gather(self, value: T) -> list[T]:
        """Values of all ranks in rank order, on every rank."""
        return list(self._comm.allgather(value))

    def broadcast(self, value: T) -> T:
        """Value of rank 0, on every rank."""
        return self._comm.bcast(value, root=0)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum in rank order; the order of MPI's reductions may depend on the placement of ranks on machines."""
        received = np.empty((self.size, *values.shape), values.dtype)
        self._comm.Allgather(np.ascontiguousarray(values), received)
        total = received[0].copy()
        for part in received[1:]:
            total += part
        return total

    def add_terms(self, total: np.ndarray, terms: np.ndarray, numbers: np.ndarray) -> None:
        """Each rank gets its share of the columns of all terms, adds it, and sends the result to all.

        All shares are sent with the same size: calls for different sizes take a hundred times as long if ranks wait for a core.
        """
        width = -(-total.size // self.size)
        sent, padded = (
            np.empty((self.size, numbers.max(), width), total.dtype),
            np.empty(self.size * width, total.dtype),
        )
        padded[: total.size] = total
        for start, part in zip(range(0, total.size, width), sent, strict=False):
            columns = terms[:, start : start + width]
            part[: len(terms), : columns.shape[1]] = columns
        received, own = np.empty_like(sent), padded[self.rank * width :][:width].copy()
        self._comm.Alltoall(sent, received)
        for part, number in zip(received, numbers, strict=True):
            lib.add_terms(own, part[:number])
        self._comm.Allgather(own, padded)
        total[:] = padded[: total.size]

    def threads(self, available: int) -> int:
        """Cores of this rank, divided by the number of ranks of its machine that may run on them."""
        node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
        sharing = sum(not cores.isdisjoint(other) for other in node.allgather(cores))
        node.Free()
        return max(1, min(available, len(cores) // sharing))

    def ranks_on_machine(self) -> int:
        """Number of ranks on this machine."""
        node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        count = int(node.Get_size())
        node.Free()
        return count

    def abort(self, message: str, code: int = 1) -> None:
        """End all ranks. A rank other than 0 waits a moment: if rank 0 has the same error, it alone reports it."""
        if self.rank > 0:
            time.sleep(COURTESY_SECONDS)
        print(f"rank {self.rank} of {self.size}: {message}", file=sys.stderr, flush=True)  # noqa: T201
        sys.stdout.flush()
        time.sleep(FORWARDING_SECONDS)
        self._comm.Abort(code)
        os._exit(code)  # some libraries leave it to the launcher to end this process

    def _fail(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """The exception hook of the interpreter."""
        self.abort("".join(traceback.format_exception(kind, error, trace)))
