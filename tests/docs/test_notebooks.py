"""The notebooks of the tutorials run, and print what they show."""

from __future__ import annotations

import pathlib
import runpy
from typing import Any

import pytest

pytest.importorskip("nbclient", reason="needs the extra dev-light")

ROOT = pathlib.Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
#: Those that are tried each time; the others take longer.
QUICK = {"first_network"}
tools = runpy.run_path(str(ROOT / "docs" / "_ext" / "run_notebooks.py"))


def notebooks() -> list[Any]:
    names = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))
    slow = {name: [] if name in QUICK else [pytest.mark.slow] for name in names}
    return [pytest.param(name, marks=slow[name]) for name in names]


@pytest.mark.parametrize("name", notebooks())
def test_the_notebook_runs_and_prints_what_it_shows(name: str, tmp_path: pathlib.Path) -> None:
    import nbformat

    path = TUTORIALS / f"{name}.ipynb"
    shown = nbformat.read(path, as_version=4)
    found = tools["run"](path, tmp_path)
    codes = [cell for cell in shown.cells if cell.cell_type == "code"]
    for cell, now, then in zip(codes, tools["printed"](found), tools["printed"](shown), strict=True):
        if "varies" not in cell.metadata.get("tags", []):  # times, and digits that another machine may round otherwise
            assert now == then, cell.source


@pytest.mark.parametrize("name", sorted(path.stem for path in TUTORIALS.glob("*.ipynb")))
def test_a_notebook_shows_its_outputs_and_no_error(name: str) -> None:
    import nbformat

    path = TUTORIALS / f"{name}.ipynb"
    assert path.stat().st_size < 500_000
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})], "a tutorial has a picture"
