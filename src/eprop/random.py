"""Random numbers as pure functions of a counter: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers").

A draw depends only on ``(seed, purpose, target, index)``. So neither the number of threads or ranks nor the order of draws
changes a network or an input.

`uniform`, `normal` and `below` take whole numbers or arrays of them. An array gives one draw for each entry, in one call of the
native core.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.core import lib

# Purposes separate draws with the same seed, target and index (core/support/rng.hpp).
(
    CONNECT, WEIGHT, POISSON, FEEDBACK, SHUFFLE, DELAY, CAMERA, PHASE, PARAMETER, DESKEW, TOTAL, STIMULUS, COCHLEA, VARY,
    DROPOUT, ROUND, TIE,
) = map(int, lib.Purpose)  # fmt: skip

_WORD, _HALF = 2**64 - 1, 2**32 - 1


def philox(seed: int, purpose: int, target: int, index: int) -> tuple[int, int]:
    """Two independent words of 64 bits for a counter.

    Parameters
    ----------
    seed, purpose, target, index : int
        Non-negative; ``seed`` and ``index`` below 2^64, ``purpose`` and ``target`` below 2^32.
    """
    return lib.philox(int(seed) & _WORD, int(purpose) & _HALF, int(target) & _HALF, int(index) & _WORD)


def uniform(seed: int, purpose: int, target: Any, index: Any) -> Any:
    """Uniform in [0, 1), 53 bits.

    Parameters
    ----------
    seed, purpose : int
    target, index : int, or array of int
        Arrays are broadcast against each other.

    Returns
    -------
    float, or ndarray of float64

    Examples
    --------
    >>> uniform(1, CONNECT, 0, np.arange(3)) == [uniform(1, CONNECT, 0, k) for k in range(3)]
    array([ True,  True,  True])
    """
    return _drawn(lib.uniform, seed, purpose, target, index)


def normal(seed: int, purpose: int, target: Any, index: Any) -> Any:
    """Standard normal (Box-Muller on the two words of one counter); arguments and result as for `uniform`."""
    return _drawn(lib.normal, seed, purpose, target, index)


def below(seed: int, purpose: int, target: Any, index: Any, bound: Any) -> Any:
    """Whole number in [0, bound); the bias is below ``bound / 2^53``.

    Parameters
    ----------
    seed, purpose : int
    target, index, bound : int, or array of int
        Arrays are broadcast against each other.

    Returns
    -------
    int, or ndarray of int64
    """
    share = _drawn(lib.uniform, seed, purpose, target, index) * bound
    return share.astype(np.int64) if isinstance(share, np.ndarray) else int(share)


def permutation(seed: int, purpose: int, target: int, n: int) -> np.ndarray:
    """Random order of ``0 .. n-1`` (Fisher-Yates).

    Parameters
    ----------
    seed, purpose, target : int
        As for `philox`.
    n : int

    Returns
    -------
    ndarray, shape (n,), int64
    """
    return lib.permutation(int(seed) & _WORD, int(purpose) & _HALF, int(target) & _HALF, max(int(n), 0))


def derive(seed: int, *words: int) -> int:
    """Derive a new seed from a seed and some whole numbers (for projections, samples, epochs)."""
    seed = int(seed)
    for word in map(int, words):
        seed, _ = philox(seed, 0, word, word >> 32)
    return seed


def _drawn(draw: Any, seed: int, purpose: int, target: Any, index: Any) -> Any:
    """Return one draw, or one for each entry of the arrays."""
    seed, purpose = int(seed) & _WORD, int(purpose) & _HALF
    if isinstance(target, (int, np.integer)) and isinstance(index, (int, np.integer)):
        return draw(seed, purpose, int(target) & _HALF, int(index) & _WORD)
    target, index = _whole("target", target), _whole("index", index)
    if target.size == 1 or index.size == 1:  # the core repeats a single value
        shape = np.broadcast_shapes(target.shape, index.shape)
    else:
        target, index = np.broadcast_arrays(target, index)
        shape = target.shape
    return draw(seed, purpose, _flat(target), _flat(index)).reshape(shape)


def _whole(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a whole number or an array of whole numbers, got {array.dtype}")
    return array


def _flat(array: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(array).ravel()
    return flat.view(np.uint64) if flat.dtype == np.int64 else flat.astype(np.uint64)
