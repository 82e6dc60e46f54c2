"""Any number of threads gives the same bits: each loop on a few neurons, small enough for the thread sanitizer."""

from __future__ import annotations

import pytest

from eprop.parallel.threads import available_threads
from small_runs import cases, digest

pytestmark = [pytest.mark.tiny, pytest.mark.threads]


@pytest.mark.parametrize(("rule", "neuron", "precision"), list(cases()))
def test_threads_give_the_same_bits(rule: str, neuron: str, precision: str) -> None:
    if available_threads() < 3:
        pytest.skip("three threads are needed: EPROP_NUM_THREADS=3")
    assert digest(rule, neuron, precision, threads=3) == digest(rule, neuron, precision)
