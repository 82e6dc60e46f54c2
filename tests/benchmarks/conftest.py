"""Scripts of `benchmarks/` as modules; the source distribution has none."""

from __future__ import annotations

import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(FOLDER))
collect_ignore_glob = [] if FOLDER.is_dir() else ["test_*.py"]


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the bandwidth of a memory that fits into the caches: larger ones take seconds."""
    import harness

    monkeypatch.setattr(harness, "ENTRIES", 1 << 16)
