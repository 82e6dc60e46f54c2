"""Real N-MNIST recordings, from the official files: ``<split>/<digit>/<number>.bin`` in folders or zip archives.

N-MNIST: Orchard, Jayawant, Cohen and Thakor 2015, doi 10.3389/fnins.2015.00437, CC BY-SA 4.0. The number of a file is the
index of its digit in MNIST's split, plus one.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.data._archive import Tree
from eprop.data._nmnist_layout import find_recordings
from eprop.data.binned import BinnedDataset
from eprop.data.binning import Binner
from eprop.data.events import Events, EventSample
from eprop.errors import DataError, MemoryLimitError, ParameterError
from eprop.files import check_budget, memory_budget, output_errors

#: Pixels along each side, and channels: ``p * 1156 + y * 34 + x``.
SIZE = 34
N_CHANNELS = 2 * SIZE * SIZE
_EVENT = 5
_BLOCK = 256
#: Bytes of memory for each byte of the files that are decoded together.
_WORK = 4
_ADVICE = "Download it again, or leave it out: remove it, or in Python give on_error='skip'"
_KINDS = {1: f"an x or y beyond {SIZE - 1}", 2: "a time before the time of the previous event"}


@dataclass(frozen=True, eq=False)
class NMNISTRecordings:
    """The recordings of one split, in the order of their file numbers; a sequence of ``(events, label)`` pairs.

    Attributes
    ----------
    labels : ndarray of int32, shape (n,)
        From the folders' names.
    indices : ndarray of int64, shape (n,)
        Index of each digit in MNIST's split: the file's number minus one.
    name : str
    """

    labels: np.ndarray
    indices: np.ndarray
    name: str
    _files: tuple[str, ...]
    _tree: Tree
    _memory: int | None = None

    #: Width, height, polarities, as in Tonic.
    sensor_size = (SIZE, SIZE, 2)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"<NMNISTRecordings {self.name!r}: {len(self)}>"

    def __getitem__(self, index: int) -> EventSample:
        events = _to_events(*_decode(self._tree, [self._files[index]], memory_budget(self._memory)))
        return EventSample(events, int(self.labels[index]))

    def __iter__(self) -> Iterator[EventSample]:
        return (self[i] for i in range(len(self)))

    def subset(self, chosen: Any) -> NMNISTRecordings:
        """Select the recordings at ``chosen`` (whole numbers, mask or slice)."""
        where = np.arange(len(self))[chosen]
        files = tuple(self._files[i] for i in where)
        return replace(self, labels=self.labels[where], indices=self.indices[where], _files=files)

    def stamp(self) -> str:
        """Digest of the files' names, sizes and modification times (or checksums), for a cache key."""
        out = hashlib.sha256()
        for name in self._files:
            out.update(f"{name} {self._tree.stamp(name)};".encode())
        return out.hexdigest()[:32]

    def binned(
        self,
        *,
        n_steps: int = 300,
        dt: float = 1.0,
        on_error: str = "raise",
        progress: Callable[[int, int], None] | None = None,
    ) -> BinnedDataset:
        """Read and bin all recordings.

        Parameters
        ----------
        n_steps : int
        dt : float
            Length of a step in ms.
        on_error : "raise" or "skip"
            Treatment of a damaged file; one warning counts the skipped files.
        progress : callable of (done, total), optional

        Returns
        -------
        BinnedDataset

        Raises
        ------
        DataError
            If a file is damaged; the message names the file and the byte, and gives advice.
        MemoryLimitError
            If the files exceed the memory limit of `read_nmnist`; nothing has been read then.
        ParameterError
            If ``on_error`` has another value.
        """
        if on_error not in ("raise", "skip"):
            raise ParameterError(f'on_error must be "raise" or "skip", got {on_error!r}')
        binner, budget = Binner(N_CHANNELS, n_steps, dt), memory_budget(self._memory)
        self._check_sizes(n_steps, budget)
        kept, faults = list[int](), list[str]()
        block = _BLOCK if on_error == "raise" else 1
        for first in range(0, len(self), block):
            last = min(first + block, len(self))
            try:
                binner.add(*_decode(self._tree, self._files[first:last], budget))
                kept += range(first, last)
            except (DataError, MemoryLimitError) as error:
                if on_error == "raise":
                    raise
                faults.append(str(error))
            if progress is not None:
                progress(last, len(self))
        if faults:
            warnings.warn(f"{len(faults)} damaged recording(s) left out, the first: {faults[0]}", stacklevel=2)
        if not kept:
            raise DataError(f"{self.name}: no undamaged recording")
        return binner.finish(self.labels[kept], simulated=False, name=self.name)

    def _check_sizes(self, n_steps: int, budget: int) -> None:
        """Refuse recordings that do not fit into memory, by their file sizes: an event becomes at most one entry."""
        sizes = np.array([self._tree.size(name) for name in self._files], np.float64)
        at_once = max((sizes[k : k + _BLOCK].sum() for k in range(0, sizes.size, _BLOCK)), default=0.0)
        offsets = 8.0 * sizes.size * (n_steps + 1)
        check_budget(self.name, int(4.0 * sizes.sum() / _EVENT + offsets + _WORK * at_once), budget)


def read_nmnist(path: str | pathlib.Path, split: str | None = None, *, memory: int | None = None) -> NMNISTRecordings:
    """Find the recordings of one split; files are read on demand.

    Parameters
    ----------
    path : path
        One of: a folder with the digit folders ``0`` to ``9``; a folder with ``Train`` and ``Test`` (folders, or
        ``Train.zip`` and ``Test.zip``); either archive; the archive that holds both archives.
    split : "train" or "test", optional
        Needed if both splits are found.
    memory : int, optional
        Bytes allowed for recordings when they are read. The default is three quarters of the free memory.

    Returns
    -------
    NMNISTRecordings
        Sorted by file number.

    Raises
    ------
    DataError
        If there is no recording, the split is missing, or the name of a folder or file does not fit the layout.
    """
    tree, files, found = find_recordings(path, split)
    labels = np.array([f.digit for f in files], np.int32)
    indices = np.array([f.number for f in files], np.int64) - 1
    place = "/".join(os.path.realpath(os.path.expanduser(path)).split(os.sep)[-2:])
    inside = f" ({found})" if found and pathlib.Path(path).stem.lower() != found else ""
    name = f"real N-MNIST recordings in {place}{inside}"
    return NMNISTRecordings(labels, indices, name, tuple(f.name for f in files), tree, memory)


def _decode(tree: Tree, names: Sequence[str], budget: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode times, channels and offsets of some files; raise `DataError` at the first fault."""
    contents = [_read(tree, name, budget // _WORK) for name in names]
    raw = np.frombuffer(b"".join(contents), np.uint8)
    offsets = np.cumsum([0, *map(len, contents)]).astype(np.int64)
    decoded, (file, byte, kind) = lib.decode_nmnist(raw, offsets, SIZE)
    if kind:
        raise DataError(
            f"{tree.where(names[file])}: event at byte {byte} has {_KINDS[kind]}; the file is damaged or not an N-MNIST "
            f"recording. {_ADVICE}"
        )
    return decoded


def _read(tree: Tree, name: str, most: int) -> bytes:
    content = tree.read(name, most)
    if not content:
        raise DataError(f"{tree.where(name)}: empty file. {_ADVICE}")
    if len(content) % _EVENT:
        raise DataError(
            f"{tree.where(name)}: truncated at byte {len(content)}, in the middle of an event (an event has {_EVENT} "
            f"bytes). {_ADVICE}"
        )
    return content


def _to_events(times: np.ndarray, channels: np.ndarray, offsets: np.ndarray) -> Events:
    polarity, pixel = np.divmod(channels, SIZE * SIZE)
    y, x = np.divmod(pixel, SIZE)
    return Events(x.astype(np.uint8), y.astype(np.uint8), polarity.astype(np.uint8), times)


def encode(events: Events) -> bytes:
    """Encode events as the bytes of an N-MNIST file.

    Raises
    ------
    DataError
        If a position lies outside the sensor of 34 x 34, a time does not fit 23 bits (8.4 s), or times are not ascending.
    """
    if len(events) and (max(events.x.max(), events.y.max()) >= SIZE or not 0 <= events.t.max() < 1 << 23):
        raise DataError(f"an N-MNIST file holds positions below {SIZE} and times below 2^23 us")
    if np.any(np.diff(events.t.astype(np.int64)) < 0):
        raise DataError("an N-MNIST file holds events in the order of time; sort them first")
    out = np.empty((len(events), _EVENT), np.uint8)
    out[:, 0], out[:, 1] = events.x, events.y
    out[:, 2] = (events.p << 7) | (events.t >> 16).astype(np.uint8)
    out[:, 3], out[:, 4] = (events.t >> 8) & 255, events.t & 255
    return out.tobytes()


def write_recording(folder: str | pathlib.Path, index: int, sample: EventSample) -> pathlib.Path:
    """Write one recording as ``<folder>/<label>/<index + 1>.bin``, the number with five digits, and return its path.

    Raises
    ------
    DataError
        If the format cannot hold the label, index, position or time.
    OutputError
        If the file cannot be written.
    """
    if not (0 <= sample.label <= 9 and index >= 0):
        raise DataError(f"N-MNIST has labels 0 to 9 and indices >= 0, got label {sample.label}, index {index}")
    path = pathlib.Path(folder) / str(sample.label) / f"{index + 1:05d}.bin"
    content = encode(sample.events)
    with output_errors(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path
