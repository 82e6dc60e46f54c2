"""Checkpoints: NumPy archives (``.npz``) without pickled objects, written completely or not at all, with a digest."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from eprop.errors import CheckpointError
from eprop.files import open_regular, parsing, write_bytes
from eprop.training.learner import State, below

#: Version of the layout; other layouts raise an error.
FORMAT = 3
#: Names of the text in the archive, and of its digest; groups of arrays, whose names begin with ``group/``.
_TEXT, _DIGEST, _GROUPS = "checkpoint.json", "sha256", ("state", "example", "position")
_WHAT_TO_DO = "take a copy if you have one, or repeat the run with its config.toml"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that a training needs to continue.

    Attributes
    ----------
    config : str
        The run's ``config.toml``.
    position : dict
        State of the trainer, see `Trainer.state`: arrays, and values that JSON has.
    state : dict of ndarray
        State of the simulator, see `Simulator.state`.
    example : dict of ndarray
        One test sample, for figures.
    version : str
        Version of the package that wrote the checkpoint.
    """

    config: str
    position: State
    state: Mapping[str, np.ndarray]
    example: Mapping[str, np.ndarray] = field(default_factory=dict)
    version: str = ""


def save_checkpoint(path: str | pathlib.Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old file stays until the new file is complete.

    Raises
    ------
    OutputError
        If the disk is full or not writable; the old checkpoint is kept.
    """
    values = {name: value for name, value in checkpoint.position.items() if not isinstance(value, np.ndarray)}
    text = json.dumps(
        {
            "format": FORMAT,
            "version": checkpoint.version,
            "config": checkpoint.config,
            "position": values,
        }
    )
    groups = (checkpoint.state, checkpoint.example, {k: v for k, v in checkpoint.position.items() if k not in values})
    arrays = {
        f"{group}/{name}": np.asarray(array)
        for group, part in zip(_GROUPS, groups, strict=True)
        for name, array in part.items()
    }
    arrays[_TEXT] = np.frombuffer(text.encode(), np.uint8)
    arrays[_DIGEST] = np.array(_digest(arrays))
    archive = io.BytesIO()
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    write_bytes(path, archive.getvalue())


def load_checkpoint(path: str | pathlib.Path) -> Checkpoint:
    """Read a checkpoint, and compare its digest.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, or has another kind or version. The message names the file and says what to do.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise CheckpointError(f"{path}: there is no checkpoint; the run was stopped before its first one, repeat it")
    with parsing(str(path), "is damaged or no checkpoint", CheckpointError, _WHAT_TO_DO):
        with open_regular(path, CheckpointError) as file, np.load(file, allow_pickle=False) as archive:
            # Stored members: a file of somebody else could unpack to more than the memory.
            if sum(info.file_size for info in archive.zip.infolist()) > os.fstat(file.fileno()).st_size:
                raise ValueError("its arrays are larger than the file")
            arrays = dict(archive.items())
        found = json.loads(arrays[_TEXT].tobytes())
        if found["format"] != FORMAT:
            raise CheckpointError(
                f"{path}: has layout {found['format']}, this version of eprop reads layout {FORMAT}; it was written by eprop "
                f"{found['version']}: use that, or train again with the run's config.toml"
            )
        if str(arrays.pop(_DIGEST)) != _digest(arrays):
            raise CheckpointError(f"{path}: is damaged, its digest is wrong; {_WHAT_TO_DO}")
        state, example, position = (below(name, arrays) for name in _GROUPS)
        return Checkpoint(found["config"], found["position"] | position, state, example, found["version"])


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and content of all arrays."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
