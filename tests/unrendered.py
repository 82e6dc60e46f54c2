"""Figures that are composed but not rendered, which takes ten times as long: for tests of what draws them and where."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure

STARTS = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-1.4\n", "svg": b"<?xml version='1.0'?>\n<svg/>\n"}


@pytest.fixture(autouse=True)
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write what files of their format begin with, for the tests of a folder whose ``conftest.py`` imports this.

    ``tests/unit/plot``, pages, notebooks, examples and processes of their own render figures.
    """

    def savefig(figure: Figure, file: Any, **options: Any) -> None:
        file.write(STARTS[options["format"]])

    monkeypatch.setattr(Figure, "savefig", savefig)
