"""Every neuron model in rollouts: what streams learn is what traces that run on give."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from conformance.registry import MODELS, RULES
from eprop.checks import time_driven
from eprop.reference import TimeDrivenLanes
from networks import case
from rollout_networks import follow

pytestmark = pytest.mark.tiny
TOLERANCE = 1e-10
N, STEPS = 2, 20


@pytest.mark.parametrize("model", MODELS)
def test_rollouts_that_go_on_equal_traces_that_run_on(model: str) -> None:
    neuron = MODELS[model]
    c = case(3, RULES["e-prop"], steps=80, rate=0.2, neuron=neuron, tau_out=12.0)
    sim, reference = ep.Simulator(c.network, threads=1), TimeDrivenLanes(time_driven(c.network), N)
    streams, draw, spikes = sim.lanes(N), np.random.default_rng(1), 0
    for first in range(0, len(c.inputs), STEPS):
        follow(reference, sim)
        for t in range(first, first + STEPS):
            active = [np.flatnonzero(c.inputs[(t + 7 * s) % len(c.inputs)]) for s in range(N)]
            y = streams.step(active)
            assert_close(y, reference.step(active), TOLERANCE)
            if t in (30, 31, 55):
                streams.reset([t % N])
                reference.reset([t % N])
        spikes += streams.spikes.sum()
        errors = draw.normal(size=(N, STEPS, y.shape[1]))
        found = streams.backward(errors)
        assert_close(found, reference.backward(errors), TOLERANCE)
        sim.learn(found)
    assert spikes > 10
