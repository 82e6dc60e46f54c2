"""The state of a simulator as named arrays, and back: enough to go on bit by bit, in any partitions and on any ranks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.agreement import agreed, checksum
from eprop.engine.fingerprint import check_fingerprint
from eprop.engine.order import all_synapses
from eprop.engine.state import FIRST_SENT, filters_of, power_of_two, sent_of, with_ended_posts
from eprop.errors import InputError
from eprop.kernels import layout as lay
from eprop.kernels.joins import STEP_WORK
from eprop.parallel import Communicator
from eprop.parameters import real_numbers

if TYPE_CHECKING:
    from eprop.engine.arrays import Arrays

# Arrays of the state whose lengths depend on what has happened.
GROWING = ("history/log", "history/post_times")
# The entry that tells of which network a state is.
NETWORK = "network"
# What is found again.
FOUND_AGAIN = ("axons/followed", "history/sent", "history/sent_z")
# Arrays with padded rows.
MAPS = ("history/prefix", "history/parts", "history/blocks", "history/tails", "history/steps")


def state_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """The state of the whole network, on every rank, see `Simulator.state`."""
    return arrays.whole.state(_state_here(arrays), arrays.t) | {NETWORK: arrays.built.fingerprint.copy()}


def set_state(arrays: Arrays, comm: Communicator, state: Mapping[str, np.ndarray]) -> None:
    """Go on from a state of the whole network, see `Simulator.set_state`."""
    here = _state_here(arrays)
    own = arrays.whole.state(here, arrays.t)
    whole = agreed(comm, "set_state", partial(_checked, arrays, state, own), partial(_told, own))
    state = arrays.whole.part(whole, here)
    arrays.history = arrays.history._replace(
        log=np.zeros(np.size(state["history/log"]), np.int32),
        post_times=np.zeros(np.shape(state["history/post_times"]), np.int64),
    )
    order = all_synapses(arrays)
    for name in here:
        group, _, field = name.partition("/")
        if group == "synapses":
            target = getattr(arrays.synapses, field)
            if target.size:
                target[..., order] = state[name]
        elif group != "counters":
            _shown(arrays, name, getattr(getattr(arrays, group), field))[...] = state[name]
    steps, arrays.updates, events, arrays.learned_steps = (int(v) for v in state["counters"])
    arrays.counters[lay.COUNT_STEPS], arrays.counters[lay.COUNT_EVENTS] = steps, events
    arrays.history = with_ended_posts(arrays.history, steps)
    # Room for all at once: of steps before the first one that is followed the log may know nothing any more.
    first = first_followed(arrays.history.sent_steps, steps)
    arrays.history = arrays.history._replace(**sent_of(arrays.built, _spikes_since(first, arrays), learns=True))
    arrays.axons.followed[0] = first
    arrays.follow()


def _checked(
    arrays: Arrays, state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """A state that was given, if it is one of this network, whose present state is ``own``."""
    _check_network(state, arrays.built.fingerprint)
    state = _with_all_counters(state)
    sources = sum(p.size for p in arrays.network.populations if p.model.role != "readout")
    _check_state(state, own, sources, arrays.history.sent_steps)
    return state


def _told(own: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> dict[str, int]:
    """What must be the same on all ranks."""
    return {name: checksum(np.asarray(state[name])) for name in own}


def _spikes_since(step: int, arrays: Arrays) -> int:
    """Room for the spikes in the log from a step on."""
    starts, t = arrays.history.log_start, arrays.t
    spikes = starts[(t - 1) % len(starts), -1] - starts[step % len(starts), 0] if t else 0
    return power_of_two(max(int(spikes), FIRST_SENT))


def _state_here(arrays: Arrays) -> dict[str, np.ndarray]:
    """The part of the state that this rank holds."""
    arrays.follow()
    order = all_synapses(arrays)
    out = {f"synapses/{f}": v[..., order] if v.size else v.copy() for f, v in arrays.synapses._asdict().items()}
    for group in ("axons", "neurons", "history"):
        for field, value in getattr(arrays, group)._asdict().items():
            if isinstance(value, np.ndarray) and f"{group}/{field}" not in FOUND_AGAIN:
                out[f"{group}/{field}"] = _shown(arrays, f"{group}/{field}", value).copy()
    _go_back(arrays, out)
    # Work space: what was left there depends on the partitions, and is of no use to anybody.
    out["history/steps"][:, STEP_WORK:] = 0.0
    out["counters"] = np.array([arrays.t, arrays.updates, arrays.events, arrays.learned_steps], np.int64)
    return out


def _shown(arrays: Arrays, name: str, value: np.ndarray) -> np.ndarray:
    """An array without what pads the rows of maps; of axons the last axis is theirs."""
    if name == "axons/times":
        return value[:, : lay.AX_Z].T
    if name == "axons/z":
        slots = arrays.built.topology.listeners.shape[1]
        z = value[:, lay.AX_Z :]
        return np.moveaxis(z.reshape(len(z), slots, z.shape[1] // slots), 0, -1)
    return value[..., : arrays.neurons.psi.size] if name in MAPS else value


def _go_back(arrays: Arrays, out: dict[str, np.ndarray]) -> None:
    """Let axons be as they were before the oldest spikes that may be asked: from there they follow them once more."""
    history, starts, t = arrays.history, arrays.history.log_start, arrays.t
    listeners, size = arrays.built.topology.listeners, filters_of(arrays.built)
    sent_z = history.sent_z[:, lay.SENT_Z :].reshape(len(history.sent), listeners.shape[1], lay.Z_PARTS * size)
    kept = range(first_followed(history.sent_steps, t), t)
    times, z = out["axons/times"], out["axons/z"]
    times[lay.AX_AT] = -1
    for b in np.flatnonzero((listeners >= 0).any(axis=(1, 2))) if kept else ():
        spans = [(step, *starts[step % len(starts), b : b + 2]) for step in kept]
        positions = np.concatenate([np.arange(first, stop) for _, first, stop in spans])
        steps = np.concatenate([np.full(stop - first, step) for step, first, stop in spans])
        sources, oldest = np.unique(history.log[positions & (history.log.size - 1)], return_index=True)
        at = positions[oldest] & (len(history.sent) - 1)
        gap = history.sent[at, lay.SENT_GAP]
        times[lay.AX_LAST, sources] = np.where(gap > 0, steps[oldest] - gap, -1)
        times[lay.AX_GAP, sources] = history.sent[at, lay.SENT_BEFORE]
        for slot, (group, tract) in enumerate(listeners[b]):
            # Of the trace of STDP there is one number.
            rows = 2 * size if group >= 0 else int(tract >= 0)
            z[slot, :rows, sources] = sent_z[at, slot, :rows]


def first_followed(sent_steps: int, now: int) -> int:
    """The oldest step whose spikes axons follow again."""
    return max(now - sent_steps, 0)


def _check_network(state: Mapping[str, np.ndarray], fingerprint: np.ndarray) -> None:
    """Whether a state says that it is of this network; those of former versions say nothing."""
    if not isinstance(state, Mapping):
        raise InputError(f"set_state takes a dictionary as state() gives it, got {type(state).__name__}")
    if not any(name in state for name in ("counters", NETWORK)):
        known = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise InputError(f"set_state takes a dictionary as state() gives it; this one holds {known}")
    if NETWORK in state:
        check_fingerprint(state[NETWORK], fingerprint)


def _with_all_counters(state: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """A state of a former version, which did not count the steps learned from: random spikes begin anew."""
    if "counters" not in state or np.shape(state["counters"]) != (3,):
        return state
    return {**state, "counters": np.append(state["counters"], 0)}


def _check_state(state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], sources: int, sent_steps: int) -> None:
    """Whether a state has the shapes of this network, whose state is ``own``."""
    if missing := sorted(set(own) - set(state)):
        raise InputError(f"the state lacks {', '.join(missing)}; was it saved by another version?")
    for name, have in own.items():
        if name not in GROWING and have.shape != np.shape(state[name]):
            raise InputError(
                f"the state is of another network: {name} has shape {np.shape(state[name])}, not {have.shape}"
            )
        given = real_numbers(f"state {name!r}", state[name], InputError)
        if have.dtype.kind in "iu" and given.dtype.kind not in "iu":
            raise InputError(f"state {name!r} must be whole numbers, got {given.dtype}")
        if not np.isfinite(given).all():
            raise InputError(f"state {name!r} holds values that are not finite")
    # What follows is read by compiled loops, which do not check it.
    now = int(np.asarray(state["counters"])[0])
    _check_clocks(state, now, sent_steps)
    _check_log(np.asarray(state["history/log"]), np.asarray(state["history/log_start"]), sources, now)
    _check_posts(np.asarray(state["history/post_times"]), len(own["history/post_times"]), now)


def _damaged(what: str) -> InputError:
    return InputError(f"the state is of another network, or damaged: {what}")


def _check_clocks(state: Mapping[str, np.ndarray], now: int, sent_steps: int) -> None:
    """Nothing has happened before the start, or after the present step."""
    if np.min(state["counters"]) < 0:
        raise _damaged("its counters must not be negative")
    times, oldest = np.asarray(state["axons/times"]), first_followed(sent_steps, now)
    last, gap = times[lay.AX_LAST], times[lay.AX_GAP]
    if (
        times.min(initial=-1) < -1
        or last.max(initial=-1) >= oldest
        or (gap < 0).any()
        or (gap > np.maximum(last, 0)).any()
    ):
        raise _damaged(
            f"axons/times tells of steps before the start, or after step {oldest}, from which spikes are followed"
        )


def _check_log(log: np.ndarray, starts: np.ndarray, sources: int, now: int) -> None:
    """The log of spikes, and where in it each step that may still be read begins."""
    if log.ndim != 1 or log.size == 0 or log.size & (log.size - 1) or log.min() < 0 or log.max() >= sources:
        raise _damaged("its log of spikes names nodes that do not exist")
    # The row that this step will write is of no use to anybody any more.
    rows = np.delete(starts, now % len(starts), axis=0) if now >= len(starts) else starts
    if (np.diff(starts, axis=1) < 0).any() or starts.min() < 0 or rows.max() - rows.min() > log.size:
        raise _damaged("history/log_start does not fit its log of spikes")


def _check_posts(times: np.ndarray, neurons: int, now: int) -> None:
    """Steps of postsynaptic spikes."""
    if times.ndim != 2 or times.shape[0] != neurons or times.shape[1] == 0 or times.max(initial=-1) >= max(now, 1):
        raise _damaged("its postsynaptic spikes do not fit")
