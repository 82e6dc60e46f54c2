"""How many synapses a source has: synaptic events are counted by spikes, without looking at a synapse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.state import n_sources
from eprop.engine.tables import rows_of_tract
from eprop.kernels import layout as lay

if TYPE_CHECKING:
    from eprop.engine.build import Built


def degrees(built: Built) -> np.ndarray:
    """Synapses of each source that this rank counts."""
    table, out = built.topology.populations, np.zeros(n_sources(built), np.int64)
    degree = np.diff(built.topology.indptr, axis=1).sum(axis=0)
    for row in built.topology.projections:
        if row[lay.PRO_COUNTED]:
            first = table[row[lay.PRO_PRE], lay.POP_SRC]
            out[first : first + row[lay.PRO_ROWS]] += degree[rows_of_tract(row)]
    return out
