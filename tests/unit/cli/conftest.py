"""Every test of the command line starts in an empty folder."""

from __future__ import annotations

import pathlib

import pytest


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
