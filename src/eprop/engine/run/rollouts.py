"""Rollouts of e-prop: simulate samples forward, propagate given errors backward, learn; the next rollout may continue."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.build.drives import refuse_modulation
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.core_inputs import External, set_external
from eprop.engine.run.episodes import TERMS, Episodes, request_of
from eprop.engine.run.inputs import check_samples, keys_of
from eprop.engine.run.optimizers import ConstantScales, batch_scale, constant_scales, sample_scales
from eprop.engine.run.probes import Core
from eprop.engine.run.sample_events import without_dropped
from eprop.engine.run.samples import SampleLayout, Samples
from eprop.errors import DivergenceError, InputError, Status, check_status
from eprop.parameters import Floats, Integers, real_numbers


class LaneGroup:
    """Lanes of the core whose rollouts continue, divided among all ranks.

    Parameters
    ----------
    episodes : Episodes
    n, n_steps : int
        Number of all lanes; capacity for steps.
    learn : bool
        Whether there is room for the backward pass.
    after : LaneGroup, optional
        Lanes that these continue. The default is to start at rest.

    Attributes
    ----------
    core : Core
        The lanes ``own`` (``here``) of this rank.
    """

    def __init__(self, episodes: Episodes, n: int, n_steps: int, learn: bool = True, after: LaneGroup | None = None):
        self.episodes, self.n, self.own = episodes, n, episodes.replicas.own(n)
        make = partial(episodes.make_lanes, self.own.size, n_steps, True, learn)
        self.core: Core = after.core.continued(n_steps) if after else run_on_all_ranks(episodes.comm, "lanes", make)
        self.here = slice(int(self.own[0]), int(self.own[-1]) + 1) if self.own.size else slice(0, 0)
        self.whole = True  # False: a replay was interrupted
        self.weights = -1  # count of weight changes as of the weights that the core has
        self.wiring = episodes.arrays.wiring_changes

    def check_wiring(self) -> None:
        """Raise if connections have moved: the traces of synapses would belong to others."""
        if self.wiring != self.episodes.arrays.wiring_changes:
            raise InputError(
                "connections have moved since these lanes or this rollout began; make new ones after a rewiring"
            )

    def follow_weights(self) -> None:
        """Use the present weights from now on."""
        arrays = self.episodes.arrays
        self.check_wiring()
        if self.weights != arrays.weight_changes:
            self.core.set_weights(arrays.effective_weights())
            self.weights = arrays.weight_changes

    def run(self, request: lib.EpisodeRequest) -> None:
        """Run the steps of a request."""
        self.core.begin_steps(request.n_steps)
        self.core.forward(request)

    def replay(self, request: lib.EpisodeRequest) -> None:
        """Run the steps of this rollout once more, with the present weights."""
        self.whole = False
        self.follow_weights()
        self.core.begin_replay()
        self.core.forward(request)
        self.core.end_replay()
        self.whole = True

    def backward(
        self, errors: np.ndarray, external: Samples | External, scales: np.ndarray, mean: np.ndarray,
        of_constants: ConstantScales,
    ) -> dict[str, Any]:  # fmt: skip
        """Gradients for errors of all lanes, by projection and by constant.

        Parameters
        ----------
        errors : (n, n_steps, readouts)
        external : Samples or External
            Signals and modulator of the lanes of this rank.
        scales : (n, delay groups)
            Factors of the gradients of each lane.
        mean : (delay groups,)
            Factors of their sum.
        of_constants : ConstantScales
            The same of constants, for all lanes.
        """
        arrays, replicas, n, request = self.episodes.arrays, self.episodes.replicas, self.own.size, lib.EpisodeRequest()
        self.check_wiring()
        arrays.tie_feedback()
        totals = [
            np.zeros_like(arrays.synapses.pending),
            arrays.constants.no_products(),
            *self.episodes.rewirer.watched,
        ]
        each = [TERMS, *(1 for _ in totals[1:])]
        terms = [replicas.terms(total, self.n, count) for total, count in zip(totals, each, strict=True)]
        request.samples = np.arange(n)
        request.scales, request.given_errors = scales[self.here], errors[self.here]
        set_external(request, arrays, external)
        request.product_scales, request.products = of_constants.of_samples[self.here], terms[1]
        if n:
            with self.episodes.rewirer.watching(self.core, terms[2:]):
                self.core.backward(request, terms[0])
        for total, part, count in zip(totals, terms, each, strict=True):
            replicas.add(total, part, self.n, count)
        pending, products = totals[:2]
        with np.errstate(invalid="ignore"):  # infinities of both signs
            finite = np.isfinite(pending.sum()) and np.isfinite(products.sum())
        if not finite:
            raise DivergenceError(
                "backward: a gradient became infinite or NaN: make the errors, or what they weigh, smaller"
            )
        return self.episodes.optimizers.by_name(pending, mean, products, of_constants.of_sum)

    def reset(self, chosen: np.ndarray) -> None:
        """End the episodes of some of all lanes."""
        self.core.reset(chosen[np.isin(chosen, self.own)] - self.here.start)

    def joined(self, part: np.ndarray) -> np.ndarray:
        """Rows of all lanes, from those of this rank."""
        return self.episodes.replicas.joined(part, self.n)

    def spikes(self) -> np.ndarray:
        """Spikes of all neurons of each lane in this rollout, (n,)."""
        return self.joined(np.asarray(self.core.spikes()))

    def check_diverged(self, where: str) -> None:
        """Raise with advice if a lane has a voltage or output that is not finite or implausibly large."""
        found, comm = self.core.diverged(), self.episodes.comm
        lanes = comm.gather(found + self.here.start if found >= 0 else -1) if comm.size > 1 else [found]
        if max(lanes) >= 0:
            check_status(Status.EXPLODED, f"{where}: lane {min(lane for lane in lanes if lane >= 0)}")

    def check_whole(self, what: str) -> None:
        """Raise if the last replay was interrupted."""
        if not self.whole:
            raise InputError(f"the last replay of {what} was interrupted; call replay() once more")


class Rollout:
    """Samples that `Simulator.forward` has simulated in parallel.

    Attributes
    ----------
    n, n_steps : int
        Samples, and steps of each.
    y : (n, n_steps, readouts) float64
        Outputs, mV.
    spikes : (n,) int64
        Number of spikes of all neurons.
    errors : (n, n_steps, readouts) float64
        Derivative of the samples' own loss with respect to ``y``: the loss of their targets within their windows; 0 without
        targets.
    loss : (n,) float64
        That loss, summed over the learning window.
    """

    def __init__(self, lanes: LaneGroup, samples: Samples):
        episodes = lanes.episodes
        self.n, self.n_steps = lanes.n, samples.n_steps
        self._lanes, self._samples, self._scale = lanes, samples, batch_scale(episodes.arrays, samples)
        self._scales = sample_scales(episodes.arrays, samples, np.arange(self.n))
        self._of_constants = constant_scales(episodes.arrays, samples, np.arange(self.n))
        # Samples of this rank; of none, any sample gives the arrays their shapes.
        given = episodes.losses.without_targets(samples)
        self._own = given if lanes.own.size == self.n else given[lanes.own if lanes.own.size else [0]]
        n = lanes.own.size
        self._request = request_of(episodes.arrays, self._own, np.arange(n))
        shape = n, self.n_steps, episodes.arrays.built.n_readouts
        self._request.learn = self._request.drops = True
        self._out = np.zeros(shape), np.zeros(shape), np.zeros(n)
        self._request.y, self._request.error, self._request.loss = self._out
        self.y: Floats
        self.errors: Floats
        self.loss: Floats
        self.spikes: Integers
        self.y, self.errors, self.loss, self.spikes = self._results()

    def __repr__(self) -> str:
        return f"Rollout({self.n} samples of {self.n_steps} steps; y {self.y.shape}; {self.spikes.sum():,} spikes)"

    def _run(self) -> Rollout:
        """Simulate the steps of the rollout, once."""
        self._lanes.run(self._request)
        return self._finished("forward")

    def backward(self, errors: Any = None) -> dict[str, Floats]:
        """Gradient of e-prop for given errors of the readouts.

        Parameters
        ----------
        errors : array, shape (n, n_steps, readouts), optional
            Derivative of any loss with respect to ``y``, 1/mV times the unit of the loss; the error of step ``t`` belongs to
            ``y[:, t]``. Readouts are in the order of their populations. The default is `errors`.

        Returns
        -------
        dict of ndarray, shape (connections,), float64
            As from `Simulator.gradients`: the mean over the samples, with rate regularisation, also for weights onto
            readouts. Feedback of any kind turns errors into learning signals as in `Simulator.train`.

        Raises
        ------
        InputError
            If the errors have another shape, are not finite or differ between ranks.

        Notes
        -----
        Signals and a modulator of the samples count as in `Simulator.train`; row 0 of a continued rollout belongs to the
        last step of the rollout before.

        The gradient is ``sum_t L(t) e_bar(t)`` over the steps of this rollout, with the traces of the whole episode so far
        (Bellec et al. 2020). A rollout that continues another one starts with its traces, which are carried over exactly, at a
        cost that does not depend on the length of the episode.
        """
        episodes = self._lanes.episodes
        with episodes.lock:
            self._lanes.check_whole("this rollout")
            check = partial(checked_errors, self.errors if errors is None else errors, self.y.shape)
            given = run_on_all_ranks(episodes.comm, "backward", check, lambda given: {"errors": checksum(given)})
            return self._lanes.backward(given, self._own, self._scales, self._scale, self._of_constants)

    def replay(self) -> Rollout:
        """Simulate again from the start of this rollout, with the same inputs and random numbers, and the present weights.

        ``y``, ``spikes``, ``errors`` and ``loss`` are replaced, and `backward` then belongs to the new steps.

        Returns
        -------
        Rollout
            The rollout itself.

        Raises
        ------
        DivergenceError
            As for `Simulator.forward`.
        """
        with self._lanes.episodes.lock:
            self._lanes.replay(self._request)
            return self._finished("replay")

    def reset(self, samples: Any) -> None:
        """End the episodes of some samples with this rollout: a continuing rollout starts them at rest, without traces.

        Parameters
        ----------
        samples : sequence of int, or bool
            Indices of the samples, or a boolean for each sample.

        Raises
        ------
        InputError
            If there is no such sample.
        """
        episodes = self._lanes.episodes
        with episodes.lock:
            check = partial(chosen_lanes, self.n, samples)
            self._lanes.reset(
                run_on_all_ranks(episodes.comm, "reset", check, lambda chosen: {"samples": checksum(chosen)})
            )

    def count_events(self) -> int:
        """Synaptic events of a rollout from rest, of all samples on all ranks."""
        self._request.events = events = np.zeros(self._lanes.own.size, np.int64)
        self._lanes.core.finish(self._request)
        return int(self._lanes.episodes.comm.sum(np.array([events.sum()]))[0])

    def _results(self) -> tuple[np.ndarray, ...]:
        """Outputs, errors, loss and spikes of all samples."""
        return *map(self._lanes.joined, self._out), self._lanes.spikes()

    def _finished(self, where: str) -> Rollout:
        for array, found in zip((self.y, self.errors, self.loss, self.spikes), self._results(), strict=True):
            array[...] = found
        self._lanes.check_diverged(where)
        if self._lanes.episodes.losses:
            errors, losses = self._lanes.episodes.losses.compare(self._samples, self.y)
            self.errors += errors
            self.loss += losses.sum(axis=1)
        return self


def forward(episodes: Episodes, layout: SampleLayout, samples: Samples, after: Rollout | None) -> Rollout:
    """Simulate samples from rest, or from the end of a rollout, see `Simulator.forward`."""
    arrays = episodes.arrays
    with episodes.lock:
        check = partial(_check_forward, episodes, layout, samples, after)
        run_on_all_ranks(episodes.comm, "forward", check, lambda _: keys_of(samples, after is None))
        n, n_steps = len(samples), samples.n_steps
        samples = without_dropped(arrays.network, samples, arrays.learned_steps)
        lanes = LaneGroup(episodes, n, n_steps, after=after._lanes if after else None)
        arrays.tie_feedback()
        seeds = np.full(lanes.own.size, arrays.network.seed, np.uint64)
        lanes.core.set_random(seeds, arrays.noise_clocks(n_steps, lanes.own, True))
        lanes.follow_weights()
        rollout = Rollout(lanes, samples)._run()
        arrays.learned_steps, arrays.given_steps = arrays.learned_steps + n * n_steps, 0
        return rollout


def check_learns(episodes: Episodes, call: str) -> None:
    """Refuse networks that do not learn by `EProp`."""
    if not episodes.arrays.built.learning.eprop:
        raise InputError(f"{call}: only EProp learns from rollouts; give a projection the rule EProp")


def _check_forward(episodes: Episodes, layout: SampleLayout, samples: Any, after: Any) -> None:
    check_learns(episodes, "forward")
    check_samples(layout, samples)
    if after is None:
        return
    if not isinstance(after, Rollout):
        raise InputError(f"forward: after must be a Rollout, got {type(after).__name__}")
    if after._lanes.episodes is not episodes:
        raise InputError("forward: the rollout to continue belongs to another simulator")
    if after.n != len(samples):
        raise InputError(f"forward: the rollout to continue has {after.n} samples, got {len(samples)}")
    refuse_modulation(episodes.arrays.network, "forward(..., after=)")
    after._lanes.check_whole("this rollout")
    after._lanes.check_wiring()


def checked_errors(errors: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Check given errors of readouts against a shape."""
    given = real_numbers("errors", errors, InputError)
    if given.shape != shape:
        raise InputError(f"errors must have shape {shape} = (lanes, steps, readouts), got {given.shape}")
    given = np.ascontiguousarray(given, np.float64)
    if not lib.all_finite(given):
        raise InputError("errors hold values that are not finite")
    return np.asarray(given)


def chosen_lanes(n: int, lanes: Any) -> np.ndarray:
    """Indices of some of ``n`` lanes, from indices or a boolean for each."""
    given: np.ndarray = np.atleast_1d(real_numbers("lanes", lanes, InputError))
    if given.dtype.kind == "b" and given.shape == (n,):
        return np.flatnonzero(given).astype(np.int64)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise InputError(f"reset takes indices of lanes, or {n} booleans, got {lanes!r:.80}")
    chosen = given.astype(np.int64)
    if chosen.size and (np.min(chosen) < 0 or np.max(chosen) >= n):
        raise InputError(f"reset: lanes are 0..{n - 1}, got {np.min(chosen)}..{np.max(chosen)}")
    return chosen
