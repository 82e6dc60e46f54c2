"""Threads, partitions, a state that another simulator resumes and a copy give the same bits.

Each loop on a few neurons, small enough for the thread sanitizer.
"""

from __future__ import annotations

import pytest

from eprop.parallel.launch import available_threads
from small_runs import cases, digest

pytestmark = pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
three_threads = pytest.mark.skipif(available_threads() < 3, reason="three threads are needed: EPROP_NUM_THREADS=3")


@pytest.mark.tiny
@pytest.mark.threads
@three_threads
@pytest.mark.parametrize(("rule", "neuron", "precision"), list(cases()))
def test_threads_give_the_same_bits(rule: str, neuron: str, precision: str) -> None:
    assert digest(rule, neuron, precision, threads=3) == digest(rule, neuron, precision)
