"""Deliver spikes over synapses whose weights do not change at the spike."""

from __future__ import annotations

from eprop._jit import kernel


@kernel
def deliver_row(start, stop, targets, weight, x):
    """Add the weights of one row to the inputs ``x`` of its targets."""
    for q in range(start, stop):
        x[targets[q]] += weight[q]
