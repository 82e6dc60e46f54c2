"""Rates and irregularity of the populations that an experiment observes, with frozen weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from eprop.analysis import statistics
from eprop.engine import Samples, Simulator
from eprop.files import JsonObject
from eprop.models import EventSource
from eprop.network import Network
from eprop.parameters import Floats
from eprop.training.evaluation import known
from eprop.training.forms import Dataset
from eprop.training.scoring import Scoring

#: Time that is observed, ms, as far as there are samples: the irregularity of slow neurons needs many intervals.
OBSERVED = 5000.0
#: What is observed, in the order of the columns.
MEASURES = ("rate", "cv")


def observe(populations: Sequence[str], simulator: Simulator, scoring: Scoring, dataset: Dataset) -> Floats:
    """Mean rate (Hz) and coefficient of variation of intervals of some populations.

    Samples follow each other; the state of the simulator does not change.

    Returns
    -------
    ndarray, shape (populations, 2)
        NaN where too few neurons spike; no rows without populations.
    """
    if not populations:
        return np.zeros((0, len(MEASURES)))
    network = simulator.network
    duration = scoring.samples(dataset.subset([0])).n_steps * network.dt
    count = min(len(dataset), math.ceil(OBSERVED / duration))
    samples = scoring.samples(dataset.subset(np.linspace(0, len(dataset) - 1, count).astype(int)))
    state = simulator.state()
    recording = simulator.run(count * duration, inputs_of(network, samples), learn=False, spikes=list(populations))
    end = simulator.time  # with `EProp` each run starts at 0
    simulator.set_state(state)
    sizes = {name: network.population(name).size for name in populations}
    found, _ = statistics(recording.spikes, sizes, start=end - count * duration, stop=end)
    return np.array([[found[name][what] for what in MEASURES] for name in populations])


def described(populations: Sequence[str], before: Floats, after: Floats) -> JsonObject:
    """Entry of ``summary.json``: by population, rates and irregularity before and after the training."""
    if not len(before):
        return {}
    return {
        "activity": {
            when: {
                name: {what: known(x) for what, x in zip(MEASURES, row, strict=True)}
                for name, row in zip(populations, values.tolist(), strict=True)
            }
            for when, values in (("before", before), ("after", after))
        }
    }


def inputs_of(network: Network, samples: Samples) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times (ms) and channels of the events of samples that follow each other, for each event source."""
    sources = [p for p in network.populations if isinstance(p.model, EventSource)]
    found = {}
    for population, starts in zip(sources, samples.event_start, strict=True):
        steps = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        found[population.name] = steps * network.dt, samples.event_channels[starts[0] : starts[-1]]
    return found
