"""Checkpoints: HDF5 files without pickled objects, written to a temporary file and renamed, with a checksum over everything.

The checksum is in the user block before the HDF5 part, and is compared before the HDF5 library opens the file: a damaged file
can crash the library. A full disk can crash it as well, so the file is made in memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import h5py
import numpy as np

from eprop.errors import CheckpointError
from eprop.files import open_regular, parse_json, parsing, write_bytes
from eprop.files.hdf5 import read_hdf5

#: Version of the layout; other layouts raise an error.
FORMAT = 3
_KIND = "eprop checkpoint"
_HEADER = 512
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
    content = _hdf5(checkpoint)[_HEADER:]
    write_bytes(path, _header(checkpoint.version, _digest(io.BytesIO(content), checkpoint.version)) + content)


def _hdf5(checkpoint: Checkpoint) -> bytes:
    """Content of the file without its header, made in memory: the HDF5 library would crash on a full disk."""
    out = io.BytesIO()
    with h5py.File(out, "w", userblock_size=_HEADER) as file:
        arrays_of_position, numbers = _split(checkpoint.position)
        for group, arrays in zip(_GROUPS, (checkpoint.state, checkpoint.example, arrays_of_position), strict=True):
            for name, array in arrays.items():
                file.create_dataset(f"{group}/{name}", data=np.asarray(array))
        file.attrs["config"] = checkpoint.config
        file.attrs["position"] = json.dumps(numbers)
        file.attrs["source"] = checkpoint.source
    return out.getvalue()


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
        Largest size of all arrays, bytes; by default three quarters of the free memory.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, has another kind or version, or needs more memory than allowed. The message names the
        file and says what to do.
    """
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        raise CheckpointError(f"{path}: there is no checkpoint; the run was stopped before its first one, repeat it")
    with parsing(str(path), "cannot be read", CheckpointError, _WHAT_TO_DO):
        version = _check_header(path)
        tree = read_hdf5(path, memory=memory, error=CheckpointError)
        attributes = tree.attrs
        state, example, arrays = (tree.group(name).arrays() for name in _GROUPS)
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


def _header(version: str, digest: str) -> bytes:
    """The header: kind, layout, version and checksum as lines of text."""
    return f"{_KIND}\nlayout {FORMAT}\nversion {version}\nsha256 {digest}\n".encode().ljust(_HEADER, b"\0")


def _digest(file: BinaryIO, version: str) -> str:
    """Checksum of the version and of the rest of a file."""
    return hashlib.file_digest(file, lambda: hashlib.sha256(version.encode())).hexdigest()  # type: ignore[arg-type]


def _check_header(path: pathlib.Path) -> str:
    """Version of the package that wrote a file.

    Raises `CheckpointError` if the checksum is wrong.
    """
    with open_regular(path, CheckpointError) as file:
        header = file.read(_HEADER)
        version = _version_in(header, path)
        if header != _header(version, _digest(file, version)):
            raise CheckpointError(f"{path}: is damaged, its checksum is wrong; {_WHAT_TO_DO}")
    return version


def _version_in(header: bytes, path: pathlib.Path) -> str:
    """Version of the package according to a header; `CheckpointError` if the header has another kind or layout."""
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
    return version
