"""The folder of a figure: its owner, its facts, and a lock for one process at a time."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from eprop.errors import DataError, OutputError
from eprop.files import output_errors, parsing, read_text, refuse_links, write_text
from eprop.parameters import is_finite_number
from eprop.training.config import FORMATS
from eprop.training.lock import LOCK, locked

#: In a figure's folder: the facts of the computation, the folder of the tables, and the folder of the parts.
FACTS, NUMBERS, PARTS = "figure.json", "numbers", "parts"


def read_facts(folder: pathlib.Path) -> dict[str, Any]:
    """Read ``figure.json``; empty if it does not exist.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = folder / FACTS
    if not path.is_file():
        return {}
    with parsing(str(path), "is damaged", DataError, "delete it, and the figure is computed again"):
        facts = json.loads(read_text(path))
        parts = [facts, *(facts.get(name, {}) for name in ("options", "summary", "columns"))]
        told = all(isinstance(part, dict) for part in (*parts, *parts[-1].values()))
        if not told or (facts.get("done") and not ("summary" in facts and is_finite_number(facts.get("seconds")))):
            raise ValueError("it does not say what was computed")
        return facts


def write_facts(folder: pathlib.Path, facts: Mapping[str, Any]) -> None:
    """Write ``figure.json``, completely or not at all."""
    write_text(folder / FACTS, json.dumps(facts, indent=2) + "\n")


def check_free(folder: pathlib.Path, number: int, *, fresh: bool = False) -> None:
    """Raise `OutputError` if the folder holds anything but this figure; with ``fresh``, its facts may be damaged."""
    with output_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; give a folder for the figure")
        refuse_links(folder, _places(folder))
        # A killed process leaves its lock behind.
        if not folder.is_dir() or all(path.name == LOCK for path in folder.iterdir()):
            return
        left = _left_by_figure(folder, number)
    try:
        holds = read_facts(folder).get("figure")
    except DataError:
        if not fresh:
            raise
        holds = None
    if holds == number or (holds is None and left):
        return
    what = "is not empty, and holds no figure" if holds is None else f"holds figure {holds}"
    raise OutputError(f"{folder}: {what}; give another folder with --out")


def _places(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where files of a figure are written or removed."""
    yield from (folder / name for name in (FACTS, NUMBERS, PARTS, LOCK))
    for pattern in (f"{NUMBERS}/*.csv", f"{PARTS}/*", f"{PARTS}/.*", f"{PARTS}/*/*", "figure-*"):
        yield from folder.glob(pattern)


def _left_by_figure(folder: pathlib.Path, number: int) -> bool:
    """Whether a folder without facts holds files of this figure, and no picture of another figure."""
    pictures = (path for kind in FORMATS for path in folder.glob(f"figure-*.{kind}"))
    if any(path.stem != f"figure-{number}" for path in pictures):
        return False
    return (folder / PARTS).is_dir() or (folder / NUMBERS).is_dir()


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
    """Context in which no other process makes a figure in the folder.

    Raises
    ------
    OutputError
        If another process does.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except OutputError as error:  # adapt the message, which speaks of a training
            raise OutputError(str(error).replace("is being trained", "is being computed")) from None
        yield
