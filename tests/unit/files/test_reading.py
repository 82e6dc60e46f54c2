"""Files that may come from anywhere: what is no regular file, too large, or damaged, is refused in words, and at once."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Callable

import pytest

from eprop.errors import CheckpointError, DataError, MemoryLimitError, ParameterError
from eprop.files import check_budget, memory_budget, open_regular, parse_json, parsing, read_bytes, read_text, reading

pytestmark = pytest.mark.tiny


@pytest.fixture(autouse=True)
def _at_once():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 1.0


UNUSUAL: dict[str, Callable[[pathlib.Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a named pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "Too many levels": lambda path: path.symlink_to(path),
    "No such file": lambda path: None,
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", UNUSUAL)
def test_only_regular_files_are_opened(kind: str, tmp_path: pathlib.Path) -> None:
    UNUSUAL[kind](path := tmp_path / "name")
    with pytest.raises(DataError, match=f"name: .*{kind}"):
        open_regular(path)
    with pytest.raises(CheckpointError, match=f"name: .*{kind}"):
        read_bytes(path, 10, CheckpointError)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_impossible_names_are_refused(path: str) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        open_regular(path)


def test_links_to_files_are_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_text(tmp_path / "link") == "text"


def test_files_beyond_the_limit_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # it takes no room on the disk
    with pytest.raises(DataError, match=r"file: holds more than 16\.0 MB"):
        read_text(path)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read as text in UTF-8"):
        read_text(path)


def test_a_budget_is_the_parameter_or_a_share_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "available_memory", lambda: 1000)
    assert memory_budget() == 750
    monkeypatch.setattr(reading, "available_memory", lambda: None)
    assert memory_budget() == reading.UNKNOWN
    assert memory_budget(5) == 5
    for wrong in (0, -1, 2.5, True, "4 GB"):
        with pytest.raises(ParameterError, match="memory must be a whole number of bytes above 0, got"):
            memory_budget(wrong)
    check_budget("file", 5, 5)
    with pytest.raises(
        MemoryLimitError, match=r"^file: needs 6 bytes of memory .* but only 5 bytes may be used; .*memory="
    ):
        check_budget("file", 6, 5)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5000, b"\xff", ""])
def test_invalid_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(DataError, match=r"^here: is not valid JSON"):
        parse_json(text, "here")


def test_errors_of_parsers_are_converted() -> None:
    words = r"^here: is damaged \(KeyError\); mend it$"
    with pytest.raises(CheckpointError, match=words), parsing("here", "is damaged", CheckpointError, "mend it"):
        raise KeyError
    with pytest.raises(DataError, match=r"^mine$"), parsing("here", "is damaged", CheckpointError):
        raise DataError("mine")
    with pytest.raises(KeyboardInterrupt), parsing("here", "is damaged"):
        raise KeyboardInterrupt
