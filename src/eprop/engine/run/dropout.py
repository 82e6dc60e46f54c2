"""Dropout of input events while a network learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eprop import random
from eprop.engine.run.samples import Samples
from eprop.models import EventSource
from eprop.network import Network


def without_dropped(network: Network, samples: Samples, clock: int) -> Samples:
    """Samples without the events that `EventSource.dropout` drops.

    A draw depends only on (the network's seed, source, channel, step), so that to drop twice changes nothing.

    Parameters
    ----------
    network : Network
    samples : Samples
        Made for the network.
    clock : int
        Step of the network's random numbers in the first step of the first sample.
    """
    sources = [p for p in network.populations if isinstance(p.model, EventSource)]
    if not any(p.model.dropout for p in sources if isinstance(p.model, EventSource)):
        return samples
    starts, parts, position = [], [], 0
    for p, start in zip(sources, samples.event_start, strict=True):
        assert isinstance(p.model, EventSource)
        channels = samples.event_channels[start[0] : start[-1]]
        steps = np.repeat(np.arange(start.size - 1), np.diff(start))
        seed = random.derive(network.seed, random.SHUFFLE, p.index)
        kept = random.uniform(seed, random.SHUFFLE, channels, clock + steps) >= p.model.dropout
        counts = np.bincount(steps[kept], minlength=start.size - 1)
        starts.append(position + np.concatenate([[0], np.cumsum(counts)]))
        parts.append(channels[kept])
        position += int(counts.sum())
    return replace(samples, event_start=np.stack(starts), event_channels=np.concatenate(parts))
