"""Samples in the form of the engine: events, targets and learning windows of many runs of equal length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.memory import check_room, refusing_failed_allocations
from eprop.engine.run.layout import (
    Given,
    InputPart,
    SampleLayout,
    Shape,
    by_name,
    check_names,
    count_of,
)
from eprop.engine.run.results import ByValue
from eprop.engine.run.sample_events import events_of
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError
from eprop.markup import table
from eprop.network import Network
from eprop.parameters import Floats, Integers, real_numbers

# Offsets into the events are stored for every step of every sample.
MOST_STEPS = 2**31
NO_REWARD_TRACE = "reward: no projection of this network uses it; give projections EPropPlus(reward=RewardTrace())"
# Stands for a missing modulator or reward.
NONE_GIVEN = np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Samples(ByValue):
    """``n`` samples of ``n_steps`` steps each; ``samples[3]``, ``samples[:10]`` and ``samples[[4, 2]]`` select samples.

    Attributes
    ----------
    event_start : (event sources, n * n_steps + 1) int64
        ``event_channels[event_start[c, k] : event_start[c, k + 1]]`` are the channels of source ``c`` that are active
        in step ``k % n_steps`` of sample ``k // n_steps``.
    event_channels : (events,) int32
    target : (n, n_steps or 1, readouts) float64
        NaN for all readouts of a population without a target, which has no error and no loss.
    window : (n or 1, n_steps, populations of readouts or 1) float64
        Weight of each step in loss and error, of any sign: 0 outside the learning window.
    labels : (n,) int, or None
    signals : dict of (n, n_steps, size) float64
        For neuron populations by name: added to their learning signals that arrive in a step.
    modulator : (n, 1 or 0; n_steps) float64
        Factor of all learning signals that arrive in a step.
    reward : (n, 1 or 0; n_steps) float64
        Reward of a step for the reward traces, see `eprop.RewardTrace`.
    currents : dict of (n, n_steps, size) float64
        For neuron populations by name: current into each neuron in a step, pA.
    made_for : sizes of the sources and of the readouts, and which of these have a softmax
    """

    event_start: Integers
    event_channels: np.ndarray
    target: Floats
    window: Floats
    n: int
    n_steps: int
    labels: Integers | None = None
    signals: Mapping[str, Floats] = field(default_factory=dict)
    modulator: Floats = field(default_factory=lambda: NONE_GIVEN)
    reward: Floats = field(default_factory=lambda: NONE_GIVEN)
    currents: Mapping[str, Floats] = field(default_factory=dict)
    made_for: Shape = ((), ())

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Samples]:
        return (self[k] for k in range(self.n))

    def __getitem__(self, which: object) -> Samples:
        chosen = _chosen(which, self.n)
        steps = (chosen[:, None] * self.n_steps + np.arange(self.n_steps)).ravel()
        lengths = np.diff(self.event_start)[:, steps]
        starts = np.zeros((len(lengths), steps.size + 1), np.int64)
        np.cumsum(lengths, axis=1, out=starts[:, 1:])
        starts[1:] += np.cumsum(starts[:, -1])[:-1, None]
        # The channels of a sample are contiguous for each source.
        edges = self.event_start[:, :: self.n_steps]
        parts = [self.event_channels[edge[k] : edge[k + 1]] for edge in edges for k in chosen]
        window, modulator, reward = (
            part if len(part) <= 1 else part[chosen] for part in (self.window, self.modulator, self.reward)
        )
        return replace(
            self, event_start=starts, event_channels=np.concatenate(parts or [self.event_channels[:0]]),
            target=self.target[chosen], window=window, n=chosen.size, labels=None if self.labels is None else self.labels[chosen],
            signals={name: values[chosen] for name, values in self.signals.items()}, modulator=modulator,
            currents={name: values[chosen] for name, values in self.currents.items()}, reward=reward,
        )  # fmt: skip

    def steps(self, begin: int, stop: int) -> Samples:
        """Steps ``begin:stop`` of a single sample."""
        span = slice(begin, stop)
        target = self.target[:, span] if self.target.shape[1] > 1 else self.target
        return replace(
            self, event_start=np.ascontiguousarray(self.event_start[:, begin : stop + 1]), target=target,
            window=self.window[:, span], n_steps=stop - begin, modulator=self.modulator[:, span], reward=self.reward[:, span],
            signals={name: values[:, span] for name, values in self.signals.items()},
            currents={name: values[:, span] for name, values in self.currents.items()},
        )  # fmt: skip

    @property
    def window_of_readouts(self) -> np.ndarray:
        """The window of each readout, (n or 1, n_steps, readouts)."""
        sizes = [size for size, _ in self.made_for[1]]
        return np.repeat(self.window[:, :, : len(sizes)], sizes, axis=2)

    def silent_loss(self, begin: int, stop: int) -> float:
        """Loss of outputs at zero in steps ``begin:stop`` of all samples in sequence; 0 if a weight of the window is negative."""
        sample, step = np.divmod(np.arange(begin, stop), self.n_steps)
        window = self.window[sample if len(self.window) > 1 else 0, step]
        target = np.nan_to_num(self.target[sample, step if self.target.shape[1] > 1 else 0])
        loss, first = 0.0, 0
        for k, (size, softmax) in enumerate(self.made_for[1] if window.min(initial=0.0) >= 0.0 else ()):
            part = target[:, first : first + size]
            each = np.log(size) * part if softmax else 0.5 * part**2
            loss += float(window[:, k] @ each.sum(axis=1))
            first += size
        return loss

    def __repr__(self) -> str:
        parts = [f"{self.n} samples of {self.n_steps} steps", f"{self.event_channels.size:,} events"]
        parts += [
            f"target {self.target.shape}",
            f"{np.count_nonzero(self.window.any(axis=(0, 2)))} steps in the window",
        ]
        parts += ["labels"] if self.labels is not None else []
        parts += [f"currents into {name!r}" for name in self.currents]
        parts += [f"signals of {name!r}" for name in self.signals] + ["modulator"] * bool(len(self.modulator))
        parts += ["reward"] * bool(len(self.reward))
        return f"Samples({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """Table of sizes, for notebooks."""
        rows: list[tuple[str, object]] = [
            ("steps of a sample", self.n_steps),
            ("events", self.event_channels.size),
            ("target", " x ".join(map(str, self.target.shape))),
            ("steps in the window", int(np.count_nonzero(self.window.any(axis=(0, 2))))),
        ]
        if self.labels is not None:
            classes, counts = np.unique(self.labels, return_counts=True)
            rows.append(("samples of each class", ", ".join(f"{k}: {n}" for k, n in zip(classes, counts, strict=True))))
        return table(f"{self.n:,} samples", rows)


def _chosen(which: Any, n: int) -> np.ndarray:
    """Indices of the samples that an index expression selects."""
    try:
        chosen = np.atleast_1d(np.arange(n)[which])
    except IndexError:
        raise IndexError(f"no sample index {which!r:.80}: there are {n} samples, counted from 0") from None
    if chosen.ndim != 1 or not chosen.size:
        raise IndexError(f"choose at least one of {n} samples, by a number, a slice or a list; got {which!r:.80}")
    return chosen


def make_samples(
    network: Network,
    n: int,
    n_steps: int,
    inputs: Mapping[str, Any] | None = None,
    targets: Mapping[str, Any] | None = None,
    window: object = None,
    labels: object = None,
    **external: object,
) -> Samples:
    """Make samples for a network that no simulator has built, such as a task's; the arguments of `Simulator.samples`.

    Raises
    ------
    InputError, MemoryLimitError
        As for `Simulator.samples`.
    """
    given = Given(inputs, targets, window, labels, **external)
    return arrange_samples(SampleLayout.of(network), n, n_steps, given)


def arrange_samples(layout: SampleLayout, n: int, n_steps: int, given: Given) -> Samples:
    """Check and convert the arguments of `Simulator.samples`."""
    given = given._replace(inputs=by_name("inputs", given.inputs), targets=by_name("targets", given.targets))
    n, n_steps = count_of("samples", n), count_of("steps", n_steps)
    if n * n_steps > MOST_STEPS:
        raise InputError(f"{n} samples of {n_steps} steps are more than {MOST_STEPS} steps; give them in several parts")
    needed = 8 * n * n_steps * (len(layout.sources) + 1)
    check_room(f"the events of {n:,} x {n_steps:,} steps", needed, "give them in parts")
    with refusing_failed_allocations():
        return _arranged(layout, n, n_steps, given)


def _arranged(layout: SampleLayout, n: int, n_steps: int, given: Given) -> Samples:
    into_neurons = {name: value for name, value in given.inputs.items() if name in layout.neurons}
    events = {name: value for name, value in given.inputs.items() if name not in into_neurons}
    starts, channels = events_of(layout, events, n, n_steps)
    currents = _of_neurons("currents into", layout, into_neurons, n, n_steps)
    window = _window(layout, given.window, n, n_steps)
    target = _targets(layout, given.targets, given.labels, n, n_steps, window)
    labels = _labels(given.labels, n)
    signals, modulator = arrange_external(layout, n, n_steps, given.signals, given.modulator)
    reward = _reward(layout, given.reward, n, n_steps)
    external = signals, modulator, reward, currents
    return Samples(starts, channels, target, window, n, n_steps, labels, *external, layout.made_for)


def _labels(labels: object, n: int) -> np.ndarray | None:
    if labels is None:
        return None
    out = real_numbers("labels", labels, InputError)
    if out.shape != (n,):
        raise InputError(f"labels must be {n} whole numbers, got shape {out.shape}")
    if out.dtype.kind == "f" and (fractions := np.flatnonzero(~np.isfinite(out) | (out != np.rint(out)))).size:
        raise InputError(f"labels must be {n} whole numbers, but label {fractions[0]} is {out[fractions[0]]:g}")
    labels_of_samples: np.ndarray = out.astype(np.int64)
    return labels_of_samples


def _targets(
    layout: SampleLayout, targets: Mapping[str, Any], labels: object, n: int, n_steps: int, window: np.ndarray
) -> np.ndarray:
    """Make ``target`` of `Samples`."""
    if labels is not None:
        return _one_hot(layout.readouts, targets, _labels(labels, n))
    check_names("readout", targets, layout.sizes[1])
    arrays, length = {}, 1
    for name, value in targets.items():
        array = real_numbers(f"target {name!r}", value, InputError)
        if layout.sizes[1][name] == 1 and array.ndim == 2:
            array = array[:, :, None]  # one readout needs no axis
        arrays[name] = array
        if array.ndim == 3 and array.shape[1] != 1:
            length = n_steps
    out = np.empty((n, length, layout.n_readouts))
    for k, p in enumerate(layout.readouts):
        part = out[:, :, p.first : p.first + p.size]
        if p.name not in arrays:
            part[...] = np.nan
            continue
        value = arrays[p.name]
        if value.ndim != 3 or value.shape[0] != n or value.shape[1] not in (1, n_steps) or value.shape[2] != p.size:
            raise InputError(f"target {p.name!r} must have shape ({n}, {n_steps} or 1, {p.size}), got {value.shape}")
        part[...] = value
        if not lib.all_finite(np.ascontiguousarray(part)):
            raise InputError(f"target {p.name!r} holds values that are not finite")
        if p.softmax:
            _check_shares(p, value, window[:, :, k] != 0.0)
    return out


def _check_shares(p: InputPart, value: np.ndarray, opened: np.ndarray) -> None:
    """Check that targets are class probabilities: not negative, with sum one where the window is ``opened``."""
    if value.min() < 0.0:
        raise InputError(f"target {p.name!r} holds negative values; with {p.loss} it holds class probabilities")
    total = value.sum(axis=2)
    wrong = np.argwhere((np.abs(total - 1.0) > 1e-3) & opened)
    if wrong.size:
        sample, step = wrong[0]
        total = np.broadcast_to(total, (len(total), opened.shape[1]))
        raise InputError(
            f"target {p.name!r} sums to {total[sample, step]:g} in step {step} of sample {sample}; "
            f"with {p.loss} it holds class probabilities, which sum to one"
        )


def _one_hot(readouts: tuple[InputPart, ...], targets: Mapping[str, Any], labels: np.ndarray | None) -> np.ndarray:
    assert labels is not None
    if targets or len(readouts) != 1:
        raise InputError("labels need exactly one readout population, and no targets")
    size = readouts[0].size
    if labels.min() < 0 or labels.max() >= size:
        raise InputError(
            f"labels must lie in 0..{size - 1}, got {labels.min()}..{labels.max()}: each class needs a readout, and there "
            f"are {size}"
        )
    return np.eye(size)[labels][:, None, :]


def _window(layout: SampleLayout, window: object, n: int, n_steps: int) -> np.ndarray:
    """Make ``window`` of `Samples`."""
    columns = max(len(layout.readouts), 1)
    if isinstance(window, Mapping):
        own = by_name("window", window)
        check_names("readout", own, layout.sizes[1])
        found = {name: _of_steps(f"window of {name!r}", value, n, n_steps) for name, value in own.items()}
        out = np.ones((max([1, *map(len, found.values())]), n_steps, columns))
        for k, p in enumerate(layout.readouts):
            out[:, :, k] = found.get(p.name, 1.0)
        return out
    out = np.empty((1, n_steps, columns))
    if window is None:
        out.fill(1.0)
        return out
    given = _of_steps("window", window, n, n_steps)
    return np.repeat(given[:, :, None], columns, axis=2)


def _of_steps(label: str, values: object, n: int, n_steps: int) -> np.ndarray:
    """A number for each step, of all samples or of each sample, (1 or n, n_steps)."""
    out = real_numbers(label, values, InputError).astype(np.float64)
    if out.shape not in ((n_steps,), (n, n_steps), (1, n_steps)):
        raise InputError(f"{label} must have shape ({n_steps},) or ({n}, {n_steps}), got {out.shape}")
    if not np.all(np.isfinite(out)):
        raise InputError(f"{label} must hold finite numbers")
    return np.ascontiguousarray(np.atleast_2d(out))


def arrange_external(
    layout: SampleLayout, n: int, n_steps: int, signals: Mapping[str, Any] | None, modulator: object
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Make ``signals`` and ``modulator`` of `Samples`."""
    factors = NONE_GIVEN if modulator is None else _of_steps("modulator", modulator, n, n_steps)
    return _of_neurons("signals", layout, by_name("signals", signals), n, n_steps), factors


def _reward(layout: SampleLayout, reward: object, n: int, n_steps: int) -> np.ndarray:
    """Make ``reward`` of `Samples`."""
    if reward is None:
        return NONE_GIVEN
    if not layout.rewarded:
        raise InputError(NO_REWARD_TRACE)
    return _of_steps("reward", reward, n, n_steps)


def _of_neurons(
    what: str, layout: SampleLayout, given: Mapping[str, Any], n: int, n_steps: int
) -> dict[str, np.ndarray]:
    """Make ``signals`` or ``currents`` of `Samples`, in the order of the network."""
    check_names("population of neurons", given, layout.neurons)
    out = {}
    for name, size in layout.neurons.items():
        if name not in given:
            continue
        value = real_numbers(f"{what} {name!r}", given[name], InputError)
        if value.shape != (n, n_steps, size):
            raise InputError(f"{what} {name!r} must have shape ({n}, {n_steps}, {size}), got {value.shape}")
        if value.dtype.kind == "b":
            raise InputError(f"{what} {name!r} must be numbers, got True and False; spikes need an EventSource")
        out[name] = np.array(value, np.float64, order="C")
        if not lib.all_finite(out[name]):
            raise InputError(f"{what} {name!r} hold values that are not finite")
    return out


_NO_SIGNALS = np.zeros((0, 0, 0)), np.zeros(0, np.int64)


class External(NamedTuple):
    """External values of samples or lanes, besides errors; see `Simulator.samples`."""

    signals: Mapping[str, np.ndarray]
    modulator: np.ndarray
    reward: np.ndarray = NONE_GIVEN


def external_arrays(
    arrays: Arrays, samples: Samples | External
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays for ``External`` of the core.

    Returns
    -------
    signals : (n or 0, n_steps, columns) float64
    first : (populations,) int64
        Column of a population's first own neuron, or -1.
    modulator, reward : (n, 1 or 0; n_steps) float64
    """
    if not samples.signals:
        return (*_NO_SIGNALS, samples.modulator, samples.reward)
    first = np.full(len(arrays.network.populations), -1, np.int64)
    parts: list[Any] = []
    column = 0
    for name, values in samples.signals.items():
        population = arrays.network.population(name)
        begin, stop = arrays.built.rank_partition.own(population)
        parts.append(values[:, :, begin:stop])
        first[population.index] = column
        column += stop - begin
    together = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
    return np.ascontiguousarray(together), first, samples.modulator, samples.reward
