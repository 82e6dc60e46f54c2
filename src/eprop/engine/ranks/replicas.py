"""Ranks that have the whole network each, and divide samples or lanes: what a network that learns by `EProp` does."""

from __future__ import annotations

import numpy as np

from eprop.parallel import Communicator

# Largest memory of the gradients of single samples on a rank, bytes; samples beyond wait for the next round.
TERMS_BYTES = 1 << 26


class Replicas:
    """Divides samples or lanes among ranks, joins their results, and adds their gradients in the order of the samples.

    One process adds the gradients of its samples one after the other. Several ranks keep those of each sample, its *terms*, and
    then add them in the same order: so bits depend neither on the number of ranks nor on what each of them runs.

    Parameters
    ----------
    comm : Communicator

    Attributes
    ----------
    comm : Communicator
    several : bool
        Whether there is more than one rank.
    """

    def __init__(self, comm: Communicator):
        self.comm, self.several = comm, comm.size > 1

    def own(self, n: int) -> np.ndarray:
        """Those of ``n`` samples or lanes that this rank runs: successive ones."""
        return np.array_split(np.arange(n), self.comm.size)[self.comm.rank]

    def rounds(self, n: int, total: np.ndarray) -> list[np.ndarray]:
        """``n`` samples in parts that ranks run together, so that the terms of an array fit into `TERMS_BYTES`."""
        width = max(TERMS_BYTES // max(total.nbytes, 1), 1) * self.comm.size
        return [np.arange(first, min(first + width, n)) for first in range(0, n, width)]

    def joined(self, part: np.ndarray, n: int) -> np.ndarray:
        """Rows of all ``n`` samples, of which each rank has its own. They are exchanged as bytes: pickling takes longer."""
        if not self.several:
            return part
        out = np.empty((n, *part.shape[1:]), part.dtype)
        message, begin = self.comm.exchange(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
        for rows, start in zip(np.array_split(out, self.comm.size), begin, strict=True):
            rows.reshape(-1).view(np.uint8)[:] = message[start : start + rows.nbytes]
        return out

    def terms(self, total: np.ndarray, n: int, each: int = 1) -> np.ndarray:
        """Array (terms, ...) to which the core adds ``each`` term of own samples, of ``n``: zeros, or for one rank the total."""
        return np.zeros((each * self.own(n).size, *total.shape), total.dtype) if self.several else total[None]

    def add(self, total: np.ndarray, terms: np.ndarray, n: int, each: int = 1) -> None:
        """Add the `terms` of all ranks to their total."""
        if self.several and total.size:
            numbers = np.array([each * part.size for part in np.array_split(np.arange(n), self.comm.size)])
            self.comm.add_terms(total.reshape(-1), terms.reshape(len(terms), total.size), numbers)
