"""Samples evaluated by the time-driven reference, for comparisons with `Simulator.evaluate`."""

from __future__ import annotations

import numpy as np

import eprop as ep
from eprop.checks import stimuli_of, time_driven
from eprop.engine.run.online import EVALUATION_CHUNKS
from eprop.reference import Activity, Stimulus


def evaluated(network: ep.Network, samples: ep.engine.Samples, *, reset: bool) -> list[Activity]:
    """Each sample from rest; without a reset, the samples of a chunk are one long sample."""
    stepped, stimuli = time_driven(network), stimuli_of(network, samples)
    if reset:
        return [stepped.predict(stimulus) for stimulus in stimuli]
    runs: list[Activity] = []
    for chunk in np.array_split(np.arange(len(stimuli)), min(EVALUATION_CHUNKS, len(stimuli))):
        runs += stepped.predict(joined([stimuli[i] for i in chunk])).split(len(chunk))
    return runs


def joined(stimuli: list[Stimulus]) -> Stimulus:
    """Samples of equal length, one after the other, as one."""
    parts = {
        name: {key: np.concatenate([getattr(s, name)[key] for s in stimuli]) for key in getattr(stimuli[0], name)}
        for name in ("spikes", "targets", "window", "inputs", "currents", "inhibition")
    }
    return Stimulus(sum(s.steps for s in stimuli), **parts)
