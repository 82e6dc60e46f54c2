"""Spikes of chosen populations, read off a log of spikes, before it is overwritten, and put together from all ranks."""

from __future__ import annotations

import numpy as np

from eprop.engine.arrays import Arrays
from eprop.kernels import layout as lay
from eprop.kernels.lanes import NO_RING
from eprop.network import Population


class SpikeLog:
    """Gathers the spikes of a run.

    Parameters
    ----------
    arrays : Arrays
    wanted : list of Population
        Not of readouts.
    """

    def __init__(self, arrays: Arrays, wanted: list[Population]):
        self._arrays, self._wanted, self._first = arrays, wanted, arrays.t
        self._parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {p.name: [] for p in wanted}

    def limit(self, n_steps: int) -> int:
        """As many of ``n_steps`` steps as may go by before the log has to be read."""
        return min(n_steps, self._arrays.history.log_start.shape[0] - 2) if self._wanted else n_steps

    def read(self) -> None:
        """Read what has come since the last time."""
        for p in self._wanted:
            self._parts[p.name].append(self._logged(p, self._first, self._arrays.t))
        self._first = self._arrays.t

    def spikes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of each population, on all ranks."""
        return {name: _joined(self._arrays, parts) for name, parts in self._parts.items()}

    def _logged(self, population: Population, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Spikes of one population in steps ``begin:end`` that are still in the log."""
        history = self._arrays.history
        rows = np.arange(begin, end) & (history.log_start.shape[0] - 1)
        steps, nodes = _found(self._arrays, population, history.log, history.log.size - 1, history.log_start[rows])
        return steps + begin, nodes


def spikes_of_sample(
    arrays: Arrays, wanted: list[Population], log: np.ndarray, starts: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times (ms) and nodes of the spikes of each population, on all ranks, from the log of a whole sample."""
    return {p.name: _joined(arrays, [_found(arrays, p, log, NO_RING, starts)]) for p in wanted}


def _found(
    arrays: Arrays, population: Population, log: np.ndarray, mask: int, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Steps, from 0 on, and nodes of the spikes of one population, those of this rank; ``starts`` (steps, populations + 1)."""
    share, first = arrays.built.share, arrays.built.topology.populations[population.index, lay.POP_SRC]
    own, lo = share.own_rows(population), share.own(population)[0]
    if population.model.role != "neuron" and share.comm.rank > 0:
        own = slice(0, 0)  # every rank has all inputs, one gives them
    begin, count = starts[:, population.index], np.diff(starts)[:, population.index]
    steps = np.repeat(np.arange(len(starts)), count)
    # The positions of each step follow each other: where it begins, and how many came before in it.
    at = np.repeat(begin - (np.cumsum(count) - count), count) + np.arange(steps.size)
    rows = log[at & mask].astype(np.int64) - first
    here = (rows >= own.start) & (rows < own.stop)
    return steps[here], rows[here] - own.start + lo


def _joined(arrays: Arrays, parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    none = np.zeros(0, np.int64)
    steps, nodes = (np.concatenate([none, *(part[k] for part in parts)]) for k in range(2))
    steps, nodes = arrays.ranks.spikes(steps, nodes)
    return (steps + 1.0) * arrays.network.dt, nodes
