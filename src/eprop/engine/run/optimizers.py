"""The optimiser step of e-prop: with the gradients of a mini-batch, or with given gradients by projection."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from functools import partial

import numpy as np

from eprop.core import lib
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.run.divergence import check_weights
from eprop.engine.run.own_optimizer import take_gradients, take_steps
from eprop.engine.run.phases import PhaseTimer
from eprop.engine.state import weights
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.synapse_order import branches_at, synapse_order
from eprop.errors import InputError
from eprop.network import Projection
from eprop.parallel import Communicator
from eprop.parameters import real_numbers
from eprop.rules import EProp


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
        self.take_step(np.ones(len(arrays.built.topology.groups)), "learn")

    def take_step(self, scale: np.ndarray, where: str, n_steps: int = 0) -> None:
        """Apply an optimiser step with the pending gradients, of ``n_steps`` steps, times ``scale`` for each delay group."""
        arrays, topology, synapses = self._arrays, self._arrays.built.topology, self._arrays.synapses
        try:
            # Ctrl-C is handled after the call, so weights and their step count change together.
            arrays.updates, arrays.learned_steps = arrays.updates + 1, arrays.learned_steps + n_steps
            began = time.perf_counter()
            waiting = take_gradients(arrays, scale)
            lib.optimize(topology, synapses, arrays.updates, scale, arrays.threads)
            take_steps(arrays, waiting)
            self._timer.add_since("update", began)
            if arrays.neurons.feedback_offset.size:
                lib.fade_offsets(topology, arrays.neurons.feedback_offset)
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
