"""Currents that are given for each neuron and step of samples, in the form of the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.engine.build.constants import is_changed_by_currents
from eprop.engine.build.drives import current_gains, row_of_current
from eprop.engine.build.neurons import neurons_of
from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError
from eprop.models.learned import learned_of
from eprop.network import Population
from eprop.parameters import Floats, Integers

#: Values, columns, rows of the state and remainders, see `GivenCurrents` in core/common/drives.hpp.
CoreCurrents = tuple[Floats, Integers, Integers, Floats]
_NONE = np.zeros((0, 0, 0)), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)


def given_currents(arrays: Arrays, samples: Samples) -> CoreCurrents:
    """Currents of samples into the neurons of this rank.

    Returns
    -------
    values : (n or 0, n_steps, columns) float64
        In the unit of the neurons' input.
    first, row : (populations,) int64
        Column of a population's first own neuron, or -1; row of the state that takes the current, or -1.
    rest : (columns,) float64
        What remains of a current after a step.

    Raises
    ------
    InputError
        If neurons take no current, or learn a constant on which its effect depends.
    """
    if not samples.currents:
        return _NONE
    first, row = np.full((2, len(arrays.network.populations)), -1, np.int64)
    parts: list[Any] = []
    rests: list[Any] = []
    for name, values in samples.currents.items():
        p = arrays.network.population(name)
        own = slice(*arrays.built.rank_partition.own(p))
        gain, rest, row[p.index] = _effect(arrays, p)
        first[p.index] = sum(part.shape[2] for part in parts)
        parts.append(values[:, :, own] * gain[own])
        rests.append(rest[own])
    return np.concatenate(parts, axis=2), first, row, np.concatenate(rests)


def _effect(arrays: Arrays, p: Population) -> tuple[Floats, Floats, int]:
    """Input for 1 pA and what remains of it after a step (size,), and the row of the state that takes it, or -1."""
    if p.index not in arrays.current_effects:
        if learned := [f"{p.name}.{name}" for name in learned_of(p.model) if is_changed_by_currents(name)]:
            raise InputError(
                f"the effect of currents into {p.name!r} depends on {', '.join(learned)}, which learns; give spikes of an "
                "EventSource, or the constant as a number"
            )
        models = neurons_of(arrays.network, p)
        if (gains := current_gains(models, p.size, arrays.network.dt)) is None:
            raise InputError(
                f"{type(p.model).__name__} of {p.name!r} takes no current; give it a method current_gain, or spikes of an "
                "EventSource"
            )
        arrays.current_effects[p.index] = (*gains, row_of_current(models[0]))
    return arrays.current_effects[p.index]
