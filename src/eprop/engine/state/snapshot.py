"""Convert the state of a simulator to named arrays and back: enough to continue bit by bit, for any partitions and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from eprop.engine.build.fingerprint import check_fingerprint, has_formats_of
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.ranks.gathering import Axis, SpikeLog
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import all_synapses, branches_at, synapse_order
from eprop.engine.state.wiring import Connections, giving, replace_tables
from eprop.errors import InputError
from eprop.parallel import Communicator
from eprop.parameters import real_numbers

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


def check_log(log: SpikeLog, n_steps: int, n_sources: int) -> None:
    """Check the spikes of ``n_steps`` steps, which the core reads without looking.

    Raises
    ------
    InputError
        If they are not those of so many steps, or a source does not exist or is not in its order.
    """
    counts, sources = log
    if counts.shape != (n_steps,) or sources.ndim != 1 or counts.min(initial=0) < 0 or counts.sum() != sources.size:
        raise damaged(f"{COUNTS} does not tell the spikes of {n_steps:,} steps")
    if sources.min(initial=0) < 0 or sources.max(initial=0) >= max(n_sources, 1):
        raise damaged("its log of spikes names nodes that do not exist")
    if ((np.diff(sources) <= 0) & (np.diff(log.steps) == 0)).any():
        raise damaged("its log has spikes in the wrong order")


# The entry that identifies the network of a state, and those of the logged spikes; the latter and postsynaptic spikes grow.
NETWORK, COUNTS, SOURCES, POST_TIMES = "network", "spikes/counts", "spikes/sources", "post_spikes/times"
TIMES, FILTERED = "axons/times", "axons/z"
GROWING = (COUNTS, SOURCES, POST_TIMES)
# Weights are numbers in a state, also if the network stores levels.
WEIGHT = "synapses/weight"
# Of a network with rewiring: sources and delay groups of its connections, and `Moves`.
SOURCE, GROUP, BORN, MOVED, LAST = (f"wiring/{name}" for name in ("source", "group", "born", "moved", "last"))
# Rows of ``history/steps`` from here on are work space, which depends on the partitions.
STEP_WORK = 3


def state_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """Return the state of the whole network, on every rank, see `Simulator.state`."""
    gatherer = arrays.gatherer
    spikes = arrays.online.spike_state()
    log = gatherer.whole_log(SpikeLog(spikes.pop(COUNTS), spikes.pop(SOURCES)))
    counters = np.array([arrays.t, arrays.updates, arrays.events, arrays.learned_steps], np.int64)
    whole = gatherer.whole(spikes | _state_here(arrays), _axes(arrays))
    whole |= {name: part.copy() for name, part in arrays.constants.arrays().items()}
    return whole | {
        COUNTS: log.counts, SOURCES: log.sources, "counters": counters, NETWORK: arrays.built.fingerprint.copy(),
    }  # fmt: skip


def set_state(arrays: Arrays, comm: Communicator, state: Mapping[str, np.ndarray]) -> None:
    """Continue from a state of the whole network, see `Simulator.set_state`."""
    own = state_of(arrays)
    whole = run_on_all_ranks(comm, "set_state", partial(_checked, arrays, state, own), partial(_keys, own))
    online, axes = arrays.online, _axes(arrays)
    part = arrays.gatherer.part(whole, axes)
    if arrays.moves:
        _set_wiring(arrays, part)
    order = all_synapses(arrays)
    for name, (axis, view) in _kept(arrays).items():
        if axis is not Axis.synapse:
            view[...] = part[name]
        elif view.size:
            view[..., order] = part[name]
    if arrays.stores_levels:
        weight = np.empty(order.size, arrays.built.dtype)
        weight[order] = part[WEIGHT]
        arrays.store_weights(weight)
    online.t, arrays.updates, online.events, arrays.learned_steps = (int(v) for v in whole["counters"])
    arrays.given_steps = 0
    for name, part_of_constant in arrays.constants.arrays().items():
        part_of_constant[...] = whole[name]
    arrays.constants.refresh()
    arrays.weight_changes += 1
    log = arrays.gatherer.part_log(SpikeLog(whole[COUNTS], whole[SOURCES]))
    axons = np.ascontiguousarray(part[TIMES], np.int64), np.ascontiguousarray(part[FILTERED], np.float64)
    online.set_spike_state(log.counts, log.sources, *axons, np.ascontiguousarray(part[POST_TIMES], np.int64))
    if not has_formats_of(state.get(NETWORK, own[NETWORK]), own[NETWORK]):
        arrays.materialise_weights()
        arrays.round_weights()


def _axes(arrays: Arrays) -> dict[str, Axis]:
    """Axes of the arrays of a state."""
    axes = {TIMES: Axis.source, FILTERED: Axis.source, POST_TIMES: Axis.neuron}
    axes |= dict.fromkeys((SOURCE, GROUP), Axis.synapse) if arrays.moves else {}
    return axes | {name: axis for name, (axis, _) in _kept(arrays).items()}


def _kept(arrays: Arrays) -> dict[str, tuple[Axis, np.ndarray]]:
    """Axes and views of the arrays that a state copies, without padding."""
    # Between steps all inputs are 0, so that one receptor is enough.
    n, x, moves = arrays.built.n_neurons, arrays.neurons.input[0], arrays.moves
    kept = {"neurons/input": (Axis.neuron, x[:n]), "neurons/readout_input": (Axis.same, x[n:])}
    for name, axis, view in arrays.online.kept():
        kept[name] = axis, view[..., :n] if axis is Axis.neuron else view
    if moves:
        kept |= {BORN: (Axis.synapse, moves.born), MOVED: (Axis.same, moves.moved), LAST: (Axis.same, moves.last)}
    return kept


def _wiring_here(arrays: Arrays) -> dict[str, np.ndarray]:
    """Sources and delay groups of the connections of this rank, in the order of `all_synapses`."""
    sources, groups = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for p, rows in zip(arrays.network.projections, arrays.built.delay_groups, strict=True):
        order, found, _ = synapse_order(arrays, p.index)
        sources.append(found.astype(np.int32))
        groups.append((branches_at(arrays.built, order)[1] - rows[0]).astype(np.int32))
    return {SOURCE: np.concatenate(sources), GROUP: np.concatenate(groups)}


def _set_wiring(arrays: Arrays, part: Mapping[str, np.ndarray]) -> None:
    """Take the connections of a checked state, unless this network has them."""
    own = _wiring_here(arrays)
    if all(np.array_equal(own[name], part[name]) for name in own):
        return
    first, given = 0, dict[int, Connections]()
    for p in arrays.network.projections:
        targets = synapse_order(arrays, p.index)[2]
        span = slice(first, first := first + targets.size)
        if p.rewiring is not None:
            begin, stop = arrays.built.rank_partition.own(p.post)
            indptr = np.searchsorted(targets, np.arange(begin, stop + 1))
            given[p.index] = Connections(indptr, part[SOURCE][span], part[GROUP][span], np.zeros(targets.size))

    rewired = [p for p in arrays.network.projections if p.rewiring is not None]
    replace_tables(arrays.network, arrays.built, rewired, giving(arrays.built, given), arrays.threads)
    arrays.note_moved()


def _check_wiring(arrays: Arrays, state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]) -> None:
    """Check the connections of a state, by which the core finds its way through its arrays."""
    first, same = 0, (state[SOURCE] == own[SOURCE]) & (state[GROUP] == own[GROUP])
    for p, rows in zip(arrays.network.projections, arrays.built.delay_groups, strict=True):
        span = slice(first, first := first + arrays.gatherer.count(p.index))
        if p.rewiring is None and not same[span].all():
            raise damaged(f"connections of {p.name} have moved, which has no rewiring")
        sources, groups = state[SOURCE][span], state[GROUP][span]
        if min(sources.min(initial=0), groups.min(initial=0)) < 0 or (
            sources.max(initial=-1) >= p.pre.size or groups.max(initial=-1) >= len(rows)
        ):
            raise damaged(f"connections of {p.name} come from nodes, or have delays, that do not exist")


def _check_moments(arrays: Arrays, state: Mapping[str, np.ndarray]) -> None:
    """Check that means of squares, of which optimisers of the package take the root, are not negative."""
    first, moments = 0, state["synapses/moment_2"]
    for p in arrays.network.projections:
        span = slice(first, first := first + arrays.gatherer.count(p.index))
        optimizer = getattr(p.rule, "optimizer", None)
        if optimizer is not None and not optimizer.in_python and moments[span].min(initial=0.0) < 0.0:
            raise damaged(f"means of squared gradients of {p.name} are negative")
    for name in arrays.constants.arrays():
        if name.endswith("/second") and state[name].min(initial=0.0) < 0.0:
            raise damaged(f"{name} holds means of squares, and is negative")


def _state_here(arrays: Arrays) -> dict[str, np.ndarray]:
    """Part of the arrays of a state that this rank holds."""
    order = all_synapses(arrays)
    out = _wiring_here(arrays) if arrays.moves else {}
    for name, (axis, view) in _kept(arrays).items():
        out[name] = view[..., order] if axis is Axis.synapse and view.size else view.copy()
    if arrays.stores_levels:
        out[WEIGHT] = arrays.effective_weights()[order]
    out["history/steps"][:, STEP_WORK:] = 0.0
    for population in arrays.built.topology.populations:
        if population["trace_group"] < 0:  # computed where they are recorded only, and read by nobody
            out["neurons/psi"][population["target_begin"] : population["target_end"]] = 0.0
    return out


def _checked(
    arrays: Arrays, state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Check that a given state belongs to this network, whose state is ``own``; whole numbers get the own types."""
    if not isinstance(state, Mapping):
        raise InputError(f"set_state takes a dictionary from state(), got {type(state).__name__}")
    if not any(name in state for name in ("counters", NETWORK)):
        known = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise InputError(f"set_state takes a dictionary from state(); this one holds {known}")
    check_fingerprint(state.get(NETWORK, own[NETWORK]), own[NETWORK])
    if not arrays.moves and np.any(state.get(MOVED, 0)):
        raise InputError(
            "the state belongs to another network: its synapses have moved; build the network with rewiring=ep.Rewiring(...) as "
            "it was"
        )
    if arrays.moves and MOVED not in state:
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
    if arrays.moves:
        _check_wiring(arrays, whole, own)
    _check_moments(arrays, whole)
    now, online = int(whole["counters"][0]), arrays.online
    _check_clocks(whole, now, online.record_steps)
    log = SpikeLog(whole[COUNTS], whole[SOURCES])
    check_log(log, min(now, online.logged_steps), arrays.gatherer.n_sources)
    times, neurons = whole[POST_TIMES], own[POST_TIMES].shape[-1]
    if times.ndim != 2 or times.shape[1] != neurons or not len(times) or times.max(initial=-1) >= max(now, 1):
        raise damaged("its postsynaptic spikes do not fit")
    return whole


def _keys(own: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Values that must be the same on all ranks."""
    return {name: checksum(np.asarray(state[name])) for name in own if name != NETWORK}


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
