"""The table of the documentation is what these tests find. This file comes last."""

from __future__ import annotations

import pathlib

import pytest

pytestmark = pytest.mark.nest
TABLE = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "nest_deviations.md"
# Compiled or not, and on another machine, exponentials and sums may round otherwise, and learning adds that up.
ROUNDING, LEAST = 100.0, 1e-14


def rows_of(lines: list[str]) -> dict[str, dict[str, str]]:
    """Rows of a Markdown table by their first cell."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[2:]}


def test_the_table_is_current(deviations):
    if not deviations.rows:
        pytest.skip("no other test of this folder ran")
    wanted, found = rows_of(TABLE.read_text(encoding="utf-8").splitlines()), rows_of(deviations.table())
    hint = "run the command of docs/reference/nest.md again"
    assert set(found) <= set(wanted), hint
    for model, row in found.items():
        assert int(row["networks"]) <= int(wanted[model]["networks"]), f"{model}: {hint}"
        for column in ("voltage", "threshold", "weight", "loss"):
            assert bool(row[column]) <= bool(wanted[model][column]), f"{model}: {hint}"
            if row[column]:
                assert float(row[column]) <= max(ROUNDING * float(wanted[model][column]), LEAST), (
                    f"{model}, {column}: {hint}"
                )
