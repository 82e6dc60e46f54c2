"""N-MNIST files: good ones in every packing; damaged, strange and ambiguous ones are refused in words."""

from __future__ import annotations

import copy
import errno
import os
import pathlib
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from digits import zipped
from eprop.data import EventDataset, Events, EventSample, from_iterable, read_nmnist, write_recording
from eprop.data.nmnist import encode, splits_in
from eprop.errors import DataError, MemoryLimitError, OutputError, ParameterError

pytestmark = pytest.mark.tiny
Folder = pathlib.Path


def recording(seed, n=40):
    rng = np.random.default_rng(seed)
    return Events(*(rng.integers(0, high, n) for high in (34, 34, 2)), np.sort(rng.integers(0, 310_000, n)))


@pytest.fixture
def folder(tmp_path):
    """Train with digits 5, 0, 4 (as MNIST begins), Test with 7, 2."""
    root = tmp_path / "N-MNIST"
    for split, labels in (("Train", (5, 0, 4)), ("Test", (7, 2))):
        for index, label in enumerate(labels):
            write_recording(root / split, index, EventSample(recording(10 * index + len(labels)), label))
    return root


def packed_as(folder: Folder, target: Folder, split: str) -> Folder:
    """The recordings of a split as an archive."""
    target.mkdir(exist_ok=True)
    files = sorted((folder / split).rglob("*.bin"))
    return zipped(target / f"{split}.zip", {str(path.relative_to(folder)): path.read_bytes() for path in files})


PACKINGS = {
    "folder": lambda folder, other: (folder, "train"),
    "split folder": lambda folder, other: (folder / "Train", None),
    "split zip": lambda folder, other: (packed_as(folder, other, "Train"), None),
    "zips in folder": lambda folder, other: (
        [packed_as(folder, other, s) for s in ("Test", "Train")] and other,
        "train",
    ),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_reads_the_same_also_when_pickled(packing, folder, tmp_path):
    """Of an archive the open file was to go along."""
    data = read_nmnist(*PACKINGS[packing](folder, tmp_path / "other"))
    assert isinstance(data, EventDataset)
    assert (data.labels.tolist(), data.indices.tolist()) == ([5, 0, 4], [0, 1, 2])
    assert [sample.events for sample in data] == [recording(10 * k + 3) for k in range(3)]
    assert "real N-MNIST" in data.name
    assert repr(data).endswith(": 3>")
    assert len(data.stamp()) == 32
    seen = []
    binned = data.binned(n_steps=310, progress=lambda *numbers: seen.append(numbers))
    assert (binned.simulated, seen) == (False, [(3, 3)])
    assert np.array_equal(binned.channels, from_iterable(data, n_steps=310).channels)
    for back in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert back.name == data.name
        assert list(back.subset([2, 0])) == [data[2], data[0]]


def test_splits_and_labels_are_found_by_names(folder, tmp_path):
    """Of hidden files too, as some archives have them; names may be capitals, as FAT disks write them."""
    assert list(splits_in(folder)) == ["train", "test"]
    assert not splits_in(folder / "Train")
    assert read_nmnist(folder, "test").labels.tolist() == [7, 2]
    assert read_nmnist(packed_as(folder, tmp_path, "Test")).labels.tolist() == [7, 2]
    assert read_nmnist(folder / "Train" / "5").labels.tolist() == [5]
    first = folder / "Train" / "5" / "00001.bin"
    first.rename(first.with_name("00001.BIN"))
    (folder / "__MACOSX").mkdir()
    for path in (first.with_name("._00001.bin"), first.with_name("Thumbs.db"), folder / "__MACOSX" / "00001.bin"):
        path.write_bytes(b"x")
    assert read_nmnist(folder, "train").labels.tolist() == [5, 0, 4]
    members = {"Train/5/00001.bin": encode(recording(1)), "__MACOSX/Train/5/._00001.bin": b"x", "Train/5/": b""}
    assert len(read_nmnist(zipped(tmp_path / "Train.zip", members))) == 1


def test_recordings_are_sorted_by_number(tmp_path):
    for number in (100_000, 9, 10):
        write_recording(tmp_path, number - 1, EventSample(recording(1), 3))
    assert read_nmnist(tmp_path).indices.tolist() == [8, 9, 99_999]


@given(
    st.lists(
        st.tuples(st.integers(0, 33), st.integers(0, 33), st.integers(0, 1), st.integers(0, 2**23 - 1)),
        min_size=1,
        max_size=20,
    )
)
def test_what_is_written_is_read(tmp_path_factory, rows):
    rows = sorted(rows, key=lambda row: row[3])
    events = Events(*(np.array(column) for column in zip(*rows, strict=True)))
    folder = tmp_path_factory.mktemp("written")
    write_recording(folder, 6, EventSample(events, 9))
    data = read_nmnist(folder)
    assert (data.indices.tolist(), data[0].label) == ([6], 9)
    assert data[0].events == events


def test_clock_overflow_is_followed(tmp_path):
    marks = bytes([0, 240, 0, 0, 0])
    path = write_recording(tmp_path, 0, EventSample(Events([1, 2], [3, 4], [0, 1], [5, 6]), 0))
    raw = path.read_bytes()
    path.write_bytes(raw[:5] + marks + raw[5:])
    assert read_nmnist(tmp_path)[0].events.t.tolist() == [5, 6 + 8192]


def test_linked_folders_and_files_are_read_and_cycles_skipped(folder, tmp_path):
    """A class that lies on another disk, behind a link, was left out without a word."""
    (tmp_path / "elsewhere").mkdir()
    for path, place in ((folder / "Train" / "0", "zeros"), (folder / "Train" / "4" / "00003.bin", "a four")):
        path.rename(tmp_path / "elsewhere" / place)
        path.symlink_to(tmp_path / "elsewhere" / place)
    (folder / "Train" / "5" / "back").symlink_to(folder / "Train")
    (folder / "Train" / "up").symlink_to(folder)
    data = read_nmnist(folder, "train")
    assert data.labels.tolist() == [5, 0, 4]
    assert data[1].events == recording(13)


# --------------------------------------------------------------------------------------------- damage, strange folders


def damaged(at: int, *values: int) -> bytes:
    """Three events with other bytes from one on."""
    raw = bytearray(encode(Events([1] * 3, [2] * 3, [1] * 3, np.arange(3) * 70_000)))
    raw[at : at + len(values)] = bytes(values)
    return bytes(raw)


DAMAGED = {
    "empty": (b"", "empty file"),
    "cut short": (damaged(0)[:-2], "truncated at byte 13"),
    "x": (damaged(5, 34), "byte 5 has an x or y beyond 33"),
    "y": (damaged(11, 35), "byte 10 has an x or y beyond 33"),
    "time": (damaged(12, 0, 0, 0), "byte 10 has a time before"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_named(folder, kind):
    content, message = DAMAGED[kind]
    victim = folder / "Train" / "0" / "00002.bin"
    victim.write_bytes(content)
    data = read_nmnist(folder, "train")
    for act in (data.binned, lambda: data[1]):
        with pytest.raises(DataError, match=f"^{victim}: .*{message}.* on_error='skip'"):
            act()
    assert len(data[0].events) == 40
    with pytest.warns(UserWarning, match=r"1 damaged recording\(s\) left out"):
        rest = data.binned(on_error="skip")
    assert rest.labels.tolist() == [5, 4]


def test_a_folder_without_an_undamaged_recording_is_refused(folder, tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "00001.bin").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(DataError, match="no undamaged"):
        read_nmnist(tmp_path / "3").binned(on_error="skip")
    with pytest.raises(ParameterError, match="on_error"):
        read_nmnist(tmp_path / "3").binned(on_error="ignore")
    with pytest.raises(DataError, match="no undamaged recording"):
        read_nmnist(folder, "train").subset([]).binned()


def test_what_cannot_be_read_or_has_vanished_is_named(folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("0"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    data = read_nmnist(folder / "Train" / "5")
    with pytest.raises(DataError, match=r"Train/0: cannot be read \(Permission denied\); make it readable"):
        read_nmnist(folder, "train")
    (folder / "Train" / "5" / "00001.bin").unlink()
    with pytest.raises(DataError, match=r"00001.bin: cannot be read"):
        data.binned()


BLANK = encode(Events([1], [2], [1], [3]))


def put(folder: Folder, name: str = "0/00001.bin", content: bytes | None = BLANK) -> Folder:
    """A recording, or only its folder; its path."""
    path = folder / name
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)
    return path


def link_to_each_other(folder: Folder) -> None:
    for k in range(12):  # 12! paths
        (folder / f"{k}").mkdir()
        for other in range(12):
            (folder / f"{k}" / f"to-{other}").symlink_to(folder / f"{other}")


def archive_in_archive(folder: Folder) -> None:
    inner = zipped(folder / "inner", {"Train/5/00001.bin": BLANK}).read_bytes()
    zipped(folder / "outer.zip", {"Train.zip": inner})


def edited(folder: Folder, edits: dict, method: int = zipfile.ZIP_STORED, content: bytes = BLANK) -> Folder:
    """An archive with other bytes at some places, counted from its begin and from that of its table of contents."""
    path = zipped(folder / "Train.zip", {"0/00001.bin": content}, method)
    made = bytearray(path.read_bytes())
    for at, new in edits.items():
        start, new = (made.index(b"PK\1\2") + new[0], new[1]) if at == "central" else (at, new)
        made[start : start + len(new)] = new
    path.write_bytes(made)
    return path


UNPACKED = r"Train.zip:0/00001.bin: cannot be unpacked \(.+\); download the archive again"
NAMES = "the file name is not a number from 1 up with at most 9 digits"
#: What lies in a folder; the path to read below it, and the split; what is said.
REFUSED: dict[str, tuple[Callable[[Folder], object], str, str | None, str]] = {
    "nothing there": (lambda folder: None, "nowhere", None, "nowhere: no such folder or zip"),
    "empty": (lambda folder: None, "", None, "no recording found. N-MNIST is laid out as"),
    "unknown split": (put, "", "validation", "not 'validation'"),
    "both splits": (lambda f: [put(f, f"{split}/0/1.bin") for split in ("Train", "Test")], "", None, "both Train and Test"),
    "no Test": (lambda f: put(f, "Train/0/1.bin"), "Train", "test", "no Test"),
    "no Train": (lambda f: zipped(f / "Test.zip", {"Test/0/1.bin": BLANK}), "Test.zip", "train", "no Train"),
    "twice": (
        lambda f: [put(f, f"{place}Train/0/00001.bin") for place in ("", "backup/")], "", "train",
        "00001.bin: recording 1 of digit 0 occurs twice; move one",  # or it would be learned from and held out
    ),
    "no digit": (lambda f: put(f, "ten/00001.bin"), "", None, "ten/00001.bin: folder 'ten' is not a digit"),
    "no number": (lambda f: put(f, "3/first.bin"), "", None, f"3/first.bin: {NAMES}"),
    "number 0": (lambda f: put(f, "4/0.bin"), "", None, f"4/0.bin: {NAMES}"),
    "10 digits": (lambda f: put(f, f"0/{'9' * 10}.bin"), "", None, NAMES),
    "250 digits": (lambda f: put(f, f"0/{'9' * 250}.bin"), "", None, NAMES),
    "5000 digits": (lambda f: zipped(f / "Train.zip", {f"0/{'9' * 5000}.bin": BLANK}), "", "train", NAMES),
    "no archive": (lambda f: put(f, "a/Train.zip", b"no zip at all"), "a/Train.zip", None,
                   "Train.zip: is not a readable zip archive"),
    "archive in archive": (
        archive_in_archive, "outer.zip", None, "Train.zip: is an archive within an archive; unpack .*outer.zip and give its"
    ),
    "bzip2": (lambda f: edited(f, {}, zipfile.ZIP_BZIP2), "", "train", "00001.bin: is compressed by method 12, not by deflate"),
    "deflate64": (lambda f: edited(f, {8: b"\x09", "central": (10, b"\x09")}), "", "train", "is compressed by method 9"),
    "encrypted": (lambda f: edited(f, {6: b"\x01", "central": (8, b"\x01")}), "", "train", UNPACKED),
    "offset": (lambda f: edited(f, {"central": (42, struct.pack("<L", 2**32 - 2))}), "", "train", UNPACKED),
    "pipe": (lambda f: os.mkfifo(put(f, content=None)), "", None, r"00001.bin: cannot be read: it is a named pipe \(FIFO\)"),
    "archive is a pipe": (lambda f: os.mkfifo(f / "Train.zip"), "", "train", "Train.zip: cannot be read: it is a named pipe"),
    "link to itself": (
        lambda f: (f / "0").symlink_to(f / "0"), "", None, "0: is a link to .*, which does not exist; repair or remove it"
    ),
    "cyclic links": (link_to_each_other, "", None, "no recording found"),
    "deep": (lambda f: (f / "/".join("d" * 60)).mkdir(parents=True), "", None, "is nested more than 40 folders deep"),
    "zero byte": (lambda f: None, "a\0b", None, "no such folder or zip archive|cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_strange_folders_and_archives_are_refused_within_seconds(kind: str, tmp_path: Folder) -> None:
    make, place, split, words = REFUSED[kind]
    make(tmp_path)
    began = time.monotonic()
    with pytest.raises(DataError, match=words):
        read_nmnist(tmp_path / place, split).binned()
    assert time.monotonic() - began < 10.0


def test_what_does_not_fit_the_file_is_refused(tmp_path):
    late = Events([0, 0], [0, 0], [0, 0], [5, 4])
    for events in (Events([34], [0], [0], [0]), Events([0], [240], [0], [0]), Events([0], [0], [0], [2**23]), late):
        with pytest.raises(DataError, match="N-MNIST file holds"):
            encode(events)
    for index, label in ((0, 12), (0, -1), (-1, 3)):
        with pytest.raises(DataError, match="N-MNIST has labels 0 to 9 and indices >= 0"):
            write_recording(tmp_path, index, EventSample(recording(1), label))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "3").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        write_recording(tmp_path, 0, EventSample(recording(1), 3))


def peak(call: Callable[[], object]) -> int:
    """Largest memory of a call that is refused."""
    tracemalloc.start()
    try:
        with pytest.raises((MemoryLimitError, DataError)):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_archives_that_promise_more_than_the_memory_are_refused(tmp_path: Folder) -> None:
    path = zipped(tmp_path / "a.zip", {f"0/{k + 1:05d}.bin": bytes(500_000) for k in range(40)})
    data = read_nmnist(path, memory=30_000_000)
    with pytest.raises(MemoryLimitError, match=r"a.zip: needs .* according to its headers, but only 30.0 MB may"):
        data.binned()
    assert peak(data.binned) < 1_000_000
    assert read_nmnist(path, memory=1_000_000_000).binned().labels.size == 40
    with pytest.raises(MemoryLimitError, match=r"00001.bin: needs 0.5 MB"):
        read_nmnist(path, memory=1_000_000)[0]


def test_no_more_is_unpacked_than_a_member_promises(tmp_path: Folder) -> None:
    """The member promises five bytes and holds 20 MB."""
    five = struct.pack("<L", 5)
    path = edited(tmp_path, {22: five, "central": (24, five)}, zipfile.ZIP_DEFLATED, bytes(20_000_000))
    data = read_nmnist(path, memory=10_000_000)
    assert peak(lambda: data[0]) < 5_000_000


@pytest.mark.shared
def test_real_files_come_back_byte_by_byte(shared):
    data = read_nmnist(shared / "data" / "nmnist-small", "test")
    assert len(data) == 100
    for index in (0, 50, 99):
        path = next((shared / "data" / "nmnist-small" / "Test").glob(f"*/{data.indices[index] + 1:05d}.bin"))
        assert encode(data[index].events) == path.read_bytes()
        assert path.parent.name == str(data.labels[index])
