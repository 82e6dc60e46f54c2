"""The online loop: advances a network of the core through samples; with several ranks, slice by slice."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from eprop.core import lib
from eprop.engine.run.external import external_arrays
from eprop.engine.run.phases import PhaseTimer
from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import Arrays, Online

# Recorded variables: rows of (kind, row of the state or branch, index, delay group), see `eprop.engine.run.probes`.
NO_PROBES = np.zeros((0, 4), np.int64)


@dataclass(slots=True)
class RunBuffers:
    """Buffers for the results of a run.

    Attributes
    ----------
    probed : (steps, probes)
    y : (steps, readouts) without the leak potential
    loss : (steps,)
    spikes : (samples,) int64, of own neurons
    """

    probed: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    spikes: np.ndarray


def make_buffers(arrays: Arrays, samples: Samples, n_probes: int = 0) -> RunBuffers:
    """Allocate buffers for the results of samples in sequence."""
    n = samples.n * samples.n_steps
    return RunBuffers(
        np.zeros((n, n_probes)), np.zeros((n, arrays.built.n_readouts)), np.zeros(n), np.zeros(samples.n, np.int64)
    )


def request_of(
    arrays: Arrays, samples: Samples, out: RunBuffers, *, frozen: bool, probes: np.ndarray = NO_PROBES, clock: int = 0
) -> lib.RunRequest:
    """Make the request to the core: inputs, and arrays for the results; random numbers start at step ``clock``."""
    request = lib.RunRequest()
    request.seed, request.clock, request.frozen, request.threads = arrays.network.seed, clock, frozen, arrays.threads
    request.event_start, request.event_channels = samples.event_start, samples.event_channels
    request.target, request.window, request.external = samples.target, samples.window, external_arrays(arrays, samples)
    request.probes, request.probed = probes, out.probed
    request.y, request.loss, request.spikes = out.y, out.loss, out.spikes
    return request


def advance(
    arrays: Arrays, online: Online, request: lib.RunRequest, offset: int, n_steps: int, timer: PhaseTimer | None = None
) -> int:
    """Advance a network from step ``offset`` of all samples; return the number of steps done.

    The number is ``n_steps``, or less in one process if Python should check for Ctrl-C first.
    """
    began = time.perf_counter()
    if arrays.exchange.several:
        done = n_steps
        _advance_slices(arrays, online, request, offset, n_steps)
    else:
        done = online.run(n_steps, offset, request)
    if timer is not None and timer.wanted:
        timer.add_run(online.phases(), time.perf_counter() - began, arrays.exchange.several)
    return done


def _advance_slices(arrays: Arrays, online: Online, request: lib.RunRequest, offset: int, n_steps: int) -> None:
    """Advance a network of several ranks, which exchange their spikes after each slice."""
    done = 0
    while done < n_steps:
        begin, stop = done, min(done + arrays.exchange.slice_steps, n_steps)
        while done < stop:
            done += online.run(stop - done, offset + done, request)
        online.receive(stop - begin, offset + begin, request, *arrays.exchange.swap(online.message()))
