"""Samples in the form of the engine: events, targets and learning windows of one run, or of many; and in that of the core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine.build.constants import is_changed_by_currents
from eprop.engine.build.drives import current_gains, drive_factors
from eprop.engine.build.neurons import neurons_of, row_of
from eprop.engine.run.results import ByValue
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError
from eprop.models import EventSource, Readout
from eprop.models.learned import learned_of
from eprop.network import Network, Population
from eprop.parameters import Floats, Integers

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


def without_dropped(network: Network, samples: Samples, clock: int) -> Samples:
    """Samples as a network learns from them, without the events that `EventSource.dropout` drops.

    A draw depends only on (the network's seed, source, channel, step), so that to drop twice changes nothing.

    Parameters
    ----------
    network : Network
    samples : Samples
        Made for the network.
    clock : int
        Step of the network's random numbers in the first step of the first sample.
    """
    sources = [(p, p.model.dropout) for p in network.populations if isinstance(p.model, EventSource)]
    if not any(share for _, share in sources):
        return samples
    starts, parts, position = [], [], 0
    for (p, share), start in zip(sources, samples.event_start, strict=True):
        channels = samples.event_channels[start[0] : start[-1]]
        steps = np.repeat(np.arange(start.size - 1), np.diff(start))
        seed = random.derive(network.seed, random.SHUFFLE, p.index)
        kept = random.uniform(seed, random.SHUFFLE, channels, clock + steps) >= share
        counts = np.bincount(steps[kept], minlength=start.size - 1)
        starts.append(position + np.concatenate([[0], np.cumsum(counts)]))
        parts.append(channels[kept])
        position += int(counts.sum())
    return replace(samples, event_start=np.stack(starts), event_channels=np.concatenate(parts))


class External(NamedTuple):
    """External values of samples or lanes, besides errors; see `Simulator.samples`."""

    signals: Mapping[str, np.ndarray]
    modulator: np.ndarray
    reward: np.ndarray = NONE_GIVEN


def set_inputs(request: lib.Request, arrays: Arrays, samples: Samples | None, first_step: int = 0) -> None:
    """Give a request of ``n_steps`` the inputs of samples; drives that change with time begin at ``first_step``.

    Raises
    ------
    InputError
        If neurons take no current, or learn a constant on which its effect depends.
    """
    if arrays.network.stimulations:
        request.drive = drive_factors(arrays.network, request.n_steps, first_step)
    if samples is None:
        return
    request.event_start, request.event_channels = samples.event_start, samples.event_channels
    request.target, request.window = samples.target, samples.window
    if samples.signals or samples.modulator.size or samples.reward.size:
        set_external(request, arrays, samples)
    if samples.currents:
        effects = {name: _effect(arrays, arrays.network.population(name)) for name in samples.currents}
        values, first = _own_columns(arrays, {name: c * effects[name][0] for name, c in samples.currents.items()})
        row = np.full(first.size, -1, np.int64)  # row of the state that takes the current, or -1
        for name, effect in effects.items():
            row[arrays.network.population(name).index] = effect[2]
        rest = _own_columns(arrays, {name: effect[1][None, None] for name, effect in effects.items()})[0]
        request.currents = values, first, row, rest.ravel()


def set_external(request: lib.Request, arrays: Arrays, external: Samples | External) -> None:
    """Give a request signals, modulator and reward."""
    signals, first = _own_columns(arrays, external.signals)
    request.external = signals, first, external.modulator, external.reward


def _own_columns(arrays: Arrays, given: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Values of the neurons of this rank.

    Returns
    -------
    values : (n or 0, n_steps, columns) float64
    first : (populations,) int64
        Column of a population's first own neuron, or -1.
    """
    first, parts, column = np.full(len(arrays.network.populations), -1, np.int64), [], 0
    for name, values in given.items():
        population = arrays.network.population(name)
        begin, stop = arrays.built.rank_partition.own(population)
        parts.append(values[:, :, begin:stop])
        first[population.index] = column
        column += stop - begin
    return np.ascontiguousarray(np.concatenate(parts, axis=2)) if parts else np.zeros((0, 0, 0)), first


def _effect(arrays: Arrays, p: Population) -> tuple[Floats, Floats, int]:
    """Input for 1 pA and what remains of it after a step (size,), and the row of the state that takes it, or -1."""
    if p.index not in arrays.current_effects:
        if learned := [f"{p.name}.{name}" for name in learned_of(p.model) if is_changed_by_currents(name)]:
            raise InputError(
                f"the effect of currents into {p.name!r} depends on {', '.join(learned)}, which learns; give spikes of an "
                "EventSource, or the constant as a number"
            )
        models = neurons_of(arrays.network, p)
        if (gains := current_gains(models, p.size, arrays.network.dt)) is None:
            raise InputError(
                f"{type(p.model).__name__} of {p.name!r} takes no current; give it a method current_gain, or spikes of an "
                "EventSource"
            )
        arrays.current_effects[p.index] = (*gains, row_of(models[0], "current"))
    return arrays.current_effects[p.index]
