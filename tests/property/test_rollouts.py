"""Rollouts of any network equal e-prop with traces that run on, wherever episodes and rollouts end, to 1e-10."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given

from networks import Case
from rollout_networks import check_lanes
from strategies import SEEDS, examples, networks, sample_rules, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
N = 2


def channels_of(c: Case, shift: int) -> Callable[[int], list[np.ndarray]]:
    """Each lane sees the inputs of the case from another step on."""
    return lambda step: [np.flatnonzero(c.inputs[(step + shift * lane) % len(c.inputs)]) for lane in range(N)]


@examples(0.25)
@given(sample_rules().flatmap(networks), SEEDS, st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_rollouts_equal_traces_that_run_on(c: Case, seed: int, lengths: list[int]) -> None:
    def ended(step: int) -> list[int]:
        return np.flatnonzero(np.random.default_rng([seed, step]).random(N) < 0.08).tolist()

    check_lanes(c.network, N, lengths, channels_of(c, 11), ended, alive=False, largest=1.0)
