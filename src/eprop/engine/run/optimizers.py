"""Gradients of e-prop: their factors, their values by projection, and the step of the optimisers."""

from __future__ import annotations

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
from eprop.parallel.interrupt import Postponed
from eprop.parameters import real_numbers
from eprop.rules import EProp


def batch_scale(arrays: Arrays, lengths: np.ndarray) -> np.ndarray:
    """Per delay group: mean over samples of some `lengths_of`; if the rule says so, also over the window of the first one."""
    return np.where(_averaged(arrays), 1.0 / len(lengths) / lengths[0], 1.0 / len(lengths))


def sample_scales(arrays: Arrays, lengths: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Factors of gradients as they are added up, per delay group, for samples ``index`` (samples, groups).

    A factor is the unit of the readouts times the length of the first sample's window relative to the sample's own window.
    """
    shares = np.where(_averaged(arrays), (lengths[0] / lengths[index])[:, None], 1.0)
    dtype = arrays.built.dtype  # the type of a synapse
    scales = arrays.built.topology.groups["input_scale"].astype(dtype) * shares.astype(dtype)
    return np.ascontiguousarray(scales, np.float64)


class ConstantScales(NamedTuple):
    """Factors of the inner products of constants that learn, per population.

    Attributes
    ----------
    of_samples : (samples, populations)
        As the samples are added up.
    of_sum : (populations,)
        Of their sum.
    """

    of_samples: np.ndarray
    of_sum: np.ndarray


def constant_scales(arrays: Arrays, lengths: np.ndarray, index: np.ndarray) -> ConstantScales:
    """Factors for samples ``index``; they are those of synapses onto the population."""
    averaged = _averaged_populations(arrays)
    shares = np.where(averaged, (lengths[0] / lengths[index])[:, None], 1.0)
    return ConstantScales(shares, np.where(averaged, 1.0 / len(lengths) / lengths[0], 1.0 / len(lengths)))


def _averaged_populations(arrays: Arrays) -> np.ndarray:
    """Per population: whether all `EProp` rules onto it average their gradients over the learning window."""
    found = []
    for q in arrays.network.populations:
        rules = [p.rule for p in arrays.network.projections if p.post is q]
        own = [rule.average_gradient for rule in rules if isinstance(rule, EProp)]
        found.append(bool(own) and all(own))
    return np.array(found, np.bool_)


def _averaged(arrays: Arrays) -> np.ndarray:
    """Per delay group: whether its gradients are averaged over the learning window."""
    rules = [arrays.network.projections[k].rule for k in arrays.built.topology.groups["projection"]]
    return np.array([getattr(rule, "average_gradient", False) for rule in rules], np.bool_)


def lengths_of(samples: Samples) -> np.ndarray:
    """Length of the learning window of each sample in steps; 1 if it is never open.

    A step counts with the absolute value of its weight; with several readout populations the longest window counts.
    """
    lengths = np.abs(samples.window).sum(axis=1).max(axis=1)
    return np.broadcast_to(np.where(lengths == 0.0, 1.0, lengths), len(samples))


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
        self._orders, self._wiring = dict[int, np.ndarray](), 0

    def _order(self, projection: int) -> np.ndarray:
        """Positions of a projection's synapses in the order of connections; kept until connections move."""
        self._follow_wiring()
        if projection not in self._orders:
            self._orders[projection] = synapse_order(self._arrays, projection)[0]
        return self._orders[projection]

    def _follow_wiring(self) -> None:
        if self._wiring != self._arrays.wiring_changes:
            self._orders, self._groups, self._wiring = {}, None, self._arrays.wiring_changes

    def by_name(
        self, pending: np.ndarray, scale: np.ndarray, products: np.ndarray, of_constants: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Gradients as the optimisers take them, by projection and by constant.

        Parameters
        ----------
        pending : (synapses,)
        scale : (delay groups,)
            Factors of ``pending``.
        products : (products, targets)
            Sums for the constants that learn.
        of_constants : (populations,)
            Factors of ``products``.
        """
        found = self._by_projection(pending, scale)
        return found | self._arrays.constants.gradients(products, of_constants, self._arrays.exchange)

    def _by_projection(self, pending: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        arrays = self._arrays
        self._follow_wiring()
        if self._groups is None:
            self._groups = branches_at(arrays.built, np.arange(pending.size))[1]
        # The product has the type of a synapse.
        found = (pending * scale.astype(pending.dtype)[self._groups]).astype(np.float64)
        return {p.name: weights.of_all_ranks(arrays, p, [found[self._order(p.index)]])[0] for p in self._learning()}

    def _clip(self, scale: np.ndarray) -> None:
        """Scale down the pending gradients of each projection whose norm, after ``scale``, exceeds `EProp.clip_norm`."""
        limits = {p: p.rule.clip_norm for p in self._learning() if isinstance(p.rule, EProp) and p.rule.clip_norm}
        if not limits:
            return
        pending, found = self._arrays.synapses.pending, self._by_projection(self._arrays.synapses.pending, scale)
        for p, limit in limits.items():
            # The order of the sum is that of the connections, whatever part of them this rank has.
            if (norm := float(np.sqrt(np.square(found[p.name]).sum()))) > limit:
                pending[self._order(p.index)] *= pending.dtype.type(limit / norm)

    def _learning(self) -> list[Projection]:
        """Projections that learn by `EProp`."""
        return [p for p in self._arrays.network.projections if p.rule.code == EProp.code]

    def learn(self, gradients: Mapping[str, np.ndarray]) -> None:
        """See `Lanes.learn`."""
        arrays = self._arrays
        check = partial(self._checked, gradients)
        given = run_on_all_ranks(self._comm, "learn", check, lambda given: {k: checksum(g) for k, g in given.items()})
        with Postponed():
            arrays.tie_feedback()
            for p in self._learning():
                arrays.synapses.pending[self._order(p.index)] = given[p.name][arrays.gatherer.held(p.index)]
            self.take_step(np.ones(len(arrays.built.groups)), given, "learn")

    def take_step(
        self, scale: np.ndarray, of_constants: Mapping[str, np.ndarray], where: str, n_steps: int = 0
    ) -> None:
        """Apply an optimiser step with the gradients of ``n_steps`` steps, while Ctrl-C is `Postponed`.

        Parameters
        ----------
        scale : (delay groups,)
            Factors of the pending gradients of synapses.
        of_constants : dict
            Gradients of constants, by `Constant.key`; other entries are not read.
        where : str
            Name of the call, for messages.
        n_steps : int
        """
        arrays, synapses = self._arrays, self._arrays.synapses
        try:
            arrays.updates, arrays.learned_steps = arrays.updates + 1, arrays.learned_steps + n_steps
            began = time.perf_counter()
            self._clip(scale)
            waiting = take_gradients(arrays, scale)
            arrays.online.optimize(arrays.updates, scale, arrays.threads)
            take_steps(arrays, waiting)
            arrays.online.round_weights(arrays.updates, arrays.threads)
            if arrays.constants:
                arrays.constants.step(of_constants, arrays.updates)
            self._timer.add_since("update", began)
        except BaseException:
            arrays.discard_gradients()
            raise
        arrays.weight_changes += 1
        arrays.tie_feedback()
        check_weights(arrays, where, bool(np.isfinite(synapses.weight.sum())))

    def _checked(self, gradients: object) -> dict[str, np.ndarray]:
        """Check that there is a gradient for each connection and each constant that learns by `EProp`."""
        arrays = self._arrays
        if not isinstance(gradients, Mapping):
            raise InputError(
                f"learn takes gradients by projection, as backward returns them, got {type(gradients).__name__}"
            )
        constants = arrays.constants.values
        names = [*(p.name for p in self._learning()), *constants]
        if set(gradients) != set(names):
            raise InputError(
                f"learn takes the gradients of all that learns by EProp ({', '.join(names)}), got those of "
                f"{', '.join(map(str, gradients)) or 'none'}"
            )
        shapes: dict[str, tuple[int, ...]] = {p.name: (arrays.gatherer.count(p.index),) for p in self._learning()}
        shapes |= {key: values.moved.shape for key, values in constants.items()}
        given = {}
        for name, shape in shapes.items():
            values = real_numbers(f"gradient of {name}", gradients[name], InputError).astype(np.float64, copy=False)
            if values.shape != shape:
                raise InputError(f"the gradient of {name} must have shape {shape}, got {values.shape}")
            if not lib.all_finite(np.ascontiguousarray(values)):
                raise InputError(f"the gradient of {name} holds values that are not finite")
            given[name] = values
        return given
