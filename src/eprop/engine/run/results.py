"""Results of runs and of samples, and the request for recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from eprop.errors import InputError, optional_module
from eprop.markup import table
from eprop.network import Population, Projection
from eprop.parameters import Floats, Integers, brief


class ByValue:
    """Base of dataclasses that are equal if all their numbers are; NaN equals NaN."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)


def _same(a: object, b: object) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")
    return bool(np.all(a == b))


@dataclass(frozen=True)
class Record:
    """Request to record one variable of chosen nodes or synapses at every step.

    Parameters
    ----------
    name : str, Population or Projection
        A population (``"rec"``) or a projection (``"in->rec"``).
    variable : str
        Neurons: ``"v"`` (mV) and the other state variables; ``"surrogate"`` (1/mV); ``"learning_signal"`` (mV times the unit
        of the error), the errors that arrive at the neuron in this step. Readouts: ``"y"`` (mV); ``"error"`` (mV; without unit
        for `CrossEntropy`). Projections: ``"weight"`` (mV); in a network that learns by `EPropPlus` also ``"trace"`` (1/mV),
        the filtered eligibility one step before the last spike arrived, or at the cutoff. The trace is a staircase, because
        the engine does not step it between spikes; it is 0 onto readouts. `EProp` computes gradients backwards and keeps no
        traces: it learns from the errors that a neuron's spike of this step will cause, which are unknown in this step.
        Spikes have their own argument, ``spikes=``.
    index : sequence of int, slice or mask, optional
        Nodes, or synapses in the order of `Simulator.connections`. The default is all. Request a variable once in a run.
    """

    name: str
    variable: str
    index: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of(self.name))


class _ByName(dict[str, Any]):
    """Results of a run by population name; for a missing name, the error lists the names and says how to record it."""

    what: ClassVar[str]
    advice: ClassVar[str]

    def __missing__(self, key: object) -> Any:
        if (name := name_of(key)) in self:
            return self[name]
        known = ", ".join(map(repr, self)) or "nothing"
        raise InputError(f"no {self.what} of {brief(name)}; there are those of: {known}; {self.advice}")


class Outputs(_ByName):
    """Voltages of readouts by name."""

    what, advice = "readout voltages", 'to record v of neurons, give record=[("rec", "v")]'


class Spikes(_ByName):
    """Spikes by name of the population."""

    what, advice = "spikes", 'to record spikes, give run() the argument spikes=["rec"], without spikes_to'


@dataclass(eq=False)
class Recording(ByValue):
    """The results of a run.

    Attributes
    ----------
    times : (steps,) ms, the end of each step, or of each interval with ``interval=``
    y : dict of (steps, readouts), readout voltages, mV
    loss : (steps,) loss of each step, or sum over an interval: mV², or nats with `CrossEntropy`
    spikes : dict of (times in ms, node indices), if requested
    traces : dict of (steps, nodes) under ``(name, variable)``
    index : dict of (nodes,), the nodes or synapses of the columns of each trace
    """

    times: Floats
    y: Outputs
    loss: Floats
    spikes: Spikes = field(default_factory=Spikes)
    traces: dict[tuple[str, str], Floats] = field(default_factory=dict)
    index: dict[tuple[str, str], Integers] = field(default_factory=dict)

    def __getitem__(self, key: object) -> Floats:
        key = (name_of(key[0]), key[1]) if isinstance(key, tuple) and len(key) == 2 else key
        if key not in self.traces:
            known = ", ".join(map(str, self.traces)) or "nothing"
            raise InputError(f"{key} was not recorded; recorded: {known}")
        return self.traces[key]

    def to_pandas(self, what: str = "steps") -> Any:
        """Return the recording as a table (extra ``pandas``).

        Parameters
        ----------
        what : {"steps", "spikes"}
            Outputs (mV), recorded variables and the loss of each step; or all spikes, a row for each.

        Returns
        -------
        pandas.DataFrame
            Steps: the index is the time (ms), columns have the levels population, variable, and node or synapse. Spikes: the
            columns ``time`` (ms), ``population`` and ``node``, in the order of time.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        InputError
            If ``what`` is something else.
        """
        pandas: Any = optional_module("pandas", "pandas", "Recording.to_pandas")
        if what == "spikes":
            rows = [(times, np.full(times.size, name), nodes) for name, (times, nodes) in self.spikes.items()]
            columns: list[Any] = [np.concatenate(part) for part in zip(*rows, strict=True)] if rows else [[], [], []]
            table_of_spikes = pandas.DataFrame(dict(zip(("time", "population", "node"), columns, strict=True)))
            return table_of_spikes.sort_values(["time", "population", "node"], kind="stable", ignore_index=True)
        if what != "steps":
            raise InputError(f'to_pandas takes "steps" or "spikes", got {brief(what)}')
        parts = {(name, "y"): (y, np.arange(y.shape[1])) for name, y in self.y.items()}
        parts |= {key: (trace, self.index[key]) for key, trace in self.traces.items()}
        keys = [(*key, int(node)) for key, (_, nodes) in parts.items() for node in nodes]
        values = np.column_stack([self.loss, *(array for array, _ in parts.values())])
        header = pandas.MultiIndex.from_tuples([("", "loss", 0), *keys], names=["population", "variable", "node"])
        return pandas.DataFrame(values, pandas.Index(self.times, name="time"), header)

    def to_xarray(self) -> Any:
        """Return the recording as labelled arrays (extra ``xarray``).

        Returns
        -------
        xarray.Dataset
            ``loss`` along ``time`` (ms); ``NAME_y`` of readouts and ``NAME_VARIABLE`` of recorded variables along ``time`` and
            ``NAME_VARIABLE_node``; ``NAME_spike_time`` (ms) and ``NAME_spike_node`` along ``NAME_spike``. Units are attributes.

        Raises
        ------
        MissingExtraError
            If xarray is not installed.
        """
        xarray: Any = optional_module("xarray", "xarray", "Recording.to_xarray")
        parts = {f"{name}_y": (y, np.arange(y.shape[1])) for name, y in self.y.items()}
        parts |= {
            f"{name}_{variable}": (trace, self.index[name, variable]) for (name, variable), trace in self.traces.items()
        }
        data: dict[str, Any] = {key: (("time", f"{key}_node"), array) for key, (array, _) in parts.items()}
        data["loss"] = "time", self.loss
        for name, (times, nodes) in self.spikes.items():
            data |= {f"{name}_spike_time": (f"{name}_spike", times), f"{name}_spike_node": (f"{name}_spike", nodes)}
        found = xarray.Dataset(data, {"time": self.times} | {f"{key}_node": nodes for key, (_, nodes) in parts.items()})
        for key in ("time", *(f"{name}_spike_time" for name in self.spikes)):
            found[key].attrs["units"] = "ms"
        for key in (f"{name}_y" for name in self.y):
            found[key].attrs["units"] = "mV"
        return found

    def __repr__(self) -> str:
        parts = [f"{self.times.size} steps to {_last(self.times):g} ms"]
        parts += [f"y[{name!r}] {y.shape}" for name, y in self.y.items()]
        parts += [f"{times.size} spikes of {name!r}" for name, (times, _) in self.spikes.items()]
        parts += [f"{key} {trace.shape}" for key, trace in self.traces.items()]
        return f"Recording({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """Table of all recorded variables, for notebooks."""
        rows: list[tuple[str, str, str]] = [
            (f"y[{name!r}]", f"{_shape(y)} (steps x readouts)", f"{_range(y)} mV") for name, y in self.y.items()
        ]
        rows.append(("loss", _shape(self.loss), f"{self.loss.sum() / max(self.loss.size, 1):.4g} per step"))
        rows += [
            (f"spikes[{name!r}]", f"{times.size:,} spikes", f"of {np.unique(nodes).size:,} nodes")
            for name, (times, nodes) in self.spikes.items()
        ]
        rows += [(f"[{name!r}, {variable!r}]", _shape(t), _range(t)) for (name, variable), t in self.traces.items()]
        title = f"Recording of {self.times.size:,} steps, to {_last(self.times):g} ms"
        return table(title, rows, ("what", "shape", "values"))


def _last(times: Floats) -> float:
    """End of the last row; 0 without rows."""
    return float(times[-1]) if times.size else 0.0


class RunStopped(KeyboardInterrupt):
    """Ctrl-C stopped a run; the simulator is at the end of the recording, and continues from there.

    Attributes
    ----------
    recording : Recording
        What was recorded so far.
    exit_code : int
    """

    def __init__(self, message: str, exit_code: int, recording: Recording):
        super().__init__(message)
        self.exit_code, self.recording = exit_code, recording


def _shape(array: np.ndarray) -> str:
    return " x ".join(f"{size:,}" for size in array.shape)


def _range(array: np.ndarray) -> str:
    if not array.size or np.isnan(array).all():
        return ""
    return f"{np.nanmin(array):.4g} to {np.nanmax(array):.4g}"


def name_of(part: object) -> Any:
    """Name of a population or projection; a name is returned unchanged."""
    return part.name if isinstance(part, (Population, Projection)) else part


@dataclass(eq=False)
class BatchResult(ByValue):
    """Results of samples, in the order of the samples.

    Attributes
    ----------
    loss : (n,) loss of each sample, summed over the learning window
    y : (n, n_steps, readouts) readout voltages, mV
    spikes : (n,) spikes of all neurons, or None if not counted
    events : int, synaptic events: arrivals of spikes at synapses
    neuron_spikes : dict of (size,), by population: spikes of each neuron in all samples, or None if not counted
    """

    loss: Floats
    y: Floats
    spikes: Integers | None
    events: int
    neuron_spikes: dict[str, Integers] | None = None

    def __repr__(self) -> str:
        parts = [f"{self.loss.size} samples", f"loss {np.mean(self.loss):g} on average", f"y {self.y.shape}"]
        parts += [f"{np.sum(self.spikes):,} spikes"] if self.spikes is not None else []
        return f"BatchResult({'; '.join([*parts, f'{self.events:,} synaptic events'])})"

    def _repr_html_(self) -> str:
        """Table of means, for notebooks."""
        rows: list[tuple[str, object]] = [("loss of a sample, mean", float(np.mean(self.loss)))]
        rows.append(("y (samples x steps x readouts)", " x ".join(map(str, self.y.shape))))
        if self.spikes is not None:
            rows.append(("spikes of a sample, mean", float(np.mean(self.spikes))))
        rows.append(("synaptic events", int(self.events)))
        return table(f"Result of {self.loss.size:,} samples", rows)
