"""Tasks from files, and the template for one's own."""

from __future__ import annotations

import pathlib

import pytest

from eprop.errors import ParameterError
from eprop.tasks import Classification, task_named
from eprop.tasks.new_task import new_task

pytestmark = pytest.mark.tiny


def written(folder: pathlib.Path, name: str = "delayed-match") -> pathlib.Path:
    file, text = new_task(name, folder / "own.py")
    file.write_text(text)
    return file


def test_a_new_task_is_a_task(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    kind = task_named(str(file))
    assert (kind.__name__, kind.name, kind.origin) == ("DelayedMatch", "delayed-match", str(file))
    assert issubclass(kind, Classification)
    assert task_named(str(file)) is kind
    assert "FILE" not in file.read_text()
    assert kind(rule="eprop+").eta == 1e-4


def test_files_of_one_name_are_two_tasks(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, other = (task_named(str(written(tmp_path / name, name))) for name in ("a", "b"))
    assert (one.name, other.name) == ("a", "b")


def test_the_name_of_the_file(tmp_path: pathlib.Path) -> None:
    assert new_task("delayed-match")[0] == pathlib.Path("delayed_match.py")


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("Delayed Match", None, "lower-case words joined by hyphens"),
        ("3d", None, "lower-case words joined by hyphens"),
        ("class", None, "lower-case words joined by hyphens"),
        ("nmnist", None, "there is a task 'nmnist' already"),
        ("mine", "mine.txt", "ends with .py"),
    ],
)
def test_names_that_cannot_be(name: str, file: str | None, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        new_task(name, None if file is None else pathlib.Path(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; eprop new-task NAME writes a template"),
        ("", "must define one task .* found none"),
        ("import nix_da", "cannot be loaded as a task: ModuleNotFoundError"),
        ("1 +", "cannot be loaded as a task: SyntaxError"),
    ],
)
def test_files_that_hold_no_task(text: str | None, message: str, tmp_path: pathlib.Path) -> None:
    if text is not None:
        (tmp_path / "own.py").write_text(text)
    with pytest.raises(ParameterError, match=message):
        task_named(str(tmp_path / "own.py"))
