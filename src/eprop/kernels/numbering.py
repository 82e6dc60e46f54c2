"""Numbers of the neurons that a rank knows, among all neurons: a set of bits, and how many are set before each word.

A rank keeps axons only of neurons that reach one of its own, and of its own. It numbers these in the order of all
neurons. A set costs an eighth of a byte for each neuron of the whole network, and the counts half as much again.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inner, kernel, outer


@inner
def ones(word):
    """Number of bits set in a word of 64."""
    w = np.uint64(word)
    w -= (w >> np.uint64(1)) & np.uint64(0x5555555555555555)
    w = (w & np.uint64(0x3333333333333333)) + ((w >> np.uint64(2)) & np.uint64(0x3333333333333333))
    w = (w + (w >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    # The product sums the bytes in its highest one; additions do so without an overflow that plain Python would report.
    w += w >> np.uint64(8)
    w += w >> np.uint64(16)
    w += w >> np.uint64(32)
    return np.int64(w & np.uint64(0x7F))


@outer
def known_before(bits, counts, i):
    """How many neurons before number ``i`` are known."""
    word = i >> 6
    below = bits[word] & ((np.uint64(1) << np.uint64(i & 63)) - np.uint64(1))
    return np.int64(counts[word]) + ones(below)


@inner
def is_known(bits, i):
    """Whether neuron ``i`` is known."""
    return (bits[i >> 6] >> np.uint64(i & 63)) & np.uint64(1) != np.uint64(0)


@kernel
def mark(bits, first, neurons):
    """Add neurons ``first + neurons`` to the set."""
    for k in range(neurons.size):
        i = first + np.int64(neurons[k])
        bits[i >> 6] |= np.uint64(1) << np.uint64(i & 63)


@kernel
def count_words(bits, counts):
    """Fill the counts; there is one word more than neurons need, so that every number has one."""
    total = np.int64(0)
    for word in range(bits.size):
        counts[word] = total
        total += ones(bits[word])


@kernel
def renumber(bits, counts, first, neurons, out):
    """Numbers among the known neurons from ``first`` on, of neurons ``first + neurons``, all of which are known."""
    base = known_before(bits, counts, first)
    for k in range(neurons.size):
        out[k] = known_before(bits, counts, first + np.int64(neurons[k])) - base


@kernel
def list_known(bits, first, stop, out):
    """Write the known neurons of ``first:stop``, counted from ``first``, in ascending order."""
    n = 0
    for i in range(first, stop):
        if is_known(bits, i):
            out[n] = i - first
            n += 1
