from __future__ import annotations

import errno
import os
import pathlib

import numpy as np
import pytest

from eprop.data import BinnedDataset, Events, EventSample, save_dataset, write_recording
from eprop.errors import OutputError
from eprop.files import output_errors, write_bytes, write_text
from eprop.plot.style import new_figure, save
from eprop.runs import Checkpoint, RunRecord, save_checkpoint

pytestmark = pytest.mark.tiny


def test_a_file_is_replaced_whole(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask counts, and does not change: files that other threads made in that moment could be written by anybody."""
    path, mask = tmp_path / "a.txt", os.umask(0)
    os.umask(mask)
    monkeypatch.setattr(os, "umask", None)
    write_text(path, "old")
    write_text(path, "new ü")
    assert path.read_text(encoding="utf-8") == "new ü"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_permissions_of_a_file_are_kept(tmp_path: pathlib.Path, mode: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    write_bytes(path, b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == mode


def test_a_link_is_replaced_but_not_the_file_behind_it(tmp_path: pathlib.Path) -> None:
    """A run folder of somebody else cannot have files outside of it replaced."""
    path, target = tmp_path / "a.txt", tmp_path / "b.txt"
    target.write_text("old")
    path.symlink_to(target)
    write_text(path, "new")
    assert (path.is_symlink(), path.read_text(), target.read_text()) == (False, "new", "old")


@pytest.mark.parametrize("problem", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_the_old_file_stays_if_writing_fails(
    tmp_path: pathlib.Path, problem: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise problem

    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(problem)):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_errors_of_the_disk_are_explained(tmp_path: pathlib.Path, code: int, advice: str) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OutputError) as caught, output_errors(path):
        raise OSError(code, os.strerror(code))
    assert f"{path}: cannot be written: {advice}" in str(caught.value)
    assert isinstance(caught.value, OSError)
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        write_text(tmp_path / "none" / "a.txt", "text")


MANY = Events(np.zeros(1000), np.zeros(1000), np.zeros(1000), np.arange(1000))


def test_a_full_disk_names_the_size_that_is_wanted(tmp_path: pathlib.Path) -> None:
    """Of a text, a picture, a recording, a data set and a checkpoint alike."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    figure = new_figure(2.0, 2.0)
    figure.add_subplot().plot([1, 2, 3])
    writes = {
        "a.txt": lambda path: write_text(path, "x" * 5000),
        "a.png": lambda path: save(figure, path),
        "00001.bin": lambda path: write_recording(path.parent, 0, EventSample(MANY, 0)),
        "set": lambda path: save_dataset(BinnedDataset(np.array([[0, 1000]]), np.arange(1000), [0], 1000), path),
        "a.h5": lambda path: save_checkpoint(path, Checkpoint(RunRecord(), {}, {"x": np.zeros(1000)})),
    }
    for name, write in writes.items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(
                OutputError, match=rf"{name}: cannot be written: the file .* \([\d,]+ bytes are needed\)"
            ):
                write(tmp_path / name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    words = r"the disk is full; free some space, or write elsewhere \(12,345 bytes"
    with pytest.raises(OutputError, match=words), output_errors("a.txt", 12345):
        raise OSError(errno.ENOSPC, "full")
