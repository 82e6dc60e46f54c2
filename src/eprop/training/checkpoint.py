"""Checkpoints: HDF5 files without pickled objects, written aside and then renamed, with a checksum over everything.

The checksum is in the user block before the HDF5 part, and is compared before the HDF5 library opens the file: a damaged file
can crash the library. A full disk can crash it as well, so the file is made in memory. Beside the checksum is a mark that only
this user can make; a checkpoint of another user is read by a separate process.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import h5py
import numpy as np

from eprop.errors import CheckpointError
from eprop.files import check_budget, memory_budget, open_regular, parse_json, parsing, written_aside
from eprop.files.hdf5 import Group, hdf5_process
from eprop.files.trust import is_own, own_mark

#: Version of the layout; other layouts raise an error. Layout 1 is that of version 0.1.
FORMAT = 2
_KIND = "eprop checkpoint"
_HEADER = 512
#: First words of the lines of the header.
_LINES = ("layout ", "version ", "sha256 ", "mark ")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_GROUPS = ("state", "example", "position")
_WHAT_TO_DO = "take a copy if you have one, or repeat the run with its config.toml"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that a training needs to continue.

    Attributes
    ----------
    config : str
        The run's ``config.toml``.
    position : dict
        State of the trainer, see `Trainer.position`: numbers and arrays.
    state : dict of ndarray
        State of the simulator, see `Simulator.state`.
    example : dict of ndarray
        One test sample, for figures.
    version : str
        Version of the package that wrote the checkpoint.
    source : str
        Checksum of the task's file, see `Task.sources`; empty for a task of this package.
    """

    config: str
    position: Mapping[str, Any]
    state: Mapping[str, np.ndarray]
    example: Mapping[str, np.ndarray] = field(default_factory=dict)
    version: str = ""
    source: str = ""


def save_checkpoint(path: str | pathlib.Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old file stays until the new file is complete.

    Raises
    ------
    OutputError
        If the disk is full or not writable; the old checkpoint is kept.
    """
    image = _hdf5(checkpoint)
    with image.getbuffer() as whole, whole[_HEADER:] as content, _written(path, len(whole)) as file:
        file.write(_header(checkpoint.version, content))
        file.write(content)


@contextlib.contextmanager
def _written(path: str | pathlib.Path, size: int) -> Iterator[BinaryIO]:
    """Context with a file that replaces ``path`` at the end, or not at all."""
    with written_aside(path, size) as aside, aside.open("wb") as file:
        yield file
        file.flush()


def _hdf5(checkpoint: Checkpoint) -> io.BytesIO:
    """Content of the file, made in memory: the HDF5 library would crash on a full disk."""
    out = io.BytesIO()
    with h5py.File(out, "w", userblock_size=_HEADER) as file:
        arrays_of_position, numbers = _split(checkpoint.position)
        for group, arrays in zip(_GROUPS, (checkpoint.state, checkpoint.example, arrays_of_position), strict=True):
            for name, array in arrays.items():
                file.create_dataset(f"{group}/{name}", data=np.asarray(array))
        file.attrs["config"] = checkpoint.config
        file.attrs["position"] = json.dumps(numbers)
        file.attrs["source"] = checkpoint.source
    return out


def _split(position: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays, and the other values."""
    arrays = {name: value for name, value in position.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in position.items() if name not in arrays}


def load_checkpoint(path: str | pathlib.Path, *, memory: int | None = None) -> Checkpoint:
    """Read a checkpoint, and check its checksum.

    Parameters
    ----------
    path : path
    memory : int, optional
        Largest size of all arrays of a checkpoint of another user, bytes; by default three quarters of the free memory.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, or has another kind or version. The message names the file and says what to do.
    MemoryLimitError
        If the file is larger than the memory that it may take.
    """
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        raise CheckpointError(f"{path}: there is no checkpoint; the run was stopped before its first one, repeat it")
    with parsing(str(path), "cannot be read", CheckpointError, _WHAT_TO_DO):
        check_budget(str(path), path.stat().st_size, memory_budget())  # before all of it is summed up
        version, own = _check_header(path)
        attributes, (state, example, arrays) = _read_in_this_process(path) if own else _read_in_subprocess(path, memory)
        config, told = (str(attributes[name]) for name in ("config", "position"))
        source = str(attributes.get("source", ""))
        position = parse_json(told, str(path), CheckpointError)
        if not isinstance(position, dict):
            raise ValueError("it does not tell where the training is")
    return Checkpoint(config, position | arrays, state, example, version, source)


def is_checkpoint(path: str | pathlib.Path) -> bool:
    """Whether a file begins like a checkpoint; it may be damaged."""
    path = pathlib.Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_KIND) + 1) == f"{_KIND}\n".encode()


Parts = tuple[Mapping[str, Any], list[dict[str, np.ndarray]]]


def _read_in_this_process(path: pathlib.Path) -> Parts:
    """Attributes, and the arrays of each group, of a checkpoint of this user."""
    with h5py.File(path, "r") as file:
        return dict(file.attrs), [_arrays(file, group) for group in _GROUPS]


def _read_in_subprocess(path: pathlib.Path, memory: int | None) -> Parts:
    """Attributes, and the arrays of each group, of a checkpoint of another user."""
    with hdf5_process() as process:
        tree = process.read(path, memory=memory, error=CheckpointError)
    return tree.attrs, [dict(_flat(tree.members.get(group), "")) for group in _GROUPS]


def _flat(node: Any, start: str) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of a group and of its subgroups, by their paths."""
    for name, member in node.members.items() if isinstance(node, Group) else ():
        if isinstance(member, Group):
            yield from _flat(member, f"{start}{name}/")
        elif member.values is not None:
            yield start + name, member.values


def _arrays(file: h5py.File, group: str) -> dict[str, np.ndarray]:
    """All arrays of a group, by their paths."""
    out: dict[str, np.ndarray] = {}

    def collect(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            out[name] = np.asarray(node[()])

    if group in file:
        file[group].visititems(collect)
    return out


def _header(version: str, content: memoryview) -> bytes:
    """The header: kind, layout, version, checksum and mark as lines of text."""
    digest = hashlib.sha256(version.encode())
    digest.update(content)
    mark = own_mark(digest.hexdigest())
    digest.update(mark.encode())
    lines = f"{_KIND}\nlayout {FORMAT}\nversion {version}\nsha256 {digest.hexdigest()}\nmark {mark}\n"
    return lines.encode().ljust(_HEADER, b"\0")


def _check_header(path: pathlib.Path) -> tuple[str, bool]:
    """Version of the package that wrote a file, and whether this user wrote it.

    Raises `CheckpointError` if the checksum is wrong.
    """
    with open_regular(path, CheckpointError) as file:
        header = file.read(_HEADER)
    kind, *lines = header.rstrip(b"\0").decode("utf-8", "replace").splitlines() or [""]
    if kind != _KIND:
        what = (
            "is an HDF5 file, but no checkpoint of eprop" if header.startswith(_HDF5) else "is damaged or no checkpoint"
        )
        raise CheckpointError(f"{path}: {what}; {_WHAT_TO_DO}")
    facts = dict(line.split(" ", 1) for line in lines if " " in line)
    version = facts.get("version", "")
    if facts.get("layout") != str(FORMAT):
        raise CheckpointError(
            f"{path}: has layout {facts.get('layout')}, this version of eprop reads layout {FORMAT}; "
            f"it was written by eprop {version}: use that, or train again with the run's config.toml"
        )
    digest, mark = _digest(path, version), facts.get("mark", "")
    of_content = digest.hexdigest()
    digest.update(mark.encode())
    if facts.get("sha256") != digest.hexdigest() or not all(line.startswith(_LINES) for line in lines):
        raise CheckpointError(f"{path}: is damaged, its checksum is wrong; {_WHAT_TO_DO}")
    return version, is_own(of_content, mark)


def _digest(path: pathlib.Path, version: str) -> Any:
    """Checksum of the version and of everything after the header."""
    out = hashlib.sha256(version.encode())
    with path.open("rb") as file:
        file.seek(_HEADER)
        while chunk := file.read(1 << 20):
            out.update(chunk)
    return out
