"""Mean rates of the populations of a run, to warn of a network that runs away."""

from __future__ import annotations

import warnings

import numpy as np

from eprop.engine.state.arrays import Arrays
from eprop.errors import InstabilityWarning
from eprop.network import Population

#: A population warns above this mean rate, Hz, over at least this time, ms.
HIGHEST_RATE, SHORTEST = 100.0, 200.0
#: The spikes of each population are counted where the log holds so many steps; a shorter one would have to be read too often.
LOGGED_STEPS = 16


class RateMonitor:
    """Counts the spikes of a run, which may have several pieces, and warns once.

    It counts by population, or of all neurons together where delays are so short that the log of spikes has few steps.
    """

    def __init__(self, arrays: Arrays):
        # Populations may have been added to the network since it was built.
        populations = arrays.network.populations[: len(arrays.built.topology.populations)]
        neurons = [p for p in populations if p.model.role == "neuron"]
        self._arrays, self._logged = arrays, len(arrays.history.log_start) - 2
        self._apart = len(neurons) > 1 and self._logged >= LOGGED_STEPS
        if self._apart or len(neurons) == 1:
            self._names, self._sizes = [p.name for p in neurons], np.array([p.size for p in neurons])
        else:
            self._names, self._sizes = ["all neurons"], np.array([sum(p.size for p in neurons)])
        self._columns = [p.index for p in neurons]
        self._own = [_own_sources(arrays, p) for p in neurons]
        self._counts, self._steps, self._read = np.zeros(len(self._names), np.int64), 0, arrays.t
        self._warned = not neurons

    def limit(self, n_steps: int) -> int:
        """Largest number of ``n_steps`` steps that may run before `read`."""
        return min(n_steps, self._logged) if self._apart else n_steps

    def read(self) -> None:
        """Count the spikes since the last call, if they are counted by population."""
        if not self._apart:
            return
        begin, end = self._read, self._arrays.t
        if self._arrays.exchange.several:  # the log has spikes of other ranks, too
            self._counts += [self._arrays.online.spikes(*own, begin, end)[0].size for own in self._own]
        else:
            starts = self._arrays.history.log_start
            rows = starts[np.arange(begin, end) % len(starts)]
            self._counts += np.diff(rows, axis=1).sum(axis=0)[self._columns]
        self._read = end

    def judge(self, spikes: int, n_steps: int) -> None:
        """Warn if the rate since the last judgement was too high.

        Parameters
        ----------
        spikes : int
            Spikes of all own neurons in the last ``n_steps`` steps.
        n_steps : int
        """
        if not self._apart:
            self._counts += spikes
        self._steps += n_steps
        span = self._steps * self._arrays.network.dt
        if span < SHORTEST or self._warned:
            return
        rates = self._arrays.exchange.sum(self._counts) / (1e-3 * span * self._sizes)
        self._counts[:], self._steps = 0, 0
        k = int(np.argmax(rates))
        self._warned = warn_if_high(self._names[k], float(rates[k]), span)


def _own_sources(arrays: Arrays, population: Population) -> tuple[int, int]:
    """Range of the sources of a population that are neurons of this rank."""
    first = int(arrays.built.topology.populations["first_source"][population.index])
    own = arrays.built.rank_partition.own_sources(population)
    return first + own.start, first + own.stop


def warn_if_high(name: str, rate: float, span: float, highest: float = HIGHEST_RATE) -> bool:
    """Warn of the mean rate of a population, Hz over ``span`` ms, if it is above the highest; return whether it is."""
    high = rate > highest and span >= SHORTEST
    if high:
        warnings.warn(
            f"{name}: {rate:.0f} Hz on average over {span:,.0f} ms: the network may run away. Lower the weights or the drive, or "
            "add inhibition or rate regularisation (c_reg > 0).",
            InstabilityWarning,
            stacklevel=6,
        )
    return high
