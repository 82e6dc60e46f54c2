"""Rollouts of any network equal e-prop with traces that run on, wherever episodes and rollouts end, to 1e-10."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import eprop as ep
from compare import assert_close
from eprop.checks import time_driven
from eprop.reference import TimeDrivenLanes
from rollout_networks import follow
from strategies import SEEDS, examples, networks, sample_rules, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
TOLERANCE = 1e-10
N = 2


@examples(0.25)
@given(sample_rules().flatmap(networks), SEEDS, st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_rollouts_equal_traces_that_run_on(c: Any, seed: int, lengths: list[int]) -> None:
    draw = np.random.default_rng(seed)
    sim, reference = ep.Simulator(c.network, threads=1), TimeDrivenLanes(time_driven(c.network), N)
    streams, t = sim.lanes(N, steps=1), 0
    for length in lengths:
        follow(reference, sim)
        for _ in range(length):
            # Each stream sees the inputs of the case from another step on.
            active = [np.flatnonzero(c.inputs[(t + 11 * s) % len(c.inputs)]) for s in range(N)]
            y, t = streams.step(active), t + 1
            assert_close(y, reference.step(active), TOLERANCE)
            ended = [s for s in range(N) if draw.random() < 0.08]
            streams.reset(ended)
            reference.reset(ended)
        errors = draw.normal(size=(N, length, y.shape[1]))
        found = streams.backward(errors)
        assert_close(found, reference.backward(errors), TOLERANCE)
        sim.learn({name: np.clip(gradient, -1.0, 1.0) for name, gradient in found.items()})
