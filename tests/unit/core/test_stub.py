"""The stub of the native core has the types of the module that is loaded."""

from __future__ import annotations

import difflib
import pathlib
import runpy

import pytest

ROOT = pathlib.Path(__file__).parents[3]


def test_stub_equals_the_module() -> None:
    pytest.importorskip("nanobind.stubgen")
    script = ROOT / "build_backend" / "core_stub.py"
    if not script.exists():
        pytest.skip("only in a checkout")
    made = runpy.run_path(str(script))
    found, wanted = made["STUB"].read_text(encoding="utf-8"), made["stub"]()
    changes = list(
        difflib.unified_diff(found.splitlines(), wanted.splitlines(), "_core.pyi", "module", n=0, lineterm="")
    )
    assert not changes, "run `python build_backend/core_stub.py --write`:\n" + "\n".join(changes[:20])
