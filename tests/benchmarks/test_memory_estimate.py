"""The memory that a simulator expects, and its peak, in small."""

from __future__ import annotations

import sys

import harness
import memory_estimate
import pytest

LANES = "e-prop, rollouts, ALIF, constants that learn, 2 threads"


@pytest.mark.tiny
@pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
@pytest.mark.parametrize("name", memory_estimate.CASES)
def test_each_network_is_estimated(name: str) -> None:
    sim, lanes = memory_estimate.build(memory_estimate.CASES[name].tiny())
    assert sim.n_synapses() > 0
    assert (lanes > 0) == name.startswith("e-prop,")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak")
@pytest.mark.parametrize("name", ["STDP, double, random delays", LANES])
def test_the_estimate_is_the_peak_within_a_tenth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [memory_estimate.__file__])
    found = harness.in_process("--case", name)
    assert found.keys() == {"synapses", "estimate", "peak", "ratio"}
    assert found["peak"] > 50_000_000
    assert 0.9 < found["ratio"] < 1.1
