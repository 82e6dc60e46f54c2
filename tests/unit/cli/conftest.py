"""Every test of the command line starts in an empty folder, and renders no figures."""

from __future__ import annotations

import pathlib

import pytest

from unrendered import unrendered as unrendered


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
