"""What is printed of a finished run."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from eprop.training.number_text import facts_of, line_of, score_of, score_of_trial, score_of_trials, value_text

pytestmark = pytest.mark.tiny
SUMMARY: dict[str, Any] = {
    "score": "error", "value": 0.02, "spread": 0.005, "unit": "%", "tested": "200 samples", "train_seconds": 3.0,
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


@pytest.mark.parametrize(
    ("value", "spread", "unit", "text"),
    [
        (0.0215, 0.005, "%", "2.1 ± 0.5 %"),
        (0.0215, None, "%", "2.1 %"),
        (487.25, 20.5, "", "487.2 ± 20.5"),
        (487.25, None, "", "487.2"),
    ],
)
def test_a_score_has_the_form_of_its_unit(value: float, spread: float | None, unit: str, text: str) -> None:
    summary = {"value": value, "spread": spread, "unit": unit}
    assert value_text(value, spread, unit) == score_of(summary) == text
    assert score_of_trial(summary) == value_text(value, None, unit)


def test_the_score_of_several_seeds() -> None:
    trials = {"mean": 0.1, "sd": 0.02, "sigma": 0.01, "unit": "%", "lowest": 0.08, "highest": 0.12, "trials": [1, 2]}
    assert score_of_trials(trials) == ("10.0 ± 2.0 %", "lowest 8.0 %, highest 12.0 %")
    assert (
        score_of_trials(trials | {"sd": 0.0})[0] == "10.0 ± 1.0 %"
    )  # equal scores: the test samples limit the accuracy
    assert line_of(PATH, trials | {"score": "error"}) == "test error 10.0 ± 2.0 % over 2 seeds; run"
    assert (score_of_trials({}), score_of({}), score_of_trial({})) == (("no score", ""), "", "")
    assert line_of(PATH, {"score": "error", "trials": [1, 2]}) == "no score over 2 seeds; run"


def test_facts_of_all_kinds() -> None:
    more = {"test_data": "others", "validation_error": 0.25, "validation_samples": 1}
    facts = dict(facts_of(PATH, SUMMARY | more | {"peak_memory_bytes": 2**31}))
    assert (facts["test error"], facts["test data"]) == ("2.0 ± 0.5 % over 200 samples", "others")
    assert facts["validation error"] == "25.0 % on 1 sample"
    assert (facts["peak memory"], facts["run"]) == ("2.0 GiB", "run")
    assert facts["learned"] == "150 samples in 0:03"
    reward = {"score": "return", "train_seconds": 3.0, "peak_memory_bytes": None}
    steps = {"environment_steps": 1200, "episodes_learned": 1, "steps_per_second": 400.0}
    assert dict(facts_of(PATH, reward | steps))["learned"] == "1,200 steps, 1 episode in 0:03"
    own = dict(facts_of(PATH, reward | {"stopped_early": True}))
    assert (own["learned"], own["stopped early"]) == ("in 0:03", "before all steps were done")
