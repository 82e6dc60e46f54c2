"""What states have in common that the core reads without looking: numbers of the right kind, spikes of sources that exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.errors import InputError
from eprop.parameters import real_numbers

# Steps and events that may be counted: 300,000 years of steps of 1 ms.
MOST_COUNTED = 10**16


def damaged(what: str) -> InputError:
    """Error for a state that contradicts itself."""
    return InputError(f"the state belongs to another network, or is damaged: {what}")


def check_dictionary(state: object) -> None:
    """Raise `InputError` if a state is not a dictionary."""
    if not isinstance(state, Mapping):
        raise InputError(f"set_state takes a dictionary from state(), got {type(state).__name__}")


def checked_numbers(name: str, given: object, dtype: np.dtype) -> np.ndarray:
    """An array of a state: whole numbers as ``dtype``, real ones as they are; none may be lost in that type.

    Raises
    ------
    InputError
        If it holds something else than numbers, fractions in place of whole ones, numbers that are not finite or do not fit.
    """
    found: np.ndarray = real_numbers(f"state {name!r}", given, InputError)
    if dtype.kind == "b":
        if found.dtype != dtype:
            raise InputError(f"state {name!r} must be true or false, got {found.dtype}")
        return found
    whole = dtype.kind in "iu"
    if whole and found.dtype.kind not in "iu":
        raise InputError(f"state {name!r} must be whole numbers, got {found.dtype}")
    if not np.isfinite(found).all():
        raise InputError(f"state {name!r} holds values that are not finite")
    if found.size and not _fits(found, dtype):
        raise InputError(f"state {name!r} holds numbers that do not fit {dtype}")
    return found.astype(dtype) if whole else found


def _fits(given: np.ndarray, dtype: np.dtype) -> bool:
    """Whether numbers keep their values in another type, real ones but for rounding."""
    info: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return bool(info.min <= given.min().item() and given.max().item() <= info.max)


def check_order(spikes: np.ndarray, counts: np.ndarray, sources: np.ndarray) -> None:
    """Spikes of steps: each of the population that it is logged with, in the order of the sources.

    Parameters
    ----------
    spikes : ndarray of int
        Sources, step by step, population by population.
    counts : ndarray of int, shape (steps, populations)
        How many spikes of each.
    sources : ndarray of int, shape (populations + 1,)
        Where those of each population begin, and where the last ones end.

    Raises
    ------
    InputError
        If a spike is of another population, or not in its order.
    """
    each = counts.ravel()
    low, high = (np.repeat(np.tile(ends, len(counts)), each) for ends in (sources[:-1], sources[1:]))
    step = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
    if (spikes < low).any() or (spikes >= high).any() or ((np.diff(spikes) <= 0) & (np.diff(step) == 0)).any():
        raise damaged("its log has spikes of nodes in another population, or in the wrong order")
