"""Parallel lanes of e-prop: many environments, one step at a time; learning uses their rollout."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine.build.drives import refuse_modulation
from eprop.engine.build.memory import check_room
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.core_inputs import External
from eprop.engine.run.episodes import Episodes
from eprop.engine.run.guards import check_outputs
from eprop.engine.run.lane_events import ChannelReader, chosen_parts
from eprop.engine.run.lane_state import set_lanes, state_of_lanes
from eprop.engine.run.optimizers import constant_scales_of_rollout, rollout_scales
from eprop.engine.run.rollouts import LaneGroup, checked_errors, chosen_lanes
from eprop.engine.run.samples import Arrangement, SampleLayout, count_of
from eprop.errors import InputError
from eprop.parameters import Floats, Integers

# Lanes that do not learn keep at most this many steps.
STEPS_UNLEARNED = 1024


# Least number of bytes that a lane takes; how many it takes is known when lists of lanes have been made.
LEAST_BYTES = 500


class Lanes:
    """``n`` copies of a network's state that step together, see `Simulator.lanes`.

    A *rollout* is the steps since the last `backward`. The next `step` or `reset` begins a new rollout.

    Attributes
    ----------
    n : int
        Number of lanes.
    steps : int
        Steps of this rollout so far.
    """

    def __init__(self, episodes: Episodes, layout: SampleLayout, n: int, steps: int, learn: bool):
        arrays = episodes.arrays
        refuse_modulation(arrays.network, "lanes")
        check_room(f"{n:,} lanes", LEAST_BYTES * n, "take fewer lanes")
        self.n, self._episodes, self._layout, self._learns = n, episodes, layout, learn
        self._lanes = LaneGroup(episodes, n, steps, learn)
        self._core, own = self._lanes.core, self._lanes.own
        self._y = np.zeros((n, arrays.built.n_readouts))
        self._closed = False
        self._reader = ChannelReader(layout, n)
        seeds = [random.derive(arrays.network.seed, random.POISSON, int(k)) for k in own]
        self._core.set_random(np.array(seeds, np.uint64), np.zeros(own.size, np.int64))

    def __repr__(self) -> str:
        return f"Lanes({self.n} in parallel, {self.steps} steps of this rollout)"

    @property
    def steps(self) -> int:
        """Steps of this rollout so far."""
        return int(self._core.steps)

    @property
    def spikes(self) -> Integers:
        """Spikes of all neurons of each lane in this rollout, ``(n,)`` int64."""
        return self._lanes.spikes()

    def step(self, channels: Any = None) -> Floats:
        """Simulate one step of all lanes.

        Parameters
        ----------
        channels : list, array or dict, optional
            Events of the only event source: a list with an array of active channels (whole numbers) for each lane, or an
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
        with self._episodes.lock:
            if self._episodes.comm.size > 1:
                self._y[...] = self._run(1, channels)[:, 0]
                return self._y
            self._prepare()
            parts = self._reader.parts(channels)
            found = self._core.step(parts, self._y)
            if found == lib.UNREADABLE:
                found = self._core.step(self._reader.readable(parts, 1), self._y)
            if found >= self.n:
                self._lanes.check_diverged("step")
                check_outputs("step", self._y)
            if found != lib.READ:
                self._reader.refuse(found)
            return self._y

    def run(self, n_steps: int, channels: object = None) -> Floats:
        """Simulate several steps of all lanes: the bits equal those of repeated `step` calls, in less time.

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
        with self._episodes.lock:
            return self._run(n_steps, channels)

    def reset(self, lanes: object) -> None:
        """End the episodes of some lanes after the last step: their networks go to rest, and spikes in flight are dropped.

        `backward` stops at this point: no error of the next episode reaches back into this one.

        Parameters
        ----------
        lanes : sequence of int, or bool
            Indices of the lanes, or a boolean for each lane.

        Raises
        ------
        InputError
            If there is no such lane.
        """
        with self._episodes.lock:
            check = partial(chosen_lanes, self.n, lanes)
            chosen = run_on_all_ranks(self._episodes.comm, "reset", check, lambda chosen: {"lanes": checksum(chosen)})
            if chosen.size:
                self._prepare()
                self._lanes.reset(chosen)

    def backward(
        self, errors: object, *, signals: Mapping[str, Any] | None = None, modulator: object = None
    ) -> dict[str, Floats]:
        """Return the e-prop gradient of this rollout for given errors, and close the rollout.

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
            As from `Rollout.backward`: the mean over the lanes. `Simulator.learn` applies it.

        Raises
        ------
        InputError
            If the errors have another shape or are not finite, or the rollout has no step.

        Notes
        -----
        The next rollout starts with the traces of this one, exactly. Rate regularisation uses the mean rate of each lane in
        this rollout, over all its episodes.
        """
        with self._episodes.lock:
            self._check_learns("backward")
            self._lanes.check_whole("these lanes")
            check = partial(self._checked, errors, signals, modulator)
            given, external = run_on_all_ranks(self._episodes.comm, "backward", check, self._keys_of_errors)
            self._lanes.follow_weights()
            self._lanes.check_diverged("backward")
            scales = self._episodes.arrays, self.n, self.steps
            of_constants = constant_scales_of_rollout(*scales)
            found = self._lanes.backward(given, external, *rollout_scales(*scales), of_constants)
            self._closed = True
            return found

    def replay(self) -> Floats:
        """Simulate this rollout again from its start, with the same inputs and random numbers and the present weights.

        After `backward`, the rollout is the one just closed, until the next `step` or `reset`. So several passes over one
        rollout are possible: replay, `backward`, `Simulator.learn`, and again. The lanes continue from the end of the last
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
        with self._episodes.lock:
            self._check_learns("replay")
            request, out = self._request(self.steps)
            self._lanes.replay(request)
            y = self._lanes.joined(out)
            self._lanes.check_diverged("replay")
            check_outputs("replay", y)
            return y

    def state(self) -> dict[str, np.ndarray]:
        """Copy everything that steps change, as named arrays: with `Simulator.state`, enough to continue bit by bit.

        The copy includes the rollout so far. Synapses are in the order of `Simulator.connections`, projection by projection. With
        several ranks every rank gets the state of all lanes.
        """
        with self._episodes.lock:
            self._lanes.check_whole("these lanes")
            return state_of_lanes(self._lanes, self._closed)

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from a `state` of the same number of lanes of the same network, with any number of threads and ranks.

        Raises
        ------
        InputError
            If the state belongs to other lanes, or to another network.
        """
        with self._episodes.lock:
            self._closed = set_lanes(self._lanes, state)
            self._lanes.whole, self._lanes.weights = True, -1

    def _run(self, n_steps: int, channels: object) -> np.ndarray:
        """Simulate steps; returns the outputs, (n, n_steps, readouts)."""
        self._prepare()
        if n_steps > STEPS_UNLEARNED:
            steps, threads = self.steps + n_steps, max(self._episodes.arrays.threads, 1)
            sizes = self._lanes.own.size, steps, True, self._learns, threads
            run_on_all_ranks(self._episodes.comm, "lanes", partial(self._episodes.check_room, *sizes))
        read = partial(self._read, n_steps, channels)
        start, events = run_on_all_ranks(self._episodes.comm, "step", read, self._keys)
        request, out = self._request(n_steps)
        request.event_start, request.event_channels = start, events
        self._lanes.run(request)
        y = self._lanes.joined(out)
        if not np.abs(y).max(initial=0.0) <= lib.largest_voltage:  # also true for NaN
            self._lanes.check_diverged("step")
            check_outputs("step", y)
        return y

    def _read(self, n_steps: int, channels: Any) -> tuple[np.ndarray, np.ndarray]:
        """Events of the lanes of this rank in some steps, for a request."""
        parts, here = self._reader.parts(channels), self._lanes.here
        if self._lanes.own.size < self.n:
            parts = chosen_parts(self._reader.readable(parts, n_steps), here)
        found, start, events = self._core.read_events(parts, n_steps)
        if found == lib.UNREADABLE:
            found, start, events = self._core.read_events(self._reader.readable(parts, n_steps), n_steps)
        if found != lib.READ:
            self._reader.refuse(found + here.start)
        return start, events

    def _request(self, n_steps: int) -> tuple[lib.Request, np.ndarray]:
        """Make a request for steps, and an array for the outputs of the lanes of this rank."""
        request, own = lib.Request(), self._lanes.own.size
        request.n_steps, request.learn, request.samples = n_steps, self._learns, np.arange(own)
        request.event_start = np.zeros((len(self._layout.sources), own * n_steps + 1), np.int64)
        request.y = y = np.zeros((own, n_steps, self._y.shape[1]))
        return request, y

    def _checked(self, errors: Any, signals: Any, modulator: Any) -> tuple[np.ndarray, External]:
        """Errors of all lanes, and external values for the lanes of this rank."""
        given = checked_errors(errors, (self.n, self.steps, self._y.shape[1]))
        values, factors = Arrangement(self._layout, self.n, self.steps).external(signals, modulator)
        here = self._lanes.here
        return given, External(
            {name: value[here] for name, value in values.items()}, factors[here] if len(factors) > 1 else factors
        )

    def _keys(self, arrays: tuple[np.ndarray, ...]) -> dict[str, Any]:
        """Consistency keys of a call. Each rank has the values of its own lanes."""
        return {} if self._lanes.own.size < self.n else {"arguments": checksum(*arrays)}

    def _keys_of_errors(self, given: tuple[np.ndarray, External]) -> dict[str, Any]:
        errors, external = given
        return {"errors": checksum(errors)} | self._keys((external.modulator, *external.signals.values()))

    def _prepare(self) -> None:
        """Prepare steps or a reset: begin the next rollout if this one is closed, and load the weights."""
        self._lanes.check_whole("these lanes")
        if self._closed or (not self._learns and self.steps >= STEPS_UNLEARNED):
            self._core.begin_next()
            self._closed = False
        self._lanes.follow_weights()

    def _check_learns(self, call: str) -> None:
        if not self._learns:
            raise InputError(f"{call}: these lanes were made with learn=False")
        if not self.steps:
            raise InputError(f"{call}: there has been no step since the last rollout")
