"""Checkpoints: HDF5 files without pickled objects, written aside and then renamed, with a checksum over all they hold."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from eprop.errors import CheckpointError
from eprop.training.files import written_aside

#: Version of the layout; a file of another one is refused.
FORMAT = 1
_KIND = "eprop checkpoint"
_GROUPS = ("state", "example")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that is needed to go on.

    Attributes
    ----------
    config : str
        The run's ``config.toml``.
    position : dict
        Of the trainer, see `Trainer.position`.
    state : dict of ndarray
        Of the simulator, see `Simulator.state`.
    example : dict of ndarray
        One test sample, for figures.
    version : str
        Of the package that wrote it.
    """

    config: str
    position: Mapping[str, Any]
    state: Mapping[str, np.ndarray]
    example: Mapping[str, np.ndarray] = field(default_factory=dict)
    version: str = ""


def save_checkpoint(path: str | pathlib.Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old one stays until the new one is complete.

    Raises
    ------
    OutputError
        If the disk is full or not writable; the old checkpoint is still there.
    """
    texts = {
        "config": checkpoint.config,
        "position": json.dumps(dict(checkpoint.position), sort_keys=True),
        "version": checkpoint.version,
    }
    arrays = _flat(checkpoint)
    with written_aside(path) as aside:
        try:
            with h5py.File(aside, "w") as file:
                for name, array in arrays.items():
                    file.create_dataset(name, data=array)
                file.attrs.update(texts)
                file.attrs.update({"kind": _KIND, "format": FORMAT, "sha256": _digest(texts, arrays)})
        except RuntimeError as error:  # h5py cannot flush to a full disk
            raise OSError(str(error)) from error


def load_checkpoint(path: str | pathlib.Path) -> Checkpoint:
    """Read a checkpoint, and check that nothing in it has changed since it was written.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or of another kind or version; the message names it and says what to do.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no checkpoint; the run was stopped before its first one, repeat it")
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            if attributes.get("kind") != _KIND:
                raise CheckpointError(f"{path}: is an HDF5 file, but no checkpoint of eprop; choose another file")
            _check_format(path, attributes)
            arrays: dict[str, np.ndarray] = {}
            for group in _GROUPS:
                file.get(group, {}).visititems(lambda name, node, group=group: _collect(arrays, group, name, node))
            texts = {name: str(attributes[name]) for name in ("config", "position", "version")}
            if attributes["sha256"] != _digest(texts, arrays):
                raise CheckpointError(f"{path}: is damaged, its checksum is wrong; {_WHAT_TO_DO}")
            position = json.loads(texts["position"])
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: is damaged or no checkpoint ({_short(error)}); {_WHAT_TO_DO}") from error
    parts = {group: {n.partition("/")[2]: a for n, a in arrays.items() if n.startswith(group + "/")} for group in _GROUPS}
    return Checkpoint(texts["config"], position, parts["state"], parts["example"], texts["version"])


_WHAT_TO_DO = "take a copy if you have one, or repeat the run with its config.toml"


def _check_format(path: pathlib.Path, attributes: Mapping[str, Any]) -> None:
    if attributes.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: has layout {attributes.get('format')}, this version of eprop reads layout {FORMAT}; "
            f"use eprop {attributes.get('version', 'of the time it was written')}"
        )


def _flat(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """All arrays under their names in the file."""
    groups = {"state": checkpoint.state, "example": checkpoint.example}
    return {f"{group}/{name}": np.asarray(array) for group, arrays in groups.items() for name, array in arrays.items()}


def _collect(arrays: dict[str, np.ndarray], group: str, name: str, node: Any) -> None:
    if isinstance(node, h5py.Dataset):
        arrays[f"{group}/{name}"] = np.asarray(node[()])


def _digest(texts: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    """Checksum of texts and arrays, independent of the order in which they are stored."""
    out = hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        out.update(f"{name} {array.dtype.str} {arrays[name].shape}".encode())
        out.update(array.reshape(-1).view(np.uint8))
    return out.hexdigest()


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
