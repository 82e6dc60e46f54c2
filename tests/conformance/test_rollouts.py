"""Every neuron model in rollouts: what streams learn is what traces that run on give."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from conformance.registry import MODELS, RULES
from eprop.reference import TimeDrivenStreams
from networks import case, disagreement
from rollout_networks import weights_of

pytestmark = pytest.mark.tiny
TOLERANCE = 1e-10
N, STEPS = 2, 20


@pytest.mark.parametrize("model", MODELS)
def test_rollouts_that_go_on_equal_traces_that_run_on(model: str) -> None:
    neuron = MODELS[model]
    c = case(3, RULES["e-prop"], steps=80, rate=0.2, pair=(neuron, None), tau_out=12.0)
    sim, reference = ep.Simulator(c.network, threads=1), TimeDrivenStreams(c.network, N)
    streams, draw, spikes = sim.lanes(N), np.random.default_rng(1), 0
    for first in range(0, len(c.inputs), STEPS):
        reference.follow(weights_of(sim))
        for t in range(first, first + STEPS):
            active = [np.flatnonzero(c.inputs[(t + 7 * s) % len(c.inputs)]) for s in range(N)]
            y = streams.step(active)
            assert disagreement(y, reference.step(active)) < TOLERANCE
            if t in (30, 31, 55):
                streams.reset([t % N])
                reference.reset([t % N])
        spikes += streams.spikes.sum()
        errors = draw.normal(size=(N, STEPS, y.shape[1]))
        found, wanted = streams.backward(errors), reference.backward(errors)
        for name, gradient in wanted.items():
            assert disagreement(found[name], gradient) < TOLERANCE
        sim.learn(found)
    assert spikes > 10
