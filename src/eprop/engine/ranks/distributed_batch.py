"""Samples of e-prop on several ranks: all go forward slice by slice, with one message for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eprop.engine.ranks.exchange import Exchange


class DistributedBatch:
    """Some samples, each in a slot of its own on every rank; the ranks hold different neurons of it.

    Parameters
    ----------
    exchange : Exchange
    batch : Batch of the core
    request : BatchRequest of the core
    pending : (synapses,)
        Gradients are added to it.
    """

    def __init__(self, exchange: Exchange, batch: Any, request: Any, pending: np.ndarray):
        self._exchange, self._batch, self._request, self._pending = exchange, batch, request, pending

    def run(self, n: int, n_steps: int, learn: bool, progress: Callable[[int], None] | None) -> int:
        """All ``n`` samples, as many at a time as there are slots; returns the synaptic events of this rank."""
        batch, request, slice_steps, events = self._batch, self._request, self._exchange.slice_steps, 0
        for begin in range(0, n, batch.slots):
            width = min(batch.slots, n - begin)
            for t in range(0, n_steps, slice_steps):
                stop = min(t + slice_steps, n_steps)
                batch.forward(begin, width, t, stop, request)
                batch.receive(begin, width, t, stop, request, *self._exchange.swap(batch.message(width)))
            if learn:
                batch.backward(begin, width, request)
                batch.accumulate(begin, width, request, self._pending)
            events += batch.count_events(width)
            if progress:
                progress(width)
        return events
