"""The state of a simulator as named arrays, and back: enough to go on bit by bit, in any partitions and on any ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.fingerprint import check_fingerprint
from eprop.engine.order import all_synapses
from eprop.engine.state import filters_of, with_ended_posts
from eprop.engine.tables import rows_of_tract
from eprop.errors import InputError
from eprop.kernels import layout as lay
from eprop.kernels.joins import STEP_WORK
from eprop.parameters import real_numbers

if TYPE_CHECKING:
    from eprop.engine.arrays import Arrays

# Arrays of the state whose lengths depend on what has happened.
GROWING = ("history/log", "history/post_times")
# The entry that tells of which network a state is.
NETWORK = "network"
# Work space of a step.
WORK = ("axons/arriving",)
# Arrays with padded rows.
MAPS = ("history/prefix", "history/parts", "history/blocks", "history/tails", "history/steps")


def state_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """The state of the whole network, on every rank, see `Simulator.state`."""
    return arrays.whole.state(_state_here(arrays), arrays.t) | {NETWORK: arrays.built.fingerprint.copy()}


def set_state(arrays: Arrays, state: Mapping[str, np.ndarray]) -> None:
    """Go on from a state of the whole network, see `Simulator.set_state`."""
    here = _state_here(arrays)
    own = arrays.whole.state(here, arrays.t)
    _check_network(state, arrays.built.fingerprint)
    _check_state(state, own, sum(p.size for p in arrays.network.populations if p.model.role != "readout"))
    state = arrays.whole.part(state, here)
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
            _write(arrays, name, getattr(getattr(arrays, group), field), state[name])
    steps, arrays.updates, events = (int(v) for v in state["counters"])
    arrays.counters[lay.COUNT_STEPS], arrays.counters[lay.COUNT_EVENTS] = steps, events
    arrays.history = with_ended_posts(arrays.history, steps)


def _state_here(arrays: Arrays) -> dict[str, np.ndarray]:
    """The part of the state that this rank holds."""
    order = all_synapses(arrays)
    out = {f"synapses/{f}": v[..., order] if v.size else v.copy() for f, v in arrays.synapses._asdict().items()}
    for group in ("axons", "neurons", "history"):
        for field, value in getattr(arrays, group)._asdict().items():
            if isinstance(value, np.ndarray) and f"{group}/{field}" not in WORK:
                out[f"{group}/{field}"] = _shown(arrays, f"{group}/{field}", value).copy()
    # Work space: what was left there depends on the partitions, and is of no use to anybody.
    out["history/steps"][:, STEP_WORK:] = 0.0
    out["counters"] = np.array([arrays.t, arrays.updates, arrays.events], np.int64)
    return out


def _shown(arrays: Arrays, name: str, value: np.ndarray) -> np.ndarray:
    """An array without what pads the rows of maps; axons tract by tract, whatever the order of rows, without spare filters."""
    if name.startswith("axons/"):
        shown: np.ndarray = _with_filters(arrays, value)[..., _axons_by_tract(arrays)]
        return shown
    return value[..., : arrays.neurons.psi.size] if name in MAPS else value


def _write(arrays: Arrays, name: str, value: np.ndarray, shown: np.ndarray) -> None:
    """The way back from `_shown`."""
    if name.startswith("axons/"):
        _with_filters(arrays, value)[..., _axons_by_tract(arrays)] = shown
    else:
        _shown(arrays, name, value)[...] = shown


def _with_filters(arrays: Arrays, value: np.ndarray) -> np.ndarray:
    """Of filtered spikes those that there are."""
    return value if value.ndim == 1 else value[: filters_of(arrays.built)]


def _axons_by_tract(arrays: Arrays) -> np.ndarray:
    """Rows that learn at spikes, tract by tract."""
    tables = arrays.built.topology.projections
    learning = tables[np.isin(tables[:, lay.PRO_RULE], lay.AT_SPIKES)]
    every = np.arange(arrays.built.learning_rows)
    return np.concatenate([every[:0], *(every[rows_of_tract(row)] for row in learning)])


def _check_network(state: Mapping[str, np.ndarray], fingerprint: np.ndarray) -> None:
    """Whether a state says that it is of this network; those of former versions say nothing."""
    if not isinstance(state, Mapping):
        raise InputError(f"set_state takes a dictionary as state() gives it, got {type(state).__name__}")
    if NETWORK in state:
        check_fingerprint(state[NETWORK], fingerprint)


def _check_state(state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], sources: int) -> None:
    """Whether a state has the shapes of this network, whose state is ``own``."""
    if missing := sorted(set(own) - set(state)):
        raise InputError(f"the state lacks {', '.join(missing)}")
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
    _check_clocks(state, now)
    _check_log(np.asarray(state["history/log"]), np.asarray(state["history/log_start"]), sources, now)
    _check_posts(np.asarray(state["history/post_times"]), len(own["history/post_times"]), now)


def _damaged(what: str) -> InputError:
    return InputError(f"the state is of another network, or damaged: {what}")


def _check_clocks(state: Mapping[str, np.ndarray], now: int) -> None:
    """Nothing has happened before the start, or after the present step."""
    if np.min(state["counters"]) < 0:
        raise _damaged("its counters of steps, updates and events must not be negative")
    for name, first, end in (("axons/last", -1, now), ("axons/steps", 0, max(now, 1))):
        values = np.asarray(state[name])
        if values.size and not (values.min() >= first and values.max() < end):
            raise _damaged(f"{name} tells of steps before the start, or after step {now}, its last one")


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
