"""Random numbers as pure functions of a counter: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers").

A draw depends on ``(seed, purpose, target, index)`` and on nothing else, so a network or an input does not depend on
how many threads or ranks make it, nor on the order in which they do.
"""

from __future__ import annotations

import math

import numpy as np

from eprop._jit import inline, kernel

# Purposes keep streams apart that share seed, target and index.
CONNECT, WEIGHT, POISSON, FEEDBACK, SHUFFLE, DELAY, CAMERA, PHASE, PARAMETER, DESKEW = range(1, 11)

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_S32, _S11 = np.uint64(32), np.uint64(11)
_TO_UNIT = 1.0 / 9007199254740992.0


@inline
def philox(seed, purpose, target, index):
    """Two independent 64-bit words for a counter.

    Parameters
    ----------
    seed, purpose, target, index : int
        Non-negative; ``seed`` and ``index`` below 2^64, ``purpose`` and ``target`` below 2^32.
    """
    k0, k1 = np.uint64(seed) & _LOW, np.uint64(seed) >> _S32
    c0, c1 = np.uint64(index) & _LOW, np.uint64(index) >> _S32
    c2, c3 = np.uint64(target) & _LOW, np.uint64(purpose) & _LOW
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _S32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _S32) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0 | (c1 << _S32), c2 | (c3 << _S32)


@inline
def uniform(seed, purpose, target, index):
    """Uniform in [0, 1), 53 bits."""
    word, _ = philox(seed, purpose, target, index)
    return float(word >> _S11) * _TO_UNIT


@inline
def normal(seed, purpose, target, index):
    """Standard normal (Box-Muller on the two words of one counter)."""
    a, b = philox(seed, purpose, target, index)
    u = (float(a >> _S11) + 1.0) * _TO_UNIT  # in (0, 1]: its logarithm is finite
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * float(b >> _S11) * _TO_UNIT)


@inline
def below(seed, purpose, target, index, bound):
    """Whole number in [0, bound); the bias is below ``bound / 2^53``."""
    return np.int64(uniform(seed, purpose, target, index) * bound)


@kernel
def permutation(seed, purpose, target, n):
    """Random order of ``0 .. n-1`` (Fisher-Yates), shape ``(n,)``, int64."""
    order = np.arange(n)
    for i in range(n - 1, 0, -1):
        j = below(seed, purpose, target, i, i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def derive(seed: int, *words: int) -> int:
    """A new seed from a seed and some whole numbers (for projections, trials, epochs)."""
    for word in words:
        a, _ = philox(np.uint64(seed), 0, np.uint64(word & 0xFFFFFFFF), np.uint64(word >> 32))
        seed = int(a)
    return seed
