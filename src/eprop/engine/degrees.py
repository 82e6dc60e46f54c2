"""Count the synaptic events of samples from spikes and out-degrees, without looking at a synapse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.samples import Samples
from eprop.engine.state import n_sources
from eprop.kernels import layout as lay
from eprop.kernels.counts import count_arrivals

if TYPE_CHECKING:
    from eprop.engine.arrays import Arrays
    from eprop.engine.build import Built


def events_of(arrays: Arrays, samples: Samples, index: np.ndarray, counts: np.ndarray) -> int:
    """Synaptic events of the samples ``index`` on a single rank, none of Poisson sources.

    Parameters
    ----------
    counts : (n, neurons)
        Spikes of each neuron.
    """
    table, total = arrays.built.topology.populations, 0
    degree = np.diff(arrays.built.topology.indptr, axis=1).sum(axis=0)
    for row in arrays.built.topology.projections:
        p = arrays.network.projections[row[lay.PRO_OWNER]]
        out = degree[row[lay.PRO_ROW] : row[lay.PRO_ROW] + row[lay.PRO_ROWS]]
        if p.pre.model.role == "neuron":
            first = table[p.pre.index, lay.POP_TARGET]
            total += int(counts[:, first : first + p.pre.size].sum(axis=0) @ out)
        elif table[p.pre.index, lay.POP_ROLE] == lay.EVENTS:
            starts = samples.event_start[table[p.pre.index, lay.POP_CHANNEL]]
            total += int(count_arrivals(index, samples.n_steps, starts, samples.event_channels, out))
    return total


def degrees(built: Built) -> np.ndarray:
    """Synapses of each source that this rank counts; none of a Poisson source, as in `events_of`."""
    table, out = built.topology.populations, np.zeros(n_sources(built), np.int64)
    degree = np.diff(built.topology.indptr, axis=1).sum(axis=0)
    for row in built.topology.projections:
        pre = table[row[lay.PRO_PRE]]
        if row[lay.PRO_COUNTED] and pre[lay.POP_ROLE] != lay.POISSON:
            first, rows = pre[lay.POP_SRC], slice(row[lay.PRO_ROW], row[lay.PRO_ROW] + row[lay.PRO_ROWS])
            out[first : first + row[lay.PRO_ROWS]] += degree[rows]
    return out
