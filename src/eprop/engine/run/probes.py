"""What a run records: the values of chosen variables, and the spikes of chosen populations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.ranks.exchange import Exchange
from eprop.engine.run.results import Record, name_of
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import order_on_all_ranks
from eprop.errors import InputError
from eprop.models import Neuron
from eprop.network import Population
from eprop.parameters import real_numbers

Probe = lib.Probe
# Lanes in either precision of the weights.
Core = lib.EpisodesDouble | lib.EpisodesSingle
# Recorded variables: rows of (kind, row of the state or axon branch, index, delay group).
NO_PROBES = np.zeros((0, 4), np.int64)
PROBE_COLUMNS = NO_PROBES.shape[1]
_NEURON_KINDS = {"surrogate": Probe.psi, "learning_signal": Probe.signal}
_READOUT_KINDS = {"y": Probe.readout, "error": Probe.error}
_SYNAPSE_KINDS = {"weight": Probe.weight, "trace": Probe.trace}
# Rows for the core, what is added to their values, and indices of the nodes or synapses.
Found = tuple[np.ndarray, np.ndarray | float, np.ndarray]


@dataclass(slots=True)
class Probes:
    """Recorded variables: rows for the core, and the names of the recorded columns.

    Attributes
    ----------
    table : (rows, 4) int64
        Kind, row of the state or axon branch, index, delay group; each rank has the rows of variables that it owns.
    count : int
        Recorded values per step, over all ranks.
    columns : list of (name, variable) and the slice of its columns
    index : dict of nodes, or synapses, of each variable
    """

    table: np.ndarray = field(default_factory=lambda: NO_PROBES)
    count: int = 0
    columns: list[tuple[tuple[str, str], slice]] = field(default_factory=list)
    index: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    _positions: Any = None
    _offsets: Any = None

    def collect(self, values: np.ndarray, exchange: Exchange) -> dict[tuple[str, str], np.ndarray]:
        """Recorded values of all ranks by name; the leak potential is added to voltages."""
        if not self.count:
            return {}
        found = exchange.columns(values + self._offsets, self._positions, self.count)
        return {key: found[:, span] for key, span in self.columns}


NOTHING = Probes()


def make_probes(arrays: Arrays, wanted: object) -> Probes:
    """Make probes for the ``record`` argument of `Simulator.run`.

    Raises
    ------
    InputError
        If the network has no such variables.
    """
    found, rows, offsets = Probes(), [NO_PROBES], [np.zeros(0)]
    for item in _listed(wanted):
        record = item if isinstance(item, Record) else Record(*item)
        key = record.name, record.variable
        if key in found.index:
            raise InputError(
                f"record requests {record.variable!r} of {record.name!r} twice; request it once, with all indices, as in "
                f'("{record.name}", "{record.variable}", [1, 2])'
            )
        projections = [p.name for p in arrays.network.projections]
        find = _synapses if record.name in projections else _nodes
        part, offset, found.index[key] = find(arrays, record)
        rows.append(part)
        offsets.append(np.broadcast_to(offset, len(part)))
        found.columns.append((key, slice(found.count, found.count + len(part))))
        found.count += len(part)
    table = np.concatenate(rows)
    found._positions = np.flatnonzero(table[:, 2] >= 0)
    found.table = np.ascontiguousarray(table[found._positions])
    found._offsets = np.concatenate(offsets)[found._positions]
    return found


def _nodes(arrays: Arrays, record: Record) -> Found:
    """Rows of a variable of neurons or readouts."""
    built, population = arrays.built, arrays.network.population(record.name)
    index, role = _index(record, population.size), population.model.role
    first, state_rows = int(built.topology.populations["target_begin"][population.index]), tuple[str, ...]()
    rows = np.zeros((index.size, PROBE_COLUMNS), np.int64)
    if role == "source":
        raise InputError(f"{record.name!r} is a source: record its spikes with spikes=[{record.name!r}]")
    if role == "readout":
        kinds, first, voltage = _READOUT_KINDS, first - built.n_neurons, "y"
        here = first + index if built.rank_partition.comm.rank == 0 else np.full(index.size, -1)
        leak = np.append(built.topology.readouts["leak"], 0.0)
    else:
        assert isinstance(population.model, Neuron)
        kinds, state_rows, voltage = _NEURON_KINDS, population.model.state_rows, "v"
        lo, hi = built.rank_partition.own(population)
        here = np.where((index >= lo) & (index < hi), first + index - lo, -1)
        leak = np.append(built.topology.leak, 0.0)  # the last entry is for nodes of other ranks
    if record.variable in state_rows:
        rows[:, 1] = state_rows.index(record.variable)
    elif record.variable in kinds:
        rows[:, 0] = kinds[record.variable]
    else:
        names = ", ".join([*state_rows, *kinds])
        raise InputError(f"{record.name!r} has no variable {record.variable!r}; it has: {names}")
    rows[:, 2] = here
    return rows, leak[here] if record.variable == voltage else 0.0, index


def _synapses(arrays: Arrays, record: Record) -> Found:
    """Rows of a variable of the synapses of a projection."""
    known = [name for name in _SYNAPSE_KINDS if name != "trace" or arrays.built.learning.eprop_plus]
    if record.variable not in known:
        raise InputError(f"{record.name!r} has no variable {record.variable!r}; it has: {', '.join(known)}")
    where, branches, groups = order_on_all_ranks(arrays, record.name)
    rows = np.zeros((where.size, PROBE_COLUMNS), np.int64)
    rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = _SYNAPSE_KINDS[record.variable], branches, where, groups
    index = _index(record, where.size)
    return rows[index], 0.0, index


def _listed(wanted: object) -> list[Any]:
    """The items of ``record``, each a `Record` or its arguments."""
    one = isinstance(wanted, Record) or (
        isinstance(wanted, tuple) and 2 <= len(wanted) <= 3 and isinstance(name_of(wanted[0]), str)
    )
    items = (
        [wanted] if one else list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
    )
    for item in items:
        if not isinstance(item, Record) and not (isinstance(item, tuple) and 2 <= len(item) <= 3):
            raise InputError(f'record takes pairs such as ("rec", "v") or ("rec", "v", [0, 1]), got {item!r:.80}')
    return items


def _index(record: Record, size: int) -> np.ndarray:
    if record.index is None:
        return np.arange(size)
    if isinstance(record.index, slice):
        return _sliced(record, size)
    index = np.atleast_1d(real_numbers(f"record {record.name!r}: indices", record.index, InputError))
    if index.dtype == bool and index.shape == (size,):
        return np.flatnonzero(index)
    if index.size and (index.ndim != 1 or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= size):
        raise InputError(
            f"record {record.name!r}: indices must be whole numbers in 0..{size - 1}, got {record.index!r}"
        )
    return index.astype(np.int64)


def _sliced(record: Record, size: int) -> np.ndarray:
    try:
        return np.arange(size)[record.index]
    except TypeError:
        raise InputError(f"record {record.name!r}: a slice takes whole numbers, got {record.index!r}") from None


# Reads steps and sources of the spikes of sources ``first:stop``.
Read = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


class SpikeReader:
    """Collects the spikes of a run from the log of the online loop, before the log is overwritten.

    Parameters
    ----------
    arrays : Arrays
    wanted : list of Population
        Populations that are not readouts.
    """

    def __init__(self, arrays: Arrays, wanted: Sequence[Population]):
        self._arrays, self._wanted, self._first = arrays, wanted, arrays.t
        self._parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {p.name: [] for p in wanted}

    def limit(self, n_steps: int) -> int:
        """Largest number of ``n_steps`` steps that may run before the log must be read."""
        return min(n_steps, self._arrays.online.logged_steps - 1)

    def read(self) -> None:
        """Read the spikes since the last call."""
        online, begin, end = self._arrays.online, self._first, self._arrays.t
        for p in self._wanted:
            found = _of_population(self._arrays, p, lambda first, stop: online.spikes(first, stop, begin, end))
            self._parts[p.name].append(found)
        self._first = end

    def spikes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of each population, on all ranks."""
        return {name: _joined(self._arrays, parts) for name, parts in self._parts.items()}


def spikes_of_sample(
    arrays: Arrays, wanted: list[Population], core: Core, lane: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times (ms) and nodes of the spikes of each population, on all ranks, for the last sample of a lane of the core."""

    def read(first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        found: tuple[np.ndarray, np.ndarray] = core.spikes_of_sample(lane, first, stop)
        return found

    return {p.name: _joined(arrays, [_of_population(arrays, p, read)]) for p in wanted}


def _of_population(arrays: Arrays, population: Population, read: Read) -> tuple[np.ndarray, np.ndarray]:
    """Steps and nodes of the spikes of one population that this rank contributes."""
    partition = arrays.built.rank_partition
    first = int(arrays.built.topology.populations["first_source"][population.index])
    own, lo = partition.own_sources(population), partition.own(population)[0]
    if population.model.role != "neuron" and partition.comm.rank > 0:
        own = slice(0, 0)  # every rank has all inputs, and one rank contributes them
    steps, sources = read(first + own.start, first + own.stop)
    return steps, sources - (first + own.start - lo)


def _joined(arrays: Arrays, parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    none = np.zeros(0, np.int64)
    steps, nodes = (np.concatenate([none, *(part[k] for part in parts)]) for k in range(2))
    steps, nodes = arrays.exchange.spikes(steps, nodes)
    return (steps + 1.0) * arrays.network.dt, nodes
