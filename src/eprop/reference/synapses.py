"""Nodes and synapses of a network in flat arrays, with the eligibility of each synapse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from eprop.errors import NetworkError
from eprop.models.base import INHIBITORY
from eprop.network import Network, Population, Projection
from eprop.reference.neurons import Array, EligibilityTerms

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
# Components of the eligibility that are not 0 everywhere, by index; (synapses,) each.
Components = dict[tuple[int, ...], Array]


@dataclass(frozen=True)
class Connections:
    """The connections of a projection.

    Parameters
    ----------
    source, target : (connections,)
        Nodes, counted from 0 within each population.
    weight : (connections,)
        mV.
    delay : (connections,)
        ms.
    """

    source: Integers
    target: Integers
    weight: Array
    delay: Array


@dataclass(frozen=True)
class Layout:
    """Numbers of nodes: of all that emit spikes, in the order of the network; of all neurons, then all readouts.

    Attributes
    ----------
    sources, targets : dict of slices by population
    n_sources, n_neurons, n_readouts : int
    """

    sources: dict[str, slice]
    targets: dict[str, slice]
    n_sources: int
    n_neurons: int
    n_readouts: int

    @classmethod
    def of(cls, network: Network) -> Layout:
        """The layout of a network."""
        by_role: dict[str, list[Population]] = {"source": [], "neuron": [], "readout": []}
        for p in network.populations:
            by_role[p.model.role].append(p)
        sources = _spans([p for p in network.populations if p.model.role != "readout"])
        targets = _spans(by_role["neuron"] + by_role["readout"])
        n_neurons, n_readouts = (sum(p.size for p in by_role[role]) for role in ("neuron", "readout"))
        return cls(sources, targets, sum(p.size for p in by_role["source"]) + n_neurons, n_neurons, n_readouts)

    @cached_property
    def source_of_neuron(self) -> Integers:
        """Number of each neuron among the sources."""
        spans = [self.sources[name] for name in self.targets if name in self.sources]
        return np.concatenate([np.zeros(0, np.int64), *(np.arange(span.start, span.stop) for span in spans)])

    def readouts(self, name: str) -> slice:
        """Columns of a population among the readouts."""
        span = self.targets[name]
        return slice(span.start - self.n_neurons, span.stop - self.n_neurons)


def _spans(populations: list[Population]) -> dict[str, slice]:
    ends = np.cumsum([0, *(p.size for p in populations)]).tolist()
    return {p.name: slice(a, b) for p, a, b in zip(populations, ends[:-1], ends[1:], strict=True)}


@dataclass(frozen=True)
class Synapses:
    """All ``n`` synapses, projection by projection, each in the order of its `Connections`.

    Attributes
    ----------
    parts : dict of slices by projection
    source, target, delay : (n,)
        Numbers as in `Layout`; steps.
    axons : (2, axons)
        Different pairs of source and delay: a spike arrives at all synapses of an axon in the same step.
    axon : (n,)
        The axon of each synapse.
    input : (n,)
        Number of the input: the target, and after all targets the inhibitory receptors.
    onto_readout : (n,) bool
    n_readouts : int
    n_components : int
        Components of the eligibility, d.
    decay, arrival, output, spike : Components
        Eligibility of the targets, see `eprop.models.Eligibility`.
    """

    parts: dict[str, slice]
    source: Integers
    target: Integers
    delay: Integers
    axons: Integers
    axon: Integers
    input: Integers
    onto_readout: Booleans
    n_readouts: int
    n_components: int
    decay: Components
    arrival: Components
    output: Components
    spike: Components

    @classmethod
    def of(
        cls, network: Network, layout: Layout, connections: Mapping[str, Connections], eligibility: EligibilityTerms
    ) -> Synapses:
        """The synapses of a network.

        Raises
        ------
        NetworkError
            If the connections of a projection are missing.
        """
        if missing := {p.name for p in network.projections} - connections.keys():
            raise NetworkError(f"connections of {', '.join(sorted(missing))} are missing")
        ends, none = [0], [np.zeros(0, np.int64)]
        source, target, delay, inhibitory = list(none), list(none), list(none), [np.zeros(0, bool)]
        for p in network.projections:
            c = connections[p.name]
            source.append(c.source + layout.sources[p.pre.name].start)
            target.append(c.target + layout.targets[p.post.name].start)
            delay.append(np.rint(np.asarray(c.delay) / network.dt).astype(np.int64))
            inhibitory.append(np.full(len(c.source), p.receptor == INHIBITORY))
            ends.append(ends[-1] + len(c.source))
        of_all = np.stack([np.concatenate(source), np.concatenate(delay)])
        axons, axon = np.unique(of_all, axis=1, return_inverse=True)
        onto, inhibits = np.concatenate(target), np.concatenate(inhibitory)
        arrival = np.where(inhibits[:, None], eligibility.arrival_in[onto], eligibility.arrival[onto])
        of_synapses = (eligibility.decay[onto], arrival, eligibility.output[onto], eligibility.spike[onto])
        return cls(
            {p.name: slice(a, b) for p, a, b in zip(network.projections, ends[:-1], ends[1:], strict=True)},
            of_all[0], onto, of_all[1], axons, axon.ravel(), onto + inhibits * len(eligibility.arrival),
            onto >= layout.n_neurons, layout.n_readouts, eligibility.arrival.shape[1], *map(_components, of_synapses),
        )  # fmt: skip

    def __len__(self) -> int:
        return self.source.size

    def readouts_and_neurons(self, p: Projection, layout: Layout) -> tuple[Integers, Integers]:
        """Numbers among the readouts and among the neurons, of the synapses of a projection from neurons onto readouts."""
        part = self.parts[p.name]
        neurons = self.source[part] - layout.sources[p.pre.name].start + layout.targets[p.pre.name].start
        return self.target[part] - layout.n_neurons, neurons

    def arriving(self, spikes: Booleans, t: int) -> Booleans:
        """Which synapses a spike arrives at in step ``t``; ``spikes`` (steps, sources) by the step of emission."""
        source, delay = self.axons
        emitted = t - delay
        return np.asarray((emitted >= 0) & spikes[np.maximum(emitted, 0), source])[self.axon]

    def onto_neurons_alike(self) -> Booleans:
        """Which synapses are onto a population whose neurons turn arriving spikes into the same eligibility."""
        reached = {i for (i,) in self.arrival}
        for _ in range(self.n_components):
            reached |= {i for i, j in self.decay if j in reached}
        factors = [f for (i,), f in self.arrival.items()] + [f for (i, j), f in self.decay.items() if j in reached]
        alike = np.zeros(len(self), bool)
        for part in self.parts.values():
            alike[part] = all((f[part] == f[part][:1]).all() for f in factors)
        return alike

    def filtered(self, eps: Array, e: Array | float, arriving: Booleans) -> Array:
        """Eligibility vectors (d, n) one step on: ``decay eps + spike e``, plus ``arrival`` where a spike arrives."""
        out = np.zeros(eps.shape)
        for (i, j), factor in self.decay.items():
            out[i] += factor * eps[j]
        for (i,), factor in self.spike.items():
            out[i] += factor * e
        for (i,), factor in self.arrival.items():
            out[i] += factor * arriving
        return out

    def reached(self, eps: Array) -> Array:
        """What eligibility vectors (d, n) do to the distance from the threshold, or to the output, (n,)."""
        out = np.zeros(len(self))
        for (i,), factor in self.output.items():
            out += factor * eps[i]
        return out

    def eligibilities(self, spikes: Booleans, psi: Array) -> Iterator[Array]:
        """Eligibilities ``e`` (n,) of one step after the other, for ``spikes`` (steps, sources) and ``psi`` (steps, neurons).

        At synapses onto readouts it is the filtered spikes: an output has no surrogate gradient.
        """
        eps, e = np.zeros((self.n_components, len(self))), np.zeros(len(self))
        for t in range(len(psi)):
            eps = self.filtered(eps, e, self.arriving(spikes, t))
            e = np.append(psi[t], np.ones(self.n_readouts))[self.target] * self.reached(eps)
            yield e


def _components(values: Array) -> Components:
    """Components of values (n, ...), without those that are 0 everywhere."""
    columns = np.moveaxis(values, 0, -1)
    found = {index: np.ascontiguousarray(columns[index]) for index in np.ndindex(columns.shape[:-1])}
    return {index: column for index, column in found.items() if column.any()}


def padded_together(parts: list[EligibilityTerms]) -> EligibilityTerms:
    """Eligibility of all targets, with one number of components; missing components are 0."""
    d = max(part.arrival.shape[1] for part in parts)

    def pad(values: Array) -> Array:
        return np.pad(values, [(0, 0)] + [(0, d - size) for size in values.shape[1:]])

    names = ("decay", "arrival", "output", "spike", "arrival_in")
    return EligibilityTerms(*(np.concatenate([pad(getattr(part, name)) for part in parts]) for name in names))
