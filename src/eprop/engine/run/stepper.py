"""One step at a time: a network that receives its inputs while it runs, and returns its outputs at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.build.drives import refuse_modulation
from eprop.engine.run.checks import check_state
from eprop.engine.run.collapse import CollapseWatch
from eprop.engine.run.results import name_of
from eprop.engine.run.rewiring import Rewirer
from eprop.engine.run.samples import NO_REWARD_TRACE
from eprop.engine.state.access import refuse
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError
from eprop.models import EventSource
from eprop.parameters import brief, is_finite_number, real_numbers, refuse_masks

Given = lib.Given
StepStatus = lib.StepStatus
_PROBLEMS = {
    StepStatus.target: "target holds values that are not finite",
    StepStatus.shares: "target must hold class probabilities, none negative, that sum to one: its readouts have a softmax",
    StepStatus.signal: "signal holds values that are not finite",
    StepStatus.modulator: "modulator must be a finite number",
    StepStatus.reward: "reward must be a finite number",
    StepStatus.error: "error holds values that are infinite",
    StepStatus.no_reward: NO_REWARD_TRACE,
    StepStatus.no_step_before: "error belongs to the step before, and this is the first step; leave it out",
}


_FORM = int(StepStatus.form)


class Stepper:
    """A network that runs step by step; made by `Simulator.stepper`."""

    def __init__(
        self,
        arrays: Arrays,
        inputs: object,
        readouts: object,
        learn: bool,
        rewirer: Rewirer | None,
        watch: CollapseWatch,
    ):
        self._arrays, self._rewirer, network = arrays, rewirer, arrays.network
        self._watch = watch
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
        refuse_modulation(network, "stepper")
        shown = _chosen("readouts", readouts, list(spans["readout"]))
        aims = {name: spans["readout"][name] for name in shown}
        source = -1 if self._only is None else self._only
        self._step = lib.Stepper(
            arrays.built.topology, network.seed, not learn, arrays.threads, source, _place(aims), _place(spans["neuron"]),
            watch.spikes, watch.sums,
        )  # fmt: skip
        y = self._step.y
        y.flags.writeable = False
        views = {name: y[spans["readout"][name]] for name in shown}
        self._y: Any = views[shown[0]] if len(shown) == 1 else views
        self._targets = _Places("target", self._step.target, aims)
        self._errors = _Places("error", self._step.error, aims)
        self._signals = _Places("signal", self._step.signal, spans["neuron"])

    def __repr__(self) -> str:
        with self._arrays.access.reading:
            return f"Stepper(at {self._arrays.t * self._arrays.network.dt:g} ms)"

    @property
    def rewarded(self) -> bool:
        """Whether synapses have an `eprop.RewardTrace`, and so learn from the ``reward`` of a step."""
        return bool(self._step.rewarded)

    @property
    def loss(self) -> float:
        """Loss of the last step, of all readouts that had a target."""
        return float(self._step.loss)

    @property
    def spikes(self) -> int:
        """Spikes of all neurons in the last step."""
        return int(self._step.spikes)

    def step(
        self, channels: object = None, *, target: object = None, signal: object = None, modulator: float = 1.0,
        reward: float = 0.0, error: object = None,
    ) -> Any:  # fmt: skip
        """Simulate one step; the bits equal those of `Simulator.run` with the same inputs, without dropout.

        Parameters
        ----------
        channels : array of int, or dict
            Active input channels of this step, in any order; for several inputs a dict by name. None means no events. A
            channel is active once: repeated channels count once. An int64 or int32 array is fastest.
        target : array, or dict
            ``(size,)`` of the readouts, or a dict by population name: compared with the outputs of this step. Without a target
            there is no error.
        signal : array, or dict
            ``(size,)``, added to the learning signals that arrive in this step at the only neuron population; for several
            populations a dict by name.
        modulator : float
            Factor of all learning signals that arrive in this step.
        reward : float
            Reward of this step for the `eprop.RewardTrace` of synapses, such as the temporal-difference error of the step
            before. It multiplies what the errors of that step and earlier ones have left in the trace.
        error : array, or dict
            ``(size,)``: derivative of a loss with respect to the outputs that the step before returned. It replaces the errors
            of that step, and arrives in this step. Where it is NaN, the error of the step before stays.

        Returns
        -------
        ndarray, shape (size,), or dict
            Outputs of the readouts after this step, mV: a view that is valid until the next step. For several populations a dict.

        Raises
        ------
        InputError
            If an argument does not fit the network; then the step has not taken place.
        DivergenceError
            If a voltage or weight is no longer finite, or a voltage exceeds 1e9 mV. Detected within 256 steps, or at once if an
            output or the loss is not finite.
        """
        # One call of the core does all of it, if no argument needs conversion.
        try:
            status = self._arrays.online.step(self._step, channels, target, signal, error, modulator, reward, 0)
        except TypeError:
            status = _FORM
        if status:
            if status == _FORM:
                status = self._convert_and_step(channels, target, signal, error, modulator, reward)
            self._judge(status)
        if self._rewirer is not None:
            with self._arrays.access:
                self._rewirer.learned(1)
        return self._y

    def _convert_and_step(
        self, channels: object, target: object, signal: object, error: object, modulator: object, reward: object
    ) -> int:
        """Simulate a step whose arguments the core does not read as they are."""
        given = 0
        with self._arrays.access:
            try:
                for bit, places, value in (
                    (Given.target, self._targets, target), (Given.signal, self._signals, signal),
                    (Given.error, self._errors, error),
                ):  # fmt: skip
                    if value is not None:
                        places.put(value)
                        given |= bit
                if channels is not None:
                    self._take(channels)
                factors = _number(StepStatus.modulator, modulator), _number(StepStatus.reward, reward)
                nothing = (None,) * 4  # it is in the stepper already
                return int(self._arrays.online.step(self._step, *nothing, *factors, given))
            except BaseException:
                self._step.forget()
                raise

    def _take(self, channels: object) -> None:
        """Convert events that are not one array: lists, or several inputs."""
        if not isinstance(channels, Mapping):
            if self._only is None:
                raise InputError(
                    f"this stepper has several inputs ({_listed(self._inputs)}): give channels by name, in a dictionary"
                )
            channels = {self._inputs[0]: channels}
        for key, value in channels.items():
            name = name_of(key)
            if name not in self._source:
                raise InputError(f"this stepper has no input {name!r}; it has {_listed(self._inputs)}")
            refuse_masks(f"channels of {name!r}", value, InputError)
            try:
                array = np.asarray(value)
            except ValueError as error:  # ragged lists
                raise _no_channels(value) from error
            size = self._arrays.network.population(name).size
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise _no_channels(value)
            if array.size == size and np.isin(array, (0, 1)).all() and np.unique(array).size < size:
                raise _no_channels(value)
            if not self._step.take(self._source[name], np.require(array, np.int64, ["C", "A"])):
                raise InputError(
                    f"input {name!r}: channels must lie in 0..{size - 1}, got {array.min()}..{array.max()}"
                )

    def _judge(self, status: int) -> None:
        """Raise the error of a status, or look for values that are not finite."""
        if status == StepStatus.done:
            return
        if status == StepStatus.busy:
            refuse(self._arrays.access)
        if status != StepStatus.check:
            raise InputError(_PROBLEMS[StepStatus(status)])
        arrays = self._arrays
        if found := arrays.online.judge(self.loss, arrays.threads):
            check_state(arrays, "step", found)
        self._watch.advanced()


class _Places:
    """Views of an array of the core, by population, for the arguments of a step."""

    def __init__(self, label: str, array: np.ndarray, spans: Mapping[str, slice]):
        self._label, self._views = label, {name: array[span] for name, span in spans.items()}
        self._only = next(iter(spans)) if len(spans) == 1 else None

    def put(self, value: object) -> None:
        """Write the argument of a step, an array for the only population or a dictionary."""
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
        if self._label == "target" and np.isnan(value).any():  # NaN stands for no target
            raise InputError(f"{_PROBLEMS[StepStatus.target]}; leave it out in a step without target")
        view[:] = value


def _number(status: lib.StepStatus, value: Any) -> float:
    """A number that a step is given, as a float; `InputError` with the words of the status if it is none."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not is_finite_number(value):
        raise InputError(_PROBLEMS[status])
    return float(value)


def _place(spans: Mapping[str, slice]) -> tuple[int, int]:
    """First element and size of the only span; size -1 if there are several, or none."""
    if len(spans) != 1:
        return 0, -1
    (span,) = spans.values()
    return span.start, span.stop - span.start


def _chosen(label: str, given: Any, known: list[str]) -> list[str]:
    """Names of the chosen populations; the default is all."""
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


def _no_channels(value: object) -> InputError:
    return InputError(
        f"channels must be one list of whole numbers, the active channels; got {brief(value)}; for a dense array give "
        "np.flatnonzero"
    )
