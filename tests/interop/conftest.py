"""Keeps the largest deviation from NEST that any test saw, shows them at the end and writes them down if asked to.

``EPROP_NEST_REPORT=path`` makes the table of the documentation (`test_nest_table`).
"""

from __future__ import annotations

import os
import pathlib

import pytest

_COUNTS = ("networks", "spikes", "weights compared")
_COLUMNS = ("networks", "voltage", "threshold", "weight", "loss")


class Deviations:
    """Largest deviations by model, mV (of the loss: relative)."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}

    def note(self, model: str, compared: int, spikes: int, **deviations: float) -> None:
        """Add one network."""
        row = self.rows.setdefault(model, dict.fromkeys(_COUNTS, 0))
        row["networks"] += 1
        row["weights compared"] += compared
        row["spikes"] += spikes
        for quantity, value in deviations.items():
            assert quantity in _COLUMNS
            row[quantity] = max(row.get(quantity, 0.0), float(value))

    def totals(self) -> str:
        """How much was compared."""
        return ", ".join(f"{sum(row[count] for row in self.rows.values()):,} {count}" for count in _COUNTS)

    def table(self) -> list[str]:
        """The lines of a Markdown table."""
        lines = ["| model | " + " | ".join(_COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
        for model, row in sorted(self.rows.items()):
            cells = [f"{row[c]}" if c in _COUNTS else f"{row[c]:.0e}" if c in row else "" for c in _COLUMNS]
            lines.append(f"| {model} | " + " | ".join(cells) + " |")
        return lines


_DEVIATIONS = Deviations()


@pytest.fixture(scope="session")
def deviations() -> Deviations:
    """Where tests note how far they were from NEST."""
    return _DEVIATIONS


def pytest_terminal_summary(terminalreporter) -> None:
    if _DEVIATIONS.rows:
        terminalreporter.section("largest deviations of the engine from NEST 3.10 (mV; loss: relative)")
        for line in [*_DEVIATIONS.table(), _DEVIATIONS.totals()]:
            terminalreporter.line(line)
    if _DEVIATIONS.rows and (path := os.environ.get("EPROP_NEST_REPORT")):
        pathlib.Path(path).write_text("\n".join(_DEVIATIONS.table()) + "\n", encoding="utf-8")
