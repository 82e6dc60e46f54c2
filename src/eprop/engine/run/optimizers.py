"""Gradients of e-prop: their factors, their values by projection, and the step of the optimisers."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.guards import check_weights
from eprop.engine.run.samples import Samples
from eprop.engine.run.timing import PhaseTimer
from eprop.engine.state import weights
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import branches_at, synapse_order
from eprop.errors import InputError, ParameterError
from eprop.network import Projection
from eprop.parallel import Communicator
from eprop.parameters import real_numbers
from eprop.rules import EProp


def batch_scale(arrays: Arrays, samples: Samples) -> np.ndarray:
    """Per delay group: mean over the batch; if the rule says so, also over the learning window of the first sample."""
    return np.where(_averaged(arrays), 1.0 / len(samples) / _lengths(samples)[0], 1.0 / len(samples))


def sample_scales(arrays: Arrays, samples: Samples, index: np.ndarray) -> np.ndarray:
    """Factors of gradients as they are added up, per delay group, for samples ``index`` (samples, groups).

    A factor is the unit of the readouts times the length of the first sample's window relative to the sample's own window.
    """
    lengths = np.broadcast_to(_lengths(samples), len(samples))
    shares = np.where(_averaged(arrays), (lengths[0] / lengths[index])[:, None], 1.0)
    dtype = arrays.built.weight.dtype  # the type of a synapse
    scales = arrays.built.topology.groups["input_scale"].astype(dtype) * shares.astype(dtype)
    return np.ascontiguousarray(scales, np.float64)


def rollout_scales(arrays: Arrays, n: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors as `sample_scales` and `batch_scale` give, for ``n`` lanes and a rollout, all of whose steps count."""
    averaged = _averaged(arrays)
    scales = np.tile(arrays.built.topology.groups["input_scale"].astype(np.float64), (n, 1))
    return scales, np.where(averaged, 1.0 / n / n_steps, 1.0 / n)


def _averaged(arrays: Arrays) -> np.ndarray:
    """Per delay group: whether its gradients are averaged over the learning window."""
    rules = [arrays.network.projections[k].rule for k in arrays.built.topology.groups["projection"]]
    return np.array([getattr(rule, "average_gradient", False) for rule in rules], np.bool_)


def _lengths(samples: Samples) -> np.ndarray:
    """Length of each learning window in steps, or of the common window; 1 if it is never open.

    A step counts with the absolute value of its weight; with several readout populations the longest window counts.
    """
    lengths = np.abs(samples.window).sum(axis=1).max(axis=1)
    return np.where(lengths == 0.0, 1.0, lengths)


class Waiting(NamedTuple):
    """Synapses of one delay group and partition, and the gradients with which their optimiser will take a step."""

    group: Any
    synapses: slice
    gradients: np.ndarray


def take_gradients(arrays: Arrays, scale: np.ndarray) -> list[Waiting]:
    """Take the pending gradients of optimisers in Python, times ``scale`` of each delay group, so that the core has none."""
    groups, starts = arrays.built.topology.groups, arrays.built.topology.branch_start
    pending, waiting = arrays.synapses.pending, []
    for r, group in enumerate(groups):
        if group["first_group"] != r or not _optimizer(arrays, group):
            continue
        first = group["first_branch"]
        last = first + group["n_branches"] * group["branch_stride"]
        for part in starts:
            synapses = slice(int(part[first]), int(part[last]))
            waiting.append(Waiting(group, synapses, pending[synapses] * pending.dtype.type(scale[r])))
            pending[synapses] = 0.0
    return waiting


def take_steps(arrays: Arrays, waiting: list[Waiting]) -> None:
    """Move the weights of optimisers in Python.

    Raises
    ------
    ParameterError
        If a step does not return a weight for each synapse.
    """
    synapses = arrays.synapses
    for group, where, gradients in waiting:
        optimizer = _optimizer(arrays, group)
        moments = (synapses.moment_1, synapses.moment_2)
        stored = tuple(moment[where] for moment, wanted in zip(moments, optimizer.moments, strict=True) if wanted)
        weights = optimizer.replace(eta=float(group["eta"])).step(
            synapses.weight[where].copy(), gradients, stored, arrays.updates
        )
        if np.shape(weights) != gradients.shape:
            raise ParameterError(
                f"{type(optimizer).__name__}.step must return {gradients.size} weights, one for each synapse, got shape "
                f"{np.shape(weights)}"
            )
        synapses.weight[where] = np.clip(weights, group["w_min"], group["w_max"])


def _optimizer(arrays: Arrays, group: Any) -> Any:
    """The optimiser in Python of a delay group, or None."""
    optimizer = getattr(arrays.network.projections[group["projection"]].rule, "optimizer", None)
    return optimizer if optimizer is not None and optimizer.in_python else None


class Optimizers:
    """Gradients of a simulator's network by projection, and the step of its optimisers.

    Parameters
    ----------
    arrays : Arrays
    comm : Communicator
        All ranks.
    timer : PhaseTimer
    """

    def __init__(self, arrays: Arrays, comm: Communicator, timer: PhaseTimer):
        self._arrays, self._comm, self._timer = arrays, comm, timer
        self._groups: np.ndarray | None = None
        self._order = functools.lru_cache(maxsize=None)(lambda projection: synapse_order(arrays, projection)[0])

    def by_projection(self, pending: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Sums of gradients times a factor for each delay group, as the optimisers multiply them, by projection."""
        arrays = self._arrays
        if self._groups is None:
            self._groups = branches_at(arrays.built, np.arange(pending.size))[1]
        # The product has the type of a synapse.
        found = (pending * scale.astype(pending.dtype)[self._groups]).astype(np.float64)
        return {p.name: weights.of_all_ranks(arrays, p, [found[self._order(p.index)]])[0] for p in self._learning()}

    def _learning(self) -> list[Projection]:
        """Projections that learn by `EProp`."""
        return [p for p in self._arrays.network.projections if p.rule.code == EProp.code]

    def learn(self, gradients: Mapping[str, np.ndarray]) -> None:
        """See `Simulator.learn`."""
        arrays = self._arrays
        check = partial(self._checked, gradients)
        given = run_on_all_ranks(self._comm, "learn", check, lambda given: {k: checksum(g) for k, g in given.items()})
        arrays.tie_feedback()
        for name, values in given.items():
            index = arrays.network.projection(name).index
            arrays.synapses.pending[self._order(index)] = values[arrays.gatherer.held(index)]
        self.take_step(np.ones(len(arrays.built.groups)), "learn")

    def take_step(self, scale: np.ndarray, where: str, n_steps: int = 0) -> None:
        """Apply an optimiser step with the pending gradients, of ``n_steps`` steps, times ``scale`` for each delay group."""
        arrays, synapses = self._arrays, self._arrays.synapses
        try:
            # Ctrl-C is handled after the call, so weights and their step count change together.
            arrays.updates, arrays.learned_steps = arrays.updates + 1, arrays.learned_steps + n_steps
            began = time.perf_counter()
            waiting = take_gradients(arrays, scale)
            arrays.online.optimize(arrays.updates, scale, arrays.threads)
            take_steps(arrays, waiting)
            self._timer.add_since("update", began)
        except BaseException:
            synapses.pending[:] = 0.0
            raise
        arrays.weight_changes += 1
        arrays.tie_feedback()
        check_weights(arrays, where, bool(np.isfinite(synapses.weight.sum())))

    def _checked(self, gradients: object) -> dict[str, np.ndarray]:
        """Check that there is a gradient for each connection of each projection that learns by `EProp`."""
        arrays = self._arrays
        if not isinstance(gradients, Mapping):
            raise InputError(
                f"learn takes gradients by projection, as backward returns them, got {type(gradients).__name__}"
            )
        names = [p.name for p in self._learning()]
        if set(gradients) != set(names):
            raise InputError(
                f"learn takes the gradients of all projections that learn by EProp ({', '.join(names)}), got those of "
                f"{', '.join(map(str, gradients)) or 'none'}"
            )
        given = {}
        for p in self._learning():
            values = real_numbers(f"gradient of {p.name}", gradients[p.name], InputError).astype(np.float64, copy=False)
            if values.shape != (count := (arrays.gatherer.count(p.index),)):
                raise InputError(f"the gradient of {p.name} must have shape {count}, got {values.shape}")
            if not lib.all_finite(np.ascontiguousarray(values)):
                raise InputError(f"the gradient of {p.name} holds values that are not finite")
            given[p.name] = values
        return given
