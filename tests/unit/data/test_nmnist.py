"""N-MNIST files: good ones in every packing, and each way to be damaged."""

from __future__ import annotations

import copy
import errno
import io
import os
import pickle
import zipfile

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from eprop.data import EventDataset, Events, EventSample, from_iterable, read_nmnist, write_recording
from eprop.data.nmnist import encode, splits_in
from eprop.errors import DataError, OutputError, ParameterError


def _link(path, target):
    try:
        path.symlink_to(target)
    except (OSError, NotImplementedError):
        pytest.skip("links cannot be made here")


def recording(seed, n=40):
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(0, 34, n), rng.integers(0, 34, n), rng.integers(0, 2, n), np.sort(rng.integers(0, 310_000, n))
    )


@pytest.fixture
def folder(tmp_path):
    """Train with digits 5, 0, 4 (as MNIST begins), Test with 7, 2."""
    root = tmp_path / "N-MNIST"
    for split, labels in (("Train", (5, 0, 4)), ("Test", (7, 2))):
        for index, label in enumerate(labels):
            write_recording(root / split, index, EventSample(recording(10 * index + len(labels)), label))
    return root


def zipped(folder, target, prefix="", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(folder.rglob("*.bin")):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
    return target


@pytest.fixture(params=["folder", "split folder", "split zip", "zips in folder", "stored in zip", "packed in zip"])
def packed(request, folder, tmp_path):
    """Path of the same recordings in each packing, and the split to name."""
    if request.param == "folder":
        return folder, "train"
    if request.param == "split folder":
        return folder / "Train", None
    if request.param == "split zip":
        return zipped(folder / "Train", tmp_path / "Train.zip", "Train/"), None
    zips = tmp_path / "zips"
    zips.mkdir()
    for split in ("Train", "Test"):
        zipped(folder / split, zips / f"{split}.zip", f"{split}/")
    if request.param == "zips in folder":
        return zips, "train"
    method = zipfile.ZIP_STORED if request.param.startswith("stored") else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(tmp_path / "all.zip", "w", method) as outer:
        for split in ("Test", "Train"):
            outer.write(zips / f"{split}.zip", f"N-MNIST/{split}.zip")
    return tmp_path / "all.zip", "Train"


@pytest.mark.tiny
def test_every_packing_reads_the_same(packed):
    path, split = packed
    data = read_nmnist(path, split)
    assert isinstance(data, EventDataset)
    assert data.labels.tolist() == [5, 0, 4]
    assert data.indices.tolist() == [0, 1, 2]
    assert [sample.events for sample in data] == [recording(10 * k + 3) for k in range(3)]
    assert "real N-MNIST" in data.name
    assert repr(data).endswith(": 3>")
    assert len(data.stamp()) == 32
    binned = data.binned(n_steps=310)
    assert not binned.simulated
    assert np.array_equal(binned.channels, from_iterable(data, n_steps=310).channels)


@pytest.mark.tiny
def test_every_packing_can_be_pickled(packed):
    """Of an archive the open file was to go along."""
    data = read_nmnist(*packed)
    for back in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert back.name == data.name
        assert list(back.subset([2, 0])) == list(data.subset([2, 0]))


def test_a_folder_with_train_and_test_needs_a_split(folder, tmp_path):
    assert list(splits_in(folder)) == ["train", "test"]
    assert splits_in(folder / "Train") == {}
    assert read_nmnist(folder, "test").labels.tolist() == [7, 2]
    with pytest.raises(DataError, match="both Train and Test"):
        read_nmnist(folder)
    with pytest.raises(DataError, match="no Test"):
        read_nmnist(folder / "Train", "test")
    with pytest.raises(DataError, match="not 'validation'"):
        read_nmnist(folder, "validation")
    only = zipped(folder / "Test", tmp_path / "Test.zip", "Test/")
    assert read_nmnist(only).labels.tolist() == [7, 2]
    with pytest.raises(DataError, match="no Train"):
        read_nmnist(only, "train")
    assert read_nmnist(folder / "Train" / "5").labels.tolist() == [5]


def test_a_subset_keeps_its_order_and_progress_is_reported(folder):
    data = read_nmnist(folder, "train")
    part = data.subset([2, 0])
    assert part.labels.tolist() == [4, 5]
    assert part[0].events == data[2].events
    seen = []
    data.binned(progress=lambda *numbers: seen.append(numbers))
    assert seen == [(3, 3)]


def test_recordings_are_sorted_by_number(tmp_path):
    for number in (100_000, 9, 10):
        write_recording(tmp_path, number - 1, EventSample(recording(1), 3))
    assert read_nmnist(tmp_path).indices.tolist() == [8, 9, 99_999]


def test_hidden_and_foreign_files_are_ignored(folder, tmp_path):
    (folder / "Train" / "5" / "._00001.bin").write_bytes(b"x")
    (folder / "Train" / "5" / "Thumbs.db").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "00001.bin").write_bytes(b"x")
    assert len(read_nmnist(folder, "train")) == 3
    archive = tmp_path / "Train.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("Train/5/00001.bin", encode(recording(1)))
        out.writestr("__MACOSX/Train/5/._00001.bin", b"x")
        out.writestr("Train/5/", b"")
    assert len(read_nmnist(archive)) == 1


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


@pytest.mark.tiny
def test_clock_overflow_is_followed(tmp_path):
    marks = bytes([0, 240, 0, 0, 0])
    write_recording(tmp_path, 0, EventSample(Events([1, 2], [3, 4], [0, 1], [5, 6]), 0))
    path = tmp_path / "0" / "00001.bin"
    raw = path.read_bytes()
    path.write_bytes(raw[:5] + marks + raw[5:])
    assert read_nmnist(tmp_path)[0].events.t.tolist() == [5, 6 + 8192]


def good(n=3):
    return bytearray(encode(Events([1] * n, [2] * n, [1] * n, np.arange(n) * 70_000)))


def broken(change):
    raw = good()
    change(raw)
    return bytes(raw)


DAMAGED = {
    "empty": (b"", "empty file"),
    "cut short": (bytes(good()[:-2]), "truncated at byte 13"),
    "x": (broken(lambda raw: raw.__setitem__(5, 34)), "byte 5 has an x or y beyond 33"),
    "y": (broken(lambda raw: raw.__setitem__(11, 35)), "byte 10 has an x or y beyond 33"),
    "time": (broken(lambda raw: raw.__setitem__(slice(12, 15), bytes(3))), "byte 10 has a time before"),
}


@pytest.mark.tiny
@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_named(folder, kind):
    content, message = DAMAGED[kind]
    victim = folder / "Train" / "0" / "00002.bin"
    victim.write_bytes(content)
    data = read_nmnist(folder, "train")
    for act in (data.binned, lambda: data[1]):
        with pytest.raises(DataError, match=message) as caught:
            act()
        assert str(victim) in str(caught.value)
        assert "or leave it out: remove it, or in Python give on_error='skip'" in str(caught.value)
    assert len(data[0].events) == 40
    with pytest.warns(UserWarning, match=r"1 damaged recording\(s\) left out"):
        rest = data.binned(on_error="skip")
    assert rest.labels.tolist() == [5, 4]


def test_a_folder_without_an_undamaged_recording_is_refused(tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "00001.bin").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(DataError, match="no undamaged"):
        read_nmnist(tmp_path).binned(on_error="skip")
    with pytest.raises(ParameterError, match="on_error"):
        read_nmnist(tmp_path).binned(on_error="ignore")


def test_wrong_layouts_are_explained(tmp_path):
    with pytest.raises(DataError, match="no such folder or zip"):
        read_nmnist(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no recording found. N-MNIST is laid out as"):
        read_nmnist(tmp_path)
    for place, message in (
        ("ten/00001.bin", "'ten' is not a digit"),
        ("3/first.bin", "not a number"),
        ("4/0.bin", "not a number"),
    ):
        path = tmp_path / "x" / place
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(good()))
        with pytest.raises(DataError, match=message) as caught:
            read_nmnist(tmp_path / "x")
        assert str(path) in str(caught.value)
        path.unlink()


def test_damaged_archives_are_named(folder, tmp_path):
    archive = tmp_path / "Train.zip"
    archive.write_bytes(b"no zip at all")
    with pytest.raises(DataError, match=r"Train.zip: is not a readable zip archive"):
        read_nmnist(archive)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as out:
        out.writestr("Train/5/00001.bin", bytes(good()))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w", zipfile.ZIP_DEFLATED) as outer:
        outer.writestr("Train.zip", inner.getvalue()[:-30])
    with pytest.raises(DataError, match=r"outer.zip:Train.zip: is not a readable zip"):
        read_nmnist(tmp_path / "outer.zip")


def test_files_that_vanish_are_named(folder):
    data = read_nmnist(folder, "train")
    (folder / "Train" / "5" / "00001.bin").unlink()
    with pytest.raises(DataError, match=r"00001.bin: cannot be read"):
        data.binned()


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


@pytest.mark.shared
def test_real_files_come_back_byte_by_byte(shared):
    data = read_nmnist(shared / "data" / "nmnist-small", "test")
    assert len(data) == 100
    for index in (0, 50, 99):
        path = next((shared / "data" / "nmnist-small" / "Test").glob(f"*/{data.indices[index] + 1:05d}.bin"))
        assert encode(data[index].events) == path.read_bytes()
        assert path.parent.name == str(data.labels[index])


@pytest.mark.tiny
def test_duplicate_recordings_are_refused(folder):
    """Or it would be learned from and held out."""
    count = len(read_nmnist(folder, "train"))
    first = next((folder / "Train").rglob("*.bin"))
    other = folder / "backup" / "Train" / first.parent.name / first.name
    other.parent.mkdir(parents=True)
    other.write_bytes(first.read_bytes())
    with pytest.raises(DataError, match=f"{first.name}: recording .* of digit .* occurs twice; move one"):
        read_nmnist(folder, "train")
    other.unlink()
    assert len(read_nmnist(folder, "train")) == count


@pytest.mark.tiny
def test_an_empty_data_set_is_refused(folder):
    with pytest.raises(DataError, match="no undamaged recording"):
        read_nmnist(folder, "train").subset([]).binned()


@pytest.mark.tiny
def test_linked_folders_and_files_are_read(folder, tmp_path):
    """A class that lies on another disk, behind a link, was left out without a word."""
    (tmp_path / "elsewhere").mkdir()
    (folder / "Train" / "0").rename(tmp_path / "elsewhere" / "zeros")
    _link(folder / "Train" / "0", tmp_path / "elsewhere" / "zeros")
    (folder / "Train" / "4" / "00003.bin").rename(tmp_path / "elsewhere" / "a four")
    _link(folder / "Train" / "4" / "00003.bin", tmp_path / "elsewhere" / "a four")
    data = read_nmnist(folder, "train")
    assert data.labels.tolist() == [5, 0, 4]
    assert data[1].events == recording(13)
    _link(tmp_path / "all", folder)
    assert read_nmnist(tmp_path / "all", "train").labels.tolist() == [5, 0, 4]


@pytest.mark.tiny
def test_cyclic_links_are_skipped(folder):
    _link(folder / "Train" / "5" / "back", folder / "Train")
    _link(folder / "Train" / "up", folder)
    assert read_nmnist(folder, "train").labels.tolist() == [5, 0, 4]


@pytest.mark.tiny
def test_unreadable_folders_are_named(folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("0"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"Train/0: cannot be read \(Permission denied\); make it readable"):
        read_nmnist(folder, "train")


@pytest.mark.tiny
def test_names_in_capitals_are_read(folder):
    """As FAT disks and some archives write them."""
    path = folder / "Train" / "5" / "00001.bin"
    path.rename(path.with_name("00001.BIN"))
    assert read_nmnist(folder, "train").labels.tolist() == [5, 0, 4]
