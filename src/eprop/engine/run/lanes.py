"""Parallel lanes of e-prop, the front of its rollouts: simulate forward, propagate errors backward, learn, and go on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine.build.check import check_room
from eprop.engine.build.drives import refuse_modulation
from eprop.engine.build.fingerprint import check_fingerprint
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.checks import check_outputs, check_samples, check_switch, keys_of
from eprop.engine.run.episodes import TERMS, Episodes, request_of
from eprop.engine.run.inputs import Arrangement, by_source, count_of
from eprop.engine.run.optimizers import lengths_of
from eprop.engine.run.probes import Core
from eprop.engine.run.samples import External, Samples, set_external, without_dropped
from eprop.engine.state.checks import MOST_COUNTED, NETWORK, checked_numbers, damaged
from eprop.engine.state.weights import all_synapses
from eprop.errors import DivergenceError, InputError, Status, check_status, warn
from eprop.parameters import Floats, Integers, real_numbers

# Lanes that do not learn keep at most this many steps.
STEPS_UNLEARNED = 1024
# Least number of bytes that a lane takes; how many it takes is known when lists of lanes have been made.
LEAST_BYTES = 500


class Lanes:
    """``n`` copies of a network's state that step together and learn by `EProp`, see `Simulator.lanes`.

    A *rollout* is what the lanes have simulated since the last `backward`; the next `step`, `run` or `reset` begins a new one.
    `forward` always begins a new rollout. Each rollout continues the one before, with its voltages, spikes in flight and traces.

    Attributes
    ----------
    n : int
        Number of lanes.
    y : ndarray, shape (n, steps, readouts), float64
        Outputs of the last `forward`, `run` or `replay`, mV.
    errors : ndarray, shape (n, steps, readouts), float64
        Derivative of the samples' own loss with respect to ``y``, after `forward` or its `replay`: the loss of their targets
        within their windows; 0 without targets.
    loss : ndarray, shape (n,), float64
        That loss, summed over the learning window.
    """

    y: Floats
    errors: Floats
    loss: Floats

    def __init__(self, episodes: Episodes, n: Any, steps: Any = 256, learn: Any = True):
        comm, samples = episodes.comm, n if isinstance(n, Samples) else None
        if samples is not None:
            n, steps = len(samples), samples.n_steps
        self._episodes, self._arrays, self._learns = episodes, episodes.arrays, bool(learn)
        check = partial(_checked_sizes, episodes, n, steps, learn, samples is None)
        self.n, steps = run_on_all_ranks(comm, "lanes", check, lambda _: {"arguments": (n, learn)})
        self._own = episodes.replicas.own(self.n)
        self._here = slice(int(self._own[0]), int(self._own[-1]) + 1) if self._own.size else slice(0, 0)
        make = partial(episodes.make_lanes, self._own.size, steps, True, self._learns)
        self._core: Core = run_on_all_ranks(comm, "lanes", make)
        self._y = np.zeros((self.n, self._arrays.built.n_readouts))  # of the last step
        self._samples: Samples | None = None  # of the last `forward`,
        self._request: Any = None  # and its request
        self._stepped = self._closed = False  # whether steps without samples were made; whether the rollout is over
        self._interrupted = ""  # a call after which the lanes are in no state
        self._weights = -1  # count of weight changes as of the weights that the core has
        self._wiring = self._arrays.wiring_changes
        self._set_random(np.zeros(self._own.size, np.int64))
        if samples is not None:
            self.forward(samples)

    def __repr__(self) -> str:
        return f"Lanes({self.n} in parallel, {self.steps} steps of this rollout)"

    @property
    def steps(self) -> int:
        """Steps of this rollout so far."""
        return int(self._core.steps)

    @property
    def spikes(self) -> Integers:
        """Spikes of all neurons of each lane in this rollout, ``(n,)`` int64."""
        with self._arrays.access:
            return self._joined(np.asarray(self._core.spikes()))

    def forward(self, samples: Samples) -> Floats:
        """Simulate a sample in each lane: a rollout of its own, which continues the one before.

        `forward`, `backward` and `learn` are the parts of `Simulator.train`, with the same bits; between them any objective may
        turn outputs into errors. Random spikes are those that `train` would draw.

        Parameters
        ----------
        samples : Samples
            ``n`` of them; targets are optional, see `errors`.

        Returns
        -------
        ndarray, shape (n, steps, readouts), float64
            Outputs, mV.

        Raises
        ------
        InputError
            If the samples belong to another network, are not ``n`` or differ between ranks, or if the lanes have made steps
            without samples.
        MemoryLimitError
            If the histories of all samples do not fit into memory.
        DivergenceError
            If a voltage or output is no longer finite, or an output exceeds 1e9 mV.
        """
        episodes, arrays, core = self._episodes, self._arrays, self._core
        with arrays.access, arrays.access.open:
            check = partial(self._check_forward, samples)
            run_on_all_ranks(episodes.comm, "forward", check, lambda _: keys_of(samples, self._samples is None))
            samples = without_dropped(arrays.network, samples, arrays.learned_steps)
            core.begin_next()
            self._samples, self._closed, self._request = samples, False, self._request_of(samples)
            clocks = arrays.noise_clocks(samples.n_steps, self._own, True)
            core.set_random(np.full(self._own.size, arrays.network.seed, np.uint64), clocks)
            self._follow_weights()
            self._simulate(self._request, "forward")
            arrays.learned_steps += self.n * samples.n_steps
            return self.y

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
        with self._arrays.access:
            found = None
            if self._episodes.comm.size == 1:
                self._prepare()
                found = self._core.step(by_source(channels, self._episodes.layout), self._y)
            if found is None:  # the core does not read events in this form, or they do not fit
                self._y[...] = self._run(1, channels)[:, 0]
            elif not found:
                self._check_diverged("step")
                check_outputs("step", self._y)
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
        with self._arrays.access, self._arrays.access.open:
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
        with self._arrays.access:
            check = partial(_chosen, self.n, lanes)
            chosen = run_on_all_ranks(self._episodes.comm, "reset", check, lambda chosen: {"lanes": checksum(chosen)})
            if chosen.size:
                self._begin()
                self._core.reset(chosen[np.isin(chosen, self._own)] - self._here.start)

    def backward(
        self, errors: object = None, *, signals: Mapping[str, Any] | None = None, modulator: object = None
    ) -> dict[str, Floats]:
        """Return the e-prop gradient of this rollout for given errors.

        Parameters
        ----------
        errors : array, shape (n, steps, readouts), optional
            Derivative of any loss with respect to the outputs of each step, 1/mV times the unit of the loss. Readouts are in the
            order of their populations. The default is `errors`, those of the targets of `forward`.
        signals : dict, optional
            For neuron populations by name: ``(n, steps, size)``, added to learning signals, see `Simulator.samples`. Row
            ``t`` belongs to the step before, row 0 to the last step of the rollout before. The default is that of the samples.
        modulator : array, optional
            ``(steps,)`` or ``(n, steps)``, factors of learning signals, see `Simulator.samples`.

        Returns
        -------
        dict of ndarray, shape (connections,), float64
            For each projection that learns by `EProp`, by name and in the order of `Simulator.connections`, in the unit of the
            loss per mV, and for each constant that learns: the mean over the lanes, with rate regularisation and without weight
            decay. `learn` applies it. Feedback of any kind turns errors into learning signals as in `Simulator.train`.

        Raises
        ------
        InputError
            If the errors have another shape, are not finite or differ between ranks, or the rollout has no step.
        DivergenceError
            If a gradient is not finite.

        Notes
        -----
        The gradient is ``sum_t L(t) e_bar(t)`` over the steps of this rollout, with the traces of the whole episode so far
        (Bellec et al. 2020). The next rollout starts with the traces of this one, exactly, at a cost that does not depend on the
        length of the episode. Rate regularisation uses the mean rate of each lane in this rollout, over all its episodes.
        """
        with self._arrays.access, self._arrays.access.open:
            self._check_learns("backward")
            self._check_usable()
            check = partial(self._checked_errors, errors, signals, modulator)
            comm = self._episodes.comm
            given, external = run_on_all_ranks(comm, "backward", check, lambda found: {"errors": checksum(found[0])})
            self._follow_weights()
            self._check_diverged("backward")
            found = self._gradients(given, external)
            self._closed = self._samples is None
            return found

    def replay(self) -> Floats:
        """Simulate this rollout again from its start, with the same inputs and random numbers and the present weights.

        After `backward`, the rollout is the one just closed, until the next `step` or `reset`. So several passes over one
        rollout are possible: replay, `backward`, `learn`, and again. The lanes continue from the end of the last replay.

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
        with self._arrays.access, self._arrays.access.open:
            self._check_learns("replay")
            self._check_usable("replay")
            request = self._request_of_steps(self.steps) if self._samples is None else self._request
            self._follow_weights()
            self._simulate(request, "replay")
            return self.y

    def learn(self, gradients: Mapping[str, Floats]) -> None:
        """Apply one optimiser step to all projections of the simulator that learn by `EProp`, and to constants that learn.

        Parameters
        ----------
        gradients : dict
            A result of `backward`, or a sum of such results.

        Raises
        ------
        InputError
            If a projection is missing or unknown, or a gradient has another shape, is not finite or differs between ranks.
        DivergenceError
            If a weight is no longer finite.

        Warns
        -----
        UserWarning
            If a projection has a `Rewiring`: only `Simulator.train` moves its synapses.
        """
        if rewired := ", ".join(p.name for p in self._arrays.network.projections if p.rewiring is not None):
            warn(
                f"learn: synapses of {rewired} do not move: of EProp only Simulator.train moves them, not lanes; leave out "
                "rewiring, train with samples, or take EPropPlus"
            )
        with self._arrays.access:
            self._episodes.optimizers.learn(gradients)

    def state(self) -> dict[str, np.ndarray]:
        """Copy everything that steps change, as named arrays: with `Simulator.state`, enough to continue bit by bit.

        The copy includes the rollout so far, but not its samples. Synapses are in the order of `Simulator.connections`,
        projection by projection. With several ranks every rank gets the state of all lanes.
        """
        with self._arrays.access:
            self._check_usable()
            order, comm = all_synapses(self._arrays), self._episodes.comm
            own = {
                name: part[..., order] if axis is lib.Axis.synapse else part for name, axis, part in self._core.kept()
            }
            if comm.size > 1:
                everyone = comm.gather(own)
                own = {name: np.concatenate([parts[name] for parts in everyone]) for name in own}
            flags = np.array([self.n, self.steps, self._closed], np.int64)
            return {"lanes": flags, NETWORK: self._arrays.built.fingerprint.copy(), **own}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from a `state` of the same number of lanes of the same network, with any number of threads and ranks.

        Raises
        ------
        InputError
            If the state belongs to other lanes, or to another network.
        """
        with self._arrays.access:
            comm, order, own = self._episodes.comm, all_synapses(self._arrays), self._core.kept(filled=False)
            check = partial(self._checked_state, state, {name: part for name, _, part in own})
            given = run_on_all_ranks(
                comm, "set_state", check, lambda found: {k: checksum(part) for k, part in found.items()}
            )
            _, steps, closed = given.pop("lanes").tolist()
            for name, axis, _ in own:
                if axis is lib.Axis.synapse and given[name].shape[-1:] == order.shape:
                    given[name] = given[name][..., np.argsort(order)]
            given = {name: np.ascontiguousarray(given[name], part.dtype) for name, _, part in own}
            if problem := self._core.set_kept(self.n, self._here.start, steps, given):
                raise damaged(problem)
            self._set_random(np.ascontiguousarray(given["counters"][self._own, 2]))
            self._interrupted, self._closed, self._weights = "", bool(closed), -1
            self._stepped, self._samples = False, None

    # ---------------------------------------------------------------- forward

    def _run(self, n_steps: int, channels: object) -> Floats:
        """Simulate steps; returns the outputs, (n, n_steps, readouts)."""
        self._prepare()
        if n_steps > STEPS_UNLEARNED:
            steps, threads = self.steps + n_steps, max(self._arrays.threads, 1)
            sizes = self._own.size, steps, True, self._learns, threads
            run_on_all_ranks(self._episodes.comm, "lanes", partial(self._episodes.check_room, *sizes))
        read = partial(Arrangement(self._episodes.layout, self.n, n_steps, one="lane").lanes, channels)
        samples = run_on_all_ranks(self._episodes.comm, "step", read)
        self._simulate(self._request_of_steps(n_steps, self._of_rank(samples)), "step")
        return self.y

    def _simulate(self, request: lib.Request, call: str) -> None:
        """Run the steps of a request, new ones or once more those of this rollout; take their results."""
        n, k, samples = self._own.size, self._y.shape[1], self._samples
        shape, replays = (n, request.n_steps, k), call == "replay"
        request.y = y = np.zeros(shape)
        if samples is not None:
            request.error, request.loss = errors, loss = np.zeros(shape), np.zeros(n)
        self._interrupted = call
        self._core.begin_replay() if replays else self._core.begin_steps(request.n_steps)
        self._core.forward(request)
        if replays:
            self._core.end_replay()
        self._interrupted = ""
        self.y = self._joined(y)
        if call != "step" or not np.abs(self.y).max(initial=0.0) <= lib.largest_voltage:  # also true for NaN
            self._check_diverged(call)
            check_outputs(call, self.y)
        if samples is not None:
            self.errors, self.loss = self._joined(errors), self._joined(loss)
            if self._episodes.losses:
                own_errors, own_losses = self._episodes.losses.compare(samples, self.y)
                self.errors += own_errors
                self.loss += own_losses.sum(axis=1)

    def _request_of_steps(self, n_steps: int, samples: Samples | None = None) -> lib.Request:
        """Make a request for steps with the events of samples, or without events."""
        request, n = lib.Request(), self._own.size
        request.n_steps, request.learn, request.samples = n_steps, self._learns, np.arange(n)
        if samples is None:
            request.event_start = np.zeros((len(self._episodes.layout.sources), n * n_steps + 1), np.int64)
        else:
            request.event_start, request.event_channels = samples.event_start, samples.event_channels
        return request

    def _request_of(self, samples: Samples) -> lib.Request:
        """Make a request for the samples of this rank."""
        given = self._of_rank(self._episodes.losses.without_targets(samples))
        request = request_of(self._arrays, given, np.arange(self._own.size))
        request.learn = request.drops = self._learns
        return request

    def _of_rank(self, samples: Samples) -> Samples:
        """The samples of this rank; of none, any sample gives the arrays their shapes."""
        return samples if self._own.size == self.n else samples[self._own if self._own.size else [0]]

    def _set_random(self, clocks: np.ndarray) -> None:
        """Let steps without samples draw from the lanes' own seeds."""
        seeds = [random.derive(self._arrays.network.seed, random.POISSON, int(k)) for k in self._own]
        self._core.set_random(np.array(seeds, np.uint64), clocks)

    def _prepare(self) -> None:
        """Prepare steps without samples."""
        if self._samples is not None:
            raise InputError("step: these lanes simulate samples, with forward(); make others for steps, with lanes(n)")
        self._begin()
        self._stepped = True
        self._follow_weights()

    def _begin(self) -> None:
        """Begin the next rollout if this one is closed."""
        self._check_usable()
        if self._closed or (not self._learns and self._samples is None and self.steps >= STEPS_UNLEARNED):
            self._core.begin_next()
            self._closed = False

    def _follow_weights(self) -> None:
        """Use the present weights from now on."""
        if self._weights != self._arrays.weight_changes:
            self._core.set_weights(self._arrays.effective_weights())
            self._weights = self._arrays.weight_changes

    # ---------------------------------------------------------------- backward

    def _gradients(self, errors: np.ndarray, external: External) -> dict[str, Any]:
        """Gradients for errors of all lanes and external values of those of this rank, by projection and by constant."""
        arrays, episodes, n = self._arrays, self._episodes, self._own.size
        lengths = np.full(self.n, float(self.steps)) if self._samples is None else lengths_of(self._samples)
        totals = [np.zeros_like(arrays.synapses.pending), arrays.constants.no_products(), *episodes.rewirer.watched]
        each = [TERMS, *(1 for _ in totals[1:])]
        terms = [episodes.replicas.terms(total, self.n, count) for total, count in zip(totals, each, strict=True)]
        request = lib.Request()
        request.samples = np.arange(n)
        request.shares, request.given_errors = lengths[0] / lengths[self._here], errors[self._here]
        set_external(request, arrays, external)
        request.products = terms[1]
        if n:
            with episodes.rewirer.watching(self._core, terms[2:]):
                self._core.backward(request, terms[0])
        for total, part, count in zip(totals, terms, each, strict=True):
            episodes.replicas.add(total, part, self.n, count)
        pending, products = totals[:2]
        with np.errstate(invalid="ignore"):  # infinities of both signs
            finite = np.isfinite(pending.sum()) and np.isfinite(products.sum())
        if not finite:
            raise DivergenceError(
                "backward: a gradient became infinite or NaN: make the errors, or what they weigh, smaller"
            )
        return episodes.optimizers.means(pending, products, lengths)

    def _checked_errors(self, errors: Any, signals: Any, modulator: Any) -> tuple[np.ndarray, External]:
        """Errors of all lanes, and external values for the lanes of this rank."""
        if errors is None:
            if self._samples is None:
                raise InputError("backward: give errors, because these lanes have no samples with targets")
            errors = self.errors
        shape = self.n, self.steps, self._y.shape[1]
        given = real_numbers("errors", errors, InputError)
        if given.shape != shape:
            raise InputError(f"errors must have shape {shape} = (lanes, steps, readouts), got {given.shape}")
        given = np.ascontiguousarray(given, np.float64)
        if not lib.all_finite(given):
            raise InputError("errors hold values that are not finite")
        here, samples = self._here, self._samples
        values, factors = Arrangement(self._episodes.layout, self.n, self.steps).external(signals, modulator)
        if samples is not None:
            values = values if signals is not None else dict(samples.signals)
            factors = factors if modulator is not None else samples.modulator
        return given, External(
            {name: value[here] for name, value in values.items()}, factors[here] if len(factors) > 1 else factors
        )

    # ---------------------------------------------------------------- checks

    def _checked_state(self, state: object, own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays of a state of this network, with types and axes as the ``own`` ones; the core checks that they fit together."""
        given = dict(state) if isinstance(state, Mapping) else {}
        if lacking := sorted({"lanes", NETWORK, *own} - set(given)):
            raise InputError(
                f"set_state takes a dictionary as Lanes.state() gives it; this one lacks {', '.join(lacking)}"
            )
        check_fingerprint(given[NETWORK], self._arrays.built.fingerprint)
        out = {name: checked_numbers(name, given[name], part.dtype) for name, part in own.items()}
        flags = out["lanes"] = checked_numbers("lanes", given["lanes"], np.dtype(np.int64))
        if flags.shape != (3,) or flags.min() < 0 or flags.max() > MOST_COUNTED or flags[2] > 1:
            raise damaged("'lanes' must hold the number of lanes, the steps of the rollout, and 0 or 1")
        if flags[0] != self.n:
            raise InputError(f"the state has {flags[0]} lanes, but there are {self.n} lanes here")
        return out

    def _check_forward(self, samples: Samples) -> None:
        check_samples(self._episodes.layout, samples)
        self._check_usable()
        if len(samples) != self.n:
            raise InputError(f"forward: there are {self.n} lanes, got {len(samples)} samples")
        if self._stepped:
            raise InputError("forward: these lanes make steps without samples; make others, with lanes(samples)")
        if self.steps:
            refuse_modulation(self._arrays.network, "forward in lanes that go on")

    def _check_learns(self, call: str) -> None:
        if not self._learns:
            raise InputError(f"{call}: these lanes were made with learn=False")
        if not self.steps:
            raise InputError(f"{call}: there has been no step since the last rollout")

    def _check_usable(self, again: str = "") -> None:
        """Raise if a call other than ``again`` was interrupted, or connections have moved: traces would belong to others."""
        if self._interrupted not in ("", again):
            advice = "call replay() once more" if self._interrupted == "replay" else "make new ones, or restore a state"
            raise InputError(f"the last {self._interrupted} of these lanes was interrupted; {advice}")
        if self._wiring != self._arrays.wiring_changes:
            raise InputError("connections have moved since these lanes began; make new ones after a rewiring")

    def _check_diverged(self, where: str) -> None:
        """Raise with advice if a lane has a voltage or output that is not finite or implausibly large."""
        found, comm = self._core.diverged(), self._episodes.comm
        lanes = [lane for lane in comm.gather(found + self._here.start if found >= 0 else -1) if lane >= 0]
        if lanes:
            check_status(Status.EXPLODED, f"{where}: lane {min(lanes)}")

    def _joined(self, part: np.ndarray) -> np.ndarray:
        """Rows of all lanes, from those of this rank."""
        return self._episodes.replicas.joined(part, self.n)


def _checked_sizes(episodes: Episodes, n: Any, steps: Any, learn: Any, by_steps: bool) -> tuple[int, int]:
    """Number of lanes, and their capacity for steps."""
    if not episodes.arrays.built.learning.eprop:
        raise InputError("lanes: only EProp learns in lanes; give a projection the rule EProp")
    check_switch("learn", learn)
    if by_steps:
        refuse_modulation(episodes.arrays.network, "lanes")
    n, steps = count_of("lanes", n), count_of("steps", steps)
    check_room(f"{n:,} lanes", LEAST_BYTES * n, "take fewer lanes")
    return n, steps


def _chosen(n: int, lanes: Any) -> np.ndarray:
    """Some of ``n`` lanes, from indices or a boolean for each."""
    given: np.ndarray = np.atleast_1d(real_numbers("lanes", lanes, InputError))
    try:
        return np.arange(n)[given if given.size else []]
    except IndexError:
        raise InputError(f"reset takes indices of lanes, 0..{n - 1}, or {n} booleans, got {lanes!r:.80}") from None
