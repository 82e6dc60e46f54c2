"""All synapses of a network in flat arrays, with the traces that both rules of e-prop keep of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.eligibility import Components
from eprop.engine.build.records import Role, branches_of


@dataclass
class Synapses:
    """``n`` synapses, in the engine's order for one partition.

    Attributes
    ----------
    source, target : (n,)
        Numbers among all sources, and among all neurons followed by all readouts.
    delay, projection, rule : (n,)
        Steps; index of the projection; code of its rule.
    decay, arrival, output, spike : (n, d, d), (n, d), (n, d), (n, d)
        Eligibility of the target.
    """

    source: np.ndarray
    target: np.ndarray
    delay: np.ndarray
    projection: np.ndarray
    rule: np.ndarray
    onto_readout: np.ndarray
    decay: np.ndarray
    arrival: np.ndarray
    output: np.ndarray
    spike: np.ndarray

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
            **{name: part[target] for name, part in eligibility.items()},
        )

    def arriving(self, emitted: np.ndarray, t: int) -> np.ndarray:
        """Which synapses a spike arrives at in step ``t``; ``emitted`` is (steps, sources)."""
        at = t - self.delay
        return (at >= 0) & emitted[np.maximum(at, 0), self.source]

    def filtered(self, eps: np.ndarray, e: np.ndarray, arriving: np.ndarray) -> np.ndarray:
        """Eligibility vectors (n, d) one step on: ``decay eps + spike e``, and ``arrival`` where a spike arrives."""
        moved = np.einsum("sij,sj->si", self.decay, eps) + self.spike * e[:, None]
        return np.asarray(moved + self.arrival * arriving[:, None])


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
