"""Files of others: bombs and lies are refused in words within seconds, full disks are reported."""

from __future__ import annotations

import gzip
import json
import pathlib
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from digits import zipped
from eprop.data import (
    Events,
    EventSample,
    load_dataset,
    read_mnist,
    read_nmnist,
    save_dataset,
    write_recording,
)
from eprop.data.binned import BinnedDataset
from eprop.data.download import _unpack
from eprop.data.nmnist import encode
from eprop.errors import DataError, MemoryLimitError, OutputError

pytestmark = pytest.mark.tiny

BLANK = encode(Events([1], [2], [1], [3]))


@pytest.fixture(autouse=True)
def _soon():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 10.0


def test_a_device_as_digits_is_refused(tmp_path: pathlib.Path) -> None:
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: cannot be read: it is a device"):
        read_mnist(tmp_path)


# --------------------------------------------------------------------------------------------------------------- bounds


def peak(call: Callable[[], object]) -> int:
    """Largest memory of a call that is refused."""
    tracemalloc.start()
    try:
        with pytest.raises((MemoryLimitError, DataError)):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_archives_that_promise_more_than_the_memory_are_refused(tmp_path: pathlib.Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"0/{k + 1:05d}.bin": bytes(500_000) for k in range(40)})
    data = read_nmnist(path, memory=30_000_000)
    with pytest.raises(MemoryLimitError, match=r"a.zip: needs .* according to its headers, but only 30.0 MB may"):
        data.binned()
    assert peak(data.binned) < 1_000_000
    assert read_nmnist(path, memory=1_000_000_000).binned().labels.size == 40
    with pytest.raises(MemoryLimitError, match=r"00001.bin: needs 0.5 MB"):
        read_nmnist(path, memory=1_000_000)[0]


def test_no_more_is_unpacked_than_a_member_promises(tmp_path: pathlib.Path) -> None:
    """The member promises five bytes and holds 20 MB."""
    packed, name, method = gzip.compress(bytes(20_000_000))[10:-8], b"0/00001.bin", zipfile.ZIP_DEFLATED
    head = struct.pack("<HHHHHLLLHH", 20, 0, method, 0, 0, 0, len(packed), 5, len(name), 0)
    central = struct.pack("<HHHHHHLLLHHHHHLL", 20, 20, 0, method, 0, 0, 0, len(packed), 5, len(name), 0, 0, 0, 0, 0, 0)
    body, table = b"PK\3\4" + head + name + packed, b"PK\1\2" + central + name
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(table), len(body), 0)
    (tmp_path / "a.zip").write_bytes(body + table + end)
    data = read_nmnist(tmp_path / "a.zip", memory=10_000_000)
    assert peak(lambda: data[0]) < 5_000_000


def test_digits_that_promise_too_much_are_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 1) + b"\1")
    lies = struct.pack(">IIII", 2051, 2**32 - 1, 28, 28) + bytes(100)
    for name, content in (("", lies), (".gz", gzip.compress(lies))):
        path = tmp_path / f"train-images-idx3-ubyte{name}"
        path.write_bytes(content)
        with pytest.raises(MemoryLimitError, match=rf"{path.name}: needs 10,101.8 GB"):
            read_mnist(tmp_path)
        path.unlink()
    for promised, memory in ((30_000, 50_000_000), (1, None)):  # a small file that unpacks to 24 MB, and says so or not
        content = struct.pack(">IIII", 2051, promised, 28, 28) + bytes(23_520_000)
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
        assert peak(lambda memory=memory: read_mnist(tmp_path, memory=memory)) < 2_000_000


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({8: b"\x09", "central": (10, b"\x09")}, r"is compressed by method 9"),
        ({6: b"\x01", "central": (8, b"\x01")}, r"cannot be unpacked \(.+\); download the archive again"),
        ({"central": (42, struct.pack("<L", 2**32 - 2))}, r"cannot be unpacked \(.+\); download the archive again"),
    ],
    ids=["deflate64", "encrypted", "offset"],
)
def test_members_that_cannot_be_unpacked_are_refused(edits: dict, words: str, tmp_path: pathlib.Path) -> None:
    path = zipped(tmp_path / "a.zip", {"0/00001.bin": BLANK}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    offset, new = edits.pop("central")
    edits[content.index(b"PK\1\2") + offset] = new
    for at, new in edits.items():
        content[at : at + len(new)] = new
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a.zip:0/00001.bin: {words}"):
        read_nmnist(path)[0]


def test_a_data_set_of_others_cannot_lead_out_of_its_arrays(tmp_path: pathlib.Path) -> None:
    made = BinnedDataset(np.array([[0, 1, 2], [2, 3, 4]]), np.arange(4), np.arange(2), 5, name="made")
    save_dataset(made, tmp_path / "set")
    ptr = made.ptr.copy()
    ptr[1, 1] = 2**40
    np.save(tmp_path / "set" / "ptr.npy", ptr)
    with pytest.raises(DataError, match="sample 1 has offsets that decrease or leave the array"):
        load_dataset(tmp_path / "set")
    facts = json.loads((tmp_path / "set" / "dataset.json").read_text())
    for name, values in (("ptr", made.ptr), ("labels", np.array([0, -1])), ("labels", np.array(["a", "b"]))):
        np.save(tmp_path / "set" / f"{name}.npy", values)
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match="labels"):
        load_dataset(tmp_path / "set")


# ---------------------------------------------------------------------------------------------------------- full disks


@pytest.fixture
def small_files():
    """No file may have more than 2,000 bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_reported_with_the_needed_size(tmp_path: pathlib.Path, small_files: None) -> None:
    many = Events(np.zeros(1000), np.zeros(1000), np.zeros(1000), np.arange(1000))
    with pytest.raises(OutputError, match=r"00001.bin: cannot be written: the file .* \(5,000 bytes are needed\)"):
        write_recording(tmp_path, 0, EventSample(many, 0))
    large = BinnedDataset(np.array([[0, 1000]]), np.arange(1000), np.zeros(1), 1000)
    with pytest.raises(OutputError, match=r"set: cannot be written: the .* \(4,020 bytes are needed\)"):
        save_dataset(large, tmp_path / "set")
    outer = zipped(tmp_path / "outer.zip", {"Train.zip": bytes(100_000)})
    with pytest.raises(OutputError, match=r"Train.zip.part: cannot be written: .*100,000 bytes are needed"):
        _unpack(outer, tmp_path / "Train.zip", "")
    assert outer.exists()
