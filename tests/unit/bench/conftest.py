"""Benchmarks of tests measure a memory that fits into the caches: larger ones take seconds."""

from __future__ import annotations

import pytest

from eprop.bench import bandwidth


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "ENTRIES", 1 << 16)
