"""One step at a time: a network that is told what is known as it runs, and answers at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.run.divergence import check_voltages, check_weights
from eprop.engine.run.latency import Latency
from eprop.engine.run.one_thread import OneThread
from eprop.engine.run.recording import name_of
from eprop.engine.run.samples import NOTHING_WAITS
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError
from eprop.models import EventSource
from eprop.parameters import brief, is_finite_number, real_numbers

_clock = time.perf_counter_ns
# What a step is given beside events: bits, as in core/stepper.hpp.
_TARGET, _SIGNAL, _ERROR = 1, 2, 4


class _Status(IntEnum):
    """What came of a step, as in core/stepper.hpp."""

    done = 0
    channel = 1
    target = 2
    shares = 3
    signal = 4
    modulator = 5
    error = 6
    no_step_before = 7
    look = 8
    reward = 9


_PROBLEMS = {
    _Status.target: "target holds values that are not finite",
    _Status.shares: "target must hold shares of classes, none negative, which add up to one: its readouts have a softmax",
    _Status.signal: "signal holds values that are not finite",
    _Status.modulator: "modulator must be a finite number",
    _Status.reward: "reward must be a finite number",
    _Status.error: "error holds values that are infinite",
    _Status.no_step_before: "error is that of the step before, and this is the first one; leave it out",
}


class Stream:
    """A network that runs on, step by step; made by `Simulator.stream`.

    Attributes
    ----------
    latency : Latency
        Durations of `step`, from its call to its return.
    """

    def __init__(self, arrays: Arrays, inputs: Any, readouts: Any, learn: bool, alone: OneThread):
        self._arrays, self._alone, self._lock, network = arrays, alone, alone.lock, arrays.network
        table, n = arrays.built.topology.populations, arrays.built.n_neurons
        spans: dict[str, dict[str, slice]] = {"neuron": {}, "readout": {}, "source": {}}
        for p in network.populations:
            first = n if p.model.role == "readout" else 0
            begin, stop = (int(table[name][p.index]) - first for name in ("target_begin", "target_end"))
            spans[p.model.role][p.name] = slice(begin, stop)
        events = [p.name for p in network.populations if isinstance(p.model, EventSource)]
        self._inputs = _chosen("inputs", inputs, events)
        self._source = {name: events.index(name) for name in self._inputs}
        self._only = self._source[self._inputs[0]] if len(self._inputs) == 1 else None
        self._step = lib.Stepper(
            arrays.built.topology, network.seed, not learn, arrays.threads, -1 if self._only is None else self._only
        )
        shown = _chosen("readouts", readouts, list(spans["readout"]))
        y = self._step.y
        y.flags.writeable = False
        views = {name: y[spans["readout"][name]] for name in shown}
        self._y: Any = views[shown[0]] if len(shown) == 1 else views
        aims = {name: spans["readout"][name] for name in shown}
        self._targets = _Places("target", self._step.target, aims)
        self._errors = _Places("error", self._step.error, aims)
        self._signals = _Places("signal", self._step.signal, spans["neuron"])
        self._rewarded = arrays.built.reward_cutoff > 0
        self.latency = Latency()

    def __repr__(self) -> str:
        return f"Stream(at {self._arrays.t * self._arrays.network.dt:g} ms; {self.latency})"

    @property
    def loss(self) -> float:
        """Loss of the last step, of all readouts that had a target."""
        return float(self._step.loss)

    @property
    def spikes(self) -> int:
        """Spikes of all neurons in the last step."""
        return int(self._step.spikes)

    def step(
        self, channels: Any = None, *, target: Any = None, signal: Any = None, modulator: float = 1.0, reward: float = 0.0,
        error: Any = None,
    ) -> Any:  # fmt: skip
        """Simulate one step; the bits are those of `Simulator.run` with the same inputs.

        Parameters
        ----------
        channels : array of int, or dict
            Channels of the input that are active in this step, in any order; of several inputs by name. None: silence. A channel
            is active once: what is repeated counts once. An int64 or int32 array costs least.
        target : array, or dict
            ``(size,)`` of the readouts, of several populations by name: what their outputs of this step are compared with.
            Without a target there is no error.
        signal : array, or dict
            ``(size,)``, added to the learning signals that arrive in this step at the only population of neurons; of several by
            name.
        modulator : float
            Factor of all learning signals that arrive in this step.
        reward : float
            What is told in this step to what waits for it in an `eprop.RewardTrace`, such as the temporal-difference error of the
            step before: it multiplies what the errors of that step, and of those before, have left there.
        error : array, or dict
            ``(size,)``: the derivative of some loss by the outputs that the step before returned. It replaces the errors of that
            step, and arrives in this one. Where it is NaN the error stays.

        Returns
        -------
        ndarray, shape (size,), or dict
            Outputs of the readouts after this step, mV: a view that is valid until the next step. Of several populations by name.

        Raises
        ------
        InputError
            If what is given does not fit the network; then the step has not taken place.
        DivergenceError
            If a voltage or weight is no longer finite, or a voltage exceeds 1e9 mV; found within 256 steps, or once an output or
            the loss is no number.
        """
        began, told = _clock(), 0
        if not self._lock.acquire(False):
            self._alone.refuse()
        try:
            if target is not None:
                self._targets.put(target)
                told = _TARGET
            if signal is not None:
                self._signals.put(signal)
                told |= _SIGNAL
            if error is not None:
                self._errors.put(error)
                told |= _ERROR
            if channels is not None and (type(channels) is not np.ndarray or self._only is None):
                self._take(channels)
                channels = None
            try:
                if reward != 0.0 and not self._rewarded:
                    raise InputError(NOTHING_WAITS)
                status = self._arrays.stream.step(self._step, channels, modulator, reward, told)
            except (TypeError, IndexError):
                status = self._step_once_more(channels, modulator, reward, told)
            if status:
                self._judge(status)
        except BaseException:
            self._step.forget()
            raise
        finally:
            self._lock.release()
        self.latency.add(_clock() - began)
        return self._y

    def _take(self, channels: Any) -> None:
        """Events that are no array of one input: lists, or those of several inputs."""
        if not isinstance(channels, Mapping):
            if self._only is None:
                raise InputError(
                    f"this stream has {_listed(self._inputs)} for inputs: give channels by name, in a dictionary"
                )
            channels = {self._inputs[0]: channels}
        for key, value in channels.items():
            name = name_of(key)
            if name not in self._source:
                raise InputError(f"this stream has no input {name!r}; it has {_listed(self._inputs)}")
            array = np.asarray(value)
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise _no_channels(value)
            try:
                self._step.take(self._source[name], np.ascontiguousarray(array, np.int64))
            except IndexError:
                size = self._arrays.network.population(name).size
                raise InputError(
                    f"input {name!r}: channels must lie in 0..{size - 1}, got {array.min()}..{array.max()}"
                ) from None

    def _step_once_more(self, channels: Any, modulator: Any, reward: Any, told: int) -> int:
        """The core took something not as it is: channels of another type, or what is refused here."""
        if not is_finite_number(modulator):
            raise InputError(_PROBLEMS[_Status.modulator])
        if not is_finite_number(reward):
            raise InputError(_PROBLEMS[_Status.reward])
        if channels is not None:
            self._take(channels)
        return int(self._arrays.stream.step(self._step, None, float(modulator), float(reward), told))

    def _judge(self, status: int) -> None:
        """Refuse what the core refused, or look for numbers that are none."""
        if status != _Status.look:
            raise InputError(_PROBLEMS[_Status(status)])
        check_voltages(self._arrays, "step", self.loss)
        check_weights(self._arrays, "step", self._arrays.stream.weights_finite(self._arrays.threads))


class _Places:
    """Parts of an array of the core, by population, that a step may be given."""

    def __init__(self, label: str, array: np.ndarray, spans: Mapping[str, slice]):
        self._label, self._views = label, {name: array[span] for name, span in spans.items()}
        self._only = next(iter(spans)) if len(spans) == 1 else None
        self._view: Any = self._views[self._only] if self._only is not None else None
        self._shape = None if self._view is None else self._view.shape

    def put(self, value: Any) -> None:
        """Write what a step is given, an array for the only population or a dictionary."""
        if type(value) is np.ndarray and value.shape == self._shape and value.dtype == np.float64:
            self._view[:] = value
            return
        if type(value) is not dict and not isinstance(value, Mapping):
            if self._only is None:
                raise InputError(f"{self._label}: give arrays by name, in a dictionary, of {_listed(self._views)}")
            self._write(self._only, value)
            return
        for key, part in value.items():
            name = name_of(key)
            if name not in self._views:
                raise InputError(f"{self._label}: no population {name!r}; there are: {_listed(self._views)}")
            self._write(name, part)

    def _write(self, name: str, value: Any) -> None:
        view = self._views[name]
        if type(value) is not np.ndarray or value.dtype.kind not in "fiub":
            value = real_numbers(f"{self._label} of {name!r}", value, InputError)
        if value.shape != view.shape:
            raise InputError(f"{self._label} of {name!r} must have shape {view.shape}, got {value.shape}")
        view[:] = value


def _chosen(label: str, given: Any, known: list[str]) -> list[str]:
    """Names of populations: all that there are, unless some are chosen."""
    if given is None:
        return known
    several = isinstance(given, (list, tuple))
    names = [name_of(one) for one in (given if several else [given])]
    for name in names:
        if name not in known:
            raise InputError(f"{label}: there is no {brief(name)}; there are: {_listed(known)}")
    return names


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _no_channels(value: Any) -> InputError:
    return InputError(
        f"channels are whole numbers in one list, the channels that are active; got {brief(value)}; of a dense array take "
        "np.flatnonzero"
    )
