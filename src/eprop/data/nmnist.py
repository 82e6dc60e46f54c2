"""Real N-MNIST recordings, from the official files: ``<split>/<digit>/<number>.bin`` in folders or zip archives.

N-MNIST: Orchard, Jayawant, Cohen and Thakor 2015, doi 10.3389/fnins.2015.00437, CC BY-SA 4.0. A file's number is the
index of its digit in MNIST's split, plus one.
"""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from eprop.data._archive import Tree, open_tree
from eprop.data._nmnist_kernels import decode_block
from eprop.data.binned import BinnedDataset, Binner
from eprop.data.events import Events, EventSample
from eprop.errors import DataError, ParameterError

#: Pixels along each side, and channels: ``p * 1156 + y * 34 + x``.
SIZE = 34
N_CHANNELS = 2 * SIZE * SIZE
_EVENT = 5
_BLOCK = 256
_KINDS = {1: f"an x or y beyond {SIZE - 1}", 2: "a time before that of the event ahead of it"}
_LAYOUT = "N-MNIST is laid out as <split>/<digit>/<number>.bin: Train/0/00002.bin ... Test/9/..., digits named 0 to 9"


class _File(NamedTuple):
    number: int
    digit: int
    name: str


@dataclass(frozen=True, eq=False)
class NMNISTRecordings:
    """The recordings of one split, in the order of their file numbers; a sequence of ``(events, label)``.

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

    #: As in Tonic: width, height, polarities.
    sensor_size = (SIZE, SIZE, 2)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"<NMNISTRecordings {self.name!r}: {len(self)}>"

    def __getitem__(self, index: int) -> EventSample:
        events = _to_events(*_decode(self._tree, [self._files[index]]))
        return EventSample(events, int(self.labels[index]))

    def __iter__(self) -> Iterator[EventSample]:
        return (self[i] for i in range(len(self)))

    def subset(self, chosen: Any) -> NMNISTRecordings:
        """The recordings at ``chosen`` (whole numbers, mask or slice)."""
        where = np.arange(len(self))[chosen]
        files = tuple(self._files[i] for i in where)
        return NMNISTRecordings(self.labels[where], self.indices[where], self.name, files, self._tree)

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
            What to do about a damaged file; skipped files are counted in one warning.
        progress : callable of (done, total), optional

        Returns
        -------
        BinnedDataset

        Raises
        ------
        DataError
            For a damaged file; the message names it, the byte, and what to do.
        """
        if on_error not in ("raise", "skip"):
            raise ParameterError(f'on_error must be "raise" or "skip", got {on_error!r}')
        binner = Binner(N_CHANNELS, n_steps, dt)
        kept: list[np.ndarray] = []
        faults: list[str] = []
        for first in range(0, len(self), _BLOCK):
            names = list(self._files[first : first + _BLOCK])
            good = np.arange(len(names))
            if on_error == "skip":
                good = np.array([i for i, name in enumerate(names) if _is_sound(self._tree, name, faults)], np.int64)
            if good.size:
                binner.add(*binner.bin(*_decode(self._tree, [names[i] for i in good])))
            kept.append(good + first)
            if progress is not None:
                progress(min(first + _BLOCK, len(self)), len(self))
        if faults:
            warnings.warn(f"{len(faults)} damaged recording(s) left out, the first: {faults[0]}", stacklevel=2)
        where = np.concatenate(kept)
        if where.size == 0:
            raise DataError(f"{self.name}: no undamaged recording")
        return binner.finish(self.labels[where], simulated=False, name=self.name)


def read_nmnist(path: str | pathlib.Path, split: str | None = None) -> NMNISTRecordings:
    """Find the recordings of one split; files are read only when they are asked for.

    Parameters
    ----------
    path : path
        One of: a folder with the digit folders ``0`` to ``9``; a folder with ``Train`` and ``Test`` (folders, or
        ``Train.zip`` and ``Test.zip``); either archive; the archive that holds both archives.
    split : "train" or "test", optional
        Needed where both are found.

    Returns
    -------
    NMNISTRecordings
        Sorted by file number.

    Raises
    ------
    DataError
        If there is no recording, or a folder or file name does not fit the layout.
    """
    if split is not None and split.lower() not in ("train", "test"):
        raise DataError(f'N-MNIST has the splits "train" and "test", not {split!r}')
    tree = open_tree(path)
    names = tree.names()
    inner = _inner_archive(tree, names, split)
    if inner is not None:
        tree = tree.enter(inner)
        names = tree.names()
    files = sorted(_parse(tree, name) for name in _of_split(tree, names, split) if name.endswith(".bin"))
    if not files:
        raise DataError(f"{tree.where()}: no recording found. {_LAYOUT}")
    labels = np.array([f.digit for f in files], np.int32)
    indices = np.array([f.number for f in files], np.int64) - 1
    title = "real N-MNIST recordings" + (f" ({split.lower()} split)" if split else "")
    return NMNISTRecordings(labels, indices, title, tuple(f.name for f in files), tree)


def _inner_archive(tree: Tree, names: list[str], split: str | None) -> str | None:
    """The Train.zip or Test.zip to enter, if there is one and no recording lies in the open."""
    found = {name.rsplit("/", 1)[-1].lower(): name for name in names if name.lower().endswith(".zip")}
    archives = {s: found[f"{s}.zip"] for s in ("train", "test") if f"{s}.zip" in found}
    if not archives or any(name.endswith(".bin") and _split_of(name) in (split, None) for name in names):
        return None
    if split is None and len(archives) > 1:
        raise DataError(f'{tree.where()} holds both Train.zip and Test.zip: say which split, "train" or "test"')
    chosen = split.lower() if split else next(iter(archives))
    if chosen not in archives:
        raise DataError(f"{tree.where()} holds {sorted(archives.values())} but no {chosen.capitalize()}.zip")
    return archives[chosen]


def _split_of(name: str) -> str | None:
    """Split named by a file's folders, if any."""
    folders = [part.lower() for part in name.split("/")[:-1]]
    return next((part for part in folders if part in ("train", "test")), None)


def _of_split(tree: Tree, names: list[str], split: str | None) -> list[str]:
    present = {_split_of(name) for name in names if name.endswith(".bin")} - {None}
    if split is None and len(present) > 1:
        raise DataError(f'{tree.where()} holds both Train and Test: say which split, "train" or "test"')
    if split is None or not present:
        return names
    return [name for name in names if _split_of(name) == split.lower()]


def _parse(tree: Tree, name: str) -> _File:
    parts = name.split("/")
    folder = parts[-2] if len(parts) > 1 else pathlib.Path(tree.where()).name
    if not (len(folder) == 1 and folder in "0123456789"):
        raise DataError(f"{tree.where(name)}: folder {folder!r} is no digit 0 to 9. {_LAYOUT}")
    stem = parts[-1][: -len(".bin")]
    if not (stem.isascii() and stem.isdigit() and int(stem) >= 1):
        raise DataError(f"{tree.where(name)}: file name is no number from 1 up. {_LAYOUT}")
    return _File(int(stem), int(folder), name)


def _decode(tree: Tree, names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, channels and offsets of some files; raises `DataError` at the first fault."""
    contents = [_read(tree, name) for name in names]
    raw = np.frombuffer(b"".join(contents), np.uint8)
    offsets = np.cumsum([0, *map(len, contents)]).astype(np.int64)
    times = np.empty(raw.size // _EVENT, np.int32)
    channels = np.empty(raw.size // _EVENT, np.int32)
    event_offsets = np.empty(offsets.size, np.int64)
    file, byte, kind = decode_block(raw, offsets, SIZE, times, channels, event_offsets)
    if kind:
        raise DataError(
            f"{tree.where(names[file])}: event at byte {byte} has {_KINDS[kind]}; the file is damaged or no N-MNIST "
            "recording. Download it again, or leave it out with on_error='skip'"
        )
    n = int(event_offsets[-1])
    return times[:n], channels[:n], event_offsets


def _read(tree: Tree, name: str) -> bytes:
    content = tree.read(name)
    if not content:
        raise DataError(f"{tree.where(name)}: empty file. Download it again, or leave it out with on_error='skip'")
    if len(content) % _EVENT:
        raise DataError(
            f"{tree.where(name)}: cut short at byte {len(content)}, in the middle of an event (an event has {_EVENT} "
            "bytes). Download it again, or leave it out with on_error='skip'"
        )
    return content


def _is_sound(tree: Tree, name: str, faults: list[str]) -> bool:
    try:
        _decode(tree, [name])
    except DataError as error:
        faults.append(str(error))
        return False
    return True


def _to_events(times: np.ndarray, channels: np.ndarray, offsets: np.ndarray) -> Events:
    polarity, pixel = np.divmod(channels, SIZE * SIZE)
    y, x = np.divmod(pixel, SIZE)
    return Events(x.astype(np.uint8), y.astype(np.uint8), polarity.astype(np.uint8), times)


def encode(events: Events) -> bytes:
    """The bytes of an N-MNIST file.

    Raises
    ------
    DataError
        If a position does not fit 8 bits or a time 23 bits (8.4 s).
    """
    if len(events) and (max(events.x.max(), events.y.max()) > 255 or events.t.max() >= 1 << 23):
        raise DataError("an N-MNIST file holds positions below 256 and times below 2^23 us")
    out = np.empty((len(events), _EVENT), np.uint8)
    out[:, 0], out[:, 1] = events.x, events.y
    out[:, 2] = (events.p << 7) | (events.t >> 16).astype(np.uint8)
    out[:, 3], out[:, 4] = (events.t >> 8) & 255, events.t & 255
    return out.tobytes()


def write_recording(folder: str | pathlib.Path, index: int, sample: EventSample) -> pathlib.Path:
    """Write one recording as ``<folder>/<label>/<index + 1>.bin``, and return its path."""
    path = pathlib.Path(folder) / str(sample.label) / f"{index + 1:05d}.bin"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(sample.events))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path
