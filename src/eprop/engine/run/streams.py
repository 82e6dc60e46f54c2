"""Parallel streams of e-prop: many environments, one step at a time; learning uses their rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop import random
from eprop.engine.run.divergence import check_losses
from eprop.engine.run.gradient_scaling import rollout_scales
from eprop.engine.run.layout import SampleLayout, count_of, named
from eprop.engine.run.outside import Told
from eprop.engine.run.rollouts import Gradients, check_diverged, check_memory, chosen_streams, errors_of, make_core
from eprop.engine.run.samples import arrange_told
from eprop.engine.run.streams_state import checked_streams
from eprop.engine.state.checks import damaged
from eprop.engine.state.synapse_order import all_synapses
from eprop.errors import InputError
from eprop.parameters import real_numbers

# Streams that do not learn keep at most this many steps.
STEPS_UNLEARNED = 1024
# Results of a step in the core, besides the index of an invalid stream, see core/bindings/rollout.cpp.
WELL, UNREADABLE = -1, -2


class Streams:
    """``n`` copies of a network's state that step together, see `Simulator.streams`.

    A *rollout* is the steps since the last `backward`. The next `step` or `reset` begins a new rollout.

    Attributes
    ----------
    n : int
        Number of streams.
    steps : int
        Steps of this rollout so far.
    """

    def __init__(self, gradients: Gradients, layout: SampleLayout, n: int, steps: int, learn: bool):
        arrays = gradients.arrays
        self.n, self._gradients, self._layout, self._learns = n, gradients, layout, learn
        self._core = make_core(arrays, n, steps, learn)
        self._y = np.zeros((n, arrays.built.n_readouts))
        self._closed = self._partly_replayed = False
        self._weights = -1
        self._names = {p.name: k for k, p in enumerate(layout.sources)}
        self._sizes = [p.size for p in layout.sources]
        seeds = [random.derive(arrays.network.seed, random.POISSON, k) for k in range(n)]
        self._core.set_random(np.array(seeds, np.uint64), np.zeros(n, np.int64))

    def __repr__(self) -> str:
        return f"Streams({self.n} in parallel, {self.steps} steps of this rollout)"

    @property
    def steps(self) -> int:
        """Steps of this rollout so far."""
        return int(self._core.steps)

    @property
    def spikes(self) -> np.ndarray:
        """Spikes of all neurons of each stream in this rollout, ``(n,)`` int64."""
        return np.asarray(self._core.spikes())

    def step(self, channels: Any = None) -> np.ndarray:
        """Simulate one step of all streams.

        Parameters
        ----------
        channels : list, array or dict, optional
            Events of the only event source: a list with an array of active channels (whole numbers) for each stream, or an
            array ``(n, size)`` of zeros and ones. For several sources, a dictionary of these by name; a missing source has no
            events. A channel is active at most once in a step.

        Returns
        -------
        ndarray, shape (n, readouts), float64
            Outputs, mV: a view, valid until the next call.

        Raises
        ------
        InputError
            If the channels do not fit the network; then the state is unchanged.
        DivergenceError
            If an output is not finite, or exceeds 1e9 mV.
        """
        with self._gradients.alone:
            self._go_on()
            given = self._given(channels)
            found = self._core.step(given, self._y)
            if found == UNREADABLE:
                found = self._core.step(tuple(self._readable(k, part) for k, part in enumerate(given)), self._y)
            if found != WELL:
                self._refuse(found)
            return self._y

    def run(self, n_steps: int, channels: Any = None) -> np.ndarray:
        """Simulate several steps of all streams: the bits equal those of repeated `step` calls, in less time.

        Parameters
        ----------
        n_steps : int
        channels : array or dict, optional
            Zeros and ones ``(n_steps, n, size)`` of the only event source, or a dictionary with such an array for each name; a
            missing source has no events.

        Returns
        -------
        ndarray, shape (n, n_steps, readouts), float64
            Outputs, mV.

        Raises
        ------
        InputError, DivergenceError
            As for `step`.
        """
        n_steps = count_of("steps", n_steps)
        with self._gradients.alone:
            self._go_on(n_steps)
            y = np.empty((self.n, n_steps, self._y.shape[1]))
            given = self._given(channels)
            found = self._core.run_steps(given, y)
            if found == UNREADABLE:
                dense = (self._dense(k, part, (n_steps, self.n, self._sizes[k])) for k, part in enumerate(given))
                found = self._core.run_steps(tuple(dense), y)
            if found != WELL:
                self._refuse(found)
            return y

    def reset(self, streams: Any) -> None:
        """End the episodes of some streams after the last step: their networks go to rest, and spikes in flight are dropped.

        `backward` stops at this point: no error of the next episode reaches back into this one.

        Parameters
        ----------
        streams : sequence of int, or bool
            Indices of the streams, or a boolean for each stream.

        Raises
        ------
        InputError
            If there is no such stream.
        """
        with self._gradients.alone:
            chosen = chosen_streams(self.n, streams)
            if chosen.size:
                self._go_on()
                self._core.reset(chosen)

    def backward(
        self, errors: Any, *, signals: Mapping[str, Any] | None = None, modulator: Any = None
    ) -> dict[str, np.ndarray]:
        """Return the e-prop gradient of this rollout for errors from outside, and close the rollout.

        Parameters
        ----------
        errors : array, shape (n, steps, readouts)
            Derivative of any loss with respect to the outputs of each step, 1/mV times the unit of the loss.
        signals : dict, optional
            For neuron populations by name: ``(n, steps, size)``, added to learning signals, see `Simulator.samples`. Row
            ``t`` belongs to the step before, row 0 to the last step of the rollout before.
        modulator : array, optional
            ``(steps,)`` or ``(n, steps)``, factors of learning signals, see `Simulator.samples`.

        Returns
        -------
        dict of ndarray, shape (connections,), float64
            As from `Rollout.backward`: the mean over the streams. `Simulator.learn` applies it.

        Raises
        ------
        InputError
            If the errors have another shape or are not finite, or the rollout has no step.

        Notes
        -----
        The next rollout starts with the traces of this one, exactly. Rate regularisation uses the mean rate of each stream in
        this rollout, over all its episodes.
        """
        with self._gradients.alone:
            self._check_learns("backward")
            self._check_whole()
            arrays, shape = self._gradients.arrays, (self.n, self.steps, self._y.shape[1])
            given = errors_of(errors, shape)
            if self._weights < 0:  # the rollout is that of a state, and there has been no step since
                self._follow_weights()
            scales, mean = rollout_scales(arrays, self.n, self.steps)
            told = Told(*arrange_told(self._layout, self.n, self.steps, signals, modulator))
            check_diverged(self._core, "backward")
            found = self._gradients.of(self._core, given, told, scales, mean)
            self._closed = True
            return found

    def replay(self) -> np.ndarray:
        """Simulate this rollout again from its start, with the same inputs and random numbers and the present weights.

        After `backward`, the rollout is the one just closed, until the next `step` or `reset`. So several passes over one
        rollout are possible: replay, `backward`, `Simulator.learn`, and again. The streams continue from the end of the last
        replay.

        Returns
        -------
        ndarray, shape (n, steps, readouts), float64
            Outputs, mV.

        Raises
        ------
        InputError
            If the rollout has no step.
        DivergenceError
            As for `step`.
        """
        with self._gradients.alone:
            self._check_learns("replay")
            y = np.zeros((self.n, self.steps, self._y.shape[1]))
            self._partly_replayed = True
            self._follow_weights()
            self._core.replay(y, None)
            self._partly_replayed = False
            check_losses(np.zeros(1), y)
            check_diverged(self._core, "replay")
            return y

    def state(self) -> dict[str, np.ndarray]:
        """Copy everything that steps change, as named arrays: with `Simulator.state`, enough to continue bit by bit.

        The copy includes the rollout so far. Synapses are in the order of `Simulator.connections`, projection by projection.
        """
        with self._gradients.alone:
            self._check_whole()
            arrays, found = self._gradients.arrays, self._core.state()
            traces = found["traces"].reshape(-1, max(arrays.synapses.weight.size, 1))
            found["traces"] = traces[:, all_synapses(arrays)].ravel()
            flags = np.array([self.n, self.steps, self._closed], np.int64)
            return {"streams": flags, "network": arrays.built.fingerprint.copy(), **found}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from a `state` of the same number of streams of the same network, with any number of threads.

        Raises
        ------
        InputError
            If the state belongs to other streams, or to another network.
        """
        with self._gradients.alone:
            given = checked_streams(self._gradients.arrays, self._core, self.n, state)
            if not self._core.set_state(given.steps, given.arrays):
                raise damaged("its arrays are not as long as its counters say")
            self._closed, self._partly_replayed, self._weights = given.closed, False, -1

    def _check_whole(self) -> None:
        if self._partly_replayed:
            raise InputError("the last replay of these streams was interrupted; call replay() once more")

    def _go_on(self, more: int = 1) -> None:
        """Prepare ``more`` steps or a reset: begin the next rollout if this one is closed, load weights, make room."""
        self._check_whole()
        if self._closed or (not self._learns and self.steps >= STEPS_UNLEARNED):
            self._core.begin_next()
            self._closed = False
        self._follow_weights()
        if self._core.full(more):  # the core will at least double its room
            rows = 2 * max(self._core.rows, more)
            check_memory(self._gradients.arrays, self.n, rows, self._learns)

    def _follow_weights(self) -> None:
        arrays = self._gradients.arrays
        if self._weights != arrays.weight_changes:
            self._core.set_weights(arrays.synapses.weight)
            self._weights = arrays.weight_changes

    def _check_learns(self, call: str) -> None:
        if not self._learns:
            raise InputError(f"{call}: these streams were made with learn=False")
        if not self.steps:
            raise InputError(f"{call}: there has been no step since the last rollout")

    def _given(self, channels: Any) -> tuple[Any, ...]:
        """Events for each event source."""
        if not isinstance(channels, Mapping):
            if len(self._sizes) == 1:
                return (_bytes_of(channels),)
            if channels is None:
                return (None,) * len(self._sizes)
            known = ", ".join(self._names) or "none"
            raise InputError(f"step takes channels by the names of the event sources ({known}) in a dictionary")
        parts: list[Any] = [None] * len(self._sizes)
        for name, part in named(channels).items():
            if name not in self._names:
                raise InputError(f"no event source named {name!r}; there are: {', '.join(self._names) or 'none'}")
            parts[self._names[name]] = _bytes_of(part)
        return tuple(parts)

    def _readable(self, source: int, given: Any) -> Any:
        """Convert events of a source to a form that the core reads."""
        name, size = self._layout.sources[source].name, self._sizes[source]
        if given is None:
            return None
        if isinstance(given, np.ndarray) and given.ndim == 2:
            return self._dense(source, given, (self.n, size))
        if isinstance(given, np.ndarray | str | Mapping) or not hasattr(given, "__len__") or len(given) != self.n:
            raise InputError(
                f"channels of {name!r} must be a list with an array for each of {self.n} streams, or an array ({self.n}, {size})"
            )
        out = []
        for k, part in enumerate(given):
            one = np.atleast_1d(real_numbers(f"channels of {name!r}, stream {k},", part, InputError))
            if one.ndim != 1 or (one.size and one.dtype.kind not in "iu"):
                raise InputError(f"channels of {name!r}, stream {k}, must be a list of whole numbers, got {part!r:.80}")
            out.append(np.ascontiguousarray(one, np.int64))
        return out

    def _dense(self, source: int, given: Any, shape: tuple[int, ...]) -> Any:
        """Convert zeros and ones of a source to a form that the core reads."""
        if given is None:
            return None
        label = f"channels of {self._layout.sources[source].name!r}"
        dense = real_numbers(label, given, InputError)
        if dense.shape != shape:
            raise InputError(f"{label} must have shape {shape}, got {dense.shape}")
        if not ((dense == 0) | (dense == 1)).all():
            raise InputError(f"{label} must be zeros and ones")
        return np.ascontiguousarray(dense, np.uint8)

    def _refuse(self, found: int) -> None:
        """Raise the error for a refused step."""
        if found >= self.n:
            check_diverged(self._core, "step")
            check_losses(np.zeros(1), self._y)
        names = ", ".join(f"{name} has {size}" for name, size in zip(self._names, self._sizes, strict=True))
        raise InputError(
            f"step: channels of stream {found} are out of range, or a channel occurs twice; {names} channels"
        )


def _bytes_of(given: Any) -> Any:
    """View booleans as bytes, which the core reads; return other values unchanged."""
    return given.view(np.uint8) if type(given) is np.ndarray and given.dtype == np.bool_ else given
