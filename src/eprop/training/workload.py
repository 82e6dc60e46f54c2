"""NeuroBench's metrics of a network and of samples (Yik et al. 2025), with the definitions of version 2 of its package.

Footprint and connection sparsity belong to the network; activation sparsity and synaptic operations to the spikes of an
evaluation. docs/howto/chip.md says what is counted. (doi:10.1038/s41467-025-56739-4)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from eprop.engine import BatchResult, Samples, Simulator
from eprop.engine.build.neurons import parameters_of_neurons
from eprop.engine.build.records import branches_of
from eprop.engine.state.arrays import Arrays
from eprop.files import JsonObject
from eprop.models import EventSource, Neuron, PoissonSource
from eprop.network import Network, Population

#: Bytes of the index of a synapse's target, of the start of an axon's synapses, and of each number of a node.
INDEX, START, NUMBER = 4, 8, 8
#: Numbers of a readout: decay, input scale, drive, lowest voltage, leak potential, voltage.
OF_READOUT = 6


@dataclass(frozen=True)
class NeuroBench:
    """NeuroBench's metrics.

    Attributes
    ----------
    footprint : int
        Bytes of weights, connections, parameters and states.
    connection_sparsity : float
        Share of all pairs of nodes that have no connection, or a weight of 0, in all projections.
    activation_sparsity : float
        Share of steps of neurons without a spike.
    effective_acs : float
        Accumulates of a sample: spikes times the synapses of their sources whose weight is not 0.
    dense : float
        Operations of a sample if all nodes were connected and active in each step.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    effective_acs: float
    dense: float

    def summary(self) -> JsonObject:
        """Entry of ``summary.json``, under NeuroBench's names; spikes need no multiplications."""
        return {
            "footprint": self.footprint,
            "connection_sparsity": self.connection_sparsity,
            "activation_sparsity": self.activation_sparsity,
            "synaptic_operations": {"Effective_MACs": 0.0, "Effective_ACs": self.effective_acs, "Dense": self.dense},
        }


@dataclass
class SpikeCounts:
    """Spikes of each node in evaluated samples, by population, and how many samples and steps there were."""

    samples: int = 0
    steps: int = 0
    spikes: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, network: Network, samples: Samples, result: BatchResult) -> None:
        """Add the spikes of some samples; of Poisson sources, the expected ones."""
        self.samples, self.steps = self.samples + len(samples), self.steps + len(samples) * samples.n_steps
        found: dict[str, np.ndarray] = dict(result.neuron_spikes or {})
        events = [p for p in network.populations if isinstance(p.model, EventSource)]
        for p, start in zip(events, samples.event_start, strict=True):
            found[p.name] = np.bincount(samples.event_channels[start[0] : start[-1]], minlength=p.size)
        for p in network.populations:
            if isinstance(p.model, PoissonSource):
                rate = parameters_of_neurons(network, p)["rate"] * network.dt / 1000.0
                found[p.name] = np.full(p.size, len(samples) * samples.n_steps) * rate
        for name, counts in found.items():
            self.spikes[name] = self.spikes.get(name, 0) + counts


def neurobench(simulator: Simulator, samples: Samples) -> NeuroBench:
    """NeuroBench's metrics of a network with frozen weights on some samples.

    Parameters
    ----------
    simulator : Simulator
        Its state does not change.
    samples : Samples
        As `Simulator.samples` makes them.

    Returns
    -------
    NeuroBench

    Raises
    ------
    InputError, DivergenceError
        As from `Simulator.evaluate`.
    """
    counts = SpikeCounts()
    counts.add(simulator.network, samples, simulator.evaluate(samples))
    return metrics_of(simulator, counts)


def metrics_of(simulator: Simulator, counts: SpikeCounts) -> NeuroBench:
    """The metrics of counted spikes; all ranks call this function."""
    arrays, network = simulator._arrays, simulator.network
    pairs = sum(p.pre.size * p.post.size for p in network.projections)
    neurons = [p for p in network.populations if isinstance(p.model, Neuron)]
    active, possible = sum(counts.spikes[p.name].sum() for p in neurons), counts.steps * sum(p.size for p in neurons)
    zeros = zeros_of_sources(arrays)
    connected = simulator.n_synapses() - arrays.exchange.total(int(zeros.sum()))
    return NeuroBench(
        footprint_of(simulator),
        1.0 - connected / pairs if pairs else 0.0,
        1.0 - float(active) / possible if possible else 0.0,
        _operations(arrays, counts, zeros) / max(counts.samples, 1),
        pairs * counts.steps / max(counts.samples, 1),
    )


def footprint_of(simulator: Simulator) -> int:
    """Bytes of a network that runs with frozen weights, for any number of threads and ranks."""
    out, itemsize = simulator.n_synapses() * INDEX, simulator._arrays.built.weight.itemsize
    for projection in simulator.network.projections:
        weight = itemsize if projection.precision is None else projection.precision.bytes
        out += simulator.n_synapses(projection) * weight + (projection.pre.size + 1) * START
    for p in simulator.network.populations:
        if isinstance(p.model, Neuron):
            out += NUMBER * p.size * (len(p.model.parameter_rows) + len(p.model.state_rows))
        elif p.model.role == "readout":
            out += NUMBER * p.size * OF_READOUT
    return out


def zeros_of_sources(arrays: Arrays) -> np.ndarray:
    """Synapses of each source on this rank whose weight is 0, (sources,); every rank has the readouts, and one counts theirs."""
    built = arrays.built
    at, zeros = np.flatnonzero(arrays.effective_weights() == 0.0), np.zeros(built.n_sources, np.int64)
    of_branches = np.zeros(built.n_branches, np.int64)
    for part in built.topology.branch_start:
        own = at[(at >= part[0]) & (at < part[-1])]
        np.add.at(of_branches, np.searchsorted(part, own, side="right") - 1, 1)
    for group in built.groups[built.groups["counts_events"] != 0]:
        first = built.topology.populations["first_source"][group["source_population"]]
        zeros[first : first + group["n_branches"]] += of_branches[branches_of(group)]
    return zeros


def _operations(arrays: Arrays, counts: SpikeCounts, zeros: np.ndarray) -> int:
    """Sum over all spikes of the synapses of their sources whose weight is not 0, on all ranks."""
    built, total = arrays.built, 0
    degrees = built.topology.out_degrees - zeros
    for p in arrays.network.populations:
        if p.name in counts.spikes:
            # Expected spikes are rounded, so that the sum does not depend on the ranks.
            spikes = np.rint(counts.spikes[p.name]).astype(np.int64)[built.rank_partition.global_ids(p)]
            total += int(spikes @ degrees[_sources(built.topology.populations, p)])
    return arrays.exchange.total(total)


def _sources(populations: np.ndarray, p: Population) -> slice:
    """Sources of a population on this rank."""
    row = populations[p.index]
    return slice(int(row["first_source"]), int(row["first_source"] + row["size"]))
