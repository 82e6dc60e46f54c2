"""How many threads there are: the machine's, or as many as the user says."""

from __future__ import annotations

import os

import pytest

from eprop.errors import ParameterError
from eprop.parallel.launch import VARIABLE, available_threads

pytestmark = pytest.mark.tiny


def test_as_many_as_processors_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert available_threads() == allowed
    monkeypatch.setenv(VARIABLE, " ")
    assert available_threads() == allowed


def test_what_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "7")
    assert available_threads() == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_what_is_no_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ParameterError, match=f"^EPROP_NUM_THREADS is '{text}': expected a whole number of threads"):
        available_threads()
