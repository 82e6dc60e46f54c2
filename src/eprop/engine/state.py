"""Allocate what changes during a run: synapse traces, axons, neurons, histories, work space."""

from __future__ import annotations

import numpy as np

from eprop.engine.build import Built
from eprop.kernels import layout as lay
from eprop.kernels.layout import Axons, History, Neurons, Scratch, Synapses


def power_of_two(n: int) -> int:
    """Smallest power of two that is at least ``n``: rings are indexed by a mask."""
    return 1 << max(int(n) - 1, 0).bit_length()


def synapses_of(built: Built) -> Synapses:
    """Synapse arrays; only those that the rules of the network need have a length."""
    n, dtype = built.weight.size, built.weight.dtype
    adam = bool(np.any(built.topology.projections[:, lay.PRO_ADAM])) if len(built.topology.projections) else False
    none = np.zeros(0, dtype)
    return Synapses(
        weight=built.weight,
        trace=np.zeros(n, dtype) if built.has_plus else none,
        trace_reg=np.zeros(n, dtype) if built.two_kappas else none,
        hidden=np.zeros((built.n_hidden, n), dtype),
        pending=np.zeros(n, dtype) if built.has_eprop or built.adam_plus else none,
        moment_1=np.zeros(n, dtype) if adam else none,
        moment_2=np.zeros(n, dtype) if adam else none,
    )


def axons_of(built: Built) -> Axons:
    """No axon has spiked yet."""
    n, filters = built.topology.indptr.shape[1] - 1, built.topology.arrivals.shape[1]
    return Axons(np.full(n, -1, np.int64), np.zeros((filters, n)), np.zeros((filters, n)), np.zeros(n, np.int64))


def neurons_of(built: Built) -> Neurons:
    """All nodes at rest."""
    n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
    return Neurons(
        state=built.initial.copy(),
        input=np.zeros(n + k),
        psi=np.zeros(n),
        signal=np.zeros(n),
        rate=np.zeros((2, n)),
        y=np.zeros(k),
        feedback=built.feedback.copy(),
    )


def history_of(built: Built, learns: bool = True) -> History:
    """Empty rings, long enough for the cutoff (``learns``) and the longest delay."""
    n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
    sources, populations = n_sources(built), built.topology.populations.shape[0]
    plus = built.has_plus and learns
    maps = power_of_two(max(built.cutoff, built.block_steps if built.n_hidden else 0) + 2) if plus else 1
    blocks = power_of_two(built.cutoff // built.block_steps + 3) if plus else 1
    past = power_of_two((built.cutoff if plus else 0) + built.max_delay + 3)
    kept = maps if built.n_hidden else 1
    prefix = np.zeros((maps, built.map_entries, n if plus else 0))
    for entry, span in built.identities if plus else ():
        prefix[0, entry, span] = 1.0
    return History(
        prefix=prefix,
        block=np.zeros((blocks, built.map_entries, n if plus else 0)),
        suffix=np.zeros((kept, built.map_entries if built.n_hidden else 0, n if plus else 0)),
        steps=np.zeros((kept, 4, n if plus else 0)),
        readout_prefix=np.zeros((maps, k)),
        readout_block=np.zeros((blocks, k)),
        error=np.zeros((past, k)),
        log=np.zeros(power_of_two(2 * sources + 1024), np.int32),
        log_start=np.zeros((past, populations + 1), np.int64),
        block_steps=built.block_steps,
    )


def grown(history: History, t: int) -> History:
    """The same history with twice the room for spikes; positions in the log stay valid."""
    old, mask = history.log, history.log.size - 1
    log = np.zeros(2 * old.size, np.int32)
    ring = history.log_start.shape[0]
    newest = int(history.log_start[(t - 1) % ring, -1]) if t else 0
    positions = np.arange(max(newest - old.size, 0), newest)
    log[positions & (log.size - 1)] = old[positions & mask]
    return history._replace(log=log)


def scratch_of(built: Built, learns: bool = True) -> Scratch:
    """Work space of the streaming loop."""
    topology = built.topology
    n, rows = topology.params.shape[1], topology.indptr.shape[1] - 1
    partitions, projections = topology.indptr.shape[0], topology.projections.shape[0]
    plus = built.has_plus and learns
    return Scratch(
        order=np.zeros(rows, np.int32),
        spare=np.zeros(rows if plus else 0, np.int32),
        order_start=np.zeros(projections + 1, np.int64),
        due=np.zeros(rows if plus else 0, np.int32),
        due_start=np.zeros(projections + 1, np.int64),
        maps=np.zeros((1, built.map_entries, n if plus else 0)),
        maps_before=np.zeros((1, built.map_entries, n if plus else 0)),
        z_ahead=np.zeros((topology.arrivals.shape[1], rows if plus else 0)),
        gradient=np.zeros(topology.readouts.shape[1]),
        spikes=np.zeros((partitions, n), np.int32),
        spike_count=np.zeros((partitions, topology.populations.shape[0]), np.int64),
        mark=np.full(rows if plus else 0, -1, np.int64),
        n_sources=n_sources(built),
    )


def n_sources(built: Built) -> int:
    """Number of nodes that can spike."""
    table = built.topology.populations
    return int(table[table[:, lay.POP_ROLE] != lay.READOUT, lay.POP_SIZE].sum())


class Lanes:
    """Work space for samples side by side: one network state, spike log and history per lane."""

    def __init__(self, built: Built, lanes: int, n_steps: int, learns: bool, log_size: int):
        n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
        sources, populations = n_sources(built), built.topology.populations.shape[0]
        dtype = built.weight.dtype
        self.shape = (lanes, n_steps, learns)
        self.state = np.zeros((lanes, built.initial.shape[0], n))
        self.x, self.y = np.zeros((lanes, n + k)), np.zeros((lanes, k))
        self.spikes = np.zeros((lanes, n), np.int32)
        self.log = np.zeros((lanes, log_size), np.int32)
        self.starts = np.zeros((lanes, n_steps, populations + 1), np.int64)
        self.psi = np.zeros((lanes, n_steps if learns else 1, n), dtype)
        self.error = np.zeros((lanes, n_steps, k))
        self.work = np.zeros((lanes, 4 + 2 * built.n_components, n))
        self.adjoint_readout = np.zeros((lanes, n_steps if learns else 1, k), dtype)
        self.first = np.zeros((lanes, sources + 1), np.int64)
        self.steps = np.zeros((lanes, log_size if learns else 0), np.int32)

    def grow(self) -> None:
        """Twice the room for spikes."""
        lanes, size = self.log.shape
        self.log = np.zeros((lanes, 2 * size), np.int32)
        self.steps = np.zeros((lanes, 2 * size if self.shape[2] else 0), np.int32)
