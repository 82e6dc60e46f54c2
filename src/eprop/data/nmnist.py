"""Real N-MNIST recordings, from the official files: ``<split>/<digit>/<number>.bin`` in folders or zip archives.

N-MNIST: Orchard, Jayawant, Cohen and Thakor 2015, doi 10.3389/fnins.2015.00437, CC BY-SA 4.0. The number of a file is the
index of its digit in MNIST's split, plus one.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from eprop.core import lib
from eprop.data._archive import Tree, open_tree
from eprop.data.binned import BinnedDataset, Selection, chosen_rows
from eprop.data.binning import Block, bin_blocks
from eprop.data.events import Events, EventSample
from eprop.errors import DataError, MemoryLimitError, ParameterError, warn
from eprop.files import check_budget, memory_budget, output_errors, write_bytes

#: Pixels along each side, and channels: ``p * 1156 + y * 34 + x``.
SIZE = 34
N_CHANNELS = 2 * SIZE * SIZE
_EVENT = 5
_BLOCK = 256
#: Bytes of memory for each byte of the files that are decoded together.
_WORK = 4
_ADVICE = "Download it again, or leave it out: remove it, or in Python give on_error='skip'"
LAYOUT = "N-MNIST is laid out as <split>/<digit>/<number>.bin: Train/0/00002.bin ... Test/9/..., digits named 0 to 9"
SPLITS = ("train", "test")
SUFFIX = ".bin"
#: Largest number of digits in a recording's number.
DIGITS = 9
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

    def subset(self, chosen: Selection) -> NMNISTRecordings:
        """Select the recordings at ``chosen`` (whole numbers, mask or slice)."""
        where = chosen_rows(chosen, len(self))
        files = tuple(self._files[i] for i in where)
        return replace(self, labels=self.labels[where], indices=self.indices[where], _files=files)

    def stamp(self) -> str:
        """Digest of the files' names, sizes and modification times (or checksums), for a cache key."""
        out = hashlib.sha256()
        for name in self._files:
            out.update(f"{name} {self._tree.stamp(name)};".encode(errors="surrogateescape"))
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
        kept, faults = list[int](), list[str]()

        def blocks() -> Iterator[Block]:
            budget = memory_budget(self._memory)
            self._check_sizes(n_steps, budget)
            size = _BLOCK if on_error == "raise" else 1
            for first in range(0, len(self), size):
                last = min(first + size, len(self))
                try:
                    block = _decode(self._tree, self._files[first:last], budget)
                except (DataError, MemoryLimitError) as error:
                    if on_error == "raise":
                        raise
                    faults.append(str(error))
                else:
                    kept.extend(range(first, last))
                    yield block
                if progress is not None:
                    progress(last, len(self))

        ptr, channels = bin_blocks(blocks(), N_CHANNELS, n_steps, dt)
        if faults:
            warn(f"{len(faults)} damaged recording(s) left out, the first: {faults[0]}")
        if not kept:
            raise DataError(f"{self.name}: no undamaged recording")
        return BinnedDataset(ptr, channels, self.labels[kept], N_CHANNELS, dt, False, self.name)

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
        ``Train.zip`` and ``Test.zip``); either archive.
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
    tree, files, found = _find(path, split)
    labels = np.array([f.digit for f in files], np.int32)
    indices = np.array([f.number for f in files], np.int64) - 1
    place = "/".join(os.path.realpath(os.path.expanduser(path)).split(os.sep)[-2:])
    inside = f" ({found})" if found and pathlib.Path(path).stem.lower() != found else ""
    name = f"real N-MNIST recordings in {place}{inside}"
    return NMNISTRecordings(labels, indices, name, tuple(f.name for f in files), tree, memory)


class _File(NamedTuple):
    """A recording; files sort by number."""

    number: int
    digit: int
    name: str


def splits_in(path: str | pathlib.Path) -> dict[str, str]:
    """Splits below a path, each with its archive (empty for folders); none if digit folders lie there directly."""
    return _splits_of(open_tree(path).names())


def _splits_of(names: list[str]) -> dict[str, str]:
    folders = {split: "" for name in names if _is_recording(name) and (split := _split_of(name))}
    archives = {split: name for name in names for split in SPLITS if name.lower().split("/")[-1] == f"{split}.zip"}
    found = archives | folders
    return {split: found[split] for split in SPLITS if split in found}


def _is_recording(name: str) -> bool:
    """Whether a file is a recording; some disks and archives write all names in capitals."""
    return name.lower().endswith(SUFFIX)


def _split_of(name: str) -> str | None:
    """Split from a file's folders, if any."""
    return next((part for part in name.lower().split("/")[:-1] if part in SPLITS), None)


def _find(path: str | pathlib.Path, split: str | None) -> tuple[Tree, list[_File], str | None]:
    """The tree with the recordings, the recordings sorted by number, and the split if known."""
    if split is not None and split.lower() not in SPLITS:
        raise DataError(f'N-MNIST has the splits "train" and "test", not {split!r}')
    tree: Tree = open_tree(path)
    names = tree.names()
    present = _splits_of(names)
    split = _choose(tree, list(present), split.lower() if split else None)
    if archive := present.get(split or ""):
        tree = tree.enter(archive)
        names = tree.names()
    files = sorted(_parse(tree, name) for name in names if _is_recording(name) and _split_of(name) in (split, None))
    if not files:
        raise DataError(f"{tree.where()}: no recording found. {LAYOUT}")
    for one, other in itertools.pairwise(files):
        if one[:2] == other[:2]:
            raise DataError(
                f"{tree.where(one.name)} and {tree.where(other.name)}: recording {one.number} of digit {one.digit} occurs "
                "twice; move one of the folders away"
            )
    return tree, files, split


def _choose(tree: Tree, present: list[str], wanted: str | None) -> str | None:
    """Return the split to read: the wanted one if present, else the only one."""
    own = pathlib.Path(tree.where()).stem.lower()
    if not present and own in SPLITS:
        present = [own]
    if wanted is None and len(present) > 1:
        raise DataError(f'{tree.where()} holds both Train and Test: choose the split "train" or "test"')
    if wanted is not None and present and wanted not in present:
        raise DataError(f"{tree.where()} holds the split {present[0].capitalize()} but no {wanted.capitalize()}")
    return wanted or (present[0] if present else None)


def _parse(tree: Tree, name: str) -> _File:
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
    return _File(number, int(folder), name)


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
        write_bytes(path, content)
    return path
