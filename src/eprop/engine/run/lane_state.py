"""A state of lanes that was given: looked through here, before the core makes room for it and reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine.build.fingerprint import check_fingerprint
from eprop.engine.ranks.exchange import Core
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.snapshot import MOST_COUNTED, check_order, checked_numbers, damaged
from eprop.engine.state.weights import all_synapses
from eprop.errors import InputError

# Numbers of each lane in ``counters``, see core/bindings/lane_state.hpp.
TRACED, CUTS, SPIKES, COUNTERS = 1, 3, 4, 5


@dataclass(frozen=True)
class LanesState:
    """What a state of lanes says: steps of the rollout, whether it is over, and arrays for the core."""

    steps: int
    closed: bool
    arrays: dict[str, np.ndarray]


def checked_lanes(arrays: Arrays, core: Core, n: int, state: Any) -> LanesState:
    """A state of ``n`` lanes of this network, whose ``core`` tells which arrays it has.

    Raises
    ------
    InputError
        If it is a state of other lanes or of another network, or contradicts itself: the core could be led out of its arrays.
    """
    own = core.state()
    lacking = sorted({"lanes", "network", *own} - set(state if isinstance(state, Mapping) else ()))
    if lacking:
        raise InputError(f"set_state takes a dictionary as Lanes.state() gives it; this one lacks {', '.join(lacking)}")
    check_fingerprint(state["network"], arrays.built.fingerprint)
    flags = checked_numbers("lanes", state["lanes"], np.dtype(np.int64))
    if flags.shape != (3,) or flags.min() < 0 or flags.max() > MOST_COUNTED or flags[2] > 1:
        raise damaged("'lanes' must hold the number of lanes, the steps of the rollout, and 0 or 1")
    if flags[0] != n:
        raise InputError(f"the state has {flags[0]} lanes, but there are {n} lanes here")
    given = {
        name: np.ascontiguousarray(checked_numbers(name, state[name], have.dtype), have.dtype)
        for name, have in own.items()
    }
    for name, array in given.items():
        if array.ndim != 1:
            raise damaged(f"{name} has {array.ndim} axes, not one")
    steps = int(flags[1])
    _check_counters(given, n, steps)
    _check_spikes(arrays, given, steps, int(core.history))
    given["traces"] = _traces_by_synapse(arrays, given)
    return LanesState(steps, bool(flags[2]), given)


def _check_counters(given: Mapping[str, np.ndarray], n: int, steps: int) -> None:
    """Counters that can be, and lists that are as long as they say."""
    counters = given["counters"]
    if counters.shape != (n * COUNTERS,) or counters.min() < 0 or counters.max() > MOST_COUNTED:
        raise damaged(f"its counters must be {COUNTERS} for each lane, in 0..{MOST_COUNTED:,}")
    table = counters.reshape(n, COUNTERS)
    for name, column in (("cuts", CUTS), ("log", SPIKES)):
        if given[name].size != sum(table[:, column].tolist()):
            raise damaged(f"{name} has {given[name].size:,} entries, its counters tell of others")
    for cuts in np.split(given["cuts"], np.cumsum(table[:, CUTS])[:-1]):
        if cuts.size and (cuts[0] < 1 or cuts[-1] > steps or (np.diff(cuts) < 1).any()):
            raise damaged(f"episodes must end one after the other, at the latest after step {steps:,}")


def _check_spikes(arrays: Arrays, given: Mapping[str, np.ndarray], steps: int, history: int) -> None:
    """Rows of spikes: as many as there are steps, and each with spikes of its populations, in their order."""
    topology = arrays.built.topology
    columns, delay = len(topology.populations) + 1, max(int(topology.groups["delay"].max(initial=1)), 1)
    sources = np.cumsum([0, *(p.size if p.model.role != "readout" else 0 for p in arrays.network.populations)])
    table = given["counters"].reshape(-1, COUNTERS)
    rows = [history + steps + delay * cuts for cuts in table[:, CUTS].tolist()]
    if given["start"].size != columns * sum(rows):
        raise damaged(f"start has {given['start'].size:,} entries, but there are {steps:,} steps of each lane")
    starts = np.split(given["start"].reshape(-1, columns), np.cumsum(rows)[:-1])
    logs = np.split(given["log"], np.cumsum(table[:, SPIKES])[:-1])
    for start, log in zip(starts, logs, strict=True):
        bounds = start.ravel()
        if (
            bounds[0] != 0
            or bounds[-1] != log.size
            or (np.diff(bounds) < 0).any()
            or (start[1:, 0] != start[:-1, -1]).any()
        ):
            raise damaged("start does not fit its log of spikes")
        check_order(log, np.diff(start, axis=1), sources)


def _traces_by_synapse(arrays: Arrays, given: Mapping[str, np.ndarray]) -> np.ndarray:
    """Traces of the lanes that have some, from the order of `Simulator.connections` to that of the core."""
    traces, synapses = given["traces"], arrays.synapses.weight.size
    traced = int(np.count_nonzero(given["counters"].reshape(-1, COUNTERS)[:, TRACED]))
    if traces.size % max(traced * synapses, 1) or (traces.size == 0) != (traced * synapses == 0):
        raise damaged(f"traces has {traces.size:,} entries for {traced} lanes with {synapses:,} synapses")
    rows = np.empty_like(traces).reshape(-1, max(synapses, 1))
    rows[:, all_synapses(arrays)] = traces.reshape(rows.shape)
    return rows.ravel()
