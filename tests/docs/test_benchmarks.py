"""The tables of the README can be printed from the results that are kept, and each script and result has a line of text."""

from __future__ import annotations

import fnmatch
import os
import pathlib
import re
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


@pytest.fixture
def benchmarks(root: pathlib.Path) -> pathlib.Path:
    """The folder of the benchmarks."""
    if not (root / "benchmarks").is_dir():
        pytest.skip("the source distribution has no benchmarks")
    return root / "benchmarks"


def test_the_readme_names_each_script_and_each_result(benchmarks: pathlib.Path) -> None:
    named = re.findall(r"`([\w/*-]+\.(?:py|json))`", (benchmarks / "README.md").read_text(encoding="utf-8"))
    scripts = {path.relative_to(benchmarks).as_posix() for path in benchmarks.rglob("*.py")}
    assert {name for name in named if name.endswith(".py")} == scripts
    patterns = {name for name in named if name.endswith(".json")}
    results = {path.name for path in (benchmarks / "results").glob("*.json")}
    assert [name for name in results if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not fnmatch.filter(results, pattern)] == []


def test_all_tables_are_printed(benchmarks: pathlib.Path, tmp_path: pathlib.Path) -> None:
    script = benchmarks / "print_tables.py"
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, f"print_tables.py fails:\n{done.stdout}\n{done.stderr}"
    lines = done.stdout.splitlines()
    for table in TABLES:
        heads = [k for k, line in enumerate(lines) if line.startswith(table)]
        assert len(heads) == 1, f"{table} is printed {len(heads)} times"
        # The head, the line below it, and a row at least.
        assert lines[heads[0] + 2].startswith("| "), f"{table} is empty"
