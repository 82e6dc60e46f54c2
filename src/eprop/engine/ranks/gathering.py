"""Convert between the state of a whole network and the parts on the ranks; so a checkpoint fits any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.records import Role, ring_size
from eprop.network import Network, Population

# Arrays with one entry per neuron on the last axis. Other arrays, except those below, are equal on every rank.
OF_NEURONS = frozenset(
    ("neurons/state", "neurons/psi", "neurons/signal", "neurons/rate", "neurons/feedback", "neurons/feedback_offset",
     "history/block_prefix", "history/prefix_history", "history/block_propagators", "history/span_suffixes", "history/steps",
     "history/post_trace")
)  # fmt: skip
LOG = ("spike_log/sources", "spike_log/start")
POST_TIMES = "post_spikes/times"
# Step that stands for "no postsynaptic spike yet".
NEVER = -(1 << 62)


class StateGatherer:
    """Joins arrays of this rank with those of the other ranks, and extracts this rank's part of the whole.

    Parameters
    ----------
    counts : (projections,)
        This rank's synapses of each projection.
    """

    def __init__(self, network: Network, built: Built, counts: np.ndarray):
        self._network, self._built, self._partition = network, built, built.rank_partition
        self._onto_readouts = [p.post.model.role == "readout" for p in network.projections]
        self._synapses = np.stack(self._partition.comm.gather(counts))  # (ranks, projections)
        # Start of each projection's synapses on this rank, and among all ranks.
        self._here = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def count(self, projection: int) -> int:
        """Number of synapses of a projection, on all ranks."""
        held = self._synapses[:, projection]
        return int(held[0] if self._onto_readouts[projection] else held.sum())

    def held(self, projection: int) -> slice:
        """Connections of a projection, in the order of `Simulator.connections`, that this rank holds."""
        held, rank = self._synapses[:, projection], self._partition.comm.rank
        first = 0 if self._onto_readouts[projection] else int(held[:rank].sum())
        return slice(first, first + int(held[rank]))

    def gives(self, projection: int) -> bool:
        """Whether this rank contributes its synapses of a projection; all ranks hold the synapses onto readouts."""
        return not self._onto_readouts[projection] or self._partition.comm.rank == 0

    def state(self, own: dict[str, np.ndarray], t: int) -> dict[str, np.ndarray]:
        """Join the states of all ranks at step ``t``; the result is the same on every rank."""
        if not self._partition.several:
            return own
        pieces: dict[str, Any] = {name: self._pieces(name, value) for name, value in own.items()}
        pieces[LOG[0]] = self._logged(own, t)
        pieces = {name: value for name, value in pieces.items() if value is not None}
        everyone = self._partition.comm.gather(pieces)
        out = dict(own)
        for name in pieces:
            parts = [part[name] for part in everyone]
            if name == LOG[0]:
                out[LOG[0]], out[LOG[1]] = self._whole_log(parts, own[LOG[1]].shape, t)
            elif name == POST_TIMES:
                out[name] = _stacked(parts)
            else:
                out[name] = _interleaved(parts)
        return out

    def part(self, state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Extract this rank's part of a state of the whole network; ``own`` gives the shapes."""
        if not self._partition.several:
            return state
        out: dict[str, np.ndarray] = {}
        lo, hi = self._partition.first, self._partition.stop
        neurons = int(self._partition.bounds[-1])
        for name in own:
            value = np.asarray(state[name])
            if name in OF_NEURONS:
                value = value[..., lo:hi] if value.shape[-1] == neurons else value
            elif name == POST_TIMES:
                value = value[lo:hi]
            elif name == "neurons/input":
                value = np.concatenate([value[lo:hi], value[neurons:]])
            elif name.startswith("axons/"):
                value = self._own_sources(value) if value.shape[-1] else value
            elif name.startswith("synapses/"):
                value = self._own_synapses(value)
            out[name] = value
        out[LOG[0]], out[LOG[1]] = self._own_log(state)
        return out

    # ------------------------------------------------------------------ pieces: lists of arrays, joined one by one

    def _pieces(self, name: str, value: np.ndarray) -> Any:
        if name in OF_NEURONS:
            return [value]
        if name == POST_TIMES:
            return value
        if name == "neurons/input":
            n = self._partition.n_neurons
            return [value[:n], value[n:] if self._partition.comm.rank == 0 else value[:0]]
        if name.startswith("axons/"):
            return [value[..., :0], *(value[..., rows] for rows in self._sources_to_give() if value.shape[-1])]
        if name.startswith("synapses/"):
            spans = [(k, self.gives(k)) for k in range(len(self._onto_readouts))]
            return [value[..., :0], *(value[..., self._here[k] : self._here[k + gives]] for k, gives in spans)]
        return None

    def _sources_to_give(self) -> list[slice]:
        """Sources of each population that this rank contributes; all ranks hold the sources of inputs."""
        found, at = [], 0
        for p in self._network.populations:
            if not _spiking(p):
                continue
            own = self._partition.own_sources(p)
            if p.model.role != "neuron" and self._partition.comm.rank > 0:
                own = slice(0, 0)
            found.append(slice(at + own.start, at + own.stop))
            at += self._partition.n_local_sources(p)
        return found

    def _own_sources(self, value: np.ndarray) -> np.ndarray:
        parts, at = [value[..., :0]], 0
        for p in self._network.populations:
            if _spiking(p):
                parts.append(value[..., at + self._partition.global_ids(p)])
                at += p.size
        return np.concatenate(parts, axis=-1)

    def _own_synapses(self, value: np.ndarray) -> np.ndarray:
        parts, at = [value[..., :0]], 0
        for k in range(len(self._onto_readouts)):
            held = self.held(k)
            parts.append(value[..., at + held.start : at + held.stop])
            at += self.count(k)
        return np.concatenate(parts, axis=-1)

    # ------------------------------------------------------------------ the log of spikes

    def _logged(self, own: Mapping[str, np.ndarray], t: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps and global source ids of the logged spikes that this rank contributes."""
        steps, sources = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for step, p, known, first in _spikes_of(self._network, own, t):
            source = known - self._built.topology.populations["first_source"][p.index]
            if p.model.role == "neuron":
                rows = self._partition.own_sources(p)
                source = source[(source >= rows.start) & (source < rows.stop)] - rows.start + self._partition.own(p)[0]
            elif self._partition.comm.rank > 0:
                continue
            steps.append(np.full(source.size, step))
            sources.append(source + first)
        return np.concatenate(steps), np.concatenate(sources)

    def _whole_log(self, parts: list[Any], shape: tuple[int, ...], t: int) -> tuple[np.ndarray, np.ndarray]:
        steps, sources = (np.concatenate([part[k] for part in parts]) for k in range(2))
        order = np.lexsort((sources, steps))
        firsts = np.cumsum([0, *(_spiking(p) for p in self._network.populations)])
        return _made_log(steps[order], sources[order], firsts, shape, t)

    def _own_log(self, state: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The log of a whole state, reduced to the sources that are local to this rank, with local ids."""
        t = int(state["counters"][0])
        steps, sources = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        table = self._built.topology.populations
        nodes = {p.index: self._partition.global_ids(p) for p in self._network.populations if _spiking(p)}
        for step, p, source, first in _spikes_of(self._network, state, t):
            known = np.searchsorted(nodes[p.index], source - first)
            inside = known < nodes[p.index].size
            inside[inside] = nodes[p.index][known[inside]] == source[inside] - first
            steps.append(np.full(int(inside.sum()), step))
            sources.append(known[inside] + table["first_source"][p.index])
        ends = table["first_source"] + np.where(table["role"] == Role.readout, 0, table["size"])
        firsts = np.concatenate([table["first_source"], ends[-1:]])
        return _made_log(np.concatenate(steps), np.concatenate(sources), firsts, np.shape(state[LOG[1]]), t)


def _spiking(p: Any) -> int:
    """Number of nodes of a population that can spike."""
    return 0 if p.model.role == "readout" else p.size


def _spikes_of(
    network: Network, state: Mapping[str, np.ndarray], t: int
) -> Iterator[tuple[int, Population, np.ndarray, int]]:
    """``(step, population, sources as logged, first global source of the population)`` of a log."""
    log, starts = np.asarray(state[LOG[0]]), np.asarray(state[LOG[1]])
    firsts = np.cumsum([0, *(_spiking(p) for p in network.populations)])
    for step in range(max(0, t + 1 - len(starts)), t):
        row = starts[step % len(starts)]
        for p in network.populations:
            if _spiking(p) and row[p.index + 1] > row[p.index]:
                positions = np.arange(row[p.index], row[p.index + 1]) & (log.size - 1)
                yield step, p, log[positions].astype(np.int64), firsts[p.index]


def _made_log(
    steps: np.ndarray, sources: np.ndarray, firsts: np.ndarray, shape: tuple[int, ...], t: int
) -> tuple[np.ndarray, np.ndarray]:
    """Log and offsets for spikes in the order of step and source; the log begins with the oldest step in the buffer."""
    log = np.zeros(ring_size(max(2 * int(firsts[-1]) + 1024, steps.size)), np.int32)
    log[: sources.size] = sources
    starts = np.zeros(shape, np.int64)
    for step in range(max(0, t + 1 - shape[0]), t):
        first, stop = np.searchsorted(steps, [step, step + 1])
        starts[step % shape[0]] = first + np.searchsorted(sources[first:stop], firsts)
    return log, starts


def _interleaved(parts: list[list[np.ndarray]]) -> np.ndarray:
    """Join the parts of all ranks along the last axis, piece by piece."""
    pieces = [piece for pieces in zip(*parts, strict=True) for piece in pieces]
    return np.concatenate(pieces, axis=-1)


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    """Stack rows of neurons, padded to equal length."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=NEVER) for part in parts])
