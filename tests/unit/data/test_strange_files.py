"""Recordings and digits from anywhere: what is no file, promises too much or lies is refused in words, and at once."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import pathlib
import struct
import time
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from eprop.data import (
    Events,
    EventSample,
    _archive,
    cached,
    download,
    load_dataset,
    read_mnist,
    read_nmnist,
    save_dataset,
    write_recording,
)
from eprop.data.binned import BinnedDataset
from eprop.data.nmnist import encode
from eprop.errors import DataError, MemoryLimitError

pytestmark = pytest.mark.tiny

BLANK = encode(Events([1], [2], [1], [3]))


@pytest.fixture(autouse=True)
def _soon():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 10.0


def zipped(path: pathlib.Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> pathlib.Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# ------------------------------------------------------------------------------------------------------------- no files


def test_a_pipe_in_place_of_a_recording(tmp_path: pathlib.Path):
    (tmp_path / "0").mkdir()
    os.mkfifo(tmp_path / "0" / "00001.bin")
    with pytest.raises(DataError, match=r"00001.bin: cannot be read: it is a named pipe \(FIFO\), not a regular file"):
        read_nmnist(tmp_path).binned()
    os.mkfifo(tmp_path / "Train.zip")
    for read in (lambda: read_nmnist(tmp_path / "Train.zip"), lambda: read_nmnist(tmp_path, "train")):
        with pytest.raises(DataError, match=r"Train.zip: cannot be read: it is a named pipe"):
            read()


def test_a_device_in_place_of_a_recording(tmp_path: pathlib.Path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "00001.bin").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"00001.bin: cannot be read: it is a device, not a regular file"):
        read_nmnist(tmp_path)[0]
    (tmp_path / "train-images-idx3-ubyte").symlink_to("/dev/zero")
    (tmp_path / "train-labels-idx1-ubyte").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: cannot be read: it is a device"):
        read_mnist(tmp_path)


def test_folders_that_link_to_each_other(tmp_path: pathlib.Path):
    """Twelve folders with a link to each other one: 12! ways."""
    for k in range(12):
        (tmp_path / f"{k}").mkdir()
        for other in range(12):
            (tmp_path / f"{k}" / f"to-{other}").symlink_to(tmp_path / f"{other}")
    with pytest.raises(DataError, match="more than 8 paths lead to this folder through links; remove some"):
        read_nmnist(tmp_path)


def test_a_link_to_itself(tmp_path: pathlib.Path):
    (tmp_path / "0").symlink_to(tmp_path / "0")
    with pytest.raises(DataError, match="cannot be read"):
        read_nmnist(tmp_path)


def test_many_nested_folders(tmp_path: pathlib.Path):
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        with pytest.raises(
            DataError, match="is nested more than 40 folders deep; give the folder of the recordings itself"
        ):
            read_nmnist(tmp_path)
    finally:
        for _ in range(1500):  # what removes folders of tests goes down as deep
            os.chdir("..")
            os.rmdir("d")
        os.chdir(here)


@pytest.mark.parametrize("digits", [10, 20, 250])
def test_numbers_of_many_digits(digits: int, tmp_path: pathlib.Path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / ("9" * digits + ".bin")).write_bytes(BLANK)
    with pytest.raises(DataError, match="the file name is not a number from 1 up with at most 9 digits"):
        read_nmnist(tmp_path)


def test_a_name_of_5000_digits_in_an_archive(tmp_path: pathlib.Path):
    with pytest.raises(DataError, match="file name is not a number"):
        read_nmnist(zipped(tmp_path / "a.zip", {f"0/{'9' * 5000}.bin": BLANK}))


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_paths_that_cannot_be(path: str):
    with pytest.raises(DataError, match=r"no such folder or zip archive|cannot be read"):
        read_nmnist(path)


# --------------------------------------------------------------------------------------------------------------- bounds


def peak(call) -> int:
    tracemalloc.start()
    try:
        with pytest.raises((MemoryLimitError, DataError)):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_recordings_that_are_too_large_are_refused_by_their_headers(tmp_path: pathlib.Path):
    """200 members of 10 MB each in an archive of 2 MB."""
    path = zipped(tmp_path / "a.zip", {f"0/{k + 1:05d}.bin": bytes(500_000) for k in range(40)})
    data = read_nmnist(path, memory=30_000_000)
    with pytest.raises(
        MemoryLimitError, match=r"a.zip: needs .* of memory according to its headers, but only 30.0 MB may"
    ):
        data.binned()
    assert peak(data.binned) < 1_000_000
    assert read_nmnist(path, memory=1_000_000_000).binned().labels.size == 40
    with pytest.raises(MemoryLimitError, match=r"00001.bin: needs 0.5 MB"):
        read_nmnist(path, memory=1_000_000)[0]


def test_what_a_member_holds_beyond_its_size_is_not_unpacked(tmp_path: pathlib.Path):
    """BZip2 and LZMA unpack all that they are given: 20 MB out of a member that promises five bytes."""
    for method, packed in (
        (zipfile.ZIP_BZIP2, bz2.compress(bytes(20_000_000))),
        (zipfile.ZIP_LZMA, b"\x09\x04\x05\x00" + _raw_lzma(bytes(20_000_000))),
    ):
        path = tmp_path / "a.zip"
        _lying(path, method, packed)
        data = read_nmnist(path, memory=10_000_000)
        assert peak(lambda data=data: data[0]) < 5_000_000


def _raw_lzma(content: bytes) -> bytes:
    spec = {"id": lzma.FILTER_LZMA1, "preset": 0}
    return lzma._encode_filter_properties(spec) + lzma.compress(content, lzma.FORMAT_RAW, filters=[spec])


def _lying(path: pathlib.Path, method: int, packed: bytes) -> None:
    """An archive whose member promises five bytes."""
    name = b"0/00001.bin"
    head = struct.pack("<HHHHHLLLHH", 20, 0, method, 0, 0, 0, len(packed), 5, len(name), 0)
    central = struct.pack("<HHHHHHLLLHHHHHLL", 20, 20, 0, method, 0, 0, 0, len(packed), 5, len(name), 0, 0, 0, 0, 0, 0)
    body = b"PK\3\4" + head + name + packed
    table = b"PK\1\2" + central + name
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(table), len(body), 0)
    path.write_bytes(body + table + end)


def test_a_table_of_contents_that_is_too_long(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    path = zipped(tmp_path / "a.zip", {f"0/{k + 1:05d}.bin": BLANK for k in range(200)})
    monkeypatch.setattr(_archive, "memory_budget", lambda: 100_000)
    with pytest.raises(MemoryLimitError, match=r"a.zip: its table of contents: needs"):
        read_nmnist(path)


def test_an_archive_in_an_archive_that_is_larger_than_the_disk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("Train/0/00001.bin", BLANK)
    path = zipped(tmp_path / "a.zip", {"Train.zip": inner.getvalue()})
    monkeypatch.setattr(_archive, "check_disk", lambda *_: (_ for _ in ()).throw(DataError("no room")))
    with pytest.raises(DataError, match="no room"):
        read_nmnist(path)

    class Full(io.BytesIO):
        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_archive, "check_disk", lambda *_: None)
    monkeypatch.setattr(_archive.tempfile, "TemporaryFile", Full)
    with pytest.raises(
        DataError, match=r"Train.zip: cannot be unpacked into .*the disk is full.* bytes are needed.*TMPDIR"
    ):
        read_nmnist(path)


def test_digits_that_promise_too_much(tmp_path: pathlib.Path):
    header = struct.pack(">IIII", 2051, 2**32 - 1, 28, 28)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 1) + b"\1")
    for name, content in (("", header + bytes(100)), (".gz", gzip.compress(header + bytes(100)))):
        path = tmp_path / f"train-images-idx3-ubyte{name}"
        path.write_bytes(content)
        with pytest.raises(DataError, match="but its header promises 3367254359296"):
            read_mnist(tmp_path)
        path.unlink()
    # A megabyte that unpacks to 1 GB, and says so.
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(struct.pack(">IIII", 2051, 30_000, 28, 28) + bytes(23_520_000))
    )
    with pytest.raises(MemoryLimitError, match=r"ubyte.gz: needs 70.6 MB"):
        read_mnist(tmp_path, memory=50_000_000)
    assert peak(lambda: read_mnist(tmp_path, memory=50_000_000)) < 1_000_000
    # And one that says that it does not.
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(struct.pack(">IIII", 2051, 1, 28, 28) + bytes(23_520_000))
    )
    assert peak(lambda: read_mnist(tmp_path)) < 2_000_000


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_members_of_each_compression(method: int, tmp_path: pathlib.Path):
    path = zipped(tmp_path / "a.zip", {"0/00001.bin": BLANK * 50}, method)
    whole, sound, read = path.read_bytes(), read_nmnist(path)[0].events, 0
    with zipfile.ZipFile(path) as archive:
        size = archive.infolist()[0].compress_size
    start = whole.index(b"00001.bin") + 9
    # LZMA begins with a version that nobody needs.
    for at in range(start + 4 * (method == zipfile.ZIP_LZMA), start + size, max(size // 40, 1)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(DataError):
            assert read_nmnist(path)[0].events == sound  # bits that fill the last byte say nothing
            read += 1
    assert read < 5


def test_members_that_nobody_can_unpack(tmp_path: pathlib.Path):
    path = zipped(tmp_path / "a.zip", {"0/00001.bin": BLANK}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    central = whole.index(b"PK\1\2")
    deflate64 = bytearray(whole)
    deflate64[8], deflate64[central + 10] = 9, 9
    encrypted = bytearray(whole)
    encrypted[6], encrypted[central + 8] = 1, 1
    offset = bytearray(whole)
    offset[central + 42 : central + 46] = struct.pack("<L", 2**32 - 2)
    for content in (deflate64, encrypted, offset):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=r"a.zip:0/00001.bin: cannot be unpacked \(.+\); download the archive again"
        ):
            read_nmnist(path)[0]


def made() -> BinnedDataset:
    return BinnedDataset(np.array([[0, 1, 2], [2, 3, 4]]), np.arange(4), np.arange(2), 5, name="made")


def test_any_bit_of_a_header_in_the_cache(tmp_path: pathlib.Path):
    """NumPy raises errors of many kinds for them; or reads other numbers, or only warns."""
    cached({}, made, tmp_path)
    (entry,) = tmp_path.iterdir()
    path = entry / "labels.npy"
    whole = path.read_bytes()
    noticed = 0
    for bit in range(0, 8 * 128, 7):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            data = cached({}, made, tmp_path)
        assert data.labels.tolist() == [0, 1]
        noticed += any("made again" in str(warning.message) for warning in told)
    assert noticed > 100  # a space may be another one


def test_a_data_set_of_others_cannot_lead_out_of_its_arrays(tmp_path: pathlib.Path):
    """Its checksums are right."""
    bad = made()
    bad.ptr[1, 1] = 2**40
    _, bad.channels[0] = None, 1
    save_dataset(made(), tmp_path / "set")
    import json

    from eprop.data import cache

    np.save(tmp_path / "set" / "ptr.npy", bad.ptr)
    facts = json.loads((tmp_path / "set" / "dataset.json").read_text())
    facts["checksums"]["ptr"] = cache._checksum(bad.ptr)
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="sample 1 has offsets that decrease or leave the array"):
        load_dataset(tmp_path / "set")


# -------------------------------------------------------------------------------------------------------- full disks


@pytest.fixture
def small_files():
    """No file may have more than 2,000 bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_names_the_size_that_is_wanted(tmp_path: pathlib.Path, small_files: None):
    many = Events(np.zeros(1000), np.zeros(1000), np.zeros(1000), np.arange(1000))
    with pytest.raises(
        DataError, match=r"00001.bin: cannot be written \(the file would exceed .* \(5,000 bytes are needed\)"
    ):
        write_recording(tmp_path, 0, EventSample(many, 0))
    large = BinnedDataset(np.array([[0, 1000]]), np.arange(1000), np.zeros(1), 1000)
    with pytest.raises(
        DataError, match=r"set: cannot be written: the .* \(4,020 bytes are needed\); or set EPROP_CACHE_DIR"
    ):
        save_dataset(large, tmp_path / "set")


def test_a_download_onto_a_full_disk(tmp_path: pathlib.Path, small_files: None):
    with zipfile.ZipFile(io.BytesIO(), "w") as _:
        pass
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Train.zip", bytes(100_000))
    with pytest.raises(DataError, match=r"Train.zip.part: cannot be written .*100,000 bytes are needed"):
        download._unpack(outer, "Train.zip", tmp_path / "Train.zip", "", None)
    assert outer.exists()  # it is sound
