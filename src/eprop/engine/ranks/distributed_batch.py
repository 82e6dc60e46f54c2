"""Samples of e-prop on several ranks: all samples advance slice by slice, with one message for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eprop.engine.ranks.exchange import Exchange


def run_distributed(
    exchange: Exchange,
    batch: Any,
    request: Any,
    steps: tuple[int, int],
    pending: np.ndarray | None,
    progress: Callable[[int], None] | None,
) -> int:
    """Run samples, each in its own slot on every rank; return the synaptic events of this rank.

    Parameters
    ----------
    exchange : Exchange
    batch : Batch of the core
        Each rank has different neurons of the same samples.
    request : BatchRequest of the core
    steps : tuple of int
        Number of samples, and steps of each; as many samples run at a time as there are slots.
    pending : (synapses,), optional
        Array to which gradients are added, if the samples are training samples.
    progress : callable, optional
    """
    (n, n_steps), slice_steps, events = steps, exchange.slice_steps, 0
    for begin in range(0, n, batch.slots):
        width = min(batch.slots, n - begin)
        for t in range(0, n_steps, slice_steps):
            stop = min(t + slice_steps, n_steps)
            batch.forward(begin, width, t, stop, request)
            batch.receive(begin, width, t, stop, request, *exchange.swap(batch.message(width)))
        if pending is not None:
            batch.backward(begin, width, request)
            batch.accumulate(begin, width, request, pending)
        events += batch.count_events(width)
        if progress:
            progress(width)
    return events
