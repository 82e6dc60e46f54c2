"""The state of lanes as named arrays of the whole network, one lane after the other; it fits any number of threads and ranks.

A state that was given is checked here, before the core makes room for it and reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.build.fingerprint import check_fingerprint
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.ranks.gathering import SpikeLog
from eprop.engine.state.checks import COUNTS, MOST_COUNTED, SOURCES, check_log, checked_numbers, damaged
from eprop.engine.state.weights import all_synapses
from eprop.errors import InputError
from eprop.rules import EProp

if TYPE_CHECKING:
    from eprop.engine.run.lanes import Lanes

# Numbers of each lane in ``counters``, see core/bindings/lane_state.hpp; the core also counts the logged spikes.
TRACED, CUTS, COUNTERS = 1, 3, 4
#: Arrays of constants that learn: states before each step and traces, which the core keeps for neurons and readouts together.
NAMES_OF_CONSTANTS = "kept", "kept_outputs", "product_traces", "product_traces_outputs"


def state_of_lanes(lanes: Lanes, closed: bool) -> dict[str, np.ndarray]:
    """The state of all lanes, the same on every rank; ``closed``: whether the rollout is over."""
    built, replicas = lanes._episodes.arrays.built, lanes._episodes.replicas
    found = {name: np.asarray(part) for name, part in lanes._core.state().items()}
    starts = found["start"].reshape(-1, len(built.topology.populations) + 1)
    counts, sources = starts[:, -1] - starts[:, 0], found["log"].astype(np.int64)
    out = _shaped(lanes, found) | {COUNTS: counts, SOURCES: sources}
    if replicas.several:
        parts = replicas.comm.gather(out)
        out = {name: np.concatenate([part[name] for part in parts]) for name in out}
    flags = np.array([lanes.n, lanes._core.steps, closed], np.int64)
    return {"lanes": flags, "network": built.fingerprint.copy(), **out}


def set_lanes(lanes: Lanes, state: Mapping[str, np.ndarray]) -> bool:
    """Continue from a state of all lanes; returns whether its rollout is over.

    Raises
    ------
    InputError
        On all ranks, if it is a state of other lanes or of another network, or contradicts itself: the core could be led out of
        its arrays.
    """
    own = state_of_lanes(lanes, False)
    check = partial(_checked, lanes, state, own)
    given = run_on_all_ranks(
        lanes._episodes.comm, "set_state", check, lambda given: {name: checksum(part) for name, part in given.items()}
    )
    steps = int(given["lanes"][1])
    if not lanes._core.set_state(steps, _for_core(lanes, _of_rank(lanes, given, steps), steps)):
        raise damaged("its arrays are not as long as its counters say")
    return bool(given["lanes"][2])


def _of_constants(lanes: Lanes) -> tuple[str, ...]:
    """Names of the arrays of constants, if there are any."""
    return NAMES_OF_CONSTANTS if lanes._episodes.arrays.constants else ()


def _rows(lanes: Lanes, counters: np.ndarray, steps: int) -> np.ndarray:
    """Rows of each lane: its history, the steps, and silent rows after the end of each episode."""
    delay = max(int(lanes._episodes.arrays.built.topology.groups["delay"].max(initial=1)), 1)
    return np.array([lanes._core.history + steps + delay * cuts for cuts in counters[:, CUTS].tolist()], np.int64)


def _traces(lanes: Lanes) -> int:
    """Traces of a synapse: components of the eligibility, and the filtered one."""
    return int(lanes._episodes.arrays.built.topology.populations["n_components"].max(initial=1)) + 1


def _columns_without_learning(lanes: Lanes) -> np.ndarray:
    """Columns of neurons onto which no synapse learns by e-prop."""
    arrays = lanes._episodes.arrays
    table, learning = (
        arrays.built.topology.populations,
        {p.post.index for p in arrays.network.projections if isinstance(p.rule, EProp)},
    )
    still = [p for p in arrays.network.populations if p.model.role == "neuron" and p.index not in learning]
    return np.concatenate(
        [np.arange(*table[["target_begin", "target_end"]][p.index]) for p in still] or [np.zeros(0, int)]
    )


def _shaped(lanes: Lanes, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The flat arrays of the core with their axes, without padding; synapses in the order of `Simulator.connections`."""
    built, n, order = lanes._episodes.arrays.built, lanes._own.size, all_synapses(lanes._episodes.arrays)
    counters = found["counters"].reshape(n, -1)[:, :COUNTERS] if n else np.zeros((0, COUNTERS), np.int64)
    rows = int(_rows(lanes, counters, lanes._core.steps).sum()) if lanes._core.learns else 0
    psi = found["psi"].reshape(rows, found["psi"].size // max(rows, 1))
    psi[:, _columns_without_learning(lanes)] = 0.0  # the core overwrites them in each step
    traces = found["traces"].reshape(_traces(lanes) * int(np.count_nonzero(counters[:, TRACED])), order.size)
    neurons: tuple[int, ...] = (n, len(built.initial), built.n_neurons)
    readouts = (n, built.n_readouts)
    out = {
        "counters": counters, "cuts": found["cuts"], "traces": traces[:, order],
        "psi": psi[:, : built.n_neurons] if rows else np.zeros((0, built.n_neurons), psi.dtype),
        "neurons": found["neurons"].reshape(neurons), "begin_neurons": found["begin_neurons"].reshape(neurons),
        "y": found["y"].reshape(readouts), "begin_y": found["begin_y"].reshape(readouts),
    }  # fmt: skip
    return out | (_shaped_of_constants(lanes, found, rows, counters) if lanes._episodes.arrays.constants else {})


def _shaped_of_constants(
    lanes: Lanes, found: Mapping[str, np.ndarray], rows: int, counters: np.ndarray
) -> dict[str, np.ndarray]:
    """As `_shaped`, of constants that learn: (rows, slots, nodes) and (traces of all lanes, products, nodes)."""
    built = lanes._episodes.arrays.built
    n, slots, products = built.n_neurons, built.topology.kept_rows.size, len(built.topology.products)
    traced = _traces(lanes) * int(np.count_nonzero(counters[:, TRACED]))
    out = {}
    for name, shape in (("kept", (rows, slots)), ("product_traces", (traced, products))):
        part = found[name].reshape(*shape, found[name].size // max(shape[0] * shape[1], 1))
        empty = np.zeros((*shape, n + built.n_readouts))
        part = part if part.size else empty
        out[name], out[f"{name}_outputs"] = part[..., :n], part[..., n : n + built.n_readouts]
    return out


def _of_rank(lanes: Lanes, given: Mapping[str, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """The part of a state that belongs to the lanes of this rank."""
    counters, here = given["counters"], lanes._here

    def part(name: str, lengths: np.ndarray) -> np.ndarray:
        return given[name][int(lengths[: here.start].sum()) : int(lengths[: here.stop].sum())]

    rows, ones = _rows(lanes, counters, steps), np.ones(lanes.n, np.int64)
    out = {name: part(name, ones) for name in ("counters", "neurons", "y", "begin_neurons", "begin_y")}
    first, stop = int(rows[: here.start].sum()), int(rows[: here.stop].sum())
    spikes = slice(int(given[COUNTS][:first].sum()), int(given[COUNTS][:stop].sum()))
    traced = _traces(lanes) * (counters[:, TRACED] != 0)
    for name in _of_constants(lanes):
        out[name] = part(name, rows * lanes._core.learns if name.startswith("kept") else traced)
    return out | {
        "cuts": part("cuts", counters[:, CUTS]), "psi": part("psi", rows * lanes._core.learns), COUNTS: part(COUNTS, rows),
        "traces": part("traces", traced), SOURCES: given[SOURCES][spikes],
    }  # fmt: skip


def _for_core(lanes: Lanes, given: dict[str, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """A state of this rank's lanes as the core takes it, the inverse of `_shaped`."""
    arrays, own = lanes._episodes.arrays, lanes._core.state()
    order, log = all_synapses(arrays), SpikeLog(given[COUNTS], given[SOURCES])
    rows, starts = _rows(lanes, given["counters"], steps), log.starts(arrays.gatherer.first_sources)
    ends = np.append(starts[:, 0], log.sources.size)[np.concatenate([[0], np.cumsum(rows)])]
    out = given | {"start": starts - np.repeat(ends[:-1], rows)[:, None], "log": log.sources}
    out["counters"] = np.column_stack([given["counters"], np.diff(ends)])
    out["traces"] = np.empty_like(given["traces"])
    out["traces"][:, order] = given["traces"]
    if len(given["psi"]):
        own_rows = int(_rows(lanes, own["counters"].reshape(lanes._own.size, -1), lanes._core.steps).sum())
        columns = own["psi"].size // own_rows
        out["psi"] = np.pad(given["psi"], ((0, 0), (0, columns - given["psi"].shape[1])))
        for name in ("kept", "product_traces") if arrays.constants else ():
            both = np.concatenate([given[name], given[f"{name}_outputs"]], axis=-1)
            out[name] = np.pad(both, ((0, 0), (0, 0), (0, columns - both.shape[-1])))
    return {name: np.ascontiguousarray(out[name], have.dtype).ravel() for name, have in own.items()}


def _checked(lanes: Lanes, state: object, own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Check that a state is one of lanes of this network, whose present state is ``own``."""
    given = dict(state) if isinstance(state, Mapping) else {}
    if lacking := sorted(set(own) - set(given)):
        raise InputError(f"set_state takes a dictionary as Lanes.state() gives it; this one lacks {', '.join(lacking)}")
    check_fingerprint(given["network"], own["network"])
    out = {name: checked_numbers(name, given[name], own[name].dtype) for name in own if name != "network"}
    flags = out["lanes"]
    if flags.shape != (3,) or flags.min() < 0 or flags.max() > MOST_COUNTED or flags[2] > 1:
        raise damaged("'lanes' must hold the number of lanes, the steps of the rollout, and 0 or 1")
    if flags[0] != lanes.n:
        raise InputError(f"the state has {flags[0]} lanes, but there are {lanes.n} lanes here")
    for name, array in out.items():
        if array.ndim != own[name].ndim or array.shape[1:] != own[name].shape[1:]:
            raise damaged(f"{name} has shape {array.shape}, not (..., {', '.join(map(str, own[name].shape[1:]))})")
    _check_lengths(lanes, out, int(flags[1]))
    return out


def _check_lengths(lanes: Lanes, given: Mapping[str, np.ndarray], steps: int) -> None:
    """Counters that can be, and arrays that are as long as they say."""
    n, counters = lanes.n, given["counters"]
    if len(counters) != n or counters.min() < 0 or counters.max() > MOST_COUNTED:
        raise damaged(f"its counters must be {COUNTERS} for each lane, in 0..{MOST_COUNTED:,}")
    if counters[:, CUTS].max() > given["cuts"].size or counters[:, CUTS].sum() != given["cuts"].size:
        raise damaged(f"cuts has {given['cuts'].size:,} entries, its counters tell of others")
    for cuts in np.split(given["cuts"], np.cumsum(counters[:, CUTS])[:-1]):
        if cuts.size and (cuts[0] < 1 or cuts[-1] > steps or (np.diff(cuts) < 1).any()):
            raise damaged(f"episodes must end one after the other, at the latest after step {steps:,}")
    rows = sum(_rows(lanes, counters, steps).tolist())
    lengths = dict.fromkeys(("neurons", "y", "begin_neurons", "begin_y"), n)
    lengths |= {
        "psi": rows * lanes._core.learns,
        "traces": _traces(lanes) * int(np.count_nonzero(counters[:, TRACED])),
    }
    for name in _of_constants(lanes):
        lengths[name] = lengths["psi" if name.startswith("kept") else "traces"]
    for name, length in lengths.items():
        if len(given[name]) != length:
            raise damaged(f"{name} has {len(given[name]):,} rows, but its counters tell of {length:,}")
    check_log(SpikeLog(given[COUNTS], given[SOURCES]), rows, lanes._episodes.arrays.gatherer.n_sources)
