"""Inputs of samples in the form of the core, for both loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.constants import is_changed_by_currents
from eprop.engine.build.drives import current_gains, drive_factors, row_of_current
from eprop.engine.build.neurons import neurons_of
from eprop.engine.run.samples import NONE_GIVEN, Samples
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError
from eprop.models.learned import learned_of
from eprop.network import Population
from eprop.parameters import Floats


class External(NamedTuple):
    """External values of samples or lanes, besides errors; see `Simulator.samples`."""

    signals: Mapping[str, np.ndarray]
    modulator: np.ndarray
    reward: np.ndarray = NONE_GIVEN


def set_inputs(request: lib.Request, arrays: Arrays, samples: Samples | None, first_step: int = 0) -> None:
    """Give a request of ``n_steps`` the inputs of samples; drives that change with time begin at ``first_step``.

    Raises
    ------
    InputError
        If neurons take no current, or learn a constant on which its effect depends.
    """
    if arrays.network.stimulations:
        request.drive = drive_factors(arrays.network, request.n_steps, first_step)
    if samples is None:
        return
    request.event_start, request.event_channels = samples.event_start, samples.event_channels
    request.target, request.window = samples.target, samples.window
    if samples.signals or samples.modulator.size or samples.reward.size:
        set_external(request, arrays, samples)
    if samples.currents:
        effects = {name: _effect(arrays, arrays.network.population(name)) for name in samples.currents}
        values, first = _own_columns(arrays, {name: c * effects[name][0] for name, c in samples.currents.items()})
        row = np.full(first.size, -1, np.int64)  # row of the state that takes the current, or -1
        for name, effect in effects.items():
            row[arrays.network.population(name).index] = effect[2]
        rest = _own_columns(arrays, {name: effect[1][None, None] for name, effect in effects.items()})[0]
        request.currents = values, first, row, rest.ravel()


def set_external(request: lib.Request, arrays: Arrays, external: Samples | External) -> None:
    """Give a request signals, modulator and reward."""
    signals, first = _own_columns(arrays, external.signals)
    request.external = signals, first, external.modulator, external.reward


def _own_columns(arrays: Arrays, given: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Values of the neurons of this rank.

    Returns
    -------
    values : (n or 0, n_steps, columns) float64
    first : (populations,) int64
        Column of a population's first own neuron, or -1.
    """
    first, parts, column = np.full(len(arrays.network.populations), -1, np.int64), [], 0
    for name, values in given.items():
        population = arrays.network.population(name)
        begin, stop = arrays.built.rank_partition.own(population)
        parts.append(values[:, :, begin:stop])
        first[population.index] = column
        column += stop - begin
    return np.ascontiguousarray(np.concatenate(parts, axis=2)) if parts else np.zeros((0, 0, 0)), first


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
