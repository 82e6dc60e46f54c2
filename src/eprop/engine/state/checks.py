"""Checks of a given state, which the core reads without looking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.engine.build.fingerprint import check_fingerprint
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.wiring import wiring_of
from eprop.errors import InputError
from eprop.parameters import real_numbers

# The entry that identifies the network of a state, and those of the logged spikes; the latter and postsynaptic spikes grow.
NETWORK, COUNTS, SOURCES, POST_TIMES = "network", "spikes/counts", "spikes/sources", "post_spikes/times"
TIMES, FILTERED = "axons/times", "axons/z"
GROWING = (COUNTS, SOURCES, POST_TIMES)
# Means of the squared gradients of constants that learn.
SECOND = "constants/second"
# Of a network with rewiring: sources and delay groups of its connections, and how many have moved.
SOURCE, GROUP, MOVED = "wiring/source", "wiring/group", "wiring/moved"
# Steps and events that may be counted: 300,000 years of steps of 1 ms.
MOST_COUNTED = 10**16


def damaged(what: str) -> InputError:
    """Error for a state that contradicts itself."""
    return InputError(f"the state belongs to another network, or is damaged: {what}")


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


def check_log(counts: np.ndarray, sources: np.ndarray, n_steps: int, n_sources: int) -> None:
    """Check the spikes of ``n_steps`` steps, which the core reads without looking: how many each has, and their sources.

    Raises
    ------
    InputError
        If they are not those of so many steps, or a source does not exist or is not in its order.
    """
    if counts.shape != (n_steps,) or sources.ndim != 1 or counts.min(initial=0) < 0 or counts.sum() != sources.size:
        raise damaged(f"{COUNTS} does not tell the spikes of {n_steps:,} steps")
    if sources.min(initial=0) < 0 or sources.max(initial=0) >= max(n_sources, 1):
        raise damaged("its log of spikes names nodes that do not exist")
    if ((np.diff(sources) <= 0) & (np.diff(np.repeat(np.arange(n_steps), counts)) == 0)).any():
        raise damaged("its log has spikes in the wrong order")


def checked(arrays: Arrays, state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Check that a given state belongs to this network, whose arrays have the types and shapes of ``own``.

    Whole numbers get these types.
    """
    if not isinstance(state, Mapping):
        raise InputError(f"set_state takes a dictionary from state(), got {type(state).__name__}")
    if not any(name in state for name in ("counters", NETWORK)):
        known = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise InputError(f"set_state takes a dictionary from state(); this one holds {known}")
    check_fingerprint(state.get(NETWORK, own[NETWORK]), own[NETWORK])
    if not arrays.built.rewired and np.any(state.get(MOVED, 0)):
        raise InputError(
            "the state belongs to another network: its synapses have moved; build the network with rewiring=ep.Rewiring(...) as "
            "it was"
        )
    if arrays.built.rewired and MOVED not in state:
        raise InputError(
            "the state belongs to another network: it was built without rewiring=; to restore weights alone, use set_weights()"
        )
    whole = {}
    if missing := sorted(set(own) - {NETWORK, *state}):
        raise InputError(f"the state lacks {', '.join(missing)}; was it saved by another version?")
    for name, have in own.items():
        if name != NETWORK:
            whole[name] = given = checked_numbers(name, state[name], have.dtype)
            if name not in GROWING and have.shape != given.shape:
                raise InputError(
                    f"the state belongs to another network: {name} has shape {given.shape}, not {have.shape}"
                )
    # The core reads the following arrays without checks.
    if arrays.built.rewired:
        _check_wiring(arrays, whole)
    _check_moments(arrays, whole)
    now, online = int(whole["counters"][0]), arrays.online
    _check_clocks(whole, now, online.record_steps)
    check_log(whole[COUNTS], whole[SOURCES], min(now, online.logged_steps), arrays.exchange.n_sources)
    times, neurons = whole[POST_TIMES], own[POST_TIMES].shape[-1]
    if times.ndim != 2 or times.shape[1] != neurons or not len(times) or times.max(initial=-1) >= max(now, 1):
        raise damaged("its postsynaptic spikes do not fit")
    return whole


def _check_wiring(arrays: Arrays, state: Mapping[str, np.ndarray]) -> None:
    """Check the connections of a state, by which the core finds its way through its arrays."""
    first = 0
    for p, rows in zip(arrays.network.projections, arrays.built.delay_groups, strict=True):
        span = slice(first, first := first + arrays.exchange.count(p.index))
        sources, groups = state[SOURCE][span], state[GROUP][span]
        if p.rewiring is None:
            held, own = arrays.exchange.held(p.index), wiring_of(arrays, p.index)
            if not (np.array_equal(sources[held], own[0]) and np.array_equal(groups[held], own[1])):
                raise damaged(f"connections of {p.name} have moved, which has no rewiring")
        if min(sources.min(initial=0), groups.min(initial=0)) < 0 or (
            sources.max(initial=-1) >= p.pre.size or groups.max(initial=-1) >= len(rows)
        ):
            raise damaged(f"connections of {p.name} come from nodes, or have delays, that do not exist")


def _check_moments(arrays: Arrays, state: Mapping[str, np.ndarray]) -> None:
    """Check that means of squares, of which optimisers of the package take the root, are not negative."""
    first, moments = 0, state["synapses/moment_2"]
    for p in arrays.network.projections:
        span = slice(first, first := first + arrays.exchange.count(p.index))
        optimizer = getattr(p.rule, "optimizer", None)
        if optimizer is not None and not optimizer.in_python and moments[span].min(initial=0.0) < 0.0:
            raise damaged(f"means of squared gradients of {p.name} are negative")
    if arrays.built.constants and state[SECOND].min() < 0.0:
        raise damaged(f"{SECOND} holds means of squares, and is negative")


def _check_clocks(state: Mapping[str, np.ndarray], now: int, record_steps: int) -> None:
    """Check that no step lies before the start or after the present step."""
    if np.min(state["counters"]) < 0 or np.max(state["counters"]) > MOST_COUNTED:
        raise damaged(f"its counters must lie in 0..{MOST_COUNTED:,}")
    times, oldest = np.asarray(state[TIMES]), max(now - record_steps, 0)
    last, interval = times
    if (
        times.min(initial=-1) < -1
        or last.max(initial=-1) >= oldest
        or (interval < 0).any()
        or (interval > np.maximum(last, 0)).any()
    ):
        raise damaged(
            f"axons/times has steps before the start, or after step {oldest}, from which spikes are processed again"
        )
