"""The folder of a figure: whose it is, what it says of itself, and that one process at a time works in it."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from eprop.errors import DataError, OutputError
from eprop.files import output_errors, parsing, read_text, write_text
from eprop.training.config import FORMATS
from eprop.training.lock import LOCK, locked

#: Of a figure's folder: what was computed, the folder of its tables, and that of what they were made from.
FACTS, NUMBERS, PARTS = "figure.json", "numbers", "parts"


def read_facts(folder: pathlib.Path) -> dict[str, Any]:
    """What is in ``figure.json``; nothing where there is none.

    Raises
    ------
    DataError
        If it is damaged.
    """
    path = folder / FACTS
    if not path.is_file():
        return {}
    with parsing(str(path), "is damaged", DataError, "delete it, and the figure is computed again"):
        facts = json.loads(read_text(path))
        if not (isinstance(facts, dict) and isinstance(facts.get("options", {}), dict)):
            raise ValueError("it does not say what was computed")
        return facts


def write_facts(folder: pathlib.Path, facts: Mapping[str, Any]) -> None:
    """Write ``figure.json``, whole or not at all."""
    write_text(folder / FACTS, json.dumps(facts, indent=2) + "\n")


def check_free(folder: pathlib.Path, number: int, *, fresh: bool = False) -> None:
    """Raise `OutputError` if the folder holds something else than this figure; ``fresh``, its facts may be damaged."""
    with output_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; give a folder for the figure")
        # A lock is left behind by a process that was killed.
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


def _left_by_figure(folder: pathlib.Path, number: int) -> bool:
    """Whether a folder without facts holds what this figure leaves, and no picture of another one."""
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
        If another one does.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except OutputError as error:  # a run's words; here not everything that takes time is a training
            raise OutputError(str(error).replace("is being trained", "is being computed")) from None
        yield
