"""Recordings, digits and data sets in files; samples of a program; events that arrive live."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import random
import shutil
import struct
import zipfile
from typing import Any

import numpy as np

from eprop.data import (
    BinnedDataset,
    Events,
    LiveEvents,
    cached,
    from_iterable,
    load_dataset,
    read_mnist,
    read_nmnist,
    read_packed,
    read_text,
)  # fmt: skip
from eprop.data.live_readers import CHANNEL_RECORD, PIXEL_RECORD
from eprop.data.nmnist import encode
from fuzzing.mutate import damaged, reworded, spoiled

#: Bytes that a reader may take: enough for what is sound here.
MEMORY = 50_000_000


def events(seed: int, n: int = 30) -> Events:
    rng = np.random.default_rng(seed)
    return Events(*(rng.integers(0, high, n) for high in (34, 34, 2)), np.sort(rng.integers(0, 300_000, n)))


def _names(rng: random.Random) -> str:
    digit = rng.choice(("0", "9", "10", "x", "", "٣", "0 "))
    number = rng.choice(("00001", "0", "9" * 20, "9" * 200, "1" * 9, "-1", "1.5", "٣", "a", "00001 ", "1e3"))
    return (
        f"{rng.choice(('Train', 'train', 'Test', 'x'))}/{digit}/{number}{rng.choice(('.bin', '.BIN', '.bin.bin', ''))}"
    )


def recordings(folder: pathlib.Path) -> tuple[pathlib.Path, list[bytes]]:
    return folder / "data", [encode(events(seed)) for seed in range(3)]


def read_recordings(state: tuple[pathlib.Path, list[bytes]], rng: random.Random) -> None:
    folder, contents = state
    shutil.rmtree(folder, ignore_errors=True)
    for k, content in enumerate(contents):
        name = _names(rng) if rng.random() < 0.2 else f"{k}/{k + 1:05d}.bin"
        path = folder / name.replace("\0", "")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):  # the name of an earlier file is that of a folder
            continue
        if not path.exists():
            path.write_bytes(damaged(content, rng) if rng.random() < 0.5 else content)
    found = read_nmnist(folder, rng.choice((None, "train")), memory=MEMORY)
    found.binned(n_steps=10, on_error=rng.choice(("raise", "skip"))).validate()


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)


def archives(folder: pathlib.Path) -> tuple[pathlib.Path, list[bytes]]:
    out = []
    for method in METHODS:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", method) as archive:
            for k in range(3):
                archive.writestr(f"Train/{k}/{k + 1:05d}.bin", encode(events(k)))
        out.append(inner.getvalue())
    return folder / "archive.zip", out


def read_archive(state: tuple[pathlib.Path, list[bytes]], rng: random.Random) -> None:
    path, contents = state
    path.write_bytes(damaged(rng.choice(contents), rng))
    read_nmnist(path, rng.choice((None, "train")), memory=MEMORY).binned(n_steps=10).validate()


def digits(folder: pathlib.Path) -> tuple[pathlib.Path, bytes, bytes]:
    images = struct.pack(">IIII", 2051, 4, 28, 28) + bytes(range(256)) * 12 + bytes(64)
    return folder, images, struct.pack(">II", 2049, 4) + bytes([1, 2, 3, 9])


def read_digits(state: tuple[pathlib.Path, bytes, bytes], rng: random.Random) -> None:
    folder, *contents = state
    for path in folder.iterdir():
        path.unlink()
    for stem, content in zip(("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), contents, strict=True):
        content = damaged(content, rng) if rng.random() < 0.6 else content
        if rng.random() < 0.5:
            packed = gzip.compress(content, 1)
            (folder / f"{stem}.gz").write_bytes(damaged(packed, rng) if rng.random() < 0.5 else packed)
        else:
            (folder / stem).write_bytes(content)
    read_mnist(folder, memory=MEMORY)


def data_set() -> BinnedDataset:
    ptr = np.array([[2 * i, 2 * i + 1, 2 * i + 2] for i in range(4)])
    return BinnedDataset(ptr, np.arange(8) % 5, np.arange(4), 5, dt=0.5, simulated=True, name="made")


def data_sets(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, bytes]]:
    cached({}, data_set, folder)
    (entry,) = folder.iterdir()
    return entry, {path.name: path.read_bytes() for path in entry.iterdir()}


def read_set(state: tuple[pathlib.Path, dict[str, bytes]], rng: random.Random) -> None:
    """A data set of somebody else."""
    entry, contents = state
    entry.mkdir(exist_ok=True)
    facts = json.loads(contents["dataset.json"])
    for name in ("ptr", "channels", "labels"):
        array = np.load(io.BytesIO(contents[f"{name}.npy"]))
        given = spoiled(array, rng) if rng.random() < 0.4 else array
        given = given if isinstance(given, np.ndarray) and given.dtype.kind in "iufb" else array
        np.save(entry / f"{name}.npy", given)
    text = json.dumps(facts)
    (entry / "dataset.json").write_text(reworded(text, rng) if rng.random() < 0.5 else text, errors="surrogatepass")
    found = load_dataset(entry)
    found.validate()
    found.activity()


def read_samples(state: Any, rng: random.Random) -> None:
    """Events as a program hands them over."""
    array = np.array([[3, 2, 1500, 1], [4, 2, 1700, 0]], rng.choice((np.int64, np.float64, np.uint16)))
    label: Any = rng.choice((3, -1, 1.5, None, "a", 2**40, [1], np.array([3]), np.nan))
    from_iterable([(spoiled(array, rng), label if rng.random() < 0.3 else 3)], n_steps=4).validate()


# --------------------------------------------------------------------------------------------------------- live events


#: Sensor of the live events.
SIDE = 5
#: Steps that are taken from a source at most: an event may lie millions of years ahead.
STEPS = 20


def records(folder: pathlib.Path) -> dict[bool, bytes]:
    """Packed events of channels, and of pixels."""
    channels = np.array([(500, 1), (1500, 2), (1700, 4), (2500, 0)], CHANNEL_RECORD)
    pixels = np.array([(500, 3, 2, 1), (1700, 4, 2, 0), (2600, 1, 1, 1)], PIXEL_RECORD)
    return {False: channels.tobytes(), True: pixels.tobytes()}


def follow(source: Any, size: Any) -> None:
    with LiveEvents(source, size, real_time=False) as live:
        for _, channels in zip(range(STEPS), live, strict=False):
            assert channels.min(initial=0) >= 0
            assert channels.max(initial=0) < live.size
        assert live.lost >= 0


def size_of(pixels: bool, rng: random.Random) -> Any:
    if rng.random() < 0.1:
        pixels = not pixels
    return (SIDE, SIDE) if pixels else SIDE


def read_records(state: dict[bool, bytes], rng: random.Random) -> None:
    pixels = rng.random() < 0.5
    content = damaged(state[pixels], rng)
    follow(read_packed(io.BytesIO(content), pixels=pixels), size_of(pixels, rng))


def read_arrays(state: dict[bool, bytes], rng: random.Random) -> None:
    """Arrays of a program."""
    pixels = rng.random() < 0.5
    array = np.frombuffer(state[pixels], PIXEL_RECORD if pixels else CHANNEL_RECORD)
    parts = [np.array(array[name]) for name in array.dtype.names or ()]
    kind = rng.randrange(4)
    if kind == 0:
        given: Any = spoiled(np.array(array.tolist()), rng)
    elif kind == 1:
        given = tuple(spoiled(part, rng) for part in parts)
    elif kind == 2:
        given = tuple(spoiled(part.astype(np.float64), rng) for part in parts)
    else:
        given = [part[0] for part in parts] + [rng.choice((1, None, "x", np.nan))] * rng.randrange(2)
    follow([array, given, array], size_of(pixels, rng))


def read_lines(state: Any, rng: random.Random) -> None:
    """Lines of text as a camera's program writes them."""
    text = reworded(rng.choice(("0.5 1\n1.5 2\n1.7 4\n2.5 0\n", "3 2 1500 1\n4,2,1700,0\n# end\n1 1 2600 1\n")), rng)
    size: Any = rng.choice((5, (5, 5)))
    follow(read_text(text.splitlines()), size)
