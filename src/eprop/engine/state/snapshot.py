"""Convert the state of a simulator to named arrays and back: enough to continue bit by bit, for any partitions and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from eprop.engine.build.fingerprint import check_fingerprint
from eprop.engine.build.records import ring_size
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.ranks.gathering import LOG, POST_TIMES
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.storage import arrays_of
from eprop.engine.state.weights import all_synapses
from eprop.errors import InputError
from eprop.parallel import Communicator
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


# Arrays of the state whose lengths depend on the history.
GROWING = (LOG[0], POST_TIMES)
# The entry that identifies the network of a state.
NETWORK = "network"
# Arrays that are the same in every state, or can be recomputed.
LEFT_OUT = ("axons/processed_until", "history/log_start")
# Arrays with padded rows.
PADDED = frozenset(
    f"history/{name}" for name in ("block_prefix", "prefix_history", "block_propagators", "span_suffixes", "steps")
)
# Arrays of networks with reward traces; states of other networks lack them.
OF_REWARD = frozenset(
    ("synapses/trace_reward", "history/error_trace_prefix", "history/error_trace_block", "history/reward",
     "history/reward_rest", "history/reward_ahead")
)  # fmt: skip
# Rows of ``history/steps`` from here on are work space.
STEP_WORK = 3
# Initial capacity for spike records.
FIRST_RECORDS = 1024
# Rows of ``axons/times`` in a state.
LAST_SPIKE, INTERVAL, POSITION = range(3)
# Columns of the spike records of the core.
RECORD_INTERVAL, RECORD_INTERVAL_BEFORE = range(2)


def state_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """Return the state of the whole network, on every rank, see `Simulator.state`."""
    return arrays.gatherer.state(_state_here(arrays), arrays.t) | {NETWORK: arrays.built.fingerprint.copy()}


def set_state(arrays: Arrays, comm: Communicator, state: Mapping[str, np.ndarray]) -> None:
    """Continue from a state of the whole network, see `Simulator.set_state`."""
    here = _state_here(arrays)
    own = arrays.gatherer.state(here, arrays.t)
    whole = run_on_all_ranks(comm, "set_state", partial(_checked, arrays, state, own), partial(_keys, own))
    state = arrays.gatherer.part(whole, here)
    order, online = all_synapses(arrays), arrays.online
    for name in here:
        group, _, field = name.partition("/")
        if group == "synapses":
            target = getattr(arrays.synapses, field)
            if target.size:
                target[..., order] = state[name]
        elif group in ("neurons", "history"):
            _unpadded(arrays, name, getattr(getattr(arrays, group), field))[...] = state[name]
    arrays.history.log_start[...] = state[LOG[1]]
    _write_axons(arrays, state)
    steps, arrays.updates, events, arrays.learned_steps = (int(v) for v in state["counters"])
    online.t, online.events = steps, events
    arrays.weight_changes += 1
    online.set_log(np.ascontiguousarray(state[LOG[0]], np.int32))
    online.set_post_times(np.ascontiguousarray(state[POST_TIMES], np.int64))
    # Reserve room for all records at once: the log may no longer hold steps before the first one that is processed again.
    first = _first_processed(arrays.history.record_steps, steps)
    arrays.axons.processed_until[0] = first
    online.restart_records(first, _room_for_records(first, steps, arrays.history.log_start))
    online.follow()


def _checked(
    arrays: Arrays, state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Check that a given state belongs to this network, whose present state is ``own``, and return it."""
    _check_network(state, arrays.built.fingerprint)
    sources = np.cumsum([0, *(p.size if p.model.role != "readout" else 0 for p in arrays.network.populations)])
    return _check_state(state, own, sources, arrays.history.record_steps)


def _keys(own: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Values that must be the same on all ranks."""
    return {name: checksum(np.asarray(state[name])) for name in own}


def _room_for_records(first: int, now: int, starts: np.ndarray) -> int:
    """Capacity for the records of logged spikes from step ``first`` to ``now``."""
    spikes = starts[(now - 1) % len(starts), -1] - starts[first % len(starts), 0] if now else 0
    return ring_size(max(int(spikes), FIRST_RECORDS))


def _state_here(arrays: Arrays) -> dict[str, np.ndarray]:
    """Part of the state that this rank holds."""
    arrays.online.follow()
    order = all_synapses(arrays)
    out = {
        f"synapses/{name}": value[..., order] if value.size else value.copy()
        for name, value in arrays_of(arrays.synapses).items()
    }
    out |= _axons_before_records(arrays)
    for group in ("neurons", "history"):
        for field, value in arrays_of(getattr(arrays, group)).items():
            if (name := f"{group}/{field}") not in LEFT_OUT:
                out[name] = _unpadded(arrays, name, value).copy()
    # The work space depends on the partitions and is not needed.
    out["history/steps"][:, STEP_WORK:] = 0.0
    out[LOG[0]], out[LOG[1]] = arrays.online.log(), arrays.history.log_start.copy()
    out[POST_TIMES] = arrays.online.post_times()
    if not arrays.built.reward_cutoff:
        out = {name: value for name, value in out.items() if name not in OF_REWARD}
    out["counters"] = np.array([arrays.t, arrays.updates, arrays.events, arrays.learned_steps], np.int64)
    return out


def _unpadded(arrays: Arrays, name: str, value: np.ndarray) -> np.ndarray:
    """Remove the padding from the rows of an array."""
    return value[..., : arrays.built.n_neurons] if name in PADDED else value


def _write_axons(arrays: Arrays, state: Mapping[str, np.ndarray]) -> None:
    """Write axons from a state, whose arrays have axons on their last axis."""
    times, given = arrays.axons.times, state["axons/times"]
    times["last_spike"], times["interval"], times["position"] = given
    arrays.axons.z[...] = np.moveaxis(state["axons/z"], -1, 0)


def _axons_before_records(arrays: Arrays) -> dict[str, np.ndarray]:
    """Axons before the oldest spikes that may still be read; `set_state` processes spikes from there again."""
    starts, t, records = arrays.history.log_start, arrays.t, arrays.axons.times
    consumers, width = arrays.built.topology.trace_consumers, arrays.built.n_filters
    times = np.stack([records["last_spike"], records["interval"], np.full(len(records), -1)]).astype(np.int64)
    z = np.moveaxis(arrays.axons.z, 0, -1).copy()
    kept = range(_first_processed(arrays.history.record_steps, t), t)
    if not (kept and len(records)):
        return {"axons/times": times, "axons/z": z}
    log, (record_times, record_z) = arrays.online.log(), arrays.online.spike_records()
    for b in np.flatnonzero((consumers >= 0).any(axis=(1, 2))):
        spans = [(step, *starts[step % len(starts), b : b + 2]) for step in kept]
        positions = np.concatenate([np.arange(first, stop) for _, first, stop in spans])
        steps = np.concatenate([np.full(stop - first, step) for step, first, stop in spans])
        sources, oldest = np.unique(log[positions & (log.size - 1)], return_index=True)
        at = positions[oldest] & (len(record_times) - 1)
        interval = record_times[at, RECORD_INTERVAL]
        times[LAST_SPIKE, sources] = np.where(interval > 0, steps[oldest] - interval, -1)
        times[INTERVAL, sources] = record_times[at, RECORD_INTERVAL_BEFORE]
        for slot, (trace_group, delay_group) in enumerate(consumers[b]):
            # A pair rule has a single trace per slot.
            rows = 2 * width if trace_group >= 0 else int(delay_group >= 0)
            z[slot, :rows, sources] = record_z[at, slot, :rows]
    return {"axons/times": times, "axons/z": z}


def _first_processed(record_steps: int, now: int) -> int:
    """Oldest step whose spikes axons process again."""
    return max(now - record_steps, 0)


def _check_network(state: Mapping[str, np.ndarray], fingerprint: np.ndarray) -> None:
    """Check that a state belongs to this network."""
    check_dictionary(state)
    if not any(name in state for name in ("counters", NETWORK)):
        known = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise InputError(f"set_state takes a dictionary from state(); this one holds {known}")
    if NETWORK in state:
        check_fingerprint(state[NETWORK], fingerprint)


def _check_state(
    state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], sources: np.ndarray, record_steps: int
) -> Mapping[str, np.ndarray]:
    """Check that a state has the shapes of this network, whose state is ``own``; convert whole numbers to the own types.

    ``sources`` has the first source of each population, and the end of the last one.
    """
    whole = dict(state)
    if missing := sorted(set(own) - set(state)):
        raise InputError(f"the state lacks {', '.join(missing)}; was it saved by another version?")
    for name, have in own.items():
        given = checked_numbers(name, state[name], have.dtype)
        if name not in GROWING and have.shape != given.shape:
            raise InputError(f"the state belongs to another network: {name} has shape {given.shape}, not {have.shape}")
        whole[name] = given
    # The core reads the following arrays without checks.
    now = int(whole["counters"][0])
    _check_clocks(whole, now, record_steps)
    _check_log(whole[LOG[0]], whole[LOG[1]], sources, now)
    _check_posts(whole[POST_TIMES], len(own[POST_TIMES]), now)
    return whole


def _check_clocks(state: Mapping[str, np.ndarray], now: int, record_steps: int) -> None:
    """Check that no step lies before the start or after the present step."""
    if np.min(state["counters"]) < 0 or np.max(state["counters"]) > MOST_COUNTED:
        raise damaged(f"its counters must lie in 0..{MOST_COUNTED:,}")
    times, oldest = np.asarray(state["axons/times"]), _first_processed(record_steps, now)
    last, interval = times[LAST_SPIKE], times[INTERVAL]
    if (
        times.min(initial=-1) < -1
        or last.max(initial=-1) >= oldest
        or (interval < 0).any()
        or (interval > np.maximum(last, 0)).any()
    ):
        raise damaged(
            f"axons/times has steps before the start, or after step {oldest}, from which spikes are processed again"
        )


def _check_log(log: np.ndarray, starts: np.ndarray, sources: np.ndarray, now: int) -> None:
    """Check the spike log, and the offset of each step that may still be read."""
    if log.ndim != 1 or log.size == 0 or log.size & (log.size - 1) or log.min() < 0 or log.max() >= sources[-1]:
        raise damaged("its log of spikes names nodes that do not exist")
    # Skip the row that this step will overwrite.
    rows = np.delete(starts, now % len(starts), axis=0) if now >= len(starts) else starts
    bounded = starts.min() >= 0 and starts.max() <= MOST_COUNTED  # so that the core's sums do not overflow
    # Each step that may still be read begins where the step before ends; the very first step begins at 0.
    first = max(now - len(starts) + 1, 0)
    kept = starts[np.arange(first, now) % len(starts)]
    joined = (kept[1:, 0] == kept[:-1, -1]).all() and (first > 0 or now == 0 or kept[0, 0] == 0)
    if not (bounded and joined) or (np.diff(starts, axis=1) < 0).any() or rows.max() - rows.min() > log.size:
        raise damaged(f"{LOG[1]} does not fit its log of spikes")
    counts = np.diff(kept, axis=1)
    check_order(log[(kept[:1, :1].sum() + np.arange(counts.sum())) & (log.size - 1)], counts, sources)


def _check_posts(times: np.ndarray, neurons: int, now: int) -> None:
    """Check the steps of postsynaptic spikes."""
    if times.ndim != 2 or times.shape[0] != neurons or times.shape[1] == 0 or times.max(initial=-1) >= max(now, 1):
        raise damaged("its postsynaptic spikes do not fit")
