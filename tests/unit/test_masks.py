"""What a masked array hides never enters a network: every door refuses it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.analysis import firing_rates
from eprop.data import EventCamera, Events, from_arrays
from eprop.data.audio import MelSpikes


def masked(values: object) -> np.ma.MaskedArray:
    """The values, of which the first is masked."""
    array = np.array(values)
    return np.ma.masked_array(array, np.arange(array.size).reshape(array.shape) == 0)


SPIKES = masked(np.zeros((4, 10, 3), bool))
SIM = ep.Simulator(ep.recurrent(3, 4, 2, rule=ep.EPropPlus(), seed=1), threads=1)
LANES = ep.Simulator(ep.recurrent(3, 4, 2, seed=1), threads=1).lanes(2)


def estimator() -> Any:
    return pytest.importorskip("eprop.interop.sklearn").EPropClassifier(neurons=2, epochs=1, threads=1)


DOORS = {
    "samples": lambda: SIM.samples(4, 10, {"in": SPIKES}),
    "a list of samples": lambda: SIM.samples(1, 10, {"in": [SPIKES[0]]}),
    "labels": lambda: SIM.samples(2, 10, {}, labels=masked([0, 1])),
    "weights": lambda: SIM.set_weights("in->rec", masked(np.zeros(12))),
    "a step": lambda: SIM.stepper().step(masked([1, 2])),
    "a step by name": lambda: SIM.stepper().step({"in": masked([1, 2])}),
    "the target of a step": lambda: SIM.stepper().step(target=masked([1.0, 2.0])),
    "a list of steps": lambda: LANES.step([masked([1, 2]), np.array([0])]),
    "a step of lanes": lambda: LANES.step(masked(np.ones((2, 3), np.uint8))),
    "steps of lanes": lambda: LANES.run(4, masked(np.ones((4, 2, 3), np.uint8))),
    "a data set": lambda: from_arrays(SPIKES, [0, 1, 0, 1]),
    "labels of a generator": lambda: from_arrays((sample, np.ma.masked) for sample in SPIKES.data),
    "a window": lambda: ep.fit(SIM, (SPIKES.data, [0, 1, 0, 1]), window=masked(np.ones(10)), progress=False),
    "signs": lambda: ep.recurrent(3, 4, 2, excitatory=masked([True, False, True, False])),
    "events": lambda: Events(masked([1]), [1], [1], [1]),
    "events in a table": lambda: ep.data.from_iterable([(masked([[1, 2, 3, 1]]), 0)], n_steps=4),
    "sound": lambda: MelSpikes().events(masked(np.zeros(8000)), 8000, seed=1),
    "pictures": lambda: EventCamera().events(masked(np.zeros((28, 28), np.uint8)), seed=1),
    "X of an estimator": lambda: estimator().fit(masked(np.eye(4)), [0, 1, 0, 1]),
    "y of an estimator": lambda: estimator().fit(np.eye(4), masked([0, 1, 0, 1])),
    "recorded spikes": lambda: firing_rates((masked([1.0, 2.0]), np.array([0, 1])), 2),
}


@pytest.mark.parametrize("door", DOORS)
def test_masked_values_are_refused(door: str) -> None:
    with pytest.raises(ep.errors.EPropError, match="masked values have no meaning here"):
        DOORS[door]()
