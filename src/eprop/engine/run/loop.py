"""The run loop: advances a stream of the core through samples; with several ranks, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.run.external import external_arrays
from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import STREAMS, Arrays
from eprop.engine.state.storage import make_axons, make_history, make_neurons

# Recorded variables: rows of (kind, row of the state or branch, index, delay group), see `eprop.engine.run.probes`.
NO_PROBES = np.zeros((0, 4), np.int64)


@dataclass(slots=True)
class RunBuffers:
    """Buffers for the results of a run.

    Attributes
    ----------
    request : RunRequest of the core; it has the inputs, and these arrays
    probed : (steps, probes)
    y : (steps, readouts) without the leak potential
    loss : (steps,)
    spikes : (samples,) int64, of own neurons
    """

    request: Any
    probed: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    spikes: np.ndarray


def make_buffers(
    arrays: Arrays, samples: Samples, frozen: bool, probes: np.ndarray = NO_PROBES, clock: int = 0
) -> RunBuffers:
    """Allocate buffers for the results of samples in sequence; random numbers start at step ``clock``."""
    n = samples.n * samples.n_steps
    out = RunBuffers(
        None,
        np.zeros((n, len(probes))),
        np.zeros((n, arrays.built.n_readouts)),
        np.zeros(n),
        np.zeros(samples.n, np.int64),
    )
    out.request = request_of(arrays, samples, out, frozen, probes, clock, arrays.threads)
    return out


def request_of(
    arrays: Arrays, samples: Samples, out: RunBuffers, frozen: bool, probes: np.ndarray, clock: int, threads: int
) -> Any:
    """Make the request to the core: inputs, and arrays for the results."""
    return lib.RunRequest(
        arrays.network.seed, clock, frozen, threads, samples.event_start, samples.event_channels, samples.target,
        samples.window, external_arrays(arrays, samples), probes, out.probed, out.y, out.loss, out.spikes,
    )  # fmt: skip


def stream_at_rest(arrays: Arrays, weight: np.ndarray) -> Any:
    """Make a stream of the network at rest that does not learn, beside the running one."""
    built, neurons = arrays.built, make_neurons(arrays.built)
    neurons.feedback = arrays.neurons.feedback
    stream = STREAMS[weight.dtype](
        built.topology, replace(arrays.synapses, weight=weight), make_axons(built, learns=False), neurons,
        make_history(built, learns=False), False, False,
    )  # fmt: skip
    stream.collect = arrays.exchange.several
    return stream


def advance(arrays: Arrays, stream: Any, request: Any, offset: int, n_steps: int) -> int:
    """Advance a stream from step ``offset`` of all samples; return the number of steps done.

    The number is ``n_steps``, or less in one process if Python should check for Ctrl-C first.
    """
    if not arrays.exchange.several:
        done: int = stream.run(n_steps, offset, request)
        return done
    done = 0
    while done < n_steps:
        begin, stop = done, min(done + arrays.exchange.slice_steps, n_steps)
        while done < stop:
            done += stream.run(stop - done, offset + done, request)
        stream.receive(stop - begin, offset + begin, request, *arrays.exchange.swap(stream.message()))
    return n_steps
