"""What a run records: the values of chosen variables, and the spikes of chosen populations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.ranks.exchange import Core, Exchange
from eprop.engine.run.results import Record, name_of
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import branches_at, order_on_all_ranks
from eprop.errors import InputError
from eprop.models import Neuron
from eprop.network import Population
from eprop.parameters import real_numbers

Probe = lib.Probe
# Recorded variables: rows of (kind, row of the state or axon branch, index, delay group).
NO_PROBES = np.zeros((0, 4), np.int64)
PROBE_COLUMNS = NO_PROBES.shape[1]
_NEURON_KINDS = {"surrogate": Probe.psi, "learning_signal": Probe.signal}
_READOUT_KINDS = {"y": Probe.readout, "error": Probe.error}
_SYNAPSE_KINDS = {"weight": Probe.weight, "trace": Probe.trace}


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


def make_probes(arrays: Arrays, wanted: object) -> Probes:
    """Make probes for the ``record`` argument of `Simulator.run`.

    Raises
    ------
    InputError
        If the network has no such variables.
    """
    if isinstance(wanted, tuple) and not wanted:  # the default
        return Probes()
    return _Finder(arrays).find(Probes(), _listed(wanted))


class _Finder:
    """Finds the positions of variables in the arrays of the engine."""

    def __init__(self, arrays: Arrays):
        self._network, self._built, self._arrays = arrays.network, arrays.built, arrays
        self._index: dict[tuple[str, str], np.ndarray] = {}

    def find(self, found: Probes, items: list[Any]) -> Probes:
        """Fill ``found`` with the requested variables."""
        rows, offsets = [NO_PROBES], [np.zeros(0)]
        for item in items:
            record = item if isinstance(item, Record) else Record(*item)
            self._check_new(record)
            part, offset = self._resolve(record)
            rows.append(part)
            offsets.append(np.broadcast_to(offset, len(part)))
            found.columns.append(((record.name, record.variable), slice(found.count, found.count + len(part))))
            found.count += len(part)
        table = np.concatenate(rows)
        found._positions, found.index = np.flatnonzero(table[:, 2] >= 0), self._index
        found.table = np.ascontiguousarray(table[found._positions])
        found._offsets = np.concatenate(offsets)[found._positions]
        return found

    def _check_new(self, record: Record) -> None:
        """Refuse a variable that is requested twice."""
        if (record.name, record.variable) in self._index:
            raise InputError(
                f"record requests {record.variable!r} of {record.name!r} twice; request it once, with all indices, as in "
                f'("{record.name}", "{record.variable}", [1, 2])'
            )

    def _resolve(self, record: Record) -> tuple[np.ndarray, np.ndarray | float]:
        for projection in self._network.projections:
            if projection.name == record.name:
                return self._synapses(record)
        population = self._network.population(record.name)
        index = self._chosen(record, population.size)
        first = int(self._built.topology.populations["target_begin"][population.index])
        role = population.model.role
        if role == "source":
            raise InputError(f"{record.name!r} is a source: record its spikes with spikes=[{record.name!r}]")
        if role == "readout":
            kind = _READOUT_KINDS.get(record.variable)
            first -= self._built.n_neurons
            offset = self._built.topology.readouts["leak"][first + index] if record.variable == "y" else 0.0
            here = first + index if self._built.rank_partition.comm.rank == 0 else np.full(index.size, -1)
            names: Iterable[str] = _READOUT_KINDS
        else:
            kind, offset = _NEURON_KINDS.get(record.variable), 0.0
            lo, hi = self._built.rank_partition.own(population)
            here = np.where((index >= lo) & (index < hi), first + index - lo, -1)
            assert isinstance(population.model, Neuron)
            state_rows = population.model.state_rows
            names = [*state_rows, *_NEURON_KINDS]
            if record.variable in state_rows:
                rows = np.zeros((index.size, PROBE_COLUMNS), np.int64)
                rows[:, 1] = state_rows.index(record.variable)
                rows[:, 2] = here
                leak = np.append(self._built.leak, 0.0)  # the last entry is for nodes of other ranks
                return rows, leak[here] if record.variable == "v" else 0.0
        if kind is None:
            raise InputError(f"{record.name!r} has no variable {record.variable!r}; it has: {', '.join(names)}")
        rows = np.zeros((index.size, PROBE_COLUMNS), np.int64)
        rows[:, 0], rows[:, 2] = kind, here
        return rows, offset

    def _synapses(self, record: Record) -> tuple[np.ndarray, float]:
        kind = _SYNAPSE_KINDS.get(record.variable)
        if kind is None or (kind == Probe.trace and not self._built.has_eprop_plus):
            known = [name for name in _SYNAPSE_KINDS if name != "trace" or self._built.has_eprop_plus]
            raise InputError(f"{record.name!r} has no variable {record.variable!r}; it has: {', '.join(known)}")
        order = order_on_all_ranks(self._arrays, record.name)
        rows = np.zeros((order.size, PROBE_COLUMNS), np.int64)
        rows[:, 0], rows[:, 2] = kind, order
        rows[:, 1], rows[:, 3] = branches_at(self._built, order)
        return rows[self._chosen(record, order.size)], 0.0

    def _chosen(self, record: Record, size: int) -> np.ndarray:
        """Indices of the recorded nodes or synapses, out of ``size``."""
        index = self._index[record.name, record.variable] = _index(record, size)
        return index


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

    def __init__(self, arrays: Arrays, wanted: list[Population]):
        self._arrays, self._wanted, self._first = arrays, wanted, arrays.t
        self._parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {p.name: [] for p in wanted}

    def limit(self, n_steps: int) -> int:
        """Largest number of ``n_steps`` steps that may run before the log must be read."""
        return min(n_steps, len(self._arrays.history.log_start) - 2)

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
