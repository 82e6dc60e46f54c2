"""The spikes of one slice as bytes: how a rank packs its own, and how those of all ranks get into the log.

A slice is as many steps as the shortest delay: within it no spike can reach anybody, so ranks need each other's spikes
only at its end. For each step a message holds the number of spikes and then the neurons in ascending order, each as
the distance from the one before, in bytes of seven bits (the eighth: more follow). At 5 Hz and steps of 1 ms that is
two bytes for most spikes.

Ranks own ascending ranges of neurons, so that their spikes side by side are in the order of the neurons: the log of
every rank has the order that a single process would give it, and every sum the same order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eprop._jit import inner, kernel
from eprop.kernels.numbering import is_known, known_before

MOST_BYTES = 5


class Outbox(NamedTuple):
    """Own spikes of the slice so far, one row for each lane; without any room if there is but one rank."""

    spikes: np.ndarray  # (lanes, capacity) int32, numbers among this rank's neurons
    starts: np.ndarray  # (lanes, steps of a slice + 1) of each step in ``spikes``; (0, 0): there is one rank
    filled: np.ndarray  # (lanes,) steps so far


class Inbox(NamedTuple):
    """Messages of all ranks for one slice, and how to read them."""

    messages: np.ndarray  # (bytes,) uint8
    cursor: np.ndarray  # (ranks,) int64, the next byte of each rank
    first: np.ndarray  # (ranks,) int64, the first neuron of each rank
    bits: np.ndarray  # neurons that this rank knows, see `kernels.numbering`
    counts: np.ndarray
    spikes: np.ndarray  # (known neurons,) int32, work space


@inner
def post_spikes(lane, spikes, count, outbox):
    """Append ``spikes[:count]`` to the step that is being filled."""
    at = outbox.starts[lane, outbox.filled[lane] + 1]
    for k in range(count):
        outbox.spikes[lane, at + k] = spikes[k]
    outbox.starts[lane, outbox.filled[lane] + 1] = at + count


@inner
def end_step(lane, outbox):
    """The step has all its spikes."""
    step = outbox.filled[lane] + 1
    outbox.filled[lane] = step
    if step + 1 < outbox.starts.shape[1]:
        outbox.starts[lane, step + 1] = outbox.starts[lane, step]


@inner
def _put(out, at, value):
    """Write a number at ``at``; returns the place after it."""
    while value > 127:
        out[at] = np.uint8(128 | (value & 127))
        value >>= 7
        at += 1
    out[at] = np.uint8(value)
    return at + 1


@kernel
def pack(lanes, outbox):
    """Message of all spikes in the first ``lanes`` lanes, which are cleared."""
    size = 0
    for lane in range(lanes):
        size += outbox.filled[lane] + outbox.starts[lane, outbox.filled[lane]]
    out = np.empty(MOST_BYTES * size, np.uint8)
    at = 0
    for lane in range(lanes):
        for step in range(outbox.filled[lane]):
            first, stop = outbox.starts[lane, step], outbox.starts[lane, step + 1]
            at = _put(out, at, stop - first)
            before = np.int64(-1)
            for k in range(first, stop):
                at = _put(out, at, np.int64(outbox.spikes[lane, k]) - before - 1)
                before = np.int64(outbox.spikes[lane, k])
        outbox.filled[lane] = 0
        outbox.starts[lane, :2] = 0
    return out[:at].copy()


@inner
def _get(messages, cursor, rank):
    """Read a number of a rank."""
    value, shift = np.int64(0), 0
    at = cursor[rank]
    while messages[at] > 127:
        value |= np.int64(messages[at] & 127) << shift
        shift += 7
        at += 1
    value |= np.int64(messages[at]) << shift
    cursor[rank] = at + 1
    return value


@inner
def unpack_step(inbox):
    """Read the next step of all ranks: known neurons that spiked, in ascending order, to ``inbox.spikes``; their number."""
    count = 0
    for rank in range(inbox.cursor.size):
        spikes = _get(inbox.messages, inbox.cursor, rank)
        neuron = inbox.first[rank] - 1
        for _ in range(spikes):
            neuron += _get(inbox.messages, inbox.cursor, rank) + 1
            if is_known(inbox.bits, neuron):
                inbox.spikes[count] = known_before(inbox.bits, inbox.counts, neuron)
                count += 1
    return count
