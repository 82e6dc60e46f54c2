"""Spikes of chosen populations, read from a spike log and joined from all ranks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eprop.engine.ranks.slices import Core
from eprop.engine.state.arrays import Arrays
from eprop.network import Population

# Reads steps and sources of the spikes of sources ``first:stop``.
Read = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


class SpikeReader:
    """Collects the spikes of a run from the log of the online loop, before the log is overwritten.

    Parameters
    ----------
    arrays : Arrays
    wanted : list of Population
        Populations that are not readouts.
    """

    def __init__(self, arrays: Arrays, wanted: list[Population]):
        self._arrays, self._wanted, self._first = arrays, wanted, arrays.t
        self._parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {p.name: [] for p in wanted}

    def limit(self, n_steps: int) -> int:
        """Largest number of ``n_steps`` steps that may run before the log must be read."""
        return min(n_steps, len(self._arrays.history.log_start) - 2)

    def read(self) -> None:
        """Read the spikes since the last call."""
        online, begin, end = self._arrays.online, self._first, self._arrays.t
        for p in self._wanted:
            found = _of_population(self._arrays, p, lambda first, stop: online.spikes(first, stop, begin, end))
            self._parts[p.name].append(found)
        self._first = end

    def spikes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of each population, on all ranks."""
        return {name: _joined(self._arrays, parts) for name, parts in self._parts.items()}


def spikes_of_sample(
    arrays: Arrays, wanted: list[Population], core: Core, lane: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times (ms) and nodes of the spikes of each population, on all ranks, for the last sample of a lane of the core."""

    def read(first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        found: tuple[np.ndarray, np.ndarray] = core.spikes_of_sample(lane, first, stop)
        return found

    return {p.name: _joined(arrays, [_of_population(arrays, p, read)]) for p in wanted}


def _of_population(arrays: Arrays, population: Population, read: Read) -> tuple[np.ndarray, np.ndarray]:
    """Steps and nodes of the spikes of one population that this rank contributes."""
    partition = arrays.built.rank_partition
    first = int(arrays.built.topology.populations["first_source"][population.index])
    own, lo = partition.own_sources(population), partition.own(population)[0]
    if population.model.role != "neuron" and partition.comm.rank > 0:
        own = slice(0, 0)  # every rank has all inputs, and one rank contributes them
    steps, sources = read(first + own.start, first + own.stop)
    return steps, sources - (first + own.start - lo)


def _joined(arrays: Arrays, parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    none = np.zeros(0, np.int64)
    steps, nodes = (np.concatenate([none, *(part[k] for part in parts)]) for k in range(2))
    steps, nodes = arrays.exchange.spikes(steps, nodes)
    return (steps + 1.0) * arrays.network.dt, nodes
