"""Checkpoints: HDF5 files without pickled objects, written aside and then renamed, with a checksum over everything.

The checksum stands ahead of the HDF5 part, in the block that HDF5 leaves to the user, and is compared before HDF5 sees
the file: a damaged file can make the HDF5 library itself crash, and so can a full disk, which it never sees either. Beside it
is a mark that only this user can make; a checkpoint of somebody else is read by a process of its own.
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

#: Version of the layout; a file of another one is refused. Layout 1 is that of version 0.1.
FORMAT = 2
_KIND = "eprop checkpoint"
_HEADER = 512
#: How lines of the header begin.
_LINES = ("layout ", "version ", "sha256 ", "mark ")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_GROUPS = ("state", "example", "position")
_WHAT_TO_DO = "take a copy if you have one, or repeat the run with its config.toml"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that is needed to go on.

    Attributes
    ----------
    config : str
        The run's ``config.toml``.
    position : dict
        Of the trainer, see `Trainer.position`: plain numbers and arrays.
    state : dict of ndarray
        Of the simulator, see `Simulator.state`.
    example : dict of ndarray
        One test sample, for figures.
    version : str
        Of the package that wrote it.
    source : str
        Checksum of the file that the task is made of, see `Task.sources`; empty where there is none.
    """

    config: str
    position: Mapping[str, Any]
    state: Mapping[str, np.ndarray]
    example: Mapping[str, np.ndarray] = field(default_factory=dict)
    version: str = ""
    source: str = ""


def save_checkpoint(path: str | pathlib.Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old one stays until the new one is complete.

    Raises
    ------
    OutputError
        If the disk is full or not writable; the old checkpoint is still there.
    """
    image = _hdf5(checkpoint)
    with image.getbuffer() as whole, whole[_HEADER:] as content, _written(path, len(whole)) as file:
        file.write(_header(checkpoint.version, content))
        file.write(content)


@contextlib.contextmanager
def _written(path: str | pathlib.Path, size: int) -> Iterator[BinaryIO]:
    """A file to write to, whole or not at all."""
    with written_aside(path, size) as aside, aside.open("wb") as file:
        yield file
        file.flush()


def _hdf5(checkpoint: Checkpoint) -> io.BytesIO:
    """The file's content. It is made in memory: on a full disk the HDF5 library would crash."""
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
    """Arrays, and the rest."""
    arrays = {name: value for name, value in position.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in position.items() if name not in arrays}


def load_checkpoint(path: str | pathlib.Path, *, memory: int | None = None) -> Checkpoint:
    """Read a checkpoint, and check that nothing in it has changed since it was written.

    Parameters
    ----------
    path : path
    memory : int, optional
        Bytes that the arrays may take, of a checkpoint that another user has written; by default three quarters of what is free.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or of another kind or version; the message names it and says what to do.
    MemoryLimitError
        If it is larger than the memory that it may take.
    """
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        raise CheckpointError(f"{path}: there is no checkpoint; the run was stopped before its first one, repeat it")
    with parsing(str(path), "cannot be read", CheckpointError, _WHAT_TO_DO):
        check_budget(str(path), path.stat().st_size, memory_budget())  # before all of it is summed up
        version, own = _check_header(path)
        attributes, (state, example, arrays) = _read_here(path) if own else _read_apart(path, memory)
        config, told = (str(attributes[name]) for name in ("config", "position"))
        source = str(attributes.get("source", ""))
        position = parse_json(told, str(path), CheckpointError)
        if not isinstance(position, dict):
            raise ValueError("it does not tell where the training is")
    return Checkpoint(config, position | arrays, state, example, version, source)


def is_checkpoint(path: str | pathlib.Path) -> bool:
    """Whether a file begins as a checkpoint does, whatever its state."""
    path = pathlib.Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_KIND) + 1) == f"{_KIND}\n".encode()


Parts = tuple[Mapping[str, Any], list[dict[str, np.ndarray]]]


def _read_here(path: pathlib.Path) -> Parts:
    """Attributes of a checkpoint of this user, and the arrays of each group."""
    with h5py.File(path, "r") as file:
        return dict(file.attrs), [_arrays(file, group) for group in _GROUPS]


def _read_apart(path: pathlib.Path, memory: int | None) -> Parts:
    """The same of somebody else's."""
    with hdf5_process() as process:
        tree = process.read(path, memory=memory, error=CheckpointError)
    return tree.attrs, [dict(_flat(tree.members.get(group), "")) for group in _GROUPS]


def _flat(node: Any, start: str) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of a group and of those within, by their paths."""
    for name, member in node.members.items() if isinstance(node, Group) else ():
        if isinstance(member, Group):
            yield from _flat(member, f"{start}{name}/")
        elif member.values is not None:
            yield start + name, member.values


def _arrays(file: h5py.File, group: str) -> dict[str, np.ndarray]:
    """All arrays of a group, by name."""
    out: dict[str, np.ndarray] = {}

    def collect(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            out[name] = np.asarray(node[()])

    if group in file:
        file[group].visititems(collect)
    return out


def _header(version: str, content: memoryview) -> bytes:
    """Kind, layout, version and checksum as lines of text, to stand ahead of the HDF5 part."""
    digest = hashlib.sha256(version.encode())
    digest.update(content)
    mark = own_mark(digest.hexdigest())
    digest.update(mark.encode())
    lines = f"{_KIND}\nlayout {FORMAT}\nversion {version}\nsha256 {digest.hexdigest()}\nmark {mark}\n"
    return lines.encode().ljust(_HEADER, b"\0")


def _check_header(path: pathlib.Path) -> tuple[str, bool]:
    """Version of the package that wrote a file, and whether it was this user's.

    Raises `CheckpointError` unless the file is as it was written.
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
    """Checksum of the version and of all that follows the header, piece by piece."""
    out = hashlib.sha256(version.encode())
    with path.open("rb") as file:
        file.seek(_HEADER)
        while chunk := file.read(1 << 20):
            out.update(chunk)
    return out
