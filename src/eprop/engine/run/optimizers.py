"""Gradients of e-prop: their factors, their values by projection, and the step of the optimisers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.guards import check_weights
from eprop.engine.run.samples import Samples
from eprop.engine.run.timing import PhaseTimer
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import branches_at, synapse_order
from eprop.errors import InputError, ParameterError
from eprop.network import Projection
from eprop.parallel import Communicator
from eprop.parallel.interrupt import Postponed
from eprop.parameters import real_numbers
from eprop.rules import EProp


class Scales(NamedTuple):
    """Factors of gradients.

    Attributes
    ----------
    of_samples : (samples, delay groups)
        As the samples are added up: the unit of the readouts; if the rule averages over the learning window, times the length
        of the first sample's window relative to the sample's own.
    of_sum : (delay groups,)
        Of their sum: the mean over the samples; if the rule says so, also over the window of the first one.
    of_products, of_product_sum : (samples, populations), (populations,)
        The same of the inner products of constants that learn, as of synapses onto the population.
    """

    of_samples: np.ndarray
    of_sum: np.ndarray
    of_products: np.ndarray
    of_product_sum: np.ndarray


def scales_of(arrays: Arrays, lengths: np.ndarray) -> Scales:
    """Factors for samples of some `lengths_of`."""

    def factors(averaged: list[bool]) -> tuple[np.ndarray, np.ndarray]:
        n, shares = len(lengths), np.where(averaged, (lengths[0] / lengths)[:, None], 1.0)
        return shares, np.where(averaged, 1.0 / n / lengths[0], 1.0 / n)

    network, table = arrays.network, arrays.built.topology.groups
    rules = [network.projections[k].rule for k in table["projection"]]
    shares, of_sum = factors([getattr(rule, "average_gradient", False) for rule in rules])
    dtype = arrays.built.dtype  # the type of a synapse
    of_samples = np.asarray(table["input_scale"].astype(dtype) * shares.astype(dtype), np.float64)
    onto = [[p.rule.average_gradient for p in network.projections if p.post is q and isinstance(p.rule, EProp)]
            for q in network.populations]  # fmt: skip
    return Scales(of_samples, of_sum, *factors([bool(own) and all(own) for own in onto]))


def lengths_of(samples: Samples) -> np.ndarray:
    """Length of the learning window of each sample in steps; 1 if it is never open.

    A step counts with the absolute value of its weight; with several readout populations the longest window counts.
    """
    lengths = np.abs(samples.window).sum(axis=1).max(axis=1)
    return np.broadcast_to(np.where(lengths == 0.0, 1.0, lengths), len(samples))


def _take_own_steps(arrays: Arrays) -> None:
    """Move the weights of optimisers in Python; ``pending`` has their gradients, and is cleared.

    Raises
    ------
    ParameterError
        If a step does not return a weight for each synapse.
    """
    groups, starts, synapses = arrays.built.topology.groups, arrays.built.topology.branch_start, arrays.synapses
    own = np.flatnonzero((groups["optimizer"] == lib.own_optimizer) & (groups["first_group"] == np.arange(len(groups))))
    moments = synapses.moment_1, synapses.moment_2
    for group in groups[own]:
        optimizer, first = arrays.network.projections[group["projection"]].rule.optimizer, group["first_branch"]
        last = first + group["n_branches"] * group["branch_stride"]
        for part in starts:
            where = slice(int(part[first]), int(part[last]))
            stored = tuple(moment[where] for moment, wanted in zip(moments, optimizer.moments, strict=True) if wanted)
            weights, gradients = synapses.weight[where].copy(), synapses.pending[where].copy()
            synapses.pending[where] = 0.0
            moved = optimizer.replace(eta=float(group["eta"])).step(weights, gradients, stored, arrays.updates)
            if np.shape(moved) != gradients.shape:
                raise ParameterError(
                    f"{type(optimizer).__name__}.step must return {gradients.size} weights, one for each synapse, got shape "
                    f"{np.shape(moved)}"
                )
            synapses.weight[where] = np.clip(moved, group["w_min"], group["w_max"])


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
        self._orders, self._wiring = dict[int, tuple[np.ndarray, np.ndarray]](), 0

    def _order(self, projection: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of a projection's synapses in the order of connections, and their delay groups; kept until some move."""
        if self._wiring != self._arrays.wiring_changes:
            self._orders, self._wiring = {}, self._arrays.wiring_changes
        if projection not in self._orders:
            order = synapse_order(self._arrays, projection)[0]
            self._orders[projection] = order, branches_at(self._arrays.built, order)[1]
        return self._orders[projection]

    def by_name(self, pending: np.ndarray, products: np.ndarray, scales: Scales) -> dict[str, np.ndarray]:
        """Gradients as the optimisers take them, by projection and by constant.

        Parameters
        ----------
        pending : (synapses,)
        products : (products, targets)
            Sums for the constants that learn.
        scales : Scales
        """
        found = self._by_projection(pending, scales.of_sum)
        return found | self._arrays.constants.gradients(products, scales.of_product_sum, self._arrays.exchange)

    def _by_projection(self, pending: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        return {p.name: self._of_projection(p, pending, scale) for p in self._learning()}

    def _of_projection(self, p: Projection, pending: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Gradients in the order of connections; the product has the type of a synapse."""
        order, groups = self._order(p.index)
        return (pending[order] * scale.astype(pending.dtype)[groups]).astype(np.float64)

    def _clips(self, scale: np.ndarray) -> np.ndarray:
        """Factors of each delay group that bring the norm of a projection's gradients, after ``scale``, to `EProp.clip_norm`."""
        arrays, clip = self._arrays, np.ones(scale.size)
        for p in self._learning():
            if isinstance(p.rule, EProp) and (limit := p.rule.clip_norm):
                # The order of the sum is that of the connections, whatever the partitions are.
                norm = float(np.sqrt(np.square(self._of_projection(p, arrays.synapses.pending, scale)).sum()))
                if norm > limit:
                    clip[arrays.built.delay_groups[p.index]] = limit / norm
        return clip

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
                arrays.synapses.pending[self._order(p.index)[0]] = given[p.name]
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
        arrays = self._arrays
        try:
            arrays.updates, arrays.learned_steps = arrays.updates + 1, arrays.learned_steps + n_steps
            began = time.perf_counter()
            arrays.core.optimize(arrays.updates, self._clips(scale), scale, arrays.threads)
            _take_own_steps(arrays)
            finite = arrays.core.settle(arrays.updates, arrays.threads)
            if arrays.constants:
                arrays.constants.step(of_constants, arrays.updates)
            self._timer.add_since("update", began)
        except BaseException:
            arrays.discard_gradients()
            raise
        arrays.weight_changes += 1
        check_weights(arrays, where, finite)

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
