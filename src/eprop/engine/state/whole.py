"""The state of a whole network as named arrays, and back: enough to continue bit by bit, for any partitions and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from eprop.engine.build.connections import Connections
from eprop.engine.build.fingerprint import has_formats_of
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.ranks.exchange import Axis, Exchange
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.checks import COUNTS, FILTERED, GROUP, NETWORK, POST_TIMES, SOURCE, SOURCES, TIMES, checked
from eprop.engine.state.weights import all_synapses, synapse_order
from eprop.engine.state.wiring import giving, replace_tables, wiring_of
from eprop.parallel import Communicator

# Weights are numbers in a state, also if the network stores levels.
WEIGHT, GRADIENT = "synapses/weight", "synapses/pending"
# Steps, optimiser steps, synaptic events, steps of training samples.
COUNTERS = 4
# Rows of ``history/steps`` from here on are work space, which depends on the partitions.
STEP_WORK = 3


def state_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """Return the state of the whole network, on every rank, see `Simulator.state`."""
    spikes = arrays.online.spike_state()
    counts, sources = _whole_log(arrays.exchange, spikes.pop(COUNTS), spikes.pop(SOURCES))
    counters = np.array([arrays.t, arrays.updates, arrays.events, arrays.learned_steps], np.int64)
    whole = arrays.exchange.whole(spikes | _state_here(arrays), _axes(arrays))
    return whole | {
        COUNTS: counts, SOURCES: sources, "counters": counters, NETWORK: arrays.built.fingerprint.copy(),
    }  # fmt: skip


def set_state(arrays: Arrays, comm: Communicator, state: Mapping[str, np.ndarray]) -> None:
    """Continue from a state of the whole network, see `Simulator.set_state`."""
    own = _wanted(arrays)
    whole = run_on_all_ranks(comm, "set_state", partial(checked, arrays, state, own), partial(_keys, own))
    online, axes = arrays.online, _axes(arrays)
    part = arrays.exchange.part(whole, axes)
    if arrays.built.rewired:
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
    arrays.constants.refresh()
    arrays.weight_changes += 1
    log = _part_of_log(arrays.exchange, whole[COUNTS], whole[SOURCES])
    axons = np.ascontiguousarray(part[TIMES], np.int64), np.ascontiguousarray(part[FILTERED], np.float64)
    online.set_spike_state(*log, *axons, np.ascontiguousarray(part[POST_TIMES], np.int64))
    if not has_formats_of(state.get(NETWORK, own[NETWORK]), own[NETWORK]):
        arrays.materialise_weights()
        arrays.round_weights()
        arrays.tie_feedback()


def _wanted(arrays: Arrays) -> dict[str, np.ndarray]:
    """Types and shapes of the arrays of a state of the whole network, as arrays that take no memory."""
    built, synapses = arrays.built, (arrays.built.weight.size,)
    whole, real = np.dtype(np.int64), np.dtype(np.float64)
    own = {name: (view.shape, view.dtype) for name, (_, view) in _kept(arrays).items()}
    own |= {name: (shape, real if name == FILTERED else whole) for name, shape in arrays.online.spike_shapes().items()}
    own |= {"counters": ((COUNTERS,), whole)}
    own |= dict.fromkeys((SOURCE, GROUP), (synapses, np.dtype(np.int32))) if built.rewired else {}
    own |= {WEIGHT: (synapses, built.dtype)} if arrays.stores_levels else {}
    shapes = arrays.exchange.whole_shapes({name: shape for name, (shape, _) in own.items()}, _axes(arrays))
    wanted = {name: np.broadcast_to(np.zeros((), dtype), shapes[name]) for name, (_, dtype) in own.items()}
    return wanted | {NETWORK: built.fingerprint}


def _whole_log(exchange: Exchange, counts: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of each step on all ranks, and their sources in the whole network (int64)."""
    if not exchange.several:
        return counts, sources.astype(np.int64)
    places, steps = exchange.places(Axis.source), np.repeat(np.arange(counts.size), counts)
    mine = places.given[sources]
    steps, sources = exchange.spikes(steps[mine], places.held[sources[mine]])
    return np.bincount(steps, minlength=counts.size), sources


def _part_of_log(exchange: Exchange, counts: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of the sources that are local to this rank, with local ids."""
    if not exchange.several:
        return counts, sources
    held, steps = exchange.places(Axis.source).held, np.repeat(np.arange(counts.size), counts)
    local = np.searchsorted(held, sources)
    known = np.append(held, -1)[local] == sources
    return np.bincount(steps[known], minlength=counts.size), local[known]


def _axes(arrays: Arrays) -> dict[str, Axis]:
    """Axes of the arrays of a state."""
    axes = {TIMES: Axis.source, FILTERED: Axis.source, POST_TIMES: Axis.neuron}
    axes |= dict.fromkeys((SOURCE, GROUP), Axis.synapse) if arrays.built.rewired else {}
    return axes | {name: axis for name, (axis, _) in _kept(arrays).items()}


def _kept(arrays: Arrays) -> dict[str, tuple[Axis, np.ndarray]]:
    """Axes and views of the arrays that a state copies, without padding."""
    # Between steps all inputs are 0, so that one receptor is enough.
    n, x = arrays.built.n_neurons, arrays.neurons.input[0]
    kept = {"neurons/input": (Axis.neuron, x[:n]), "neurons/readout_input": (Axis.same, x[n:])}
    lacks = () if arrays.built.rewired else ("wiring/",), () if arrays.built.constants else ("constants/",)
    for name, axis, view in arrays.online.kept():
        if not name.startswith(sum(lacks, ())):
            kept[name] = axis, view[..., :n] if axis is Axis.neuron else view
    return kept


def _wiring_here(arrays: Arrays) -> dict[str, np.ndarray]:
    """Sources and delay groups of the connections of this rank, in the order of `all_synapses`."""
    parts = [wiring_of(arrays, p.index) for p in arrays.network.projections]
    return {name: np.concatenate(part) for name, part in zip((SOURCE, GROUP), zip(*parts, strict=True), strict=True)}


def _set_wiring(arrays: Arrays, part: Mapping[str, np.ndarray]) -> None:
    """Take the connections of a checked state, unless this network has them."""
    own = _wiring_here(arrays)
    if all(np.array_equal(own[name], part[name]) for name in own):
        return
    first, given = 0, dict[int, Connections]()
    for p in arrays.network.projections:
        targets = synapse_order(arrays, p.index).targets
        span = slice(first, first := first + targets.size)
        if p.rewiring is not None:
            begin, stop = arrays.built.rank_partition.own(p.post)
            indptr = np.searchsorted(targets, np.arange(begin, stop + 1))
            given[p.index] = Connections(indptr, part[SOURCE][span], part[GROUP][span], np.zeros(targets.size))

    rewired = [p for p in arrays.network.projections if p.rewiring is not None]
    replace_tables(arrays.built, rewired, giving(arrays.built, given), arrays.threads)
    arrays.note_moved()


def _state_here(arrays: Arrays) -> dict[str, np.ndarray]:
    """Part of the arrays of a state that this rank holds."""
    order = all_synapses(arrays)
    out = _wiring_here(arrays) if arrays.built.rewired else {}
    for name, (axis, view) in _kept(arrays).items():
        if name == GRADIENT and arrays.built.learning.eprop:  # between mini-batches; now one may be under way
            out[name] = np.zeros_like(view)
        else:
            out[name] = view[..., order] if axis is Axis.synapse and view.size else view.copy()
    if arrays.stores_levels:
        out[WEIGHT] = arrays.effective_weights()[order]
    out["history/steps"][:, STEP_WORK:] = 0.0
    for population in arrays.built.topology.populations:
        if population["trace_group"] < 0:  # computed where they are recorded only, and read by nobody
            out["neurons/psi"][population["target_begin"] : population["target_end"]] = 0.0
    return out


def _keys(own: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Values that must be the same on all ranks."""
    return {name: checksum(np.asarray(state[name])) for name in own if name != NETWORK}
