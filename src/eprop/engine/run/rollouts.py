"""Rollouts of e-prop: simulate samples forward, propagate outside errors backward, learn; the next rollout may continue."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.memory import check_room
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.batches import Batches
from eprop.engine.run.gradient_scaling import batch_scale, sample_scales
from eprop.engine.run.inputs import check_samples
from eprop.engine.run.layout import SampleLayout
from eprop.engine.run.outside import Told, outside_of
from eprop.engine.run.samples import Samples
from eprop.engine.state import weights
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.synapse_order import branches_at, synapse_order
from eprop.errors import DivergenceError, InputError, Status, check_status
from eprop.parallel import Communicator
from eprop.parameters import real_numbers
from eprop.rules import EProp

ROLLOUTS = {np.dtype(np.float64): lib.RolloutDouble, np.dtype(np.float32): lib.RolloutSingle}
# Streams per thread before gradients are added up, see core/episodes/rollout.cpp.
STREAMS_A_THREAD = 4


class Compared(NamedTuple):
    """Targets of samples, and arrays to which the core writes their errors and losses."""

    target: np.ndarray
    window: np.ndarray
    error: np.ndarray
    loss: np.ndarray


class Gradients:
    """Gradients of rollouts by projection, and the optimiser step with them.

    Parameters
    ----------
    arrays : Arrays
    comm : Communicator
        All ranks.
    batches : Batches
    alone : context manager
        Held while a simulator is in use.
    """

    def __init__(self, arrays: Arrays, comm: Communicator, batches: Batches, alone: AbstractContextManager[None]):
        self.arrays, self.comm, self.alone, self._batches = arrays, comm, alone, batches
        self._groups: np.ndarray | None = None
        self._order = functools.lru_cache(maxsize=None)(lambda projection: synapse_order(arrays, projection)[0])

    def of(
        self, core: Any, errors: np.ndarray, told: Samples | Told, scales: np.ndarray, mean: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Gradients of a rollout of the core, times a factor for each delay group (``mean``)."""
        arrays = self.arrays
        arrays.tie_feedback()
        pending = np.zeros_like(arrays.synapses.pending)
        core.backward(errors, arrays.neurons.feedback, outside_of(arrays, told), scales, pending)
        found = self.scaled(pending, mean)
        if not np.isfinite(found).all():
            raise DivergenceError(
                "backward: a gradient became infinite or NaN: make the errors, or what they weigh, smaller"
            )
        return weights.gradients(arrays, found, self._order)

    def scaled(self, pending: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Gradients of all synapses in internal order, as the optimisers receive them."""
        if self._groups is None:
            self._groups = branches_at(self.arrays.built, np.arange(pending.size))[1]
        return (pending * scale.astype(pending.dtype)[self._groups]).astype(np.float64)

    def learn(self, gradients: Mapping[str, np.ndarray]) -> None:
        """See `Simulator.learn`."""
        arrays = self.arrays
        with self.alone:
            check = partial(self._checked, gradients)
            given = run_on_all_ranks(
                self.comm, "learn", check, lambda given: {k: checksum(g) for k, g in given.items()}
            )
            arrays.tie_feedback()
            pending = arrays.synapses.pending
            for name, values in given.items():
                index = arrays.network.projection(name).index
                pending[self._order(index)] = values[arrays.gatherer.held(index)]
            self._batches.take_step(np.ones(len(arrays.built.topology.groups)), "learn")

    def _checked(self, gradients: Any) -> dict[str, np.ndarray]:
        """Check that there is a gradient for each connection of each projection that learns by `EProp`."""
        arrays = self.arrays
        if not isinstance(gradients, Mapping):
            raise InputError(
                f"learn takes gradients by projection, as backward returns them, got {type(gradients).__name__}"
            )
        learning = [p for p in arrays.network.projections if p.rule.code == EProp.code]
        names = [p.name for p in learning]
        if set(gradients) != set(names):
            raise InputError(
                f"learn takes the gradients of all projections that learn by EProp ({', '.join(names)}), got those of "
                f"{', '.join(map(str, gradients)) or 'none'}"
            )
        given = {}
        for p in learning:
            values = real_numbers(f"gradient of {p.name}", gradients[p.name], InputError).astype(np.float64)
            if values.shape != (count := (arrays.gatherer.count(p.index),)):
                raise InputError(f"the gradient of {p.name} must have shape {count}, got {values.shape}")
            if not np.isfinite(values).all():
                raise InputError(f"the gradient of {p.name} holds values that are not finite")
            given[p.name] = values
        return given


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

    def __init__(self, gradients: Gradients, core: Any, samples: Samples):
        built = gradients.arrays.built
        self.n, self.n_steps = len(samples), samples.n_steps
        self._gradients, self._core, self._samples, self._whole = gradients, core, samples, True
        shape = self.n, self.n_steps, built.n_readouts
        self.y, self.errors, self.loss = np.zeros(shape), np.zeros(shape), np.zeros(self.n)
        self._compared = Compared(samples.target, samples.window, self.errors, self.loss)
        self.spikes = np.zeros(self.n, np.int64)

    def __repr__(self) -> str:
        return f"Rollout({self.n} samples of {self.n_steps} steps; y {self.y.shape}; {self.spikes.sum():,} spikes)"

    def run(self) -> Rollout:
        """Simulate the steps of the rollout, once."""
        samples = self._samples
        self._core.run(self.n_steps, samples.event_start, samples.event_channels, self.y, self._compared)
        return self._finished("forward")

    def backward(self, errors: Any = None) -> dict[str, np.ndarray]:
        """Gradient of e-prop for errors of the readouts from outside.

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
            If the errors have another shape or are not finite.

        Notes
        -----
        Signals and a modulator of the samples count as in `Simulator.train`; row 0 of a continued rollout belongs to the
        last step of the rollout before.

        The gradient is ``sum_t L(t) e_bar(t)`` over the steps of this rollout, with the traces of the whole episode so far
        (Bellec et al. 2020). A rollout that continues another one starts with its traces, which are carried over exactly, at a
        cost that does not depend on the length of the episode.
        """
        given = self.errors if errors is None else errors_of(errors, self.y.shape)
        arrays, samples = self._gradients.arrays, self._samples
        with self._gradients.alone:
            self._check_whole()
            scales = sample_scales(arrays, samples, np.arange(self.n))
            return self._gradients.of(self._core, given, samples, scales, batch_scale(arrays, samples))

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
        with self._gradients.alone:
            self._whole = False
            self._core.set_weights(self._gradients.arrays.synapses.weight)
            self._core.replay(self.y, self._compared)
            self._whole = True
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
        with self._gradients.alone:
            self._core.reset(chosen_streams(self.n, samples))

    def _finished(self, where: str) -> Rollout:
        self.spikes[...] = self._core.spikes()
        check_diverged(self._core, where)
        return self

    def _check_whole(self) -> None:
        if not self._whole:
            raise InputError("the last replay of this rollout was interrupted; call replay() once more")


class Rollouts:
    """Makes rollouts, see `Simulator.forward`.

    Parameters
    ----------
    gradients : Gradients
    layout : SampleLayout
    """

    def __init__(self, gradients: Gradients, layout: SampleLayout):
        self._gradients, self._layout = gradients, layout

    def forward(self, samples: Samples, after: Rollout | None) -> Rollout:
        """Simulate samples from rest, or from the end of a rollout."""
        arrays = self._gradients.arrays
        with self._gradients.alone:
            check_single(arrays, self._gradients.comm, "forward")
            check_samples(self._layout, samples)
            n, n_steps = len(samples), samples.n_steps
            if after is not None:
                self._check_after(after, n)
            arrays.tie_feedback()
            core = make_core(arrays, n, n_steps, True) if after is None else after._core.continued(n_steps)
            seeds, index = np.full(n, arrays.network.seed, np.uint64), np.arange(n)
            core.set_random(seeds, arrays.noise_clocks(n_steps, index, True))
            core.set_weights(arrays.synapses.weight)
            rollout = Rollout(self._gradients, core, samples).run()
            arrays.learned_steps += n * n_steps
            return rollout

    def _check_after(self, after: Any, n: int) -> None:
        if not isinstance(after, Rollout):
            raise InputError(f"forward: after must be a Rollout, got {type(after).__name__}")
        if after._gradients is not self._gradients:
            raise InputError("forward: the rollout to continue belongs to another simulator")
        if after.n != n:
            raise InputError(f"forward: the rollout to continue has {after.n} samples, got {n}")
        after._check_whole()
        check_memory(self._gradients.arrays, n, after._core.rows, True)


def make_core(arrays: Arrays, n: int, n_steps: int, learn: bool) -> Any:
    """Make ``n`` streams of the core at rest, with room for some steps."""
    built = arrays.built
    rows = n_steps + rows_of_history(arrays)
    check_memory(arrays, n, rows, learn)
    return ROLLOUTS[built.weight.dtype](built.topology, built.initial, n, rows, learn, max(arrays.threads, 1))


def rows_of_history(arrays: Arrays) -> int:
    """Rows of a stream besides those of its steps."""
    topology = arrays.built.topology
    latency = 1 + max([1, *topology.populations["error_latency"].tolist(), int(topology.error_latency.max(initial=1))])
    return latency + 2 * max(arrays.built.max_delay, 1)


def check_memory(arrays: Arrays, n: int, rows: int, learn: bool) -> None:
    """Refuse streams that do not fit into memory at their largest size.

    Raises
    ------
    MemoryLimitError
    """
    built, threads = arrays.built, max(arrays.threads, 1)
    stream, traces, work, shared = lib.rollout_bytes(
        built.topology, built.initial.shape[0], rows, learn, threads, built.weight.itemsize
    )
    needed = n * stream + shared
    if learn:
        needed += n * traces + min(n, STREAMS_A_THREAD * threads) * (work + traces)
    advice = "take fewer of them, or shorter rollouts"
    if built.weight.itemsize == 8:
        advice += ', or precision="single"'
    check_room(f"{n} streams of {rows:,} steps in parallel", needed, advice)


def check_single(arrays: Arrays, comm: Communicator, call: str) -> None:
    """Refuse several ranks, and networks that do not learn by `EProp`."""
    if comm.size > 1:
        raise InputError(
            f"{call} runs in one process: several ranks cannot share rollouts. Start it without mpiexec; "
            "threads divide the samples or streams"
        )
    if not arrays.built.has_eprop:
        raise InputError(f"{call}: only EProp learns from rollouts; give a projection the rule EProp")


def check_diverged(core: Any, where: str) -> None:
    """Raise with advice if a stream has a voltage or output that is not finite or implausibly large."""
    if (stream := core.diverged()) >= 0:
        check_status(Status.EXPLODED, f"{where}: stream {stream}")


def errors_of(errors: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Check outside errors of readouts against a shape."""
    given = real_numbers("errors", errors, InputError)
    if given.shape != shape:
        raise InputError(f"errors must have shape {shape} = (streams, steps, readouts), got {given.shape}")
    given = np.ascontiguousarray(given, np.float64)
    if not lib.all_finite(given):
        raise InputError("errors hold values that are not finite")
    return np.asarray(given)


def chosen_streams(n: int, streams: Any) -> np.ndarray:
    """Indices of some of ``n`` streams, from indices or a boolean for each."""
    given = np.atleast_1d(real_numbers("streams", streams, InputError))
    if given.dtype.kind == "b" and given.shape == (n,):
        return np.flatnonzero(given).astype(np.int64)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise InputError(f"reset takes indices of streams, or {n} booleans, got {streams!r:.80}")
    chosen = given.astype(np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= n):
        raise InputError(f"reset: streams are 0..{n - 1}, got {chosen.min()}..{chosen.max()}")
    return chosen
