"""Every neuron model in rollouts: what lanes learn is what traces that run on give."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.registry import MODELS, RULES
from networks import case
from rollout_networks import check_lanes

pytestmark = pytest.mark.tiny
N = 2


@pytest.mark.parametrize("model", MODELS)
def test_rollouts_that_go_on_equal_traces_that_run_on(model: str) -> None:
    neuron = MODELS[model]
    c = case(3, RULES["e-prop"], steps=80, rate=0.2, neuron=neuron, tau_out=12.0)

    def channels(step: int) -> list[np.ndarray]:
        return [np.flatnonzero(c.inputs[(step + 7 * lane) % len(c.inputs)]) for lane in range(N)]

    spikes = check_lanes(
        c.network, N, (20, 20, 20, 20), channels, lambda step: [step % N] if step in (30, 31, 55) else []
    )
    assert spikes > 10
