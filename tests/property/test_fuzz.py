"""Damaged inputs for every reader, arguments of tasks and `set_state`: each is accepted, or refused by an error of ours."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator

import pytest

from fuzzing.run import Outcome, Target, run, schedule
from fuzzing.targets import TARGETS

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore")]

#: Seconds that new inputs are tried for; CI gives more with sanitizers.
SECONDS = float(os.environ.get("EPROP_FUZZ_SECONDS", "2"))
#: Inputs that something was wrong with once.
SEEDS = json.loads((pathlib.Path(__file__).parents[1] / "fuzzing" / "seeds.json").read_text())


def described(outcome: Outcome) -> str:
    return "\n".join(f"{f['target']} {f['number']}: {f['what']}\n{f['details']}" for f in outcome.failures)


def recorded() -> Iterator[tuple[Target, int]]:
    targets = {target.name: target for target in TARGETS}
    return ((targets[name], number) for name, numbers in SEEDS.items() if name in targets for number in numbers)


def test_inputs_that_once_failed() -> None:
    outcome = run(recorded())
    assert outcome.inputs >= len(SEEDS)
    assert not outcome.failures, described(outcome)


def test_new_inputs() -> None:
    """Each target has its turn; the numbers depend on the day no more than on the machine."""
    outcome = run(schedule(TARGETS, first=1_000_000), seconds=SECONDS)
    assert not outcome.failures, described(outcome)
    assert outcome.inputs > 20
    assert outcome.accepted
    assert outcome.refused
