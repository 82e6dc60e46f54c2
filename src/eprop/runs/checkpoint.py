"""Checkpoints: NumPy archives (``.npz``) without pickled objects, written completely or not at all.

The archive has a checksum of each array, and reading compares it.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.engine import Samples
from eprop.errors import CheckpointError
from eprop.files import open_regular, parsing, write_bytes
from eprop.runs.record import RunRecord
from eprop.training.learner import State, below

#: Version of the layout; other layouts raise an error.
FORMAT = 5
#: Name of the text in the archive; groups of arrays, whose names begin with ``group/``.
_TEXT, _GROUPS = "checkpoint.json", ("state", "example", "network", "position")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that a training needs to continue.

    Attributes
    ----------
    record : RunRecord
        Description of the experiment.
    position : dict
        State of the trainer, see `Trainer.state`: arrays, and values that JSON has.
    state : dict of ndarray
        State of the simulator, see `Simulator.state`.
    example : dict of ndarray
        One sample, for pictures; see `packed`.
    network : dict of ndarray
        Arrays that the description of the network names by their digests.
    version : str
        Version of the package that wrote the checkpoint.
    """

    record: RunRecord
    position: State
    state: Mapping[str, np.ndarray]
    example: Mapping[str, np.ndarray] = field(default_factory=dict)
    version: str = ""
    network: Mapping[str, np.ndarray] = field(default_factory=dict)


def save_checkpoint(path: str | pathlib.Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old file stays until the new file is complete.

    Raises
    ------
    OutputError
        If the disk is full or not writable; the old checkpoint is kept.
    """
    values = {name: value for name, value in checkpoint.position.items() if not isinstance(value, np.ndarray)}
    text = json.dumps({"format": FORMAT, "version": checkpoint.version, **vars(checkpoint.record), "position": values})
    position = {k: v for k, v in checkpoint.position.items() if k not in values}
    groups = (checkpoint.state, checkpoint.example, checkpoint.network, position)
    arrays = {
        f"{group}/{name}": np.asarray(array)
        for group, part in zip(_GROUPS, groups, strict=True)
        for name, array in part.items()
    }
    arrays[_TEXT] = np.frombuffer(text.encode(), np.uint8)
    archive = io.BytesIO()
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    write_bytes(path, archive.getvalue())


def load_checkpoint(path: str | pathlib.Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, or has another kind or version. The message names the file and says what to do.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise CheckpointError(f"{path}: there is no checkpoint; the run was stopped before its first one, repeat it")
    advice = "take a copy if you have one, or repeat the run"
    with parsing(str(path), "is damaged or no checkpoint", CheckpointError, advice):
        with open_regular(path, CheckpointError) as file, np.load(file, allow_pickle=False) as archive:
            # Stored members: a file of somebody else could unpack to more than the memory.
            if sum(info.file_size for info in archive.zip.infolist()) > os.fstat(file.fileno()).st_size:
                raise ValueError("its arrays are larger than the file")
            arrays = dict(archive.items())
        found = json.loads(arrays[_TEXT].tobytes())
        if found["format"] != FORMAT:
            raise CheckpointError(
                f"{path}: has layout {found['format']}, this version of eprop reads layout {FORMAT}; it was written by eprop "
                f"{found['version']}: use that, or train again"
            )
        state, example, network, position = (below(name, arrays) for name in _GROUPS)
        record = RunRecord(**{name: type(empty)(found[name]) for name, empty in vars(RunRecord()).items()})
        return Checkpoint(record, found["position"] | position, state, example, found["version"], network)


def packed(samples: Samples | None) -> dict[str, np.ndarray]:
    """One sample as arrays; empty without a sample."""
    if samples is None:
        return {}
    out = {name: getattr(samples, name) for name in _ARRAYS}
    if samples.labels is not None:
        out["labels"] = samples.labels
    for part in _NAMED:
        out |= {f"{part}/{name}": values for name, values in getattr(samples, part).items()}
    (sources, readouts), n_steps = samples.made_for, samples.n_steps
    return out | {"sizes": np.array([n_steps, *sources]), "readouts": np.array(readouts, np.int64).reshape(-1, 2)}


def unpacked(arrays: Mapping[str, np.ndarray]) -> Samples | None:
    """The sample of `packed`."""
    if not arrays:
        return None
    n_steps, *sources = arrays["sizes"].tolist()
    shape = tuple(sources), tuple((size, bool(softmax)) for size, softmax in arrays["readouts"].tolist())
    parts: dict[str, Any] = {
        **{name: arrays[name] for name in _ARRAYS},
        **{part: below(part, arrays) for part in _NAMED},
    }
    return Samples(**parts, n=1, n_steps=n_steps, labels=arrays.get("labels"), made_for=shape)


#: Arrays of `Samples`, and its groups of arrays.
_ARRAYS, _NAMED = ("event_start", "event_channels", "target", "window", "modulator", "reward"), ("signals", "currents")
