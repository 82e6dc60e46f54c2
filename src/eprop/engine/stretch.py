"""Drive the compiled loop through a stretch of time: slice by slice with several ranks, with more room where it runs out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from eprop.engine.arrays import Arrays
from eprop.engine.samples import Samples
from eprop.engine.state import Nodes, axons_of, grown, history_of, neurons_of, scratch_of, with_room
from eprop.kernels.layout import COUNT_STEPS, PROBE_COLUMNS, Synapses, Topology
from eprop.kernels.spikes import receive


class Given(NamedTuple):
    """What a stretch is given and where its results go, as the compiled loop takes them."""

    clock: int  # for random numbers, so many steps later
    event_start: np.ndarray
    event_channels: np.ndarray
    target: np.ndarray
    window: np.ndarray
    readout_offset: np.ndarray
    softmax: np.ndarray
    probes: np.ndarray  # (probes, columns), see `engine.record`
    probed: np.ndarray  # (steps, probes)
    y: np.ndarray  # (steps, readouts), without the leak potential
    loss: np.ndarray  # (steps,)
    spikes: np.ndarray  # (samples,)


def given(arrays: Arrays, samples: Samples, probes: np.ndarray | None = None, clock: int = 0) -> Given:
    """Samples, one after the other, and room for what comes of them."""
    n, built = len(samples) * samples.n_steps, arrays.built
    probes = np.zeros((0, PROBE_COLUMNS), np.int64) if probes is None else probes
    return Given(
        clock, samples.event_start, samples.event_channels, samples.target, samples.window, built.readout_offset,
        built.softmax, probes, np.zeros((n, len(probes))), np.zeros((n, arrays.neurons.y.size)), np.zeros(n),
        np.zeros(len(samples), np.int64),
    )  # fmt: skip


def at_rest(arrays: Arrays) -> Nodes:
    """A network that starts from rest and learns nothing, beside the one that runs on."""
    built = arrays.built
    neurons = neurons_of(built)._replace(feedback=arrays.neurons.feedback)
    return Nodes(
        axons_of(built, learns=False), neurons, history_of(built, learns=False), scratch_of(built, learns=False)
    )


def advance(
    run: Callable[..., int], arrays: Arrays, synapses: Synapses, nodes: Nodes, topology: Topology, given: Given,
    counters: np.ndarray, offset: int, limit: int,
) -> tuple[int, Nodes]:  # fmt: skip
    """Do ``limit`` steps, or as many as there is room for; with several ranks slice by slice, and all of them.

    Parameters
    ----------
    run : compiled loop, see `engine.compile`
    synapses : Synapses
        Their weights as the loop takes them: those of a network that learns by e-prop+ may be kept at anchors.
    counters : (2,)
        Of these nodes; the loop counts its steps there.
    offset : int
        The step among those of all samples.

    Returns
    -------
    int
        Steps done.
    Nodes
        With several ranks there may be more room than before.
    """
    t, done = int(counters[COUNT_STEPS]), 0
    seed, several, slice_steps = np.uint64(arrays.network.seed), arrays.ranks.several, arrays.ranks.slice_steps
    while done < limit:
        stop = min(done + slice_steps, limit) if several else limit
        begin = done
        while done < stop:
            done += run(
                t + done, stop - done, offset + done, seed, topology, synapses, *nodes,
                *given, counters, arrays.outbox,
            )  # fmt: skip
            if not several:
                return done, nodes
            if done < stop:
                nodes = with_room(nodes, arrays.built, topology, t + done, arrays.outbox)
        nodes = _log_slice(arrays, nodes, topology, given, t + begin, stop - begin, offset + begin)
    return done, nodes


def _log_slice(
    arrays: Arrays, nodes: Nodes, topology: Topology, given: Given, t: int, n_steps: int, offset: int
) -> Nodes:
    """Exchange the spikes of a slice and log them; returns the nodes, with a longer log if need be."""
    began, seed = time.perf_counter(), np.uint64(arrays.network.seed)
    inbox, done = arrays.ranks.swap(1, arrays.outbox), 0
    while done < n_steps:
        done += receive(
            t + done, n_steps - done, offset + done, seed, topology, nodes.history, nodes.scratch.n_sources, given.clock,
            given.event_start, given.event_channels, inbox,
        )  # fmt: skip
        if done < n_steps:
            nodes = nodes._replace(history=grown(nodes.history, t + done))
    arrays.seconds["messages"] += time.perf_counter() - began
    return nodes
