"""Samples in the form of the engine: events, targets and learning windows of one run, or of many of equal length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.check import NOTICEABLE, check_room, refusing_failed_allocations
from eprop.engine.run.results import ByValue
from eprop.engine.run.sample_events import find_events, of_lanes
from eprop.errors import InputError
from eprop.models import EventSource, Readout
from eprop.network import Network
from eprop.parameters import Floats, Integers, brief, check_count, real_numbers

# Largest count of samples, lanes or steps; products of a larger one would have no room in 64 bits.
MOST = 10**18
# Offsets into the events are stored for every step of every sample.
MOST_STEPS = 2**31
NO_REWARD_TRACE = "reward: no projection of this network uses it; give projections EPropPlus(reward=RewardTrace())"
# Stand for a missing modulator or reward, and for no events.
NONE_GIVEN, NO_EVENTS = np.zeros((0, 0)), np.zeros(0, np.int32)
# Sizes of the sources, and of the readouts with or without softmax, for which samples are made.
Shape = tuple[tuple[int, ...], tuple[tuple[int, bool], ...]]


class InputPart(NamedTuple):
    """A population with events or targets: its name and size, its first column, whether it has a softmax."""

    name: str
    size: int
    first: int
    softmax: bool = False
    loss: Any = None


@dataclass(frozen=True, eq=False)
class SampleLayout:
    """Requirements of a network on its samples; made once for all runs of a simulator.

    Attributes
    ----------
    dt : ms
    sources, readouts : event sources and readouts, in the order of the network
    n_readouts : columns of targets
    neurons : sizes of the populations of neurons by name, in the order of the network
    made_for : see `Samples`
    no_target, no_window : (1, 1, n_readouts), (1, 1, populations of readouts or 1)
        The target of a sample that has none, and the window that is always open.
    rewarded : whether some projection has a reward trace
    """

    dt: float
    sources: tuple[InputPart, ...]
    readouts: tuple[InputPart, ...]
    n_readouts: int
    neurons: Mapping[str, int]
    made_for: Shape
    no_target: Floats
    no_window: Floats
    rewarded: bool = False

    @cached_property
    def sizes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Sizes of event sources and of readouts, by name."""
        return {p.name: p.size for p in self.sources}, {p.name: p.size for p in self.readouts}

    @classmethod
    def of(cls, network: Network) -> SampleLayout:
        """Make the layout of a network's populations."""
        sources = tuple(InputPart(p.name, p.size, 0) for p in network.populations if isinstance(p.model, EventSource))
        readouts, n = [], 0
        for p in network.populations:
            if isinstance(p.model, Readout):
                readouts.append(InputPart(p.name, p.size, n, bool(p.model.loss.softmax), p.model.loss))
                n += p.size
        neurons = {p.name: p.size for p in network.populations if p.model.role == "neuron"}
        made_for = tuple(p.size for p in sources), tuple((p.size, p.softmax) for p in readouts)
        rewarded = any(getattr(p.rule, "reward", None) is not None for p in network.projections)
        nothing = np.full((1, 1, n), np.nan), np.ones((1, 1, max(len(readouts), 1)))
        return cls(network.dt, sources, tuple(readouts), n, neurons, made_for, *nothing, rewarded)


@dataclass(eq=False)
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
        return self._changed(
            lambda array: array[chosen] if len(array) == self.n else array,
            event_start=starts, event_channels=np.concatenate(parts or [NO_EVENTS]), n=chosen.size,
            labels=None if self.labels is None else self.labels[chosen],
        )  # fmt: skip

    def steps(self, begin: int, stop: int) -> Samples:
        """Steps ``begin:stop`` of a single sample."""
        start = np.ascontiguousarray(self.event_start[:, begin : stop + 1])
        return self._changed(
            lambda array: array[:, begin:stop] if array.shape[1] == self.n_steps else array,
            event_start=start, n_steps=stop - begin,
        )  # fmt: skip

    def _changed(self, change: Callable[[np.ndarray], np.ndarray], **others: Any) -> Samples:
        """Other samples, by a change of each array with axes of samples and of steps."""
        changes: dict[str, Any] = {
            name: change(getattr(self, name)) for name in ("target", "window", "modulator", "reward")
        }
        for name in ("signals", "currents"):
            changes[name] = {key: change(values) for key, values in getattr(self, name).items()}
        return replace(self, **changes, **others)

    @property
    def window_of_readouts(self) -> np.ndarray:
        """The window of each readout, (n or 1, n_steps, readouts)."""
        sizes = [size for size, _ in self.made_for[1]]
        return np.repeat(self.window[:, :, : len(sizes)], sizes, axis=2)

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


def _chosen(which: Any, n: int) -> np.ndarray:
    """Indices of the samples that an index expression selects."""
    try:
        chosen = np.atleast_1d(np.arange(n)[which])
    except IndexError:
        raise IndexError(f"no sample index {which!r:.80}: there are {n} samples, counted from 0") from None
    if chosen.ndim != 1 or not chosen.size:
        raise IndexError(f"choose at least one of {n} samples, by a number, a slice or a list; got {which!r:.80}")
    return chosen


class Given(NamedTuple):
    """Arguments of a run or of samples in the user's form; see `Simulator.samples`."""

    inputs: Any = None
    targets: Any = None
    window: Any = None
    labels: Any = None
    signals: Any = None
    modulator: Any = None
    reward: Any = None


def make_samples(
    network: Network | SampleLayout,
    n: int,
    n_steps: int,
    inputs: Mapping[str, Any] | None = None,
    targets: Mapping[str, Any] | None = None,
    window: object = None,
    labels: object = None,
    **external: object,
) -> Samples:
    """Make samples for a network, which no simulator needs to have built; the arguments of `Simulator.samples`.

    Raises
    ------
    InputError, MemoryLimitError
        As for `Simulator.samples`.
    """
    layout = network if isinstance(network, SampleLayout) else SampleLayout.of(network)
    n, n_steps = count_of("samples", n), count_of("steps", n_steps)
    with refusing_failed_allocations():
        return Arrangement(layout, n, n_steps).samples(Given(inputs, targets, window, labels, **external))


class Arrangement:
    """Checks arrays in the user's form, and arranges them as `Samples`.

    Parameters
    ----------
    layout : SampleLayout
    n, n_steps : int
    run : bool
        Whether the arrays are those of a run: one sample, without an axis of samples.
    one : str
        What a sample is called.
    """

    def __init__(self, layout: SampleLayout, n: int, n_steps: int, run: bool = False, one: str = "sample"):
        self.layout, self.n, self.n_steps, self.run, self.one = layout, n, n_steps, run, one

    def lanes(self, channels: object) -> Samples:
        """Make the samples of lanes, from events by steps, lanes and channels; see `Lanes.run`."""
        n, n_steps, sources = self.n, self.n_steps, self.layout.sources
        given = zip(sources, by_source(channels, self.layout), strict=True)
        return self.samples(
            Given({p.name: of_lanes(p.name, p.size, part, n, n_steps) for p, part in given if part is not None})
        )

    def samples(self, given: Given) -> Samples:
        """Make the samples.

        Raises
        ------
        InputError, MemoryLimitError
        """
        layout, n, n_steps, sources = self.layout, self.n, self.n_steps, len(self.layout.sources)
        if n * n_steps > MOST_STEPS:
            raise InputError(
                f"{n} {self.one}s of {n_steps} steps are more than {MOST_STEPS} steps; give them in several parts"
            )
        needed = 8 * n * n_steps * (sources + 1)
        if needed > NOTICEABLE:
            check_room(f"the events of {n:,} x {n_steps:,} steps", needed, "give them in parts")
        starts = np.zeros((sources, n * n_steps + 1), np.int64)
        channels, currents = self._inputs(given.inputs, starts)
        window = self._window(given.window)
        target, labels = self._target(given.targets, given.labels, window)
        signals, modulator = self.external(given.signals, given.modulator)
        if given.reward is not None and not layout.rewarded:
            raise InputError(NO_REWARD_TRACE)
        reward = NONE_GIVEN if given.reward is None else self._of_steps("reward", given.reward)
        return Samples(
            starts, channels, target, window, n, n_steps, labels, signals, modulator, reward, currents, layout.made_for
        )

    def external(self, signals: object, modulator: object) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Make ``signals`` and ``modulator`` of `Samples`."""
        found = {}
        if signals is not None:
            given = by_name("signals", signals)
            check_names("population of neurons", given, self.layout.neurons)
            found = self.of_neurons("signals", given)
        return found, NONE_GIVEN if modulator is None else self._of_steps("modulator", modulator)

    def of_neurons(self, what: str, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Make ``signals`` or ``currents`` of `Samples`, in the order of the network."""
        out = {}
        for name, size in self.layout.neurons.items():
            if name not in given:
                continue
            value = self.array(f"{what} {name!r}", given[name], size)
            if value.dtype.kind == "b":
                raise InputError(f"{what} {name!r} must be numbers, got True and False; spikes need an EventSource")
            out[name] = np.array(value, np.float64, order="C")
            if not lib.all_finite(out[name]):
                raise InputError(f"{what} {name!r} hold values that are not finite")
        return out

    def array(self, label: str, value: object, size: int, constant: bool = False) -> np.ndarray:
        """An array (n, n_steps, size); also (n, 1, size) if it may be ``constant``: the same in all steps."""
        given, n, n_steps = real_numbers(label, value, InputError), self.n, self.n_steps
        shape = given.shape
        if constant and size == 1 and given.ndim == 2 - self.run:
            given = given[..., None]  # one readout needs no axis
        if self.run:
            given = given[None, None] if constant and given.ndim == 1 else given[None]
        if given.shape == (n, n_steps, size) or (constant and given.shape == (n, 1, size)):
            return given
        if self.run:
            wanted = f"({n_steps}, {size}) = (steps, size)" + f" or ({size},)" * constant
        else:
            wanted = f"({n}, {n_steps}{' or 1' * constant}, {size})"
        raise InputError(f"{label} must have shape {wanted}, got {shape}")

    def _inputs(self, given: object, starts: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Make ``event_channels`` and ``currents`` of `Samples`; write the offsets of the former to ``starts``."""
        if given is None:
            return NO_EVENTS, {}
        layout, inputs, parts, offset = self.layout, by_name("inputs", given), [], 0
        for p, start in zip(layout.sources, starts, strict=True):
            if p.name in inputs:
                parts.append(find_events(p.name, p.size, inputs[p.name], self, start))
                if offset:
                    start += offset
                offset += parts[-1].size
        currents = {}
        if len(parts) < len(inputs):
            check_names("event source", inputs, layout.sizes[0], layout.neurons)
            currents = self.of_neurons("currents into", inputs)
        return parts[0] if len(parts) == 1 else np.concatenate([NO_EVENTS, *parts]), currents

    def _target(self, given: object, labels: object, window: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Make ``target`` and ``labels`` of `Samples`."""
        if given is None and labels is None and self.n == 1:
            return self.layout.no_target, None
        readouts, targets = self.layout.readouts, {} if given is None else by_name("targets", given)
        if labels is not None:
            found = _labels(() if targets else readouts, labels, self.n)
            return np.eye(readouts[0].size)[found][:, None, :], found
        arrays, length = dict[str, np.ndarray](), 1
        for p in readouts:
            if p.name in targets:
                arrays[p.name] = value = self.array(f"target {p.name!r}", targets[p.name], p.size, constant=True)
                length = max(length, value.shape[1])
        if len(arrays) < len(targets):
            check_names("readout", targets, self.layout.sizes[1])
        out = np.empty((self.n, length, self.layout.n_readouts))
        for p in readouts:
            out[:, :, p.first : p.first + p.size] = arrays.get(p.name, np.nan)
        finite = lib.all_finite(out)
        for k, p in enumerate(readouts):
            if not finite and p.name in arrays and not np.isfinite(arrays[p.name]).all():
                raise InputError(f"target {p.name!r} holds values that are not finite")
            if p.softmax and p.name in arrays:
                _check_shares(p, arrays[p.name], window[:, :, k] != 0.0)
        return out, None

    def _window(self, window: object) -> np.ndarray:
        """Make ``window`` of `Samples`."""
        readouts = self.layout.readouts
        shape = 1, self.n_steps, len(readouts) or 1
        if window is None:
            out = np.empty(shape)
            out.fill(1.0)
            return out
        if not isinstance(window, Mapping):
            return np.repeat(self._of_steps("window", window)[:, :, None], shape[2], axis=2)
        own = by_name("window", window)
        check_names("readout", own, self.layout.sizes[1])
        found = {name: self._of_steps(f"window of {name!r}", value) for name, value in own.items()}
        out = np.ones((max([1, *map(len, found.values())]), *shape[1:]))
        for k, p in enumerate(readouts):
            out[:, :, k] = found.get(p.name, 1.0)
        return out

    def _of_steps(self, label: str, values: object) -> np.ndarray:
        """A number for each step, of all samples or of each sample, (1 or n, n_steps)."""
        n, n_steps, out = self.n, self.n_steps, real_numbers(label, values, InputError).astype(np.float64)
        if out.shape not in ((n_steps,), (n, n_steps), (1, n_steps)):
            raise InputError(f"{label} must have shape ({n_steps},) or ({n}, {n_steps}), got {out.shape}")
        if not np.all(np.isfinite(out)):
            raise InputError(f"{label} must hold finite numbers")
        return np.ascontiguousarray(np.atleast_2d(out))


def _labels(readouts: tuple[InputPart, ...], labels: object, n: int) -> np.ndarray:
    """Check classes of samples; each has a readout."""
    out = real_numbers("labels", labels, InputError)
    if out.shape != (n,):
        raise InputError(f"labels must be {n} whole numbers, got shape {out.shape}")
    if out.dtype.kind == "f" and (fractions := np.flatnonzero(~np.isfinite(out) | (out != np.rint(out)))).size:
        raise InputError(f"labels must be {n} whole numbers, but label {fractions[0]} is {out[fractions[0]]:g}")
    if len(readouts) != 1:
        raise InputError("labels need exactly one readout population, and no targets")
    if out.min() < 0 or out.max() >= readouts[0].size:
        raise InputError(
            f"labels must lie in 0..{readouts[0].size - 1}, got {out.min()}..{out.max()}: each class needs a readout, and "
            f"there are {readouts[0].size}"
        )
    return np.asarray(out.astype(np.int64))


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


def count_of(what: str, value: object) -> int:
    """Check a count, at least one."""
    count = check_count(f"number of {what}", value, InputError)
    if count > MOST:
        raise InputError(f"number of {what} must be at most {MOST:,}, got {brief(value)}")
    return count


def by_name(what: str, given: object) -> dict[str, Any]:
    """Values for populations, which are given in a dictionary, by name; a key may be the population itself."""
    if type(given) is not dict and not isinstance(given, Mapping):
        raise InputError(f"{what} must be a dictionary from names of populations to arrays, got {type(given).__name__}")
    out: dict[str, Any] = {}
    for key, value in given.items():
        name: Any = key if type(key) is str else getattr(key, "name", key)
        if name in out:
            raise InputError(f"{name!r} is given twice, by its name and as a population")
        out[name] = value
    return out


def by_source(channels: object, layout: SampleLayout) -> tuple[Any, ...]:
    """Events of lanes in the user's form, see `Lanes.step`: those of each event source, or None."""
    names = layout.sizes[0]
    if type(channels) is not dict and not isinstance(channels, Mapping):
        if len(names) == 1:
            return (_as_bytes(channels),)
        if channels is None:
            return (None,) * len(names)
        raise InputError(
            f"step takes channels by the names of the event sources ({', '.join(names) or 'none'}) in a dictionary"
        )
    given = by_name("channels", channels)
    for name in given:
        if name in layout.neurons:
            raise InputError(f"lanes take no currents into {name!r}; Lanes.forward and train do, from samples")
        if name not in names:
            raise InputError(f"no event source named {name!r}; there are: {', '.join(names) or 'none'}")
    return tuple(_as_bytes(given.get(name)) for name in names)


def _as_bytes(given: object) -> Any:
    """View booleans as bytes, which the core reads; return other values unchanged."""
    return given.view(np.uint8) if type(given) is np.ndarray and given.dtype == np.bool_ else given


def check_names(
    what: str, given: Mapping[str, Any], names: Mapping[str, int], others: Mapping[str, int] | None = None
) -> None:
    """Refuse names of populations that are neither one of ``names``, which the message lists, nor of ``others``."""
    if unknown := given.keys() - names.keys() - (others or {}).keys():
        known = ", ".join(names) or "none"
        raise InputError(f"no {what} named {', '.join(map(repr, sorted(unknown)))}; there are: {known}")
