"""Spikes of chosen populations, read off the log of spikes before it is overwritten, and put together from all ranks."""

from __future__ import annotations

import numpy as np

from eprop.engine.arrays import Arrays
from eprop.kernels import layout as lay
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
        self._found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {p.name: [] for p in wanted}

    def limit(self, n_steps: int) -> int:
        """As many of ``n_steps`` steps as may go by before the log has to be read."""
        return min(n_steps, self._arrays.history.log_start.shape[0] - 2) if self._wanted else n_steps

    def read(self) -> None:
        """Read what has come since the last time."""
        for p in self._wanted:
            self._found[p.name].append(self._logged(p, self._first, self._arrays.t))
        self._first = self._arrays.t

    def spikes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of each population, on all ranks."""
        return {name: self._joined(parts) for name, parts in self._found.items()}

    def _logged(self, population: Population, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Spikes of one population in steps ``begin:end`` that are still in the log."""
        history, share = self._arrays.history, self._arrays.built.share
        ring, mask = history.log_start.shape[0] - 1, history.log.size - 1
        first = self._arrays.built.topology.populations[population.index, lay.POP_SRC]
        own, lo = share.own_rows(population), share.own(population)[0]
        if population.model.role != "neuron" and share.comm.rank > 0:
            own = slice(0, 0)  # every rank has all inputs, one gives them
        steps, nodes = [], []
        for t in range(begin, end):
            row = history.log_start[t & ring]
            at = np.arange(row[population.index], row[population.index + 1]) & mask
            rows = history.log[at].astype(np.int64) - first
            rows = rows[(rows >= own.start) & (rows < own.stop)]
            nodes.append(rows - own.start + lo)
            steps.append(np.full(rows.size, t))
        if not steps:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(steps), np.concatenate(nodes)

    def _joined(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        none = np.zeros(0, np.int64)
        steps, nodes = (np.concatenate([none, *(part[k] for part in parts)]) for k in range(2))
        steps, nodes = self._arrays.ranks.spikes(steps, nodes)
        return (steps + 1.0) * self._arrays.network.dt, nodes
