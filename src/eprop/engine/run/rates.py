"""Mean rates of the populations of a run, to warn of a network that runs away."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from eprop.engine.build.neurons import parameters_of_neurons
from eprop.engine.ranks.gathering import Axis
from eprop.engine.run.results import BatchResult
from eprop.engine.state.arrays import Arrays
from eprop.errors import InstabilityWarning, SaturationWarning, Status, check_status, warn
from eprop.network import Network, Population

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


#: A population is saturated above this fraction of the possible rate, 1 / (t_ref + dt).
SATURATED = 0.75
#: Samples after which rate regularisation should have lowered the rates.
REGULATED = 1000


class TrainingRates:
    """Judges the rates of the populations of a network in its trainings, and warns of silence, high rates and saturation.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network):
        self._network = network
        self._neurons = [p for p in network.populations if p.model.role == "neuron"]
        self._has_sources = any(p.model.role == "source" for p in network.populations)
        self._regulated = any(p.rule.regulates_rates for p in network.projections)
        self._saturated: dict[str, int] = {}  # samples since a population is saturated

    @cached_property
    def _intervals(self) -> dict[str, np.ndarray]:
        """Least number of ms between two spikes of each neuron, by population."""
        waits = {p.name: parameters_of_neurons(self._network, p).get("t_ref", 0.0) for p in self._neurons}
        return {p.name: np.zeros(p.size) + waits[p.name] + self._network.dt for p in self._neurons}

    def judge(self, result: BatchResult, n_steps: int) -> None:
        """Warn of the rates of a mini-batch; where rate regularisation may still change them, only if they stay too high."""
        assert result.spikes is not None
        if not self._neurons:
            return
        span = result.spikes.size * n_steps * self._network.dt
        if self._warn_of_saturation(result, span):
            return
        silent = not result.spikes.any()
        no_input = silent and self._has_sources and result.events == 0
        if self._regulated and not (no_input and span >= SHORTEST):  # no regularisation ends that
            return
        if silent:
            check_status(Status.NO_INPUT if no_input else Status.SILENT, "train")
        intervals = np.concatenate(list(self._intervals.values()))
        rate = 1e3 * float(result.spikes.sum()) / (span * intervals.size)
        if rate > HIGHEST_RATE:
            # A task may need high rates: only a quarter of the possible ones is too high.
            warn_if_high("all neurons", rate, span, float(np.mean(250.0 / intervals)), "the learning rate, ")

    def _warn_of_saturation(self, result: BatchResult, span: float) -> bool:
        """Warn of populations at almost the possible rate; return whether there is one."""
        saturated = False
        for name, counts in (result.neuron_spikes or {}).items():
            interval = self._intervals[name]
            if span < SHORTEST or float((counts * interval).mean()) <= SATURATED * span:
                self._saturated.pop(name, None)
                continue
            saturated, before = True, self._saturated.get(name, 0)
            self._saturated[name] = before + len(result.loss)
            if before <= (due := REGULATED if self._regulated else 0) < self._saturated[name]:
                rate, most = 1e3 * float(counts.mean()) / span, float((1e3 / interval).mean())
                warn(
                    f"{name}: {rate:.0f} Hz on average, of {most:.0f} Hz at the most"
                    f"{f', after {due:,} samples with rate regularisation' if due else ''}: spikes in almost every step carry no "
                    "information, and nothing is learned. Lower the input weights, raise v_th, or "
                    f"{'raise' if due else 'add rate regularisation:'} c_reg.",
                    SaturationWarning,
                )
        return saturated


def by_population(arrays: Arrays, own: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of own neurons as those of all ranks, ``(size,)`` for each population of neurons."""
    every = arrays.gatherer.whole({"counts": own}, {"counts": Axis.neuron})["counts"]
    table = arrays.built.topology.populations
    populations = arrays.network.populations[: len(table)]  # others may have been added since
    neurons = [p for p in populations if p.model.role == "neuron"]
    ends = np.cumsum([p.size for p in neurons])
    return {p.name: every[end - p.size : end] for p, end in zip(neurons, ends, strict=True)}


def _own_sources(arrays: Arrays, population: Population) -> tuple[int, int]:
    """Range of the sources of a population that are neurons of this rank."""
    first = int(arrays.built.topology.populations["first_source"][population.index])
    own = arrays.built.rank_partition.own_sources(population)
    return first + own.start, first + own.stop


def warn_if_high(name: str, rate: float, span: float, highest: float = HIGHEST_RATE, lower: str = "") -> bool:
    """Warn of the mean rate of a population, Hz over ``span`` ms, if it is above the highest; return whether it is."""
    high = rate > highest and span >= SHORTEST
    if high:
        warn(
            f"{name}: {rate:.0f} Hz on average over {span:,.0f} ms: the network may run away. Lower {lower}the weights or "
            "the drive, or add inhibition or rate regularisation (c_reg > 0).",
            InstabilityWarning,
        )
    return high
