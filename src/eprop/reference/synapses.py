"""All synapses of a network in flat arrays, with the traces that both rules of e-prop keep of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.eligibility import Components
from eprop.engine.build.records import Role, branches_of

Terms = dict[tuple[int, ...], np.ndarray]


@dataclass
class Synapses:
    """``n`` synapses, in the engine's order for one partition.

    Attributes
    ----------
    source, target : (n,)
        Numbers among all sources, and among all neurons followed by all readouts.
    delay, projection, rule : (n,)
        Steps; index of the projection; code of its rule.
    onto_readout : (n,) bool
    branch : (n,)
        Axon branch: synapses of one source with one delay.
    branch_source, branch_delay : (branches,)
    n_readouts : int
    size : int
        Components of the eligibility, d.
    decay, arrival, output, spike : dict of indices to (n,)
        Eligibility of the target, see `eprop.models.Eligibility`, component by component, without those that are 0.
    """

    source: np.ndarray
    target: np.ndarray
    delay: np.ndarray
    projection: np.ndarray
    rule: np.ndarray
    onto_readout: np.ndarray
    branch: np.ndarray
    branch_source: np.ndarray
    branch_delay: np.ndarray
    n_readouts: int
    size: int
    decay: Terms
    arrival: Terms
    output: Terms
    spike: Terms

    @classmethod
    def of(cls, built: Built, eligibility: dict[str, np.ndarray]) -> Synapses:
        """The synapses of a built network (of one partition), see `eligibility_of_targets`."""
        topology = built.topology
        groups = topology.groups
        counts = np.diff(topology.branch_start[0])
        owner, source = np.zeros(counts.size, np.int64), np.zeros(counts.size, np.int64)
        for number, group in enumerate(groups):
            first = topology.populations["first_source"][group["source_population"]]
            owner[branches_of(group)] = number
            source[branches_of(group)] = first + np.arange(group["n_branches"])
        branch = np.repeat(np.arange(counts.size), counts)
        number_of = owner[branch]
        target = topology.targets.astype(np.int64)
        return cls(
            source=source[branch],
            target=target,
            delay=groups["delay"][number_of],
            projection=groups["projection"][number_of],
            rule=groups["rule"][number_of],
            onto_readout=groups["onto_readouts"][number_of] == 1,
            branch=branch,
            branch_source=source,
            branch_delay=groups["delay"][owner],
            n_readouts=built.n_readouts,
            size=eligibility["arrival"].shape[1],
            **{name: _terms(part[target]) for name, part in eligibility.items()},
        )

    def of_projection(self, index: int) -> slice:
        """The synapses of a projection, which are side by side."""
        where = np.flatnonzero(self.projection == index)
        return slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0)

    def arriving(self, emitted: np.ndarray, t: int) -> np.ndarray:
        """Which synapses a spike arrives at in step ``t``; ``emitted`` is (steps, sources)."""
        at = t - self.branch_delay
        return ((at >= 0) & emitted[np.maximum(at, 0), self.branch_source])[self.branch]

    def eligibilities(self, spikes: np.ndarray, psi: np.ndarray) -> Iterator[np.ndarray]:
        """Eligibilities ``e`` (n,) of one step after the other, for ``spikes`` (steps, sources) and ``psi`` (steps, neurons).

        At synapses onto readouts it is the filtered spikes: an output has no surrogate gradient.
        """
        eps, e = np.zeros((self.size, self.source.size)), np.zeros(self.source.size)
        of_targets = np.ones(psi.shape[1] + self.n_readouts)
        for t, of_neurons in enumerate(psi):
            of_targets[: of_neurons.size] = of_neurons
            eps = self.filtered(eps, e, self.arriving(spikes, t))
            e = of_targets[self.target] * self.reached(eps)
            yield e

    def reached(self, eps: np.ndarray) -> np.ndarray:
        """What eligibility vectors (d, n) do to the distance from the threshold, or to the output, (n,)."""
        out = np.zeros(eps.shape[1])
        for (i,), factor in self.output.items():
            out += factor * eps[i]
        return out

    def filtered(self, eps: np.ndarray, e: np.ndarray, arriving: np.ndarray) -> np.ndarray:
        """Eligibility vectors (d, n) one step on: ``decay eps + spike e``, and ``arrival`` where a spike arrives."""
        out = np.zeros(eps.shape)
        for (i, j), factor in self.decay.items():
            out[i] += factor * eps[j]
        for (i,), factor in self.spike.items():
            out[i] += factor * e
        for (i,), factor in self.arrival.items():
            out[i] += factor * arriving
        return out


def _terms(values: np.ndarray) -> Terms:
    """Components of values (n, ...), without those that are 0 everywhere."""
    columns = np.moveaxis(values, 0, -1)
    found = {index: np.ascontiguousarray(columns[index]) for index in np.ndindex(columns.shape[:-1])}
    return {index: column for index, column in found.items() if column.any()}


def eligibility_of_targets(built: Built, components: dict[int, Components]) -> dict[str, np.ndarray]:
    """Eligibility of all neurons and readouts, padded to one number of components."""
    topology = built.topology
    n, k = built.n_neurons, built.n_readouts
    d = max([1, *(c.size for c in components.values())])
    out = {name: np.zeros((n + k, d)) for name in ("arrival", "output", "spike")}
    out["decay"] = np.zeros((n + k, d, d))
    for index, c in components.items():
        row = topology.populations[index]
        span = slice(row["first_target"], row["first_target"] + row["size"])
        out["decay"][span, : c.size, : c.size] = c.decay
        for name in ("arrival", "output", "spike"):
            out[name][span, : c.size] = getattr(c, name)
    out["decay"][n:, 0, 0], out["arrival"][n:, 0], out["output"][n:, 0] = (
        topology.readouts["alpha"],
        topology.readouts["zeta"],
        1.0,
    )
    return out


def sources_of_neurons(built: Built) -> tuple[np.ndarray, np.ndarray]:
    """Numbers among the sources, and among the neurons, of all neurons."""
    rows = [row for row in built.topology.populations if row["role"] == Role.neuron]
    none = np.zeros(0, np.int64)
    spans = [(np.arange(row["size"]) + row["first_source"], np.arange(row["size"]) + row["first_target"])
             for row in rows]  # fmt: skip
    return np.concatenate([none, *(a for a, _ in spans)]), np.concatenate([none, *(b for _, b in spans)])
