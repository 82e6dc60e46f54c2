"""Gradients of e-prop by projection, and the step of the optimisers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

import numpy as np

from eprop.core import lib
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.checks import check_weights
from eprop.engine.run.online import PhaseTimer
from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import synapse_order
from eprop.errors import InputError, ParameterError
from eprop.network import Projection
from eprop.parallel import Communicator
from eprop.parallel.interrupt import Postponed
from eprop.parameters import real_numbers
from eprop.rules import EProp


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
        self._orders, self._wiring = dict[int, np.ndarray](), 0

    def _order(self, projection: int) -> np.ndarray:
        """Positions of a projection's synapses in the order of connections; kept until some move."""
        if self._wiring != self._arrays.wiring_changes:
            self._orders, self._wiring = {}, self._arrays.wiring_changes
        if projection not in self._orders:
            self._orders[projection] = synapse_order(self._arrays, projection).where
        return self._orders[projection]

    def means(self, pending: np.ndarray, products: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients as the optimisers take them, by projection and by constant.

        Parameters
        ----------
        pending : (synapses,)
            Sums over samples; their means when this returns.
        products : (products, targets)
            Sums for the constants that learn.
        lengths : (samples,)
            See `lengths_of`.
        """
        arrays = self._arrays
        of_constants = arrays.core.means(pending, products, lengths.size, lengths[0])
        found = {p.name: pending[self._order(p.index)].astype(np.float64) for p in self._learning()}
        return found | {key: of_constants[span] for key, span in arrays.constants.spans().items()}

    def _learning(self) -> list[Projection]:
        """Projections that learn by `EProp`."""
        return [p for p in self._arrays.network.projections if p.rule.code == EProp.code]

    def learn(self, gradients: Mapping[str, np.ndarray]) -> None:
        """See `Lanes.learn`."""
        arrays = self._arrays
        check = partial(self._checked, gradients)
        given = run_on_all_ranks(self._comm, "learn", check, lambda given: {k: checksum(g) for k, g in given.items()})
        with Postponed():
            for p in self._learning():
                arrays.synapses.pending[self._order(p.index)] = given[p.name]
            for key, span in arrays.constants.spans().items():
                arrays.core.constants.gradient[span] = given[key]
            self.take_step("learn")

    def take_step(self, where: str, lengths: np.ndarray | None = None, n_steps: int = 0) -> None:
        """Apply an optimiser step with the gradients of ``n_steps`` steps, while Ctrl-C is `Postponed`.

        Parameters
        ----------
        where : str
            Name of the call, for messages.
        lengths : (samples,), optional
            See `lengths_of`, of the samples whose gradients the core has added up. Without them, it has their means.
        n_steps : int
        """
        arrays = self._arrays
        try:
            arrays.updates, arrays.learned_steps = arrays.updates + 1, arrays.learned_steps + n_steps
            began = time.perf_counter()
            samples, length = (0, 1.0) if lengths is None else (lengths.size, lengths[0])
            arrays.core.optimize(arrays.updates, samples, length, arrays.threads)
            _take_own_steps(arrays)
            finite = arrays.core.settle(arrays.updates, arrays.threads)
            arrays.constants.refresh()
            self._timer.add_since("update", began)
        except BaseException:
            arrays.discard_gradients()
            arrays.tie_feedback()  # some weights may have moved
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
        constants = arrays.constants.spans()
        names = [*(p.name for p in self._learning()), *constants]
        if set(gradients) != set(names):
            raise InputError(
                f"learn takes the gradients of all that learns by EProp ({', '.join(names)}), got those of "
                f"{', '.join(map(str, gradients)) or 'none'}"
            )
        shapes: dict[str, tuple[int, ...]] = {p.name: (arrays.exchange.count(p.index),) for p in self._learning()}
        shapes |= {key: (span.stop - span.start,) for key, span in constants.items()}
        given = {}
        for name, shape in shapes.items():
            values = real_numbers(f"gradient of {name}", gradients[name], InputError).astype(np.float64, copy=False)
            if values.shape != shape:
                raise InputError(f"the gradient of {name} must have shape {shape}, got {values.shape}")
            if not lib.all_finite(np.ascontiguousarray(values)):
                raise InputError(f"the gradient of {name} holds values that are not finite")
            given[name] = values
        return given
