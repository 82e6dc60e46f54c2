"""What is printed of a finished run."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from eprop.training.number_text import facts_of, line_of

pytestmark = pytest.mark.tiny
SUMMARY: dict[str, Any] = {
    "score": "error", "test_error": 0.02, "test_error_sigma": 0.005, "test_samples": 200, "train_seconds": 3.0,
    "samples_learned": 150, "train_samples": 100, "epochs": 4, "train_samples_per_second": 50.0, "synaptic_events": 0,
    "ns_per_synaptic_event": 0.0, "peak_memory_bytes": None, "best_validation_error": 0.03, "stopped_early": False,
}  # fmt: skip
PATH = pathlib.Path("run")


def test_a_training_that_stopped_early_says_so() -> None:
    facts = dict(facts_of(PATH, SUMMARY | {"stopped_early": True}))
    assert facts["stopped early"] == "after 1.5 of 4 epochs; lowest validation error 3.0 %"
    assert line_of(PATH, SUMMARY | {"stopped_early": True}) == "test error 2.0 ± 0.5 %, stopped early; run"
    assert "stopped early" not in dict(facts_of(PATH, SUMMARY))
    assert line_of(PATH, SUMMARY) == "test error 2.0 ± 0.5 %; run"


def test_rates_of_populations_are_told() -> None:
    facts = dict(facts_of(PATH, SUMMARY | {"rates": {"lif": {"mean": 12.34, "sd": 5.0}}}))
    assert facts["rate of lif"] == "12.3 ± 5.0 Hz, mean and spread of its neurons at the end"


def test_saturated_weights_of_few_bits_are_told() -> None:
    few = {"in->rec": {"bits": 8, "saturated": 0.0}, "rec->out": {"bits": 4, "saturated": 0.125}}
    assert (
        dict(facts_of(PATH, SUMMARY | {"few_bits": few}))["weights"]
        == "4, 8 bits; at most 12.5 % saturated, of rec->out"
    )
    few["rec->out"]["saturated"] = 0.0
    assert dict(facts_of(PATH, SUMMARY | {"few_bits": few}))["weights"] == "4, 8 bits; none saturated"
