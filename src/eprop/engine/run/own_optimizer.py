"""Optimisers that users write in Python: one step per mini-batch, after the core's step of all other optimisers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from eprop.engine.state.arrays import Arrays
from eprop.errors import ParameterError


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
        kept = tuple(moment[where] for moment, wanted in zip(moments, optimizer.moments, strict=True) if wanted)
        weights = optimizer.replace(eta=float(group["eta"])).step(
            synapses.weight[where].copy(), gradients, kept, arrays.updates
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
