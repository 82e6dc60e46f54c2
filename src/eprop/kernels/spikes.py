"""The log of spikes: those of this process, or those that all ranks have sent."""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner, kernel
from eprop.equations import rng
from eprop.kernels.exchange import unpack_step
from eprop.kernels.layout import EVENTS, NEURON, POISSON, POP_CHANNEL, POP_ROLE, POP_SIZE, POP_SRC, POP_TARGET


@inline
def log_spikes(t, s, clock, topology, history, scratch, seed, event_start, event_channels):
    """Append the spikes of step ``t`` to the log, population by population, in ascending order of the source."""
    ring, mask = history.log_start.shape[0] - 1, history.log.size - 1
    starts = history.log_start[t & ring]
    position = history.log_start[(t - 1) & ring, -1] if t > 0 else 0
    populations = topology.populations
    for b in range(populations.shape[0]):
        starts[b] = position
        if populations[b, POP_ROLE] == NEURON:
            shift = populations[b, POP_SRC] - populations[b, POP_TARGET]
            for p in range(scratch.spikes.shape[0]):
                first = scratch.spike_count[p, b - 1] if b > 0 else 0
                for k in range(first, scratch.spike_count[p, b]):
                    history.log[position & mask] = scratch.spikes[p, k] + shift
                    position += 1
        else:
            position = log_source(b, s, clock, position, mask, topology, history.log, seed, event_start, event_channels)
    starts[populations.shape[0]] = position


@inner
def log_source(b, column, clock, position, mask, topology, log, seed, event_start, event_channels):
    """Append the spikes of a population that takes no input, if it has any; returns the new position.

    ``column`` is the step of its events, ``clock`` that of random numbers; positions of a log that is no ring are masked with -1.
    """
    role, source = topology.populations[b, POP_ROLE], topology.populations[b, POP_SRC]
    if role == EVENTS:
        channel = topology.populations[b, POP_CHANNEL]
        for k in range(event_start[channel, column], event_start[channel, column + 1]):
            log[position & mask] = source + event_channels[k]
            position += 1
    elif role == POISSON:
        for i in range(topology.populations[b, POP_SIZE]):
            if rng.uniform(seed, rng.POISSON, i, _counter(b, clock)) < topology.rates[source + i]:
                log[position & mask] = source + i
                position += 1
    return position


@kernel
def receive(t0, n_steps, offset, seed, topology, history, n_sources, clock, event_start, event_channels, inbox):
    """Log the spikes of all ranks in steps ``t0 .. t0 + n_steps - 1``, or until the log is full; returns the steps done."""
    for done in range(n_steps):
        t = t0 + done
        if log_full(t, history, n_sources):
            return done
        position = history.log_start[(t - 1) & (history.log_start.shape[0] - 1), -1] if t > 0 else 0
        log_received(
            position, offset + done, t + clock, unpack_step(inbox), topology, history.log, history.log.size - 1,
            history.log_start[t & (history.log_start.shape[0] - 1)], seed, event_start, event_channels, inbox,
        )  # fmt: skip
    return n_steps


@inner
def log_received(
    position, column, clock, count, topology, log, mask, starts, seed, event_start, event_channels, inbox
):  # fmt: skip
    """Log one step from ``position`` on, with the spikes of neurons from ``inbox``: it counts the known ones of all populations.

    The other arguments are those of `log_source`.
    """
    populations = topology.populations
    k, before = 0, np.int64(0)
    for b in range(populations.shape[0]):
        starts[b] = position
        if populations[b, POP_ROLE] == NEURON:
            shift, stop = populations[b, POP_SRC] - before, before + populations[b, POP_SIZE]
            while k < count and inbox.spikes[k] < stop:
                log[position & mask] = inbox.spikes[k] + shift
                position += 1
                k += 1
            before = stop
        else:
            position = log_source(b, column, clock, position, mask, topology, log, seed, event_start, event_channels)
    starts[populations.shape[0]] = position


@inner
def log_full(t, history, n_sources):
    """Whether step ``t`` might not fit into the log."""
    ring = history.log_start.shape[0] - 1
    # The oldest step that may still be read was logged ring - 1 steps ago.
    oldest = history.log_start[(t + 1) & ring, 0] if t >= ring else 0
    newest = history.log_start[(t - 1) & ring, -1] if t > 0 else 0
    return newest - oldest + n_sources > history.log.size


@inner
def _counter(population, t):
    """Counter of a Poisson draw: the population in the high bits, the step in the low ones."""
    return (np.uint64(population) << np.uint64(48)) | np.uint64(t)
