"""The tables of the README can be printed from the results that are kept."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

# Each table by the beginning of its head.
TABLES = [
    "| network | rule | ns per event |",
    "| neurons | ranks x threads |",
    "| e-prop+, times LIF with one kappa unless said |",
    "| e-prop, times LIF with a delay of one step unless said |",
    "| rule | loss | settings |",
    "| task | rule | iterations |",
    "| evidence accumulation | time here |",
    "| task | weights | before training |",
]


def test_all_tables_are_printed(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    script = root / "benchmarks" / "report.py"
    if not script.parent.is_dir():
        pytest.skip("the source distribution has no benchmarks")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, f"report.py fails:\n{done.stdout}\n{done.stderr}"
    lines = done.stdout.splitlines()
    for table in TABLES:
        heads = [k for k, line in enumerate(lines) if line.startswith(table)]
        assert len(heads) == 1, f"{table} is printed {len(heads)} times"
        # The head, the line below it, and a row at least.
        assert lines[heads[0] + 2].startswith("| "), f"{table} is empty"
