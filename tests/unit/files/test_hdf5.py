"""HDF5 files of others are read by another process, which may crash, hang or want all memory."""

from __future__ import annotations

import os
import pathlib
import signal
import threading
import time

import h5py
import numpy as np
import pytest

from eprop.errors import DataError
from eprop.files import hdf5
from eprop.files.hdf5 import Array, Group, hdf5_process

pytestmark = pytest.mark.tiny


@pytest.fixture(scope="module")
def process():
    with hdf5_process() as process:
        yield process


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["a/x"] = np.arange(6.0).reshape(2, 3)
        file["a/empty"] = np.zeros((0, 2), np.int16)
        file["a/b/flags"] = np.array([True, False])
        file["a/text"] = ["one", "two"]
        file["a/number"] = np.uint64(2**63)
        file["a/x"].attrs["unit"], file["a"].attrs["of"] = "ms", b"this"
        file["a/x"].attrs["long"], file["a/x"].attrs["list"] = np.zeros(5000), [1, 2]
    return tmp_path / "file.h5"


def test_what_is_written_is_read(path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    found = process.read(path)
    x, text = found.get("a/x"), found.get("a/text")
    assert isinstance(x, Array)
    assert isinstance(text, Array)
    np.testing.assert_array_equal(x.values, np.arange(6.0).reshape(2, 3))
    assert x.attrs == {"unit": "ms", "list": [1, 2]}
    assert found.members["a"].attrs == {"of": "this"}
    assert (text.values, text.shape) == (None, (2,))
    for name, dtype, shape in (("empty", np.int16, (0, 2)), ("b/flags", bool, (2,)), ("number", np.uint64, ())):
        array = found.get(f"a/{name}")
        assert isinstance(array, Array)
        assert (array.values.dtype, array.values.shape) == (dtype, shape)
    assert found.get("a/number").values == 2**63
    assert found.get("a/x/y") is None
    assert isinstance(found.get("a/b"), Group)


def test_only_what_is_wanted_is_read(path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    found = process.read(path, ["flags"])
    assert found.get("a/x").values is None
    assert found.get("a/b/flags").values.tolist() == [True, False]
    assert process.read(path, keep=False).get("a/x").values is None


def test_processes_are_shared_and_come_to_an_end(path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    with hdf5_process() as other:
        assert other is process
        other.read(path)
    child = process._process
    assert child is not None
    assert child.poll() is None
    process.close()
    assert child.poll() is not None
    process.read(path)


@pytest.mark.parametrize("keep", [True, False])
def test_an_array_that_promises_terabytes(keep: bool, tmp_path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.create_dataset("x", (1 << 42,), np.int64, chunks=(1024,))
    with pytest.raises(DataError, match=r"file.h5: /x: needs 35,184,372,088,832 bytes .* give a larger memory="):
        process.read(tmp_path / "file.h5", keep=keep)
    with h5py.File(tmp_path / "file.h5", "w") as file:
        for name in "xyz":
            file.create_dataset(name, (1000,), np.int64)
    process.read(tmp_path / "file.h5", memory=24_000, keep=keep)
    with pytest.raises(DataError, match=r"/z: needs 8,000 bytes .* 7,999 of the allowed 23,999"):
        process.read(tmp_path / "file.h5", memory=23_999, keep=keep)


def test_numbers_of_other_files_are_not_read(tmp_path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    (tmp_path / "secret").write_bytes(bytes(80))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(10)
    for kind, words in (
        ("external", "numbers are in another file"),
        ("link", "link to another file"),
        ("virtual", "are in"),
    ):
        with h5py.File(tmp_path / "file.h5", "w") as file:
            if kind == "external":
                file.create_dataset("x", (10,), float, external=[(str(tmp_path / "secret"), 0, 80)])
            elif kind == "link":
                file["x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
            else:
                layout = h5py.VirtualLayout((10,), float)
                layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (10,))
                file.create_virtual_dataset("x", layout)
        with pytest.raises(DataError, match=f"file.h5: /x: .*{words}"):
            process.read(tmp_path / "file.h5")


def test_groups_that_go_round(tmp_path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["a/b"] = file["/"]
    with pytest.raises(DataError, match="groups are nested more than"):
        process.read(tmp_path / "file.h5")
    with h5py.File(tmp_path / "file.h5", "w") as file:  # 2^20 ways through 20 groups
        group = file
        for _ in range(20):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
    with pytest.raises(DataError, match="holds more than 10,000 objects"):
        process.read(tmp_path / "file.h5", seconds=100.0)


def test_a_library_that_crashes(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    for text in (
        "import os; os.kill(os.getpid(), 11)",
        "print('no JSON', flush=True); import time; time.sleep(60)",
    ):
        (tmp_path / "child.py").write_text(text)
        monkeypatch.setattr(hdf5, "_CHILD", tmp_path / "child.py")
        other, began = hdf5.Hdf5Process(), time.monotonic()
        with pytest.raises(DataError, match=r"file\.h5: the HDF5 library crashed, or ran out of memory"):
            other.read(path)
        assert time.monotonic() - began < 20.0
        assert other._process is None


def test_a_file_without_end_is_refused(path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    """The limit is one of processor time, for each file anew."""
    with h5py.File(path.with_name("long.h5"), "w") as file:
        file.create_dataset("x", (1 << 40,), np.int8, chunks=(1 << 20,))
    before = signal.signal(signal.SIGPROF, signal.SIG_IGN)  # which the process inherits
    process.close()
    process.read(path)
    signal.signal(signal.SIGPROF, before)
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"long\.h5: .* did not finish reading it within 0\.3 s of processor time; .* damaged"
        ):
            process.read(path.with_name("long.h5"), keep=False, memory=1 << 41, seconds=0.3)
        assert process._process is None
    process.read(path, seconds=0.3)


def test_a_stopped_process_uses_up_no_time(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """A suspended computer stops processes as SIGSTOP does; the file is not to blame."""
    (tmp_path / "child.py").write_text(
        f"import os, signal, sys; sys.path.insert(0, {str(hdf5._CHILD.parent)!r}); import hdf5_child as child\n"
        "answer = child.answer\n"
        "child.answer = lambda *given: (os.kill(os.getpid(), signal.SIGSTOP), answer(*given))\n"
        "child.main()\n"
    )
    monkeypatch.setattr(hdf5, "_CHILD", tmp_path / "child.py")
    process = hdf5.Hdf5Process()
    child = process._started()

    def resume() -> None:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        time.sleep(0.6)
        child.send_signal(signal.SIGCONT)

    resuming = threading.Thread(target=resume)
    resuming.start()
    assert process.read(path, seconds=0.3).get("a/x") is not None
    resuming.join()
    process.close()


def test_a_soft_link_does_not_open_other_files(tmp_path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    """A soft link that goes through an external link: to open the pipe would wait forever."""
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["a"] = h5py.SoftLink("/z/inner/x")
        file.create_group("z")["inner"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/")
    with pytest.raises(DataError, match=r"file\.h5: /z/inner: is a link to another file"):
        process.read(tmp_path / "file.h5")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["a"], file["z/x"] = h5py.SoftLink("/z/x"), np.arange(3)
    assert process.read(tmp_path / "file.h5").get("a").values.tolist() == [0, 1, 2]


def test_files_that_are_none(tmp_path: pathlib.Path, process: hdf5.Hdf5Process) -> None:
    with pytest.raises(DataError, match="No such file"):
        process.read(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(DataError, match=r"text.h5: cannot be read: "):
        process.read(tmp_path / "text.h5")


def test_holes_win_no_time(tmp_path: pathlib.Path, process: hdf5.Hdf5Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a terabyte that takes nothing on the disk was given half a day."""
    asked: list[float] = []

    def ask(request: dict[str, float], *rest: object) -> None:
        asked.append(request["seconds"])
        raise DataError("asked")

    monkeypatch.setattr(process, "_ask", ask)
    path = tmp_path / "holes.h5"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(DataError, match="asked"):
        process.read(path)
    assert asked[0] < 11.0
