"""Limits of memory: the triad bandwidth of the machine, and the bytes that a mode must move for its events."""

from __future__ import annotations

import functools
import time

import numpy as np

from eprop.core import lib

# Larger than any cache.
ENTRIES = 1 << 24
REPEATS = 8
INDEX = 4


@functools.cache
def triad_bandwidth(threads: int = 1) -> float:
    """Bytes per second that ``threads`` threads read and write in ``a = b + s c``; the best of several repeats."""
    a, b, c = (np.full(ENTRIES, x) for x in (0.0, 1.0, 2.0))
    best = np.inf
    for _ in range(REPEATS):
        began = time.perf_counter()
        lib.triad(a, b, c, 3.0, threads)
        best = min(best, time.perf_counter() - began)
    return 24.0 * ENTRIES / best


def bytes_per_event(mode: str, value: int, more: int = 0) -> float:
    """Bytes of synapse arrays that one event must read and write, with ``value`` bytes for a weight or trace.

    Every mode reads the index of the target. Static also reads the weight, STDP reads and writes the weight, e-prop+ reads
    and writes weight and trace. e-prop per sample reads the weight when the spike arrives; `bytes_per_sample` counts its
    work once per synapse and sample. With e-prop+ an event reads and writes ``more`` numbers: gradients that wait, moments.
    """
    return INDEX + value * {"static": 1, "stdp": 2, "eprop": 1, "eprop+": 4 + 2 * more}[mode]


def bytes_per_sample(mode: str, value: int) -> float:
    """Bytes that each synapse moves once per sample: e-prop adds to its gradient, then takes an optimiser step."""
    return INDEX + 6.0 * value if mode == "eprop" else 0.0
