"""Choose what a run records, and hand it back under names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.engine.build import Built
from eprop.engine.by_value import ByValue
from eprop.engine.order import axons_at
from eprop.engine.ranks import Ranks
from eprop.errors import InputError
from eprop.kernels import layout as lay
from eprop.network import Network, Population, Projection
from eprop.parameters import brief, real_numbers

_NEURON_KINDS = {"surrogate": lay.PROBE_PSI, "learning_signal": lay.PROBE_SIGNAL}
_READOUT_KINDS = {"y": lay.PROBE_READOUT, "error": lay.PROBE_ERROR}
_SYNAPSE_KINDS = {"weight": lay.PROBE_WEIGHT, "trace": lay.PROBE_TRACE}


@dataclass(frozen=True)
class Record:
    """One variable of chosen nodes or synapses, at every step.

    Parameters
    ----------
    name : str, Population or Projection
        A population (``"rec"``) or a projection (``"in->rec"``).
    variable : str
        Neurons: ``"v"`` (mV) and the other state variables; ``"surrogate"`` (1/mV); ``"learning_signal"`` (mV times the unit
        of the error), the errors that have reached the neuron by this step. Readouts: ``"y"`` (mV); ``"error"`` (mV, of
        `CrossEntropy` a number). Projections: ``"weight"`` (mV); in a network that learns by `EPropPlus` ``"trace"`` (1/mV),
        the filtered eligibility as it was a step before the last spike arrived, or at the cutoff: a staircase, for nobody
        steps it in between, and 0 onto readouts. `EProp` computes gradients backwards and keeps no traces; what it
        learns from is the errors that a neuron's spike of this step will cause, which no step knows. Spikes are always
        recorded if asked for by ``spikes=``.
    index : sequence of int, slice or mask, optional
        Nodes, or synapses in the order of `Simulator.connections`; all by default. A variable is asked for once in a run.
    """

    name: str
    variable: str
    index: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _name_of(self.name))


class _ByName(dict[str, Any]):
    """What a run leaves of populations, by their names; of one that is not there, it says what is, and how to get it."""

    def __init__(self, found: Mapping[str, Any], what: str, advice: str) -> None:
        super().__init__(found)
        self._what, self._advice = what, advice

    def __missing__(self, key: Any) -> Any:
        if (name := _name_of(key)) in self:
            return self[name]
        known = ", ".join(map(repr, self)) or "nothing"
        raise InputError(f"no {self._what} of {brief(name)}; there are those of: {known}; {self._advice}")


@dataclass(eq=False)
class Recording(ByValue):
    """What a run leaves behind.

    Attributes
    ----------
    times : (steps,) ms, the end of each step
    y : dict of (steps, readouts), readout voltages, mV
    loss : (steps,) loss of each step: mV², or nats with `CrossEntropy`
    spikes : dict of (times in ms, node indices), if asked for
    traces : dict of (steps, nodes) under ``(name, variable)``
    index : dict of (nodes,), which nodes, or synapses, the columns of each of ``traces`` are
    """

    times: np.ndarray
    y: dict[str, np.ndarray]
    loss: np.ndarray
    spikes: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    traces: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    index: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.y = _ByName(self.y, "readout voltages", 'v of neurons is recorded with record=[("rec", "v")]')
        self.spikes = _ByName(self.spikes, "spikes", 'ask run() for them, with spikes=["rec"]')

    def __getitem__(self, key: Any) -> np.ndarray:
        key = (_name_of(key[0]), key[1]) if isinstance(key, tuple) and len(key) == 2 else key
        if key not in self.traces:
            known = ", ".join(map(str, self.traces)) or "nothing"
            raise InputError(f"{key} was not recorded; recorded: {known}")
        return self.traces[key]

    def __repr__(self) -> str:
        parts = [f"{self.times.size} steps to {self.times[-1]:g} ms"]
        parts += [f"y[{name!r}] {y.shape}" for name, y in self.y.items()]
        parts += [f"{times.size} spikes of {name!r}" for name, (times, _) in self.spikes.items()]
        parts += [f"{key} {trace.shape}" for key, trace in self.traces.items()]
        return f"Recording({'; '.join(parts)})"


def _name_of(part: Any) -> Any:
    """Name of a population or projection; a name stays as it is."""
    return part.name if isinstance(part, (Population, Projection)) else part


class Probes:
    """Rows for the compiled loop, and the way back to names.

    Attributes
    ----------
    count : int
        Recorded values of a step, those of all ranks.
    """

    def __init__(
        self,
        network: Network,
        built: Built,
        wanted: Iterable[Record | tuple[Any, ...]],
        order: Callable[[str], np.ndarray],
    ):
        self.rows: list[np.ndarray] = []
        self.columns: list[tuple[tuple[str, str], slice]] = []
        self.index: dict[tuple[str, str], np.ndarray] = {}
        self._network, self._built, self._order = network, built, order
        at, offsets = 0, [np.zeros(0)]
        for item in _listed(wanted):
            record = item if isinstance(item, Record) else Record(*item)
            self._check_new(record)
            rows, offset = self._resolve(record)
            self.rows.append(rows)
            offsets.append(np.broadcast_to(offset, len(rows)))
            self.columns.append(((record.name, record.variable), slice(at, at + len(rows))))
            at += len(rows)
        table = np.concatenate(self.rows) if self.rows else np.zeros((0, lay.PROBE_COLUMNS), np.int64)
        # Of several ranks each reads what it owns; the others see a row without an index there.
        self.count, self._positions = at, np.flatnonzero(table[:, 2] >= 0)
        self.table, self._offsets = table[self._positions], np.concatenate(offsets)[self._positions]

    def collect(self, values: np.ndarray, ranks: Ranks) -> dict[tuple[str, str], np.ndarray]:
        """Recorded values of all ranks under their names; voltages get their leak potential back."""
        found = ranks.columns(values + self._offsets, self._positions, self.count)
        return {key: found[:, span] for key, span in self.columns}

    def _check_new(self, record: Record) -> None:
        """A recording has one place for each variable."""
        if any(key == (record.name, record.variable) for key, _ in self.columns):
            raise InputError(
                f"record asks twice for {record.variable!r} of {record.name!r}; ask once, for all indices, as in "
                f'("{record.name}", "{record.variable}", [1, 2])'
            )

    def _resolve(self, record: Record) -> tuple[np.ndarray, np.ndarray | float]:
        for projection in self._network.projections:
            if projection.name == record.name:
                return self._synapses(record)
        population = self._network.population(record.name)
        index = self._chosen(record, population.size)
        first = int(self._built.topology.populations[population.index, lay.POP_LO])
        role = population.model.role
        if role == "source":
            raise InputError(f"{record.name!r} is a source: record its spikes with spikes=[{record.name!r}]")
        if role == "readout":
            kind = _READOUT_KINDS.get(record.variable)
            first -= self._built.initial.shape[1]
            offset = self._built.readout_offset[first + index] if record.variable == "y" else 0.0
            here = first + index if self._built.share.comm.rank == 0 else np.full(index.size, -1)
            names: Iterable[str] = _READOUT_KINDS
        else:
            kind, offset = _NEURON_KINDS.get(record.variable), 0.0
            lo, hi = self._built.share.own(population)
            here = np.where((index >= lo) & (index < hi), first + index - lo, -1)
            names = [*population.model.state_rows, *_NEURON_KINDS]
            if record.variable in population.model.state_rows:
                rows = np.zeros((index.size, lay.PROBE_COLUMNS), np.int64)
                rows[:, 1] = population.model.state_rows.index(record.variable)
                rows[:, 2] = here
                leak = np.append(self._built.leak, 0.0)  # the last one is for what is not here
                return rows, leak[here] if record.variable == "v" else 0.0
        if kind is None:
            raise InputError(f"{record.name!r} has no variable {record.variable!r}; there are: {', '.join(names)}")
        rows = np.zeros((index.size, lay.PROBE_COLUMNS), np.int64)
        rows[:, 0], rows[:, 2] = kind, here
        return rows, offset

    def _synapses(self, record: Record) -> tuple[np.ndarray, float]:
        kind = _SYNAPSE_KINDS.get(record.variable)
        if kind is None or (kind == lay.PROBE_TRACE and not self._built.has_plus):
            known = [name for name in _SYNAPSE_KINDS if name != "trace" or self._built.has_plus]
            raise InputError(f"{record.name!r} has no variable {record.variable!r}; there are: {', '.join(known)}")
        order = self._order(record.name)
        rows = np.zeros((order.size, lay.PROBE_COLUMNS), np.int64)
        rows[:, 0], rows[:, 2] = kind, order
        rows[:, 1], rows[:, 3] = axons_at(self._built, order)
        return rows[self._chosen(record, order.size)], 0.0

    def _chosen(self, record: Record, size: int) -> np.ndarray:
        """Which of so many nodes, or synapses, are recorded."""
        index = self.index[record.name, record.variable] = _index(record, size)
        return index


def _listed(wanted: Any) -> list[Any]:
    """The items of ``record``, each a `Record` or the arguments of one."""
    one = isinstance(wanted, Record) or (
        isinstance(wanted, tuple) and 2 <= len(wanted) <= 3 and isinstance(_name_of(wanted[0]), str)
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
