"""Compiled draws of connections and weights; every draw is a function of (seed, purpose, target, index).

The connection kernels take a run of targets ``lo:hi`` and return ``(indptr, sources)``: the sources of target
``lo + k`` are ``sources[indptr[k]:indptr[k + 1]]``, in ascending order. So any part of a network can be made alone.
"""

from __future__ import annotations

import math

import numpy as np

from eprop._jit import kernel
from eprop.equations.rng import CONNECT, WEIGHT, below, normal, uniform

# Rows of some length are sorted by digits; the longer the row, the more does a larger digit pay.
SHORT_ROW, LONG_ROW = 32, 512
SHORT_DIGIT, LONG_DIGIT = 6, 11
DIGITS = 1 << LONG_DIGIT


@kernel
def bernoulli(lo, hi, n_pre, probability, exclude_self, seed):
    """Each pair with its own chance; skips from one connection to the next by geometric steps."""
    indptr = np.zeros(hi - lo + 1, np.int64)
    capacity = np.int64((hi - lo) * n_pre * probability * 1.1) + 64
    sources = np.empty(capacity, np.int32)
    n = 0
    log_miss = math.log1p(-probability) if probability < 1.0 else -np.inf
    for target in range(lo, hi):
        i, draw = np.int64(-1), 0
        while True:
            u = uniform(seed, CONNECT, target, draw)
            draw += 1
            # Where connections are rare, a skip may be larger than any integer.
            skip = np.int64(min(float(n_pre), math.log1p(-u) / log_miss)) if probability < 1.0 else np.int64(0)
            if skip >= n_pre - 1 - i:
                break
            i += 1 + skip
            if exclude_self and i == target:
                continue
            if n == sources.size:
                grown = np.empty(2 * n, np.int32)
                grown[:n] = sources
                sources = grown
            sources[n] = i
            n += 1
        indptr[target - lo + 1] = n
    return indptr, sources[:n].copy()


@kernel
def fixed_indegree(lo, hi, n_pre, degree, exclude_self, allow_multapses, seed):
    """``degree`` sources a target, with or without repetition."""
    indptr = np.empty(hi - lo + 1, np.int64)
    for k in range(indptr.size):
        indptr[k] = k * degree
    sources = np.empty((hi - lo) * degree, np.int32)
    taken = np.zeros(0 if allow_multapses else n_pre, np.bool_)
    spare, counts = np.empty(degree, np.int32), np.empty(DIGITS, np.int32)
    for target in range(lo, hi):
        row = sources[indptr[target - lo] : indptr[target - lo + 1]]
        _choose(row, n_pre, target if exclude_self else -1, allow_multapses, taken, seed, target)
        _sort(row, n_pre, spare, counts)
    return indptr, sources


@kernel
def _sort(row, n, spare, counts):
    """Sort whole numbers below ``n``, by digits where that pays (4 ns instead of 40 for a number of a long row)."""
    if row.size < SHORT_ROW:
        for k in range(1, row.size):  # by insertion; NumPy's sort takes two seconds to compile
            value, at = row[k], k
            while at > 0 and row[at - 1] > value:
                row[at] = row[at - 1]
                at -= 1
            row[at] = value
        return
    bits = SHORT_DIGIT if row.size < LONG_ROW else LONG_DIGIT
    here, there, shift, passes, mask = row, spare, 0, 0, np.int32((1 << bits) - 1)
    while (n - 1) >> shift:
        digits = min((n - 1) >> shift, mask) + 1
        counts[:digits] = 0
        for k in range(here.size):
            counts[(here[k] >> shift) & mask] += 1
        at = np.int32(0)
        for d in range(digits):
            counts[d], at = at, at + counts[d]
        for k in range(here.size):
            d = (here[k] >> shift) & mask
            there[counts[d]] = here[k]
            counts[d] += 1
        here, there = there, here
        shift += bits
        passes += 1
    if passes & 1:
        for k in range(row.size):
            row[k] = spare[k]


@kernel
def _choose(row, n, excluded, allow_repeats, taken, seed, stream):
    """Fill ``row`` with draws below ``n``; ``taken`` is scratch, all False before and after."""
    if allow_repeats:
        # Without a branch, several draws are made at a time; where one is excluded, it goes on one by one.
        for k in range(row.size):
            row[k] = below(seed, CONNECT, stream, k, n)
        draw = 0
        while draw < row.size and row[draw] != excluded:
            draw += 1
        for k in range(draw, row.size):
            while True:
                i = below(seed, CONNECT, stream, draw, n)
                draw += 1
                if i != excluded:
                    break
            row[k] = i
        return
    # Floyd's method: one draw for each choice, no rejection, whatever the density.
    m = n - 1 if excluded >= 0 else n
    for k in range(row.size):
        top = m - row.size + k
        i = below(seed, CONNECT, stream, k, top + 1)
        if taken[i]:
            i = top
        taken[i] = True
        row[k] = i
    for k in range(row.size):
        taken[row[k]] = False
        if excluded >= 0 and row[k] >= excluded:
            row[k] += 1


@kernel
def fixed_outdegree(lo, hi, n_pre, n_post, degree, exclude_self, allow_multapses, seed):
    """``degree`` targets a source; all sources are drawn, connections outside ``lo:hi`` are dropped."""
    indptr = np.zeros(hi - lo + 1, np.int64)
    row = np.empty(degree, np.int32)
    taken = np.zeros(0 if allow_multapses else n_post, np.bool_)
    for source in range(n_pre):
        _choose(row, n_post, source if exclude_self else -1, allow_multapses, taken, seed, source)
        for k in range(degree):
            if lo <= row[k] < hi:
                indptr[row[k] - lo + 1] += 1
    for k in range(hi - lo):
        indptr[k + 1] += indptr[k]
    sources = np.empty(indptr[hi - lo], np.int32)
    fill = indptr[:-1].copy()
    for source in range(n_pre):
        _choose(row, n_post, source if exclude_self else -1, allow_multapses, taken, seed, source)
        for k in range(degree):
            if lo <= row[k] < hi:
                sources[fill[row[k] - lo]] = source
                fill[row[k] - lo] += 1
    return indptr, sources


@kernel
def all_to_all(lo, hi, n_pre, exclude_self):
    """Every pair."""
    indptr = np.zeros(hi - lo + 1, np.int64)
    sources = np.empty((hi - lo) * n_pre, np.int32)
    n = 0
    for target in range(lo, hi):
        for i in range(n_pre):
            if exclude_self and i == target:
                continue
            sources[n] = i
            n += 1
        indptr[target - lo + 1] = n
    return indptr, sources[:n].copy()


@kernel
def one_to_one(lo, hi):
    """Node ``k`` to node ``k``."""
    return np.arange(hi - lo + 1), np.arange(lo, hi).astype(np.int32)


@kernel
def normal_weights(lo, hi, indptr, mean, sd, seed):
    """Normal draws, in the order of the connections of targets ``lo:hi``."""
    out = np.empty(indptr[-1])
    for target in range(lo, hi):
        for k in range(indptr[target - lo], indptr[target - lo + 1]):
            out[k] = mean + sd * normal(seed, WEIGHT, target, k - indptr[target - lo])
    return out


@kernel
def uniform_weights(lo, hi, indptr, low, high, seed):
    """Uniform draws, in the order of the connections of targets ``lo:hi``."""
    out = np.empty(indptr[-1])
    for target in range(lo, hi):
        for k in range(indptr[target - lo], indptr[target - lo + 1]):
            out[k] = low + (high - low) * uniform(seed, WEIGHT, target, k - indptr[target - lo])
    return out
