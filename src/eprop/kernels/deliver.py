"""Deliver spikes over synapses whose weights do not change at the spike."""

from __future__ import annotations

import numpy as np

from eprop._jit import inner


@inner
def deliver_row(start, stop, targets, weight, x):
    """Add the weights of one row to the inputs ``x`` of its targets."""
    for q in range(np.uint64(start), np.uint64(stop)):
        x[targets[q]] += weight[q]
