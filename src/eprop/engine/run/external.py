"""External signals, modulators and rewards, in the form of the core: with columns for the neurons that a rank owns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eprop.engine.run.samples import NONE_GIVEN, Samples
from eprop.engine.state.arrays import Arrays

_NO_SIGNALS = np.zeros((0, 0, 0)), np.zeros(0, np.int64)


class External(NamedTuple):
    """External values of samples or lanes, besides errors; see `Simulator.samples`."""

    signals: Mapping[str, np.ndarray]
    modulator: np.ndarray
    reward: np.ndarray = NONE_GIVEN


def external_arrays(
    arrays: Arrays, samples: Samples | External
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays for ``External`` of the core.

    Returns
    -------
    signals : (n or 0, n_steps, columns) float64
    first : (populations,) int64
        Column of a population's first own neuron, or -1.
    modulator, reward : (n, 1 or 0; n_steps) float64
    """
    if not samples.signals:
        return (*_NO_SIGNALS, samples.modulator, samples.reward)
    first = np.full(len(arrays.network.populations), -1, np.int64)
    parts: list[Any] = []
    column = 0
    for name, values in samples.signals.items():
        population = arrays.network.population(name)
        begin, stop = arrays.built.rank_partition.own(population)
        parts.append(values[:, :, begin:stop])
        first[population.index] = column
        column += stop - begin
    together = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
    return np.ascontiguousarray(together), first, samples.modulator, samples.reward
