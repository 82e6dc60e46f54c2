"""HDF5 files of others: sizes are checked before an array is read, and no other file is opened."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from eprop.errors import DataError
from eprop.files.hdf5 import Array, Group, read_hdf5

pytestmark = pytest.mark.tiny


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["a/x"] = np.arange(6.0).reshape(2, 3)
        file["a/empty"] = np.zeros((0, 2), np.int16)
        file["a/b/flags"] = np.array([True, False])
        file["a/text"] = ["one", "two"]
        file["a/number"], file["link"] = np.uint64(2**63), h5py.SoftLink("/a/b/flags")
        file["a/x"].attrs["unit"], file["a"].attrs["of"] = "ms", b"this"
        file["a/x"].attrs["long"], file["a/x"].attrs["list"] = np.zeros(5000), [1, 2]
    return tmp_path / "file.h5"


def test_what_is_written_is_read(path: pathlib.Path) -> None:
    found = read_hdf5(path)
    x, text = found.get("a/x"), found.get("a/text")
    assert isinstance(x, Array)
    assert isinstance(text, Array)
    np.testing.assert_array_equal(x.values, np.arange(6.0).reshape(2, 3))
    assert x.attrs == {"unit": "ms", "list": [1, 2]}
    assert found.members["a"].attrs == {"of": "this"}
    assert (text.values, text.shape) == (None, (2,))
    for name, dtype, shape in (("empty", np.int16, (0, 2)), ("b/flags", bool, (2,)), ("number", np.uint64, ())):
        values = found.get(f"a/{name}").values
        assert (values.dtype, values.shape) == (dtype, shape)
    assert (found.get("a/number").values, found.get("link").values.tolist()) == (2**63, [True, False])
    assert found.get("a/x/y") is None
    assert isinstance(found.get("a/b"), Group)


def test_only_wanted_arrays_are_read(path: pathlib.Path) -> None:
    found = read_hdf5(path, ["flags"])
    assert found.get("a/x").values is None
    assert found.get("a/b/flags").values.tolist() == [True, False]
    assert read_hdf5(path, values=False).get("a/x").values is None


@pytest.mark.parametrize("values", [True, False])
def test_arrays_larger_than_the_memory_are_refused(values: bool, tmp_path: pathlib.Path) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.create_dataset("x", (1 << 42,), np.int64, chunks=(1024,))
    with pytest.raises(DataError, match=r"file.h5: /x: needs 35,184,372,088,832 bytes .* give a larger memory="):
        read_hdf5(tmp_path / "file.h5", values=values)
    with h5py.File(tmp_path / "file.h5", "w") as file:
        for name in "xyz":
            file.create_dataset(name, (1000,), np.int64)
    read_hdf5(tmp_path / "file.h5", memory=24_000, values=values)
    with pytest.raises(DataError, match=r"/z: needs 8,000 bytes .* 7,999 of the allowed 23,999"):
        read_hdf5(tmp_path / "file.h5", memory=23_999, values=values)


def virtual_array(file: h5py.File, other: str) -> None:
    layout = h5py.VirtualLayout((10,), float)
    layout[:] = h5py.VirtualSource(other, "x", (10,))
    file.create_virtual_dataset("x", layout)


def doubled_groups(file: h5py.File, other: str) -> None:
    group: h5py.Group = file  # 2^20 paths through 20 groups
    for _ in range(20):
        inner = group.create_group("a")
        group["b"] = inner
        group = inner


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda f, other: f.create_dataset("x", (10,), float, external=[(other, 0, 80)]), "/x: its numbers are in another file"),
        (lambda f, other: f.update(x=h5py.ExternalLink(other, "/x")), "/x: is a link to another file"),
        (virtual_array, "/x: its numbers are in another file"),
        (lambda f, other: f.update(a=h5py.SoftLink("/x/inner"), x=h5py.ExternalLink(other, "/")), "/x: is a link to another"),
        (lambda f, other: f.update({"a/b": f["/"]}), "groups are nested more than 24 deep"),
        (doubled_groups, "holds more than 10,000 objects"),
    ],
)  # fmt: skip
def test_links_to_other_files_and_endless_groups_are_refused(
    write: Callable[[h5py.File, str], object], words: str, tmp_path: pathlib.Path
) -> None:
    """The other file is a pipe: a reader that opens it waits forever."""
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        write(file, str(tmp_path / "pipe"))
    with pytest.raises(DataError, match=f"file.h5: .*{words}"):
        read_hdf5(tmp_path / "file.h5")


def test_other_files_are_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "text.h5").write_text("text")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("none.h5", "No such file"),
        ("text.h5", "cannot be read .Unable"),
        ("pipe", "it is a named pipe"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{words}"):
            read_hdf5(tmp_path / name)
