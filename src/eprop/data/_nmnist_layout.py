"""The layout of N-MNIST in folders and archives, with messages for files that differ from it."""

from __future__ import annotations

import itertools
import pathlib
from typing import NamedTuple

from eprop.data._archive import Tree, open_tree
from eprop.errors import DataError

SPLITS = ("train", "test")
SUFFIX = ".bin"
#: Largest number of digits in a recording's number.
DIGITS = 9
LAYOUT = "N-MNIST is laid out as <split>/<digit>/<number>.bin: Train/0/00002.bin ... Test/9/..., digits named 0 to 9"


class File(NamedTuple):
    """A recording; files sort by number."""

    number: int
    digit: int
    name: str


def splits_in(path: str | pathlib.Path) -> list[str]:
    """Splits below a path, as folders or archives; empty if digit folders lie there directly."""
    return _splits_of(open_tree(path).names())


def find_recordings(path: str | pathlib.Path, split: str | None) -> tuple[Tree, list[File], str | None]:
    """Find the tree with the recordings, the recordings sorted by number, and the split if known.

    Raises
    ------
    DataError
        If there are no recordings, the split is missing or ambiguous, or a name does not fit the layout.
    """
    if split is not None and split.lower() not in SPLITS:
        raise DataError(f'N-MNIST has the splits "train" and "test", not {split!r}')
    tree = open_tree(path)
    names = tree.names()
    split = _choose(tree, names, split.lower() if split else None)
    archives = _archives(names)
    if split in archives and split not in _open_splits(names):
        tree = tree.enter(archives[split])
        names = tree.names()
    chosen = [name for name in names if _is_recording(name) and _split_of(name) in (split, None)]
    files = sorted(_parse(tree, name) for name in chosen)
    if not files:
        raise DataError(f"{tree.where()}: no recording found. {LAYOUT}")
    for one, other in itertools.pairwise(files):
        if one[:2] == other[:2]:
            raise DataError(
                f"{tree.where(one.name)} and {tree.where(other.name)}: recording {one.number} of digit {one.digit} occurs "
                "twice; move one of the folders away"
            )
    return tree, files, split


def _choose(tree: Tree, names: list[str], wanted: str | None) -> str | None:
    """Return the split to read: the wanted one if present, else the only one."""
    present = _splits_of(names)
    own = pathlib.Path(tree.where()).stem.lower()
    if not present and own in SPLITS:
        present = [own]
    if wanted is None and len(present) > 1:
        raise DataError(f'{tree.where()} holds both Train and Test: choose the split "train" or "test"')
    if wanted is not None and present and wanted not in present:
        raise DataError(f"{tree.where()} holds the split {present[0].capitalize()} but no {wanted.capitalize()}")
    return wanted or (present[0] if present else None)


def _splits_of(names: list[str]) -> list[str]:
    return [split for split in SPLITS if split in _open_splits(names) or split in _archives(names)]


def _open_splits(names: list[str]) -> set[str]:
    return {split for name in names if _is_recording(name) and (split := _split_of(name)) is not None}


def _archives(names: list[str]) -> dict[str, str]:
    """Map each split to the name of its archive in the tree."""
    found = {name.rsplit("/", 1)[-1].lower(): name for name in names}
    return {split: found[f"{split}.zip"] for split in SPLITS if f"{split}.zip" in found}


def _is_recording(name: str) -> bool:
    """Whether a file is a recording; some disks and archives write all names in capitals."""
    return name.lower().endswith(SUFFIX)


def _split_of(name: str) -> str | None:
    """Split from a file's folders, if any."""
    folders = [part.lower() for part in name.split("/")[:-1]]
    return next((part for part in folders if part in SPLITS), None)


def _parse(tree: Tree, name: str) -> File:
    parts = name.split("/")
    folder = parts[-2] if len(parts) > 1 else pathlib.Path(tree.where()).name
    if not (len(folder) == 1 and folder in "0123456789"):
        raise DataError(f"{tree.where(name)}: folder {folder!r} is not a digit 0 to 9. {LAYOUT}")
    stem = parts[-1][: -len(SUFFIX)]
    # Check the length first: Python refuses to convert thousands of digits.
    number = int(stem) if stem.isascii() and stem.isdigit() and len(stem) <= DIGITS else 0
    if not number >= 1:
        raise DataError(
            f"{tree.where(name):.300}: the file name is not a number from 1 up with at most {DIGITS} digits. {LAYOUT}"
        )
    return File(number, int(folder), name)
