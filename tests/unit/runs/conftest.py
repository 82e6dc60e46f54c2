from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

import small_tasks
from unrendered import unrendered as unrendered


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pathlib.Path]:
    """Folder of a finished run of a kind of `small_tasks.KINDS`, made once; tests do not change it."""
    made: dict[str, pathlib.Path] = {}

    def folder_of(kind: str) -> pathlib.Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("whole") / "run"
            small_tasks.trained(small_tasks.KINDS[kind](), made[kind])
        return made[kind]

    return folder_of
